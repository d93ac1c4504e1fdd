package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

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
