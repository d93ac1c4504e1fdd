package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/statuslist"
	// "github.com/dojang-id/dojang/registry/node"
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
	for _, producer := range benchRows {
		err := producer(ctx, c.Area, c.Full, func(row bench.Row) error {
			rows = append(rows, row)
			if c.JSON {
				return nil
			}
			return row.Print(e.stdout, false)
		})
		if err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
	}
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

func benchCases() []bench.Case {
	var all []bench.Case
	for _, list := range [][]bench.Case{sdjwt.BenchCases(), statuslist.BenchCases(), sqldb.BenchCases()} {
		all = append(all, list...)
	}
	return all
}

// benchRows measure what does not fit a loop: throughput and latency of whole systems. Each produces the rows whose names
// begin with area.
var benchRows = []func(ctx context.Context, area string, full bool, yield func(bench.Row) error) error{
	// node.BenchRows,
}
