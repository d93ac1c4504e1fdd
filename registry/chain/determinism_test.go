package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

// A script is random transactions in blocks: many good ones, many that are refused in all sorts of ways.
type script struct {
	genesis chain.Genesis
	blocks  []chain.Block
}

// writeScript makes the script by running it once; hashes and times of headers are made up.
func writeScript(t *testing.T, seed uint64, txs int) script {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, seed))
	c := chaintest.Start(t, chaintest.Config{Members: 3, Threshold: 2, Genesis: func(g *chain.Genesis) { g.QuotaOps, g.QuotaBlocks = 400, 3 }})
	w := &scriptWriter{t: t, r: r, c: c, nonces: make([]uint64, 3)}
	s := script{genesis: c.Genesis}
	at := chaintest.Begin
	for made := 0; made < txs; {
		at = at.Add(time.Duration(r.IntN(3000)+1) * time.Millisecond)
		c.Time = at
		b := chain.Block{Height: uint64(len(s.blocks) + 1), Time: at, Hash: [32]byte{byte(len(s.blocks)), byte(len(s.blocks) >> 8), 7}}
		for n := r.IntN(60); n > 0 && b.Height > 1; n-- {
			b.Txs = append(b.Txs, w.tx())
			made++
		}
		if _, _, err := c.Machine.Execute(b); err != nil {
			t.Fatal(err)
		}
		if err := c.Machine.Commit(); err != nil {
			t.Fatal(err)
		}
		s.blocks = append(s.blocks, b)
	}
	if w.agencies == nil {
		t.Fatal("an empty script")
	}
	return s
}

type scriptWriter struct {
	t        *testing.T
	r        *rand.Rand
	c        *chaintest.Chain
	agencies []*chaintest.Agency
	accr     map[*chaintest.Agency]uint64
	nonces   []uint64
	old      [][]byte
}

func (w *scriptWriter) tx() []byte {
	r := w.r
	if len(w.old) > 0 && r.IntN(20) == 0 {
		tx := bytes.Clone(w.old[r.IntN(len(w.old))])
		if r.IntN(2) == 0 {
			tx[r.IntN(len(tx))] ^= byte(1 + r.IntN(255))
		}
		return tx
	}
	var ops [][]byte
	for n := r.IntN(2) + 1; n > 0; n-- {
		ops = append(ops, w.operation())
	}
	member := r.IntN(3)
	w.nonces[member] += uint64(r.IntN(3))
	tx := w.c.TxOf(member, max(w.nonces[member], 1), ops...)
	w.old = append(w.old, tx)
	return tx
}

func (w *scriptWriter) operation() []byte {
	r := w.r
	if len(w.agencies) == 0 || r.IntN(4) == 0 {
		a := w.c.NewAgency(fmt.Sprint("agency ", len(w.agencies)))
		w.agencies = append(w.agencies, a)
		return w.c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))
	}
	a := w.agencies[r.IntN(len(w.agencies))]
	switch r.IntN(9) {
	case 0:
		return w.c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1")))
	case 1:
		return w.c.Op(a.AccreditOperation(vct, uint64(r.IntN(3)+1)), chaintest.Member(r.IntN(2)), chaintest.Member(2))
	case 2:
		return w.c.Op(registry.Operation{DID: a.DID, Body: &registry.AnchorBody{Root: [32]byte{byte(r.IntN(256)), byte(r.IntN(256))}}}, a.Key("k1").As(a.DID.URL("k1")))
	case 3:
		return w.c.Op(a.Next(&registry.CompromiseBody{ID: "auth", From: w.c.Time.Unix() - int64(r.IntN(100))}), a.Op(0).As(registry.RoleOp))
	case 5:
		body := &registry.ParamsBody{EpochInterval: new(uint64(r.IntN(5))), QuotaOps: new(uint64(380 + r.IntN(40)))}
		return w.c.Op(registry.Operation{Seq: r.Uint64(), Body: body}, chaintest.Member(r.IntN(3)), chaintest.Member(r.IntN(3)))
	case 4:
		return w.c.Op(a.Next(&registry.RetireBody{ID: "k1"}), a.Op(r.IntN(2)).As(registry.RoleOp))
	}
	id := fmt.Sprint("x", r.IntN(100))
	op := a.Next(&registry.UpdateBody{
		Keys:     []registry.NewKey{{ID: id, Use: registry.UseAssertion, Key: chaintest.NewKey(a.Name + id).Public()}},
		Services: []registry.Service{{ID: "s" + id, Type: "T", Endpoint: "https://agency.example/" + id}},
	})
	signed := w.c.Op(op, a.Op(0).As(registry.RoleOp))
	if r.IntN(3) > 0 {
		a.Took(op)
	}
	return signed
}

