package verifiertest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func BenchmarkVerifier(b *testing.B) {
	for _, c := range verifiertest.BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// BenchmarkLoad reports whole flows under concurrent callers.
func BenchmarkLoad(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			l, err := verifiertest.MeasureLoad(b.Context(), callers, 3*time.Second)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(l.PerS, "flows/s")
			b.ReportMetric(float64(l.CPU.Microseconds()), "cpu-us/flow")
			b.ReportMetric(float64(l.P50.Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(l.P99.Microseconds())/1000, "p99-ms")
		})
	}
}

// A measured operation is a tested one.
func TestBenchCases(t *testing.T) { bench.Check(t, verifiertest.BenchCases()) }
