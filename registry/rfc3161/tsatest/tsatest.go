// Package tsatest is a small time stamp authority for tests, honest or lying. Use New, and Handler or Reply.
package tsatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	encoding "encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Config of an authority; the zero value is an honest one.
type Config struct {
	Now func() time.Time
	// Certificate bends the authority's certificate before its root signs it.
	Certificate func(*x509.Certificate)
	// Lie changes what is about to be signed.
	Lie func(*Answer)
	// Status other than 0 is a refusal.
	Status int64
	// Signer signs instead of the key of the certificate; nil: that key.
	Signer crypto.Signer
}

// An Answer is what the authority signs.
type Answer struct {
	Digest []byte
	Nonce  *big.Int
	Time   time.Time
}

// An Authority stamps.
type Authority struct {
	Root *x509.Certificate
	Cert *x509.Certificate

	cfg Config
	key *ecdsa.PrivateKey
}

// New makes an authority with a root of its own, valid from a day before Now for ten years.
func New(t testing.TB, cfg Config) *Authority {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	rootKey, key := newKey(t), newKey(t)
	from := cfg.Now().Add(-24 * time.Hour)
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Stamp Root"}, NotBefore: from,
		NotAfter: from.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	eku, err := encoding.Marshal([]encoding.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "Test Stamp Authority"}, NotBefore: from,
		NotAfter: from.AddDate(5, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: encoding.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}}
	if cfg.Certificate != nil {
		cfg.Certificate(leaf)
	}
	a := &Authority{cfg: cfg, key: key, Root: certify(t, root, root, rootKey, rootKey)}
	a.Cert = certify(t, leaf, a.Root, key, rootKey)
	return a
}

// Key is a key that belongs to no certificate.
func Key(t testing.TB) crypto.Signer { return newKey(t) }

// Roots to believe.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root)
	return pool
}

// Handler answers over HTTP.
func (a *Authority) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err == nil && r.Header.Get("Content-Type") != "application/timestamp-query" {
			err = errors.New("not a query")
		}
		var reply []byte
		if err == nil {
			reply, err = a.Reply(query)
		}
		if err != nil {
			http.Error(w, "bad query", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(reply)
	})
}

// Reply answers a query.
func (a *Authority) Reply(query []byte) ([]byte, error) {
	var outer, imprint cryptobyte.String
	in := cryptobyte.String(query)
	answer := Answer{Nonce: new(big.Int), Time: a.cfg.Now().UTC()}
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !outer.SkipASN1(asn1.INTEGER) || !outer.ReadASN1(&imprint, asn1.SEQUENCE) ||
		!imprint.SkipASN1(asn1.SEQUENCE) || !imprint.ReadASN1Bytes(&answer.Digest, asn1.OCTET_STRING) || !outer.ReadASN1Integer(answer.Nonce) {
		return nil, errors.New("malformed query")
	}
	if a.cfg.Lie != nil {
		a.cfg.Lie(&answer)
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(a.cfg.Status) })
		if a.cfg.Status == 0 {
			a.token(b, answer)
		}
	})
	return b.Bytes()
}

var (
	context0 = asn1.Tag(0).ContextSpecific().Constructed()
	sha256ID = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	infoID   = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// token is a SignedData over the TSTInfo.
func (a *Authority) token(b *cryptobyte.Builder, answer Answer) {
	info, err := a.info(answer)
	if err != nil {
		b.SetError(err)
		return
	}
	attributes, signature, err := a.sign(info)
	if err != nil {
		b.SetError(err)
		return
	}
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
		b.AddASN1(context0, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(3)
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { algorithm(b, sha256ID) })
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(infoID)
					b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(info) })
				})
				b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(a.Cert.Raw) })
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { a.signer(b, attributes, signature) })
			})
		})
	})
}

func (a *Authority) signer(b *cryptobyte.Builder, attributes, signature []byte) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(a.Cert.RawIssuer)
			b.AddASN1BigInt(a.Cert.SerialNumber)
		})
		algorithm(b, sha256ID)
		b.AddASN1(context0, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
		algorithm(b, encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
		b.AddASN1OctetString(signature)
	})
}

func algorithm(b *cryptobyte.Builder, oid encoding.ObjectIdentifier) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
}

func (a *Authority) info(answer Answer) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(encoding.ObjectIdentifier{1, 2, 3, 4})
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			algorithm(b, sha256ID)
			b.AddASN1OctetString(answer.Digest)
		})
		b.AddASN1Int64(99)
		b.AddASN1GeneralizedTime(answer.Time.Truncate(time.Second))
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1Int64WithTag(500, asn1.Tag(0).ContextSpecific())
		})
		if answer.Nonce != nil {
			b.AddASN1BigInt(answer.Nonce)
		}
	})
	return b.Bytes()
}

// sign makes the signed attributes, in the order of their DER, and the signature over them as a SET.
func (a *Authority) sign(info []byte) (attributes, signature []byte, err error) {
	sum, cert := sha256.Sum256(info), sha256.Sum256(a.Cert.Raw)
	var list cryptobyte.Builder
	attribute(&list, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(infoID) })
	attribute(&list, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}, func(b *cryptobyte.Builder) { b.AddASN1OctetString(sum[:]) })
	attribute(&list, encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(cert[:]) })
			})
		})
	})
	if attributes, err = list.Bytes(); err != nil {
		return nil, nil, err
	}
	var set cryptobyte.Builder
	set.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
	signed, err := set.Bytes()
	if err != nil {
		return nil, nil, err
	}
	digest := sha256.Sum256(signed)
	var signer crypto.Signer = a.key
	if a.cfg.Signer != nil {
		signer = a.cfg.Signer
	}
	signature, err = signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	return attributes, signature, err
}

func attribute(b *cryptobyte.Builder, oid encoding.ObjectIdentifier, value func(*cryptobyte.Builder)) {
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { value(b) })
	})
}

func certify(t testing.TB, c, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	must(t, err)
	out, err := x509.ParseCertificate(der)
	must(t, err)
	return out
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