// play runs the script from a height on and returns the app hash and the result bytes after each block.
func play(t *testing.T, m *chain.Machine, s script, check bool) []string {
	t.Helper()
	if m.Info().Height == 0 {
		if _, err := m.InitGenesis(s.genesis, 1); err != nil {
			t.Fatal(err)
		}
	}
	var out []string
	for _, b := range s.blocks[m.Info().Height:] {
		if check {
			for i := range b.Txs {
				m.CheckTx(b.Txs[len(b.Txs)-1-i]) // in any order
			}
		}
		results, hash, err := m.Execute(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			t.Fatal(err)
		}
		var all []byte
		for _, r := range results {
			all = append(all, r.Data()...)
		}
		if !bytes.Equal(hash, m.Info().AppHash) {
			t.Fatalf("height %d: committed another hash than executed", b.Height)
		}
		out = append(out, fmt.Sprintf("%x %x", hash, all))
	}
	return out
}

func newMachine(t *testing.T, dir string, cfg chain.Config) *chain.Machine {
	t.Helper()
	db := chain.NewMemory()
	if dir != "" {
		var err error
		if db, err = chain.Open(dir); err != nil {
			t.Fatal(err)
		}
	}
	m, err := chain.New(db, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDeterminism(t *testing.T) {
	t.Run("H10 four nodes over random transactions", func(t *testing.T) {
		s := writeScript(t, 1, probeTxs)
		// Nodes differ in all that must not matter: cache, store, pruning, what they checked before, concurrent readers.
		nodes := []struct {
			cfg     chain.Config
			dir     string
			check   bool
			readers bool
		}{
			{cfg: chain.Config{}},
			{cfg: chain.Config{KeepVersions: 1, CacheNodes: 500, Verdicts: 1}, check: true},
			{cfg: chain.Config{Sync: false}, dir: t.TempDir(), check: true, readers: true},
			{cfg: chain.Config{CacheNodes: 2000}, dir: t.TempDir()},
		}
		var want []string
		for i, n := range nodes {
			m := newMachine(t, n.dir, n.cfg)
			stop := func() {}
			if n.readers {
				stop = read(m, s)
			}
			got := play(t, m, s, n.check)
			stop()
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
				continue
			}
			for h := range want {
				if got[h] != want[h] {
					t.Fatalf("node %d differs at height %d: %s, want %s", i, h+1, got[h], want[h])
				}
			}
		}
		t.Logf("%d blocks", len(want))
	})
	t.Run("H10 replay from a restart at every tenth height", func(t *testing.T) {
		s := writeScript(t, 2, 1500)
		dir := t.TempDir()
		m := newMachine(t, "", chain.Config{})
		want := play(t, m, s, false)
		var got []string
		for at := 0; at < len(s.blocks); at += 10 {
			part := script{genesis: s.genesis, blocks: s.blocks[:min(at+10, len(s.blocks))]}
			m := newMachine(t, dir, chain.Config{KeepVersions: 5})
			got = append(got, play(t, m, part, at%20 == 0)...)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for h := range want {
			if got[h] != want[h] {
				t.Fatalf("the restarted node differs at height %d", h+1)
			}
		}
	})
}

// read asks a machine for proofs and checks all the while.
func read(m *chain.Machine, s script) (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for i := range 3000 {
				select {
				case <-done:
					return
				default:
				}
				_, _ = m.Prove(0, chain.Query{Raw: [][]byte{[]byte("gov/params/latest")}, Heights: []uint64{uint64(i%50 + 1)}})
				b := s.blocks[i%len(s.blocks)]
				if len(b.Txs) > 0 {
					m.CheckTx(b.Txs[0])
				}
			}
		})
	}
	return func() { close(done); wg.Wait() }
}

