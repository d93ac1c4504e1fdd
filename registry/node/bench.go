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
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// BenchCases are the rows of whole networks in this process.
//
// registry/write-1 and registry/write-4: the floor is the engine's own key-value example on the same build and settings with
// transactions of the same size, plus, on each validator, one signature and one tree set an operation. ns_op and floor_ns
// are CPU time of the whole process for one operation; per_s is operations a second of wall clock.
//
// registry/commit-latency-4: one operation at a time; p50 and p99 from submission to FinalizeBlock on the submitting node,
// provable_ms to the header that proves it. The floor is the same on the engine's example.
//
// registry/catch-up: from an empty home to a node that runs, by state sync of so many DIDs; ns_op is CPU time a
// DID, the floor is what has to be hashed. It also tells the bytes of state a DID.
//
// scaling/write: one operation on disk among 10,000 and among 1,000,000 DIDs.
func BenchCases() []bench.Case {
	writes := func(w writeBench) func(context.Context, bench.Options) (bench.Row, error) {
		return func(ctx context.Context, o bench.Options) (bench.Row, error) {
			if o.Full {
				w.operations *= 5
			}
			return w.measure(ctx)
		}
	}
	catchUp := func(count int) func(context.Context, bench.Options) (bench.Row, error) {
		return func(ctx context.Context, _ bench.Options) (bench.Row, error) { return measureCatchUp(ctx, count) }
	}
	return []bench.Case{
		{Name: "registry/catch-up", Long: true, Whole: catchUp(10_000)},
		{Name: "registry/write-1", Long: true, Whole: writes(writeBench{validators: 1, together: 1, callers: 512, operations: 8000})},
		{Name: "registry/write-4", Long: true, Whole: writes(writeBench{validators: 4, together: maxBatch, callers: 16, operations: 4000})},
		{Name: "registry/commit-latency-4", Long: true, Whole: func(ctx context.Context, _ bench.Options) (bench.Row, error) {
			return measureLatency(ctx, 500)
		}},
		{Name: "registry/catch-up/1e6", Full: true, Whole: catchUp(1_000_000)},
		{Name: "scaling/write", Full: true, Whole: func(ctx context.Context, o bench.Options) (bench.Row, error) {
			return measureGrowth(ctx, []int{10_000, 1_000_000}, o.Full)
		}},
	}
}

// networkRounds alternate; each begins with new networks, both of an empty state.
const networkRounds = 5

// benchCacheNodes: a production node keeps the upper part of the tree of organisations in memory.
const benchCacheNodes = 400_000

// primitives are CPU nanoseconds.
type primitives struct{ verify, set float64 }

func measurePrimitives() (primitives, error) {
	cores := runtime.GOMAXPROCS(0)
	var p primitives
	var err error
	if p.verify, err = onAll(cores, 512, newVerifying); err != nil {
		return p, err
	}
	p.set, err = onAll(cores, 2000, newSetting)
	return p, err
}

// onAll is the CPU time of one step while every core does such steps, as validators do: cores that share a processor's
// units are slower together.
func onAll(cores, n int, prepare func(n int) (step func(i int) error, err error)) (float64, error) {
	steps := make([]func(int) error, cores)
	for c := range steps {
		var err error
		if steps[c], err = prepare(n); err != nil {
			return 0, err
		}
	}
	began := bench.CPUTime()
	err := together(cores, func(c int) error {
		for i := range n {
			if err := steps[c](i); err != nil {
				return err
			}
		}
		return nil
	})
	return float64(bench.CPUTime()-began) / float64(n*cores), err
}

func newVerifying(n int) (func(int) error, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	messages, signatures := make([][]byte, n), make([][]byte, n)
	for i := range n {
		messages[i] = make([]byte, 400)
		_, _ = rand.Read(messages[i]) // never fails
		signatures[i] = ed25519.Sign(private, messages[i])
	}
	return func(i int) error {
		if !ed25519.Verify(public, messages[i], signatures[i]) {
			return errors.New("a signature does not verify")
		}
		return nil
	}, nil
}

