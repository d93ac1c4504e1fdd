package node

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// logbook is a log that a test reads.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// TestRollingUpgrade has the members decide the next rules, and installs a release that knows them at one node after another,
// but for the last, which stands still at the height.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	const next = chain.AppVersion + 1
	var log logbook
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 500 * time.Millisecond, Genesis: direct,
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// A node that has just come back admits nothing before the first fresh header.
	submit := func(n *Node, raw []byte) registry.Outcome {
		t.Helper()
		for {
			out, err := n.Submit(ctx, raw)
			if err == nil {
				return out[0]
			}
			if !errors.Is(err, ErrNotAdmitting) || ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	upgrade := func(version, height uint64) string {
		t.Helper()
		n := l.Nodes[0]
		raw, err := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Seq: height, Body: &registry.UpgradeBody{Version: version, Height: height}}.Sign(members(t, l)...)
		if err != nil {
			t.Fatal(err)
		}
		return submit(n, raw).Code
	}
	write := func(at int) registry.Outcome {
		t.Helper()
		op, _, _ := create(t, l.Nodes[at])
		out := submit(l.Nodes[at], op)
		if out.Code != string(registry.CodeOK) {
			t.Fatal(out.Code)
		}
		return out
	}
	now := write(0).Height
	for name, c := range map[string]struct {
		version, height uint64
		want            registry.Code
	}{
		"one that leaves out another": {next + 1, now + 1000, registry.CodeNotAllowed},
		"a height that has gone":      {next, 2, registry.CodeTooSoon},
	} {
		if code := upgrade(c.version, c.height); code != string(c.want) {
			t.Errorf("%s: %s", name, code)
		}
	}
	if code := upgrade(next, now+100_000); code != string(registry.CodeOK) {
		t.Fatal(code)
	}
	old := l.Nodes[3]
	for i, n := range l.Nodes[:3] { // the newer release, with the others at work
		if err := n.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		write((i + 1) % 4)
		n.cfg.Chain.Version = next
		if err := n.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if err := n.WaitHeight(ctx, heights(l.Nodes)[3]); err != nil {
			t.Fatal(err)
		}
	}
	from := slices.Max(heights(l.Nodes)) + 20
	if code := upgrade(next, from); code != string(registry.CodeOK) { // while it has not come the height may change
		t.Fatal(code)
	}
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			for ctx.Err() == nil && l.Nodes[i].run.Load().newest.Load() < from+3 {
				op, _, _ := create(t, l.Nodes[i])
				if _, err := l.Nodes[i].Submit(ctx, op); err != nil && !errors.Is(err, ErrNotAdmitting) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	version := func(n *Node, height uint64) uint64 {
		t.Helper()
		lb, err := n.run.Load().engine.lightBlock(height)
		if err != nil {
			t.Fatal(err)
		}
		return lb.Version.App
	}
	t.Run("three go on under the new rules, from that height on", func(t *testing.T) {
		for _, n := range l.Nodes[:3] {
			if err := n.WaitHeight(ctx, from+3); err != nil {
				t.Fatal(err)
			}
			if before, after := version(n, from-1), version(n, from); before != next-1 || after != next {
				t.Errorf("rules %d, then %d", before, after)
			}
		}
		agree(t, l.Nodes[:3], from+3)
	})
	t.Run("the old release stands still before it and says why", func(t *testing.T) {
		saysStuck(t, old)
		if h := old.run.Load().machine.Info().Height; h != from-1 {
			t.Errorf("at height %d", h)
		}
		if !log.has("ALARM: this node cannot go on with this release") || !log.has("install a newer one") {
			t.Error("no word of it in the log")
		}
		if err := old.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := old.Start(ctx); !errors.Is(err, chain.ErrUpgrade) {
			t.Fatalf("started: %v", err)
		}
		if _, err := Replay(ctx, l.Nodes[3].cfg.Home, chain.Config{}); !errors.Is(err, chain.ErrUpgrade) && err != nil {
			t.Fatalf("replay of what it has: %v", err)
		}
	})
	t.Run("with the newer release it takes part again", func(t *testing.T) {
		old.cfg.Chain.Version = next
		if err := old.Start(ctx); err != nil {
			t.Fatal(err)
		}
		target := heights(l.Nodes[:1])[0] + 2
		if err := old.WaitHeight(ctx, target); err != nil {
			t.Fatal(err)
		}
		write(3)
		agree(t, l.Nodes, target)
	})
	t.Run("a replay follows the rules of each height", func(t *testing.T) {
		if err := l.Nodes[0].Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(ctx, l.Nodes[0].cfg.Home, chain.Config{Version: next}); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(ctx, l.Nodes[0].cfg.Home, chain.Config{}); !errors.Is(err, chain.ErrUpgrade) {
			t.Fatalf("an old release replays new rules: %v", err)
		}
	})
}

// TestUpgradeWhileAway: a release that does not know the rules catches up to the height from which they hold, and stands there.
func TestUpgradeWhileAway(t *testing.T) {
	t.Parallel()
	const next = chain.AppVersion + 1
	var log logbook
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 500 * time.Millisecond, Genesis: direct, Each: func(i int, cfg *Config) {
		if i != 3 {
			cfg.Chain.Version = next
		}
	}, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	n, old := l.Nodes[0], l.Nodes[3]
	op, _, _ := create(t, n)
	submitOK(t, n, op)
	if err := old.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	from := n.run.Load().newest.Load() + 20
	raw, err := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Seq: 1, Body: &registry.UpgradeBody{Version: next, Height: from}}.Sign(members(t, l)...)
	if err != nil {
		t.Fatal(err)
	}
	submitOK(t, n, raw)
	for n.run.Load().newest.Load() < from+10 {
		op, _, _ := create(t, n)
		submitOK(t, n, op)
	}
	if err := old.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Run("the old release stands still before it and says why", func(t *testing.T) {
		saysStuck(t, old)
		if h := old.run.Load().machine.Info().Height; h != from-1 {
			t.Errorf("at height %d, the rules change at %d", h, from)
		}
		if !log.has("ALARM: this node cannot go on with this release") || !log.has("install a newer one") {
			t.Error("no word of it in the log")
		}
		if err := old.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if err := old.Start(ctx); !errors.Is(err, chain.ErrUpgrade) {
			t.Fatalf("started: %v", err)
		}
	})
	t.Run("the newer release catches up", func(t *testing.T) {
		old.cfg.Chain.Version = next
		if err := old.Start(ctx); err != nil {
			t.Fatal(err)
		}
		op, _, _ := create(t, n)
		agree(t, l.Nodes, submitOK(t, n, op)[0].Height+1)
	})
}
