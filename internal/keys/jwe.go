package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
)

// The content encryptions of HAIP. Key management is ECDH-ES on P-256, nothing else.
const (
	A128GCM = "A128GCM"
	A256GCM = "A256GCM"
	ECDHES  = "ECDH-ES"
)

const (
	defaultMaxJWE = 1 << 20
	maxJWEHeader  = 8 << 10
	maxPartyInfo  = 512 // bytes of apu, apv
)

// An EncryptionKey is a private P-256 key for ECDH-ES, usually of one transaction.
type EncryptionKey struct {
	kid   string
	key   *ecdsa.PrivateKey
	point []byte
}

// NewEphemeral makes an encryption key with that kid (1 to 256 bytes).
func NewEphemeral(kid string) (*EncryptionKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate encryption key: %w", err)
	}
	return newEncryptionKey(kid, key)
}

func newEncryptionKey(kid string, key *ecdsa.PrivateKey) (*EncryptionKey, error) {
	if kid == "" || len(kid) > maxKid {
		return nil, fmt.Errorf("%w: kid", ErrLimit)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: encryption key", ErrKey)
	}
	return &EncryptionKey{kid: kid, key: key, point: point}, nil
}

// ParseEncryptionKey reads what Private wrote.
func ParseEncryptionKey(private []byte) (*EncryptionKey, error) {
	f, err := readJWK(private)
	if err != nil {
		return nil, err
	}
	d, err := DecodeBase64URL(f.d)
	if err != nil || f.kty != "EC" || f.crv != "P-256" || f.alg != ECDHES {
		return nil, fmt.Errorf("%w: not a private encryption key", ErrKey)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, fmt.Errorf("%w: not a private encryption key", ErrKey)
	}
	k, err := newEncryptionKey(f.kid, key)
	if err != nil {
		return nil, err
	}
	if point, err := f.point(); err != nil || !bytes.Equal(point, k.point) {
		return nil, fmt.Errorf("%w: private and public part differ", ErrKey)
	}
	return k, nil
}

// Kid of the key.
func (k *EncryptionKey) Kid() string { return k.kid }

// JWK is the public JWK as published: kty, crv, x, y, kid, use=enc, alg=ECDH-ES.
func (k *EncryptionKey) JWK() []byte { return appendEncJWK(k.point, k.kid, nil) }

// Private is the private JWK for an encrypted or transaction-bound store.
func (k *EncryptionKey) Private() ([]byte, error) {
	d, err := k.key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("write encryption key: %w", err)
	}
	return appendEncJWK(k.point, k.kid, d), nil
}

func appendEncJWK(point []byte, kid string, d []byte) []byte {
	b := canonicalEC(point)
	b = append(b[:len(b)-1], `,"use":"enc","alg":"ECDH-ES"`...)
	if kid != "" {
		b = append(b, `,"kid":`...)
		if q, err := jsontext.AppendQuote(b, kid); err == nil {
			b = q
		} else {
			b = append(b, `""`...)
		}
	}
	if d != nil {
		b = append(append(append(b, `,"d":"`...), EncodeBase64URL(d)...), '"')
	}
	return append(b, '}')
}

// Thumbprint is the RFC 7638 SHA-256 of the public key (the mdoc handover binds it).
func (k *EncryptionKey) Thumbprint() [32]byte { return sha256.Sum256(canonicalEC(k.point)) }

// Recipient is the public part, to encrypt to oneself.
func (k *EncryptionKey) Recipient() *Recipient {
	return &Recipient{kid: k.kid, key: &k.key.PublicKey, point: k.point}
}

// A Recipient is a public encryption key of someone else.
type Recipient struct {
	kid   string
	key   *ecdsa.PublicKey
	point []byte
}

// ParseRecipient reads a public P-256 JWK with alg ECDH-ES; use, if present, must be enc (VP 8.3: alg comes from the JWK).
func ParseRecipient(data []byte) (*Recipient, error) {
	f, err := readJWK(data)
	if err != nil {
		return nil, err
	}
	return f.recipient()
}

