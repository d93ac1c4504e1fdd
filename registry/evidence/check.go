package evidence

import (
	"time"
)

// A Checker checks Evidence. The zero value of everything but Trust is good.
type Checker struct {
	Trust   Trust
	Headers HeaderCache // nil: every signature is verified every time
	MaxSize int         // 0: MaxSize
}

// Check returns the facts of an Evidence, or an error that wraps registry.ErrUntrusted (a proof, signature, hash,
// height or time does not hold), registry.ErrMalformed, or registry.ErrLimit. Facts refer to the bytes given:
// these must not be changed afterwards.
func (c Checker) Check(evidence []byte, now time.Time) (*Facts, error) { return nil, errTODO }
