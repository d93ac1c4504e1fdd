package bench

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		name              string
		cost              func(n float64) float64
		exponent, perUnit float64
	}{
		{"linear", func(n float64) float64 { return 3 * n }, 1, 3},
		{"constant", func(float64) float64 { return 7 }, 0, 0},
		{"root", math.Sqrt, 0.5, math.NaN()},
	} {
		sizes := []int{10, 100, 1000}
		var cost []float64
		for _, n := range sizes {
			cost = append(cost, c.cost(float64(n)))
		}
		exponent, perUnit := fit(sizes, cost)
		if math.Abs(exponent-c.exponent) > 1e-9 || !math.IsNaN(c.perUnit) && math.Abs(perUnit-c.perUnit) > 1e-9 {
			t.Errorf("%s: exponent %v, %v a unit", c.name, exponent, perUnit)
		}
	}
	if e := Growth(2.5, 1e4); math.Abs(math.Pow(1e4, e)-2.5) > 1e-9 {
		t.Errorf("growth %v", e)
	}
}

func TestScalingAssertsWithFull(t *testing.T) {
	s := Scaling{Name: "scaling/x", Exponent: 0.5, PerUnit: 2}
	for _, c := range []struct {
		name string
		cost []float64
		full bool
		want error
	}{
		{"told only", []float64{10, 1000}, false, nil},
		{"too steep", []float64{10, 1000}, true, ErrMissed},
		{"too dear", []float64{10_000, 11_000}, true, ErrMissed},
		{"good", []float64{10, 12}, true, nil},
	} {
		var row Row
		if err := s.Judge(&row, []int{10, 100}, c.cost, c.full); !errors.Is(err, c.want) || row.Extra["exponent"] == 0 {
			t.Errorf("%s: %v %+v", c.name, err, row)
		}
	}
}

func TestMeasure(t *testing.T) {
	sink := 0
	work := func(n int) func(int) error {
		return func(i int) error {
			for j := range n {
				sink += i ^ j
			}
			return nil
		}
	}
	void := errors.New("taken")
	o := Options{Round: 2 * time.Millisecond, Rounds: 5}
	loops := Loops{Op: work(100_000), Floor: work(10_000), Per: 2, Latencies: func() []float64 { return []float64{1, 2, 3} }}
	c := Case{Name: "x/y", New: func() (*Loops, error) { return &loops, nil }}
	row, err := Measure(context.Background(), c, o)
	if err != nil || row.Name != "x/y" || row.Rounds != 5 || row.Ratio != row.NsOp/row.FloorNs || row.P50Ms != 2 || row.P99Ms != 3 {
		t.Fatalf("%+v %v", row, err)
	}
	loops.Corrupt = func(int) error { return void }
	if _, err := Measure(context.Background(), c, o); !errors.Is(err, void) {
		t.Errorf("a void row: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Measure(ctx, c, o); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestGuard(t *testing.T) {
	var keep []byte
	c := Case{Name: "a", New: func() (*Loops, error) {
		return &Loops{Op: func(int) error { keep = make([]byte, 100); return nil }}, nil
	}}
	for _, limit := range []float64{0, 1} {
		c.Allocs = AtMost(limit)
		row, err := Measure(context.Background(), Guard([]Case{c, {Name: "not guarded"}}), Options{})
		if missed := errors.Is(err, ErrMissed); missed != (limit == 0) || row.N != 1 || row.Extra["a"] != 1 {
			t.Errorf("limit %v: %+v %v", limit, row, err)
		}
	}
	_ = keep
}

func TestProbe(t *testing.T) {
	p := Probe{samples: []float64{100, 101, 114, 100}}
	if p.Noisy() {
		t.Errorf("spread %v", p.Spread())
	}
	p.samples = append(p.samples, 116) // one is enough
	if !p.Noisy() {
		t.Errorf("spread %v", p.Spread())
	}
}
