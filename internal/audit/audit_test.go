package audit_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

var effects = fstest.MapFS{"0001_effect.sql": {Data: []byte("CREATE TABLE effect (n INTEGER PRIMARY KEY) STRICT;")}}

func newLog(t *testing.T, now func() time.Time) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Config{Now: now, PseudonymKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func open(t *testing.T, l *audit.Log, url string) *sqldb.DB {
	t.Helper()
	db := sqldbtest.Open(t, url)
	if err := errors.Join(l.Migrate(t.Context(), db), db.Migrate(t.Context(), "effects", effects)); err != nil {
		t.Fatal(err)
	}
	return db
}

func entry(i int) audit.Entry {
	return audit.Entry{Chain: "gaon", Actor: "officer-7", Action: "credential.revoke",
		Object: fmt.Sprintf("cred-%d", i), Reason: "lost", Detail: "copies=10"}
}

// act is an effect with its record in one transaction.
func act(l *audit.Log, db *sqldb.DB, i int, e audit.Entry) error {
	return db.Write(context.Background(), func(tx *sqldb.Tx) error {
		if _, err := tx.Exec("INSERT INTO effect (n) VALUES (?)", i); err != nil {
			return err
		}
		return l.Append(tx, e)
	})
}

func count(t *testing.T, db *sqldb.DB, table string) (n int) {
	t.Helper()
	if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM " + table).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// The format is signed elsewhere and kept for years: this value must never change.
func TestFormat(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		now := time.Date(2026, 11, 21, 0, 0, 0, 1000, time.UTC)
		l := newLog(t, func() time.Time { return now })
		db := open(t, l, url)
		for i := range 2 {
			if err := act(l, db, i, entry(i)); err != nil {
				t.Fatal(err)
			}
			now = now.Add(-time.Hour) // a clock that goes back does not take the log along
		}
		head, err := l.Head(t.Context(), db, "gaon")
		if err != nil {
			t.Fatal(err)
		}
		const want = "254b147eae41b5ba15b2dba28e087a69974c1a809dfa0974237909e349041b96"
		if got := hex.EncodeToString(head.Hash[:]); got != want || head.Seq != 2 {
			t.Errorf("head %d %s", head.Seq, got)
		}
		if !head.Time.Equal(time.Date(2026, 11, 21, 0, 0, 0, 1000, time.UTC)) {
			t.Errorf("time %v", head.Time)
		}
	})
}

// Many callers, two replicas, some of whom fail: one chain, one entry an effect.
func TestConcurrent(t *testing.T) {
	refused := errors.New("refused")
	sqldbtest.Each(t, func(t *testing.T, url string) {
		l := newLog(t, nil)
		dbs := []*sqldb.DB{open(t, l, url), open(t, l, url)}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				err := dbs[i%2].Write(context.Background(), func(tx *sqldb.Tx) error {
					e := entry(i)
					e.Chain = []string{"gaon", "seoul", "gaon", "customs"}[i%4]
					if err := l.Append(tx, e); err != nil {
						return err
					}
					if i%5 == 0 {
						return refused
					}
					_, err := tx.Exec("INSERT INTO effect (n) VALUES (?)", i)
					return err
				})
				if (i%5 == 0) != errors.Is(err, refused) || i%5 != 0 && err != nil {
					t.Errorf("%d: %v", i, err)
				}
			})
		}
		wg.Wait()
		chains, err := l.Chains(t.Context(), dbs[0])
		if err != nil || strings.Join(chains, " ") != "customs gaon seoul" {
			t.Fatalf("%v %v", chains, err)
		}
		var total int64
		for _, c := range chains {
			n, err := l.Verify(t.Context(), dbs[0], c)
			if err != nil {
				t.Error(err)
			}
			total += n
		}
		if total != 160 || count(t, dbs[0], "effect") != 160 {
			t.Errorf("%d entries, %d effects", total, count(t, dbs[0], "effect"))
		}
	})
}

