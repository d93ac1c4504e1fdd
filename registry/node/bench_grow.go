package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"

	"github.com/dojang-id/dojang/internal/bench"
)

// withLoaded runs f on a node over so many DIDs.
func withLoaded(ctx context.Context, count int, f func(*Loaded) error) error {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return err
	}
	l, err := NewLoaded(ctx, LoadedConfig{Dir: dir, DIDs: count})
	if err != nil {
		return err
	}
	return errors.Join(f(l), l.Close(context.WithoutCancel(ctx)))
}

// hashFloor is the CPU time for one DID of what a newcomer must hash: the chunks' bytes, and for each of three leaves its value,
// itself and an inner node.
func hashFloor(bytes float64) float64 {
	const times, hashes, node = 2000, 9, 100
	chunk, piece := make([]byte, int(bytes)), make([]byte, node)
	began := bench.CPUTime()
	for range times {
		h := sha256.Sum256(chunk)
		for range hashes {
			copy(piece, h[:])
			h = sha256.Sum256(piece)
		}
	}
	return float64(bench.CPUTime()-began) / times
}

func measureCatchUp(ctx context.Context, count int) (bench.Row, error) {
	var cost, floors, took []float64
	var state, snapshot int64
	for range networkRounds {
		err := withLoaded(ctx, count, func(l *Loaded) error {
			cost, took = append(cost, float64(l.JoinedCPU)/float64(count)), append(took, float64(l.Joined)/1e6)
			state, snapshot = l.StateBytes, l.SnapshotBytes
			return nil
		})
		if err != nil {
			return bench.Row{}, err
		}
		floors = append(floors, hashFloor(float64(snapshot)/float64(count)))
	}
	row := bench.RowOf("", cost, floors)
	row.N = count
	row.Latency(took)
	row.Set("catch_up_ms", bench.Median(took))
	row.Set("state_bytes_per_did", float64(state)/float64(count))
	row.Set("snapshot_bytes_per_did", float64(snapshot)/float64(count))
	return row, nil
}

// measureGrowth registers on nodes that run beside each other, in turns.
func measureGrowth(ctx context.Context, sizes []int, full bool) (row bench.Row, err error) {
	w := writeBench{validators: 1, together: maxBatch, callers: 16, operations: 2000}
	nodes := make([]*Loaded, len(sizes))
	defer func() {
		for _, l := range nodes {
			if l != nil {
				err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
			}
		}
	}()
	for i, count := range sizes {
		dir, err := os.MkdirTemp("", "dojang-bench-")
		if err != nil {
			return row, err
		}
		if nodes[i], err = NewLoaded(ctx, LoadedConfig{Dir: dir, DIDs: count}); err != nil {
			return row, err
		}
	}
	costs := make([][]float64, len(sizes))
	for range networkRounds {
		for i, l := range nodes {
			operations, err := signedCreates(l.Node, w.operations)
			if err != nil {
				return row, err
			}
			out, err := w.submit(ctx, []*Node{l.Node}, operations)
			if err != nil {
				return row, err
			}
			costs[i] = append(costs[i], out.nsOp)
		}
	}
	cost := make([]float64, len(sizes))
	for i := range costs {
		cost[i] = bench.Median(costs[i])
	}
	span := float64(sizes[len(sizes)-1]) / float64(sizes[0])
	row = bench.RowOf("", costs[len(costs)-1], costs[0])
	return row, bench.Scaling{Exponent: bench.Growth(2.5, span)}.Judge(&row, sizes, cost, full)
}
