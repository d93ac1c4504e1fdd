package sdjwt

import (
	"crypto/rand"
	"testing"
)

func Benchmark(b *testing.B) {
	for _, c := range BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// Every row's corrupted input is refused: otherwise the row is void.
func TestBenchCasesRefuseCorruption(t *testing.T) {
	for _, c := range BenchCases() {
		l, err := c.New()
		if err != nil {
			t.Fatal(err)
		}
		for round := range 5 {
			if err := l.Op(round); err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if err := l.Corrupt(round); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
}

// The allocation guard of the benchmark report: 59 of these belong to crypto/ecdsa's Sign.
func TestAllocations(t *testing.T) {
	for _, c := range []struct {
		name string
		max  float64
	}{{"sdjwt/issue20", 100}, {"sdjwt/verify3kb", 120}, {"sdjwt/present3", 90}, {"sdjwt/open20", 50}} {
		for _, b := range BenchCases() {
			if b.Name != c.name {
				continue
			}
			l, err := b.New()
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			got := testing.AllocsPerRun(50, func() {
				if err := l.Op(i); err != nil {
					t.Fatal(err)
				}
				i++
			})
			t.Logf("%s: %.0f allocations", c.name, got)
			if got > c.max {
				t.Errorf("%s: %.0f allocations, at most %.0f", c.name, got, c.max)
			}
		}
	}
}

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