func TestTampering(t *testing.T) {
	tests := []struct {
		name       string
		statements []string
		checkpoint bool // needed to see it
	}{
		{"J22 UPDATE of a field", []string{"UPDATE audit_entry SET actor = 'nobody' WHERE seq = 5"}, false},
		{"J22 UPDATE of the time", []string{"UPDATE audit_entry SET at = at - 1 WHERE seq = 5"}, false},
		{"J22 DELETE in the middle", []string{"DELETE FROM audit_entry WHERE seq = 5"}, false},
		{"J22 DELETE of the first", []string{"DELETE FROM audit_entry WHERE seq = 1"}, false},
		{"J22 DELETE in the middle, renumbered", []string{"DELETE FROM audit_entry WHERE seq = 10", "UPDATE audit_head SET seq = 9"}, false},
		{"J22 reorder", []string{"UPDATE audit_entry SET seq = 100 WHERE seq = 5", "UPDATE audit_entry SET seq = 5 WHERE seq = 6",
			"UPDATE audit_entry SET seq = 6 WHERE seq = 100"}, false},
		{"J22 swapped hash", []string{"UPDATE audit_entry SET hash = (SELECT hash FROM audit_entry WHERE seq = 4) WHERE seq = 5"}, false},
		{"J22 truncated tail", []string{"DELETE FROM audit_entry WHERE seq > 8"}, false},
		{"J22 truncated tail with its head", []string{"DELETE FROM audit_entry WHERE seq > 8",
			"UPDATE audit_head SET seq = 8, hash = (SELECT hash FROM audit_entry WHERE seq = 8)"}, true},
		{"J22 emptied", []string{"DELETE FROM audit_entry", "DELETE FROM audit_head"}, true},
		{"J22 head set back", []string{"UPDATE audit_head SET seq = 9, hash = (SELECT hash FROM audit_entry WHERE seq = 9)"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLog(t, nil)
			db := open(t, l, sqldbtest.SQLite(t))
			for i := range 10 {
				if err := act(l, db, i, entry(i)); err != nil {
					t.Fatal(err)
				}
			}
			anchored, err := l.Head(t.Context(), db, "gaon")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := l.Verify(t.Context(), db, "gaon", anchored); n != 10 || err != nil {
				t.Fatalf("untouched: %d, %v", n, err)
			}
			if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
				for _, s := range tt.statements {
					if _, err := tx.Exec(s); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Verify(t.Context(), db, "gaon"); errors.Is(err, audit.ErrTampered) == tt.checkpoint {
				t.Errorf("without checkpoint: %v", err)
			}
			if _, err := l.Verify(t.Context(), db, "gaon", anchored); !errors.Is(err, audit.ErrTampered) {
				t.Errorf("with checkpoint: %v", err)
			}
		})
	}
	t.Run("J22 chain computed anew", func(t *testing.T) {
		l := newLog(t, nil)
		db, other := open(t, l, sqldbtest.SQLite(t)), open(t, l, sqldbtest.SQLite(t))
		if err := errors.Join(act(l, db, 1, entry(1)), act(l, other, 1, entry(2))); err != nil {
			t.Fatal(err)
		}
		anchored, err := l.Head(t.Context(), db, "gaon")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(t.Context(), other, "gaon"); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Verify(t.Context(), other, "gaon", anchored); !errors.Is(err, audit.ErrTampered) {
			t.Errorf("got %v", err)
		}
	})
}

// No record, no effect.
func TestUnavailable(t *testing.T) {
	broken := map[string]string{
		"J23 audit table gone":      "DROP TABLE audit_entry",
		"J23 audit head gone":       "DROP TABLE audit_head",
		"J23 audit head locked out": "ALTER TABLE audit_head RENAME COLUMN hash TO other",
	}
	for name, statement := range broken {
		t.Run(name, func(t *testing.T) {
			sqldbtest.Each(t, func(t *testing.T, url string) {
				l := newLog(t, nil)
				db := open(t, l, url)
				if err := act(l, db, 1, entry(1)); err != nil {
					t.Fatal(err)
				}
				if err := db.Write(t.Context(), func(tx *sqldb.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
					t.Fatal(err)
				}
				if err := act(l, db, 2, entry(2)); !errors.Is(err, audit.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if n := count(t, db, "effect"); n != 1 {
					t.Errorf("%d effects", n)
				}
			})
		})
	}
	t.Run("J23 storage full", func(t *testing.T) {
		l := newLog(t, nil)
		db := open(t, l, sqldbtest.SQLite(t))
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			var n int
			return tx.QueryRow("PRAGMA max_page_count = 12").Scan(&n)
		}); err != nil {
			t.Fatal(err)
		}
		done := 0
		var err error
		for ; err == nil && done < 2000; done++ {
			err = act(l, db, done, entry(done))
		}
		done-- // the last one was refused
		if !errors.Is(err, sqldb.ErrFull) {
			t.Fatalf("got %v", err)
		}
		n, err := l.Verify(t.Context(), db, "gaon")
		if err != nil || int(n) != done || count(t, db, "effect") != done {
			t.Errorf("%d done, %d entries, %d effects, %v", done, n, count(t, db, "effect"), err)
		}
	})
}

func TestEntryRefused(t *testing.T) {
	l := newLog(t, nil)
	db := open(t, l, sqldbtest.SQLite(t))
	tests := []struct {
		name string
		e    audit.Entry
		ok   bool
	}{
		{"no chain", audit.Entry{Action: "a"}, false},
		{"no action", audit.Entry{Chain: "c"}, false},
		{"too long", audit.Entry{Chain: "c", Action: strings.Repeat("x", 257)}, false},
		{"J20 line break", audit.Entry{Chain: "c", Action: "a", Reason: "x\r\n2026 admin granted"}, false},
		{"J20 terminal escape", audit.Entry{Chain: "c", Action: "a", Actor: "\x1b[2J"}, false},
		{"J20 bidi override", audit.Entry{Chain: "c", Action: "a", Actor: "\u202e"}, false},
		{"not UTF-8", audit.Entry{Chain: "c", Action: "a", Detail: "\xff"}, false},
		{"J21 resident number in a reason", audit.Entry{Chain: "c", Action: "a", Reason: "본인 " + number("-")}, false},
		{"J21 resident number without hyphen", audit.Entry{Chain: "c", Action: "a", Object: number("")}, false},
		{"J21 resident number in a query", audit.Entry{Chain: "c", Action: "a", Detail: "id=" + number("-") + "&x=1"}, false},
		{"digits of a hash", audit.Entry{Chain: "c", Action: "a", Object: "f" + number("") + "e00"}, true},
		{"a file number", audit.Entry{Chain: "c", Action: "a", Reason: "민원 2026-1121-0042"}, true},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := count(t, db, "effect")
			err := act(l, db, i, tt.e)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, audit.ErrEntry) {
				t.Fatalf("got %v", err)
			}
			if after := count(t, db, "effect"); (after == before+1) != tt.ok {
				t.Errorf("%d effects, then %d", before, after)
			}
		})
	}
}

