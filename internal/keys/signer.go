package keys

import "crypto"

// A Signer signs messages with one key. Implementations are safe for concurrent use.
// Sign returns a JOSE signature: r‖s for ES256, the 64 bytes of Ed25519.
type Signer interface {
	Public() *PublicKey
	Sign(message []byte) ([]byte, error)
}

// NewSigner makes a Signer of any crypto.Signer with a P-256 or Ed25519 key: software, PKCS#11, KMS.
func NewSigner(key crypto.Signer) (Signer, error) { return nil, errTODO }

// Generate makes a software key for alg (ES256 or EdDSA) that lives in memory only.
func Generate(alg string) (Signer, error) { return nil, errTODO }

// Checked verifies every signature after it was made and before anyone sees it: a fault in an HSM or in memory
// must not leave the house as a signature.
func Checked(s Signer) Signer { return s }

// CryptoSigner gives the standard library's view of a Signer made by NewSigner, Generate or a Store (for certificates
// and COSE); ErrKey when s has none.
func CryptoSigner(s Signer) (crypto.Signer, error) { return nil, errTODO }
