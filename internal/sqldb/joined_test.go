package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

// One of 50 who use the same code at the same time wins (what THREATS B07 and K02 rest on).
func TestUniqueRace(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		first, second := open(t, url), open(t, url) // two replicas, or two processes on one file
		for round := range 10 {
			var won, lost atomic.Int32
			code := fmt.Sprintf("code-%d", round)
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					db := first
					if i%2 == 1 {
						db = second
					}
					err := db.Write(context.Background(), func(tx *sqldb.Tx) error {
						_, err := tx.Exec("INSERT INTO used (code, by) VALUES (?, ?)", code, i)
						return err
					})
					switch {
					case err == nil:
						won.Add(1)
					case errors.Is(err, sqldb.ErrUnique):
						lost.Add(1)
					default:
						t.Errorf("unexpected: %v", err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || lost.Load() != 49 {
				t.Fatalf("round %d: %d won, %d lost", round, won.Load(), lost.Load())
			}
		}
	})
}

// hold keeps the write loop busy until release, so that what follows joins one transaction.
func hold(t *testing.T, db *sqldb.DB) (release func()) {
	t.Helper()
	gate, entered, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- db.Write(context.Background(), func(*sqldb.Tx) error { close(entered); <-gate; return nil })
	}()
	<-entered
	return func() {
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

type txKey struct{}

// Many functions in one transaction: those that fail, panic or leave are alone in that.
func TestJoined(t *testing.T) {
	refused := errors.New("refused")
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Write(t.Context(), insert("taken")); err != nil {
			t.Fatal(err)
		}
		release := hold(t, db)
		var wg sync.WaitGroup
		var transactions, undone atomic.Int32
		leaver, leave := context.WithCancel(context.Background())
		results := make([]error, 30)
		for i := range results {
			wg.Go(func() {
				ctx := context.Background()
				if i%5 == 4 {
					ctx = leaver
				}
				results[i] = db.Write(ctx, func(tx *sqldb.Tx) error {
					if _, err := tx.Local(txKey{}, func() (any, error) { transactions.Add(1); return nil, nil }); err != nil {
						return err
					}
					tx.OnRollback(func() { undone.Add(1) })
					if err := insert(fmt.Sprintf("word-%02d", i))(tx); err != nil {
						return err
					}
					switch i % 5 {
					case 1:
						return refused
					case 2:
						panic("한가온")
					case 3:
						return insert("taken")(tx)
					}
					return nil
				})
			})
		}
		time.Sleep(50 * time.Millisecond) // let them queue
		leave()
		time.Sleep(20 * time.Millisecond)
		release()
		wg.Wait()
		var want []string
		for i, err := range results {
			var p *sqldb.PanicError
			ok := false
			switch i % 5 {
			case 0:
				ok, want = err == nil, append(want, fmt.Sprintf("word-%02d", i))
			case 1:
				ok = err == refused
			case 2:
				ok = errors.As(err, &p) && !strings.Contains(err.Error(), "한가온")
			case 3:
				ok = errors.Is(err, sqldb.ErrUnique)
			case 4:
				ok = errors.Is(err, context.Canceled)
			}
			if !ok {
				t.Errorf("function %d: %v", i, err)
			}
		}
		got := map[string]bool{}
		for _, w := range words(t, db) {
			got[w] = true
		}
		for _, w := range want {
			if !got[w] {
				t.Errorf("acknowledged %s is missing", w)
			}
		}
		if n := undone.Load(); n != 18 {
			t.Errorf("%d undone", n)
		}
		// A function that makes the local value and is rolled back takes it along: at most one build each of those.
		if n := transactions.Load(); n < 1 || n > 24 {
			t.Errorf("%d local values", n)
		}
		if len(got) != 7 {
			t.Errorf("%d rows", len(got))
		}
	})
}

// A commit that cannot be made fails everybody who joined, and leaves nothing.
func TestSharedFailure(t *testing.T) {
	refused := errors.New("refused before commit")
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		release := hold(t, db)
		var wg sync.WaitGroup
		var undone atomic.Int32
		results := make([]error, 10)
		for i := range results {
			wg.Go(func() {
				results[i] = db.Write(context.Background(), func(tx *sqldb.Tx) error {
					tx.OnRollback(func() { undone.Add(1) })
					if i == 3 {
						tx.BeforeCommit(func(tx *sqldb.Tx) error {
							if err := insert("hook")(tx); err != nil {
								return err
							}
							return refused
						})
					}
					return insert(fmt.Sprint("word-", i))(tx)
				})
			})
		}
		time.Sleep(50 * time.Millisecond)
		release()
		wg.Wait()
		for i, err := range results {
			if !errors.Is(err, refused) {
				t.Errorf("function %d: %v", i, err)
			}
		}
		if undone.Load() != 10 {
			t.Errorf("%d undone", undone.Load())
		}
		if w := words(t, db); len(w) != 0 {
			t.Errorf("rows %v", w)
		}
		if err := db.Write(t.Context(), insert("after")); err != nil {
			t.Fatalf("the next write: %v", err)
		}
	})
}

// A function that ends its goroutine (as t.FailNow does) must not take the queue with it.
func TestGoexit(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error { goexit(); return insert("x")(tx) })
		if err == nil {
			t.Fatal("no error")
		}
		if err := db.Write(t.Context(), insert("after")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"after"}, words(t, db)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A statement that does not parse, joined with good ones, never undoes an acknowledged neighbour.
func TestBadStatementJoined(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		release := hold(t, db)
		var wg sync.WaitGroup
		results := make([]error, 20)
		for i := range results {
			wg.Go(func() {
				results[i] = db.Write(context.Background(), func(tx *sqldb.Tx) error {
					if i%4 == 3 {
						_, err := tx.Exec(fmt.Sprintf("INSERT INTO nowhere%d (x) VALUES (1)", i))
						return err
					}
					return insert(fmt.Sprint("word-", i))(tx)
				})
			})
		}
		time.Sleep(50 * time.Millisecond)
		release()
		wg.Wait()
		got := words(t, db)
		acknowledged := 0
		for i, err := range results {
			if err == nil {
				acknowledged++
				if !strings.Contains(strings.Join(got, " ")+" ", fmt.Sprint("word-", i, " ")) {
					t.Errorf("acknowledged word-%d is missing", i)
				}
			}
		}
		if acknowledged != len(got) {
			t.Errorf("%d acknowledged, %d rows", acknowledged, len(got))
		}
	})
}

// Replicas that lock the same row take turns.
func TestLockRow(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		first, second := open(t, url), open(t, url)
		if err := first.Write(t.Context(), insert("counter")); err != nil {
			t.Fatal(err)
		}
		if err := first.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec("UPDATE word SET size = 0")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for _, db := range []*sqldb.DB{first, second} {
			for range 25 {
				wg.Go(func() {
					err := db.Write(context.Background(), func(tx *sqldb.Tx) error {
						var n int
						if err := tx.LockRow("SELECT size FROM word WHERE text = ?", "counter").Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec("UPDATE word SET size = ? WHERE text = ?", n+1, "counter")
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		var n int
		if err := first.Read(t.Context(), func(tx *sqldb.Tx) error {
			return tx.QueryRow("SELECT size FROM word").Scan(&n)
		}); err != nil || n != 50 {
			t.Fatalf("%d, %v", n, err)
		}
	})
}
