// Package bench measures an operation beside its floor in the same run, and prints the rows of `dojang bench`.
//
// A Case lives beside the code it measures; `go test -bench` and the command call the same body. Use Measure.
// Times are CPU time of the process (user and system), medians of alternating rounds; the ratio is what counts,
// absolute figures belong to the machine.
package bench

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A Case is one row: New for a body that can be called in a loop, Whole for networks, processes and slopes.
type Case struct {
	Name string
	// New prepares fixtures, at least 256 distinct ones, outside of the measured time.
	New func() (*Loops, error)
	// Whole measures by itself. With ErrMissed the row is good and its goal is not.
	Whole func(context.Context, Options) (Row, error)
	// Full cases run with --full only; Long ones with it, or when their area is asked for by name.
	Full, Long bool
	// Allocs guards the allocations of one unit (see Check); the zero value does not.
	Allocs Limit
}

// Options of a run.
type Options struct {
	Round  time.Duration // of one round; 0: 60 ms
	Rounds int           // 0: 15
	Full   bool
}

// ErrMissed: the row was measured, and what `bench --full` asserts of it does not hold.
var ErrMissed = errors.New("bench: goal missed")

// Loops are the bodies of a case. i counts iterations; fixtures are picked by i, never memoised across iterations.
type Loops struct {
	Op    func(i int) error
	Floor func(i int) error // the physical limit of the same work (see FloorPer); nil: no floor, ratio 0
	// Corrupt feeds one corrupted input a round and returns an error when it was accepted: the row is void then.
	Corrupt func(round int) error
	// Per is the number of units one Op does (entries, claims, credentials), FloorPer those of one Floor; 0 means 1.
	Per, FloorPer int
	// Latencies are milliseconds of single callers so far, when an Op is many at once; nil: none.
	Latencies func() []float64
	// Extra are figures that no time tells: bytes, counts.
	Extra map[string]float64
	Close func()
}

func (o Options) withDefaults() Options {
	if o.Round == 0 {
		o.Round = 60 * time.Millisecond
	}
	if o.Rounds == 0 {
		o.Rounds = 15
	}
	return o
}

// Measure runs one case: rounds of Op and Floor alternate, each long enough to be measured and short enough that what
// else the machine does meets both.
func Measure(ctx context.Context, c Case, o Options) (Row, error) {
	o = o.withDefaults()
	row, err := measure(ctx, c, o)
	if err != nil {
		return row, fmt.Errorf("%s: %w", c.Name, err)
	}
	return row, nil
}

func measure(ctx context.Context, c Case, o Options) (Row, error) {
	if c.Whole != nil {
		row, err := c.Whole(ctx, o)
		row.Name = c.Name
		return row, err
	}
	l, err := c.New()
	if err != nil {
		return Row{}, fmt.Errorf("prepare: %w", err)
	}
	if l.Close != nil {
		defer l.Close()
	}
	t, err := newTimer(l, o.Round)
	if err != nil {
		return Row{}, err
	}
	for range o.Rounds {
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		if err := t.round(); err != nil {
			return Row{}, err
		}
	}
	return t.row(c.Name), nil
}

// A timer measures the rounds of one case.
type timer struct {
	l           *Loops
	n, nf       int // iterations a round
	ops, floors []float64
}

func newTimer(l *Loops, d time.Duration) (*timer, error) {
	t := &timer{l: l}
	var err error
	if t.n, err = calibrate(l.Op, d); err != nil {
		return nil, err
	}
	if l.Floor == nil {
		return t, nil
	}
	if t.nf, err = calibrate(l.Floor, d); err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	return t, nil
}

func (t *timer) round() error {
	round := len(t.ops)
	ns, err := timed(t.l.Op, round*t.n, t.n)
	if err != nil {
		return err
	}
	t.ops = append(t.ops, ns/float64(max(t.l.Per, 1)))
	if t.l.Floor != nil {
		if ns, err = timed(t.l.Floor, round*t.nf, t.nf); err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		t.floors = append(t.floors, ns/float64(max(t.l.FloorPer, 1)))
	}
	if t.l.Corrupt != nil {
		if err := t.l.Corrupt(round); err != nil {
			return fmt.Errorf("void, a corrupted input was accepted: %w", err)
		}
	}
	return nil
}

func (t *timer) row(name string) Row {
	row := RowOf(name, t.ops, t.floors)
	row.N = t.n
	for k, v := range t.l.Extra {
		row.Set(k, v)
	}
	if t.l.Latencies != nil {
		row.Latency(t.l.Latencies())
	}
	return row
}

// calibrate finds the iterations that fill a round.
func calibrate(f func(int) error, d time.Duration) (int, error) {
	for n := 1; ; n *= 4 {
		start := time.Now()
		for i := range n {
			if err := f(i); err != nil {
				return 0, err
			}
		}
		if e := time.Since(start); e > d/8 || n > 1<<28 {
			return max(1, int(float64(n)*float64(d)/float64(max(e, 1)))), nil
		}
	}
}

func timed(f func(int) error, from, n int) (float64, error) {
	start := CPUTime()
	for i := from; i < from+n; i++ {
		if err := f(i); err != nil {
			return 0, err
		}
	}
	return float64(CPUTime()-start) / float64(n), nil
}

// CPUTime is the process's user and system time so far.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// B is what `go test -bench` hands over; *testing.B has it.
type B interface {
	Helper()
	Fatal(...any)
	Loop() bool
	ReportAllocs()
}

// Run is the same body under `go test -bench`.
func (c Case) Run(b B) {
	b.Helper()
	l, err := c.New()
	if err != nil {
		b.Fatal(err)
	}
	if l.Close != nil {
		defer l.Close()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := l.Op(i); err != nil {
			b.Fatal(err)
		}
	}
}
