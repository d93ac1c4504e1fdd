// Package sqldb is the door to SQL for every party: SQLite by default, PostgreSQL to scale, one set of queries for both.
//
// Use [Open], then [DB.Migrate] with the party's embedded files, then [DB.Write] for every change and [DB.Read] for the rest.
//
// # Joined commits
//
// Functions given to Write by callers that wait at the same time run one after another inside one transaction, each in
// its own savepoint, and one durable commit (fsync) acknowledges all of them. Write returns only after that commit.
// A function that fails is rolled back alone; a failed commit fails every caller. So a function must be short: no
// network, no signing, no waiting, no Write inside Write. It runs on another goroutine, at most once, while its caller
// waits.
// A statement that failed dooms its function on both engines (PostgreSQL allows nothing else): later statements return
// the same error, and Write returns it even when the function does not. ErrNotFound is an answer, not a failure. To
// compare and set, count the rows that Exec changed or use ON CONFLICT … DO NOTHING.
// Several replicas may share one PostgreSQL database: their transactions take turns, so what a function read stays true
// until its commit. [Tx.LockRow] guards against other programs too.
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
	"fmt"
	"net/url"
	"sync"
	"time"
)

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
type DB struct {
	engine  engine
	maxJoin int
	queue   chan *call
	ended   chan struct{} // closed when the write loop is over

	mu     sync.RWMutex // held for reading while a call is handed over or a read runs
	closed bool

	link link // the write link; the write loop owns it, nil after it broke
}

// Open is New with only a URL.
func Open(ctx context.Context, url string) (*DB, error) { return New(ctx, Config{URL: url}) }

// New opens or creates the database; the directory of an SQLite file is made with mode 0700, the file with 0600.
func New(ctx context.Context, cfg Config) (*DB, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed database URL", ErrMisuse)
	}
	db := &DB{queue: make(chan *call, 1024), ended: make(chan struct{})}
	switch u.Scheme {
	case "sqlite":
		db.engine, err = openSQLite(cfg, u)
	case "postgres", "postgresql":
		db.engine, err = openPostgres(ctx, cfg)
	default:
		return nil, fmt.Errorf("%w: the database URL has neither the scheme sqlite nor postgres", ErrMisuse)
	}
	if err != nil {
		return nil, err
	}
	if db.maxJoin = cfg.MaxJoin; db.maxJoin <= 0 {
		db.maxJoin = db.engine.maxJoin()
	}
	if db.link, err = db.engine.writer(ctx); err != nil {
		db.engine.close()
		return nil, err
	}
	go db.run()
	return db, nil
}

// Read runs f in one read-only snapshot. Writes in f fail.
func (db *DB) Read(ctx context.Context, f func(*Tx) error) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	l, err := db.engine.borrow(ctx)
	if err != nil {
		return err
	}
	broken := true // until the end is reached: f may end the goroutine
	defer func() { db.engine.release(l, broken) }()
	if err := l.later(db.engine.beginRead()); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	tx := &Tx{db: db, link: l, ctx: ctx, linkCtx: ctx, readOnly: true}
	err = tx.call(f)
	e := l.now(context.WithoutCancel(ctx), "ROLLBACK")
	broken = e != nil
	if err == nil {
		err = e
	}
	return err
}

// ReadRow is a Read of one row by one query, which needs no transaction around it: Row.Scan's rules for dest, ErrNotFound
// without a row.
func (db *DB) ReadRow(ctx context.Context, q Query, dest ...any) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	l, err := db.engine.borrow(ctx)
	if err != nil {
		return err
	}
	broken := true // until the end is reached
	defer func() { db.engine.release(l, broken) }()
	tx := &Tx{db: db, link: l, ctx: ctx, linkCtx: ctx, readOnly: true}
	err = tx.QueryRow(q.SQL, q.Args...).Scan(dest...)
	broken = tx.doomed != nil && ctx.Err() == nil // a link that a leaving caller broke says so itself
	return err
}

// A Query is a statement with its parameters.
type Query struct {
	SQL  string
	Args []any
}

// Ping asks the engine for a trivial answer.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.ReadRow(ctx, Query{SQL: "SELECT 1"}, &one)
}

// Postgres reports the engine, for the rare query that must differ.
func (db *DB) Postgres() bool { _, ok := db.engine.(*pgEngine); return ok }

// Close waits for running functions; later calls get ErrClosed.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	close(db.queue)
	db.mu.Unlock()
	<-db.ended
	db.engine.close()
	if db.link == nil {
		return nil
	}
	return db.link.close()
}

// Micros is how a time is stored: UTC microseconds since 1970.
func Micros(t time.Time) int64 { return t.UnixMicro() }

// FromMicros is the reverse.
func FromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }
