package keys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"net/url"
	"strconv"
	"testing"
	"time"
)

var chainTime = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

const testDID = "did:dojang:kr:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	ca, err := NewRoot(RootConfig{CommonName: "Gaon Root", Organization: "Gaon-gu", PermittedDNS: []string{"localhost", "gaon.example"},
		NotBefore: chainTime.AddDate(-1, 0, 0), NotAfter: chainTime.AddDate(9, 0, 0), Key: generateKey(t, ES256)})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func leafConfig(key *PublicKey) LeafConfig {
	return LeafConfig{CommonName: "Gaon Issuer", Organization: "Gaon-gu", URI: testDID, DNS: []string{"localhost"}, Key: key,
		NotBefore: chainTime.AddDate(0, -1, 0), NotAfter: chainTime.AddDate(1, 0, 0), EKU: []asn1.ObjectIdentifier{EKUDocumentSigner}}
}

func newChain(t testing.TB) (*Authority, []byte) {
	t.Helper()
	ca := newAuthority(t)
	leaf, err := ca.Issue(leafConfig(generateKey(t, ES256).Public()))
	if err != nil {
		t.Fatal(err)
	}
	return ca, leaf
}

func chainPolicy(ca *Authority) ChainPolicy {
	return ChainPolicy{Roots: []*x509.Certificate{ca.Root()}, Now: chainTime, EKU: []asn1.ObjectIdentifier{EKUDocumentSigner}}
}

func TestIssueAndVerifyChain(t *testing.T) {
	for _, alg := range []string{ES256, EdDSA} {
		ca := newAuthority(t)
		key := generateKey(t, alg).Public()
		der, err := ca.Issue(leafConfig(key))
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := VerifyChain([][]byte{der}, chainPolicy(ca))
		if err != nil {
			t.Fatal(err)
		}
		if !leaf.Key.Equal(key) || !leaf.HasURI(testDID) || leaf.HasURI(testDID+"x") || !leaf.HasDNS("LOCALHOST") || leaf.HasDNS("Gaon Issuer") || leaf.HasDNS("") {
			t.Error("names or key of the leaf are wrong")
		}
		if !leaf.Root.Equal(ca.Root()) || leaf.Certificate.Subject.Country[0] != "KR" || ca.Root().Subject.Country[0] != "KR" {
			t.Error("root or country is wrong")
		}
		certs, err := ReadPEM(WritePEM(der, ca.Root().Raw))
		if err != nil || len(certs) != 2 || !bytes.Equal(certs[0].Raw, der) {
			t.Errorf("PEM does not come back: %v", err)
		}
	}
	for _, bad := range []string{"", "junk", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err := ReadPEM([]byte(bad))
		wantErr(t, err, ErrMalformed)
	}
	_, err := OpenAuthority(newAuthority(t).Root(), generateKey(t, ES256))
	wantErr(t, err, ErrKey)
}

// template is a leaf that holds; each case spoils one thing.
func template() *x509.Certificate {
	did, _ := url.Parse(testDID)
	return &x509.Certificate{
		Subject: pkix.Name{Country: []string{"KR"}, CommonName: "Leaf"}, NotBefore: chainTime.AddDate(0, -1, 0), NotAfter: chainTime.AddDate(1, 0, 0),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, UnknownExtKeyUsage: []asn1.ObjectIdentifier{EKUDocumentSigner},
		DNSNames: []string{"localhost"}, URIs: []*url.URL{did},
	}
}

