package verifier

import (
	"context"
	"errors"
	"time"
)

// A State of a transaction. Judged and expired are final.
type State string

// The states. `submitted` never rests on disk: an answer is judged before the compare-and-set that ends the
// transaction, so that a crash in between leaves it pending and the wallet may post again (README, "why not").
const (
	StateRequested State = "requested"
	StateRetrieved State = "retrieved"
	StateSubmitted State = "submitted"
	StateJudged    State = "judged"
	StateExpired   State = "expired"
)

// Pending reports whether an answer may still come.
func (s State) Pending() bool { return s == StateRequested || s == StateRetrieved }

// What callers of the desk act on.
var (
	// ErrNotFound: no such transaction for this tenant. Also what a wrong or used response_code gets (D33, D40).
	ErrNotFound = errors.New("verifier: no such transaction")
	// ErrFinished: the transaction has ended; what it ended with does not change (D02, D03).
	ErrFinished = errors.New("verifier: transaction has ended")
	// ErrTimedOut: the request's time is over.
	ErrTimedOut = errors.New("verifier: request has timed out")
	// ErrRefused: the answer was judged and not accepted. The wallet learns no more than that.
	ErrRefused = errors.New("verifier: answer not accepted")
	// ErrPurpose: the policy asks for what the tenant is not registered for (D38).
	ErrPurpose = errors.New("verifier: not registered for these claims")
	// ErrPolicy: no such policy for this tenant.
	ErrPolicy = errors.New("verifier: no such policy")
	// ErrRequest: a request that cannot be made (unknown prefix or mode, redirect not registered, cross device not allowed).
	ErrRequest = errors.New("verifier: request cannot be made")
	// ErrRegistry: the registry answers nothing about the tenant itself.
	ErrRegistry = errors.New("verifier: registry unavailable")
)

// A Transaction is one row. Secrets (state, nonce, private keys) and claims are sealed before a Store sees them.
type Transaction struct {
	Tenant       string
	ID           string   // for the company: a time and 128 bits, base64url
	Handle       [32]byte // of the name in request_uri: its time, and 208 bits of its SHA-256
	StateHash    [32]byte // the same of the response's state; it names the encryption key (kid)
	State        State
	Policy       string
	PolicyDigest [32]byte
	ClientID     string
	ResponseMode string
	CrossDevice  bool
	Evidence     bool
	RedirectURI  string   // "": the result is read by id alone
	Session      [32]byte // SHA-256 of the browser session that may redeem; zero when RedirectURI is ""
	Secret       []byte   // sealed
	CreatedAt    time.Time
	ExpiresAt    time.Time
	Outcome      *Outcome // nil while pending
}

// An Outcome is how a transaction ended; written once.
type Outcome struct {
	State        State // judged or expired
	Decision     Decision
	Code         Code
	Reason       Reason
	Detail       string
	Claims       []byte // sealed; nil when there are none or they were purged
	StatusAsOf   time.Time
	Receipt      string
	ResponseCode [32]byte // SHA-256; zero: none
	Redeemed     bool
	At           time.Time
}

// A HandleKind says by what a transaction is found.
type HandleKind int

// Ways to find a transaction.
const (
	ByID HandleKind = iota
	ByHandle
	ByState
)

// A Lookup names one transaction of one tenant.
type Lookup struct {
	Tenant string
	By     HandleKind
	ID     string
	Hash   [32]byte
}

// A Store keeps transactions. Every method is durable when it returns and sees rows of its tenant only. Absent rows are
// ErrNotFound. One-time use rests on Finish and Redeem being compare-and-set in SQL, never on a cache.
type Store interface {
	Create(ctx context.Context, t Transaction) error
	Find(ctx context.Context, l Lookup) (Transaction, error)
	// MarkRetrieved moves requested to retrieved; any other state stays as it is, without error.
	MarkRetrieved(ctx context.Context, names []Name) error
	// Finish ends a pending transaction with its outcome, one outbox row and one audit entry, in one SQL transaction.
	// ErrFinished when it has ended before: nothing is changed then.
	Finish(ctx context.Context, tenant, id string, o Outcome) error
	// Replayed notes that an answer came for a transaction that was judged before: one outbox row and one audit entry with
	// NONCE_REPLAY, the first MaxReplays times. The outcome stays; a transaction that is not judged is left alone.
	Replayed(ctx context.Context, n Name, at time.Time) error
	// History is the transaction's outbox in order, at most MaxReplays+1 events; ErrNotFound without a transaction.
	History(ctx context.Context, n Name) ([]Event, error)
	// Redeem uses up the response code of a judged transaction; ErrNotFound when code or session differ or it was used.
	Redeem(ctx context.Context, r Redemption) error
	Keeper
}

// MaxReplays of one transaction are written down: whoever knows its state must not fill the audit log.
const MaxReplays = 8

// An Event is what happened to a transaction: presentation.judged, presentation.expired, presentation.replayed.
type Event struct {
	Kind string
	Code Code
	At   time.Time
}

// A Keeper is a Store's housekeeping. Both return how many rows they changed.
type Keeper interface {
	// Expire ends pending transactions whose time is over.
	Expire(ctx context.Context, now time.Time) (int, error)
	// Purge drops claims of results picked up or judged too long ago, and whole rows after the retention.
	Purge(ctx context.Context, p Purge) (int, error)
}

// A Redemption is one use of a response code.
type Redemption struct {
	Tenant, ID string
	Code       [32]byte
	Session    [32]byte
	At         time.Time
}

// A Purge says what is old.
type Purge struct {
	ClaimsBefore time.Time // claims of transactions that ended before go
	RowsBefore   time.Time // ended transactions before go as a whole
}