func (f jwkFields) recipient() (*Recipient, error) {
	if f.private {
		return nil, fmt.Errorf("%w: private or symmetric members", ErrKey)
	}
	if f.alg != ECDHES {
		return nil, fmt.Errorf("%w: encryption keys need alg ECDH-ES", ErrAlg)
	}
	if f.kty != "EC" || f.crv != "P-256" || (f.use != "" && f.use != "enc") {
		return nil, fmt.Errorf("%w: not a P-256 encryption key", ErrKey)
	}
	point, err := f.point()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: not a point of P-256", ErrKey)
	}
	return &Recipient{kid: f.kid, key: key, point: point}, nil
}

// Kid of the JWK, "" when it had none.
func (r *Recipient) Kid() string { return r.kid }

// JWK is the public JWK: kty, crv, x, y, use, alg, kid.
func (r *Recipient) JWK() []byte { return appendEncJWK(r.point, r.kid, nil) }

// Thumbprint is the RFC 7638 SHA-256 of the key.
func (r *Recipient) Thumbprint() [32]byte { return sha256.Sum256(canonicalEC(r.point)) }

// Encryption says how to encrypt.
type Encryption struct {
	To       *Recipient
	Enc      string // A128GCM or A256GCM
	APU, APV []byte // raw bytes, at most 512; nil: absent
	Typ, Cty string // header members, "" for none
}

// Encrypt makes a compact JWE (RFC 7516) with ECDH-ES. Errors: ErrAlg, ErrKey, ErrLimit.
func Encrypt(payload []byte, e Encryption) (string, error) {
	if e.Enc != A128GCM && e.Enc != A256GCM {
		return "", fmt.Errorf("%w: enc", ErrAlg)
	}
	if e.To == nil {
		return "", fmt.Errorf("%w: no recipient", ErrKey)
	}
	if len(e.APU) > maxPartyInfo || len(e.APV) > maxPartyInfo {
		return "", fmt.Errorf("%w: apu, apv", ErrLimit)
	}
	// apu and apv as protected headers would be left out of the key derivation: nobody could decrypt.
	h := jwe.NewHeaders()
	members := []struct {
		name  string
		value any
		there bool
	}{
		{jwe.KeyIDKey, e.To.kid, e.To.kid != ""}, {jwe.TypeKey, e.Typ, e.Typ != ""}, {jwe.ContentTypeKey, e.Cty, e.Cty != ""},
		{jwe.AgreementPartyUInfoKey, e.APU, e.APU != nil}, {jwe.AgreementPartyVInfoKey, e.APV, e.APV != nil},
	}
	for _, m := range members {
		if !m.there {
			continue
		}
		if err := h.Set(m.name, m.value); err != nil {
			return "", fmt.Errorf("%w: header %s", ErrMalformed, m.name)
		}
	}
	out, err := jwe.Encrypt(payload,
		jwe.WithKey(jwa.ECDH_ES, e.To.key, jwe.WithPerRecipientHeaders(h)),
		jwe.WithContentEncryption(jwa.ContentEncryptionAlgorithm(e.Enc)),
		jwe.WithCompress(jwa.NoCompress))
	if err != nil {
		return "", fmt.Errorf("encrypt: %w", err)
	}
	return string(out), nil
}

// ExpectJWE says what a place accepts. Zero limits mean the defaults.
type ExpectJWE struct {
	Encs     []string // exact; nil: A128GCM and A256GCM
	MaxBytes int      // of the compact text; 0: 1 MiB
}

// A JWEHeader is what the recipient may need besides the payload.
type JWEHeader struct {
	Kid, Enc, Typ, Cty string
	APU, APV           []byte
}

// Decrypt opens a compact JWE that was made for key: alg is ECDH-ES, kid is the key's, enc is expected, no zip.
// Every refusal is ErrDecrypt (no oracle, THREATS A19), except ErrLimit for size, which is known before any key is used.
func Decrypt[T ~string | ~[]byte](key *EncryptionKey, compact T, e ExpectJWE) ([]byte, JWEHeader, error) {
	limit := e.MaxBytes
	if limit == 0 {
		limit = defaultMaxJWE
	}
	if len(compact) > limit {
		return nil, JWEHeader{}, fmt.Errorf("%w: JWE", ErrLimit)
	}
	text := []byte(compact)
	h, err := readJWEHeader(text)
	if err != nil || key == nil || !h.fits(key, e) || !jweShape(text) {
		return nil, JWEHeader{}, ErrDecrypt
	}
	payload, err := jwe.Decrypt(text, jwe.WithKey(jwa.ECDH_ES, key.key), jwe.WithMaxDecompressBufferSize(1))
	if err != nil {
		return nil, JWEHeader{}, ErrDecrypt
	}
	return payload, h.JWEHeader, nil
}

