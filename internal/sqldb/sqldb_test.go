package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

var schema = fstest.MapFS{"0001_start.sql": {Data: []byte(`
-- words; with a semicolon
CREATE TABLE word (
	id    INTEGER PRIMARY KEY,
	text  TEXT NOT NULL UNIQUE,
	body  BLOB,
	size  INTEGER,
	share REAL,
	at    INTEGER,
	CHECK (text <> 'for;bidden?')
) STRICT;
CREATE TABLE used (code TEXT PRIMARY KEY, by INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE child (word INTEGER NOT NULL REFERENCES word (id)) STRICT;
`)}}

func open(t *testing.T, url string) *sqldb.DB {
	t.Helper()
	db := sqldbtest.Open(t, url)
	if err := db.Migrate(t.Context(), "test", schema); err != nil {
		t.Fatal(err)
	}
	return db
}

func insert(text string) func(*sqldb.Tx) error {
	return func(tx *sqldb.Tx) error {
		_, err := tx.Exec("INSERT INTO word (text) VALUES (?)", text)
		return err
	}
}

func words(t *testing.T, db *sqldb.DB) (out []string) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
		rows, err := tx.Query("SELECT text FROM word ORDER BY id")
		if err != nil {
			return err
		}
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestValues(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		type state string
		at := time.Date(2026, 11, 21, 9, 30, 0, 123456000, time.UTC)
		err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			var id int64
			err := tx.QueryRow("INSERT INTO word (text, body, size, share, at) VALUES (?, ?, ?, ?, ?) RETURNING id",
				state("한가온 '?' \"x\""), [4]byte{1, 2, 3, 4}, true, 0.5, at.In(time.FixedZone("KST", 9*3600))).Scan(&id)
			if err == nil && id != 1 {
				err = fmt.Errorf("id %d", id)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO word (text, body, size, at) VALUES (?, ?, ?, ?)", "null", []byte(nil), nil, time.Time{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		err = db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var text state
			var body [4]byte
			var size bool
			var share float64
			var got time.Time
			q := "SELECT text, body, size, share, at FROM word WHERE text LIKE ? /* ? */ AND '?' = '?' -- ?"
			if err := tx.QueryRow(q, "한%").Scan(&text, &body, &size, &share, &got); err != nil {
				return err
			}
			if text != "한가온 '?' \"x\"" || body != [4]byte{1, 2, 3, 4} || !size || share != 0.5 || got != at {
				return fmt.Errorf("got %q %v %v %v %v", text, body, size, share, got)
			}
			var raw []byte
			var n *int64
			if err := tx.QueryRow("SELECT body, size, at FROM word WHERE text = ?", "null").Scan(&raw, &n, &got); err != nil {
				return err
			}
			if raw != nil || n != nil || !got.IsZero() {
				return fmt.Errorf("got %v %v %v instead of NULLs", raw, n, got)
			}
			var sum, count int64
			if err := tx.QueryRow("SELECT sum(id), count(*) FROM word").Scan(&sum, &count); err != nil {
				return err
			}
			if sum != 3 || count != 2 {
				return fmt.Errorf("sum %d, count %d", sum, count)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestErrors(t *testing.T) {
	tests := []struct {
		name string
		f    func(*sqldb.Tx) error
		want error
	}{
		{"unique", insert("once"), sqldb.ErrUnique},
		{"primary key", func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO word (id, text) VALUES (1, 'other')")
			return err
		}, sqldb.ErrUnique},
		{"unique by returning", func(tx *sqldb.Tx) error {
			var id int
			return tx.QueryRow("INSERT INTO word (text) VALUES ('once') RETURNING id").Scan(&id)
		}, sqldb.ErrUnique},
		{"check", insert("for;bidden?"), sqldb.ErrConstraint},
		{"not null", func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO word (text) VALUES (?)", nil)
			return err
		}, sqldb.ErrConstraint},
		{"foreign key", func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO child (word) VALUES (99)")
			return err
		}, sqldb.ErrConstraint},
		{"no row", func(tx *sqldb.Tx) error {
			var id int
			return tx.QueryRow("SELECT id FROM word WHERE text = 'nobody'").Scan(&id)
		}, sqldb.ErrNotFound},
		{"wrong type", func(tx *sqldb.Tx) error {
			var id int
			return tx.QueryRow("SELECT text FROM word").Scan(&id)
		}, sqldb.ErrMisuse},
		{"NULL into a string", func(tx *sqldb.Tx) error {
			var b string
			return tx.QueryRow("SELECT body FROM word").Scan(&b)
		}, sqldb.ErrMisuse},
		{"unsupported parameter", func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO word (text) VALUES (?)", struct{}{})
			return err
		}, sqldb.ErrMisuse},
		{"swallowed failure", func(tx *sqldb.Tx) error {
			_ = insert("once")(tx)
			if err := insert("after")(tx); !errors.Is(err, sqldb.ErrUnique) {
				return fmt.Errorf("a doomed function went on: %v", err)
			}
			return nil
		}, sqldb.ErrUnique},
		{"two queries at once", func(tx *sqldb.Tx) error {
			if _, err := tx.Query("SELECT id FROM word"); err != nil {
				return err
			}
			return insert("between")(tx)
		}, sqldb.ErrMisuse},
	}
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Write(t.Context(), insert("once")); err != nil {
			t.Fatal(err)
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if err := db.Write(t.Context(), tt.f); !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if diff := cmp.Diff([]string{"once"}, words(t, db)); diff != "" {
					t.Fatalf("state changed: %s", diff)
				}
			})
		}
		t.Run("write in Read", func(t *testing.T) {
			if err := db.Read(t.Context(), insert("read")); !errors.Is(err, sqldb.ErrMisuse) {
				t.Fatalf("got %v", err)
			}
			err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
				var id int
				return tx.QueryRow("INSERT INTO word (text) VALUES ('sly') RETURNING id").Scan(&id)
			})
			if !errors.Is(err, sqldb.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff([]string{"once"}, words(t, db)); diff != "" {
				t.Fatalf("state changed: %s", diff)
			}
		})
	})
}

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