// number has the shape of a resident number, made at run time so that no such text stands in the sources.
func number(hyphen string) string {
	return fmt.Sprintf("%02d%02d%02d%s%d%06d", 99, 12, 31, hyphen, 1, 0)
}

func TestListAndPseudonym(t *testing.T) {
	l := newLog(t, nil)
	db := open(t, l, sqldbtest.SQLite(t))
	for i := range 5 {
		if err := act(l, db, i, entry(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	records, err := l.List(t.Context(), db, audit.ListQuery{Chain: "gaon", Object: "cred-1", After: 2})
	if err != nil || len(records) != 1 || records[0].Seq != 4 || records[0].Entry != entry(1) {
		t.Errorf("%v %v", records, err)
	}
	if records, err := l.List(t.Context(), db, audit.ListQuery{Chain: "gaon", Limit: 2}); err != nil || len(records) != 2 {
		t.Errorf("%v %v", records, err)
	}
	a, b := l.Pseudonym("person", "han-gaon"), l.Pseudonym("person", "han-gao")
	if len(a) != 32 || a == b || a == l.Pseudonym("perso", "nhan-gaon") {
		t.Errorf("pseudonyms %s %s", a, b)
	}
	if _, err := audit.New(audit.Config{PseudonymKey: make([]byte, 31)}); err == nil {
		t.Error("short key accepted")
	}
}
