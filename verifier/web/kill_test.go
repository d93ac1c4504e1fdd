package web_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dojang-id/dojang/verifier"
)

// killStep and killURL name, in a child, where it kills itself and which database it works on.
const killStep, killURL = "DOJANG_TEST_VERIFIER_KILL", "DOJANG_TEST_VERIFIER_DB"

// TestKill: a child serves one presentation and is killed (SIGKILL) at a step; the database must hold either a pending
// transaction without a trace of the answer or an ended one with everything (V2, V3).
func TestKill(t *testing.T) {
	if step := os.Getenv(killStep); step != "" {
		killedChild(t, step)
		return
	}
	rows := []struct {
		step  string
		state verifier.State
	}{
		{"requested", verifier.StateRequested},
		{"retrieved", verifier.StateRequested}, // written down by Tick
		{"submit.found", verifier.StateRequested},
		{"submit.judged", verifier.StateRequested},
		{"submit.finished", verifier.StateJudged},
	}
	for _, row := range rows {
		t.Run(row.step, func(t *testing.T) {
			url := "sqlite://" + filepath.Join(t.TempDir(), "verifier.db")
			child := exec.Command(os.Args[0], "-test.run=^TestKill$")
			child.Env = append(os.Environ(), killStep+"="+row.step, killURL+"="+url)
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { //nolint:errcheck // on unix Sys is a WaitStatus
				t.Fatalf("child ended otherwise: %v\n%s", err, out)
			}
			h := build(t, url)
			dump, err := h.store.Dump(context.Background())
			h.check(err)
			if len(dump) != 2 || !strings.Contains(dump[0], "State:"+string(row.state)) {
				t.Fatalf("rows %q, want one in state %s", dump, row.state)
			}
			ended := row.state == verifier.StateJudged
			if ended != (dump[1] == "1 events") || ended != strings.Contains(dump[0], "Receipt:ey") {
				t.Errorf("half of an outcome: %q", dump)
			}
			rows, err := h.store.Check(context.Background())
			h.check(err)
			for _, r := range rows {
				if r.Violations != 0 {
					t.Errorf("invariant %+v", r)
				}
			}
		})
	}
}

func killedChild(t *testing.T, at string) {
	h := build(t, os.Getenv(killURL))
	h.step = func(step string) {
		if step == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	h.start()
	o := h.open(nil)
	h.post(o, h.answer(o, h.held()), http.StatusOK)
	t.Fatal("step was not reached")
}
