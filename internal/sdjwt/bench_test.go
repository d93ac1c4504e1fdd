package sdjwt

import (
	"crypto/rand"
	"testing"

	"github.com/dojang-id/dojang/internal/bench"
)

func Benchmark(b *testing.B) {
	for _, c := range BenchCases() {
		if c.New != nil {
			b.Run(c.Name, func(b *testing.B) { c.Run(b) })
		}
	}
}

// A measured operation is a tested one; what it allocates is guarded.
func TestBenchCases(t *testing.T) { bench.Check(t, BenchCases()) }

// A further claim costs at most 2 allocations, issued or verified.
func TestAllocationSlopes(t *testing.T) {
	s, err := newBenchSet()
	if err != nil {
		t.Fatal(err)
	}
	measure := func(n int) (issue, verify float64) {
		c := s.credential(0, n)
		issue = testing.AllocsPerRun(20, func() {
			if _, err := Prepare(c, rand.Reader); err != nil {
				t.Fatal(err)
			}
		})
		text, err := s.issue(0, n)
		if err != nil {
			t.Fatal(err)
		}
		verify = testing.AllocsPerRun(20, func() {
			if _, err := Parse(text); err != nil {
				t.Fatal(err)
			}
		})
		return issue, verify
	}
	i1, v1 := measure(1)
	i200, v200 := measure(200)
	t.Logf("issue %.0f -> %.0f, verify %.0f -> %.0f", i1, i200, v1, v200)
	if slope := (i200 - i1) / 199; slope > 2 {
		t.Errorf("issue: %.2f allocations a claim", slope)
	}
	if slope := (v200 - v1) / 199; slope > 2 {
		t.Errorf("verify: %.2f allocations a claim", slope)
	}
}
