package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// TestAuditAnchors seals the head of a party's audit log on a running chain. What is kept convinces fsck, and with a published
// head anybody, with the commands for receipts; and it shows what was done to the log afterwards.
func TestAuditAnchors(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	s := newOperatorShell(t)
	s.oneNode()
	defer s.stop()
	data := filepath.Join(s.dir, "data")
	dir := filepath.Join(data, "issuer", checkpointsDir)
	db, log := auditedStore(t, filepath.Join(s.dir, "issuer.db"))
	party, err := nodeHome(filepath.Join(s.dir, "net", "1")).management()
	if err != nil {
		t.Fatal(err)
	}
	keeper, err := audit.NewKeeper(audit.KeeperConfig{Log: log, DB: db, Dir: dir, Seal: func(ctx context.Context, documents ...[]byte) ([][]byte, error) {
		return evidence.AnchorDocuments(ctx, light.Anchors{URL: party.ManagementURL, Token: party.Token}, rand.Reader, documents...)
	}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		t.Helper()
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			for range n {
				if err := log.Append(tx, audit.Entry{Chain: "gaon", Actor: "officer-7", Action: "credential.revoke", Object: "x"}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		write(5)
		if n, err := keeper.Keep(t.Context()); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	s.run("dojang registry head export net/1 heads && dojang registry trust export net/1 data/" + trustFile)
	file := filepath.Join(dir, "gaon-000000000005.checkpoint")
	text := s.run(fmt.Sprintf(`cp %s one.checkpoint && cp %s one.checkpoint.receipt
dojang registry head bridge heads/head-*.json one.checkpoint.receipt --network net/network.json
dojang verify receipt one.checkpoint.receipt --head heads/head-*.json --document one.checkpoint`, file, file+".receipt"))
	if !strings.Contains(text, "the document existed at") {
		t.Error(text)
	}
	check := func(want fsckRow) {
		t.Helper()
		row, err := fsckAudit(t.Context(), data, "issuer", db)
		if err != nil || row != want {
			t.Fatalf("%+v %v, want %+v", row, err, want)
		}
	}
	check(fsckRow{ID: "issuer/A1", Checked: 12}) // ten entries, two receipts
	t.Run("J22 a receipt of another document", func(t *testing.T) {
		later := filepath.Join(dir, "gaon-000000000010.checkpoint")
		good, err := os.ReadFile(later + ".receipt")
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(file + ".receipt")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(later+".receipt", other, 0o600); err != nil {
			t.Fatal(err)
		}
		check(fsckRow{ID: "issuer/A1", Checked: 11, Violations: 1})
		if err := os.WriteFile(later+".receipt", good, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("J22 a tail that was cut with its head", func(t *testing.T) {
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec("DELETE FROM audit_entry WHERE seq > 8")
			_, worse := tx.Exec("UPDATE audit_head SET seq = 8, hash = (SELECT hash FROM audit_entry WHERE seq = 8)")
			return errors.Join(err, worse)
		}); err != nil {
			t.Fatal(err)
		}
		check(fsckRow{ID: "issuer/A1", Checked: 10, Violations: 1})
		if _, err := keeper.Keep(t.Context()); !errors.Is(err, audit.ErrTampered) {
			t.Fatal(err)
		}
	})
	t.Run("J22 a log that was erased", func(t *testing.T) {
		if err := db.Write(t.Context(), func(tx *sqldb.Tx) error {
			_, err := tx.Exec("DELETE FROM audit_entry")
			_, worse := tx.Exec("DELETE FROM audit_head")
			return errors.Join(err, worse)
		}); err != nil {
			t.Fatal(err)
		}
		check(fsckRow{ID: "issuer/A1", Checked: 2, Violations: 1})
	})
}

func auditedStore(t *testing.T, path string) (*sqldb.DB, *audit.Log) {
	t.Helper()
	db, err := sqldb.Open(t.Context(), "sqlite://"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log, err := audit.New(audit.Config{PseudonymKey: make([]byte, 32), Now: time.Now})
	if err == nil {
		err = log.Migrate(t.Context(), db)
	}
	if err != nil {
		t.Fatal(err)
	}
	return db, log
}
