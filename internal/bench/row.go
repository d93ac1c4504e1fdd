package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Row is one line of output. Field names are those of the contract.
type Row struct {
	Name    string  `json:"name"`
	N       int     `json:"n"` // iterations a round, or samples
	NsOp    float64 `json:"ns_op"`
	FloorNs float64 `json:"floor_ns"`
	Ratio   float64 `json:"ratio"`
	PerS    float64 `json:"per_s,omitempty"`
	P50Ms   float64 `json:"p50_ms,omitempty"`
	P99Ms   float64 `json:"p99_ms,omitempty"`
	Rounds  int     `json:"rounds"`
	Noisy   bool    `json:"noisy"`
	// Extra holds named figures that belong to one row only (bytes, slopes, provable_ms), and spread: the middle half of
	// the rounds' own ratios (of their times, where there is no floor) as a share of the median.
	Extra map[string]float64 `json:"extra,omitempty"`
}

// RowOf makes a row of rounds: ns_op and floor_ns are medians, ratio is their quotient, per_s what one core does.
// floors is empty, or as long as ops.
func RowOf(name string, ops, floors []float64) Row {
	row := Row{Name: name, N: len(ops), NsOp: Median(ops), Rounds: len(ops)}
	each := ops
	if len(floors) > 0 {
		row.FloorNs = Median(floors)
		row.Ratio = row.NsOp / row.FloorNs
		each = make([]float64, len(ops))
		for i := range ops {
			each[i] = ops[i] / floors[i]
		}
	}
	if row.NsOp > 0 {
		row.PerS = 1e9 / row.NsOp
		row.Set("spread", (Quantile(each, 0.75)-Quantile(each, 0.25))/Median(each))
	}
	return row
}

// Set an extra figure.
func (r *Row) Set(name string, value float64) {
	if r.Extra == nil {
		r.Extra = map[string]float64{}
	}
	r.Extra[name] = value
}

// Latency sets p50 and p99 from a sample in milliseconds.
func (r *Row) Latency(ms []float64) {
	if len(ms) > 0 {
		r.P50Ms, r.P99Ms = Median(ms), Quantile(ms, 0.99)
	}
}

// Median of a non-empty sample.
func Median(x []float64) float64 { return Quantile(x, 0.5) }

// Quantile q of a non-empty sample, nearest rank.
func Quantile(x []float64, q float64) float64 {
	s := slices.Clone(x)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
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
		fmt.Fprintf(&b, "  %s %.4g", name, r.Extra[name])
	}
	if r.Noisy {
		b.WriteString("  noisy")
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}
