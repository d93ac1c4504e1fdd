package statuslist

import "errors"

var errTODO = errors.New("statuslist: not built yet")

// Deflate compresses values as zlib (RFC 1950), fast enough to publish often.
func Deflate(raw []byte) ([]byte, error) { return nil, errTODO }

// Inflate is the streaming inverse with caps; trailing bytes and gzip are refused. Errors: ErrMalformed, ErrLimit.
func Inflate(compressed []byte, limits Limits) ([]byte, error) { return nil, errTODO }
