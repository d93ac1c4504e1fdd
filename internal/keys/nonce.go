package keys

import (
	"io"
	"time"
)

// A NonceKey authenticates nonces. Keep it in SQL; rotate by prepending a new one and dropping those older than the
// longest lifetime.
type NonceKey struct {
	ID     byte
	Secret []byte // 32 bytes
}

// NonceScope binds a nonce to where it is good.
type NonceScope struct{ Tenant, Purpose string }

// MintNonce makes a nonce: base64url(key id ‖ time ‖ 16 random bytes ‖ MAC-128 over these and the scope).
func MintNonce(key NonceKey, scope NonceScope, now time.Time, random io.Reader) (string, error) {
	return "", errTODO
}

// CheckNonce reports whether one of the keys made the nonce for this scope no longer than maxAge ago.
// It says nothing about reuse: consumption is a unique insert of the returned id in SQL.
// Errors: ErrNonce (never issued by us, other tenant or purpose, re-encoded), ErrStale.
func CheckNonce(ks []NonceKey, scope NonceScope, nonce string, w NonceWindow) (id []byte, err error) {
	return nil, errTODO
}

// NonceWindow is the moment of the check and the longest life.
type NonceWindow struct {
	Now    time.Time
	MaxAge time.Duration
}
