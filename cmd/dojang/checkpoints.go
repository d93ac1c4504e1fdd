package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// checkpointsDir of a party holds the heads of its audit log with receipts of their time anchors.
const checkpointsDir = "checkpoints"

// keepAudit anchors the heads of a party's audit log from time to time.
func (eco *ecosystem) keepAudit(party string, db *sqldb.DB, log *audit.Log) (*loop, error) {
	seal := func(ctx context.Context, documents ...[]byte) ([][]byte, error) {
		anchors := light.Anchors{URL: local(eco.ports.RegistryManagement), Token: eco.tokens["registry"]}
		return evidence.AnchorDocuments(ctx, anchors, rand.Reader, documents...)
	}
	keeper, err := audit.NewKeeper(audit.KeeperConfig{Log: log, DB: db, Seal: seal, Dir: eco.sub(party, checkpointsDir), Every: time.Minute, Logger: eco.e.log})
	if err != nil {
		return nil, err
	}
	return &loop{run: keeper.Run}, nil
}

// fsckCheckpoints compares an audit chain with what was anchored of it. A receipt that the trust file is too young for (or too old)
// is not judged here: a published head judges it (dojang verify receipt).
func fsckCheckpoints(data, party string, now time.Time) (kept map[string][]audit.Checkpoint, receipts, bad int64, err error) {
	all, err := audit.LoadCheckpoints(filepath.Join(data, party, checkpointsDir))
	if err != nil {
		return nil, 0, 0, err
	}
	kept = map[string][]audit.Checkpoint{}
	var trust evidence.Trust
	if len(all) > 0 {
		raw, err := os.ReadFile(filepath.Join(data, trustFile))
		if err == nil {
			trust, _, err = evidence.LoadTrust(raw)
		}
		if err != nil {
			return nil, 0, 0, fmt.Errorf("trust for the receipts: %w", err)
		}
	}
	for _, c := range all {
		kept[c.Chain] = append(kept[c.Chain], c.Checkpoint)
		r, err := evidence.ParseReceipt(c.Receipt)
		if err == nil {
			_, err = r.Check(c.Document(), trust, now)
		}
		switch {
		case err == nil:
			receipts++
		case !errors.Is(err, evidence.ErrTooOld):
			bad++
		}
	}
	return kept, receipts, bad, nil
}
