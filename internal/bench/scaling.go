package bench

import (
	"context"
	"fmt"
	"math"
	"runtime"
)

// A Scaling is how the cost of a unit grows with a size: ns_op is the cost at the largest size, floor_ns at the smallest,
// ratio the growth between them. `bench --full` asserts its limits; they hold on any machine.
type Scaling struct {
	Name  string // scaling/…
	Sizes []int  // ascending, at least two
	Full  []int  // more of them, with --full
	New   func(size int) (*Loops, error)
	// Exponent is the most that a fit of log cost over log size may show: 1 is linear, 0 constant.
	Exponent float64
	// PerUnit is the most nanoseconds that one more may cost, by a linear fit; 0: not asserted.
	PerUnit float64
}

// Case is the row.
func (s Scaling) Case() Case {
	return Case{Name: s.Name, Whole: s.measure}
}

func (s Scaling) measure(ctx context.Context, o Options) (Row, error) {
	sizes := s.Sizes
	if o.Full {
		sizes = append(sizes[:len(sizes):len(sizes)], s.Full...)
	}
	timers := make([]*timer, len(sizes))
	for i, size := range sizes {
		l, err := s.New(size)
		if err != nil {
			return Row{}, fmt.Errorf("prepare %d: %w", size, err)
		}
		if l.Close != nil {
			defer l.Close()
		}
		l.Floor = nil
		if timers[i], err = newTimer(l, o.Round/2); err != nil {
			return Row{}, err
		}
	}
	runtime.GC()         // of what preparing has left
	for range o.Rounds { // all sizes in every round: what else the machine does meets all of them
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		for _, t := range timers {
			if err := t.round(); err != nil {
				return Row{}, err
			}
		}
	}
	cost := make([]float64, len(sizes))
	for i, t := range timers {
		cost[i] = Median(t.ops)
	}
	row := RowOf(s.Name, timers[len(timers)-1].ops, timers[0].ops)
	return row, s.Judge(&row, sizes, cost, o.Full)
}

// Judge fits the costs, writes exponent and ns_per_unit into the row, and with full asserts the limits. Error: ErrMissed.
func (s Scaling) Judge(row *Row, sizes []int, cost []float64, full bool) error {
	exponent, slope := fit(sizes, cost)
	row.N = len(sizes)
	row.Set("from", float64(sizes[0]))
	row.Set("to", float64(sizes[len(sizes)-1]))
	row.Set("exponent", exponent)
	row.Set("exponent_limit", s.Exponent)
	if s.PerUnit > 0 {
		row.Set("ns_per_unit", slope)
		row.Set("ns_per_unit_limit", s.PerUnit)
	}
	switch {
	case !full:
	case exponent > s.Exponent:
		return fmt.Errorf("%w: grows with exponent %.3f, at most %.3f", ErrMissed, exponent, s.Exponent)
	case s.PerUnit > 0 && slope > s.PerUnit:
		return fmt.Errorf("%w: %.0f ns a unit, at most %.0f", ErrMissed, slope, s.PerUnit)
	}
	return nil
}

// Growth is the exponent that lets cost grow by factor over a span of sizes.
func Growth(factor, span float64) float64 { return math.Log(factor) / math.Log(span) }

// fit are least squares: the slope of log cost over log size, and that of cost over size.
func fit(sizes []int, cost []float64) (exponent, perUnit float64) {
	x, y := make([]float64, len(sizes)), make([]float64, len(sizes))
	logX, logY := make([]float64, len(sizes)), make([]float64, len(sizes))
	for i := range sizes {
		x[i], y[i] = float64(sizes[i]), cost[i]
		logX[i], logY[i] = math.Log(x[i]), math.Log(y[i])
	}
	return slope(logX, logY), slope(x, y)
}

func slope(x, y []float64) float64 {
	var mx, my float64
	for i := range x {
		mx, my = mx+x[i], my+y[i]
	}
	n := float64(len(x))
	mx, my = mx/n, my/n
	var up, down float64
	for i := range x {
		up += (x[i] - mx) * (y[i] - my)
		down += (x[i] - mx) * (x[i] - mx)
	}
	return up / down
}
