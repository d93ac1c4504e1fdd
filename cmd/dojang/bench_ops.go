package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

// coldStart measures from exec to demo.json with an empty data directory (ops/cold-start) and the peak resident memory of
// the whole story (ops/rss). Both run this very binary.
func coldStart(ctx context.Context) ([]bench.Row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var ready, peak []float64
	for range bench.Rounds {
		ms, err := timeToReady(ctx, self)
		if err != nil {
			return nil, fmt.Errorf("ops/cold-start: %w", err)
		}
		ready = append(ready, ms)
	}
	mb, err := peakMemory(ctx, self)
	if err != nil {
		return nil, fmt.Errorf("ops/rss: %w", err)
	}
	peak = append(peak, mb)
	return []bench.Row{
		{Name: "ops/cold-start", N: len(ready), NsOp: bench.Median(ready) * 1e6, P50Ms: bench.Median(ready), P99Ms: bench.Quantile(ready, 1), Rounds: len(ready)},
		{Name: "ops/rss", N: 1, Rounds: 1, Extra: map[string]float64{"peak_mb": bench.Median(peak)}},
	}, nil
}

func timeToReady(ctx context.Context, self string) (float64, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(ctx, self, "demo", "--data", data, "--listen", "localhost:0", "--json")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended by itself
		_ = cmd.Wait()                       //nolint:errcheck // its exit is not measured
	}()
	for time.Since(begun) < 30*time.Second {
		if _, err := os.Stat(filepath.Join(data, demoFile)); err == nil {
			return float64(time.Since(begun).Microseconds()) / 1000, nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, fmt.Errorf("not ready after %v", time.Since(begun))
}

func peakMemory(ctx context.Context, self string) (float64, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, self, "demo", "--once", "--json", "--data", filepath.Join(dir, "data"), "--listen", "localhost:0")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, fmt.Errorf("this system does not tell")
	}
	return float64(usage.Maxrss) / 1024, nil
}
