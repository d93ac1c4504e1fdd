package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"
)

const maxSANs = 100

// ChainPolicy says which chains hold.
type ChainPolicy struct {
	Roots []*x509.Certificate
	Now   time.Time
	EKU   []asn1.ObjectIdentifier // the leaf must carry all of them; nil: not asked. anyExtendedKeyUsage never holds.
}

// A Leaf is the verified end of a chain.
type Leaf struct {
	Certificate *x509.Certificate
	Key         *PublicKey
	Root        *x509.Certificate // the anchor that the chain ends in
}

// HasURI reports whether a SAN URI is exactly uri.
func (l *Leaf) HasURI(uri string) bool {
	for _, u := range l.Certificate.URIs {
		if u.String() == uri {
			return true
		}
	}
	return false
}

// HasDNS reports whether a SAN DNS name is host (ASCII case-insensitive; wildcards never match; CN is no name, G04).
func (l *Leaf) HasDNS(host string) bool {
	for _, name := range l.Certificate.DNSNames {
		if host != "" && strings.EqualFold(name, host) && !strings.Contains(name, "*") {
			return true
		}
	}
	return false
}

// VerifyChain checks an x5c chain (DER, leaf first, each signed by the next, without the anchor) at a time
// (THREATS D22, C06, G01 to G05). Cheap checks first; at most 5 signatures. Errors: ErrLimit, ErrChain.
func VerifyChain(chain [][]byte, p ChainPolicy) (*Leaf, error) {
	if len(chain) == 0 || p.Now.IsZero() || len(p.Roots) == 0 {
		return nil, fmt.Errorf("%w: no chain, no roots or no time", ErrChain)
	}
	if len(chain) > maxChain {
		return nil, fmt.Errorf("%w: chain", ErrLimit)
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		c, err := parseLink(der, i == 0)
		if err != nil {
			return nil, err
		}
		certs[i] = c
	}
	if err := checkLeaf(certs[0], p.EKU); err != nil {
		return nil, err
	}
	root, err := verifyPath(certs, p)
	if err != nil {
		return nil, err
	}
	key, err := NewPublicKey(certs[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: leaf key", ErrChain)
	}
	return &Leaf{Certificate: certs[0], Key: key, Root: root}, nil
}

// parseLink parses one certificate of a chain and refuses what no place of a chain may have.
func parseLink(der []byte, leaf bool) (*x509.Certificate, error) {
	if len(der) > maxCert {
		return nil, fmt.Errorf("%w: certificate", ErrLimit)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a certificate", ErrChain)
	}
	if len(c.DNSNames)+len(c.URIs)+len(c.IPAddresses)+len(c.EmailAddresses) > maxSANs {
		return nil, fmt.Errorf("%w: alternative names", ErrLimit)
	}
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil, fmt.Errorf("%w: a self-issued certificate in the chain", ErrChain)
	}
	if !leaf && (!c.IsCA || !c.BasicConstraintsValid || c.KeyUsage&x509.KeyUsageCertSign == 0) {
		return nil, fmt.Errorf("%w: an intermediate may not sign certificates", ErrChain)
	}
	return c, checkStrength(c)
}

// checkStrength refuses weak or costly keys and signatures (SHA-1, RSA outside 2048 to 4096 bits or with e != 65537).
func checkStrength(c *x509.Certificate) error {
	switch c.SignatureAlgorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
	default:
		return fmt.Errorf("%w: signature algorithm", ErrChain)
	}
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return fmt.Errorf("%w: weak curve", ErrChain)
		}
	case ed25519.PublicKey:
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > 4096 || k.E != 65537 {
			return fmt.Errorf("%w: RSA key size or exponent", ErrChain)
		}
	default:
		return fmt.Errorf("%w: key type", ErrChain)
	}
	return nil
}

// checkLeaf: an end entity that may sign, with the asked usages spelled out (G03: also when the verifier library would be lenient).
func checkLeaf(c *x509.Certificate, eku []asn1.ObjectIdentifier) error {
	if c.IsCA || c.KeyUsage&x509.KeyUsageCertSign != 0 {
		return fmt.Errorf("%w: leaf is an authority", ErrChain)
	}
	if c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: leaf may not sign", ErrChain)
	}
	has, err := extendedUsages(c)
	if err != nil {
		return err
	}
	for _, want := range eku {
		found := false
		for _, oid := range has {
			found = found || oid.Equal(want)
		}
		if !found {
			return fmt.Errorf("%w: extended key usage", ErrChain)
		}
	}
	return nil
}

