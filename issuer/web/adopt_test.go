package web_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/registry"
)

// others is what the chain and its nodes show of gaon's lists; somebody else may publish.
type others struct {
	k    *issuertest.Kit
	own  registry.StatusList // the issuer's newest list that nodes took
	list registry.StatusList
	down error
}

func (o *others) StatusEpoch(_ context.Context, did registry.DID) (e registry.StatusEpoch, _ registry.Checked, err error) {
	err = registry.ErrNotFound
	if o.k == nil { // it only starts
		return e, registry.Checked{}, err
	}
	for _, have := range o.k.Chain.Epochs() {
		if have.Issuer == did {
			e, err = have, nil
		}
	}
	return e, registry.Checked{}, errors.Join(err, o.down)
}

func (o *others) StatusRecords(context.Context, registry.DID) ([][]byte, error) {
	return [][]byte{o.list.Record}, nil
}

func (o *others) StatusList(context.Context, string, string) (registry.StatusList, error) {
	return o.list, nil
}

// took is what nodes hold after the issuer's newest epoch.
func (o *others) took(t *testing.T) {
	t.Helper()
	l, err := o.k.Store.PublishedList(t.Context(), "gaon", 1)
	if err != nil {
		t.Fatal(err)
	}
	o.own = registry.StatusList{Token: l.Token, Record: l.Record, Size: 1}
	o.list = o.own
}

// publish goes on from the issuer's newest list as its operator, or as the issuer's own later self, with entries changed.
func (o *others) publish(t *testing.T, byOperator bool, change map[uint64]statuslist.Status) {
	t.Helper()
	record := must[statuslist.Record](t)(statuslist.ParseRecord(o.list.Record))
	p := must[*statuslist.Publisher](t)(statuslist.NewPublisher(must[statuslist.Values](t)(record.Read(statuslist.MediaTypeJWT, o.list.Token))))
	for idx, s := range change {
		if err := p.Set(idx, s); err != nil {
			t.Fatal(err)
		}
	}
	snap, e, gaon := must[statuslist.Snapshot](t)(p.Snapshot()), registry.StatusEpoch{}, o.k.Tenant("gaon")
	e, _, _ = o.StatusEpoch(t.Context(), gaon.DID)
	at := o.k.Clock.Now().Truncate(time.Second)
	token := must[[]byte](t)(statuslist.SignJWT(must[keys.Signer](t)(keys.Generate(keys.ES256)), keys.Header{Kid: "k"}, statuslist.Claims{
		URI: record.URI, IssuedAt: at, ExpiresAt: at.Add(time.Hour), TTL: time.Hour, Bits: 2, Compressed: snap.Compressed}))
	record.Root, record.Tokens = snap.Root, statuslist.TokenDigests{JWT: sha256.Sum256(token)}
	raw := must[[]byte](t)(record.Marshal())
	o.list = registry.StatusList{Token: token, Record: raw, Size: 1}
	next := registry.StatusEpoch{Issuer: gaon.DID, Sequence: e.Sequence + 1, IssuedAt: at, NextUpdate: at.Add(time.Hour), Root: statuslist.EpochRoot([][]byte{raw}), Signer: gaon.DID.URL(gaon.KeyID)}
	if byOperator {
		own := o.own
		o.list.Base = &own
		next.Signer = "did:dojang:test:zQmOperator#st"
		next.Base = registry.EpochBase{Sequence: e.Sequence, IssuedAt: e.IssuedAt, Root: statuslist.EpochRoot([][]byte{own.Record}), Signer: gaon.DID.URL(gaon.KeyID)}
		if e.Redated() {
			next.Base = e.Base
		}
	}
	o.k.Chain.Put(next)
}

