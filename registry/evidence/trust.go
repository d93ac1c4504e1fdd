package evidence

import (
	"errors"
	"time"
)

var errTODO = errors.New("evidence: not yet")

// A Trust is where checking starts: a chain, and a header with its validators that the reader trusts for a period.
type Trust struct {
	Number         uint64 // of the bundle, in a chain of bundles
	Network        string
	ChainID        string
	Development    bool // one validator, no witness: production profiles refuse it
	Height         uint64
	Hash           [32]byte
	Time           time.Time // of that header
	Expires        time.Time // of the file
	TrustingPeriod time.Duration
	Validators     ValidatorSet
}

// ParseTrust reads a trust file strictly (README.md, "Trust file").
func ParseTrust(file []byte) (Trust, error) { return Trust{}, errTODO }

// Marshal is the trust file.
func (t Trust) Marshal() ([]byte, error) { return nil, errTODO }

// A HeaderCache remembers header hashes whose signatures were verified before, so that Evidence under the same header
// costs no signature. Implementations are safe for concurrent use; evidence.Headers is one.
type HeaderCache interface {
	Known(height uint64, hash [32]byte) bool
	Add(height uint64, hash [32]byte)
}
