package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// liteEngine holds the read links of an SQLite file. The one write link belongs to the DB.
type liteEngine struct {
	dsn     string
	readers chan link // idle ones; capacity is their number
}

// openSQLite makes the directory (0700) and the file (0600), and checks that commits will be durable.
func openSQLite(cfg Config, u *url.URL) (*liteEngine, error) {
	if u.Host != "" || !filepath.IsAbs(u.Path) {
		return nil, fmt.Errorf("%w: the URL must be sqlite:///absolute/path", ErrMisuse)
	}
	sync := "FULL"
	for name, values := range u.Query() {
		v := strings.ToUpper(values[0])
		switch {
		case name != "synchronous" || len(values) != 1:
			return nil, fmt.Errorf("%w: unknown parameter in the URL", ErrMisuse)
		case v == "FULL" || v == "EXTRA" || (v == "NORMAL" && cfg.Development):
			sync = v
		default:
			return nil, fmt.Errorf("%w: synchronous must be FULL", ErrUnsafe)
		}
	}
	if err := makeFile(u.Path); err != nil {
		return nil, err
	}
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(5000)")
	q.Add("_pragma", "journal_mode(WAL)")
	q.Add("_pragma", "synchronous("+sync+")")
	q.Add("_pragma", "foreign_keys(1)")
	q.Add("_pragma", "temp_store(MEMORY)") // savepoints keep page images; never in files beside the data
	q.Add("_pragma", "trusted_schema(0)")
	q.Add("_pragma", "wal_autocheckpoint(4000)") // 16 MB: a page written by many commits is copied back once
	q.Add("_dqs", "0")
	q.Add("_error_rc", "1")
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: u.Path, RawQuery: q.Encode()}).String()
	n := cfg.Readers
	if n == 0 {
		n = 4
	}
	e := &liteEngine{dsn: dsn, readers: make(chan link, n)}
	for range n {
		e.readers <- nil // opened when first borrowed
	}
	return e, nil
}

func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: make database file: %w", ErrUnavailable, err)
	}
	if err := errors.Join(f.Chmod(0o600), f.Close()); err != nil {
		return fmt.Errorf("make database file private: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open database directory: %w", err)
	}
	// The name of a new file must survive power loss as well as its content.
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("%w: sync database directory: %w", ErrUnavailable, err)
	}
	return nil
}

func (e *liteEngine) open(readOnly bool) (link, error) {
	dsn := e.dsn
	if readOnly {
		dsn += "&_query_only=1"
	}
	c, err := new(sqlite.Driver).Open(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", classify(err))
	}
	return &liteLink{conn: c, stmts: map[string]driver.Stmt{}}, nil
}

func (e *liteEngine) writer(context.Context) (link, error) { return e.open(false) }

func (e *liteEngine) borrow(ctx context.Context) (link, error) {
	select {
	case l := <-e.readers:
		if l != nil {
			return l, nil
		}
		l, err := e.open(true)
		if err != nil {
			e.readers <- nil
			return nil, err
		}
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *liteEngine) release(l link, broken bool) {
	if broken {
		_ = l.close() // its error is the one that broke it
		l = nil
	}
	e.readers <- l
}

func (e *liteEngine) close() {
	for range cap(e.readers) {
		if l := <-e.readers; l != nil {
			_ = l.close() // read-only: nothing to lose
		}
	}
}

func (*liteEngine) beginWrite() []string    { return []string{"BEGIN IMMEDIATE"} }
func (*liteEngine) beginRead() string       { return "BEGIN" }
func (*liteEngine) savepointReads() bool    { return false }
func (*liteEngine) forUpdate() string       { return "" }
func (*liteEngine) rewrite(q string) string { return q }
func (*liteEngine) maxJoin() int            { return 256 }

// liteLink speaks to the driver directly: database/sql would add its locks and conversions to every statement.
type liteLink struct {
	conn  driver.Conn
	stmts map[string]driver.Stmt
	args  []driver.NamedValue // scratch
}

// maxStatements bounds the prepared statements of a link. Queries are constants of the code; this is a net only.
const maxStatements = 512

func (l *liteLink) prepare(query string) (driver.Stmt, error) {
	if s, ok := l.stmts[query]; ok {
		return s, nil
	}
	s, err := l.conn.Prepare(query)
	if err != nil {
		return nil, classify(err)
	}
	if len(l.stmts) >= maxStatements {
		for q, old := range l.stmts {
			_ = old.Close() // a finished statement has nothing left to report
			delete(l.stmts, q)
		}
	}
	l.stmts[query] = s
	return s, nil
}

func (l *liteLink) named(args []any) []driver.NamedValue {
	l.args = l.args[:0]
	for i, a := range args {
		l.args = append(l.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return l.args
}

func (l *liteLink) exec(_ context.Context, query string, args []any) (int64, error) {
	s, err := l.prepare(query)
	if err != nil {
		return 0, err
	}
	// No context: the driver would start a goroutine to watch it, and an interrupt would hit those who joined.
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), l.named(args))
	if err != nil {
		return 0, classify(err)
	}
	return r.RowsAffected()
}

func (l *liteLink) query(_ context.Context, query string, args []any) (cursor, error) {
	s, err := l.prepare(query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), l.named(args))
	if err != nil {
		return nil, classify(err)
	}
	n := len(r.Columns())
	return &liteCursor{rows: r, dest: make([]driver.Value, n), out: make([]any, n)}, nil
}

func (l *liteLink) later(command string) error { return l.now(context.Background(), command) }

func (l *liteLink) now(ctx context.Context, command string) error {
	_, err := l.exec(ctx, command, nil)
	return err
}

func (l *liteLink) settled() bool { return true }

func (l *liteLink) discard() {}

func (l *liteLink) close() error {
	for _, s := range l.stmts {
		_ = s.Close() // finalised with the connection anyway
	}
	return l.conn.Close()
}

type liteCursor struct {
	rows driver.Rows
	dest []driver.Value
	out  []any
}

func (c *liteCursor) next() (bool, error) {
	switch err := c.rows.Next(c.dest); {
	case err == io.EOF:
		return false, nil
	case err != nil:
		return false, classify(err)
	}
	for i, v := range c.dest {
		c.out[i] = v
	}
	return true, nil
}

func (c *liteCursor) values() []any { return c.out }
func (c *liteCursor) close() error  { return classify(c.rows.Close()) }
