package holder_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// reopen is the same wallet with leave to reach other origins.
func reopen(t *testing.T, w *world, origins []string) *holder.Holder {
	t.Helper()
	cfg := w.cfg
	cfg.HTTP = must(httpd.NewClient(httpd.ClientConfig{Origins: origins}))(t)
	cfg.AllowHTTP = func(string) bool { return true }
	return must(holder.New(t.Context(), cfg))(t)
}

// indexOf is the status entry of a credential's first copy.
func (w *world) indexOf(t *testing.T, id string) (index int64) {
	t.Helper()
	if err := w.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT status_idx FROM copy WHERE credential = ? AND n = 0`, id).Scan(&index)
	}); err != nil {
		t.Fatal(err)
	}
	return index
}

func setStatus(a *agency, index int64, value byte) error {
	err := a.list.Set(uint64(index), statuslist.Status(value))
	a.publish()
	return err
}

func evidenceAsked(maxAge time.Duration) func(r map[string]any) {
	return func(r map[string]any) {
		r["dojang_evidence"] = map[string]any{"network": "demo", "trusted_height": 0, "max_age": int64(maxAge / time.Second)}
	}
}

func TestStaple(t *testing.T) {
	w := newWorld(t)
	r := w.receive()
	if err := w.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("never unasked", func(t *testing.T) {
		sent := must(w.show())(t)
		if _, answers := w.shop.heard(); sent.Stapled || answers[0].Evidence != nil {
			t.Error("Evidence was sent")
		}
	})
	t.Run("in an outage, from what was refreshed, asking nobody", func(t *testing.T) {
		w.facts.change(func() { w.facts.nodes, w.facts.asked = registry.ErrUnavailable, 0 })
		w.shop.alter(evidenceAsked(72 * time.Hour))
		w.wait(71 * time.Hour)
		renew(w)
		sent := must(w.show())(t)
		_, answers := w.shop.heard()
		if !sent.Stapled || w.facts.asked != 0 {
			t.Fatalf("sent %+v, nodes were asked %d times", sent, w.facts.asked)
		}
		holds(t, w, answers[1].Evidence, w.indexAt(t, r.ID, 1))
	})
	t.Run("too old", func(t *testing.T) {
		w.wait(2 * time.Hour)
		renew(w)
		sent := must(w.show())(t)
		if _, answers := w.shop.heard(); sent.Stapled || answers[2].Evidence != nil || w.facts.asked != 0 {
			t.Errorf("sent %+v", sent)
		}
	})
	t.Run("of another network", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.alter(func(r map[string]any) {
			r["dojang_evidence"] = map[string]any{"network": "main", "trusted_height": 0, "max_age": 3600}
		})
		if sent := must(w.show())(t); sent.Stapled {
			t.Error("Evidence was sent")
		}
	})
	t.Run("a wallet without a source sends none", func(t *testing.T) {
		w := newWorld(t, func(c *holder.Config) { c.Evidence, c.Status = nil, nil })
		w.receive()
		w.shop.alter(evidenceAsked(time.Hour))
		if sent := must(w.show())(t); sent.Stapled {
			t.Error("Evidence was sent")
		}
		if err := w.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Run("receiving is enough for the first time", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.alter(evidenceAsked(time.Hour))
		if sent := must(w.show())(t); !sent.Stapled {
			t.Error("no Evidence was sent")
		}
	})
	t.Run("a refresh that fails leaves what there is", func(t *testing.T) {
		before := w.rows()
		w.unchanged(w.Refresh(t.Context()), registry.ErrUnavailable, before)
	})
}

func (w *world) indexAt(t *testing.T, id string, n int) (index int64) {
	t.Helper()
	if err := w.db.Read(t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT status_idx FROM copy WHERE credential = ? AND n = ?`, id, n).Scan(&index)
	}); err != nil {
		t.Fatal(err)
	}
	return index
}

// holds: the stapled Evidence is the registry's, with the list's record in its epoch and the chunk of this very entry.
func holds(t *testing.T, w *world, stapled []byte, index int64) {
	t.Helper()
	list, epoch := w.facts.lists[w.agency.uri], w.facts.epochs[w.agency.did]
	chunk := must(w.agency.list.Values().CutChunk(uint64(index)))(t)
	want := must(evidence.Attach(someEvidence(), evidence.Status{Record: list.Record, Index: list.Index, Size: list.Size, Path: list.Path, Chunk: chunk}))(t)
	if !bytes.Equal(stapled, want) {
		t.Fatalf("stapled %x, want %x", stapled, want)
	}
	record := must(statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: list.Record, Path: list.Path, Index: list.Index, Size: list.Size}))(t)
	if s := must(statuslist.VerifyChunk(record, chunk, uint64(index)))(t); s != statuslist.Valid {
		t.Errorf("status %v", s)
	}
	if _, err := evidence.Check(stapled, evidence.Trust{}, start); errors.Is(err, registry.ErrMalformed) || len(stapled) > 32<<10 {
		t.Errorf("stapled %d bytes: %v", len(stapled), err)
	}
}
