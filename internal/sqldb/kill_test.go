package sqldb_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

func goexit() { runtime.Goexit() }

const childURL = "SQLDB_KILL_CHILD"

// TestMain is also the child: it writes from 16 callers and prints what was acknowledged until it is killed.
func TestMain(m *testing.M) {
	if u := os.Getenv(childURL); u != "" {
		child(u)
	}
	os.Exit(m.Run())
}

func child(u string) {
	db, err := sqldb.Open(context.Background(), u)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pid := os.Getpid()
	var out sync.Mutex
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				word := fmt.Sprintf("%d-%d-%d", pid, w, i)
				fail := i%7 == 6
				err := db.Write(context.Background(), func(tx *sqldb.Tx) error {
					if err := insert(word)(tx); err != nil || !fail {
						return err
					}
					return io.ErrUnexpectedEOF
				})
				if (err != nil) != fail {
					fmt.Fprintln(os.Stderr, "unexpected:", err)
					os.Exit(1)
				}
				if err == nil {
					out.Lock()
					fmt.Println(word)
					out.Unlock()
				}
			}
		}()
	}
	select {}
}

// SIGKILL at a random moment of joined writes: every acknowledged row is there, no refused one is, and the file is whole.
func TestKill(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		db := open(t, url)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		acknowledged := map[string]bool{}
		for i := range 20 {
			kill(t, url, time.Duration(20+7*i)*time.Millisecond, acknowledged)
		}
		db = open(t, url)
		kept := map[string]bool{}
		for _, w := range words(t, db) {
			kept[w] = true
			var pid, caller, n int
			if _, err := fmt.Sscanf(w, "%d-%d-%d", &pid, &caller, &n); err != nil || n%7 == 6 {
				t.Errorf("%s was refused but is there", w)
			}
		}
		for w := range acknowledged {
			if !kept[w] {
				t.Errorf("acknowledged %s is missing", w)
			}
		}
		if len(acknowledged) < 100 {
			t.Fatalf("only %d acknowledged: nothing was tried", len(acknowledged))
		}
		t.Logf("%d acknowledged, %d kept", len(acknowledged), len(kept))
		if !db.Postgres() {
			integrity(t, db)
		}
	})
}

func kill(t *testing.T, url string, after time.Duration, acknowledged map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childURL+"="+url)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	first := true
	for lines.Scan() {
		if first {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			first = false
		}
		acknowledged[lines.Text()] = true
	}
	err = cmd.Wait()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != -1 {
		t.Fatalf("the child was not killed: %v", err)
	}
}

func integrity(t *testing.T, db *sqldb.DB) {
	t.Helper()
	if err := db.Read(t.Context(), func(tx *sqldb.Tx) error {
		var verdict string
		if err := tx.QueryRow("SELECT * FROM pragma_integrity_check").Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			return fmt.Errorf("integrity check: %s", verdict)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
