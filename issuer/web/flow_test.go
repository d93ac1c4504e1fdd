package web_test

import (
	"context"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// start opens a kit on a fresh SQLite file.
func start(t *testing.T, cfg issuertest.KitConfig) *issuertest.Kit {
	t.Helper()
	if cfg.DB == "" {
		cfg.DB = sqldbtest.SQLite(t)
	}
	k, err := issuertest.New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func TestIssue(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		k := start(t, issuertest.KitConfig{DB: url})
		for _, c := range []struct{ tenant, typ string }{{"gaon", "resident-id"}, {"seoul", "youth-eligibility"}, {"customs", "customs-identity"}} {
			t.Run(c.typ, func(t *testing.T) {
				_, texts, err := k.Receive(c.tenant, c.typ, "han-gaon", 10)
				if err != nil {
					t.Fatal(err)
				}
				if len(texts) != 10 {
					t.Fatalf("%d copies", len(texts))
				}
			})
		}
		fsck(t, k)
	})
}

// fsck fails the test when an invariant does not hold.
func fsck(t *testing.T, k *issuertest.Kit) []issuer.Row {
	t.Helper()
	rows, err := issuer.Fsck(context.Background(), k.Store)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.Violations != 0 {
			t.Errorf("%s: %d of %d", r.ID, r.Violations, r.Checked)
		}
	}
	return rows
}
