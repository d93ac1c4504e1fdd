package web_test

import (
	"context"
	"maps"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/issuer/records"
)

func TestPseudonyms(t *testing.T) {
	t.Run("slots", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		get := func(person string) string {
			_, texts, err := k.Receive("gaon", "resident-id", person, 2)
			if err != nil {
				t.Fatal(err)
			}
			a, b := disclosed(t, texts[0], "pairwise_id"), disclosed(t, texts[1], "pairwise_id")
			if a != b || len(a) != 45 {
				t.Fatalf("%s %s", a, b)
			}
			return a
		}
		first := get("han-gaon")
		if get("han-gaon") != first {
			t.Error("re-issue changes the pseudonym")
		}
		if get("lee-seori") == first {
			t.Error("two people, one pseudonym")
		}
	})
	t.Run("nullifiers", func(t *testing.T) {
		cfg := plenty(issuertest.KitConfig{DB: sqldbtest.SQLite(t), Keys: keyStore(t)})
		src := &programmes{people: map[string]records.Record{}}
		rows, _, err := records.ParseCSV(issuertest.Files()[1].Read(), "youth-eligibility")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			src.people[r.Person] = r.Record
		}
		cfg.NoData, cfg.Tune = true, func(c *issuer.Config) { c.Records = src }
		k := start(t, cfg)
		get := func(person, programme string) string {
			t.Helper()
			src.programme = programme
			_, texts, err := k.Receive("seoul", "youth-eligibility", person, 2)
			if err != nil {
				t.Fatal(err)
			}
			a, b := disclosed(t, texts[0], "program_nullifier"), disclosed(t, texts[1], "program_nullifier")
			if a != b || len(a) != 45 {
				t.Fatalf("%s %s", a, b)
			}
			return a
		}
		first := get("han-gaon", "")
		if get("han-gaon", "") != first {
			t.Error("re-issue changes the nullifier: one could claim twice")
		}
		if get("han-gaon", "GYEONGGI-YB") == first {
			t.Error("two programmes join by their nullifiers")
		}
		if get("no-eulchan", "") == first {
			t.Error("two people, one nullifier")
		}
		// The key is the programme's own: with it gone, the roots alone do not give the nullifiers again.
		k.Close()
		db := must[*sqldb.DB](t)(sqldb.Open(ctx, cfg.DB))
		err = db.Write(ctx, func(tx *sqldb.Tx) error {
			n, err := tx.Exec(`DELETE FROM program_keys WHERE tenant = 'seoul'`)
			if n != 2 {
				t.Errorf("%d programme keys, want 2", n)
			}
			return err
		})
		if err != nil || db.Close() != nil {
			t.Fatal(err)
		}
		k = start(t, cfg)
		if get("han-gaon", "") == first {
			t.Error("the nullifier needs no key of the programme")
		}
		fsck(t, k)
	})
}

// programmes answers with the people of the youth file, under another programme when one is set.
type programmes struct {
	people    map[string]records.Record
	programme string
}

func (p *programmes) Record(_ context.Context, _, _, person string) (records.Record, error) {
	rec, ok := p.people[person]
	if !ok {
		return records.Record{}, records.ErrNone
	}
	if p.programme != "" {
		rec.Claims = maps.Clone(rec.Claims)
		rec.Claims["program_id"] = p.programme
	}
	return rec, nil
}