var (
	oidExtKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidAnyExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37, 0}
)

// extendedUsages reads the extension itself; anyExtendedKeyUsage is refused.
func extendedUsages(c *x509.Certificate) ([]asn1.ObjectIdentifier, error) {
	for _, ext := range c.Extensions {
		if !ext.Id.Equal(oidExtKeyUsage) {
			continue
		}
		var oids []asn1.ObjectIdentifier
		if rest, err := asn1.Unmarshal(ext.Value, &oids); err != nil || len(rest) != 0 {
			return nil, fmt.Errorf("%w: extended key usage", ErrChain)
		}
		for _, oid := range oids {
			if oid.Equal(oidAnyExtKeyUsage) {
				return nil, fmt.Errorf("%w: any extended key usage", ErrChain)
			}
		}
		return oids, nil
	}
	return nil, nil
}

// verifyPath runs the standard library's path validation and insists on the order that was sent.
func verifyPath(certs []*x509.Certificate, p ChainPolicy) (*x509.Certificate, error) {
	roots, inter := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range p.Roots {
		for _, c := range certs {
			if bytes.Equal(c.Raw, r.Raw) || (bytes.Equal(c.RawSubject, r.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, r.RawSubjectPublicKeyInfo)) {
				return nil, fmt.Errorf("%w: the anchor is in the chain", ErrChain)
			}
		}
		if err := checkStrength(r); err != nil {
			return nil, err
		}
		roots.AddCert(r)
	}
	for _, c := range certs[1:] {
		inter.AddCert(c)
	}
	leaf, err := withoutHostless(certs, p.Roots)
	if err != nil {
		return nil, err
	}
	paths, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: inter, CurrentTime: p.Now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, // usages of the leaf are checked by checkLeaf
	})
	if err != nil {
		return nil, fmt.Errorf("%w: path", ErrChain)
	}
	for _, path := range paths {
		if len(path) != len(certs)+1 {
			continue
		}
		same := true
		for i, c := range certs {
			same = same && bytes.Equal(path[i].Raw, c.Raw)
		}
		if same {
			return path[len(path)-1], nil
		}
	}
	return nil, fmt.Errorf("%w: not one ordered path", ErrChain)
}

// withoutHostless copies the leaf without the SAN URIs that have no host: a DID is one, and since Go 1.26 the standard
// library refuses such a name under any name constraint, whatever its type. RFC 5280 4.2.1.10 restricts URIs only
// where URI constraints stand; there a URI without a host must fail, and does so here.
func withoutHostless(certs, roots []*x509.Certificate) (*x509.Certificate, error) {
	leaf := *certs[0]
	leaf.URIs = nil
	for _, u := range certs[0].URIs {
		if u.Host != "" {
			leaf.URIs = append(leaf.URIs, u)
		}
	}
	if len(leaf.URIs) == len(certs[0].URIs) {
		return certs[0], nil
	}
	for _, c := range slices.Concat(certs, roots) {
		if len(c.PermittedURIDomains)+len(c.ExcludedURIDomains) > 0 {
			return nil, fmt.Errorf("%w: a URI without a host under URI constraints", ErrChain)
		}
	}
	return &leaf, nil
}

// X509Hash is base64url(SHA-256(DER of the leaf)): the client identifier of OpenID4VP 5.9.3.
func X509Hash(leafDER []byte) string {
	h := sha256.Sum256(leafDER)
	return EncodeBase64URL(h[:])
}

// ReadPEM reads certificates; anything but CERTIFICATE blocks and white space is refused.
func ReadPEM(data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		if !bytes.HasPrefix(rest, []byte("-----BEGIN CERTIFICATE-----")) {
			return nil, fmt.Errorf("%w: PEM", ErrMalformed)
		}
		block, next := pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" || len(block.Headers) != 0 {
			return nil, fmt.Errorf("%w: PEM", ErrMalformed)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate in PEM", ErrMalformed)
		}
		out, rest = append(out, c), next
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: no certificate in PEM", ErrMalformed)
	}
	return out, nil
}

// WritePEM writes certificates.
func WritePEM(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}
