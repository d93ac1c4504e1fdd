package node

import (
	"context"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// TestHeartbeatByVote has members change the heartbeat of a network that runs: from a minute, in which the heights below would
// not come in time, to a tenth of a second. A restarted node goes on with it.
func TestHeartbeatByVote(t *testing.T) {
	t.Parallel()
	l := faultnet(t, LocalnetConfig{Validators: 1, Heartbeat: time.Minute})
	n := l.Nodes[0]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := func(d time.Duration) {
		t.Helper()
		if got := n.Heartbeat(); got != d {
			t.Fatalf("heartbeat %s, want %s", got, d)
		}
	}
	want(time.Minute)
	raw, err := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: &registry.ParamsBody{Heartbeat: new(uint64(100))}}.Sign(members(t, l)...)
	if err != nil {
		t.Fatal(err)
	}
	out, err := n.Submit(ctx, raw)
	if err != nil || out[0].Code != string(registry.CodeOK) {
		t.Fatal(out, err)
	}
	want(100 * time.Millisecond)
	if err := n.WaitHeight(ctx, out[0].Height+8); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if n, err = New(n.cfg); err != nil {
		t.Fatal(err)
	}
	l.Nodes[0] = n
	want(time.Minute) // what the genesis says, until the state is open
	if err := n.Start(ctx); err != nil {
		t.Fatal(err)
	}
	want(100 * time.Millisecond)
	if err := n.WaitHeight(ctx, out[0].Height+20); err != nil {
		t.Fatal(err)
	}
}
