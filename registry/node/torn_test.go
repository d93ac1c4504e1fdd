package node

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// copyHome makes a home of its own out of another.
func copyHome(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// startOrRefuse starts a node whose files were bent. Refusing is right; otherwise it must go on with everything that was
// acknowledged, on the history that it had.
func startOrRefuse(t *testing.T, home string, acknowledged [][]byte) (refused error) {
	t.Helper()
	return startAgain(t, Config{Home: home}, acknowledged)
}

// startAgain is startOrRefuse with a configuration.
func startAgain(t *testing.T, cfg Config, acknowledged [][]byte) (refused error) {
	t.Helper()
	home := cfg.Home
	n, err := New(cfg)
	if err != nil {
		return err
	}
	if err := n.Start(t.Context()); err != nil {
		return err
	}
	defer func() { _ = n.Stop(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	op, _, _ := create(t, n)
	out, err := n.Submit(ctx, op)
	if err != nil || out[0].Code != string(registry.CodeOK) {
		t.Fatalf("started and does not go on: %v", err)
	}
	for _, raw := range acknowledged {
		hash, err := registry.ParseHash(raw)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := n.run.Load().machine.Outcome(hash); err != nil || o.Code != string(registry.CodeOK) {
			t.Fatalf("started without an acknowledged operation: %v", err)
		}
	}
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, r := range rows(t, home) {
		if r.Violations != 0 {
			t.Fatalf("%s: %+v", id, r)
		}
	}
	if _, err := Replay(t.Context(), home, chain.Config{}); err != nil {
		t.Fatalf("diverged: %v", err)
	}
	return nil
}

// TestStoresOfDifferentHeights puts an older and a newer state beside the engine's stores.
func TestStoresOfDifferentHeights(t *testing.T) {
	l := localnet(t, 1, 200*time.Millisecond)
	n := l.Nodes[0]
	var acknowledged [][]byte
	more := func() {
		for range 5 {
			op, _, _ := create(t, n)
			acknowledged = append(acknowledged, submitOK(t, n, op)[0].Hash)
		}
	}
	more()
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	older := copyHome(t, n.cfg.Home)
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	more()
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	swap := func(t *testing.T, from, to string) {
		t.Helper()
		dir := filepath.Join(to, dataDir, "chain")
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, dataDir, "chain"))); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("H26 a state older than the blocks is brought up to them", func(t *testing.T) {
		home := copyHome(t, n.cfg.Home)
		swap(t, older, home)
		if err := startOrRefuse(t, home, acknowledged); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("H26 a state newer than the blocks is refused", func(t *testing.T) {
		home := copyHome(t, older)
		swap(t, n.cfg.Home, home)
		copyFile(t, filepath.Join(n.cfg.Home, "validator_state.json"), filepath.Join(home, "validator_state.json"))
		err := startOrRefuse(t, home, acknowledged)
		if err == nil {
			t.Fatal("started")
		}
		t.Log(err)
	})
	t.Run("H26 a state that is gone is made again", func(t *testing.T) {
		home := copyHome(t, n.cfg.Home)
		if err := os.RemoveAll(filepath.Join(home, dataDir, "chain")); err != nil {
			t.Fatal(err)
		}
		if err := startOrRefuse(t, home, acknowledged); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("H26 a state of another chain is refused", func(t *testing.T) {
		other := localnet(t, 1, 200*time.Millisecond)
		op, _, _ := create(t, other.Nodes[0])
		submitOK(t, other.Nodes[0], op)
		if err := other.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		home := copyHome(t, older)
		swap(t, other.Nodes[0].cfg.Home, home)
		if err := startOrRefuse(t, home, acknowledged[:5]); err == nil {
			t.Fatal("started")
		}
	})
}
