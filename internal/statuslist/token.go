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
	DefaultTTL = 15 * time.Minute // when the token names none
	MaxSkew    = 60 * time.Second // of iat ahead of now
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
	jws    *keys.JWS
	cwt    *sign1
	limits Limits
	digest [32]byte
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
	ExpiresAt time.Time     // clamped to MaxLife after IssuedAt by FreshUntil only; as the token says
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

// SignJWT makes a Status List Token in JWT format (section 5.1). The header is the issuer's: kid and x5c as on the
// credentials. Errors: ErrTime (bounds), ErrBits, or the signer's.
func SignJWT(s keys.Signer, h keys.Header, c Claims) ([]byte, error) { return nil, errTODO }

// ParseJWT reads a Status List Token in JWT format; the list is not inflated before Verify.
// Errors: ErrLimit, ErrType, ErrMalformed.
func ParseJWT(token []byte, limits Limits) (*Unverified, error) { return nil, errTODO }

// SignCWT makes a Status List Token in CWT format (section 5.2): COSE_Sign1, tagged 18, type in the protected header.
// The key must be P-256 or Ed25519.
func SignCWT(s keys.Signer, h keys.Header, c Claims) ([]byte, error) { return nil, errTODO }

// ParseCWT reads a Status List Token in CWT format. Errors as ParseJWT.
func ParseCWT(token []byte, limits Limits) (*Unverified, error) { return nil, errTODO }

// Verify checks signature, subject and times, then inflates the list. key must be known to be the issuer's (or its
// delegate's) for this list: a key out of the token's own header proves nothing.
// Errors: ErrSignature, ErrSubject, ErrTime, ErrRollback, ErrBits, ErrLimit, ErrMalformed.
func (u *Unverified) Verify(key *keys.PublicKey, e Expect) (*Token, error) { return nil, errTODO }

type sign1 struct{}
