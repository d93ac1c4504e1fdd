package statuslist

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrInvalid: no statement about a status can be made (section 8.3). Every refusal of this package wraps it,
// except ErrUnavailable.
var ErrInvalid = errors.New("statuslist: no statement can be made")

// What was wrong, one sentinel a check. All wrap ErrInvalid.
var (
	ErrMalformed = fmt.Errorf("%w: malformed", ErrInvalid)
	ErrLimit     = fmt.Errorf("%w: larger than allowed", ErrInvalid)
	ErrBits      = fmt.Errorf("%w: bits is not 1, 2, 4 or 8, or the length does not fill bytes", ErrInvalid)
	ErrIndex     = fmt.Errorf("%w: index outside of the list", ErrInvalid)
	ErrType      = fmt.Errorf("%w: not a status list token", ErrInvalid)
	ErrSignature = fmt.Errorf("%w: signature does not hold", ErrInvalid)
	ErrSubject   = fmt.Errorf("%w: token speaks about another list", ErrInvalid)
	ErrTime      = fmt.Errorf("%w: token expired, not yet issued, or without bounds", ErrInvalid)
	ErrRollback  = fmt.Errorf("%w: older than what was seen before", ErrInvalid)
	ErrProof     = fmt.Errorf("%w: Merkle proof does not hold", ErrInvalid)
	ErrImproved  = fmt.Errorf("%w: an entry is better than allowed", ErrInvalid)
	ErrStatus    = fmt.Errorf("%w: value does not fit the list's bits", ErrInvalid)
)

// ErrUnavailable: nothing young enough at hand and nothing could be loaded. Hold, never accept.
var ErrUnavailable = errors.New("statuslist: no list available")

// A Status is one entry's value.
type Status byte

// The values we issue. 3 is application specific (section 7.1); its meaning is fixed per type in schemas, and for
// anybody else it means "not valid", like every value not named here.
const (
	Valid        Status = 0
	Revoked      Status = 1
	Suspended    Status = 2
	NeedsRenewal Status = 3
)

// IsValid is true for 0 alone.
func (s Status) IsValid() bool { return s == Valid }

// String names the value; unregistered ones read "not valid (0x0b)".
func (s Status) String() string {
	switch s {
	case Valid:
		return "valid"
	case Revoked:
		return "revoked"
	case Suspended:
		return "suspended"
	case NeedsRenewal:
		return "needs renewal"
	default:
		return "not valid (0x" + strconv.FormatUint(uint64(s)|0x100, 16)[1:] + ")"
	}
}
