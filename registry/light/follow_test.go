package light_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/registrytest"
)

func TestReadsItsOwnWrites(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	issuer(t, r) // a chain with something in it
	c := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust, CacheTTL: time.Hour})
	key := registrytest.NewKey(t, "")
	op, next, recovery := registrytest.NewKey(t, registry.RoleOp), registrytest.NewKey(t, ""), registrytest.NewKey(t, "")
	o := registry.Operation{Network: "local", ChainID: r.Trust.ChainID, Body: &registry.CreateBody{Op: op.Public, Next: next.Public.Hash(),
		Recovery: recovery.Public.Hash(), Keys: []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}}}
	did, err := o.CreatedDID()
	must(t, err)
	raw, err := o.Sign(op)
	must(t, err)
	if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("before it exists: %v", err)
	}
	_, err = c.Submit(t.Context(), raw)
	must(t, err)
	if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
		t.Fatalf("just written: %v", err)
	}
}

// dials counts connections that are tried.
type dials struct {
	tried atomic.Int64
	http.RoundTripper
}

func (d *dials) RoundTrip(r *http.Request) (*http.Response, error) {
	d.tried.Add(1)
	return d.RoundTripper.RoundTrip(r)
}

// TestCallersDoNotDialDeadNodes: while Follow runs, it alone finds out whether a dead node is back.
func TestCallersDoNotDialDeadNodes(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	const ttl = 200 * time.Millisecond
	d := &dials{RoundTripper: http.DefaultTransport}
	c := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust, CacheTTL: ttl, HTTP: &http.Client{Transport: d, Timeout: time.Second}})
	if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Follow(ctx) }()
	r.Down()
	time.Sleep(4 * ttl)
	before := d.tried.Load()
	began := time.Now()
	const calls = 2000
	for range calls {
		if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
			t.Fatalf("what was checked is gone: %v", err)
		}
		if _, _, err := c.Key(t.Context(), did, "other", time.Time{}); err == nil || errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("a key that was never asked for: %v", err)
		}
	}
	took := time.Since(began)
	tried := d.tried.Load() - before
	// Follow itself looks once for the probe, for the tracker and for listening in each round.
	if most := int64(took/ttl+2) * 6; tried > most {
		t.Errorf("%d requests during %d calls, want at most %d", tried, calls, most)
	}
	if took > 2*time.Second {
		t.Errorf("%d calls took %v", calls, took)
	}
	t.Logf("%d calls in %v, %d requests", 2*calls, took, tried)
	cancel()
	<-ended
}

// TestFollowHearsOfAnEpochAtOnce: not only when the next round comes.
func TestFollowHearsOfAnEpochAtOnce(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Heartbeat: time.Second})
	key := registrytest.NewKey(t, "")
	controller := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}, nil)
	key.Role = controller.DID.URL("issue-1")
	c := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust, CacheTTL: time.Hour})
	c.Subscribe(controller.DID)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Follow(ctx) }()
	defer func() { cancel(); <-ended }()
	now := time.Now()
	var slowest time.Duration
	for sequence := uint64(1); sequence <= 5; sequence++ {
		r.Epoch(t, registry.StatusEpoch{Issuer: controller.DID, Sequence: sequence, IssuedAt: now.Add(time.Duration(sequence) * time.Second),
			NextUpdate: now.Add(time.Hour), Root: [32]byte{byte(sequence)}}, key)
		anchored := time.Now()
		for {
			if epoch, _, err := c.StatusEpoch(t.Context(), controller.DID); err == nil && epoch.Sequence == sequence {
				break
			}
			if time.Since(anchored) > 2*time.Second {
				t.Fatalf("epoch %d is not known after 2 s", sequence)
			}
			time.Sleep(time.Millisecond)
		}
		slowest = max(slowest, time.Since(anchored))
	}
	if slowest > 500*time.Millisecond && os.Getenv("CI") != "true" { // no time gates CI but the promise of two seconds
		t.Errorf("an epoch was known only after %v", slowest)
	}
	t.Logf("slowest of 5: %v", slowest)
}
