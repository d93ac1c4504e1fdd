package chain_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// export gives the newest snapshot of a machine.
func export(t *testing.T, m *chain.Machine) (chain.Snapshot, [][]byte) {
	t.Helper()
	var chunks [][]byte
	s, err := m.Export(0, func(i int, chunk []byte) error {
		if i != len(chunks) {
			t.Fatalf("chunk %d after %d", i, len(chunks))
		}
		chunks = append(chunks, chunk)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, chunks
}

func emptyMachine(t *testing.T) *chain.Machine {
	t.Helper()
	m, err := chain.New(chain.NewMemory(), chain.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func restore(m *chain.Machine, s chain.Snapshot, chunks [][]byte) error {
	r, err := m.Restore(s)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if err := r.Chunk(c); err != nil {
			return errors.Join(err, r.Abort())
		}
	}
	return r.Finish()
}

// history is a chain with some agencies, empty blocks in between, and replaced facts.
func history(t *testing.T, cfg chaintest.Config) (*chaintest.Chain, []*chaintest.Agency) {
	t.Helper()
	c := chaintest.New(t, cfg)
	var agencies []*chaintest.Agency
	for _, name := range []string{"first", "second", "third"} {
		a := c.Agency(name)
		c.Must(c.Op(a.AccreditOperation(vct, 1), chaintest.Member(0)))
		c.Block()
		c.Must(c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1"))))
		agencies = append(agencies, a)
	}
	return c, agencies
}

func TestSnapshot(t *testing.T) {
	c, agencies := history(t, chaintest.Config{})
	s, chunks := export(t, c.Machine)
	if s.Version != c.Height() || !bytes.Equal(s.Root[:], c.Machine.Info().AppHash) {
		t.Fatalf("snapshot %d of height %d", s.Version, c.Height())
	}
	again, _ := export(t, c.Machine)
	raw, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if other, err := again.Marshal(); err != nil || !bytes.Equal(raw, other) {
		t.Fatal("the same version gives other chunks")
	}
	parsed, err := chain.ParseSnapshot(raw)
	if err != nil {
		t.Fatal(err)
	}

	m := emptyMachine(t)
	if err := restore(m, parsed, chunks); err != nil {
		t.Fatal(err)
	}
	was, is := c.Machine.Info(), m.Info()
	if is.Height != was.Height || !bytes.Equal(is.AppHash, was.AppHash) || is.First != was.First || !is.Time.Equal(was.Time) || is.Oldest != is.Height {
		t.Fatalf("restored %+v, want %+v", is, was)
	}
	same, _ := export(t, m)
	if !bytes.Equal(marshal(t, same), raw) {
		t.Fatal("a restored node exports something else")
	}

	// Evidence of the first day, from the new node alone: no block of the engine is needed.
	q := chain.Query{Keys: []chain.KeyRef{{DID: agencies[0].DID, ID: "k1"}}, At: chaintest.Begin.Add(5e9), Heights: []uint64{1, 2, 3},
		Accreditations: []chain.AccreditationRef{{DID: agencies[0].DID, Type: vct}}}
	old, err := c.Machine.Prove(0, q)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := m.Prove(0, q)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old.Tree, fresh.Tree) || len(fresh.Dated) == 0 || len(fresh.Dated) != len(old.Dated) {
		t.Fatal("the restored node proves something else")
	}
	for i, p := range fresh.Dated {
		if p != old.Dated[i] || p.Hash() != c.Headers[p.Height-1].Hash() {
			t.Fatalf("point of height %d differs", p.Height)
		}
	}

	// And both go on alike.
	tx := c.Tx(c.Op(agencies[1].EpochOperation(), agencies[1].Key("k1").As(agencies[1].DID.URL("k1"))))
	for range 2 {
		c.Block(tx)
		h := c.Headers[len(c.Headers)-1]
		b := chain.Block{Height: h.Height, Time: h.Time, Hash: h.Hash(), Point: h.Point().Nodes, Txs: [][]byte{tx}}
		if _, _, err := m.Execute(b); err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Info().AppHash, c.Machine.Info().AppHash) {
			t.Fatalf("app hashes differ at height %d", h.Height)
		}
	}
}

func marshal(t *testing.T, s chain.Snapshot) []byte {
	t.Helper()
	b, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSnapshotRefusals(t *testing.T) {
	c, _ := history(t, chaintest.Config{})
	s, chunks := export(t, c.Machine)
	one := chunks[0]
	forged := func(change func(b []byte) []byte) (chain.Snapshot, [][]byte) {
		b := change(bytes.Clone(one))
		f := s
		f.Chunks = [][32]byte{sha256.Sum256(b)}
		return f, [][]byte{b}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	last := bytes.LastIndex(one, []byte("latest")) + 12
	tests := []struct {
		name   string
		change func([]byte) []byte
	}{
		{"H24 a leaf with another value", flip(last)},
		{"H24 a header with another time", flip(8)},
		{"H24 a header with another point", flip(20)},
		{"H24 a header is missing", func(b []byte) []byte { return b[109:] }},
		{"H24 the first header twice", func(b []byte) []byte { return append(bytes.Clone(b[:109]), b...) }},
		{"H24 the tree's root is missing", func(b []byte) []byte { return b[:len(b)-3] }},
		{"H24 cut in the middle", func(b []byte) []byte { return b[:len(b)/2] }},
		{"H24 an unknown item", func(b []byte) []byte { return append(b, 9) }},
		{"H24 one more inner node", func(b []byte) []byte { return append(b, 2, 1) }},
		{"H24 nothing", func([]byte) []byte { return nil }},
		{"a key of 1 GB", func(b []byte) []byte { return binary.AppendUvarint(append(b, 1, 1), 1<<30) }},
	}
	m := emptyMachine(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, parts := forged(tt.change)
			if err := restore(m, f, parts); !errors.Is(err, chain.ErrSnapshot) {
				t.Fatalf("got %v, want ErrSnapshot", err)
			}
			if i := m.Info(); i.Height != 0 || i.First != 0 {
				t.Fatalf("something was kept: %+v", i)
			}
		})
	}
	t.Run("H24 another app hash than the header's", func(t *testing.T) {
		f := s
		f.Root[0] ^= 1
		if err := restore(m, f, chunks); !errors.Is(err, chain.ErrSnapshot) {
			t.Fatalf("got %v, want ErrSnapshot", err)
		}
	})
	t.Run("H24 a chunk that the snapshot does not name", func(t *testing.T) {
		r, err := m.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Chunk(flip(last)(bytes.Clone(one))); !errors.Is(err, chain.ErrChunk) || r.Next() != 0 {
			t.Fatalf("got %v", err)
		}
		if err := r.Finish(); !errors.Is(err, chain.ErrOrder) {
			t.Fatalf("got %v", err)
		}
		if _, err := m.InitGenesis(c.Genesis, 1); !errors.Is(err, chain.ErrOrder) {
			t.Fatalf("a genesis while a snapshot is taken: %v", err)
		}
		if err := r.Chunk(one); err != nil { // another peer had it
			t.Fatal(err)
		}
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a machine with a state takes none", func(t *testing.T) {
		if _, err := m.Restore(s); !errors.Is(err, chain.ErrOrder) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("H23 a snapshot with 1e9 chunks", func(t *testing.T) {
		raw := bytes.Replace(marshal(t, s), []byte{0x81, 0x58, 0x20}, []byte{0x9a, 0x3b, 0x9a, 0xca, 0x00, 0x58, 0x20}, 1)
		if _, err := chain.ParseSnapshot(raw); !errors.Is(err, chain.ErrSnapshot) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestSnapshotCrash(t *testing.T) {
	c, _ := history(t, chaintest.Config{})
	s, chunks := export(t, c.Machine)
	db := chain.NewMemory()
	for range 2 {
		m, err := chain.New(db, chain.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if m.Info().Height != 0 {
			t.Fatal("half of a snapshot became a state")
		}
		r, err := m.Restore(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Chunk(chunks[0]); err != nil { // and the process dies
			t.Fatal(err)
		}
	}
	m, err := chain.New(db, chain.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := restore(m, s, chunks); err != nil {
		t.Fatal(err)
	}
	m, err = chain.New(db, chain.Config{})
	if err != nil || !bytes.Equal(m.Info().AppHash, s.Root[:]) {
		t.Fatalf("after a restart: %v %+v", err, m.Info())
	}
}

func TestExportVersions(t *testing.T) {
	c, agencies := history(t, chaintest.Config{Machine: chain.Config{KeepVersions: 5}})
	nothing := func(int, []byte) error { return nil }
	c.Block()
	if _, err := c.Machine.Export(c.Height(), nothing); !errors.Is(err, chain.ErrUnsettled) {
		t.Fatalf("an empty block: %v", err)
	}
	if _, err := c.Machine.Export(c.Height()+1, nothing); !errors.Is(err, chain.ErrVersion) {
		t.Fatalf("a height that is not there: %v", err)
	}
	version := c.Machine.Info().Changed
	first := true
	s, err := c.Machine.Export(version, func(int, []byte) error {
		for first && c.Height() < version+60 { // blocks go on and prune
			c.Must(c.Op(agencies[0].EpochOperation(), agencies[0].Key("k1").As(agencies[0].DID.URL("k1"))))
		}
		first = false
		return nil
	})
	if err != nil || s.Version != version {
		t.Fatalf("exporting while blocks go on: %v", err)
	}
	if oldest := c.Machine.Info().Oldest; oldest > version {
		t.Fatalf("version %d was pruned under the export, oldest is %d", version, oldest)
	}
	for range 30 {
		c.Must(c.Op(agencies[0].EpochOperation(), agencies[0].Key("k1").As(agencies[0].DID.URL("k1"))))
	}
	if oldest := c.Machine.Info().Oldest; oldest <= version {
		t.Fatalf("nothing was pruned afterwards, oldest is %d", oldest)
	}
	if _, err := c.Machine.Export(version, nothing); !errors.Is(err, chain.ErrVersion) {
		t.Fatalf("a pruned version: %v", err)
	}
	// A leaf of the first blocks is still proven from the newest state.
	raw := c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: agencies[0].DID, ID: "k1"}}})
	f, err := evidence.Check(raw, c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Key(t.Context(), agencies[0].DID, "k1", c.Now()); err != nil {
		t.Fatal(err)
	}
}

// A walk over all leaves sees all of them, however many blocks are made and pruned meanwhile.
func TestWalkWhilePruning(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Machine: chain.Config{KeepVersions: 1, CacheNodes: 1, CacheLeaves: 1}})
	for i := range 100 {
		c.Agency(fmt.Sprint("agency ", i))
	}
	all := func(during func()) (n int) {
		if err := c.Machine.Iterate([]byte("d/"), func(_, _ []byte) bool {
			if n++; n == 1 {
				during()
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := all(func() {})
	got := all(func() {
		for i := range 60 {
			c.Agency(fmt.Sprint("later ", i))
		}
	})
	if got != want {
		t.Errorf("%d leaves of %d", got, want)
	}
}

// A snapshot of the largest state that the format allows is offered and taken.
func TestManyChunks(t *testing.T) {
	s := chain.Snapshot{First: 1, Version: 9, Chunks: make([][32]byte, 1<<16)}
	raw, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := chain.ParseSnapshot(raw); err != nil || len(back.Chunks) != len(s.Chunks) {
		t.Errorf("%d chunks: %v", len(back.Chunks), err)
	}
	s.Chunks = append(s.Chunks, [32]byte{})
	if raw, err = s.Marshal(); err != nil {
		t.Fatal(err)
	}
	if _, err := chain.ParseSnapshot(raw); !errors.Is(err, chain.ErrSnapshot) {
		t.Errorf("one more: %v", err)
	}
}

func FuzzSnapshot(f *testing.F) {
	s := chain.Snapshot{First: 1, Version: 3, Chunks: [][32]byte{{1}, {2}}}
	raw, err := s.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw, []byte{1, 1, 1, 'a', 1, 'b', 1, 1, 1, 'c', 1, 'd', 2, 1})
	f.Fuzz(func(t *testing.T, raw, chunk []byte) {
		if s, err := chain.ParseSnapshot(raw); err == nil {
			if back, err := s.Marshal(); err != nil || !bytes.Equal(back, raw) {
				t.Fatal("not canonical")
			}
		}
		m, err := chain.New(chain.NewMemory(), chain.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := restore(m, chain.Snapshot{First: 1, Version: 9, Chunks: [][32]byte{sha256.Sum256(chunk)}}, [][]byte{chunk}); err == nil {
			t.Fatal("a snapshot without a root that holds")
		}
	})
}

// A node that took a snapshot prunes and restarts as any other.
func TestPruneAfterRestore(t *testing.T) {
	c, agencies := history(t, chaintest.Config{})
	s, chunks := export(t, c.Machine)
	dir := t.TempDir()
	open := func() *chain.Machine {
		db, err := chain.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		m, err := chain.New(db, chain.Config{KeepVersions: 3})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := open()
	if err := restore(m, s, chunks); err != nil {
		t.Fatal(err)
	}
	for i := range 90 {
		if i%2 == 0 {
			a := agencies[i%3]
			c.Must(c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1"))))
		} else {
			c.Block()
		}
		h := c.Headers[len(c.Headers)-1]
		b := chain.Block{Height: h.Height, Time: h.Time, Hash: h.Hash(), Point: h.Point().Nodes, Txs: c.Blocks[h.Height]}
		if _, _, err := m.Execute(b); err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Info().AppHash, c.Machine.Info().AppHash) {
			t.Fatalf("app hashes differ at height %d", h.Height)
		}
		if i%31 == 30 {
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			m = open()
		}
	}
	if i := m.Info(); i.Oldest <= s.Version {
		t.Fatalf("nothing was pruned: %+v", i)
	}
	var mine, others int
	count := func(n *int) func(k, v []byte) bool {
		return func(k, v []byte) bool { *n += len(k) + len(v); return true }
	}
	if err := errors.Join(m.Iterate(nil, count(&mine)), c.Machine.Iterate(nil, count(&others)), m.Close()); err != nil || mine != others {
		t.Fatalf("%d bytes of leaves, want %d: %v", mine, others, err)
	}
}
