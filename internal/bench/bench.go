// Package bench measures an operation beside its floor in the same run, and prints the rows of `dojang bench`.
//
// A Case lives beside the code it measures; `go test -bench` and the command call the same body.
// Times are CPU time of the process (user and system), medians of alternating rounds; the ratio is what counts,
// absolute figures belong to the machine.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Case is one row: how to prepare it.
type Case struct {
	Name string
	// New prepares fixtures, at least 256 distinct ones, outside of the measured time.
	New func() (*Loops, error)
	// Full cases run with --full only.
	Full bool
}

// Loops are the bodies of a case. i counts iterations; fixtures are picked by i, never memoised across iterations.
type Loops struct {
	Op    func(i int) error
	Floor func(i int) error // the physical limit of one unit (see Per); nil: no floor, ratio 0
	// Corrupt feeds one corrupted input a round and returns an error when it was accepted: the row is void then.
	Corrupt func(round int) error
	// Per is the number of units one Op does (entries, claims, credentials); 0 means 1.
	Per   int
	Close func()
}

// A Row is one line of output. Field names are those of the contract.
type Row struct {
	Name    string  `json:"name"`
	N       int     `json:"n"`
	NsOp    float64 `json:"ns_op"`
	FloorNs float64 `json:"floor_ns"`
	Ratio   float64 `json:"ratio"`
	PerS    float64 `json:"per_s,omitempty"`
	P50Ms   float64 `json:"p50_ms,omitempty"`
	P99Ms   float64 `json:"p99_ms,omitempty"`
	Rounds  int     `json:"rounds"`
	Noisy   bool    `json:"noisy"`
	// Extra holds named figures that belong to one row only (bytes, slopes, provable_ms); flattened never, printed as is.
	Extra map[string]float64 `json:"extra,omitempty"`
}

// Rounds is the number of alternating rounds of a row.
const Rounds = 5

// Measure runs one case: rounds of Op and Floor alternate, each long enough to be measured.
func Measure(ctx context.Context, c Case, perRound time.Duration) (Row, error) {
	l, err := c.New()
	if err != nil {
		return Row{}, fmt.Errorf("%s: prepare: %w", c.Name, err)
	}
	if l.Close != nil {
		defer l.Close()
	}
	per := max(l.Per, 1)
	n, err := calibrate(l.Op, perRound)
	if err != nil {
		return Row{}, fmt.Errorf("%s: %w", c.Name, err)
	}
	nf := 0
	if l.Floor != nil {
		if nf, err = calibrate(l.Floor, perRound); err != nil {
			return Row{}, fmt.Errorf("%s: floor: %w", c.Name, err)
		}
	}
	var ops, floors []float64
	for round := range Rounds {
		if err := ctx.Err(); err != nil {
			return Row{}, err
		}
		t, err := timed(l.Op, round*n, n)
		if err != nil {
			return Row{}, fmt.Errorf("%s: %w", c.Name, err)
		}
		ops = append(ops, t/float64(per))
		if l.Floor != nil {
			if t, err = timed(l.Floor, round*nf, nf); err != nil {
				return Row{}, fmt.Errorf("%s: floor: %w", c.Name, err)
			}
			floors = append(floors, t)
		}
		if l.Corrupt != nil {
			if err := l.Corrupt(round); err != nil {
				return Row{}, fmt.Errorf("%s: void, a corrupted input was accepted: %w", c.Name, err)
			}
		}
	}
	row := Row{Name: c.Name, N: n, NsOp: Median(ops), Rounds: Rounds}
	if l.Floor != nil {
		row.FloorNs = Median(floors)
		row.Ratio = row.NsOp / row.FloorNs
	}
	if row.NsOp > 0 {
		row.PerS = 1e9 / row.NsOp
	}
	return row, nil
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

// Median of a non-empty sample.
func Median(x []float64) float64 { return Quantile(x, 0.5) }

// Quantile q of a non-empty sample, nearest rank.
func Quantile(x []float64, q float64) float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
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

// Print writes a row as one JSON line, or as one aligned line for people.
func (r Row) Print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s", r.Name)
	if r.NsOp > 0 {
		fmt.Fprintf(&b, " %12.0f ns/op", r.NsOp)
	}
	if r.FloorNs > 0 {
		fmt.Fprintf(&b, "  floor %10.0f  ratio %5.2f", r.FloorNs, r.Ratio)
	}
	if r.PerS > 0 {
		fmt.Fprintf(&b, "  %9.0f/s", r.PerS)
	}
	if r.P50Ms > 0 {
		fmt.Fprintf(&b, "  p50 %.2f ms  p99 %.2f ms", r.P50Ms, r.P99Ms)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Extra)) {
		fmt.Fprintf(&b, "  %s %.2f", name, r.Extra[name])
	}
	if r.Noisy {
		b.WriteString("  noisy")
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
