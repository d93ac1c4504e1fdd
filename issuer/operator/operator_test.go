package operator_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/operator"
	"github.com/dojang-id/dojang/registry"
)

const (
	agency = registry.DID("did:dojang:test:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF1")
	second = registry.DID("did:dojang:test:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF2")
	uri    = "https://status.example/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF1/1"
)

// A world is a chain with one issuer's lists and its nodes, which take what the operator serves. The chain's own rules are tested where
// they are; here it takes the next number and an iat that grows.
type world struct {
	t   *testing.T
	now time.Time
	key keys.Signer

	mu    sync.Mutex
	epoch registry.StatusEpoch
	list  registry.StatusList
	fail  error
	ops   int
	from  func(path, accept string) []byte // the operator's publisher
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, now: time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC), key: must(keys.Generate(keys.ES256))(t)}
	w.publish(map[uint64]statuslist.Status{3: statuslist.Suspended, 4: statuslist.Revoked})
	return w
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// publish is the issuer's own.
func (w *world) publish(states map[uint64]statuslist.Status) {
	w.t.Helper()
	l := must(statuslist.NewList(2, 1024))(w.t)
	for idx, s := range states {
		must(0, l.Set(idx, s))(w.t)
	}
	v := l.Values()
	sign := func(f func(keys.Signer, keys.Header, statuslist.Claims) ([]byte, error)) []byte {
		return must(f(w.key, keys.Header{Kid: agency.URL("k")}, statuslist.Claims{URI: uri, IssuedAt: w.now, ExpiresAt: w.now.Add(time.Hour), TTL: time.Hour, Bits: 2,
			Compressed: must(statuslist.Deflate(v.Raw()))(w.t)}))(w.t)
	}
	token := sign(statuslist.SignJWT)
	record := must(statuslist.Record{URI: uri, Bits: 2, Length: 1024, Root: v.Root(), Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal())(w.t)
	w.list = registry.StatusList{URI: uri, Token: token, Record: record, Size: 1}
	w.epoch = registry.StatusEpoch{Issuer: agency, Sequence: w.epoch.Sequence + 1, IssuedAt: w.now, NextUpdate: w.now.Add(30 * time.Minute),
		Root: statuslist.EpochRoot([][]byte{record}), Signer: agency.URL("k")}
}

func (w *world) StatusEpoch(context.Context, registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch, registry.Checked{}, nil
}

func (w *world) StatusRecords(context.Context, registry.DID) ([][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return [][]byte{w.list.Record}, nil
}

func (w *world) StatusList(context.Context, string, string) (registry.StatusList, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list, nil
}

func (w *world) Submit(_ context.Context, operations ...[]byte) ([]registry.Outcome, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ops++
	if w.fail != nil {
		return nil, w.fail
	}
	op := must(registry.ParseOperation(operations[0]))(w.t)
	body := op.Body.(*registry.EpochBody)
	if op.Seq != w.epoch.Sequence+1 || body.IssuedAt <= w.epoch.IssuedAt.Unix() || body.Via == nil || *body.Via != (registry.AccreditationRef{Type: "urn:x:1", N: 2}) {
		return []registry.Outcome{{Code: string(registry.CodeVersionConflict)}}, nil
	}
	base := w.epoch.Base
	if !w.epoch.Redated() {
		base = registry.EpochBase{Sequence: w.epoch.Sequence, IssuedAt: w.epoch.IssuedAt, Root: w.epoch.Root, Signer: w.epoch.Signer}
	}
	w.epoch = registry.StatusEpoch{Issuer: agency, Sequence: op.Seq, IssuedAt: time.Unix(body.IssuedAt, 0).UTC(), NextUpdate: time.Unix(body.NextUpdate, 0).UTC(),
		Root: body.Root, Signer: second.URL("status-1"), Base: base}
	return []registry.Outcome{{Code: string(registry.CodeOK), Height: op.Seq}}, nil
}

// open is one process on a folder; its publisher is what nodes ask from now on.
func (w *world) open(dir string) *operator.Operator {
	w.t.Helper()
	o := must(operator.New(operator.Config{
		Issuer: agency, Via: registry.AccreditationRef{Type: "urn:x:1", N: 2}, DID: second, KeyID: "status-1", Key: must(keys.Generate(keys.ES256))(w.t),
		Chain: w, Submitter: w, Network: "test", ChainID: "test-1", Dir: dir, Now: func() time.Time { return w.now }, Every: time.Hour, Patience: time.Minute,
	}))(w.t)
	w.from = func(path, accept string) []byte {
		req := httptest.NewRequest(http.MethodGet, "/"+agency.ID()+"/"+path, nil)
		req.Header.Set("Accept", accept)
		rec := httptest.NewRecorder()
		o.Handler().ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			return nil
		}
		return rec.Body.Bytes()
	}
	return o
}

// follow is what nodes do: they take what belongs to the newest epoch, and hold it against the issuer's own.
func (w *world) follow() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var records, bases [][]byte
	if err := errors.Join(registry.Decode(w.from("records", ""), &records), registry.Decode(w.from("base/records", ""), &bases)); err != nil {
		w.t.Fatal(err)
	}
	if statuslist.EpochRoot(records) != w.epoch.Root || statuslist.EpochRoot(bases) != w.epoch.Base.Root {
		w.t.Fatal("what is served is not what is anchored")
	}
	l := registry.StatusList{URI: uri, Record: records[0], Size: 1, Token: w.from("1", statuslist.MediaTypeJWT),
		Base: &registry.StatusList{URI: uri, Record: bases[0], Size: 1, Token: w.from("base/1", statuslist.MediaTypeJWT)}}
	record := must(statuslist.ParseRecord(l.Record))(w.t)
	if err := (statuslist.Redated{MediaType: statuslist.MediaTypeJWT, Record: record, Token: l.Token, BaseRoot: w.epoch.Base.Root,
		Base: statuslist.RecordProof{Record: l.Base.Record, Size: 1}, BaseToken: l.Base.Token}).Check(); err != nil {
		w.t.Fatal(err)
	}
	if err := record.CheckToken(statuslist.MediaTypeCWT, w.from("1", statuslist.MediaTypeCWT)); err != nil {
		w.t.Fatal(err)
	}
	w.list = l
}

