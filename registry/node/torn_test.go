package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// crashed is the home of a node that ended by SIGKILL under load, and what it had acknowledged.
func crashed(t *testing.T) (home string, acknowledged [][]byte) {
	t.Helper()
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	home = l.Nodes[0].cfg.Home
	if acknowledged = killed(t, home); len(acknowledged) < 20 {
		t.Fatalf("only %d operations before the kill", len(acknowledged))
	}
	return home, acknowledged
}

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
	n, err := New(Config{Home: home})
	if err != nil {
		return err
	}
	if err := n.Start(t.Context()); err != nil {
		return err
	}
	defer func() { _ = n.Stop(context.Background()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
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

// TestTornFiles cuts the engine's log and the sign state of a crashed node at many places.
func TestTornFiles(t *testing.T) {
	home, acknowledged := crashed(t)
	for _, file := range []struct {
		path string
		cuts int
	}{{filepath.Join("data", "cs.wal", "wal"), 12}, {"validator_state.json", 6}} {
		info, err := os.Stat(filepath.Join(home, file.path))
		if err != nil {
			t.Fatal(err)
		}
		recovered, refused := 0, 0
		for i := range file.cuts {
			size := info.Size() * int64(i) / int64(file.cuts)
			if i == file.cuts-1 {
				size = info.Size() - 1 // of the last record only the last byte is missing
			}
			t.Run(fmt.Sprintf("H26 %s cut at %d of %d", filepath.Base(file.path), size, info.Size()), func(t *testing.T) {
				bent := copyHome(t, home)
				if err := os.Truncate(filepath.Join(bent, file.path), size); err != nil {
					t.Fatal(err)
				}
				if err := startOrRefuse(t, bent, acknowledged); err != nil {
					refused++
				} else {
					recovered++
				}
			})
		}
		t.Logf("%s: %d recovered, %d refused", file.path, recovered, refused)
	}
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
