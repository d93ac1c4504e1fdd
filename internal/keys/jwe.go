package keys

// The content encryptions of HAIP. Key management is ECDH-ES on P-256, nothing else.
const (
	A128GCM = "A128GCM"
	A256GCM = "A256GCM"
	ECDHES  = "ECDH-ES"
)

// An EncryptionKey is a private P-256 key for ECDH-ES, usually of one transaction.
type EncryptionKey struct{}

// NewEphemeral makes an encryption key with that kid.
func NewEphemeral(kid string) (*EncryptionKey, error) { return nil, errTODO }

// ParseEncryptionKey reads what Private wrote.
func ParseEncryptionKey(private []byte) (*EncryptionKey, error) { return nil, errTODO }

// Private is the private JWK for an encrypted or transaction-bound store.
func (k *EncryptionKey) Private() []byte { return nil }

// JWK is the public JWK as published: kty, crv, x, y, kid, use=enc, alg=ECDH-ES.
func (k *EncryptionKey) JWK() []byte { return nil }

// Thumbprint is the RFC 7638 SHA-256 of the public key (the mdoc handover binds it).
func (k *EncryptionKey) Thumbprint() [32]byte { return [32]byte{} }

// A Recipient is a public encryption key of someone else.
type Recipient struct{}

// ParseRecipient reads a public JWK with alg ECDH-ES; use, if present, must be enc.
func ParseRecipient(jwk []byte) (*Recipient, error) { return nil, errTODO }

// Kid of the JWK, "" when it had none.
func (r *Recipient) Kid() string { return "" }

// Thumbprint is the RFC 7638 SHA-256 of the key.
func (r *Recipient) Thumbprint() [32]byte { return [32]byte{} }

// Encryption says how to encrypt.
type Encryption struct {
	To       *Recipient
	Enc      string // A128GCM or A256GCM
	APU, APV []byte // raw bytes; nil: absent
	Typ      string // header typ, "" for none
	Cty      string
}

// Encrypt makes a compact JWE.
func Encrypt(payload []byte, e Encryption) (string, error) { return "", errTODO }

// ExpectJWE says what a place accepts. Zero limits mean the defaults.
type ExpectJWE struct {
	Encs     []string // exact; nil: A128GCM and A256GCM
	MaxBytes int      // of the compact text; 0: 1 MiB
}

// A JWEHeader is what the recipient may need besides the payload.
type JWEHeader struct {
	Kid, Enc string
	APU, APV []byte
}

// Decrypt opens a compact JWE that was made for key: alg is ECDH-ES, kid is the key's, enc is expected, no zip.
// Every refusal is ErrDecrypt, except ErrLimit for size.
func Decrypt[T ~string | ~[]byte](key *EncryptionKey, compact T, e ExpectJWE) ([]byte, JWEHeader, error) {
	return nil, JWEHeader{}, errTODO
}

// PeekKid reads the kid of a JWE to find the key of its transaction. A hint, as long as nothing is decrypted.
func PeekKid[T ~string | ~[]byte](compact T) (string, error) { return "", errTODO }
