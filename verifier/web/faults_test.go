package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

// everyOperation is set to let each single operation fail instead of a sample.
var everyOperation = os.Getenv("DOJANG_TEST_FULL") != ""

// hurtStory is one presentation, as a company and a wallet go through it who try again what fails: first with the fault, then after
// heal. It reports how often it was refused.
func (h *house) hurtStory(heal func()) (refused int) {
	h.t.Helper()
	healed := false
	lost := func(status int) bool {
		if status < http.StatusInternalServerError {
			return false
		}
		if healed || status != http.StatusServiceUnavailable {
			h.t.Fatalf("healed %v: status %d", healed, status)
		}
		refused++
		heal()
		healed = true
		return true
	}
	var o opened
	for o.id == "" {
		status, out := h.api(byeolmaru, http.MethodPost, "/v1/requests", map[string]any{"policy": "adult-check"})
		if !lost(status) {
			o = opened{id: out["id"].(string), link: out["request_uri"].(string)}
		}
	}
	var err error
	if o.request, err = h.wallet.Fetch(o.link, ""); err != nil { // it does not say which status
		lost(http.StatusServiceUnavailable)
		o.request, err = h.wallet.Fetch(o.link, "")
		h.check(err)
	}
	answer := h.answer(o, h.held())
	status, _, err := h.wallet.Post(o.request.ResponseURI, answer)
	h.check(err)
	again := lost(status)
	if again {
		status, _, err = h.wallet.Post(o.request.ResponseURI, answer)
		h.check(err)
	}
	if !healed {
		heal()
	}
	// Nobody knows whether a lost answer was taken; then the wallet hears that the transaction is over.
	if status != http.StatusOK && (!again || status != http.StatusBadRequest) {
		h.t.Fatalf("answer: %d", status)
	}
	h.want(o.id, "judged", "confirmed", "VALID")
	if status, _, err = h.wallet.Post(o.request.ResponseURI, answer); err != nil || status != http.StatusBadRequest {
		h.t.Fatalf("taken twice: %d %v", status, err)
	}
	return refused
}

// endures runs stories with the n-th moment of a fault, until a story has no such moment any more, and then looks from a new start.
func (h *house) endures(arm func(n int), healed func() (reached bool)) {
	h.t.Helper()
	stories, refused := 0, 0
	for n, reached := 1, true; reached; n++ {
		if !everyOperation && n > 8 && n%5 != 0 {
			continue
		}
		arm(n)
		refused += h.hurtStory(func() { reached = healed() })
		stories++
	}
	h.start()
	h.invariants()
	if refused == 0 || stories < 3 {
		h.t.Error("nothing was hurt")
	}
	h.t.Logf("%d stories, %d answers refused", stories, refused)
}

// TestDiskFails lets the n-th operation on the verifier's disk fail while a presentation is asked for and judged.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		fault sqldbtest.Fault
	}{
		{"K07 no write finds room any more", sqldbtest.Fault{Op: sqldbtest.Write, Full: true}},
		{"K07 a write fails", sqldbtest.Fault{Op: sqldbtest.Write, Once: true}},
		{"K07 half a write, and nothing after it", sqldbtest.Fault{Op: sqldbtest.Write, Torn: true}},
		{"K07 a sync fails, and all after it", sqldbtest.Fault{Op: sqldbtest.Sync}},
	} {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			disk := sqldbtest.NewDisk(t, dir)
			h := build(t, "sqlite://"+filepath.Join(dir, "verifier.db"))
			h.endures(func(n int) {
				fault := f.fault
				fault.Nth = n
				disk.Fail(&fault)
			}, func() bool {
				reached := disk.Failed() > 0
				disk.Fail(nil)
				return reached
			})
		})
	}
}

// TestWireIsCut cuts the verifier's connection to PostgreSQL around the n-th commit.
func TestWireIsCut(t *testing.T) {
	t.Parallel()
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
			h := build(t, url)
			h.endures(func(n int) { wire.Cut(moment, n) }, func() bool {
				reached := wire.Cuts() > 0
				wire.Cut(moment, 0)
				return reached
			})
		})
	}
}
