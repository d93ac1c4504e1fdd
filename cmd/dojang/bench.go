package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/node"
	registryweb "github.com/dojang-id/dojang/registry/web"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

// benchCmd measures. Bodies live beside the code they measure.
type benchCmd struct {
	Area string `arg:"" optional:"" help:"Rows whose name begins so: sdjwt, status, stapled, http, oid4vci, oid4vp, registry, latency, ops, alloc, scaling."`
	JSON bool   `help:"Print JSON lines only."`
	Full bool   `help:"Also the large sizes, and assert slopes; takes long."`
}

// Time that the contract leaves: 150 s for everything, 300 s for the registry.
const (
	benchAll      = 150 * time.Second
	benchRegistry = 300 * time.Second
)

// errTime: a slow or busy machine.
var errTime = errors.New("time is up, rows are left out")

func (c *benchCmd) Run(e *env) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(math.MaxInt64) // the limit is a service's; here fixtures of large states would keep the collector busy
	}
	cases := c.cases()
	if len(cases) == 0 {
		return fmt.Errorf("no row begins with %q", c.Area)
	}
	var probe bench.Probe
	var rows []bench.Row
	var failed error
	begun := time.Now()
	for i, one := range cases {
		if !c.Full && time.Since(begun) > c.limit() {
			failed = errors.Join(failed, fmt.Errorf("%w: from %s on", errTime, cases[i].Name))
			break
		}
		if err := probe.Sample(); err != nil {
			return err
		}
		runtime.GC() // of the fixtures of the row before
		row, err := bench.Measure(e.ctx, one, bench.Options{Full: c.Full})
		if err != nil {
			err = fmt.Errorf("%w: %w", errCheck, err)
		}
		if err != nil && !errors.Is(err, bench.ErrMissed) {
			return errors.Join(failed, err)
		}
		failed = errors.Join(failed, err)
		rows = append(rows, row)
		if !c.JSON {
			if err := row.Print(e.stdout, false); err != nil {
				return err
			}
		}
	}
	if err := probe.Sample(); err != nil {
		return err
	}
	return errors.Join(failed, c.verdict(e, &probe, rows))
}

// verdict is known at the end: how much P-256 verification varied while all rows were measured.
func (c *benchCmd) verdict(e *env, probe *bench.Probe, rows []bench.Row) error {
	if !c.JSON {
		_, err := fmt.Fprintf(e.stdout, "P-256 verification %v, spread %.0f %%\n", probe.Verify(), 100*probe.Spread())
		if err == nil && probe.Noisy() {
			_, err = fmt.Fprintln(e.stdout, "noisy: it varied by more than 15 % during this run; no verdict")
		}
		return err
	}
	for _, row := range rows {
		row.Noisy = probe.Noisy()
		if err := row.Print(e.stdout, true); err != nil {
			return err
		}
	}
	return nil
}

func (c *benchCmd) limit() time.Duration {
	if strings.HasPrefix(c.Area, "registry") {
		return benchRegistry
	}
	return benchAll
}

// cases that this run measures: by their name, large ones with --full, long ones only when they are asked for.
func (c *benchCmd) cases() []bench.Case {
	var chosen []bench.Case
	for _, one := range benchCases() {
		if strings.HasPrefix(one.Name, c.Area) && (c.Full || !one.Full && (!one.Long || c.Area != "")) {
			chosen = append(chosen, one)
		}
	}
	return chosen
}

// benchCases: whole networks come last, so that a slow machine leaves out few rows.
func benchCases() []bench.Case {
	cases := slices.Concat(sdjwt.BenchCases(), statuslist.BenchCases(), httpd.BenchCases(), issuertest.BenchCases(), verifiertest.BenchCases(),
		sqldb.BenchCases(), chaintest.BenchCases(), registryweb.BenchCases(), node.BenchCases())
	systems := []bench.Case{
		{Name: "ops/cold-start", Whole: func(ctx context.Context, _ bench.Options) (bench.Row, error) { return coldStart(ctx) }},
		{Name: "ops/rss", Whole: func(ctx context.Context, _ bench.Options) (bench.Row, error) { return peakMemory(ctx) }},
		{Name: "latency/p99-under-load", Whole: underLoad},
		bench.Guard(cases),
	}
	return slices.Concat(systems, cases)
}
