package verifier

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// A sealer encrypts what must not lie readable in SQL: AES-256-GCM, random nonce in front, bound to tenant, id and kind.
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) (*sealer, error) {
	if len(key) != 32 {
		return nil, errors.New("verifier: SealKey is not 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("verifier: open seal key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("verifier: open seal key: %w", err)
	}
	return &sealer{aead: aead}, nil
}

// place is where a sealed text belongs; it cannot be opened anywhere else.
type place struct{ tenant, id, kind string }

func (p place) bytes() []byte { return []byte(p.kind + "\x00" + p.tenant + "\x00" + p.id) }

func (s *sealer) seal(at place, plain []byte) []byte { return s.aead.Seal(nil, nil, plain, at.bytes()) }

func (s *sealer) open(at place, sealed []byte) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, at.bytes())
	if err != nil {
		return nil, errors.New("verifier: sealed text does not open")
	}
	return plain, nil
}
