package holder

import (
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
	"github.com/dojang-id/dojang/internal/sqldb/seal"
)

// A sealer keeps what lies in the database unreadable without the wallet's secret. The place of a value (table, column,
// row) is bound to it, so that sealed values cannot change places.
type sealer struct {
	values *seal.Sealer
	names  []byte // key of blind
}

func newSealer(secret []byte, random io.Reader) (sealer, error) {
	values, err := seal.New(secret, "dojang wallet values v1", random)
	if err != nil {
		return sealer{}, fmt.Errorf("holder: open the secret: %w", err)
	}
	names, err := hkdf.Key(sha256.New, secret, nil, "dojang wallet names", 32)
	return sealer{values, names}, err
}

// place names where a sealed value lies.
func place(column, row string, n int) string { return fmt.Sprintf("%s\x00%s\x00%d", column, row, n) }

func (s sealer) seal(at string, plain []byte) ([]byte, error) { return s.values.Seal(at, plain) }

func (s sealer) open(at string, sealed []byte) ([]byte, error) {
	plain, err := s.values.Open(at, sealed)
	if err != nil {
		return nil, fmt.Errorf("holder: a value was made with another secret, changed or moved: %w", err)
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
