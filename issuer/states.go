package issuer

import (
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
)

// A State of a logical credential.
type State string

// The states in order. Offered and Authorized have no bits on a list yet; Revoked is final.
const (
	StateOffered      State = "offered"
	StateAuthorized   State = "authorized"
	StateIssued       State = "issued"
	StateSuspended    State = "suspended"
	StateNeedsRenewal State = "needs_renewal"
	StateRevoked      State = "revoked"
)

// A Credential is a logical credential: what was offered to one person, however many copies it has.
type Credential struct {
	ID     string // orderedID; names it on the management API, never in a copy
	Tenant string
	Type   string // short name
	Format string
	Person string // id in the agency's records
	State  State
	Change int64 // number of the tenant's status change that set State; 0: none

	RefHash      [32]byte // SHA-256 of the offer's reference
	CodeHash     [32]byte // SHA-256 of the pre-authorized code
	TxHash       []byte   // MAC of the transaction code; nil: none is expected
	TxFailures   int
	OfferedAt    time.Time
	OfferExpires time.Time
}

// maxTxFailures: the fifth wrong transaction code invalidates the offer (B03).
const maxTxFailures = 5

// redeemable reports whether the pre-authorized code may still be tried.
func (c Credential) redeemable(now time.Time) bool {
	return c.State == StateOffered && now.Before(c.OfferExpires) && c.TxFailures < maxTxFailures
}

// issuable reports whether copies may be made.
func (s State) issuable() bool { return s == StateAuthorized || s == StateIssued }

// change is the transition function of the management API. Same state: no change, no error.
func (s State) change(to State) error {
	if s == to {
		return nil
	}
	switch s {
	case StateRevoked:
		return ErrRevocationFinal
	case StateOffered, StateAuthorized: // nothing is issued: the offer can only be withdrawn
		if to == StateRevoked {
			return nil
		}
	case StateIssued, StateSuspended, StateNeedsRenewal:
		if to == StateIssued || to == StateSuspended || to == StateNeedsRenewal || to == StateRevoked {
			return nil
		}
	}
	return ErrTransition
}

// Status is the value of the state's bits on a list.
func (s State) Status() statuslist.Status {
	switch s {
	case StateRevoked:
		return statuslist.Revoked
	case StateSuspended:
		return statuslist.Suspended
	case StateNeedsRenewal:
		return statuslist.NeedsRenewal
	}
	return statuslist.Valid
}

// stateOf maps the words of the management API.
func stateOf(n StatusName) (State, bool) {
	switch n {
	case StatusValid:
		return StateIssued, true
	case StatusRevoked:
		return StateRevoked, true
	case StatusSuspended:
		return StateSuspended, true
	case StatusNeedsRenewal:
		return StateNeedsRenewal, true
	}
	return "", false
}
