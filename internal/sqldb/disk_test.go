package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

// everyOperation is set to let each single operation fail instead of a sample.
var everyOperation = os.Getenv("DOJANG_TEST_FULL") != ""

// TestDiskFails lets the n-th operation on the disk fail in every way. Who was told that a row is written finds it: at once, after
// the disk has healed, and in what a crash in that moment would have left. Who was told otherwise may ask again.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		fault sqldbtest.Fault
		want  []error
	}{
		{"K07 a write finds no room", sqldbtest.Fault{Op: sqldbtest.Write, Once: true, Full: true}, []error{sqldb.ErrFull}},
		{"K07 no write finds room any more", sqldbtest.Fault{Op: sqldbtest.Write, Full: true}, []error{sqldb.ErrFull, sqldb.ErrUnavailable}},
		{"K07 a write fails", sqldbtest.Fault{Op: sqldbtest.Write, Once: true}, []error{sqldb.ErrUnavailable}},
		{"K07 half a write", sqldbtest.Fault{Op: sqldbtest.Write, Once: true, Torn: true}, []error{sqldb.ErrUnavailable}},
		{"K07 half a write, and nothing after it", sqldbtest.Fault{Op: sqldbtest.Write, Torn: true}, []error{sqldb.ErrUnavailable}},
		{"K07 a sync fails", sqldbtest.Fault{Op: sqldbtest.Sync, Once: true}, []error{sqldb.ErrUnavailable}},
		{"K07 a sync fails, and all after it", sqldbtest.Fault{Op: sqldbtest.Sync}, []error{sqldb.ErrUnavailable}},
		{"K07 a truncation fails", sqldbtest.Fault{Op: sqldbtest.Truncate}, []error{sqldb.ErrUnavailable}},
	} {
		t.Run(f.name, func(t *testing.T) {
			tried, reached := 0, true
			for n := 1; reached; n++ {
				if !everyOperation && n > 12 && n%7 != 0 {
					continue
				}
				fault := f.fault
				fault.Nth = n
				reached = diskFails(t, fault, f.want)
				tried++
			}
			t.Logf("%d times", tried)
		})
	}
}

// diskFails reports whether there was an n-th operation.
func diskFails(t *testing.T, fault sqldbtest.Fault, want []error) bool {
	t.Helper()
	dir := t.TempDir()
	disk := sqldbtest.NewDisk(t, dir)
	url := "sqlite://" + filepath.Join(dir, "test.db")
	db, err := sqldb.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Migrate(t.Context(), "test", schema); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	told := map[string]error{}
	write := func(prefix string) {
		var wg sync.WaitGroup
		for i := range 24 {
			wg.Go(func() {
				word := fmt.Sprint(prefix, i)
				err := db.Write(context.Background(), func(tx *sqldb.Tx) error {
					_, err := tx.Exec("INSERT INTO word (text, body) VALUES (?, ?)", word, make([]byte, 900))
					return err
				})
				mu.Lock()
				told[word] = err
				mu.Unlock()
			})
			if i%4 == 3 { // some join, some do not
				wg.Wait()
			}
		}
		wg.Wait()
	}
	write("before-")
	disk.Fail(&fault)
	write("while-")
	failed := disk.Failed()
	if fault.Op == sqldbtest.Truncate { // only an end truncates
		if err := db.Close(); err != nil && failed == 0 && disk.Failed() == 0 {
			t.Fatal(err)
		}
		failed = disk.Failed()
	}
	crash := filepath.Join(t.TempDir(), "crash")
	if err := os.CopyFS(crash, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	disk.Fail(nil)
	if fault.Op != sqldbtest.Truncate {
		write("after-")
		for word, err := range told {
			if err == nil {
				continue
			}
			known := false
			for _, w := range want {
				known = known || errors.Is(err, w)
			}
			if !known || word[0] != 'w' || failed == 0 {
				t.Fatalf("%+v: %s: %v", fault, word, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept(t, url, told, true)
	delete(told, "after-0")
	for word := range told {
		if word[0] == 'a' {
			delete(told, word)
		}
	}
	kept(t, "sqlite://"+filepath.Join(crash, "test.db"), told, false)
	return failed > 0
}

// kept opens a database and compares. What was refused for sure may be there only where nobody could say more.
func kept(t *testing.T, url string, told map[string]error, healed bool) {
	t.Helper()
	db := sqldbtest.Open(t, url)
	integrity(t, db)
	there := map[string]bool{}
	for _, w := range words(t, db) {
		there[w] = true
	}
	for word, err := range told {
		switch {
		case err == nil && !there[word]:
			t.Fatalf("acknowledged %s is missing", word)
		case there[word] && errors.Is(err, sqldb.ErrFull):
			t.Fatalf("%s is there, told: %v", word, err)
		case err != nil && !there[word] && healed:
			if err := db.Write(t.Context(), insert(word)); err != nil {
				t.Fatalf("%s once more: %v", word, err)
			}
		}
	}
}
