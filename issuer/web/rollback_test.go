package web_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/registry"
)

// entries are the copies of a logical credential on their lists.
func entries(t *testing.T, k *issuertest.Kit, credential string) (out []issuer.Flip) {
	t.Helper()
	err := k.DB.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT list, idx FROM copies WHERE credential = ?`, credential)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var list, idx int64
			if err := rows.Scan(&list, &idx); err != nil {
				return err
			}
			out = append(out, issuer.Flip{List: uint64(list), Index: uint64(idx)})
		}
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("%d copies of %s: %v", len(out), credential, err)
	}
	return out
}

// served is the published value of an entry.
func served(t *testing.T, k *issuertest.Kit, f issuer.Flip) statuslist.Status {
	t.Helper()
	l := must[issuer.PublishedList](t)(k.Store.PublishedList(ctx, "gaon", f.List))
	record := must[statuslist.Record](t)(statuslist.ParseRecord(l.Record))
	v := must[statuslist.Values](t)(record.Read(statuslist.MediaTypeJWT, l.Token))
	return must[statuslist.Status](t)(v.Status(f.Index))
}

// receive issues a credential to a person and returns its id.
func receive(t *testing.T, k *issuertest.Kit, person string) string {
	t.Helper()
	f, texts, err := k.Receive("gaon", "resident-id", person, 2)
	if err != nil || len(texts) != 2 {
		t.Fatalf("%d copies: %v", len(texts), err)
	}
	return f.Offered.ID
}

func setStatus(t *testing.T, k *issuertest.Kit, id string, to issuer.StatusName) {
	t.Helper()
	if _, err := k.Issuer.SetStatus(ctx, issuer.StatusChange{Tenant: "gaon", Credential: id, To: to, Reason: "R-1", Actor: "test"}); err != nil {
		t.Fatal(err)
	}
}

// nodes is what the chain and its nodes have of gaon.
type nodes struct {
	chain   *issuertest.Chain
	records [][]byte
	lists   map[string]registry.StatusList
	down    error
}

func (n *nodes) StatusEpoch(_ context.Context, did registry.DID) (e registry.StatusEpoch, _ registry.Checked, err error) {
	err = registry.ErrNotFound
	for _, have := range n.chain.Epochs() {
		if have.Issuer == did {
			e, err = have, nil
		}
	}
	return e, registry.Checked{}, errors.Join(err, n.down)
}

func (n *nodes) StatusRecords(context.Context, registry.DID) ([][]byte, error) {
	return n.records, nil
}

func (n *nodes) StatusList(_ context.Context, uri, _ string) (registry.StatusList, error) {
	return n.lists[uri], nil
}

// take fetches what an issuer serves, as nodes do after an epoch.
func (n *nodes) take(t *testing.T, k *issuertest.Kit) {
	t.Helper()
	n.records, n.lists = must[[][]byte](t)(k.Store.PublishedRecords(ctx, "gaon")), map[string]registry.StatusList{}
	for i, record := range n.records {
		l := must[issuer.PublishedList](t)(k.Store.PublishedList(ctx, "gaon", uint64(i+1)))
		n.lists[must[statuslist.Record](t)(statuslist.ParseRecord(record)).URI] = registry.StatusList{Token: l.Token, Record: record}
	}
}

// open starts a kit whose gaon sees the chain and its nodes.
func (n *nodes) open(t *testing.T, cfg issuertest.KitConfig) *issuertest.Kit {
	t.Helper()
	cfg.Chain = n.chain
	cfg.Tune = func(c *issuer.Config) {
		for i := range c.Tenants {
			if c.Tenants[i].ID == "gaon" {
				c.Tenants[i].Chain = n
			}
		}
	}
	return start(t, plenty(cfg))
}

// TestRestoredFromBackup: a database that is older than the chain takes over what is published before it publishes or
// issues anything; nothing that was revoked or suspended is valid again, and no index serves twice.
func TestRestoredFromBackup(t *testing.T) {
	n, keyStore := &nodes{chain: &issuertest.Chain{}}, keyStore(t)
	live := filepath.Join(t.TempDir(), "issuer.db")
	open := func(path string) *issuertest.Kit {
		return n.open(t, issuertest.KitConfig{DB: "sqlite://" + path, Keys: keyStore})
	}
	k := open(live)
	known, lifted := receive(t, k, "han-gaon"), receive(t, k, "park-nuri")
	setStatus(t, k, lifted, issuer.StatusSuspended)
	n.take(t, k)
	k.Close()
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(backup, must[[]byte](t)(os.ReadFile(live)), 0o600); err != nil {
		t.Fatal(err)
	}

	k = open(live)
	lost, gone := receive(t, k, "lee-seori"), receive(t, k, "no-eulchan")
	setStatus(t, k, known, issuer.StatusRevoked)
	setStatus(t, k, lost, issuer.StatusRevoked)
	setStatus(t, k, gone, issuer.StatusSuspended)
	setStatus(t, k, lifted, issuer.StatusValid)
	want := map[issuer.Flip]statuslist.Status{}
	for id, v := range map[string]statuslist.Status{known: statuslist.Revoked, lost: statuslist.Revoked, gone: statuslist.Suspended} {
		for _, f := range entries(t, k, id) {
			want[f] = v
		}
	}
	n.take(t, k)
	k.Close()

	sequence := func() uint64 {
		e, _, err := n.StatusEpoch(ctx, k.Tenant("gaon").DID)
		if err != nil {
			t.Fatal(err)
		}
		return e.Sequence
	}
	before := sequence()
	k = open(backup)
	t.Run("new copies go to a list that nobody has used", func(t *testing.T) {
		for _, f := range entries(t, k, receive(t, k, "han-gaon")) {
			if f.List != 2 {
				t.Errorf("list %d", f.List)
			}
		}
	})
	if _, err := k.Issuer.Publish(ctx, "gaon"); err != nil {
		t.Fatal(err)
	}
	t.Run("what was published counts, where it is worse", func(t *testing.T) {
		for f, v := range want {
			if got := served(t, k, f); got != v {
				t.Errorf("entry %d of list %d is %v, was %v", f.Index, f.List, got, v)
			}
		}
		for _, f := range entries(t, k, lifted) { // lifted after the backup: the agency lifts it again
			if got := served(t, k, f); got != statuslist.Suspended {
				t.Errorf("entry %d is %v", f.Index, got)
			}
		}
		if after := sequence(); after <= before {
			t.Errorf("epoch %d after %d", after, before)
		}
		if audited(t, k, "credential.adopted") != 1 { // of those that the backup knows
			t.Errorf("%d audit entries", audited(t, k, "credential.adopted"))
		}
	})
	t.Run("revoked stays final", func(t *testing.T) {
		_, err := k.Issuer.SetStatus(ctx, issuer.StatusChange{Tenant: "gaon", Credential: known, To: issuer.StatusValid, Reason: "R-1", Actor: "test"})
		if !errors.Is(err, issuer.ErrRevocationFinal) {
			t.Errorf("%v", err)
		}
	})
	t.Run("it happens once", func(t *testing.T) {
		n.take(t, k)
		k.Close()
		k = open(backup)
		if infos := must[[]issuer.ListInfo](t)(k.Store.Lists(ctx, "gaon")); len(infos) != 2 {
			t.Errorf("%d lists", len(infos))
		}
	})
	fsck(t, k)
}

// TestRestoredEmpty: the backup of the first day, on every engine; the chain out of reach at first.
func TestRestoredEmpty(t *testing.T) {
	keyStore := keyStore(t)
	sqldbtest.Each(t, func(t *testing.T, url string) {
		n := &nodes{chain: &issuertest.Chain{}}
		k := n.open(t, issuertest.KitConfig{Keys: keyStore})
		lost := receive(t, k, "han-gaon")
		setStatus(t, k, lost, issuer.StatusRevoked)
		revoked := entries(t, k, lost)
		n.take(t, k)
		k.Close()

		n.down = registry.ErrUnavailable
		k = n.open(t, issuertest.KitConfig{DB: url, Keys: keyStore})
		if _, err := k.Issuer.Publish(ctx, "gaon"); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("published without a look at the chain: %v", err)
		}
		n.down = nil
		if _, err := k.Issuer.Publish(ctx, "gaon"); err != nil {
			t.Fatal(err)
		}
		for _, f := range revoked {
			if got := served(t, k, f); got != statuslist.Revoked {
				t.Errorf("entry %d is %v", f.Index, got)
			}
		}
		for _, f := range entries(t, k, receive(t, k, "han-gaon")) {
			if f.List == 1 {
				t.Error("a list of before the restore is still drawn from")
			}
		}
		fsck(t, k)
	})
}