func (w *world) status(idx uint64) statuslist.Status {
	w.t.Helper()
	return must(must(must(statuslist.ParseRecord(w.list.Record))(w.t).Read(statuslist.MediaTypeJWT, w.list.Token))(w.t).Status(idx))(w.t)
}

func (w *world) ticks(o *operator.Operator, want bool) {
	w.t.Helper()
	if published, err := o.Tick(w.t.Context()); err != nil || published != want {
		w.t.Fatalf("published %v, want %v: %v", published, want, err)
	}
	if want {
		w.follow()
	}
}

func decision(to statuslist.Status, entries ...uint64) operator.Decision {
	d := operator.Decision{Officer: "officer-7", Reason: "LOST", To: to}
	for _, idx := range entries {
		d.Entries = append(d.Entries, statuslist.Reference{URI: uri, Index: idx})
	}
	return d
}

func TestSchedule(t *testing.T) {
	w := newWorld(t)
	o := w.open(t.TempDir())
	w.ticks(o, false)
	w.now = w.epoch.NextUpdate.Add(59 * time.Second)
	w.ticks(o, false) // patience
	w.now = w.now.Add(time.Second)
	w.ticks(o, true)
	if w.epoch.Base.Sequence != 1 || w.epoch.NextUpdate.Sub(w.now) != 3*time.Hour || w.status(3) != statuslist.Suspended || w.status(4) != statuslist.Revoked || w.status(5) != statuslist.Valid {
		t.Fatalf("%+v", w.epoch)
	}
	w.ticks(o, false)
	w.now = w.now.Add(time.Hour)
	w.ticks(o, true)
	t.Run("a clock that went back dates nothing back", func(t *testing.T) {
		last := w.epoch.IssuedAt
		w.now = w.now.Add(-2 * time.Hour)
		must(0, o.Worsen(t.Context(), decision(statuslist.Revoked, 9)))(t)
		w.follow()
		if !w.epoch.IssuedAt.After(last) {
			t.Errorf("iat %v after %v", w.epoch.IssuedAt, last)
		}
		w.now = w.now.Add(2 * time.Hour)
	})
	t.Run("the issuer is back: it rests, and its decisions are the issuer's now", func(t *testing.T) {
		w.now = w.now.Add(time.Hour)
		w.publish(map[uint64]statuslist.Status{9: statuslist.Revoked})
		w.ticks(o, false)
		w.now = w.epoch.NextUpdate.Add(time.Hour)
		w.ticks(o, true)
		if w.status(3) != statuslist.Valid || w.status(9) != statuslist.Revoked {
			t.Error("it did not go on from the issuer's newest list")
		}
	})
	t.Run("another operator", func(t *testing.T) {
		w.epoch.Signer = "did:dojang:test:QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPAF3#st"
		w.now = w.now.Add(5 * time.Hour)
		if _, err := o.Tick(t.Context()); !errors.Is(err, operator.ErrTaken) {
			t.Error(err)
		}
		if err := o.Worsen(t.Context(), decision(statuslist.Revoked, 1)); !errors.Is(err, operator.ErrTaken) {
			t.Error(err)
		}
	})
}

