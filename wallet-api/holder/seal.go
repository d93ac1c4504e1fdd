package holder

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/dojang-id/dojang/internal/keys"
)

// A sealer keeps what lies in the database unreadable without the wallet's secret. The place of a value (table, column,
// row) is bound to it, so that sealed values cannot change places.
type sealer struct {
	aead   cipher.AEAD
	names  []byte // key of blind
	random io.Reader
}

func newSealer(secret []byte, random io.Reader) (sealer, error) {
	if len(secret) != 32 {
		return sealer{}, errors.New("holder: the secret has 32 bytes")
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "dojang wallet "+purpose, 32)
	}
	key, err := derive("values")
	if err != nil {
		return sealer{}, err
	}
	names, err := derive("names")
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealer{aead, names, random}, err
}

// place names where a sealed value lies.
func place(column, row string, n int) string { return fmt.Sprintf("%s\x00%s\x00%d", column, row, n) }

func (s sealer) seal(at string, plain []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, err
	}
	return s.aead.Seal(nonce, nonce, plain, []byte(at)), nil
}

func (s sealer) open(at string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("holder: a sealed value is too short")
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(at))
	if err != nil {
		return nil, errors.New("holder: a sealed value was made with another secret, changed or moved")
	}
	return plain, nil
}

// blind makes a name comparable and unreadable: who has seen a copy is nobody's business.
func (s sealer) blind(name string) []byte {
	mac := hmac.New(sha256.New, s.names)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// A deviceKey is the key of one copy.
type deviceKey struct {
	keys.Signer
	private []byte // PKCS #8
}

func (h *Holder) newKey() (deviceKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), h.cfg.Random)
	if err != nil {
		return deviceKey{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return deviceKey{}, err
	}
	signer, err := keys.NewSigner(key)
	return deviceKey{signer, private}, err
}

func openKey(private []byte) (keys.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("holder: read a device key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("holder: a device key is of another kind")
	}
	return keys.NewSigner(key)
}

// newID is 128 random bits.
func (h *Holder) newID() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(h.cfg.Random, b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