func TestClosed(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if err := db.Write(context.Background(), insert(fmt.Sprint(i))); err != nil && !errors.Is(err, sqldb.ErrClosed) {
					t.Errorf("write: %v", err)
				}
			})
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for _, err := range []error{
			db.Write(t.Context(), insert("late")), db.Read(t.Context(), insert("late")), db.Ping(t.Context()),
		} {
			if !errors.Is(err, sqldb.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestMigrate(t *testing.T) {
	second := fstest.MapFS{"0001_start.sql": schema["0001_start.sql"],
		"0002_more.sql": {Data: []byte("CREATE TABLE more (n INTEGER NOT NULL); INSERT INTO more (n) VALUES (7);")}}
	sqldbtest.Each(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		for range 4 { // four processes start together
			db := sqldbtest.Open(t, url)
			wg.Go(func() {
				if err := db.Migrate(context.Background(), "test", second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		db := sqldbtest.Open(t, url)
		if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var n, rows int
			if err := tx.QueryRow("SELECT sum(n), count(*) FROM more").Scan(&n, &rows); err != nil {
				return err
			}
			if n != 7 || rows != 1 {
				return fmt.Errorf("n %d, rows %d: a migration ran twice", n, rows)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context(), "test", schema); !errors.Is(err, sqldb.ErrNewerSchema) {
			t.Errorf("older program: %v", err)
		}
		changed := fstest.MapFS{"0001_start.sql": {Data: []byte("SELECT 1")}, "0002_more.sql": second["0002_more.sql"]}
		if err := db.Migrate(t.Context(), "test", changed); !errors.Is(err, sqldb.ErrChangedMigration) {
			t.Errorf("changed file: %v", err)
		}
		broken := fstest.MapFS{"0001_a.sql": {Data: []byte("CREATE TABLE half (n INTEGER); CREATE TABEL typo (n INTEGER);")}}
		if err := db.Migrate(t.Context(), "other", broken); err == nil {
			t.Error("broken migration accepted")
		}
		if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
			var n int
			return tx.QueryRow("SELECT count(*) FROM half").Scan(&n)
		}); err == nil {
			t.Error("half a migration was kept")
		}
		gap := fstest.MapFS{"0002_a.sql": {Data: []byte("SELECT 1")}}
		if err := db.Migrate(t.Context(), "gap", gap); !errors.Is(err, sqldb.ErrMisuse) {
			t.Errorf("gap: %v", err)
		}
	})
}

// Power loss cannot be had here; what makes a commit durable is asserted instead.
func TestDurable(t *testing.T) {
	dir := t.TempDir()
	base := "sqlite://" + filepath.Join(dir, "new", "a.db")
	t.Run("K08 synchronous=NORMAL in the production profile", func(t *testing.T) {
		for _, mode := range []string{"NORMAL", "normal", "OFF", "1", ""} {
			if _, err := sqldb.Open(t.Context(), base+"?synchronous="+mode); !errors.Is(err, sqldb.ErrUnsafe) {
				t.Errorf("%q: %v", mode, err)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "new")); !os.IsNotExist(err) {
			t.Error("a refused configuration left files behind")
		}
		db, err := sqldb.New(t.Context(), sqldb.Config{URL: base + "?synchronous=NORMAL", Development: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
	db := open(t, base)
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
			rows, err := tx.Query("SELECT CAST((SELECT * FROM pragma_" + pragma + ") AS TEXT)")
			if err != nil {
				return err
			}
			var got string
			rows.Next()
			if err := errors.Join(rows.Scan(&got), rows.Close()); err != nil {
				return err
			}
			if got != want {
				return fmt.Errorf("%s = %s, want %s", pragma, got, want)
			}
		}
		return insert("x")(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(dir, "new"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f.Name(), info.Mode())
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "new")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, u := range []string{"", "mysql://x/y", "sqlite://relative.db", "sqlite:relative.db", "sqlite:///x?mode=memory", "postgres://%zz",
		"sqlite:///tmp/x?synchronous=FULL&synchronous=OFF"} {
		if _, err := sqldb.Open(t.Context(), u); !errors.Is(err, sqldb.ErrMisuse) {
			t.Errorf("%s: %v", u, err)
		}
	}
	_, err := sqldb.Open(t.Context(), "postgres://user:geheim@127.0.0.1:1/x?connect_timeout=1")
	if !errors.Is(err, sqldb.ErrUnavailable) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("dead server: %v", err)
	}
}

// A full disk, emulated by a bound on the file's pages: writes fail as ErrFull, reads go on, and it recovers.
func TestFull(t *testing.T) {
	db := open(t, sqldbtest.SQLite(t))
	pages := func(n int) error {
		return db.Write(t.Context(), func(tx *sqldb.Tx) error {
			var got int
			return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", n)).Scan(&got)
		})
	}
	if err := pages(40); err != nil {
		t.Fatal(err)
	}
	var kept []string
	var full error
	for i := 0; full == nil && i < 100; i++ {
		word := fmt.Sprint("word-", i)
		full = db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec("INSERT INTO word (text, body) VALUES (?, ?)", word, make([]byte, 5000))
			return err
		})
		if full == nil {
			kept = append(kept, word)
		}
	}
	if !errors.Is(full, sqldb.ErrFull) {
		t.Fatalf("got %v", full)
	}
	if diff := cmp.Diff(kept, words(t, db)); diff != "" {
		t.Fatal(diff)
	}
	if err := pages(1000); err != nil {
		t.Fatal(err)
	}
	if err := db.Write(t.Context(), insert("after")); err != nil {
		t.Fatalf("after the disk has room again: %v", err)
	}
}

// PostgreSQL ends our connection in the middle: nothing of that batch is there, the next write works.
func TestConnectionLost(t *testing.T) {
	server := os.Getenv("DOJANG_TEST_POSTGRES")
	if server == "" {
		t.Skip("DOJANG_TEST_POSTGRES is not set")
	}
	db := open(t, sqldbtest.Postgres(t, server))
	err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
		if err := insert("lost")(tx); err != nil {
			return err
		}
		_, err := tx.Exec("SELECT pg_terminate_backend(pg_backend_pid())")
		return err
	})
	if !errors.Is(err, sqldb.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := db.Write(t.Context(), insert("after")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"after"}, words(t, db)); diff != "" {
		t.Fatal(diff)
	}
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