func TestWorsen(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	o := w.open(dir)
	lines := func() int {
		raw, err := os.ReadFile(filepath.Join(dir, "decisions.jsonl"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(raw), "\n")
	}
	for name, c := range map[string]struct {
		d    operator.Decision
		want error
	}{
		"valid":                {decision(statuslist.Valid, 3), operator.ErrNotWorse},
		"needs renewal":        {decision(statuslist.NeedsRenewal, 5), operator.ErrNotWorse},
		"revoked to suspended": {decision(statuslist.Suspended, 4), operator.ErrNotWorse},
		"one of two":           {decision(statuslist.Suspended, 5, 4), operator.ErrNotWorse},
		"behind the end":       {decision(statuslist.Revoked, 1024), operator.ErrNoEntry},
		"another list":         {operator.Decision{Officer: "o", Reason: "r", To: statuslist.Revoked, Entries: []statuslist.Reference{{URI: uri + "0", Index: 1}}}, operator.ErrNoEntry},
	} {
		if err := o.Worsen(t.Context(), c.d); !errors.Is(err, c.want) || lines() != 0 || w.ops != 0 {
			t.Errorf("%s: %v, %d lines, %d operations", name, err, lines(), w.ops)
		}
	}
	for _, d := range []operator.Decision{{To: statuslist.Revoked}, decision(statuslist.Revoked), {Officer: "a\nb", Reason: "r", To: statuslist.Revoked, Entries: decision(0, 1).Entries}} {
		if err := o.Worsen(t.Context(), d); err == nil || lines() != 0 {
			t.Errorf("%+v: %v", d, err)
		}
	}
	must(0, o.Worsen(t.Context(), decision(statuslist.Suspended, 5, 6)))(t) // while the issuer lives, at once
	w.follow()
	if w.status(5) != statuslist.Suspended || w.status(6) != statuslist.Suspended || lines() != 1 {
		t.Fatal("not suspended")
	}
	t.Run("a decision outlives a failure and the process", func(t *testing.T) {
		w.fail = registry.ErrUnavailable
		before := w.from("records", "")
		if err := o.Worsen(t.Context(), decision(statuslist.Revoked, 5)); !errors.Is(err, registry.ErrUnavailable) || lines() != 2 || string(w.from("records", "")) != string(before) {
			t.Fatalf("%v, %d lines", err, lines())
		}
		w.fail = nil
		w.now = w.now.Add(time.Second)
		o = w.open(dir)
		w.ticks(o, true)
		if w.status(5) != statuslist.Revoked || w.status(6) != statuslist.Suspended {
			t.Error("the decision is lost")
		}
	})
	t.Run("a torn line was never acknowledged", func(t *testing.T) {
		f := must(os.OpenFile(filepath.Join(dir, "decisions.jsonl"), os.O_APPEND|os.O_WRONLY, 0))(t)
		must(f.WriteString(`{"at":"2026`))(t)
		f.Close()
		o = w.open(dir)
		w.now = w.now.Add(time.Second)
		must(0, o.Worsen(t.Context(), decision(statuslist.Revoked, 6)))(t)
		w.follow()
		if lines() != 3 || w.status(6) != statuslist.Revoked {
			t.Errorf("%d lines, entry %v", lines(), w.status(6))
		}
		w.open(dir)
	})
	t.Run("the chain refuses: what is served stays", func(t *testing.T) {
		before := w.from("records", "")
		w.mu.Lock()
		stale := w.epoch
		w.mu.Unlock()
		w.now = stale.IssuedAt.Add(2 * time.Hour)
		chain := &raced{world: w, shown: stale}
		chain.world.epoch.Sequence++ // somebody was faster
		o := must(operator.New(operator.Config{Issuer: agency, Via: registry.AccreditationRef{Type: "urn:x:1", N: 2}, DID: second, KeyID: "status-1", Key: w.key,
			Chain: chain, Submitter: w, Network: "test", ChainID: "test-1", Dir: dir, Now: func() time.Time { return w.now }, Every: time.Hour}))(t)
		if _, err := o.Tick(t.Context()); !errors.Is(err, operator.ErrRefused) || string(w.from("records", "")) != string(before) {
			t.Errorf("%v", err)
		}
		w.epoch = stale
	})
	t.Run("a crash between the chain's word and ours", func(t *testing.T) {
		w.now = w.epoch.IssuedAt.Add(2 * time.Hour)
		w.ticks(o, true)
		must(0, os.Rename(filepath.Join(dir, "lists"), filepath.Join(dir, "lists.next")))(t)
		o = w.open(dir)
		w.ticks(o, false)
		w.follow()
	})
}

// raced shows an older epoch than the chain has.
type raced struct {
	*world
	shown registry.StatusEpoch
}

func (r *raced) StatusEpoch(context.Context, registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	return r.shown, registry.Checked{}, nil
}
