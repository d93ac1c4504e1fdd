package node

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

// TestBenchRows runs the bodies on a small scale: that they work, not how fast.
func TestBenchRows(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := measurePrimitives()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []writeBench{
		{name: "one", validators: 1, together: 1, callers: 16, operations: 200},
		{name: "four", validators: 4, together: 20, callers: 4, operations: 200},
	} {
		ns, perS, err := w.ours(ctx, t.TempDir())
		if err != nil || ns <= 0 || perS <= 0 {
			t.Fatalf("%s: %v %v %v", w.name, ns, perS, err)
		}
		floor, err := w.example(ctx, t.TempDir())
		if err != nil || floor <= 0 {
			t.Fatalf("%s: %v %v", w.name, floor, err)
		}
	}
	if p.verify <= 0 || p.set <= 0 {
		t.Fatalf("%+v", p)
	}
	if commit, provable, err := latencies(ctx, 3, false); err != nil || len(commit) != 3 || provable[0] < commit[0] {
		t.Fatalf("%v %v %v", commit, provable, err)
	}
}

func BenchmarkRows(b *testing.B) {
	for b.Loop() {
		if err := BenchRows(b.Context(), false, func(r bench.Row) { _ = r.Print(os.Stderr, true) }); err != nil {
			b.Fatal(err)
		}
	}
}
