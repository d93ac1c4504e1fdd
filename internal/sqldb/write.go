package sqldb

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// A call is one caller of Write: waiting, then running or withdrawn.
type call struct {
	ctx   context.Context
	f     func(*Tx) error
	state atomic.Int32
	err   error         // written by the loop before done
	done  chan struct{} // one token when the outcome is known
	tx    *Tx
}

const (
	waiting int32 = iota
	running
	withdrawn
)

// Write runs f in a joined commit and returns after it is durable. f's error is returned as it is, and then nothing
// of f was written. A ctx that ends while f waits for its turn takes f out; once f runs, Write waits for the outcome.
// A panic in f is returned as *PanicError.
func (db *DB) Write(ctx context.Context, f func(*Tx) error) error {
	c := &call{ctx: ctx, f: f, done: make(chan struct{}, 1)}
	db.mu.RLock()
	if db.closed {
		db.mu.RUnlock()
		return ErrClosed
	}
	select {
	case db.queue <- c:
		db.mu.RUnlock()
	case <-ctx.Done():
		db.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if c.state.CompareAndSwap(waiting, withdrawn) {
			return ctx.Err()
		}
		<-c.done
	}
	return c.err
}

// run is the write loop: it owns the write link, and is alone in that.
func (db *DB) run() {
	again := true
	defer func() {
		if again { // a function ended this goroutine (runtime.Goexit, as t.FailNow does); the queue must live on
			go db.run()
			return
		}
		close(db.ended)
	}()
	batch := make([]*call, 0, db.maxJoin)
	for first := range db.queue {
		// Callers woken by the last commit get a chance to join this one: a few yields, never a wait.
		for i := 0; i < 16 && len(db.queue)+1 < len(batch); i++ {
			runtime.Gosched()
		}
		batch = append(batch[:0], first)
		db.join(&batch)
		db.commitAll(batch)
		clear(batch)
	}
	again = false
}

// join takes who waits, without waiting.
func (db *DB) join(batch *[]*call) {
	for len(*batch) < db.maxJoin {
		select {
		case c, ok := <-db.queue:
			if !ok {
				return
			}
			*batch = append(*batch, c)
		default:
			return
		}
	}
}

// commitAll runs a batch in one transaction and tells everybody the outcome.
func (db *DB) commitAll(batch []*call) {
	whole := errors.New("sqldb: a joined function ended the goroutine")
	defer func() {
		for i := len(batch) - 1; i >= 0; i-- { // undo in reverse
			c := batch[i]
			if whole != nil && c.err == nil && c.state.Load() == running {
				c.err = whole
			}
			if c.tx != nil && c.err != nil {
				c.tx.rollBack()
			}
			c.done <- struct{}{}
		}
	}()
	whole = db.transaction(batch)
}

// transaction returns an error when nothing of the batch was committed.
func (db *DB) transaction(batch []*call) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range batch {
		if c.ctx.Err() != nil && c.state.CompareAndSwap(waiting, withdrawn) {
			c.err = c.ctx.Err()
		} else {
			c.state.CompareAndSwap(waiting, running)
		}
	}
	if db.link == nil {
		if db.link, err = db.engine.writer(ctx); err != nil {
			return err
		}
	}
	committed := false
	defer func() {
		if !committed {
			db.abandon(ctx, err)
		}
	}()
	for _, c := range db.engine.beginWrite() {
		if err := db.link.later(c); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	s := &shared{db: db, ctx: ctx, alone: len(batch) == 1}
	for _, c := range batch {
		if c.state.Load() != running {
			continue
		}
		if err := s.runOne(c); err != nil {
			return err
		}
	}
	if !s.wrote {
		return nil // nothing to make durable; abandon rolls back
	}
	if err := s.beforeCommit(); err != nil {
		return err
	}
	if err := db.link.now(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// abandon rolls back; a link that cannot even do that is replaced before the next batch. So is one that met an I/O
// error: what the kernel still holds of its pages is not known after a failed fsync.
func (db *DB) abandon(ctx context.Context, cause error) {
	db.link.discard()
	if err := db.link.now(ctx, "ROLLBACK"); err != nil || fatal(cause) {
		_ = db.link.close() // the cause is what callers get
		db.link = nil
	}
}

// shared is one joined transaction.
type shared struct {
	db      *DB
	ctx     context.Context
	alone   bool  // one function only: it needs no savepoint
	mark    bool  // the savepoint of an earlier function is still open
	wrote   bool  // a function that succeeded may have changed something
	err     error // transaction control failed: nobody can be rolled back alone
	locals  map[any]any
	commits []func(*Tx) error
}

// runOne runs c's function. Its own failure is put into c; a returned error is the whole transaction's.
func (s *shared) runOne(c *call) error {
	tx := &Tx{db: s.db, link: s.db.link, ctx: c.ctx, linkCtx: s.ctx, shared: s}
	c.tx = tx
	hooks := len(s.commits)
	if c.err = tx.call(c.f); c.err == nil {
		s.wrote = s.wrote || tx.touched
		return nil
	}
	tx.rollBack()
	s.commits = s.commits[:hooks]
	switch {
	case s.err != nil:
		return s.err
	case fatal(tx.doomed): // the engine may have rolled back everything by itself
		return tx.doomed
	case !tx.touched:
		return nil
	case s.alone:
		return c.err
	case !s.db.link.settled(): // our savepoint may not exist: rolling back to it could hit an earlier function's
		return fmt.Errorf("set savepoint: %w", c.err)
	}
	if err := s.db.link.now(s.ctx, "ROLLBACK TO SAVEPOINT f"); err != nil {
		return fmt.Errorf("roll one function back: %w", err)
	}
	return nil
}

// savepoint is set before the first statement of a function that could leave something behind.
func (s *shared) savepoint() error {
	if s.alone {
		return nil
	}
	if s.mark {
		s.err = s.db.link.later("RELEASE SAVEPOINT f")
	}
	if s.err == nil {
		s.err = s.db.link.later("SAVEPOINT f")
	}
	s.mark = true
	return s.err
}

func (s *shared) beforeCommit() error {
	for _, f := range s.commits {
		tx := &Tx{db: s.db, link: s.db.link, ctx: s.ctx, linkCtx: s.ctx, shared: s, touched: true}
		if err := tx.call(f); err != nil {
			return err
		}
	}
	return nil
}

// call runs f, contains its panic, and ends the use of tx.
func (tx *Tx) call(f func(*Tx) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		tx.over = true
		if tx.open != nil {
			if e := tx.open.Close(); e != nil && tx.doomed == nil {
				tx.doomed = e
			}
		}
		if err == nil {
			err = tx.doomed
		}
	}()
	return f(tx)
}
