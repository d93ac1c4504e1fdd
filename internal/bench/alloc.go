package bench

import (
	"context"
	"fmt"
	"runtime"
)

// A Limit is a most; the zero value is none.
type Limit struct {
	most float64
	set  bool
}

// AtMost is a limit, which may be 0.
func AtMost(n float64) Limit { return Limit{most: n, set: true} }

// allocations of one unit, averaged. They do not depend on the machine or on what else it does: the one gate that runs with
// the tests.
func allocations(l *Loops) (float64, error) {
	const warm, runs = 4, 64
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var before, after runtime.MemStats
	for i := range warm + runs {
		if i == warm {
			runtime.ReadMemStats(&before)
		}
		if err := l.Op(i); err != nil {
			return 0, err
		}
	}
	runtime.ReadMemStats(&after)
	// Whole numbers of an Op, as testing.AllocsPerRun gives: what the run time itself allocates now and then is not of the body.
	return float64((after.Mallocs-before.Mallocs)/runs) / float64(max(l.Per, 1)), nil
}

// Guard is the row alloc/guard: allocations of every guarded case. It is the one row with a verdict without --full.
func Guard(cases []Case) Case {
	return Case{Name: "alloc/guard", Whole: func(context.Context, Options) (Row, error) {
		row := Row{Rounds: 1}
		var missed error
		for _, c := range cases {
			if !c.Allocs.set {
				continue
			}
			err := c.with(func(l *Loops) error {
				got, err := allocations(l)
				row.N++
				row.Set(c.Name, got)
				if got > c.Allocs.most && missed == nil {
					missed = fmt.Errorf("%w: %s: %.0f allocations, at most %.0f", ErrMissed, c.Name, got, c.Allocs.most)
				}
				return err
			})
			if err != nil {
				return row, fmt.Errorf("%s: %w", c.Name, err)
			}
		}
		return row, missed
	}}
}

func (c Case) with(f func(*Loops) error) error {
	l, err := c.New()
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	if l.Close != nil {
		defer l.Close()
	}
	return f(l)
}

// TB is what a test hands over; *testing.T has it.
type TB interface {
	Helper()
	Errorf(string, ...any)
	Logf(string, ...any)
}

// Check is the test of the bodies: each does its work, refuses its corrupted input, and allocates no more than its limit.
func Check(t TB, cases []Case) {
	t.Helper()
	for _, c := range cases {
		if c.Full || c.Long || c.New == nil {
			continue
		}
		err := c.with(func(l *Loops) error {
			if err := try(l); err != nil || !c.Allocs.set {
				return err
			}
			got, err := allocations(l)
			t.Logf("%s: %.0f allocations, at most %.0f", c.Name, got, c.Allocs.most)
			if got > c.Allocs.most {
				t.Errorf("%s: %.0f allocations, at most %.0f", c.Name, got, c.Allocs.most)
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

func try(l *Loops) error {
	for i := range 3 {
		if err := l.Op(i); err != nil {
			return err
		}
		if l.Floor != nil {
			if err := l.Floor(i); err != nil {
				return fmt.Errorf("floor: %w", err)
			}
		}
		if l.Corrupt != nil {
			if err := l.Corrupt(i); err != nil {
				return fmt.Errorf("corrupted input: %w", err)
			}
		}
	}
	return nil
}
