package verifier

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/dojang-id/dojang/internal/sqldb/seal"
)

// A sealer holds what is derived from SealKey: the seal of what must not lie readable in SQL, bound to tenant, id and
// kind, and the key that makes states of nonces.
type sealer struct {
	values *seal.Sealer
	states []byte
}

func newSealer(key []byte, random io.Reader) (*sealer, error) {
	values, err := seal.New(key, "dojang verifier values v1", random)
	if err != nil {
		return nil, fmt.Errorf("verifier: open SealKey: %w", err)
	}
	states, err := hkdf.Key(sha256.New, key, nil, "dojang verifier states v1", 32)
	if err != nil {
		return nil, fmt.Errorf("verifier: derive state key: %w", err)
	}
	return &sealer{values: values, states: states}, nil
}

// place is where a sealed text belongs; it cannot be opened anywhere else.
type place struct{ tenant, id, kind string }

func (p place) String() string { return p.kind + "\x00" + p.tenant + "\x00" + p.id }

func (s *sealer) seal(at place, plain []byte) ([]byte, error) {
	return s.values.Seal(at.String(), plain)
}

func (s *sealer) open(at place, sealed []byte) ([]byte, error) {
	return s.values.Open(at.String(), sealed)
}

// stateOf is the state of the request that has this nonce: its time, and 128 bits that nobody else can tell from random
// ones. Nonces from before names had a time have states without one.
func (s *sealer) stateOf(tenant, nonce string) string {
	m := hmac.New(sha256.New, s.states)
	m.Write([]byte(tenant + "\x00" + nonce))
	state := base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nameLen) {
		return state
	}
	return nonce[:8] + state // six bytes are eight characters
}
