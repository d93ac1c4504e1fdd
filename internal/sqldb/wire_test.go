package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

// TestWireIsCut cuts the connection to PostgreSQL in the n-th transaction of joined writers.
func TestWireIsCut(t *testing.T) {
	server := os.Getenv("DOJANG_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DOJANG_TEST_POSTGRES is not set")
		}
		t.Skip("DOJANG_TEST_POSTGRES is not set")
	}
	for _, moment := range []sqldbtest.Moment{sqldbtest.BeforeCommit, sqldbtest.AfterCommit, sqldbtest.InStatement, sqldbtest.BeforeAnswer} {
		t.Run("K06 "+string(moment), func(t *testing.T) {
			wire, url := sqldbtest.NewWire(t, sqldbtest.Postgres(t, server))
			db := open(t, url)
			lost := 0
			for n := 1; n <= 5; n++ {
				wire.Cut(moment, n)
				told := writers(db, fmt.Sprintf("%d-", n))
				if wire.Cuts() != 1 {
					t.Fatalf("%d cuts", wire.Cuts())
				}
				wire.Cut(moment, 0)
				there := map[string]bool{}
				for _, w := range words(t, db) {
					there[w] = true
				}
				for word, err := range told {
					switch {
					case err == nil && !there[word]:
						t.Errorf("acknowledged %s is missing", word)
					case err != nil && !errors.Is(err, sqldb.ErrUnavailable):
						t.Errorf("%s: %v", word, err)
					case err != nil && there[word] != (moment == sqldbtest.AfterCommit):
						t.Errorf("%s there: %v", word, there[word])
					case err != nil: // once more: done, or done already
						lost++
						if err := db.Write(t.Context(), insert(word)); (err == nil) != !there[word] || err != nil && !errors.Is(err, sqldb.ErrUnique) {
							t.Errorf("%s once more: %v", word, err)
						}
					}
				}
			}
			if lost == 0 {
				t.Error("nobody was hurt")
			}
		})
	}
}

// writers write from many callers at once and say what each was told.
func writers(db *sqldb.DB, prefix string) map[string]error {
	var mu sync.Mutex
	told := map[string]error{}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			word := fmt.Sprint(prefix, i)
			err := db.Write(context.Background(), insert(word))
			mu.Lock()
			told[word] = err
			mu.Unlock()
		})
		if i%5 == 4 {
			wg.Wait()
		}
	}
	wg.Wait()
	return told
}

// TestServerIsKilled ends PostgreSQL at once under load and starts it again.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := sqldbtest.NewServer(t)
	db := open(t, server.URL())
	t.Run("K06 PostgreSQL ends at once under load", func(t *testing.T) {
		told := map[string]error{}
		for round := range 3 {
			var mu sync.Mutex
			var wg sync.WaitGroup
			stop := make(chan struct{})
			for w := range 8 {
				wg.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-stop:
							return
						default:
						}
						word := fmt.Sprintf("%d-%d-%d", round, w, i)
						err := db.Write(context.Background(), insert(word))
						mu.Lock()
						told[word] = err
						mu.Unlock()
						if err != nil {
							time.Sleep(5 * time.Millisecond)
						}
					}
				})
			}
			time.Sleep(300 * time.Millisecond)
			server.Kill()
			if err := db.Ping(t.Context()); !errors.Is(err, sqldb.ErrUnavailable) {
				t.Errorf("while it is away: %v", err)
			}
			server.Start()
			for end := time.Now().Add(30 * time.Second); db.Write(t.Context(), insert(fmt.Sprint("back-", round, time.Now().UnixNano()))) != nil; {
				if time.Now().After(end) {
					t.Fatal("it does not come back")
				}
			}
			close(stop)
			wg.Wait()
		}
		there := map[string]bool{}
		for _, w := range words(t, db) {
			if there[w] {
				t.Errorf("%s twice", w)
			}
			there[w] = true
		}
		acknowledged, refused := 0, 0
		for word, err := range told {
			switch {
			case err == nil:
				acknowledged++
				if !there[word] {
					t.Errorf("acknowledged %s is missing", word)
				}
			case !errors.Is(err, sqldb.ErrUnavailable):
				t.Errorf("%s: %v", word, err)
			default:
				refused++
			}
		}
		if acknowledged < 10 || refused == 0 {
			t.Errorf("%d acknowledged, %d refused", acknowledged, refused)
		}
		t.Logf("%d acknowledged, %d refused", acknowledged, refused)
	})
}
