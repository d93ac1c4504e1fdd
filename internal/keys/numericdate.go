package keys

import "time"

// ParseNumericDate reads the raw JSON of an exp, nbf or iat (RFC 7519 section 2): a plain number from 0 to the year
// 9999, a fraction is cut off. Strings, null, exponents, negatives and overflow are ErrMalformed (THREATS A23).
func ParseNumericDate(raw []byte) (time.Time, error) { return time.Time{}, errTODO }

// Expired reports whether exp has been reached: exp == now is expired.
func Expired(exp, now time.Time) bool { return !now.Before(exp) }
