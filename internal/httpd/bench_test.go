package httpd_test

import (
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/httpd"
)

func BenchmarkHTTP(b *testing.B) {
	for _, c := range httpd.BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// A measured operation is a tested one; what it allocates is guarded.
func TestBenchCases(t *testing.T) { bench.Check(t, httpd.BenchCases()) }
