package rfc3161

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1"
	_ "crypto/sha256" // the digests of tokens
	_ "crypto/sha512"
	"crypto/x509"
	encoding "encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

var (
	oidSHA256 = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = encoding.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}

	oidSignedData    = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidTSTInfo       = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidContentType   = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningCert   = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	oidSigningCertV2 = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}

	oidRSA     = encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidEd25519 = encoding.ObjectIdentifier{1, 3, 101, 112}
	oidEKU     = encoding.ObjectIdentifier{2, 5, 29, 37}
)

// signatureHashes are the signature algorithms that name their hash.
var signatureHashes = []struct {
	oid  encoding.ObjectIdentifier
	hash crypto.Hash
	rsa  bool
}{
	{encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, crypto.SHA256, true},
	{encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}, crypto.SHA384, true},
	{encoding.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}, crypto.SHA512, true},
	{encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, crypto.SHA256, false},
	{encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, crypto.SHA384, false},
	{encoding.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}, crypto.SHA512, false},
}

func hashOf(oid encoding.ObjectIdentifier) (crypto.Hash, bool) {
	switch {
	case oid.Equal(oidSHA256):
		return crypto.SHA256, true
	case oid.Equal(oidSHA384):
		return crypto.SHA384, true
	case oid.Equal(oidSHA512):
		return crypto.SHA512, true
	}
	return 0, false
}

// An Expect is what a token is checked against.
type Expect struct {
	Digest [32]byte
	Nonce  *big.Int       // of the request; nil: not compared (a stored token)
	Roots  *x509.CertPool // whom the caller believes
	Now    time.Time
}

// A Stamp is what a token proves: the digest existed at Time, give or take Accuracy.
type Stamp struct {
	Time      time.Time
	Accuracy  time.Duration
	Serial    *big.Int
	Authority string // subject of the authority's certificate
}

// drift is how far the authority's clock may be ahead of the reader's.
const drift = time.Minute

// Check verifies a token. The certificate must have been valid at the time of the stamp, not today: that is what a stamp is for.
// Errors: ErrMalformed, ErrImprint, ErrNonce, ErrSignature, ErrCertificate, ErrTime.
func Check(token []byte, e Expect) (Stamp, error) {
	if len(token) > MaxReply {
		return Stamp{}, ErrMalformed
	}
	t, err := parseToken(token)
	if err != nil {
		return Stamp{}, err
	}
	info, err := parseInfo(t.content)
	if err != nil {
		return Stamp{}, err
	}
	switch {
	case !bytes.Equal(info.digest, e.Digest[:]):
		return Stamp{}, ErrImprint
	case e.Nonce != nil && (info.nonce == nil || info.nonce.Cmp(e.Nonce) != 0):
		return Stamp{}, ErrNonce
	case info.time.After(e.Now.Add(drift)):
		return Stamp{}, fmt.Errorf("%w: in the future", ErrTime)
	}
	cert, err := t.certificate(e.Roots, info.time)
	if err != nil {
		return Stamp{}, err
	}
	if err := t.verify(cert); err != nil {
		return Stamp{}, err
	}
	return Stamp{Time: info.time, Accuracy: info.accuracy, Serial: info.serial, Authority: cert.Subject.String()}, nil
}

// A token is a parsed SignedData (RFC 5652 section 5); nothing in it is verified.
type token struct {
	content      []byte // the TSTInfo
	certificates []*x509.Certificate
	issuer       []byte // of the signer's certificate
	serial       *big.Int
	keyID        []byte // instead of the two
	digest       crypto.Hash
	algorithm    encoding.ObjectIdentifier
	attributes   cryptobyte.String // content of the signed attributes
	signature    []byte
}

// ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER, content [0] EXPLICIT SignedData }
// SignedData ::= SEQUENCE { version, digestAlgorithms SET, encapContentInfo SEQUENCE { OID, [0] EXPLICIT OCTET STRING },
//	certificates [0] IMPLICIT OPTIONAL, crls [1] IMPLICIT OPTIONAL, signerInfos SET OF SignerInfo }

