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

// example runs the engine's example under our settings with transactions as large as ours.
func (w writeBench) example(ctx context.Context, dir string) (nsOp float64, err error) {
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: w.validators, Heartbeat: 10 * time.Second})
	if err != nil {
		return 0, err
	}
	var apps []*exampleApp
	var engines []*engine
	defer func() {
		for _, e := range engines {
			err = errors.Join(err, e.stop(ctx))
		}
	}()
	for _, n := range l.Nodes {
		signer, err := loadSigner(n.cfg.Home, false)
		if err != nil {
			return 0, err
		}
		app := &exampleApp{Application: kvstore.NewPersistentApplication(n.cfg.Home + "/data"), more: make(chan struct{}, 1)}
		g := *n.genesis
		g.AppState = nil
		e, err := openEngine(engineConfig{Home: n.cfg.Home, App: app, Genesis: &g, Signer: signer, NodeKey: n.peer, Listen: n.cfg.Listen,
			Peers: n.cfg.Peers, Heartbeat: n.Heartbeat(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return 0, err
		}
		if err := e.start(); err != nil {
			return 0, err
		}
		apps, engines = append(apps, app), append(engines, e)
	}
	const operationBytes = 330
	fill := strings.Repeat("x", operationBytes*w.together)
	count := w.operations / w.together
	cpu := bench.CPUTime()
	for i := range count {
		tx := types.Tx(fmt.Sprint("key", i, "=", hex.EncodeToString([]byte{byte(i)}), fill))
		for {
			err := engines[i%len(engines)].node.Mempool().CheckTx(tx, nil, mempl.TxInfo{})
			if err == nil {
				break
			}
			if !errors.As(err, new(mempl.ErrMempoolIsFull)) {
				return 0, err
			}
			select {
			case <-apps[0].more:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	}
	for apps[0].executed() < count {
		select {
		case <-apps[0].more:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return float64(bench.CPUTime()-cpu) / float64(count*w.together), nil
}

// measureLatency submits one operation at a time to four validators: from submission to the block that executes it on the
// submitting node, and to the header that proves it; beside it the same with the engine's own intervals.
func measureLatency(ctx context.Context, samples int) (bench.Row, error) {
	commit, provable, err := latencies(ctx, samples, false)
	if err != nil {
		return bench.Row{}, err
	}
	slow, _, err := latencies(ctx, 10, true)
	if err != nil {
		return bench.Row{}, err
	}
	return bench.Row{Name: "registry/commit-latency-4", N: samples, NsOp: bench.Median(commit) * 1e6, P50Ms: bench.Median(commit),
		P99Ms: bench.Quantile(commit, 0.99), Rounds: 1, Extra: map[string]float64{"provable_ms": bench.Median(provable),
			"provable_p99_ms": bench.Quantile(provable, 0.99), "engine_default_p50_ms": bench.Median(slow)}}, nil
}

func latencies(ctx context.Context, samples int, engineP2P bool) (commit, provable []float64, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: 4, Heartbeat: 10 * time.Second, engineP2P: engineP2P})
	if err != nil {
		return nil, nil, err
	}
	n := l.Nodes[0]
	executed := make(chan time.Time, 64)
	n.observe = func() {
		select {
		case executed <- time.Now():
		default:
		}
	}
	const warm = 3
	operations, err := signedCreates(n, samples+warm)
	if err != nil {
		return nil, nil, err
	}
	if err := l.Start(ctx); err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, l.Stop(ctx)) }()
	for i, op := range operations {
		began := time.Now()
		if _, err := n.Submit(ctx, op); err != nil {
			return nil, nil, err
		}
		proved := time.Now()
		at := <-executed
		if i >= warm {
			commit = append(commit, at.Sub(began).Seconds()*1000)
			provable = append(provable, proved.Sub(began).Seconds()*1000)
		}
	}
	return commit, provable, nil
}
