package statuslist

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
)

func BenchmarkStatus(b *testing.B) {
	for _, c := range BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// The rows run, and none is void.
func TestBenchCases(t *testing.T) {
	for _, c := range BenchCases() {
		if c.Full && os.Getenv("DOJANG_BENCH_FULL") == "" {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			row, err := bench.Measure(context.Background(), c, time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if row.NsOp <= 0 {
				t.Errorf("%+v", row)
			}
		})
	}
}