func parseToken(der []byte) (*token, error) {
	var outer, explicit, data, encap, octets, infos, signer cryptobyte.String
	var kind, contentKind encoding.ObjectIdentifier
	t := &token{serial: new(big.Int)}
	in := cryptobyte.String(der)
	tag0, tag1 := asn1.Tag(0).ContextSpecific().Constructed(), asn1.Tag(1).ContextSpecific().Constructed()
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !in.Empty() || !outer.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSignedData) ||
		!outer.ReadASN1(&explicit, tag0) || !outer.Empty() || !explicit.ReadASN1(&data, asn1.SEQUENCE) || !explicit.Empty() ||
		!data.SkipASN1(asn1.INTEGER) || !data.SkipASN1(asn1.SET) || !data.ReadASN1(&encap, asn1.SEQUENCE) ||
		!encap.ReadASN1ObjectIdentifier(&contentKind) || !contentKind.Equal(oidTSTInfo) ||
		!encap.ReadASN1(&octets, tag0) || !encap.Empty() || !octets.ReadASN1Bytes(&t.content, asn1.OCTET_STRING) || !octets.Empty() {
		return nil, ErrMalformed
	}
	var certificates cryptobyte.String
	if !data.ReadOptionalASN1(&certificates, nil, tag0) || data.PeekASN1Tag(tag1) && !data.SkipASN1(tag1) ||
		!data.ReadASN1(&infos, asn1.SET) || !data.Empty() || !infos.ReadASN1(&signer, asn1.SEQUENCE) || !infos.Empty() {
		return nil, ErrMalformed
	}
	if err := t.readCertificates(certificates); err != nil {
		return nil, err
	}
	return t, t.readSigner(signer)
}

const maxCertificates = 10

func (t *token) readCertificates(in cryptobyte.String) error {
	for !in.Empty() {
		var der cryptobyte.String
		if len(t.certificates) == maxCertificates || !in.ReadASN1Element(&der, asn1.SEQUENCE) {
			return ErrMalformed
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCertificate, err)
		}
		t.certificates = append(t.certificates, cert)
	}
	if len(t.certificates) == 0 {
		return fmt.Errorf("%w: none in the answer", ErrCertificate)
	}
	return nil
}

// SignerInfo ::= SEQUENCE { version, sid, digestAlgorithm, signedAttrs [0] IMPLICIT, signatureAlgorithm, signature OCTET STRING,
//	unsignedAttrs [1] IMPLICIT OPTIONAL }

func (t *token) readSigner(in cryptobyte.String) error {
	var id, issuer, digest, algorithm cryptobyte.String
	tag1 := asn1.Tag(1).ContextSpecific().Constructed()
	if !in.SkipASN1(asn1.INTEGER) {
		return ErrMalformed
	}
	if in.PeekASN1Tag(asn1.SEQUENCE) {
		if !in.ReadASN1(&id, asn1.SEQUENCE) || !id.ReadASN1Element(&issuer, asn1.SEQUENCE) || !id.ReadASN1Integer(t.serial) || !id.Empty() {
			return ErrMalformed
		}
		t.issuer = issuer
	} else if !in.ReadASN1Bytes(&t.keyID, asn1.Tag(0).ContextSpecific()) || len(t.keyID) == 0 {
		return ErrMalformed
	}
	if !in.ReadASN1(&digest, asn1.SEQUENCE) || !in.ReadASN1(&t.attributes, asn1.Tag(0).ContextSpecific().Constructed()) ||
		!in.ReadASN1(&algorithm, asn1.SEQUENCE) || !in.ReadASN1Bytes(&t.signature, asn1.OCTET_STRING) ||
		in.PeekASN1Tag(tag1) && !in.SkipASN1(tag1) || !in.Empty() {
		return ErrMalformed
	}
	oid, err := parseAlgorithm(digest)
	if err != nil {
		return err
	}
	var ok bool
	if t.digest, ok = hashOf(oid); !ok {
		return fmt.Errorf("%w: digest algorithm", ErrSignature)
	}
	t.algorithm, err = parseAlgorithm(algorithm)
	return err
}

// parseAlgorithm takes an AlgorithmIdentifier without parameters, or with NULL.
func parseAlgorithm(in cryptobyte.String) (encoding.ObjectIdentifier, error) {
	var oid encoding.ObjectIdentifier
	if !in.ReadASN1ObjectIdentifier(&oid) || !in.Empty() && (!in.SkipASN1(asn1.NULL) || !in.Empty()) {
		return nil, ErrMalformed
	}
	return oid, nil
}

// certificate is the signer's: for time stamps and nothing else, and chained to a root that the caller believes, at that time.
func (t *token) certificate(roots *x509.CertPool, at time.Time) (*x509.Certificate, error) {
	var own *x509.Certificate
	between := x509.NewCertPool()
	for _, c := range t.certificates {
		if bytes.Equal(c.RawIssuer, t.issuer) && c.SerialNumber.Cmp(t.serial) == 0 || t.keyID != nil && bytes.Equal(c.SubjectKeyId, t.keyID) {
			own = c
		} else {
			between.AddCert(c)
		}
	}
	if own == nil || roots == nil {
		return nil, fmt.Errorf("%w: the signer's is not in the answer", ErrCertificate)
	}
	if len(own.ExtKeyUsage) != 1 || own.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping || len(own.UnknownExtKeyUsage) != 0 || !criticalEKU(own) || own.IsCA {
		return nil, fmt.Errorf("%w: not a certificate for time stamps only", ErrCertificate)
	}
	if _, err := own.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return own, nil
}

