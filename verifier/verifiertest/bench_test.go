package verifiertest_test

import (
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func BenchmarkVerifier(b *testing.B) {
	for _, c := range verifiertest.BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// A measured operation is a tested one.
func TestBenchCases(t *testing.T) { bench.Check(t, verifiertest.BenchCases()) }
