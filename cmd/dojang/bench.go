package main

import (
	"context"
	"errors"
	"fmt"
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
	Area string `arg:"" optional:"" help:"Rows whose name begins so: sdjwt, status, stapled, registry, http, oid4vci, oid4vp, sqldb."`
	JSON bool   `help:"Print JSON lines only."`
	Full bool   `help:"Also the large sizes; takes long."`
}

// Time that the contract leaves: 150 s for everything, 300 s for the registry.
const (
	benchRound    = 200 * time.Millisecond
	benchAll      = 150 * time.Second
	benchRegistry = 300 * time.Second
)

func (c *benchCmd) Run(e *env) error {
	limit := benchAll
	if c.Area == "registry" {
		limit = benchRegistry
	}
	ctx := e.ctx
	if !c.Full {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	var probe bench.Probe
	var rows []bench.Row
	for _, one := range benchCases() {
		if !strings.HasPrefix(one.Name, c.Area) || one.Full && !c.Full {
			continue
		}
		if err := probe.Sample(); err != nil {
			return err
		}
		row, err := bench.Measure(ctx, one, benchRound)
		if err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
		rows = append(rows, row)
		if !c.JSON {
			if err := row.Print(e.stdout, false); err != nil {
				return err
			}
		}
	}
	more, err := c.systems(e, ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	rows = append(rows, more...)
	if err := probe.Sample(); err != nil {
		return err
	}
	if probe.Noisy() && !c.JSON {
		fmt.Fprintln(e.stdout, "noisy: P-256 verification varied by more than 15 % during this run; no verdict")
	}
	for _, row := range rows {
		if row.Noisy = probe.Noisy(); c.JSON {
			if err := row.Print(e.stdout, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// systems measures what does not fit a loop: flows of many callers at once, throughput and latency of whole networks.
func (c *benchCmd) systems(e *env, ctx context.Context) (rows []bench.Row, err error) {
	yield := func(row bench.Row) error {
		if !strings.HasPrefix(row.Name, c.Area) {
			return nil
		}
		rows = append(rows, row)
		if c.JSON {
			return nil
		}
		return row.Print(e.stdout, false)
	}
	if err := issuertest.BenchRows(ctx, c.Area, c.Full, yield); err != nil {
		return rows, err
	}
	if c.Area == "" || strings.HasPrefix("ops/", c.Area) || strings.HasPrefix(c.Area, "ops/") {
		ops, err := coldStart(ctx)
		if err != nil {
			return rows, err
		}
		for _, row := range ops {
			if err := yield(row); err != nil {
				return rows, err
			}
		}
	}
	if c.Area != "registry" && !strings.HasPrefix(c.Area, "registry/") {
		return rows, nil // minutes of their own: `dojang bench registry`
	}
	var failed error
	err = node.BenchRows(ctx, c.Full, func(row bench.Row) { failed = errors.Join(failed, yield(row)) })
	return rows, errors.Join(err, failed)
}

func benchCases() []bench.Case {
	return slices.Concat(sdjwt.BenchCases(), statuslist.BenchCases(), chaintest.BenchCases(), httpd.BenchCases(), sqldb.BenchCases(),
		registryweb.BenchCases(), verifiertest.BenchCases())
}