// newSetting sets leaves of a tree that has 8,000, in memory, and saves it after every 1,000.
func newSetting(int) (func(int) error, error) {
	tree := iavl.NewMutableTree(iavldb.NewMemDB(), 100_000, true, iavl.NewNopLogger())
	value := make([]byte, 200)
	const before = 8_000
	set := func(i int) error {
		key := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		if _, err := tree.Set(key[:], value); err != nil {
			return err
		}
		if i%1000 != 999 {
			return nil
		}
		_, _, err := tree.SaveVersion()
		return err
	}
	for i := range before {
		if err := set(i); err != nil {
			return nil, err
		}
	}
	return func(i int) error { return set(before + i) }, nil
}

type writeBench struct {
	validators, together, callers int
	operations                    int // a round
}

func (w writeBench) measure(ctx context.Context) (bench.Row, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return bench.Row{}, err
	}
	defer os.RemoveAll(dir)
	var ours, floors, perS, verify, set, stored []float64
	for round := range networkRounds {
		o, err := w.ours(ctx, filepath.Join(dir, fmt.Sprint("ours-", round)))
		if err != nil {
			return bench.Row{}, err
		}
		f, err := w.example(ctx, filepath.Join(dir, fmt.Sprint("example-", round)))
		if err != nil {
			return bench.Row{}, err
		}
		p, err := measurePrimitives()
		if err != nil {
			return bench.Row{}, err
		}
		ours, perS, stored = append(ours, o.nsOp), append(perS, o.perS), append(stored, o.bytes)
		floors = append(floors, f+float64(w.validators)*(p.verify+p.set))
		verify, set = append(verify, p.verify), append(set, p.set)
	}
	row := bench.RowOf("", ours, floors)
	row.N, row.PerS = w.operations, bench.Median(perS)
	row.Set("verify_ns", bench.Median(verify))
	row.Set("tree_set_ns", bench.Median(set))
	row.Set("bytes_a_registration", bench.Median(stored)) // state, its kept versions, and blocks
	return row, nil
}

// written is what one round of writes gave.
type written struct {
	nsOp, perS float64
	bytes      float64 // on one node's disk for one operation
}

// ours submits operations signed beforehand through the gateways; one with a bent signature must be refused.
func (w writeBench) ours(ctx context.Context, dir string) (out written, err error) {
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: w.validators, Heartbeat: 10 * time.Second,
		Chain: chain.Config{CacheNodes: benchCacheNodes}})
	if err != nil {
		return out, err
	}
	operations, err := signedCreates(l.Nodes[0], w.operations+1)
	if err != nil {
		return out, err
	}
	if err := l.Start(ctx); err != nil {
		return out, err
	}
	defer func() {
		err = errors.Join(err, l.Stop(ctx))
		if err == nil {
			var total int64
			total, err = size(filepath.Join(l.Nodes[0].cfg.Home, dataDir))
			out.bytes = float64(total) / float64(w.operations)
		}
	}()
	corrupt := operations[w.operations]
	corrupt[len(corrupt)-1] ^= 1
	if o, err := l.Nodes[0].Submit(ctx, corrupt); err != nil || o[0].Code == string(registry.CodeOK) {
		return out, fmt.Errorf("void: a corrupted operation was accepted (%w)", err)
	}
	return w.submit(ctx, l.Nodes, operations[:w.operations])
}

func (w writeBench) submit(ctx context.Context, nodes []*Node, operations [][]byte) (written, error) {
	var next atomic.Int64
	work := func(worker int) error {
		n := nodes[worker%len(nodes)]
		for {
			from := int(next.Add(int64(w.together))) - w.together
			if from >= len(operations) {
				return nil
			}
			out, err := n.Submit(ctx, operations[from:min(from+w.together, len(operations))]...)
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
		return written{}, err
	}
	n := float64(len(operations))
	return written{nsOp: float64(bench.CPUTime()-cpu) / n, perS: n / time.Since(began).Seconds()}, nil
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
func signedCreates(n *Node, count int) ([][]byte, error) { return keyedCreates(n, count, "") }

// keyedCreates adds a verification key of that name; "": none.
func keyedCreates(n *Node, count int, kid string) ([][]byte, error) {
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
		body := &registry.CreateBody{Op: key, Next: next, Recovery: registry.HashOf(next[:])}
		if kid != "" {
			body.Keys = []registry.NewKey{{ID: kid, Use: registry.UseAssertion, Key: key}}
		}
		op := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: body}
		if out[i], err = op.Sign(registry.SigningKey{Role: registry.RoleOp, Public: key, Signer: ed25519Signer(private)}); err != nil {
			return nil, err
		}
	}
	return out, nil
}
