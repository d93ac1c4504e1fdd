package node

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/drill"
)

// wired is a network whose nodes reach each other over wires that can be cut, one direction at a time.
func wired(t *testing.T, cfg LocalnetConfig) (*Localnet, *drill.Links) {
	t.Helper()
	links := drill.NewLinks()
	t.Cleanup(func() { _ = links.Close() })
	each := cfg.Each
	cfg.Each = func(i int, cfg *Config) {
		if each != nil {
			each(i, cfg)
		}
		for j, peer := range cfg.Peers { // node i calls all before it
			id, address, _ := strings.Cut(peer, "@")
			wire, err := links.Wire(i, j, address)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Peers[j] = id + "@" + wire
		}
	}
	return faultnet(t, cfg), links
}

// A steady load submits at every node what the chain has not seen, and keeps what was acknowledged.
type steady struct {
	stop  func()
	mu    sync.Mutex
	acked []registry.Outcome
}

func load(t *testing.T, l *Localnet) *steady {
	s := &steady{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, n := range l.Nodes {
		wg.Go(func() {
			for ctx.Err() == nil {
				op, _, _ := create(t, n)
				patience, done := context.WithTimeout(ctx, 30*time.Second)
				out, err := n.Submit(patience, op)
				done()
				if err == nil && out[0].Height > 0 {
					s.mu.Lock()
					s.acked = append(s.acked, out[0])
					s.mu.Unlock()
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
	s.stop = func() { cancel(); wg.Wait() }
	return s
}

// heights are the newest headers of nodes.
func heights(nodes []*Node) []uint64 {
	out := make([]uint64, len(nodes))
	for i, n := range nodes {
		out[i] = n.run.Load().newest.Load()
	}
	return out
}

// saysStuck waits until a node without a quorum says so: at first it may be a matter of syncing.
func saysStuck(t *testing.T, n *Node) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); n.Health().State != "stuck"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("without a quorum a node says that it is %s", n.Health().State)
		}
	}
}

// TestPartitions takes nodes away from each other under load (R1, R2, R5).
func TestPartitions(t *testing.T) {
	t.Parallel()
	l, links := wired(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond})
	traffic := load(t, l)
	away := func(who ...int) func(from, to int) bool {
		return func(from, to int) bool { return slices.Contains(who, from) != slices.Contains(who, to) }
	}
	// whole waits until every node has a header above what any had, within the thirty seconds of H22.
	whole := func(t *testing.T) {
		t.Helper()
		links.Cut(nil)
		target := slices.Max(heights(l.Nodes)) + 2
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		for i, n := range l.Nodes {
			if err := n.WaitHeight(ctx, target); err != nil {
				t.Fatalf("node %d is not back after %v: %v", i+1, time.Since(began), err)
			}
		}
		t.Logf("all are back after %v", time.Since(began).Round(time.Millisecond))
	}
	// stands takes the heights of nodes that are too few, once what was on its way has arrived, and again after a while.
	stands := func(t *testing.T, nodes []*Node, hold time.Duration) {
		t.Helper()
		time.Sleep(2 * time.Second)
		before := heights(nodes)
		time.Sleep(hold)
		if after := heights(nodes); !slices.Equal(before, after) {
			t.Errorf("from heights %d to %d without a quorum", before, after)
		}
	}
	goesOn := func(t *testing.T, nodes []*Node, blocks uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		target := slices.Max(heights(nodes)) + blocks
		for _, n := range nodes {
			if err := n.WaitHeight(ctx, target); err != nil {
				t.Fatalf("three of four do not go on: %v", err)
			}
		}
	}
	t.Run("3/1: three go on, one stands still and says so", func(t *testing.T) {
		links.Cut(away(3))
		stands(t, l.Nodes[3:], 2*time.Second)
		goesOn(t, l.Nodes[:3], 3)
		saysStuck(t, l.Nodes[3])
		if h := l.Nodes[0].Health(); h.State != "ok" {
			t.Errorf("one of three says that it is %s", h.State)
		}
		time.Sleep(l.Nodes[0].Heartbeat() + silentMargin) // until silent peers are hung up on
		whole(t)
	})
	t.Run("2/2: nobody goes on, then everybody", func(t *testing.T) {
		links.Cut(away(1, 2))
		stands(t, l.Nodes, 3*time.Second)
		whole(t)
	})
	t.Run("one way: what one says is lost", func(t *testing.T) {
		links.Cut(func(from, _ int) bool { return from == 0 })
		goesOn(t, l.Nodes[1:], 5)
		whole(t)
	})
	t.Run("one way: one hears nothing", func(t *testing.T) {
		links.Cut(func(_, to int) bool { return to == 1 })
		stands(t, l.Nodes[1:2], time.Second)
		goesOn(t, []*Node{l.Nodes[0], l.Nodes[2], l.Nodes[3]}, 5)
		whole(t)
	})
	t.Run("one way between halves", func(t *testing.T) {
		links.Cut(func(from, to int) bool { return from < 2 && to >= 2 })
		stands(t, l.Nodes, 2*time.Second)
		whole(t)
	})
	t.Run("flapping every second", func(t *testing.T) {
		random := rand.New(rand.NewPCG(7, 7))
		for range 5 {
			hit := random.Perm(4)
			links.Cut(away(hit[:1+random.IntN(2)]...))
			time.Sleep(time.Second)
			links.Cut(nil)
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		}
		whole(t)
	})
	t.Run("late by 100 ms, more or less, and one in twenty sent again", func(t *testing.T) {
		links.Delay(func() time.Duration {
			late := time.Duration(50+rand.IntN(100)) * time.Millisecond
			if rand.IntN(20) == 0 { // what a connection makes of a lost packet
				late += 200 * time.Millisecond
			}
			return late
		})
		goesOn(t, l.Nodes, 3)
		links.Delay(nil)
		whole(t)
	})
	traffic.stop()
	t.Run("nothing acknowledged is lost, nothing has forked", func(t *testing.T) {
		whole(t)
		for i, n := range l.Nodes {
			for _, want := range traffic.acked {
				hash, err := registry.ParseHash(want.Hash)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := n.run.Load().machine.Outcome(hash); err != nil || string(got.Code) != want.Code || got.Height != want.Height {
					t.Fatalf("node %d: acknowledged %+v, is %+v: %v", i+1, want, got, err)
				}
			}
		}
		if len(traffic.acked) < 50 {
			t.Errorf("only %d operations were acknowledged", len(traffic.acked))
		}
		for h := slices.Min(heights(l.Nodes)); h > 0; h-- {
			agree(t, l.Nodes, h)
		}
		t.Logf("%d acknowledged, %d blocks", len(traffic.acked), slices.Min(heights(l.Nodes)))
	})
}
