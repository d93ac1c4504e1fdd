package sqldb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgEngine holds the read pool of a PostgreSQL database and the rewritten queries.
type pgEngine struct {
	config *pgx.ConnConfig
	pool   *pgxpool.Pool

	mu      sync.RWMutex
	queries map[string]string // ? -> $n
}

func openPostgres(ctx context.Context, cfg Config) (*pgEngine, error) {
	pool, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("%w: malformed postgres URL", ErrMisuse) // pgx's text may quote the password
	}
	harden(pool.ConnConfig)
	pool.MaxConns = 4
	if cfg.Readers > 0 {
		pool.MaxConns = int32(cfg.Readers)
	}
	e := &pgEngine{config: pool.ConnConfig.Copy(), queries: map[string]string{}}
	pool.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on" // the pool reads, also outside of transactions
	if e.pool, err = pgxpool.NewWithConfig(ctx, pool); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	var fsync string
	if err := e.pool.QueryRow(ctx, "SHOW fsync").Scan(&fsync); err != nil {
		e.pool.Close()
		return nil, fmt.Errorf("%w: connect to postgres: %w", ErrUnavailable, classify(err))
	}
	if fsync != "on" && !cfg.Development {
		e.pool.Close()
		return nil, fmt.Errorf("%w: postgres runs with fsync off", ErrUnsafe)
	}
	return e, nil
}

// oneWriter lets one replica of a party write at a time, as SQLite does. Functions that joined hold their row locks
// until the shared commit, in an order that nobody planned: without it two replicas would deadlock. It is sent together
// with the first statement; a joined commit is faster than the concurrency it gives up.
const oneWriter = "SELECT pg_advisory_xact_lock(7315224, hashtext(current_schema()))"

// harden fixes what a URL must not choose: the extended protocol (the simple one has had injections, CVE-2024-27289,
// CVE-2026-41889), durable commits, UTC, and bounds on waiting.
func harden(c *pgx.ConnConfig) {
	c.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	c.StatementCacheCapacity = maxStatements
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"synchronous_commit": "on", "timezone": "UTC", "standard_conforming_strings": "on",
		"default_transaction_isolation": "read committed",
		"lock_timeout":                  "5000", "statement_timeout": "30000", "idle_in_transaction_session_timeout": "10000",
	} {
		c.RuntimeParams[name] = value
	}
}

func (e *pgEngine) writer(ctx context.Context) (link, error) {
	c, err := pgx.ConnectConfig(ctx, e.config.Copy())
	if err != nil {
		return nil, fmt.Errorf("%w: connect to postgres: %w", ErrUnavailable, classify(err))
	}
	return &pgLink{conn: c}, nil
}

func (e *pgEngine) borrow(ctx context.Context) (link, error) {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: connect to postgres: %w", ErrUnavailable, classify(err))
	}
	return &pgLink{conn: c.Conn(), pooled: c}, nil
}

func (e *pgEngine) release(l link, broken bool) {
	p := l.(*pgLink)
	if broken {
		_ = p.conn.Close(context.Background()) // the pool drops closed connections
	}
	p.pooled.Release()
}

func (e *pgEngine) close()             { e.pool.Close() }
func (*pgEngine) beginWrite() []string { return []string{"BEGIN", oneWriter} }
func (*pgEngine) beginRead() string    { return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" }
func (*pgEngine) savepointReads() bool { return true }
func (*pgEngine) forUpdate() string    { return " FOR UPDATE" }
func (*pgEngine) maxJoin() int         { return 64 } // beyond 64 subtransactions other sessions' snapshots get slow

func (e *pgEngine) rewrite(q string) string {
	e.mu.RLock()
	out, ok := e.queries[q]
	e.mu.RUnlock()
	if ok {
		return out
	}
	out = numbered(q)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queries) >= maxStatements {
		clear(e.queries)
	}
	e.queries[q] = out
	return out
}

// numbered turns ? into $1, $2, … outside of quotes and comments.
func numbered(q string) string {
	var b strings.Builder
	n := 0
	for _, t := range tokens(q) {
		if t == "?" {
			n++
			t = "$" + strconv.Itoa(n)
		}
		b.WriteString(t)
	}
	return b.String()
}

type pgLink struct {
	conn    *pgx.Conn
	pooled  *pgxpool.Conn // nil for the writer
	pending []string
	unsure  bool // a pending command was sent, or dropped, without an answer that it succeeded
}

// send sends what was left for later and query in one round trip.
func (l *pgLink) send(ctx context.Context, query string, args []any) (pgx.BatchResults, error) {
	b := &pgx.Batch{}
	for _, c := range l.pending {
		b.Queue(c)
	}
	n := len(l.pending)
	l.pending = l.pending[:0]
	b.Queue(query, args...)
	br := l.conn.SendBatch(ctx, b)
	for range n {
		if _, err := br.Exec(); err != nil {
			_ = br.Close() // repeats err
			return nil, classify(err)
		}
	}
	l.unsure = false
	return br, nil
}

func (l *pgLink) exec(ctx context.Context, query string, args []any) (int64, error) {
	if len(l.pending) == 0 {
		tag, err := l.conn.Exec(ctx, query, args...)
		return tag.RowsAffected(), classify(err)
	}
	br, err := l.send(ctx, query, args)
	if err != nil {
		return 0, err
	}
	tag, err := br.Exec()
	return tag.RowsAffected(), classify(errors.Join(err, br.Close()))
}

func (l *pgLink) query(ctx context.Context, query string, args []any) (cursor, error) {
	if len(l.pending) == 0 {
		rows, err := l.conn.Query(ctx, query, args...)
		if err != nil {
			return nil, classify(err)
		}
		return &pgCursor{rows: rows}, nil
	}
	br, err := l.send(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows, err := br.Query()
	if err != nil {
		_ = br.Close() // repeats err
		return nil, classify(err)
	}
	return &pgCursor{rows: rows, batch: br}, nil
}

func (l *pgLink) later(command string) error {
	l.pending = append(l.pending, command)
	l.unsure = true
	return nil
}

func (l *pgLink) settled() bool { return !l.unsure }

func (l *pgLink) now(ctx context.Context, command string) error {
	_, err := l.exec(ctx, command, nil)
	return err
}

func (l *pgLink) discard() { l.pending, l.unsure = l.pending[:0], false }

func (l *pgLink) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return l.conn.Close(ctx)
}

type pgCursor struct {
	rows  pgx.Rows
	batch pgx.BatchResults
	row   []any
}

func (c *pgCursor) next() (bool, error) {
	if !c.rows.Next() {
		return false, classify(c.rows.Err())
	}
	var err error
	if c.row, err = c.rows.Values(); err != nil {
		return false, err
	}
	for i, v := range c.row {
		c.row[i] = plain(v)
	}
	return true, nil
}

func (c *pgCursor) values() []any { return c.row }

func (c *pgCursor) close() error {
	c.rows.Close()
	err := c.rows.Err()
	if c.batch != nil {
		if e := c.batch.Close(); err == nil {
			err = e
		}
	}
	return classify(err)
}

// plain brings PostgreSQL's types to those that SQLite has.
func plain(v any) any {
	switch x := v.(type) {
	case int16:
		return int64(x)
	case int32:
		return int64(x)
	case float32:
		return float64(x)
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case pgtype.Numeric: // sum() of BIGINT
		if i, err := x.Int64Value(); err == nil && i.Valid {
			return i.Int64
		}
		if f, err := x.Float64Value(); err == nil && f.Valid {
			return f.Float64
		}
		return nil
	}
	return v
}
