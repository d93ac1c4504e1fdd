package sqldb

import (
	"context"
	"fmt"
)

// Tx is what a function sees of its transaction. Not safe for concurrent use, not valid after the function returned.
type Tx struct {
	db       *DB
	link     link
	ctx      context.Context // the caller's: looked at between statements
	linkCtx  context.Context // the engine's: a caller that leaves must not cut off those who joined
	shared   *shared         // nil in Read
	readOnly bool
	touched  bool // a statement ran after our savepoint
	over     bool
	doomed   error // the first failed statement
	open     *Rows
	undo     []func()
	args     []any // scratch
}

// ready checks that a statement may run now.
func (tx *Tx) ready(query string) error {
	switch {
	case tx.over:
		return fmt.Errorf("%w: transaction is over", ErrMisuse)
	case tx.doomed != nil:
		return tx.doomed
	case tx.open != nil:
		return fmt.Errorf("%w: rows are still open", ErrMisuse)
	}
	if err := tx.ctx.Err(); err != nil {
		return tx.doom(err)
	}
	if tx.shared != nil && !tx.touched && (tx.db.engine.savepointReads() || !reads(query)) {
		tx.touched = true
		return tx.doom(tx.shared.savepoint())
	}
	return nil
}

func (tx *Tx) doom(err error) error {
	if err != nil && tx.doomed == nil {
		tx.doomed = err
	}
	return err
}

// Exec runs a statement and returns the number of rows it changed: the answer of a compare-and-set.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if tx.readOnly {
		return 0, tx.doom(fmt.Errorf("%w: write in Read", ErrMisuse))
	}
	if err := tx.bind(args); err != nil {
		return 0, tx.doom(err)
	}
	if err := tx.ready(query); err != nil {
		return 0, err
	}
	n, err := tx.link.exec(tx.linkCtx, tx.db.engine.rewrite(query), tx.args)
	return n, tx.doom(err)
}

// Query runs a query; the caller closes Rows. Another statement is refused while Rows are open.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	if err := tx.bind(args); err != nil {
		return nil, tx.doom(err)
	}
	if err := tx.ready(query); err != nil {
		return nil, err
	}
	c, err := tx.link.query(tx.linkCtx, tx.db.engine.rewrite(query), tx.args)
	if err != nil {
		return nil, tx.doom(err)
	}
	tx.open = &Rows{tx: tx, cursor: c}
	return tx.open, nil
}

// QueryRow runs a query for its first row. Its error comes out of Scan.
func (tx *Tx) QueryRow(query string, args ...any) *Row {
	rows, err := tx.Query(query, args...)
	return &Row{rows: rows, err: err}
}

// LockRow is QueryRow that holds the row until the end of the transaction (FOR UPDATE; SQLite has one writer anyway).
func (tx *Tx) LockRow(query string, args ...any) *Row {
	return tx.QueryRow(query+tx.db.engine.forUpdate(), args...)
}

// Context is the caller's.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Local returns the value kept under key for the shared transaction, common to the functions that joined it; build
// makes it. A value made by a function that is rolled back is dropped. Keys are of the caller's unexported type.
func (tx *Tx) Local(key any, build func() (any, error)) (any, error) {
	if tx.shared == nil {
		return build()
	}
	if v, ok := tx.shared.locals[key]; ok {
		return v, nil
	}
	v, err := build()
	if err != nil {
		return nil, err
	}
	if tx.shared.locals == nil {
		tx.shared.locals = map[any]any{}
	}
	tx.shared.locals[key] = v
	tx.OnRollback(func() { delete(tx.shared.locals, key) })
	return v, nil
}

// OnRollback calls undo when what the function did is not committed, last one first. For values in memory.
func (tx *Tx) OnRollback(undo func()) { tx.undo = append(tx.undo, undo) }

// BeforeCommit runs f after all joined functions and before the commit. Its error fails them all. Dropped when the
// function that asked for it is rolled back.
func (tx *Tx) BeforeCommit(f func(*Tx) error) {
	if tx.shared != nil {
		tx.shared.commits = append(tx.shared.commits, f)
	}
}

func (tx *Tx) rollBack() {
	for i := len(tx.undo) - 1; i >= 0; i-- {
		tx.undo[i]()
	}
	tx.undo = nil
}

// Row is the answer of QueryRow.
type Row struct {
	rows *Rows
	err  error
}

// Scan fills *int, *int64, *float64, *string, *[]byte, *bool, *time.Time, *[n]byte, named types of these, or pointers
// to them for NULL; ErrNotFound without a row.
func (r *Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	found := r.rows.Next()
	var err error
	if found {
		err = r.rows.Scan(dest...)
	}
	if e := r.rows.Close(); e != nil {
		return e
	}
	if !found {
		return ErrNotFound
	}
	return err
}

// Rows is the answer of Query: for rows.Next() { rows.Scan(…) }; then rows.Close(), whose error counts.
type Rows struct {
	tx     *Tx
	cursor cursor
	err    error
	closed bool
}

// Next goes to the next row; false at the end, on an error, and when the caller's ctx has ended.
func (r *Rows) Next() bool {
	if r.closed || r.err != nil {
		return false
	}
	if r.err = r.tx.ctx.Err(); r.err != nil {
		return false
	}
	var ok bool
	ok, r.err = r.cursor.next()
	return ok && r.err == nil
}

// Scan reads the columns of the row.
func (r *Rows) Scan(dest ...any) error {
	values := r.cursor.values()
	if len(values) != len(dest) {
		return r.tx.doom(fmt.Errorf("%w: %d columns for %d destinations", ErrMisuse, len(values), len(dest)))
	}
	for i, d := range dest {
		if err := assign(d, values[i]); err != nil {
			return r.tx.doom(fmt.Errorf("column %d: %w", i+1, err))
		}
	}
	return nil
}

// Close ends the query and returns the first error of Next.
func (r *Rows) Close() error {
	if r.closed {
		return r.err
	}
	r.closed = true
	r.tx.open = nil
	if err := r.cursor.close(); r.err == nil {
		r.err = err
	}
	return r.tx.doom(r.err)
}
