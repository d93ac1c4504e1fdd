package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
)

// A Signer signs messages with one key. Implementations are safe for concurrent use.
// Sign returns a JOSE signature: r‖s for ES256, the 64 bytes of Ed25519.
type Signer interface {
	Public() *PublicKey
	Sign(message []byte) ([]byte, error)
}

// signer is a Signer over any crypto.Signer.
type signer struct {
	key    crypto.Signer
	public *PublicKey
}

// NewSigner makes a Signer of any crypto.Signer with a P-256 or Ed25519 key: software, PKCS#11, KMS. Error: ErrKey.
func NewSigner(key crypto.Signer) (Signer, error) {
	if key == nil {
		return nil, fmt.Errorf("%w: no key", ErrKey)
	}
	public, err := NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &signer{key: key, public: public}, nil
}

// Generate makes a software key for alg (ES256 or EdDSA) that lives in memory only. Error: ErrAlg.
func Generate(alg string) (Signer, error) {
	key, err := generate(alg)
	if err != nil {
		return nil, err
	}
	return NewSigner(key)
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("%w: cannot generate", ErrAlg)
}

func (s *signer) Public() *PublicKey { return s.public }

func (s *signer) Sign(message []byte) ([]byte, error) {
	if s.public.ed != nil {
		sig, err := s.key.Sign(rand.Reader, message, crypto.Hash(0))
		if err != nil {
			return nil, fmt.Errorf("sign: %w", err)
		}
		return sig, nil
	}
	return s.signHashed(sha256.Sum256(message))
}

// signHashed makes a deterministic signature (RFC 6979, FIPS 186-5 section 6.3.2) with a key in memory: no randomness that
// could fail, and a fifth less work than a hedged one. Who can inject faults needs the same message signed twice; where
// that can happen, Checked lets no faulty signature out.
func (s *signer) signHashed(digest [sha256.Size]byte) ([]byte, error) {
	random := rand.Reader
	if _, ok := s.key.(*ecdsa.PrivateKey); ok {
		random = nil
	}
	der, err := s.key.Sign(random, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return fromDER(der)
}

// SignHashed signs a message whose SHA-256 is known already and, with ES256, is all that is signed.
func SignHashed(s Signer, message []byte, digest [sha256.Size]byte) ([]byte, error) {
	switch s := s.(type) {
	case *signer:
		if s.public.ec != nil {
			return s.signHashed(digest)
		}
	case checked:
		sig, err := SignHashed(s.inner, message, digest)
		if err != nil {
			return nil, err
		}
		return s.check(message, sig)
	}
	return s.Sign(message)
}

var errDER = fmt.Errorf("%w: signer returned no ECDSA signature", ErrSignature)

// fromDER turns SEQUENCE { INTEGER r, INTEGER s } into r‖s.
func fromDER(der []byte) ([]byte, error) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, errDER
	}
	out := make([]byte, 64)
	rest := der[2:]
	for i := range 2 {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, errDER
		}
		x := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(x):]
		for len(x) > 0 && x[0] == 0 {
			x = x[1:]
		}
		if len(x) > 32 {
			return nil, errDER
		}
		copy(out[32*(i+1)-len(x):], x)
	}
	if len(rest) != 0 {
		return nil, errDER
	}
	return out, nil
}

// Checked verifies every signature after it was made and before anyone sees it: a fault in an HSM or in memory
// must not leave the house as a signature.
func Checked(s Signer) Signer { return checked{s} }

type checked struct{ inner Signer }

func (c checked) Public() *PublicKey { return c.inner.Public() }

func (c checked) Sign(message []byte) ([]byte, error) {
	sig, err := c.inner.Sign(message)
	if err != nil {
		return nil, err
	}
	return c.check(message, sig)
}

// check verifies against the message itself: a digest that is not the message's is found as well.
func (c checked) check(message, sig []byte) ([]byte, error) {
	if err := c.Public().Verify(message, sig); err != nil {
		return nil, fmt.Errorf("verify after signing: %w", err)
	}
	return sig, nil
}

// CryptoSigner gives the standard library's view of a Signer made by NewSigner, Generate or a Store (for certificates
// and COSE); ErrKey when s has none.
func CryptoSigner(s Signer) (crypto.Signer, error) {
	switch s := s.(type) {
	case *signer:
		return s.key, nil
	case checked:
		return CryptoSigner(s.inner)
	}
	return nil, fmt.Errorf("%w: not a crypto.Signer", ErrKey)
}
