package sqldb_test

import (
	"context"
	"errors"
	"fmt"
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

func TestReadRow(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Write(t.Context(), insert("a")); err != nil {
			t.Fatal(err)
		}
		var text string
		byText := func(s string) sqldb.Query {
			return sqldb.Query{SQL: `SELECT text FROM word WHERE text = ?`, Args: []any{s}}
		}
		if err := db.ReadRow(t.Context(), byText("a"), &text); err != nil || text != "a" {
			t.Errorf("%q %v", text, err)
		}
		if err := db.ReadRow(t.Context(), byText("b"), &text); !errors.Is(err, sqldb.ErrNotFound) {
			t.Error(err)
		}
		over, end := context.WithCancel(t.Context())
		end()
		if err := db.ReadRow(over, byText("a"), &text); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for _, bad := range []string{`SELECT nothing FROM word`, `DELETE FROM word RETURNING text`} {
			if err := db.ReadRow(t.Context(), sqldb.Query{SQL: bad}, &text); err == nil {
				t.Errorf("%s: no error", bad)
			}
		}
		for range 20 { // more than there are readers: none was lost
			if err := db.ReadRow(t.Context(), byText("a"), &text); err != nil {
				t.Fatal(err)
			}
		}
		if w := words(t, db); len(w) != 1 {
			t.Errorf("%d rows", len(w))
		}
	})
}
