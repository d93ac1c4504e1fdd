package statuslist

import (
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// The media types of a Status List Token; the typ header is the same without "application/" in a JWT.
const (
	MediaTypeJWT = "application/statuslist+jwt"
	MediaTypeCWT = "application/statuslist+cwt"
)

// Bounds on what a token may say about its own freshness (THREATS C08).
const (
	MinTTL     = 60 * time.Second
	MaxTTL     = 24 * time.Hour
	DefaultTTL = 15 * time.Minute    // when the token names none
	MaxLife    = 90 * 24 * time.Hour // a later exp is cut
	MaxSkew    = 60 * time.Second    // of iat ahead of now
)

// Limits bound parsing and inflating. Zero fields mean the defaults.
type Limits struct {
	MaxToken int // bytes of the token; 0: 16 MiB
	MaxRaw   int // bytes of uncompressed values; 0: 16 MiB
	MaxRatio int // uncompressed per compressed byte; 0: 1040 (deflate itself cannot exceed 1032)
}

// Unverified is a parsed token. Only hints for finding the signer's key can be read.
type Unverified struct {
	header keys.Header
	verify func(*keys.PublicKey) (payload []byte, err error)
	// unsigned is the payload before its signature was looked at: for Record.Read alone.
	unsigned func() ([]byte, error)
	decode   func(payload []byte) (wireClaims, error)
	limits   Limits
	digest   [32]byte
}

// Header is the unverified header (kid, x5c): hints for finding a key.
func (u *Unverified) Header() *keys.Header { return &u.header }

// Digest is SHA-256 of the token's bytes, as in a list record.
func (u *Unverified) Digest() [32]byte { return u.digest }

// Expect says which list a credential names, and when it is asked about.
type Expect struct {
	URI    string    // of the credential's status reference; equal to sub byte for byte
	Now    time.Time // iat must not lie ahead of it (MaxSkew), exp must
	Latest time.Time // iat of the newest token seen before for this URI; zero: none. An older token is ErrRollback.
}

// A Token is verified: who signed it was checked, what it says is in force now.
type Token struct {
	URI       string
	IssuedAt  time.Time
	ExpiresAt time.Time     // at most MaxLife after IssuedAt
	TTL       time.Duration // within [MinTTL, MaxTTL]
	Digest    [32]byte      // SHA-256 of the token's bytes
	Values    Values
}

// Status is the entry at idx; ErrIndex outside of the list: no statement can be made then (section 8.3).
func (t *Token) Status(idx uint64) (Status, error) { return t.Values.Status(idx) }

// FreshUntil is when a copy fetched at that time should be fetched again: after ttl, never past exp.
func (t *Token) FreshUntil(fetched time.Time) time.Time {
	until := fetched.Add(t.TTL)
	if until.After(t.ExpiresAt) {
		return t.ExpiresAt
	}
	return until
}

// Claims are what the signer says about a list.
type Claims struct {
	URI        string
	IssuedAt   time.Time // whole seconds are signed
	ExpiresAt  time.Time
	TTL        time.Duration // within [MinTTL, MaxTTL]
	Bits       int
	Compressed []byte // zlib, of a Snapshot or of Deflate
}

// check refuses what our own reader would refuse or clamp: nothing of the kind gets signed.
func (c Claims) check() error {
	if err := checkShape(c.Bits, 8); err != nil {
		return err
	}
	if c.URI == "" || len(c.URI) > maxURI || len(c.Compressed) == 0 {
		return ErrMalformed
	}
	life := c.ExpiresAt.Sub(c.IssuedAt)
	if c.IssuedAt.Unix() <= 0 || life < time.Second || life > MaxLife || c.TTL < MinTTL || c.TTL > MaxTTL {
		return ErrTime
	}
	return nil
}

// wireClaims are a token's claims in either format, types checked, bounds not.
type wireClaims struct {
	sub        string
	iat, exp   time.Time // zero: absent
	ttl        time.Duration
	bits       int
	compressed []byte
}

// Verify checks signature, subject and times, then inflates the list. key must be known to be the issuer's (or its
// delegate's) for this list: a key out of the token's own header proves nothing.
// Errors: ErrSignature, ErrSubject, ErrTime, ErrRollback, ErrBits, ErrLimit, ErrMalformed.
func (u *Unverified) Verify(key *keys.PublicKey, e Expect) (*Token, error) {
	if key == nil {
		return nil, ErrSignature
	}
	payload, err := u.verify(key)
	if err != nil {
		return nil, ErrSignature
	}
	c, err := u.decode(payload)
	if err != nil {
		return nil, err
	}
	if e.URI == "" || c.sub != e.URI {
		return nil, ErrSubject
	}
	if err := c.checkTimes(e.Now); err != nil {
		return nil, err
	}
	if c.iat.Before(e.Latest.Truncate(time.Second)) {
		return nil, ErrRollback
	}
	raw, err := Inflate(c.compressed, u.limits)
	if err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, ErrMalformed
	}
	values, err := NewValues(c.bits, raw)
	if err != nil {
		return nil, err
	}
	return &Token{
		URI: c.sub, IssuedAt: c.iat, ExpiresAt: earlier(c.exp, c.iat.Add(MaxLife)), TTL: c.ttl,
		Digest: u.digest, Values: values,
	}, nil
}

func (c wireClaims) checkTimes(now time.Time) error {
	switch {
	case c.iat.IsZero() || c.exp.IsZero(), !c.iat.Before(c.exp):
		return ErrTime
	case c.iat.After(now.Add(MaxSkew)):
		return ErrTime
	case keys.Expired(earlier(c.exp, c.iat.Add(MaxLife)), now):
		return ErrTime
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// clampTTL brings any number of seconds within bounds; 0 and negative ones are "as soon as allowed".
func clampTTL(seconds float64) time.Duration {
	switch {
	case seconds >= MaxTTL.Seconds():
		return MaxTTL
	case seconds > MinTTL.Seconds():
		return time.Duration(seconds) * time.Second
	default:
		return MinTTL
	}
}
