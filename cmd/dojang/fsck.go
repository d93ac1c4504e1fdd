package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
	issuerstore "github.com/dojang-id/dojang/issuer/store"
	"github.com/dojang-id/dojang/registry/node"
	verifierstore "github.com/dojang-id/dojang/verifier/store"
)

// fsckCmd checks the invariants of a stopped system's stores, without changing anything that means something.
type fsckCmd struct {
	Party string `arg:"" optional:"" help:"registry, issuer, verifier or all." enum:"registry,issuer,verifier,all" default:"all"`
	Data  string `help:"Data directory." default:"dojang-data" type:"path" placeholder:"DIR"`
	JSON  bool   `help:"Print JSON lines only."`
}

// fsckRow is one invariant.
type fsckRow struct {
	ID         string `json:"id"`
	Checked    int64  `json:"checked"`
	Violations int64  `json:"violations"`
}

func (c *fsckCmd) Run(e *env) error {
	if _, err := os.Stat(filepath.Join(c.Data, markerFile)); err != nil {
		return fmt.Errorf("%s holds no data of ours: %w", c.Data, err)
	}
	unlock, err := lockDir(c.Data) // refuses a running store
	if err != nil {
		return err
	}
	defer unlock()
	var rows []fsckRow
	for _, party := range []struct {
		name  string
		check func(context.Context, *sqldb.DB) ([]fsckRow, error)
	}{{"issuer", fsckIssuer}, {"verifier", fsckVerifier}} {
		if c.Party != "all" && c.Party != party.name {
			continue
		}
		more, err := c.party(e.ctx, party.name, party.check)
		if err != nil {
			return fmt.Errorf("fsck %s: %w", party.name, err)
		}
		rows = append(rows, more...)
	}
	if c.Party == "all" || c.Party == "registry" {
		found, err := node.Fsck(e.ctx, filepath.Join(c.Data, "registry", "node"))
		if err != nil {
			return fmt.Errorf("fsck registry: %w", err)
		}
		for _, r := range found {
			rows = append(rows, fsckRow{r.ID, r.Checked, r.Violations})
		}
	}
	violations := int64(0)
	for _, r := range rows {
		violations += r.Violations
		if c.JSON {
			err = e.print(r)
		} else {
			_, err = fmt.Fprintf(e.stdout, "%-14s %8d checked  %d violations\n", r.ID, r.Checked, r.Violations)
		}
		if err != nil {
			return err
		}
	}
	if violations > 0 {
		return fmt.Errorf("%w: %d violations", errCheck, violations)
	}
	return nil
}

func (c *fsckCmd) party(ctx context.Context, name string, check func(context.Context, *sqldb.DB) ([]fsckRow, error)) (rows []fsckRow, err error) {
	path, err := absolute(c.Data, name, name+".db")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sqldb.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if rows, err = check(ctx, db); err != nil {
		return nil, err
	}
	trail, err := fsckAudit(ctx, c.Data, name, db)
	return append(rows, trail), err
}

func fsckIssuer(ctx context.Context, db *sqldb.DB) ([]fsckRow, error) {
	log, err := audit.New(audit.Config{PseudonymKey: make([]byte, 32)}) // nothing is written
	if err != nil {
		return nil, err
	}
	st, err := issuerstore.New(ctx, issuerstore.Config{DB: db, Audit: log})
	if err != nil {
		return nil, err
	}
	found, err := issuer.Fsck(ctx, st)
	var rows []fsckRow
	for _, r := range found {
		rows = append(rows, fsckRow{"issuer/" + r.ID, int64(r.Checked), int64(r.Violations)})
	}
	return rows, err
}

func fsckVerifier(ctx context.Context, db *sqldb.DB) ([]fsckRow, error) {
	st, err := verifierstore.Open(ctx, db, nil)
	if err != nil {
		return nil, err
	}
	found, err := st.Check(ctx)
	var rows []fsckRow
	for _, r := range found {
		rows = append(rows, fsckRow{"verifier/" + r.ID, int64(r.Checked), int64(r.Violations)})
	}
	return rows, err
}

// fsckAudit walks every audit chain of a store, and compares it with what was anchored of it.
func fsckAudit(ctx context.Context, data, party string, db *sqldb.DB) (fsckRow, error) {
	row := fsckRow{ID: party + "/A1"}
	kept, receipts, bad, err := fsckCheckpoints(data, party, time.Now())
	if err != nil {
		return row, err
	}
	row.Checked, row.Violations = receipts, bad
	log, err := audit.New(audit.Config{PseudonymKey: make([]byte, 32)})
	if err != nil {
		return row, err
	}
	chains, err := log.Chains(ctx, db)
	if err != nil {
		return row, err
	}
	for chain := range kept { // one that was erased has checkpoints all the same
		if !slices.Contains(chains, chain) {
			chains = append(chains, chain)
		}
	}
	for _, chain := range chains {
		n, err := log.Verify(ctx, db, chain, kept[chain]...)
		row.Checked += n
		switch {
		case errors.Is(err, audit.ErrTampered):
			row.Violations++
		case err != nil:
			return row, err
		}
	}
	return row, nil
}