// An empty block, or one of which nothing is admitted, changes neither state nor app hash; a restart in between does not
// lose the hashes of empty blocks.
func TestEmptyBlocksChangeNothing(t *testing.T) {
	dir := t.TempDir()
	db, err := chain.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := chaintest.New(t, chaintest.Config{DB: db})
	a := c.Agency("gaon")
	hash := appHash(c)
	for range 20 {
		c.Block()
	}
	c.Block([]byte("rubbish"), c.TxOf(0, 1, c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))))
	if !bytes.Equal(hash, appHash(c)) {
		t.Fatal("the app hash moved")
	}
	if err := c.Machine.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = chain.Open(dir); err != nil {
		t.Fatal(err)
	}
	if c.Machine, err = chain.New(db, chain.Config{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(hash, appHash(c)) {
		t.Fatal("the app hash moved over a restart")
	}
	c.Agency("seoul")
	p, err := c.Machine.Prove(0, chain.Query{Heights: []uint64{1, 2, 10, 22, c.Height()}})
	if err != nil || len(p.Points) != 5 {
		t.Fatalf("%+v, %v", p.Points, err)
	}
}

// A copy of the store's files, taken while a commit runs, is a store from which the node goes on to the same state.
func TestCopyDuringCommit(t *testing.T) {
	s := writeScript(t, 3, 600)
	want := play(t, newMachine(t, "", chain.Config{}), s, false)
	dir, copies := t.TempDir(), t.TempDir()
	m := newMachine(t, dir, chain.Config{KeepVersions: 3})
	var taken []string
	if _, err := m.InitGenesis(s.genesis, 1); err != nil {
		t.Fatal(err)
	}
	for _, b := range s.blocks {
		if _, _, err := m.Execute(b); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- m.Commit() }()
		if b.Height%4 == 0 {
			to := filepath.Join(copies, fmt.Sprint(b.Height))
			copyStore(t, dir, to)
			taken = append(taken, to)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range taken {
		m := newMachine(t, at, chain.Config{KeepVersions: 3})
		goesOn(t, m, s, want)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func goesOn(t *testing.T, m *chain.Machine, s script, want []string) {
	t.Helper()
	from := int(m.Info().Height)
	for i, got := range play(t, m, s, false) {
		if got != want[from+i] {
			t.Fatalf("goes on from height %d and differs at %d", from, from+i+1)
		}
	}
}

// A failing store fails one write to it, which is persisted nevertheless or not: the two things that a crash can leave.
type failingStore struct {
	iavldb.DB
	writes  int // until the failure
	persist bool
}

var errDisk = errors.New("disk gone")

func (f *failingStore) NewBatch() iavldb.Batch            { return &failingBatch{f.DB.NewBatch(), f} }
func (f *failingStore) NewBatchWithSize(int) iavldb.Batch { return f.NewBatch() }

type failingBatch struct {
	iavldb.Batch
	store *failingStore
}

func (b *failingBatch) Write() error {
	b.store.writes--
	if b.store.writes > 0 {
		return b.Batch.Write()
	}
	if b.store.writes == 0 && b.store.persist {
		if err := b.Batch.Write(); err != nil {
			return err
		}
	}
	return errDisk
}

func (b *failingBatch) WriteSync() error { return b.Write() }

func TestCrashAtEveryWrite(t *testing.T) {
	s := writeScript(t, 4, 150)
	want := play(t, newMachine(t, "", chain.Config{}), s, false)
	for _, persist := range []bool{false, true} {
		failed := 0
		for n := 1; ; n++ {
			store := &failingStore{DB: chain.NewMemory(), writes: n, persist: persist}
			m, err := chain.New(store, chain.Config{KeepVersions: 2})
			if err != nil {
				t.Fatal(err)
			}
			if !fails(t, m, s) {
				break
			}
			failed++
			if m, err = chain.New(store.DB, chain.Config{KeepVersions: 2}); err != nil {
				t.Fatalf("write %d, persisted %v: %v", n, persist, err)
			}
			goesOn(t, m, s, want)
		}
		if failed < 2*len(s.blocks) {
			t.Fatalf("only %d failures in %d blocks", failed, len(s.blocks))
		}
	}
}

// fails plays a script until a commit fails.
func fails(t *testing.T, m *chain.Machine, s script) bool {
	t.Helper()
	if _, err := m.InitGenesis(s.genesis, 1); err != nil {
		t.Fatal(err)
	}
	for _, b := range s.blocks {
		if _, _, err := m.Execute(b); err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			if !errors.Is(err, errDisk) {
				t.Fatal(err)
			}
			return true
		}
	}
	return false
}

func copyStore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
