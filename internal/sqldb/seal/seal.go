// Package seal encrypts what must not lie readable in a database. Use New, then Seal and Open.
//
// Trusted: the secret, which is kept outside of the database, and the source of randomness. A sealed value is
//
//	0x01 ‖ salt (16 random bytes) ‖ nonce (12 random bytes) ‖ AES-256-GCM(key, nonce, plain, place)
//	key = HMAC-SHA256(HKDF-SHA256(secret, purpose), salt)
//
// Each value has a key of its own: random GCM nonces under one key are good for 2^32 values (NIST SP 800-38D 8.3), and a
// national issuer gets there; with a salt the bound is 2^64. place is authenticated, so that a value cannot be moved
// to another row or column.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

const (
	version   = 1
	saltSize  = 16
	nonceSize = 12
	headSize  = 1 + saltSize + nonceSize
)

// ErrSealed: the value was made with another secret, changed or moved.
var ErrSealed = errors.New("seal: sealed value does not open")

// A Sealer seals with keys derived from one secret for one purpose. Safe for concurrent use.
type Sealer struct {
	key    []byte
	random io.Reader
}

// New takes a secret of 32 bytes; purpose separates it from other uses of the same secret. random must be safe for
// concurrent use.
func New(secret []byte, purpose string, random io.Reader) (*Sealer, error) {
	if len(secret) != 32 || purpose == "" || random == nil {
		return nil, errors.New("seal: a secret of 32 bytes, a purpose and a source of randomness are needed")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("seal: derive key: %w", err)
	}
	return &Sealer{key: key, random: random}, nil
}

// Seal encrypts plain for one place.
func (s *Sealer) Seal(place string, plain []byte) ([]byte, error) {
	out := make([]byte, headSize, headSize+len(plain)+16)
	out[0] = version
	if _, err := io.ReadFull(s.random, out[1:]); err != nil {
		return nil, fmt.Errorf("seal: draw salt: %w", err)
	}
	aead, err := s.aead(out[1 : 1+saltSize])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, out[1+saltSize:headSize], plain, []byte(place)), nil
}

// Open decrypts what Seal made for this place. Error: ErrSealed.
func (s *Sealer) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) < headSize || sealed[0] != version {
		return nil, ErrSealed
	}
	aead, err := s.aead(sealed[1 : 1+saltSize])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[1+saltSize:headSize], sealed[headSize:], []byte(place))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func (s *Sealer) aead(salt []byte) (cipher.AEAD, error) {
	m := hmac.New(sha256.New, s.key)
	m.Write(salt)
	block, err := aes.NewCipher(m.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return cipher.NewGCM(block)
}
