package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// BenchRows measures registry/write-1, registry/write-4 and registry/commit-latency-4 on real networks in this process.
//
// The floor of a write is the engine's own key-value example on the same build and settings with transactions of the same
// size, plus, on each validator, one signature and one tree set an operation. ns_op and floor_ns are CPU time of the whole process
// for one operation; per_s is operations a second of wall clock.
func BenchRows(ctx context.Context, full bool, yield func(bench.Row)) error {
	primitives, err := measurePrimitives()
	if err != nil {
		return err
	}
	sizes := map[int]int{1: 10_000, 4: 4_000} // operations a round
	if full {
		sizes = map[int]int{1: 40_000, 4: 20_000}
	}
	for _, w := range []writeBench{
		{name: "registry/write-1", validators: 1, together: 1, callers: 512, operations: sizes[1]},
		{name: "registry/write-4", validators: 4, together: maxBatch, callers: 16, operations: sizes[4]},
	} {
		row, err := w.measure(ctx, primitives)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		yield(row)
	}
	row, err := measureLatency(ctx, 500)
	if err != nil {
		return fmt.Errorf("registry/commit-latency-4: %w", err)
	}
	yield(row)
	return nil
}

// primitives are CPU nanoseconds.
type primitives struct{ verify, set float64 }

func measurePrimitives() (primitives, error) {
	var p primitives
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return p, err
	}
	const n = 512
	messages, signatures := make([][]byte, n), make([][]byte, n)
	for i := range n {
		messages[i] = make([]byte, 400)
		_, _ = rand.Read(messages[i]) // never fails
		signatures[i] = ed25519.Sign(private, messages[i])
	}
	began := bench.CPUTime()
	for i := range n {
		if !ed25519.Verify(public, messages[i], signatures[i]) {
			return p, errors.New("a signature does not verify")
		}
	}
	p.verify = float64(bench.CPUTime()-began) / n

	tree := iavl.NewMutableTree(iavldb.NewMemDB(), 100_000, true, iavl.NewNopLogger())
	value := make([]byte, 200)
	set := func(from, to int) error {
		for i := from; i < to; i++ {
			key := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
			if _, err := tree.Set(key[:], value); err != nil {
				return err
			}
			if i%1000 == 999 {
				if _, _, err := tree.SaveVersion(); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := set(0, 20_000); err != nil {
		return p, err
	}
	began = bench.CPUTime()
	if err := set(20_000, 24_000); err != nil {
		return p, err
	}
	p.set = float64(bench.CPUTime()-began) / 4000
	return p, tree.Close()
}

type writeBench struct {
	name                          string
	validators, together, callers int
	operations                    int // a round
}

func (w writeBench) measure(ctx context.Context, p primitives) (bench.Row, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return bench.Row{}, err
	}
	defer os.RemoveAll(dir)
	var ours, floors, perS []float64
	for round := range bench.Rounds { // a new pair of networks each round: both begin with an empty state
		o, wall, err := w.ours(ctx, filepath.Join(dir, fmt.Sprint("ours-", round)))
		if err != nil {
			return bench.Row{}, err
		}
		f, err := w.example(ctx, filepath.Join(dir, fmt.Sprint("example-", round)))
		if err != nil {
			return bench.Row{}, err
		}
		ours, perS = append(ours, o), append(perS, wall)
		floors = append(floors, f+float64(w.validators)*(p.verify+p.set))
	}
	row := bench.Row{Name: w.name, N: w.operations, NsOp: bench.Median(ours), FloorNs: bench.Median(floors),
		PerS: bench.Median(perS), Rounds: bench.Rounds, Extra: map[string]float64{"verify_ns": p.verify, "tree_set_ns": p.set}}
	row.Ratio = row.NsOp / row.FloorNs
	return row, nil
}

// ours submits operations signed beforehand through the gateways; one with a bent signature must be refused.
func (w writeBench) ours(ctx context.Context, dir string) (nsOp, perS float64, err error) {
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: w.validators, Heartbeat: 10 * time.Second,
		Chain: chain.Config{CacheNodes: 400_000}}) // a production node keeps the whole tree of organisations in memory
	if err != nil {
		return 0, 0, err
	}
	operations, err := signedCreates(l.Nodes[0], w.operations+1)
	if err != nil {
		return 0, 0, err
	}
	corrupt := operations[w.operations]
	corrupt[len(corrupt)-1] ^= 1
	if err := l.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, l.Stop(ctx)) }()
	if out, err := l.Nodes[0].Submit(ctx, corrupt); err != nil || out[0].Code == string(registry.CodeOK) {
		return 0, 0, fmt.Errorf("void: a corrupted operation was accepted (%w)", err)
	}
	var next atomic.Int64
	work := func(worker int) error {
		n := l.Nodes[worker%len(l.Nodes)]
		for {
			from := int(next.Add(int64(w.together))) - w.together
			if from >= w.operations {
				return nil
			}
			out, err := n.Submit(ctx, operations[from:min(from+w.together, w.operations)]...)
			if err != nil {
				return err
			}
			for _, o := range out {
				if o.Code != string(registry.CodeOK) {
					return fmt.Errorf("refused: %s", o.Code)
				}
			}
		}
	}
	cpu, began := bench.CPUTime(), time.Now()
	if err := together(w.callers, work); err != nil {
		return 0, 0, err
	}
	return float64(bench.CPUTime()-cpu) / float64(w.operations), float64(w.operations) / time.Since(began).Seconds(), nil
}

func together(workers int, work func(worker int) error) error {
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() { errs[i] = work(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// ed25519Signer is a registry.Signer.
type ed25519Signer ed25519.PrivateKey

func (k ed25519Signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

// signedCreates makes distinct create operations, each of its own key.
func signedCreates(n *Node, count int) ([][]byte, error) {
	out := make([][]byte, count)
	for i := range out {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		key, err := registry.NewPublicKey(public)
		if err != nil {
			return nil, err
		}
		next := registry.HashOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
		recovery := registry.HashOf(next[:])
		op := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: &registry.CreateBody{Op: key, Next: next, Recovery: recovery}}
		if out[i], err = op.Sign(registry.SigningKey{Role: registry.RoleOp, Public: key, Signer: ed25519Signer(private)}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
