package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	mempl "github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/internal/bench"
)

// exampleApp is the engine's key-value example, counting what it executes.
type exampleApp struct {
	*kvstore.Application

	mu   sync.Mutex
	done int
	more chan struct{} // a tick after each block
}

func (a *exampleApp) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	res, err := a.Application.FinalizeBlock(ctx, req)
	a.mu.Lock()
	a.done += len(req.Txs)
	a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
	return res, err
}

func (a *exampleApp) executed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// Query lets every peer in.
func (a *exampleApp) Query(context.Context, *abci.RequestQuery) (*abci.ResponseQuery, error) {
	return &abci.ResponseQuery{}, nil
}

// An exampleNet runs the engine's example under our settings.
type exampleNet struct {
	apps    []*exampleApp
	engines []*engine
}

func startExample(dir string, validators int) (*exampleNet, error) {
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: validators, Heartbeat: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	x := &exampleNet{}
	for _, n := range l.Nodes {
		if err := x.add(n); err != nil {
			return nil, errors.Join(err, x.stop(context.Background()))
		}
	}
	return x, nil
}

func (x *exampleNet) add(n *Node) error {
	signer, err := loadSigner(n.cfg.Home, false)
	if err != nil {
		return err
	}
	app := &exampleApp{Application: kvstore.NewPersistentApplication(n.cfg.Home + "/data"), more: make(chan struct{}, 1)}
	g := *n.genesis
	g.AppState = nil
	e, err := openEngine(engineConfig{Home: n.cfg.Home, App: app, Genesis: &g, Signer: signer, NodeKey: n.peer, Listen: n.cfg.Listen,
		Peers: n.cfg.Peers, Heartbeat: n.Heartbeat(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := e.start(); err != nil {
		return err
	}
	x.apps, x.engines = append(x.apps, app), append(x.engines, e)
	return nil
}

func (x *exampleNet) stop(ctx context.Context) (err error) {
	for _, e := range x.engines {
		err = errors.Join(err, e.stop(ctx))
	}
	return err
}

// executed waits until the first node has executed so many transactions.
func (x *exampleNet) executed(ctx context.Context, count int) error {
	for x.apps[0].executed() < count {
		if err := x.block(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (x *exampleNet) block(ctx context.Context) error {
	select {
	case <-x.apps[0].more:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const operationBytes = 330 // of a create operation

func exampleTx(i, operations int) types.Tx {
	return types.Tx(fmt.Sprint("key", i, "=", hex.EncodeToString([]byte{byte(i)}), strings.Repeat("x", operationBytes*operations)))
}

// example executes transactions as large as ours; CPU nanoseconds an operation.
func (w writeBench) example(ctx context.Context, dir string) (nsOp float64, err error) {
	x, err := startExample(dir, w.validators)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, x.stop(ctx)) }()
	count := w.operations / w.together
	cpu := bench.CPUTime()
	for i := range count {
		if err := x.executed(ctx, i-w.callers+1); err != nil { // as many wait as in our network
			return 0, err
		}
		if err := x.engines[i%len(x.engines)].node.Mempool().CheckTx(exampleTx(i, w.together), nil, mempl.TxInfo{}); err != nil {
			return 0, err
		}
	}
	if err := x.executed(ctx, count); err != nil {
		return 0, err
	}
	return float64(bench.CPUTime()-cpu) / float64(count*w.together), nil
}

// latencySample is one network's answers, one operation at a time: milliseconds, and CPU nanoseconds an operation.
type latencySample struct {
	commit, provable []float64
	nsOp             float64
}

// measureLatency alternates our network and the example, and tells what the engine's own intervals would give.
func measureLatency(ctx context.Context, samples int) (bench.Row, error) {
	var ours, floors []float64
	var all, example latencySample
	for range networkRounds {
		s, err := latencies(ctx, samples/networkRounds, false)
		if err != nil {
			return bench.Row{}, err
		}
		x, err := exampleLatencies(ctx, samples/networkRounds)
		if err != nil {
			return bench.Row{}, err
		}
		ours, floors = append(ours, s.nsOp), append(floors, x.nsOp)
		all.commit, all.provable = append(all.commit, s.commit...), append(all.provable, s.provable...)
		example.commit = append(example.commit, x.commit...)
	}
	slow, err := latencies(ctx, 10, true)
	if err != nil {
		return bench.Row{}, err
	}
	row := bench.RowOf("", ours, floors)
	row.N, row.PerS = len(all.commit), 0
	row.Latency(all.commit)
	row.Set("provable_ms", bench.Median(all.provable))
	row.Set("provable_p99_ms", bench.Quantile(all.provable, 0.99))
	row.Set("example_p50_ms", bench.Median(example.commit))
	row.Set("example_p99_ms", bench.Quantile(example.commit, 0.99))
	row.Set("engine_default_p50_ms", bench.Median(slow.commit))
	return row, nil
}

const warmLatencies = 3

func latencies(ctx context.Context, samples int, engineP2P bool) (out latencySample, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: 4, Heartbeat: 10 * time.Second, engineP2P: engineP2P})
	if err != nil {
		return out, err
	}
	n := l.Nodes[0]
	executed := make(chan time.Time, 64)
	n.observe = func() {
		select {
		case executed <- time.Now():
		default:
		}
	}
	operations, err := signedCreates(n, samples+warmLatencies)
	if err != nil {
		return out, err
	}
	if err := l.Start(ctx); err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, l.Stop(ctx)) }()
	var cpu time.Duration
	for i, op := range operations {
		if i == warmLatencies {
			cpu = bench.CPUTime()
		}
		began := time.Now()
		if _, err := n.Submit(ctx, op); err != nil {
			return out, err
		}
		proved := time.Now()
		at := <-executed
		if i >= warmLatencies {
			out.commit = append(out.commit, at.Sub(began).Seconds()*1000)
			out.provable = append(out.provable, proved.Sub(began).Seconds()*1000)
		}
	}
	out.nsOp = float64(bench.CPUTime()-cpu) / float64(samples)
	return out, nil
}

// exampleLatencies gives each transaction the time for its proof block too, as ours take it.
func exampleLatencies(ctx context.Context, samples int) (out latencySample, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	x, err := startExample(dir, 4)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, x.stop(ctx)) }()
	var cpu time.Duration
	for i := range samples + warmLatencies {
		if i == warmLatencies {
			cpu = bench.CPUTime()
		}
		began := time.Now()
		if err := x.engines[0].node.Mempool().CheckTx(exampleTx(i, 1), nil, mempl.TxInfo{}); err != nil {
			return out, err
		}
		if err := x.executed(ctx, i+1); err != nil {
			return out, err
		}
		if i >= warmLatencies {
			out.commit = append(out.commit, time.Since(began).Seconds()*1000)
		}
		if err := x.block(ctx); err != nil { // the one that carries the new app hash
			return out, err
		}
	}
	out.nsOp = float64(bench.CPUTime()-cpu) / float64(samples)
	return out, nil
}
