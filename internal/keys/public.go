package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// A PublicKey is a parsed, checked and immutable verification key: P-256 (on the curve) or Ed25519.
type PublicKey struct {
	alg   string
	ec    *ecdsa.PublicKey
	ed    ed25519.PublicKey
	jwk   []byte
	thumb [32]byte
}

// NewPublicKey wraps an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey. Error: ErrKey.
func NewPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return nil, fmt.Errorf("%w: not on P-256", ErrKey)
		}
		point, err := k.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: not a point of P-256", ErrKey)
		}
		return newP256(point)
	case ed25519.PublicKey:
		return newEd25519(k)
	}
	return nil, fmt.Errorf("%w: neither P-256 nor Ed25519", ErrKey)
}

// newP256 takes 0x04 ‖ x ‖ y and checks that the point is on the curve and not the identity.
func newP256(point []byte) (*PublicKey, error) {
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, fmt.Errorf("%w: not a point of P-256", ErrKey)
	}
	return (&PublicKey{alg: ES256, ec: k}).withJWK(canonicalEC(point)), nil
}

func newEd25519(key []byte) (*PublicKey, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: Ed25519 keys have 32 bytes", ErrKey)
	}
	if smallOrder(key) {
		return nil, fmt.Errorf("%w: Ed25519 point of small order", ErrKey)
	}
	b := append([]byte(`{"crv":"Ed25519","kty":"OKP","x":"`), base64.RawURLEncoding.EncodeToString(key)...)
	return (&PublicKey{alg: EdDSA, ed: append(ed25519.PublicKey(nil), key...)}).withJWK(append(b, `"}`...)), nil
}

// The text of RFC 7638 section 3.2 around the coordinates of a P-256 key.
const (
	canonicalX   = `{"crv":"P-256","kty":"EC","x":"`
	canonicalY   = `","y":"`
	canonicalEnd = `"}`
)

func canonicalEC(point []byte) []byte {
	b := make([]byte, 0, 128)
	b = append(b, canonicalX...)
	b = AppendEncodeURL(b, point[1:33])
	b = append(b, canonicalY...)
	b = AppendEncodeURL(b, point[33:])
	return append(b, canonicalEnd...)
}

func (k *PublicKey) withJWK(jwk []byte) *PublicKey {
	k.jwk, k.thumb = jwk, sha256.Sum256(jwk)
	return k
}

// smallOrder knows the y coordinates (sign bit cleared) of points of order 1, 2, 4 and 8, with their non-canonical
// spellings: under such a key one signature fits many messages.
func smallOrder(key []byte) bool {
	y := [32]byte(key)
	y[31] &= 0x7f
	switch hex.EncodeToString(y[:]) {
	case "0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f":
		return true
	}
	return false
}

// Alg is ES256 or EdDSA.
func (k *PublicKey) Alg() string { return k.alg }

// JWK is the canonical JSON of RFC 7638: required members only, lexicographic order. The caller must not change it.
func (k *PublicKey) JWK() []byte { return k.jwk }

// Thumbprint is the base64url SHA-256 of JWK (RFC 7638), 43 characters.
func (k *PublicKey) Thumbprint() string { return EncodeBase64URL(k.thumb[:]) }

// ThumbprintBytes is the SHA-256 itself, as the mdoc handover wants it.
func (k *PublicKey) ThumbprintBytes() [32]byte { return k.thumb }

// Crypto is the key as the standard library knows it.
func (k *PublicKey) Crypto() crypto.PublicKey {
	if k.ec != nil {
		return k.ec
	}
	return k.ed
}

// Equal reports whether both are the same key.
func (k *PublicKey) Equal(other *PublicKey) bool { return other != nil && k.thumb == other.thumb }

// Verify checks a JOSE signature (ES256: r‖s of 32 bytes each; EdDSA: 64 bytes). The error is ErrSignature.
func (k *PublicKey) Verify(message, signature []byte) error {
	if len(signature) != 64 {
		return ErrSignature
	}
	if k.ec == nil {
		if !ed25519.Verify(k.ed, message, signature) {
			return ErrSignature
		}
		return nil
	}
	return k.verifyHashed(sha256.Sum256(message), signature)
}

// VerifyHashed is Verify of a message whose SHA-256 is known already.
func (k *PublicKey) VerifyHashed(message []byte, digest [sha256.Size]byte, signature []byte) error {
	if k.ec == nil || len(signature) != 64 {
		return k.Verify(message, signature)
	}
	return k.verifyHashed(digest, signature)
}

func (k *PublicKey) verifyHashed(digest [sha256.Size]byte, signature []byte) error {
	var buf [72]byte
	if !ecdsa.VerifyASN1(k.ec, digest[:], appendDER(buf[:0], signature)) {
		return ErrSignature
	}
	return nil
}

// appendDER writes SEQUENCE { INTEGER r, INTEGER s } of a 64-byte r‖s; range checks are the verifier's.
func appendDER(b, rs []byte) []byte {
	b = append(b, 0x30, 0)
	b = appendInteger(b, rs[:32])
	b = appendInteger(b, rs[32:])
	b[1] = byte(len(b) - 2)
	return b
}

func appendInteger(b, x []byte) []byte {
	for len(x) > 1 && x[0] == 0 {
		x = x[1:]
	}
	b = append(b, 0x02, byte(len(x)))
	if x[0]&0x80 != 0 {
		b[len(b)-1]++
		b = append(b, 0)
	}
	return append(b, x...)
}
