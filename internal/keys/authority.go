package keys

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Extended key usages. A leaf carries those that were asked for; VerifyChain checks them itself.
var (
	EKUDocumentSigner = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 2}       // ISO 18013-5 document signer; our credentials as well
	EKUReaderAuth     = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 6}       // ISO 18013-5 reader authentication: request objects
	EKUStatusSigner   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 30} // Token Status List
)

// Country stands in every distinguished name: some libraries refuse a subject without one.
const Country = "KR"

// RootConfig describes a self-signed root: C=KR, P-256, name-constrained, no authority below it.
type RootConfig struct {
	CommonName   string
	Organization string
	// PermittedDNS are the hosts (with their subdomains) that leaves may name. Empty: no name constraint. Roots of issuers
	// have none, although DESIGN 3 wants it: their leaves carry a DID as SAN URI, a DID has no host, and verifiers built on
	// Go's crypto/x509 refuse any such leaf below a constrained root. What it would buy is little: DIDs cannot be
	// constrained at all, and which root may certify which DID is said by the accreditation.
	PermittedDNS []string
	NotBefore    time.Time
	NotAfter     time.Time
	Key          Signer // from a Store or Generate
}

// An Authority issues leaves under one root.
type Authority struct {
	root *x509.Certificate
	key  Signer
}

// NewRoot makes and self-signs the root.
func NewRoot(cfg RootConfig) (*Authority, error) {
	if cfg.CommonName == "" || cfg.Key == nil || !cfg.NotAfter.After(cfg.NotBefore) {
		return nil, fmt.Errorf("%w: a root needs a name, a key and an interval", ErrChain)
	}
	signer, err := CryptoSigner(cfg.Key)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		Subject:   distinguishedName(cfg.CommonName, cfg.Organization),
		NotBefore: cfg.NotBefore, NotAfter: cfg.NotAfter,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if len(cfg.PermittedDNS) > 0 {
		t.PermittedDNSDomainsCritical, t.PermittedDNSDomains = true, cfg.PermittedDNS
		t.ExcludedIPRanges = []*net.IPNet{
			{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, {IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("create root certificate: %w", err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read root certificate back: %w", err)
	}
	return OpenAuthority(root, cfg.Key)
}

// OpenAuthority uses an existing root certificate with its key. Error: ErrKey when they do not belong together.
func OpenAuthority(root *x509.Certificate, key Signer) (*Authority, error) {
	public, err := NewPublicKey(root.PublicKey)
	if err != nil {
		return nil, err
	}
	if !root.IsCA || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("%w: root certificate and key do not belong together", ErrKey)
	}
	return &Authority{root: root, key: key}, nil
}

// Root is the root certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// LeafConfig describes one end-entity certificate.
type LeafConfig struct {
	CommonName   string
	Organization string
	URI          string // SAN URI: the DID; leave it empty where only the host counts (some libraries refuse it under constraints)
	DNS          []string
	Key          *PublicKey
	NotBefore    time.Time
	NotAfter     time.Time
	EKU          []asn1.ObjectIdentifier
}

// Issue signs a leaf; the result is DER and holds against the root in its interval.
func (a *Authority) Issue(cfg LeafConfig) ([]byte, error) {
	if cfg.Key == nil || cfg.CommonName == "" || !cfg.NotAfter.After(cfg.NotBefore) || cfg.NotAfter.After(a.root.NotAfter) {
		return nil, fmt.Errorf("%w: a leaf needs a name, a key and an interval inside its root's", ErrChain)
	}
	t := &x509.Certificate{
		Subject:   distinguishedName(cfg.CommonName, cfg.Organization),
		NotBefore: cfg.NotBefore, NotAfter: cfg.NotAfter,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		UnknownExtKeyUsage: cfg.EKU, DNSNames: cfg.DNS,
	}
	if cfg.URI != "" {
		u, err := url.Parse(cfg.URI)
		if err != nil || u.Scheme == "" {
			return nil, fmt.Errorf("%w: SAN URI", ErrChain)
		}
		t.URIs = []*url.URL{u}
	}
	signer, err := CryptoSigner(a.key)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.root, cfg.Key.Crypto(), signer)
	if err != nil {
		return nil, fmt.Errorf("create leaf certificate: %w", err)
	}
	if _, err := VerifyChain([][]byte{der}, ChainPolicy{Roots: []*x509.Certificate{a.root}, Now: cfg.NotBefore, EKU: cfg.EKU}); err != nil {
		return nil, fmt.Errorf("verify leaf after signing: %w", err)
	}
	return der, nil
}

func distinguishedName(cn, org string) pkix.Name {
	n := pkix.Name{Country: []string{Country}, CommonName: cn}
	if org != "" {
		n.Organization = []string{org}
	}
	return n
}