// parent signs certificates; nil parent: self-signed.
type parent struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (p parent) sign(t testing.TB, c *x509.Certificate, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, p.cert, public, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// newParent makes an authority of any shape: under above, or self-signed.
func newParent(t testing.TB, name string, above *parent, change func(*x509.Certificate)) parent {
	t.Helper()
	key := ecKey(t)
	c := &x509.Certificate{
		Subject: pkix.Name{Country: []string{"KR"}, CommonName: name}, NotBefore: chainTime.AddDate(-1, 0, 0), NotAfter: chainTime.AddDate(2, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(c)
	}
	signer := parent{c, key}
	if above != nil {
		signer = *above
	}
	cert, err := x509.ParseCertificate(signer.sign(t, c, key.Public()))
	if err != nil {
		t.Fatal(err)
	}
	return parent{cert, key}
}

func policyFor(roots ...parent) ChainPolicy {
	p := ChainPolicy{Now: chainTime, EKU: []asn1.ObjectIdentifier{EKUDocumentSigner}}
	for _, r := range roots {
		p.Roots = append(p.Roots, r.cert)
	}
	return p
}

func TestChainRefusals(t *testing.T) {
	root := newParent(t, "Root", nil, nil)
	inter := newParent(t, "Inter", &root, nil)
	key := ecKey(t)
	pub := key.Public()
	weak := func(bits int) crypto.PublicKey {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return k.Public()
	}
	good := inter.sign(t, template(), pub)
	if _, err := VerifyChain([][]byte{good, inter.cert.Raw}, policyFor(root)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GODEBUG", "rsa1024min=0")
	leaf := func(change func(*x509.Certificate)) [][]byte {
		c := template()
		change(c)
		return [][]byte{root.sign(t, c, pub)}
	}
	expired := newParent(t, "Expired", &root, func(c *x509.Certificate) { c.NotAfter = chainTime.AddDate(0, 0, -1) })
	noCA := newParent(t, "No CA", &root, func(c *x509.Certificate) { c.IsCA = false; c.KeyUsage = x509.KeyUsageDigitalSignature })
	noSign := newParent(t, "No Sign", &root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	short := newParent(t, "Short", &root, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	below := newParent(t, "Below", &short, nil)
	self := parent{template(), key}
	for _, c := range []struct {
		name  string
		chain [][]byte
		want  error
	}{
		{"D22 self-signed leaf", [][]byte{self.sign(t, template(), pub)}, ErrChain},
		{"C06 leaf of another root", [][]byte{newParent(t, "Other", nil, nil).sign(t, template(), pub)}, ErrChain},
		{"D22 anchor in the chain", [][]byte{good, inter.cert.Raw, root.cert.Raw}, ErrChain},
		{"D22 expired intermediate", [][]byte{expired.sign(t, template(), pub), expired.cert.Raw}, ErrChain},
		{"D22 intermediate is no authority", [][]byte{noCA.sign(t, template(), pub), noCA.cert.Raw}, ErrChain},
		{"D22 intermediate may not sign certificates", [][]byte{noSign.sign(t, template(), pub), noSign.cert.Raw}, ErrChain},
		{"D22 pathLen exceeded", [][]byte{below.sign(t, template(), pub), below.cert.Raw, short.cert.Raw}, ErrChain},
		{"D22 intermediate missing", [][]byte{good}, ErrChain},
		{"D22 order reversed", [][]byte{inter.cert.Raw, good}, ErrChain},
		{"D22 certificate that is not on the path", [][]byte{root.sign(t, template(), pub), inter.cert.Raw}, ErrChain},
		{"D22 leaf as authority", leaf(func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }), ErrChain},
		{"D22 leaf may not sign", leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), ErrChain},
		{"D22 leaf without key usage", leaf(func(c *x509.Certificate) { c.KeyUsage = 0 }), ErrChain},
		{"D22 leaf expired", leaf(func(c *x509.Certificate) { c.NotAfter = chainTime.AddDate(0, 0, -1) }), ErrChain},
		{"D22 leaf not yet valid", leaf(func(c *x509.Certificate) { c.NotBefore = chainTime.AddDate(0, 0, 1) }), ErrChain},
		{"D22 RSA-1024", [][]byte{root.sign(t, template(), weak(1024))}, ErrChain},
		{"D22 RSA leaf of good size cannot verify credentials", [][]byte{root.sign(t, template(), weak(2048))}, ErrChain},
		{"D22 RSA e=3", [][]byte{root.sign(t, template(), &rsa.PublicKey{N: weak(2048).(*rsa.PublicKey).N, E: 3})}, ErrChain},
		{"D22 RSA of 16 384 bits", [][]byte{root.sign(t, template(), &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 16383), E: 65537})}, ErrChain},
		{"D22 P-224 leaf", [][]byte{root.sign(t, template(), weakCurve(t))}, ErrChain},
		{"G03 no extended key usage", leaf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = nil }), ErrChain},
		{"G03 any extended key usage", leaf(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} }), ErrChain},
		{"G03 other extended key usage", leaf(func(c *x509.Certificate) { c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{EKUReaderAuth} }), ErrChain},
		{"G01 chain of six", [][]byte{good, good, good, good, good, good}, ErrLimit},
		{"G01 101 names", leaf(func(c *x509.Certificate) { c.DNSNames = manyNames(101) }), ErrLimit},
		{"G01 10 000 names", leaf(func(c *x509.Certificate) { c.DNSNames = manyNames(10000) }), ErrLimit},
		{"G04 1 MB name", leaf(func(c *x509.Certificate) { c.Subject.CommonName = string(bytes.Repeat([]byte("x"), 1<<20)) }), ErrLimit},
		{"G04 not a certificate", [][]byte{[]byte("junk")}, ErrChain},
		{"G04 empty certificate", [][]byte{nil}, ErrChain},
		{"empty chain", nil, ErrChain},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			leaf, err := VerifyChain(c.chain, policyFor(root))
			wantErr(t, err, c.want)
			if leaf != nil {
				t.Error("an error came with a leaf")
			}
			if d := time.Since(start); d > 500*time.Millisecond {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("D22 SHA-1", func(t *testing.T) {
		for _, alg := range []x509.SignatureAlgorithm{x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.MD5WithRSA, x509.DSAWithSHA256, x509.UnknownSignatureAlgorithm} {
			wantErr(t, checkStrength(&x509.Certificate{SignatureAlgorithm: alg, PublicKey: pub}), ErrChain)
		}
	})
	t.Run("no time", func(t *testing.T) {
		p := policyFor(root)
		p.Now = time.Time{}
		_, err := VerifyChain([][]byte{good, inter.cert.Raw}, p)
		wantErr(t, err, ErrChain)
	})
	t.Run("G04 CN is never a name", func(t *testing.T) {
		l, err := VerifyChain(leaf(func(c *x509.Certificate) { c.DNSNames = nil; c.Subject.CommonName = "localhost" }), policyFor(root))
		if err != nil || l.HasDNS("localhost") {
			t.Errorf("CN taken as host: %v", err)
		}
	})
	t.Run("G05 hash over the leaf's DER and nothing else", func(t *testing.T) {
		sum := sha256.Sum256(good)
		if X509Hash(good) != EncodeBase64URL(sum[:]) {
			t.Error("not base64url(SHA-256(DER))")
		}
		for _, other := range []string{X509Hash(WritePEM(good)), X509Hash(inter.cert.Raw), hex.EncodeToString(sum[:])} {
			if other == X509Hash(good) {
				t.Error("another form gives the same hash")
			}
		}
	})
}