func TestAdopt(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		o := &others{}
		k := start(t, plenty(issuertest.KitConfig{DB: dbURL, Tune: func(c *issuer.Config) {
			for i := range c.Tenants {
				if c.Tenants[i].ID == "gaon" {
					c.Tenants[i].Chain = o
				}
			}
		}}))
		o.k = k
		entries := map[string][]uint64{}
		id := map[string]string{}
		for _, name := range []string{"good", "revoked", "suspended", "lifted"} {
			f, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 3)
			if err != nil {
				t.Fatal(err)
			}
			id[name] = f.Offered.ID
			for _, text := range texts {
				_, idx := reference(t, text)
				entries[name] = append(entries[name], idx)
			}
		}
		if _, err := set(k, id["lifted"], "suspended"); err != nil {
			t.Fatal(err)
		}
		o.took(t)
		free := uint64(0) // an entry that no copy has
		for taken := true; taken; free++ {
			taken = false
			for _, held := range entries {
				for _, idx := range held {
					taken = taken || idx == free
				}
			}
		}
		shows := func(t *testing.T, want map[string]statuslist.Status) {
			t.Helper()
			l := list(t, k, "gaon", 1)
			for name, s := range want {
				for _, idx := range entries[name] {
					if got, err := l.Status(idx); err != nil || got != s {
						t.Errorf("%s, entry %d: %v %v, want %v", name, idx, got, err, s)
					}
				}
			}
			if got, _ := l.Status(free); got != statuslist.Revoked {
				t.Errorf("an entry that no copy has is %v", got)
			}
			fsck(t, k)
		}

		k.Clock.Advance(time.Hour)
		o.publish(t, true, map[uint64]statuslist.Status{entries["suspended"][1]: statuslist.Suspended})
		o.publish(t, true, map[uint64]statuslist.Status{entries["revoked"][0]: statuslist.Revoked, free: statuslist.Revoked})
		k.Clock.Advance(time.Hour)
		t.Run("nothing is published before it is known who was there meanwhile", func(t *testing.T) {
			o.down = registry.ErrUnavailable
			defer func() { o.down = nil }()
			before := len(k.Chain.Epochs())
			if _, err := set(k, id["lifted"], "valid"); !errors.Is(err, issuer.ErrNotPublished) || len(k.Chain.Epochs()) != before {
				t.Fatalf("%v", err)
			}
		})
		// The officer's word here, while the operator was there: it counts, the operator did not touch it.
		p, err := set(k, id["lifted"], "valid")
		if err != nil {
			t.Fatalf("%+v %v", p, err)
		}
		newest, _, _ := o.StatusEpoch(t.Context(), k.Tenant("gaon").DID)
		if newest.Redated() || newest.Sequence != p.Sequence {
			t.Fatalf("%+v", newest)
		}
		t.Run("what got worse is taken over, for every copy", func(t *testing.T) {
			shows(t, map[string]statuslist.Status{"good": statuslist.Valid, "revoked": statuslist.Revoked, "suspended": statuslist.Suspended, "lifted": statuslist.Valid})
			if _, err := set(k, id["revoked"], "valid"); !errors.Is(err, issuer.ErrRevocationFinal) {
				t.Errorf("%v", err)
			}
		})
		t.Run("the issuer's officer lifts what the operator suspended", func(t *testing.T) {
			o.took(t)
			if _, err := set(k, id["suspended"], "valid"); err != nil {
				t.Fatal(err)
			}
			shows(t, map[string]statuslist.Status{"good": statuslist.Valid, "revoked": statuslist.Revoked, "suspended": statuslist.Valid})
		})
		t.Run("a database older than what was published takes nothing back", func(t *testing.T) {
			o.took(t)
			k.Clock.Advance(time.Hour)
			o.publish(t, false, map[uint64]statuslist.Status{entries["good"][2]: statuslist.Revoked, entries["lifted"][0]: statuslist.Suspended})
			if _, err := set(k, id["suspended"], "suspended"); err != nil {
				t.Fatal(err)
			}
			shows(t, map[string]statuslist.Status{"good": statuslist.Revoked, "lifted": statuslist.Suspended, "suspended": statuslist.Suspended, "revoked": statuslist.Revoked})
		})
		t.Run("lists that do not hash to the epoch", func(t *testing.T) {
			o.took(t)
			k.Clock.Advance(time.Hour)
			o.publish(t, true, nil)
			o.list.Record = append([]byte(nil), o.list.Record[:len(o.list.Record)-1]...)
			before := fmt.Sprint(k.Chain.Epochs())
			if _, err := set(k, id["suspended"], "valid"); !errors.Is(err, statuslist.ErrProof) || fmt.Sprint(k.Chain.Epochs()) != before {
				t.Errorf("%v", err)
			}
		})
	})
}
