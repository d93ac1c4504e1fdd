package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// nodeSource is a SyncSource over a node in this process; tests bend what it answers.
type nodeSource struct {
	n     *Node
	about func([]byte) []byte
	chunk func(index int, b []byte) []byte
	block func(height uint64) uint64
}

func (s nodeSource) Snapshots(context.Context) [][]byte {
	raw, err := s.n.Snapshot()
	if err != nil {
		return nil
	}
	if s.about != nil {
		raw = s.about(raw)
	}
	return [][]byte{raw}
}

func chunkOf(n *Node, version uint64, index int) ([]byte, error) {
	f, err := n.SnapshotChunk(version, index)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (s nodeSource) Chunk(_ context.Context, version uint64, index int, good func([]byte) bool) ([]byte, error) {
	raw, err := chunkOf(s.n, version, index)
	if err != nil {
		return nil, err
	}
	if s.chunk != nil {
		raw = s.chunk(index, bytes.Clone(raw))
	}
	if !good(raw) {
		return nil, errors.New("chunk does not hold")
	}
	return raw, nil
}

func (s nodeSource) VerifiedBlock(_ context.Context, height uint64) ([]byte, error) {
	if s.block != nil {
		height = s.block(height)
	}
	return s.n.LightBlock(height)
}

// snapshotted is a network of one whose node has made a snapshot.
func snapshotted(t *testing.T, cfg LocalnetConfig) (*Localnet, []registry.DID) {
	t.Helper()
	cfg.Dir, cfg.Validators, cfg.Heartbeat = t.TempDir(), 1, 200*time.Millisecond
	l, err := NewLocalnet(cfg)
	if err != nil {
		t.Fatal(err)
	}
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	n := l.Nodes[0]
	var dids []registry.DID
	for range 30 {
		raw, did, _ := create(t, n)
		submitOK(t, n, raw)
		dids = append(dids, did)
	}
	for range 100 {
		if _, err := n.Snapshot(); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	raw, err := n.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	about, err := chain.ParseSnapshot(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.WaitHeight(t.Context(), about.Version+2); err != nil {
		t.Fatal(err)
	}
	return l, dids
}

// newcomer is a fresh home of the same network.
func newcomer(t *testing.T, n *Node) string {
	t.Helper()
	home := t.TempDir()
	raw, err := n.Genesis()
	if err == nil {
		_, err = Init(home)
	}
	if err == nil {
		err = WriteGenesis(home, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	return home
}

func TestStateSync(t *testing.T) {
	l, dids := snapshotted(t, LocalnetConfig{SnapshotBlocks: 5})
	n := l.Nodes[0]
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	home := newcomer(t, n)
	began := time.Now()
	height, err := StateSync(t.Context(), home, nodeSource{n: n}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("height %d in %v", height, time.Since(began))
	if _, err := StateSync(t.Context(), home, nodeSource{n: n}, nil); !errors.Is(err, ErrNotEmpty) {
		t.Fatalf("a second time: %v", err)
	}
	n.cfg.Allow = func(string) bool { return true }
	restarted(t, n)
	m, err := New(Config{Home: home, Peers: []string{n.ID() + "@" + n.cfg.Listen}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Stop(context.Background()) }()
	raw, did, _ := create(t, n)
	out := submitOK(t, n, raw)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.WaitHeight(ctx, out[0].Height+1); err != nil {
		t.Fatal(err)
	}
	t.Run("it goes on with the others", func(t *testing.T) {
		proven(t, m, trust, out[0].Hash)
		if _, err := m.Document(did, Version{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("it proves facts of before it came", func(t *testing.T) {
		if _, err := m.Document(dids[0], Version{}); err != nil {
			t.Fatal(err)
		}
		if _, err := m.LightBlock(2); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("it has block 2: %v", err)
		}
		at, ok := n.run.Load().engine.headerTime(3)
		if !ok {
			t.Fatal("no header 3")
		}
		if h, err := m.run.Load().machine.HeightAt(at); err != nil || h != 3 {
			t.Fatalf("height at the time of header 3: %d %v", h, err)
		}
		if p, err := m.run.Load().machine.Point(3); err != nil || !p.Time.Equal(at) {
			t.Fatalf("point of header 3: %v", err)
		}
	})
}

// restarted stops and starts a node.
func restarted(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.cfg.Listen == "127.0.0.1:0" {
		var err error
		if n.cfg.Listen, err = freePort("127.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStateSyncFromLiars(t *testing.T) {
	l, _ := snapshotted(t, LocalnetConfig{SnapshotBlocks: 5})
	n := l.Nodes[0]
	other, _ := snapshotted(t, LocalnetConfig{SnapshotBlocks: 5})
	flip := func(at int) func(int, []byte) []byte {
		return func(_ int, b []byte) []byte {
			b[at%len(b)] ^= 1
			return b
		}
	}
	for _, c := range []struct {
		name   string
		source nodeSource
	}{
		{"H24 a changed byte in a chunk", nodeSource{n: n, chunk: flip(1000)}},
		{"H24 the last byte of a chunk", nodeSource{n: n, chunk: func(_ int, b []byte) []byte { b[len(b)-1] ^= 1; return b }}},
		{"H24 a chunk cut short", nodeSource{n: n, chunk: func(_ int, b []byte) []byte { return b[:len(b)/2] }}},
		{"H24 another root", nodeSource{n: n, about: func(b []byte) []byte { return bent(t, b, func(s *chain.Snapshot) { s.Root[3] ^= 1 }) }}},
		{"H24 another height", nodeSource{n: n, about: func(b []byte) []byte { return bent(t, b, func(s *chain.Snapshot) { s.Version-- }) }}},
		{"H24 a chunk and its hash are both the liar's", nodeSource{n: n, chunk: flip(5000), about: func(b []byte) []byte {
			return bent(t, b, func(s *chain.Snapshot) {
				raw, err := chunkOf(n, s.Version, 0)
				if err != nil {
					t.Fatal(err)
				}
				s.Chunks[0] = registry.HashOf(flip(5000)(0, raw)).Digest()
			})
		}}},
		{"H24 a billion chunks", nodeSource{n: n, about: func([]byte) []byte { return bytes.Repeat([]byte{0x9b}, 1<<20) }}},
		{"H24 a whole snapshot of another chain", nodeSource{n: n, about: func([]byte) []byte {
			raw, err := other.Nodes[0].Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := newcomer(t, n)
			if _, err := StateSync(t.Context(), home, c.source, nil); !errors.Is(err, ErrNoSnapshot) {
				t.Fatalf("taken: %v", err)
			}
			if entries, err := os.ReadDir(filepath.Join(home, dataDir)); err != nil || len(entries) != 0 {
				t.Fatalf("something stays: %v %v", entries, err)
			}
			if _, err := os.Stat(filepath.Join(home, "data-joining")); err == nil {
				t.Fatal("the attempt stays")
			}
			if _, err := StateSync(t.Context(), home, nodeSource{n: n}, nil); err != nil {
				t.Fatalf("an honest snapshot after it: %v", err)
			}
		})
	}
}

func bent(t *testing.T, raw []byte, f func(*chain.Snapshot)) []byte {
	t.Helper()
	s, err := chain.ParseSnapshot(raw)
	if err != nil {
		t.Fatal(err)
	}
	f(&s)
	out, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPruning drops blocks and keeps what proves their facts.
func TestPruning(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 100 * time.Millisecond, RetainBlocks: 10})
	if err != nil {
		t.Fatal(err)
	}
	start(t, l)
	defer func() { _ = l.Stop(context.Background()) }()
	n := l.Nodes[0]
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	raw, _, _ := create(t, n)
	first := submitOK(t, n, raw)[0]
	quiet := n.run.Load().newest.Load()
	if err := n.WaitHeight(t.Context(), quiet+15); err != nil { // a quiet network
		t.Fatal(err)
	}
	_, began, err := n.Header(first.Height)
	if txs, e := n.Transactions(first.Height); err != nil || e != nil || len(txs) != 1 || !bytes.Contains(txs[0], raw[:64]) {
		t.Fatalf("%d transactions in its block: %v, %v", len(txs), err, e)
	}
	t.Run("what the header tree does not hold yet is kept", func(t *testing.T) {
		proven(t, n, trust, first.Hash)
	})
	for range 5 {
		raw, _, _ := create(t, n)
		submitOK(t, n, raw)
	}
	if err := n.WaitHeight(t.Context(), n.run.Load().newest.Load()+12); err != nil {
		t.Fatal(err)
	}
	raw, _, _ = create(t, n)
	last := submitOK(t, n, raw)[0]
	if base := n.run.Load().engine.node.BlockStore().Base(); base < int64(quiet) {
		t.Fatalf("oldest block is %d, newest %d", base, n.run.Load().newest.Load())
	}
	t.Run("facts of dropped blocks are proven", func(t *testing.T) {
		proven(t, n, trust, first.Hash)
		proven(t, n, trust, last.Hash)
	})
	t.Run("headers of dropped blocks have their hashes and times", func(t *testing.T) {
		if _, err := n.Transactions(first.Height); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("the block is there: %v", err)
		}
		if _, when, err := n.Header(first.Height); err != nil || !when.Equal(began) {
			t.Errorf("dated %v, was %v: %v", when, began, err)
		}
		for height := uint64(1); height <= n.run.Load().newest.Load(); height++ {
			hash, when, err := n.Header(height)
			if err != nil {
				t.Fatalf("header %d: %v", height, err)
			}
			if h, _, err := n.SignedHeader(height); err == nil && (h.Header.Hash() != hash || !h.Header.Time.Equal(when)) {
				t.Fatalf("header %d is another", height)
			}
		}
		for _, height := range []uint64{0, n.run.Load().newest.Load() + 1000} {
			if _, _, err := n.Header(height); (height == 0) != errors.Is(err, registry.ErrNotFound) || (height > 0) != errors.Is(err, ErrTooHigh) {
				t.Errorf("header %d: %v", height, err)
			}
		}
	})
	t.Run("and after a restart", func(t *testing.T) {
		restarted(t, n)
		if err := n.WaitHeight(t.Context(), last.Height+2); err != nil {
			t.Fatal(err)
		}
		proven(t, n, trust, first.Hash)
	})
	t.Run("a replay says that it cannot", func(t *testing.T) {
		if err := n.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(t.Context(), n.cfg.Home, chain.Config{}); !errors.Is(err, ErrPruned) {
			t.Fatalf("replayed: %v", err)
		}
	})
}

func TestReplay(t *testing.T) {
	l := localnet(t, 1, 100*time.Millisecond)
	n := l.Nodes[0]
	for range 20 {
		raw, _, _ := create(t, n)
		submitOK(t, n, raw)
	}
	if _, err := Replay(t.Context(), n.cfg.Home, chain.Config{}); err == nil {
		t.Fatal("a running node was replayed")
	}
	info := n.run.Load().machine.Info()
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := Replay(t.Context(), n.cfg.Home, chain.Config{})
	if err != nil || r.Height < info.Height {
		t.Fatalf("%+v %v", r, err)
	}
	if left, _ := filepath.Glob(filepath.Join(n.cfg.Home, "replay-*")); len(left) > 0 {
		t.Fatal("the replay leaves something behind")
	}
	t.Run("an export gives the same", func(t *testing.T) {
		var file bytes.Buffer
		if _, err := Export(t.Context(), n.cfg.Home, &file); err != nil {
			t.Fatal(err)
		}
		again, err := ReplayExport(t.Context(), bytes.NewReader(file.Bytes()), t.TempDir(), chain.Config{})
		if err != nil || again.Height != r.Height || !bytes.Equal(again.AppHash, r.AppHash) || again.Header != r.Header {
			t.Fatalf("%+v %v", again, err)
		}
		for at := 100; at < file.Len()-1; at += file.Len() / 40 { // no cut and no flipped bit passes for the whole
			cut, err := ReplayExport(t.Context(), bytes.NewReader(file.Bytes()[:at]), t.TempDir(), chain.Config{})
			if err == nil && cut.Height >= r.Height {
				t.Fatalf("cut at %d: %+v", at, cut)
			}
			bent := bytes.Clone(file.Bytes())
			bent[at] ^= 1
			if other, err := ReplayExport(t.Context(), bytes.NewReader(bent), t.TempDir(), chain.Config{}); err == nil && other.Header == r.Header &&
				!bytes.Equal(other.AppHash, r.AppHash) {
				t.Fatalf("flipped at %d: %+v", at, other)
			}
		}
	})
	t.Run("another genesis diverges", func(t *testing.T) {
		path := filepath.Join(n.cfg.Home, genesisFile)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bent := strings.Replace(string(raw), `"quota_blocks": 1000`, `"quota_blocks": 1001`, 1)
		if bent == string(raw) {
			t.Fatal("nothing was changed")
		}
		if err := os.WriteFile(path, []byte(bent), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(t.Context(), n.cfg.Home, chain.Config{}); !errors.Is(err, ErrDiverged) {
			t.Fatalf("%v", err)
		}
	})
}
