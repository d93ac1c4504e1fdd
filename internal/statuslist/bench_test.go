package statuslist

import (
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
)

func BenchmarkStatus(b *testing.B) {
	for _, c := range BenchCases() {
		if c.New != nil {
			b.Run(c.Name, func(b *testing.B) { c.Run(b) })
		}
	}
}

// A measured operation is a tested one; what it allocates is guarded.
func TestBenchCases(t *testing.T) { bench.Check(t, BenchCases()) }
