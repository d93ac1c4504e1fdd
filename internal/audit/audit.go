// Package audit keeps the append-only, hash-chained record of what a party did, in the party's own SQL and in the same
// transaction as the effect: an effect that cannot be recorded does not happen (THREATS J23).
//
// Use [New], [Log.Migrate] once, [Log.Append] inside sqldb's Write. A [Keeper] seals the heads from time to time on the registry
// chain and keeps the receipts, [Log.Verify] checks a chain against such checkpoints.
//
// # Format
//
// One chain a tenant. Entry n of a chain is a row whose hash is
//
//	SHA-256( "dojang audit v1" 0x00 ‖ previous hash (32 bytes, zero for n = 1) ‖ f(chain) ‖ be64(n) ‖ be64(µs) ‖
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
	"crypto/hmac"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
)

var (
	// ErrUnavailable: the entry could not be written; the effect must be refused (problem audit-unavailable, 503).
	ErrUnavailable = errors.New("audit: log is unavailable")
	// ErrTampered: the chain does not verify. The error text names the entry and the reason, not its content.
	ErrTampered = errors.New("audit: chain does not verify")
	// ErrEntry: an entry that must not be written (no action, too long, control characters, a resident number).
	ErrEntry = errors.New("audit: entry refused")
)

//go:embed migrations/*.sql
var migrations embed.FS

const formatWord = "dojang audit v1\x00"

// Config of a log.
type Config struct {
	// Now is the clock; default time.Now.
	Now func() time.Time
	// PseudonymKey makes pseudonyms of object ids; at least 32 bytes, kept with the party's other secrets.
	PseudonymKey []byte
}

// Log appends to the chains of one party's database. Safe for concurrent use; it keeps nothing in memory.
type Log struct {
	now func() time.Time
	key []byte
}

// New refuses a short key.
func New(cfg Config) (*Log, error) {
	if len(cfg.PseudonymKey) < 32 {
		return nil, errors.New("audit: the pseudonym key must have at least 32 bytes")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Log{now: cfg.Now, key: append([]byte(nil), cfg.PseudonymKey...)}, nil
}

// Migrate makes the tables (party "audit").
func (l *Log) Migrate(ctx context.Context, db *sqldb.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return db.Migrate(ctx, "audit", files)
}

// Entry is one record. Chain and Action are required; every field is at most 256 bytes of printable text.
type Entry struct {
	Chain  string // tenant, or the party's own name
	Actor  string // who: officer id, service name, or "holder"; never a name of a person
	Action string // what, e.g. "credential.revoke"
	Object string // on what: an opaque id or a Pseudonym
	Reason string // why, a code or a file number of the agency
	Detail string // further machine-readable words, e.g. "copies=10"
}

func (e Entry) fields() [6]string {
	return [6]string{e.Chain, e.Actor, e.Action, e.Object, e.Reason, e.Detail}
}

// Checkpoint is the head of a chain: what a party anchors elsewhere from time to time.
type Checkpoint struct {
	Chain string    `json:"chain"`
	Seq   int64     `json:"seq"`
	Hash  [32]byte  `json:"hash"`
	Time  time.Time `json:"time"` // of the entry
}

// head is the end of a chain within one shared transaction, with the entries that are to be written before its commit.
// Functions that join it append one after another.
type head struct {
	Checkpoint
	pending []any // rowColumns values an entry
}

type headKey string

// Append adds e to its chain. The head is read and written, and the entries of all who joined are inserted together, once
// a shared transaction, before its commit: when they cannot be, none of the effects is kept (THREATS J23).
// Errors wrap ErrUnavailable or ErrEntry, and must be returned from the function given to Write.
func (l *Log) Append(tx *sqldb.Tx, e Entry) error {
	if err := e.check(); err != nil {
		return err
	}
	v, err := tx.Local(headKey(e.Chain), func() (any, error) { return lockHead(tx, e.Chain) })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	h := v.(*head)
	before := *h
	tx.OnRollback(func() { *h = before })
	next := h.next(l.now(), e)
	h.Checkpoint = next
	h.pending = append(h.pending, e.Chain, next.Seq, next.Time, e.Actor, e.Action, e.Object, e.Reason, e.Detail, next.Hash[:])
	return nil
}

const (
	rowColumns = 9
	maxRows    = 32 // of one statement: each number of rows is a statement of its own
)

// write inserts the pending entries, in statements of 32, 16, 8, … rows.
func (h *head) write(tx *sqldb.Tx) error {
	for n := maxRows; len(h.pending) > 0; n /= 2 {
		for len(h.pending) >= n*rowColumns {
			_, err := tx.Exec(`INSERT INTO audit_entry (chain, seq, at, actor, action, object, reason, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`+
				strings.Repeat(`, (?, ?, ?, ?, ?, ?, ?, ?, ?)`, n-1), h.pending[:n*rowColumns]...)
			if err != nil {
				return err
			}
			h.pending = h.pending[n*rowColumns:]
		}
	}
	return nil
}

// lockHead reads the head for this shared transaction and has it written back before the commit. The lock makes other
// processes wait for our commit: a chain has one order.
func lockHead(tx *sqldb.Tx, chain string) (*head, error) {
	if _, err := tx.Exec("INSERT INTO audit_head (chain, seq, at, hash) VALUES (?, 0, 0, ?) ON CONFLICT (chain) DO NOTHING",
		chain, make([]byte, 32)); err != nil {
		return nil, err
	}
	h := &head{Checkpoint: Checkpoint{Chain: chain}}
	err := tx.LockRow("SELECT seq, at, hash FROM audit_head WHERE chain = ?", chain).Scan(&h.Seq, &h.Time, &h.Hash)
	if err != nil {
		return nil, err
	}
	tx.BeforeCommit(func(tx *sqldb.Tx) error {
		if err := h.write(tx); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		n, err := tx.Exec("UPDATE audit_head SET seq = ?, at = ?, hash = ? WHERE chain = ?", h.Seq, h.Time, h.Hash[:], chain)
		if err == nil && n != 1 {
			err = errors.New("head is gone")
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return nil
	})
	return h, nil
}

// next is the checkpoint after e. Times are whole microseconds and never go back.
func (c Checkpoint) next(now time.Time, e Entry) Checkpoint {
	now = sqldb.FromMicros(sqldb.Micros(now))
	if now.Before(c.Time) {
		now = c.Time
	}
	n := Checkpoint{Chain: c.Chain, Seq: c.Seq + 1, Time: now}
	n.Hash = n.hash(c.Hash, e)
	return n
}

// hash of entry e as number c.Seq at c.Time after the entry with hash previous. The format is in the package doc.
func (c Checkpoint) hash(previous [32]byte, e Entry) [32]byte {
	b := make([]byte, 0, 512)
	b = append(b, formatWord...)
	b = append(b, previous[:]...)
	b = appendField(b, e.Chain)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(sqldb.Micros(c.Time)))
	fields := e.fields()
	for _, f := range fields[1:] { // the chain stands before the number
		b = appendField(b, f)
	}
	return sha256.Sum256(b)
}

func appendField(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// Pseudonym is a keyed hash of an object id that must not appear in the log: 32 hex digits.
func (l *Log) Pseudonym(kind, id string) string {
	m := hmac.New(sha256.New, l.key)
	m.Write(appendField(appendField(nil, kind), id))
	return hex.EncodeToString(m.Sum(nil)[:16])
}
