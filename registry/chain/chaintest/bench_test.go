package chaintest_test

import (
	"testing"

	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

func BenchmarkCore(b *testing.B) {
	for _, c := range chaintest.BenchCases() {
		if !c.Full {
			b.Run(c.Name, func(b *testing.B) { c.Run(b) })
		}
	}
}

// Three keys out of 100,000 fit into 8 KiB, with 4 validators and the headers that date them.
func TestEvidenceSize(t *testing.T) {
	s, err := chaintest.NewStaples(1, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(s[0].Evidence))
	if len(s[0].Evidence) > 8<<10 {
		t.Fatalf("%d bytes", len(s[0].Evidence))
	}
}

// A measured operation is a tested one: each case runs once and refuses its corrupted input.
func TestBenchCases(t *testing.T) {
	for _, c := range chaintest.BenchCases() {
		if c.Full || testing.Short() {
			continue
		}
		l, err := c.New()
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		for i := range 2 {
			if err := l.Op(i); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
			if err := l.Floor(i); err != nil {
				t.Errorf("%s: floor: %v", c.Name, err)
			}
			if l.Corrupt != nil {
				if err := l.Corrupt(i); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
		}
		if l.Close != nil {
			l.Close()
		}
	}
}
