package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

// opsRounds alternate with the floor.
const opsRounds = 5

// coldStart measures from exec to demo.json with an empty data directory: p50_ms is wall time, ns_op CPU time until then and
// through the stop; the floor is the same binary that prints its help.
func coldStart(ctx context.Context) (bench.Row, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Row{}, err
	}
	var ready, cost, floors []float64
	for range opsRounds {
		ms, cpu, err := timeToReady(ctx, self)
		if err != nil {
			return bench.Row{}, err
		}
		help := exec.CommandContext(ctx, self, "--help")
		help.Stdout = io.Discard
		if err := help.Run(); err != nil {
			return bench.Row{}, err
		}
		ready, cost, floors = append(ready, ms), append(cost, cpu), append(floors, cpuOf(help))
	}
	row := bench.RowOf("", cost, floors)
	row.PerS = 0
	row.Latency(ready)
	return row, nil
}

func cpuOf(cmd *exec.Cmd) float64 {
	return float64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime())
}

func timeToReady(ctx context.Context, self string) (ms, cpu float64, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "data")
	cmd := exec.CommandContext(ctx, self, "demo", "--data", data, "--listen", "localhost:0", "--json")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	for err = errors.New("not ready"); err != nil && time.Since(begun) < 30*time.Second; time.Sleep(time.Millisecond) {
		_, err = os.Stat(filepath.Join(data, demoFile))
	}
	took := time.Since(begun)
	_ = cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended by itself
	_ = cmd.Wait()                       //nolint:errcheck // its exit is not measured
	if err != nil {
		return 0, 0, fmt.Errorf("not ready after %v", took)
	}
	return float64(took) / 1e6, cpuOf(cmd), nil
}

// peakMemory is the peak resident memory of the whole story, beside that of the same binary that prints its help.
func peakMemory(ctx context.Context) (bench.Row, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Row{}, err
	}
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return bench.Row{}, err
	}
	defer os.RemoveAll(dir)
	row := bench.Row{N: 1, Rounds: 1}
	for _, run := range []struct {
		name string
		args []string
	}{
		{"floor_mb", []string{"--help"}},
		{"peak_mb", []string{"demo", "--once", "--json", "--data", filepath.Join(dir, "data"), "--listen", "localhost:0"}},
	} {
		cmd := exec.CommandContext(ctx, self, run.args...)
		cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
		if err := cmd.Run(); err != nil {
			return row, err
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			return row, errors.New("this system does not tell")
		}
		row.Set(run.name, float64(usage.Maxrss)/1024)
		row.NsOp, row.FloorNs = cpuOf(cmd), row.NsOp // the last is the story, the one before the floor
	}
	row.Ratio = row.NsOp / row.FloorNs
	return row, nil
}