// criticalEKU: RFC 3161 section 2.3.
func criticalEKU(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(oidEKU) {
			return e.Critical
		}
	}
	return false
}

// verify checks that the attributes are of this content and this certificate, and the signature over them.
func (t *token) verify(cert *x509.Certificate) error {
	values, err := t.attributeValues()
	if err != nil {
		return err
	}
	var kind encoding.ObjectIdentifier
	var digest []byte
	k, d := cryptobyte.String(values[oidContentType.String()]), cryptobyte.String(values[oidMessageDigest.String()])
	if !k.ReadASN1ObjectIdentifier(&kind) || !k.Empty() || !kind.Equal(oidTSTInfo) || !d.ReadASN1Bytes(&digest, asn1.OCTET_STRING) || !d.Empty() {
		return fmt.Errorf("%w: signed attributes", ErrSignature)
	}
	h := t.digest.New()
	h.Write(t.content)
	if !bytes.Equal(digest, h.Sum(nil)) {
		return fmt.Errorf("%w: of another content", ErrSignature)
	}
	if !namesCertificate(values, cert) {
		return fmt.Errorf("%w: made for another certificate", ErrSignature)
	}
	var set cryptobyte.Builder
	set.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(t.attributes) })
	signed, err := set.Bytes()
	if err != nil {
		return ErrMalformed
	}
	return t.verifySignature(cert, signed)
}

// attributeValues are the single values of the signed attributes, by OID; none may stand there twice.
func (t *token) attributeValues() (map[string][]byte, error) {
	values := map[string][]byte{}
	for in := t.attributes; !in.Empty(); {
		var attribute, set, value cryptobyte.String
		var oid encoding.ObjectIdentifier
		var tag asn1.Tag
		if !in.ReadASN1(&attribute, asn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) || !attribute.ReadASN1(&set, asn1.SET) ||
			!attribute.Empty() || !set.ReadAnyASN1Element(&value, &tag) || !set.Empty() || values[oid.String()] != nil {
			return nil, ErrMalformed
		}
		values[oid.String()] = value
	}
	return values, nil
}

// SigningCertificateV2 ::= SEQUENCE { certs SEQUENCE OF ESSCertIDv2, … }
// ESSCertIDv2 ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier DEFAULT sha256, certHash OCTET STRING, issuerSerial OPTIONAL }
// SigningCertificate the same with SHA-1 and without the algorithm.

// namesCertificate: the first ESSCertID is the signer's (RFC 5816), so that nobody can exchange the certificate.
func namesCertificate(values map[string][]byte, cert *x509.Certificate) bool {
	raw, v2 := values[oidSigningCertV2.String()]
	if !v2 {
		raw = values[oidSigningCert.String()]
	}
	var outer, list, id cryptobyte.String
	in := cryptobyte.String(raw)
	if !in.ReadASN1(&outer, asn1.SEQUENCE) || !outer.ReadASN1(&list, asn1.SEQUENCE) || !list.ReadASN1(&id, asn1.SEQUENCE) {
		return false
	}
	hash := crypto.SHA256
	if v2 && id.PeekASN1Tag(asn1.SEQUENCE) {
		var algorithm cryptobyte.String
		if !id.ReadASN1(&algorithm, asn1.SEQUENCE) {
			return false
		}
		oid, err := parseAlgorithm(algorithm)
		known := false
		if hash, known = hashOf(oid); err != nil || !known {
			return false
		}
	}
	var digest []byte
	if !id.ReadASN1Bytes(&digest, asn1.OCTET_STRING) {
		return false
	}
	if !v2 {
		sum := sha1.Sum(cert.Raw) // names the certificate; what is signed is hashed with SHA-2
		return bytes.Equal(digest, sum[:])
	}
	h := hash.New()
	h.Write(cert.Raw)
	return bytes.Equal(digest, h.Sum(nil))
}

const minRSA = 2048

func (t *token) verifySignature(cert *x509.Certificate, signed []byte) error {
	hash, isRSA := t.digest, t.algorithm.Equal(oidRSA)
	known := isRSA
	for _, a := range signatureHashes {
		if a.oid.Equal(t.algorithm) {
			hash, isRSA, known = a.hash, a.rsa, true
		}
	}
	if key, ok := cert.PublicKey.(ed25519.PublicKey); ok && t.algorithm.Equal(oidEd25519) {
		if !ed25519.Verify(key, signed, t.signature) {
			return ErrSignature
		}
		return nil
	}
	if !known {
		return fmt.Errorf("%w: algorithm", ErrSignature)
	}
	h := hash.New()
	h.Write(signed)
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		if isRSA && key.N.BitLen() >= minRSA && rsa.VerifyPKCS1v15(key, hash, h.Sum(nil), t.signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if !isRSA && ecdsa.VerifyASN1(key, h.Sum(nil), t.signature) {
			return nil
		}
	}
	return ErrSignature
}
