package node

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

// TestBenchCases runs the bodies on a small scale: that they work, not how fast.
func TestBenchCases(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p, err := measurePrimitives()
	if err != nil || p.verify <= 0 || p.set <= 0 {
		t.Fatalf("%+v %v", p, err)
	}
	for _, w := range []writeBench{
		{validators: 1, together: 1, callers: 16, operations: 200},
		{validators: 4, together: 20, callers: 4, operations: 200},
	} {
		out, err := w.ours(ctx, t.TempDir())
		if err != nil || out.nsOp <= 0 || out.perS <= 0 || out.bytes <= 0 {
			t.Fatalf("%+v: %+v %v", w, out, err)
		}
		floor, err := w.example(ctx, t.TempDir())
		if err != nil || floor <= 0 {
			t.Fatalf("%+v: %v %v", w, floor, err)
		}
	}
	if s, err := latencies(ctx, 3, false); err != nil || len(s.commit) != 3 || s.provable[0] < s.commit[0] {
		t.Fatalf("%+v %v", s, err)
	}
	if s, err := exampleLatencies(ctx, 3); err != nil || len(s.commit) != 3 {
		t.Fatalf("%+v %v", s, err)
	}
}

// A state that was loaded is a state: its node resolves what is in it, registers more, and goes on after a restart.
func TestLoaded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const count = 2000
	err := withLoaded(ctx, count, func(l *Loaded) error {
		for _, i := range []int{0, 1, 777, count - 1} {
			doc, err := l.Node.Document(l.DID(i), Version{})
			if err != nil || len(doc.JSON) == 0 {
				t.Errorf("identifier %d: %q %v", i, doc.JSON, err)
			}
		}
		operations, err := keyedCreates(l.Node, 300, "issue-1")
		if err != nil {
			return err
		}
		w := writeBench{validators: 1, together: maxBatch, callers: 2}
		if _, err := w.submit(ctx, []*Node{l.Node}, operations[:200]); err != nil {
			return err
		}
		if err := l.Node.Stop(ctx); err != nil {
			return err
		}
		if err := l.Node.Start(ctx); err != nil {
			return err
		}
		_, err = w.submit(ctx, []*Node{l.Node}, operations[200:])
		if l.StateBytes < 100*count || l.SnapshotBytes < 100*count || l.Joined <= 0 {
			t.Errorf("%+v", l)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRows(b *testing.B) {
	for b.Loop() {
		for _, c := range BenchCases() {
			if c.Full {
				continue
			}
			row, err := bench.Measure(b.Context(), c, bench.Options{})
			if err != nil {
				b.Fatal(err)
			}
			_ = row.Print(os.Stderr, true)
		}
	}
}
