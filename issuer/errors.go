package issuer

import (
	"errors"
	"strconv"

	"github.com/dojang-id/dojang/issuer/records"
)

// What callers of the management side act on. Protocol errors are *oauth.Error.
var (
	ErrUnknownTenant   = errors.New("issuer: no such tenant")
	ErrUnknownType     = errors.New("issuer: the tenant does not issue this type")
	ErrUnknownFormat   = errors.New("issuer: the type is not issued in this format")
	ErrUnknownStatus   = errors.New("issuer: no such status")
	ErrNotFound        = errors.New("issuer: no such credential")
	ErrNoRecord        = records.ErrNone
	ErrRevocationFinal = errors.New("issuer: revocation is final")
	ErrTransition      = errors.New("issuer: status cannot change so")
	ErrNotPublished    = errors.New("issuer: recorded, but not published and anchored yet")
)

// What a store answers besides faults.
var (
	ErrNonceUsed  = errors.New("issuer: nonce was used before")
	ErrIndexTaken = errors.New("issuer: status index is taken")
	ErrAllowance  = errors.New("issuer: the grant has no copies left")
	ErrBurned     = errors.New("issuer: the issuance was burned")
	ErrNotCurrent = errors.New("issuer: somebody else was first")
	ErrRefused    = errors.New("issuer: state does not allow this")

	ErrRecordChanged = errors.New("issuer: the person's record was replaced meanwhile")
)

// A Violation names a claim and the rule it breaks, never a value.
type Violation struct {
	Row   int    // of an import, 1 is the first person; 0 elsewhere
	Claim string // "" for a name that is not safe to repeat
	Rule  string
}

// ClaimsError: claims that must not be signed (B69, B70), or an import that was refused as a whole.
type ClaimsError struct{ Violations []Violation }

func (e *ClaimsError) Error() string {
	return "issuer: " + strconv.Itoa(len(e.Violations)) + " claims or rows break a rule"
}
