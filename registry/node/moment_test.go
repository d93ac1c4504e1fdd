package node

import (
	"context"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A key that was retired, and then found out to be compromised: what was in force when, as known when, with blocks and states
// pruned, and from a node that came by a snapshot.
func TestPointInTimeAfterPruning(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 100 * time.Millisecond, RetainBlocks: 10, SnapshotBlocks: 5})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes[0]
	n.cfg.Chain.KeepVersions = 5
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	op, key := newKey(t, registry.RoleOp), newKey(t, "")
	next := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: &registry.CreateBody{Op: op.Public, Next: newKey(t, "").Public.Hash(),
		Recovery: newKey(t, "").Public.Hash(), Keys: []registry.NewKey{{ID: "k1", Use: registry.UseAssertion, Key: key.Public}}}}
	did, err := next.CreatedDID()
	if err != nil {
		t.Fatal(err)
	}
	// do executes the next operation of the DID, and returns a second after it took effect, by the chain's clock.
	do := func(body registry.Body) time.Time {
		t.Helper()
		if body != nil {
			payload, err := next.Payload()
			if err != nil {
				t.Fatal(err)
			}
			next = registry.Operation{Network: next.Network, ChainID: next.ChainID, DID: did, Seq: next.Seq, Prev: registry.HashOf(payload), Body: body}
			next.Seq++
		}
		raw, err := next.Sign(op)
		if err != nil {
			t.Fatal(err)
		}
		out := submitOK(t, n, raw)[0]
		at, ok := n.run.Load().engine.headerTime(out.Height + 1)
		if !ok {
			t.Fatal("no header")
		}
		at = at.Truncate(time.Second).Add(time.Second)
		for deadline := time.Now().Add(60 * time.Second); ; { // the next one happens in another second
			newest := n.run.Load().newest.Load()
			if now, _ := n.run.Load().engine.headerTime(newest); now.After(at.Add(time.Second)) {
				return at
			}
			if time.Now().After(deadline) {
				t.Fatal("the chain's clock stands still")
			}
			_ = n.WaitHeight(t.Context(), newest+1)
		}
	}
	created := do(nil)
	retired := do(&registry.RetireBody{ID: "k1"})
	compromisedFrom := created.Add(-time.Second)
	found := do(&registry.CompromiseBody{ID: "k1", From: compromisedFrom.Unix()})
	first, ok := n.run.Load().engine.headerTime(1)
	if !ok {
		t.Fatal("no header 1")
	}
	for range 12 { // blocks of a quiet network are kept
		raw, _, _ := create(t, n)
		if err := n.WaitHeight(t.Context(), submitOK(t, n, raw)[0].Height+3); err != nil {
			t.Fatal(err)
		}
	}
	if base := n.run.Load().engine.node.BlockStore().Base(); base < 10 {
		t.Fatalf("nothing is pruned: oldest block %d", base)
	}
	ask := func(t *testing.T, from *Node) {
		t.Helper()
		for _, c := range []struct {
			name      string
			at, known time.Time
			absent    bool
			inForce   bool
		}{
			{name: "before it was there", at: first, known: first, absent: true},
			{name: "when it signed, as known then", at: created, known: created, inForce: true},
			{name: "when it signed, as known when it was retired", at: created, known: retired, inForce: true},
			{name: "after it was retired, as known then", at: retired, known: retired},
			{name: "when it signed, as known since the compromise was found", at: created, known: found},
			{name: "when it signed, as known today", at: created},
		} {
			q := Query{Query: chain.Query{Keys: []chain.KeyRef{{DID: did, ID: "k1"}}, At: c.at, Known: c.known, Heights: []uint64{1, 2}}}
			raw, err := from.Evidence(q, "")
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			trust, err := from.Trust(time.Now().Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			byKeys, err := evidence.Check(raw, trust, time.Now())
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			published := evidence.HeadOf(byKeys, from.ChainID()) // had it been this one
			f, err := evidence.Check(raw, published.Trust(), time.Now().Add(decade))
			if err != nil {
				t.Fatalf("%s, with a head alone: %v", c.name, err)
			}
			_, in, err := f.KeyAt(did, "k1", evidence.Moment{At: c.at, Known: c.known})
			if c.absent != (err != nil) || in != c.inForce {
				t.Errorf("%s: %v %v", c.name, in, err)
			}
			if h := f.Headers()[0]; h.Height != 1 || !h.Time.Equal(first) {
				t.Errorf("%s: the first day is proven as %+v", c.name, h)
			}
		}
	}
	t.Run("by the node that was there", func(t *testing.T) { ask(t, n) })
	t.Run("by a node that came by a snapshot", func(t *testing.T) { ask(t, synced(t, n)) })
}
