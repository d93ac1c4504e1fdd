package keys

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"time"
)

// Extended key usages. A leaf carries those that were asked for and VerifyChain checks them itself.
var (
	EKUDocumentSigner = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 2}          // ISO 18013-5 document signer; our credentials as well
	EKUReaderAuth     = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 6}          // ISO 18013-5 reader authentication: request objects
	EKUStatusSigner   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 30}    // Token Status List
	EKUAttestation    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1, 1} // wallet and key attestations
)

// RootConfig describes a self-signed root: C=KR, P-256, name-constrained.
type RootConfig struct {
	CommonName   string
	Organization string
	PermittedDNS []string // hosts (and their subdomains) that leaves may name; required
	NotBefore    time.Time
	NotAfter     time.Time
	Key          Signer // from a Store or Generate
}

// An Authority issues leaves under one root.
type Authority struct{}

// NewRoot makes and self-signs the root.
func NewRoot(cfg RootConfig) (*Authority, error) { return nil, errTODO }

// OpenAuthority uses an existing root certificate with its key.
func OpenAuthority(root *x509.Certificate, key Signer) (*Authority, error) { return nil, errTODO }

// Root is the root certificate.
func (a *Authority) Root() *x509.Certificate { return nil }

// LeafConfig describes one end-entity certificate.
type LeafConfig struct {
	CommonName   string
	Organization string
	URI          string // SAN URI: the DID; may be empty
	DNS          []string
	Key          *PublicKey
	NotBefore    time.Time
	NotAfter     time.Time
	EKU          []asn1.ObjectIdentifier
}

// Issue signs a leaf; the result is DER.
func (a *Authority) Issue(cfg LeafConfig) ([]byte, error) { return nil, errTODO }

// ChainPolicy says which chains hold.
type ChainPolicy struct {
	Roots []*x509.Certificate
	Now   time.Time
	EKU   []asn1.ObjectIdentifier // the leaf must carry all of them (and never anyExtendedKeyUsage); nil: not asked
}

// A Leaf is the verified end of a chain.
type Leaf struct {
	Certificate *x509.Certificate
	Key         *PublicKey
	Root        *x509.Certificate // the anchor that the chain ends in
}

// HasURI reports whether a SAN URI is exactly uri.
func (l *Leaf) HasURI(uri string) bool { return false }

// HasDNS reports whether a SAN DNS name is host (ASCII case-insensitive, no wildcards).
func (l *Leaf) HasDNS(host string) bool { return false }

// VerifyChain checks an x5c chain (DER, leaf first, without the anchor) against the roots at a time.
// Errors: ErrLimit, ErrChain.
func VerifyChain(chain [][]byte, p ChainPolicy) (*Leaf, error) { return nil, errTODO }

// X509Hash is base64url(SHA-256(DER of the leaf)): the client identifier of OpenID4VP 5.9.3.
func X509Hash(leafDER []byte) string { return "" }

// ReadPEM reads certificates; anything but CERTIFICATE blocks is refused.
func ReadPEM(data []byte) ([]*x509.Certificate, error) { return nil, errTODO }

// WritePEM writes certificates.
func WritePEM(ders ...[]byte) []byte { return nil }

var _ crypto.PublicKey
