package keys

import "crypto"

// A PublicKey is a parsed, checked and immutable verification key: P-256 (on the curve) or Ed25519.
type PublicKey struct {
	alg   string
	key   crypto.PublicKey
	jwk   []byte
	thumb [32]byte
}

// ParseJWK reads one public JWK (RFC 7517, RFC 8037). It refuses private members, duplicate members, other key types
// and curves, coordinates of another length or off the curve, and an alg or use that contradicts the key.
func ParseJWK(data []byte) (*PublicKey, error) { return nil, errTODO }

// NewPublicKey wraps an *ecdsa.PublicKey on P-256 or an ed25519.PublicKey.
func NewPublicKey(key crypto.PublicKey) (*PublicKey, error) { return nil, errTODO }

// Alg is ES256 or EdDSA.
func (k *PublicKey) Alg() string { return k.alg }

// JWK is the canonical JSON of RFC 7638: required members only, lexicographic order. The caller must not change it.
func (k *PublicKey) JWK() []byte { return k.jwk }

// Thumbprint is the base64url SHA-256 of JWK (RFC 7638), 43 characters.
func (k *PublicKey) Thumbprint() string { return "" }

// ThumbprintBytes is the SHA-256 itself, as the mdoc handover wants it.
func (k *PublicKey) ThumbprintBytes() [32]byte { return k.thumb }

// Crypto is the key as the standard library knows it.
func (k *PublicKey) Crypto() crypto.PublicKey { return k.key }

// Equal reports whether both are the same key.
func (k *PublicKey) Equal(other *PublicKey) bool { return other != nil && k.thumb == other.thumb }

// Verify checks a JOSE signature (ES256: r‖s of 32 bytes each; EdDSA: 64 bytes). The error is ErrSignature.
func (k *PublicKey) Verify(message, signature []byte) error { return errTODO }
