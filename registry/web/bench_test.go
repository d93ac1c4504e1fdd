package web

import (
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

func TestBenchCases(t *testing.T) {
	for _, c := range BenchCases() {
		row, err := bench.Measure(t.Context(), c, 10*time.Millisecond)
		if err != nil || row.NsOp <= 0 {
			t.Fatalf("%s: %+v %v", c.Name, row, err)
		}
		t.Logf("%s: %.0f ns, floor %.0f, %.0f/s", row.Name, row.NsOp, row.FloorNs, row.PerS)
	}
}

func BenchmarkRegistry(b *testing.B) {
	for _, c := range BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}