// PeekKid reads the kid of a JWE to find the key of its transaction: a hint, as long as nothing is decrypted.
// Error: ErrDecrypt.
func PeekKid[T ~string | ~[]byte](compact T) (string, error) {
	h, err := readJWEHeader([]byte(compact))
	if err != nil || h.Kid == "" {
		return "", ErrDecrypt
	}
	return h.Kid, nil
}

type jweHeader struct {
	JWEHeader
	alg string
	epk bool
}

func (h jweHeader) fits(key *EncryptionKey, e ExpectJWE) bool {
	encOK := h.Enc == A128GCM || h.Enc == A256GCM
	if e.Encs != nil {
		encOK = encOK && slices.Contains(e.Encs, h.Enc)
	}
	return encOK && h.alg == ECDHES && h.epk && h.Kid == key.kid
}

func readJWEHeader(text []byte) (jweHeader, error) {
	var h jweHeader
	first := bytes.IndexByte(text, '.')
	if first <= 0 || first > maxJWEHeader {
		return h, errJSON
	}
	data, err := AppendBase64URL(nil, text[:first])
	if err != nil {
		return h, err
	}
	return h, scanObject(data, h.member)
}

func (h *jweHeader) member(name string, dec *jsontext.Decoder) (err error) {
	switch name {
	case "alg":
		h.alg, err = readString(dec, 32)
	case "enc":
		h.Enc, err = readString(dec, 32)
	case "kid":
		h.Kid, err = readString(dec, maxKid)
	case "typ":
		h.Typ, err = readString(dec, 128)
	case "cty":
		h.Cty, err = readString(dec, 128)
	case "apu":
		h.APU, err = readPartyInfo(dec)
	case "apv":
		h.APV, err = readPartyInfo(dec)
	case "epk":
		err = h.readEPK(dec)
	case "zip", "crit", "jku", "x5u", "jwk", "x5c", "x5t", "x5t#S256", "b64", "p2c", "p2s":
		err = fmt.Errorf("%w: a header member that is never accepted", ErrMalformed)
	default:
		err = skip(dec)
	}
	return err
}

func readPartyInfo(dec *jsontext.Decoder) ([]byte, error) {
	s, err := readString(dec, base64.RawURLEncoding.EncodedLen(maxPartyInfo))
	if err != nil {
		return nil, err
	}
	return DecodeBase64URL(s)
}

// readEPK insists on a public point on P-256 before the library sees it (A20).
func (h *jweHeader) readEPK(dec *jsontext.Decoder) error {
	v, err := dec.ReadValue()
	if err != nil {
		return errJSON
	}
	f, err := readJWK(v)
	if err != nil {
		return err
	}
	if f.private || f.kty != "EC" || f.crv != "P-256" {
		return fmt.Errorf("%w: epk", ErrKey)
	}
	point, err := f.point()
	if err != nil {
		return err
	}
	if _, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point); err != nil {
		return fmt.Errorf("%w: epk", ErrKey)
	}
	h.epk = true
	return nil
}

// jweShape: five parts, no encrypted key (direct agreement), 96-bit IV, 128-bit tag, one spelling each.
func jweShape(text []byte) bool {
	if bytes.Count(text, []byte{'.'}) != 4 {
		return false
	}
	parts := bytes.SplitN(text, []byte{'.'}, 5)
	if len(parts[1]) != 0 {
		return false
	}
	iv, err := AppendBase64URL(nil, parts[2])
	if err != nil || len(iv) != 12 {
		return false
	}
	if _, err = AppendBase64URL(nil, parts[3]); err != nil {
		return false
	}
	tag, err := AppendBase64URL(nil, parts[4])
	return err == nil && len(tag) == 16
}
