package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"
)

// A NonceKey authenticates nonces. Keep it in SQL; rotate by minting with a new one and dropping those older than the
// longest lifetime.
type NonceKey struct {
	ID     byte
	Secret []byte // at least 32 bytes
}

// NonceScope binds a nonce to where it is good.
type NonceScope struct{ Tenant, Purpose string }

// NonceWindow is the moment of the check and the longest life.
type NonceWindow struct {
	Now    time.Time
	MaxAge time.Duration
}

const (
	nonceBody = 1 + 8 + 16 // key id, unix seconds, random
	nonceMAC  = 16
	nonceSkew = 3 * time.Minute // between replicas' clocks: each may be 90 s off (K09)
)

// MintNonce makes a nonce: base64url(key id ‖ time ‖ 16 random bytes ‖ MAC-128 over these and the scope), 55 characters.
func MintNonce(key NonceKey, scope NonceScope, now time.Time, random io.Reader) (string, error) {
	if len(key.Secret) < 32 {
		return "", fmt.Errorf("%w: nonce secret shorter than 32 bytes", ErrKey)
	}
	b := make([]byte, nonceBody, nonceBody+nonceMAC)
	b[0] = key.ID
	binary.BigEndian.PutUint64(b[1:], uint64(now.Unix()))
	if _, err := io.ReadFull(random, b[9:]); err != nil {
		return "", fmt.Errorf("draw nonce: %w", err)
	}
	return EncodeBase64URL(append(b, key.mac(scope, b)...)), nil
}

// mac is HMAC-SHA-256 cut to 128 bits over length-prefixed scope and body.
func (k NonceKey) mac(scope NonceScope, body []byte) []byte {
	m := hmac.New(sha256.New, k.Secret)
	var n [8]byte
	for _, s := range []string{"dojang nonce v1", scope.Tenant, scope.Purpose} {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		m.Write(n[:])
		io.WriteString(m, s)
	}
	m.Write(body)
	return m.Sum(nil)[:nonceMAC]
}

// CheckNonce reports whether one of the keys made the nonce for this scope no longer than MaxAge ago.
// It says nothing about reuse: consumption is a unique insert of the returned id (24 bytes) in SQL.
// A nonce has one spelling, so a re-encoded copy is not a new nonce (A24).
// Errors: ErrNonce (never issued by us, other tenant or purpose, re-encoded), ErrStale.
func CheckNonce(ks []NonceKey, scope NonceScope, nonce string, w NonceWindow) (id []byte, err error) {
	if len(nonce) != 55 {
		return nil, ErrNonce
	}
	b, err := DecodeBase64URL(nonce)
	if err != nil || len(b) != nonceBody+nonceMAC {
		return nil, ErrNonce
	}
	for _, k := range ks {
		if k.ID != b[0] || len(k.Secret) < 32 || !hmac.Equal(k.mac(scope, b[:nonceBody]), b[nonceBody:]) {
			continue
		}
		minted := time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0)
		if minted.After(w.Now.Add(nonceSkew)) || w.Now.Sub(minted) > w.MaxAge {
			return nil, ErrStale
		}
		return b[1:nonceBody], nil
	}
	return nil, ErrNonce
}
