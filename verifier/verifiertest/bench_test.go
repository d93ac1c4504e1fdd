package verifiertest_test

import (
	"testing"

	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func BenchmarkVerifier(b *testing.B) {
	for _, c := range verifiertest.BenchCases() {
		b.Run(c.Name, func(b *testing.B) { c.Run(b) })
	}
}

// TestBenchCases runs each body once: a row must do its work and refuse its corrupted input.
func TestBenchCases(t *testing.T) {
	for _, c := range verifiertest.BenchCases() {
		t.Run(c.Name, func(t *testing.T) {
			l, err := c.New()
			if err != nil {
				t.Fatal(err)
			}
			if l.Close != nil {
				defer l.Close()
			}
			for i := range 3 {
				if err := l.Op(i); err != nil {
					t.Fatal(err)
				}
				if err := l.Floor(i); err != nil {
					t.Fatal(err)
				}
				if err := l.Corrupt(i); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
