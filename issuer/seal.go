package issuer

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb/seal"
)

// secrets are the keys derived from Config.Secret; each has one use.
type secrets struct {
	values *seal.Sealer
	tx     []byte // MACs of transaction codes
}

func newSecrets(secret []byte, random io.Reader) (*secrets, error) {
	values, err := seal.New(secret, "dojang issuer seal v1", random)
	if err != nil {
		return nil, fmt.Errorf("issuer: open Secret: %w", err)
	}
	tx, err := hkdf.Key(sha256.New, secret, nil, "dojang issuer tx_code v1", 32)
	if err != nil {
		return nil, err
	}
	return &secrets{values: values, tx: tx}, nil
}

// seal encrypts for one place: place is authenticated, so that a row cannot be moved to another.
func (s *secrets) seal(plain []byte, place string) ([]byte, error) {
	return s.values.Seal(place, plain)
}

func (s *secrets) open(sealed []byte, place string) ([]byte, error) {
	return s.values.Open(place, sealed)
}

// txMAC is what is stored of a transaction code: six digits need a key, a hash would be guessed.
func (s *secrets) txMAC(credential, code string) []byte { return mac(s.tx, credential, code) }

// mac is HMAC-SHA-256 over length-prefixed parts.
func mac(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// stampLen is the length of a time before random bytes.
const stampLen = 6

// stamp writes milliseconds since 1970 into the first 6 bytes of b, which has 8 at least.
func stamp(b []byte, now time.Time) { binary.BigEndian.PutUint64(b, uint64(now.UnixMilli())<<16) }

// orderedID is an id of 16 bytes: the time in milliseconds, then 80 random bits. The time keeps what is made together
// together in an index; ids name things inside of the house, they open nothing. Two ids of a billion are alike with
// a chance below 10^-6 even if all were made in one millisecond, and then a primary key refuses the second.
func orderedID(random io.Reader, now time.Time) (string, error) {
	var b [16]byte
	stamp(b[:], now)
	if _, err := io.ReadFull(random, b[stampLen:]); err != nil {
		return "", fmt.Errorf("draw id: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b[:]), nil
}

// token draws n random bytes as base64url.
func token(random io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("draw token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
