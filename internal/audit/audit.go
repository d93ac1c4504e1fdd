// Package audit keeps the append-only, hash-chained record of what a party did, in the party's own SQL and in the same
// transaction as the effect: an effect that cannot be recorded does not happen (THREATS J23).
//
// Use [New], [Log.Migrate] once, [Log.Append] inside sqldb's Write. [Log.Head] gives the checkpoint to anchor on the
// registry chain, [Log.Verify] checks a chain against such checkpoints.
//
// # Format
//
// One chain a tenant. Entry n of a chain is a row whose hash is
//
//	SHA-256( "dojang audit v1" 0x00 ‖ previous hash (32 bytes, zero for n = 1) ‖ f(chain) ‖ be64(n) ‖ be64(unix µs) ‖
//	         f(actor) ‖ f(action) ‖ f(object) ‖ f(reason) ‖ f(detail) )      f(s) = be32(len(s)) ‖ s
//
// Times never go back within a chain: an entry gets max(now, previous entry's).
//
// # Trust
//
// The database is not trusted to keep the past: UPDATE, DELETE and reordering break the chain. Whoever can write to it
// can recompute a whole chain or cut its tail; only a checkpoint kept elsewhere shows that. No personal data enters:
// objects are opaque ids or HMACs ([Log.Pseudonym]).
package audit

import (
	"context"
	"errors"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
)

var (
	// ErrUnavailable: the entry could not be written; the effect must be refused (problem audit-unavailable, 503).
	ErrUnavailable = errors.New("audit: log is unavailable")
	// ErrTampered: the chain does not verify. The error text names the entry and the reason, not its content.
	ErrTampered = errors.New("audit: chain does not verify")
	// ErrEntry: an entry that must not be written (empty action, too long, control characters, a resident number).
	ErrEntry = errors.New("audit: entry refused")
)

var errTODO = errors.New("audit: not built yet")

// Config of a log.
type Config struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// PseudonymKey makes pseudonyms of object ids; at least 32 bytes, kept with the party's other secrets.
	PseudonymKey []byte
}

// Log appends to the chains of one party's database.
type Log struct{}

// New refuses a short key.
func New(cfg Config) (*Log, error) { return nil, errTODO }

// Migrate makes the tables (party "audit").
func (l *Log) Migrate(ctx context.Context, db *sqldb.DB) error { return errTODO }

// Entry is one record. Chain and Action are required; every field is at most 256 bytes of printable text.
type Entry struct {
	Chain  string // tenant, or the party's own name
	Actor  string // who: officer id, service name, or "holder"; never a name of a person
	Action string // what, e.g. "credential.revoke"
	Object string // on what: an opaque id or a Pseudonym
	Reason string // why, a code or a file number of the agency
	Detail string // further machine-readable words, e.g. "copies=10"
}

// Append adds e to its chain: one hash, one insert. Errors wrap ErrUnavailable or ErrEntry, and must be returned from
// the function given to Write.
func (l *Log) Append(tx *sqldb.Tx, e Entry) error { return errTODO }

// Pseudonym is a keyed hash of an object id that must not appear in the log: 32 hex digits.
func (l *Log) Pseudonym(kind, id string) string { return "" }

// Checkpoint is the head of a chain: what a party anchors elsewhere from time to time.
type Checkpoint struct {
	Chain string    `json:"chain"`
	Seq   int64     `json:"seq"`
	Hash  [32]byte  `json:"hash"`
	Time  time.Time `json:"time"` // of the entry
}

// Head returns the newest entry's checkpoint; Seq 0 for an empty chain.
func (l *Log) Head(ctx context.Context, db *sqldb.DB, chain string) (Checkpoint, error) {
	return Checkpoint{}, errTODO
}

// Verify walks the whole chain and compares it with earlier checkpoints, each of which must lie on it.
// Returns the number of entries checked; errors wrap ErrTampered.
func (l *Log) Verify(ctx context.Context, db *sqldb.DB, chain string, earlier ...Checkpoint) (int64, error) {
	return 0, errTODO
}

// A Record is an entry as it stands in the log.
type Record struct {
	Seq  int64
	Time time.Time
	Entry
	Hash [32]byte
}

// List returns up to limit entries after seq, oldest first.
func (l *Log) List(ctx context.Context, db *sqldb.DB, q ListQuery) ([]Record, error) { return nil, errTODO }

// ListQuery selects entries of one chain.
type ListQuery struct {
	Chain  string
	After  int64
	Object string // "" for all
	Limit  int    // default 100, at most 1000
}

// Chains lists the chains of a database.
func (l *Log) Chains(ctx context.Context, db *sqldb.DB) ([]string, error) { return nil, errTODO }
