package holder_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// killAt names the database that a child of this test works on.
const killAt = "DOJANG_TEST_HOLDER_KILL"

// A wallet that dies while the verifier reads its answer has marked the copy: nobody else will ever see it.
func TestKilledWhilePresenting(t *testing.T) {
	if database := os.Getenv(killAt); database != "" {
		w := openWorld(t, database)
		w.receive()
		w.shop.instead["/response"] = func(http.ResponseWriter, *http.Request) { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) }
		_, err := w.show()
		t.Fatalf("still alive: %v", err)
	}
	database := sqldbtest.SQLite(t)
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWhilePresenting$")
	child.Env = append(os.Environ(), killAt+"="+database)
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if status, ok := func() (syscall.WaitStatus, bool) {
		if !errors.As(err, &exit) {
			return 0, false
		}
		s, ok := exit.Sys().(syscall.WaitStatus)
		return s, ok
	}(); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended with %v:\n%s", err, out)
	}
	db := must(sqldb.Open(t.Context(), database))(t)
	defer db.Close()
	w := newWorld(t)
	cfg := w.cfg
	cfg.DB, cfg.Secret = db, []byte(strings.Repeat("s", 32))
	h := must(holder.New(t.Context(), cfg))(t)
	if cards := must(h.List(t.Context()))(t); len(cards) != 1 || cards[0].CopiesLeft != 2 {
		t.Errorf("cards %+v", cards)
	}
	if s := must(h.Submissions(t.Context()))(t); len(s) != 1 || s[0].Outcome != "prepared" || s[0].Items[0].Path != "age_over_19" {
		t.Errorf("history %+v", s)
	}
}
