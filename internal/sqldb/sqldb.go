// Package sqldb is the door to SQL for every party: SQLite by default, PostgreSQL to scale, one set of queries for both.
//
// Use [Open], then [DB.Migrate] with the party's embedded files, then [DB.Write] for every change and [DB.Read] for the rest.
//
// # Joined commits
//
// Functions given to Write by callers that wait at the same time run one after another inside one transaction, each in
// its own savepoint, and one durable commit (fsync) acknowledges all of them. Write returns only after that commit.
// A function that fails is rolled back alone; a failed commit fails every caller. So a function must be short: no
// network, no signing, no waiting. It runs on another goroutine, once, and its caller waits for it.
//
// # One dialect
//
// Queries say ? for parameters (rewritten to $n for PostgreSQL). Values are nil, bool, int, int64, float64, string,
// []byte and time.Time. Times are stored as UTC microseconds since 1970 in INTEGER columns, the zero time as NULL;
// bools as 0 and 1 in INTEGER columns; a scan into *time.Time or *bool turns them back. Both engines know
// INSERT … ON CONFLICT (…) DO NOTHING | DO UPDATE SET x = excluded.x and RETURNING, so there is no helper for them.
// Migrations are written in SQLite's words: INTEGER, TEXT, BLOB, INTEGER PRIMARY KEY, STRICT, WITHOUT ROWID;
// for PostgreSQL they become BIGINT, TEXT, BYTEA, an identity column, and nothing.
//
// # Trust
//
// The file or server is trusted to keep what it acknowledged (synchronous=FULL); whoever can write to it can change
// rows, which is why audit chains its entries.
package sqldb

import (
	"context"
	"errors"
	"io/fs"
	"time"
)

// What callers act on. All other errors are faults.
var (
	ErrNotFound = errors.New("sqldb: no such row")
	// ErrUnique is a violated UNIQUE or PRIMARY KEY: somebody else was first. One-time use rests on it.
	ErrUnique = errors.New("sqldb: row exists already")
	// ErrConstraint is any other violated constraint (CHECK, NOT NULL, FOREIGN KEY).
	ErrConstraint = errors.New("sqldb: constraint violated")
	// ErrConflict is a deadlock, lock timeout or serialisation failure between processes: nothing was written, try again.
	ErrConflict = errors.New("sqldb: conflicting transaction")
	// ErrFull means that the disk or quota is full; nothing was written.
	ErrFull = errors.New("sqldb: storage is full")
	// ErrUnavailable means that the engine cannot be reached or does not write (I/O error). After a lost connection
	// during commit the outcome is unknown: retry by a unique key.
	ErrUnavailable = errors.New("sqldb: storage is unavailable")
	ErrClosed      = errors.New("sqldb: database is closed")
	// ErrNewerSchema: a newer program has migrated this database; starting would damage it.
	ErrNewerSchema = errors.New("sqldb: schema is newer than this program")
	// ErrUnsafe: the configuration would lose acknowledged rows on power loss (THREATS K08).
	ErrUnsafe = errors.New("sqldb: synchronous must be FULL")
)

var errTODO = errors.New("sqldb: not built yet")

// Config of a database; zero values are the safe defaults.
type Config struct {
	// URL is sqlite:///absolute/path/file.db or postgres://user:password@host/database.
	// ?synchronous=NORMAL is accepted for SQLite only with Development set.
	URL string
	// Development allows settings that lose acknowledged rows on power loss. Never set in production.
	Development bool
	// Readers is the number of read connections, default 4.
	Readers int
	// MaxJoin bounds the functions in one transaction, default 256 (SQLite) or 64 (PostgreSQL).
	MaxJoin int
}

// DB is one database. Safe for concurrent use.
type DB struct{}

// Open is New with only a URL.
func Open(ctx context.Context, url string) (*DB, error) { return New(ctx, Config{URL: url}) }

// New opens or creates the database; the directory of an SQLite file is made with mode 0700, the file with 0600.
func New(ctx context.Context, cfg Config) (*DB, error) { return nil, errTODO }

// Migrate brings party's tables up to the newest file of migrations: NNNN_name.sql, numbered from 0001 without gaps,
// each applied once in its own transaction, also when several processes start together.
func (db *DB) Migrate(ctx context.Context, party string, migrations fs.FS) error { return errTODO }

// Write runs f in a joined commit and returns after it is durable. f's error is returned as it is, and then nothing
// of f was written. A ctx that ends while f waits for its turn takes f out; once f runs, Write waits for the outcome.
// A panic in f is returned as *PanicError.
func (db *DB) Write(ctx context.Context, f func(*Tx) error) error { return errTODO }

// Read runs f in one read-only snapshot. Writes in f fail.
func (db *DB) Read(ctx context.Context, f func(*Tx) error) error { return errTODO }

// Ping asks the engine for a trivial answer.
func (db *DB) Ping(ctx context.Context) error { return errTODO }

// Postgres reports the engine, for the rare query that must differ.
func (db *DB) Postgres() bool { return false }

// Close waits for running functions; later calls get ErrClosed.
func (db *DB) Close() error { return nil }

// PanicError is a panic of a function given to Write or Read. Error() does not show Value, which may hold personal data.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "sqldb: function panicked" }

// Tx is what a function sees of its transaction. Not safe for concurrent use, not valid after the function returned.
type Tx struct{}

// Exec runs a statement and returns the number of rows it changed: the answer of a compare-and-set.
func (tx *Tx) Exec(query string, args ...any) (int64, error) { return 0, errTODO }

// QueryRow runs a query for its first row. Its error comes out of Scan.
func (tx *Tx) QueryRow(query string, args ...any) *Row { return &Row{} }

// LockRow is QueryRow that holds the row until the end of the transaction (FOR UPDATE; SQLite has one writer anyway).
func (tx *Tx) LockRow(query string, args ...any) *Row { return &Row{} }

// Query runs a query; the caller closes Rows. A second statement is refused while Rows are open.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) { return nil, errTODO }

// Context is the caller's.
func (tx *Tx) Context() context.Context { return nil }

// Local returns the value kept under key for the shared transaction, shared with the other functions that joined it;
// make builds it. A value made by a function that is rolled back is dropped. Keys are of the caller's unexported type.
func (tx *Tx) Local(key any, make func() (any, error)) (any, error) { return nil, errTODO }

// OnRollback calls undo when what the function did so far is not committed, last one first. For in-memory values.
func (tx *Tx) OnRollback(undo func()) {}

// BeforeCommit runs f once, after all joined functions and before the commit. Its error fails them all.
func (tx *Tx) BeforeCommit(f func(*Tx) error) {}

// Row is the answer of QueryRow.
type Row struct{}

// Scan fills *int, *int64, *float64, *string, *[]byte, *bool, *time.Time or pointers to these for NULL;
// ErrNotFound without a row.
func (r *Row) Scan(dest ...any) error { return errTODO }

// Rows is the answer of Query: for rows.Next() { rows.Scan(…) }; then rows.Close(), whose error counts.
type Rows struct{}

func (r *Rows) Next() bool             { return false }
func (r *Rows) Scan(dest ...any) error { return errTODO }

// Close ends the query and returns the first error of Next.
func (r *Rows) Close() error { return errTODO }

// Micros is how a time is stored: UTC microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros is the reverse.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