func weakCurve(t testing.TB) crypto.PublicKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

func manyNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "h" + strconv.Itoa(i) + ".localhost"
	}
	return out
}

func TestNameConstraints(t *testing.T) {
	root := newParent(t, "Root", nil, func(c *x509.Certificate) {
		c.PermittedDNSDomainsCritical = true
		c.PermittedDNSDomains, c.ExcludedDNSDomains = []string{"gaon.example", "localhost"}, []string{"secret.gaon.example"}
	})
	uris := newParent(t, "URI Root", nil, func(c *x509.Certificate) { c.PermittedURIDomains = []string{"gaon.example"} })
	pub := ecKey(t).Public()
	for _, c := range []struct {
		name string
		root parent
		dns  []string
		uri  string
		ok   bool
	}{
		{"permitted", root, []string{"a.gaon.example"}, testDID, true},
		{"G02 other host", root, []string{"gaon.example.attacker.example"}, testDID, false},
		{"G02 excluded", root, []string{"x.secret.gaon.example"}, testDID, false},
		{"G02 excluded in capitals", root, []string{"X.SECRET.GAON.example"}, testDID, false},
		{"G02 wildcard over the excluded", root, []string{"*.gaon.example.attacker.example"}, testDID, false},
		{"G02 wildcard over an excluded subtree", root, []string{"*.secret.gaon.example"}, testDID, false},
		{"G02 IPv6 zone in a URI", root, []string{"a.gaon.example"}, "https://[fe80::1%25gaon.example]/", false},
		{"G02 DID under URI constraints", uris, []string{"a.gaon.example"}, testDID, false},
		{"URI inside the URI constraints", uris, []string{"a.gaon.example"}, "https://gaon.example/x", true},
		{"G02 URI outside of the URI constraints", uris, []string{"a.gaon.example"}, "https://attacker.example/x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			leaf := template()
			u, err := url.Parse(c.uri)
			if err != nil {
				t.Fatal(err)
			}
			leaf.DNSNames, leaf.URIs = c.dns, []*url.URL{u}
			_, err = VerifyChain([][]byte{c.root.sign(t, leaf, pub)}, policyFor(c.root))
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantErr(t, err, ErrChain)
		})
	}
	t.Run("issuing outside of the constraints", func(t *testing.T) {
		ca := newAuthority(t)
		cfg := leafConfig(generateKey(t, ES256).Public())
		cfg.DNS = []string{"attacker.example"}
		_, err := ca.Issue(cfg)
		wantErr(t, err, ErrChain)
		cfg = leafConfig(generateKey(t, ES256).Public())
		cfg.NotAfter = ca.Root().NotAfter.AddDate(1, 0, 0)
		_, err = ca.Issue(cfg)
		wantErr(t, err, ErrChain)
	})
}

// TestForeignGo: a verifier built on the standard library takes an issuer's chain, a DID as SAN URI included. It would not
// below a name-constrained root; see RootConfig.PermittedDNS.
func TestForeignGo(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	from, until := now.Add(-time.Hour), now.Add(time.Hour)
	rootKey, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	leafKey, err := Generate(ES256)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := NewRoot(RootConfig{CommonName: "Gaon Root", Organization: "Gaon-gu", NotBefore: from, NotAfter: until, Key: rootKey})
	if err != nil {
		t.Fatal(err)
	}
	der, err := ca.Issue(LeafConfig{CommonName: "Gaon", URI: "did:dojang:demo:abc", DNS: []string{"localhost"}, Key: leafKey.Public(), NotBefore: from, NotAfter: until})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Root())
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	if _, err := VerifyChain([][]byte{der}, ChainPolicy{Roots: []*x509.Certificate{ca.Root()}, Now: time.Now()}); err != nil {
		t.Error(err)
	}
}
