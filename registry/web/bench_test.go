package web

import (
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
)

// A measured operation is a tested one.
func TestBenchCases(t *testing.T) { bench.Check(t, BenchCases()) }

func BenchmarkRegistry(b *testing.B) {
	for _, c := range BenchCases() {
		if !c.Full && c.New != nil {
			b.Run(c.Name, func(b *testing.B) { c.Run(b) })
		}
	}
}
