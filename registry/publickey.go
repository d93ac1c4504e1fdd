package registry

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"

	"github.com/go-json-experiment/json"
	"github.com/mr-tron/base58"
)

// ErrKey: not a canonical COSE_Key of a kind that the chain takes, or a point off its curve.
var ErrKey = errors.New("registry: not an acceptable public key")

// A Hash is a multihash, sha2-256: 12 20 and 32 bytes.
type Hash [2 + sha256.Size]byte

// HashOf is the multihash of data.
func HashOf(data []byte) Hash { return HashOfDigest(sha256.Sum256(data)) }

// HashOfDigest makes the multihash of a digest taken before.
func HashOfDigest(digest [sha256.Size]byte) Hash {
	h := Hash{0x12, sha256.Size}
	copy(h[2:], digest[:])
	return h
}

// ParseHash refuses every multihash but sha2-256 of full length. Error: ErrMalformed.
func ParseHash(b []byte) (Hash, error) {
	if len(b) != len(Hash{}) || b[0] != 0x12 || b[1] != sha256.Size {
		return Hash{}, ErrMalformed
	}
	return Hash(b), nil
}

// Digest is the hash without its prefix.
func (h Hash) Digest() [sha256.Size]byte { return [sha256.Size]byte(h[2:]) }

// IsZero reports the absent hash.
func (h Hash) IsZero() bool { return h == Hash{} }

// String is base58btc, as in a DID.
func (h Hash) String() string { return base58.Encode(h[:]) }

// A PublicKey is a canonical COSE_Key (RFC 9052 section 7): Ed25519 or P-256.
type PublicKey []byte

// COSE algorithm numbers.
const (
	AlgES256 = -7
	AlgEdDSA = -8
)

// The only two forms, with the coordinates cut out: deterministic CBOR leaves no freedom.
var (
	ed25519Head = []byte{0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20}
	p256HeadX   = []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	p256HeadY   = []byte{0x22, 0x58, 0x20}
)

// NewPublicKey encodes an ed25519.PublicKey or a P-256 *ecdsa.PublicKey. Error: ErrKey.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	var out PublicKey
	switch k := key.(type) {
	case ed25519.PublicKey:
		out = append(append(PublicKey{}, ed25519Head...), k...)
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return nil, ErrKey
		}
		point, err := k.Bytes()
		if err != nil {
			return nil, ErrKey
		}
		out = append(append(PublicKey{}, p256HeadX...), point[1:33]...)
		out = append(append(out, p256HeadY...), point[33:]...)
	default:
		return nil, ErrKey
	}
	if _, err := out.Crypto(); err != nil {
		return nil, err
	}
	return out, nil
}

// Alg is AlgES256, AlgEdDSA, or 0 for bytes that are no key.
func (k PublicKey) Alg() int {
	switch {
	case len(k) == 42 && bytes.HasPrefix(k, ed25519Head):
		return AlgEdDSA
	case len(k) == 77 && bytes.HasPrefix(k, p256HeadX) && bytes.Equal(k[42:45], p256HeadY):
		return AlgES256
	}
	return 0
}

// Crypto is the key as the standard library has it; the point is on the curve. Error: ErrKey.
func (k PublicKey) Crypto() (crypto.PublicKey, error) {
	switch k.Alg() {
	case AlgEdDSA:
		return ed25519.PublicKey(k[10:]), nil
	case AlgES256:
		point := make([]byte, 0, 65)
		point = append(append(append(point, 4), k[10:42]...), k[45:]...)
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
		if err != nil {
			return nil, ErrKey
		}
		return key, nil
	}
	return nil, ErrKey
}

// Hash is the commitment to the key.
func (k PublicKey) Hash() Hash { return HashOf(k) }

// Verify checks a raw signature (r‖s with s ≤ n/2, or Ed25519) over message. Errors: ErrKey, ErrSignature.
func (k PublicKey) Verify(message, signature []byte) error {
	key, err := k.Crypto()
	if err != nil {
		return err
	}
	switch key := key.(type) {
	case ed25519.PublicKey:
		if len(signature) == ed25519.SignatureSize && ed25519.Verify(key, message, signature) {
			return nil
		}
	case *ecdsa.PublicKey:
		if len(signature) != 64 || !lowS(signature[32:]) {
			return ErrSignature
		}
		digest := sha256.Sum256(message)
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		if ecdsa.Verify(key, digest[:], r, s) {
			return nil
		}
	}
	return ErrSignature
}

// jwkJSON has its members in the order of RFC 7638.
type jwkJSON struct {
	Crv string `json:"crv"`
	Kty string `json:"kty"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
}

// JWK is the public JWK with the members and the order of RFC 7638. Error: ErrKey.
func (k PublicKey) JWK() ([]byte, error) {
	b64 := base64.RawURLEncoding
	switch k.Alg() {
	case AlgEdDSA:
		return []byte(`{"crv":"Ed25519","kty":"OKP","x":"` + b64.EncodeToString(k[10:]) + `"}`), nil
	case AlgES256:
		return []byte(`{"crv":"P-256","kty":"EC","x":"` + b64.EncodeToString(k[10:42]) + `","y":"` + b64.EncodeToString(k[45:]) + `"}`), nil
	}
	return nil, ErrKey
}

// ParseJWK reads a public JWK that has no members but crv, kty, x and y. Error: ErrKey.
func ParseJWK(jwk []byte) (PublicKey, error) {
	var j jwkJSON
	if err := json.Unmarshal(jwk, &j, json.RejectUnknownMembers(true)); err != nil {
		return nil, ErrKey
	}
	x, errX := base64.RawURLEncoding.Strict().DecodeString(j.X)
	y, errY := base64.RawURLEncoding.Strict().DecodeString(j.Y)
	if errX != nil || errY != nil || len(x) != 32 {
		return nil, ErrKey
	}
	var out PublicKey
	switch {
	case j.Kty == "OKP" && j.Crv == "Ed25519" && len(y) == 0:
		out = append(append(out, ed25519Head...), x...)
	case j.Kty == "EC" && j.Crv == "P-256" && len(y) == 32:
		out = append(append(append(append(out, p256HeadX...), x...), p256HeadY...), y...)
	default:
		return nil, ErrKey
	}
	if _, err := out.Crypto(); err != nil {
		return nil, err
	}
	return out, nil
}

// Multikey is the multibase form of W3C documents: z, base58btc, multicodec prefix, key (P-256 compressed). Error: ErrKey.
func (k PublicKey) Multikey() (string, error) {
	switch k.Alg() {
	case AlgEdDSA:
		return "z" + base58.Encode(append([]byte{0xed, 0x01}, k[10:]...)), nil
	case AlgES256:
		prefix := []byte{0x80, 0x24, 2 + k[len(k)-1]&1}
		return "z" + base58.Encode(append(prefix, k[10:42]...)), nil
	}
	return "", ErrKey
}
