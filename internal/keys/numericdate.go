package keys

import (
	"fmt"
	"strconv"
	"time"
)

// maxNumericDate is the last second of the year 9999; beyond it time.Time cannot be written as RFC 3339.
const maxNumericDate = 253402300799

// ParseNumericDate reads the raw JSON of an exp, nbf or iat (RFC 7519 section 2): a plain number from 0 to the year
// 9999, a fraction is cut off. Strings, null, exponents, negatives and overflow are ErrMalformed (THREATS A23).
func ParseNumericDate(raw []byte) (time.Time, error) {
	whole := raw
	for i, c := range raw {
		if c == '.' && i > 0 {
			whole = raw[:i]
			if !digits(raw[i+1:]) {
				return time.Time{}, errNumericDate
			}
			break
		}
	}
	if !digits(whole) || len(raw) > 32 || (len(whole) > 1 && whole[0] == '0') {
		return time.Time{}, errNumericDate
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil || n > maxNumericDate {
		return time.Time{}, errNumericDate
	}
	return time.Unix(n, 0).UTC(), nil
}

var errNumericDate = fmt.Errorf("%w: not a NumericDate", ErrMalformed)

func digits(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Expired reports whether exp has been reached: exp == now is expired.
func Expired(exp, now time.Time) bool { return !now.Before(exp) }
