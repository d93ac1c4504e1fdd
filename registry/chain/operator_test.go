package chain_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// TestStatusOperator: what the chain lets a second status operator do, and what it writes so that readers can compare.
func TestStatusOperator(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) { g.EpochInterval = 60 }})
	o := c.NewAgency("operator")
	create := o.CreateOperation()
	create.Body.(*registry.CreateBody).Keys = []registry.NewKey{{ID: "st", Use: registry.UseStatus, Key: o.Key("st").Public()}}
	o.Created(create)
	c.Must(c.Op(create, o.Op(0).As(registry.RoleOp)))
	a := c.Agency("gaon")
	accredit := a.AccreditOperation(vct, 1)
	accredit.Body.(*registry.AccreditBody).Operator = o.DID
	c.Must(c.Op(accredit, chaintest.Member(0)))

	wait := func(seconds int64) { c.Time = c.Time.Add(time.Duration(seconds) * time.Second) }
	// next is an epoch with a number, by the issuer or by the operator.
	next := func(seq uint64, byOperator bool) []byte {
		op := a.EpochOperation()
		op.Seq, op.Body.(*registry.EpochBody).Root = seq, [32]byte{byte(seq)}
		key := a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))
		if byOperator {
			op.Body.(*registry.EpochBody).Via = &registry.AccreditationRef{Type: vct, N: 1}
			key = o.Key("st").As(o.DID.URL("st"))
		}
		return c.Op(op, key)
	}
	shown := func() registry.StatusEpoch {
		t.Helper()
		f, err := evidence.Check(c.Evidence(chain.Query{Status: []registry.DID{a.DID}, Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}}}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		e, _, err := f.StatusEpoch(context.Background(), a.DID)
		if err != nil {
			t.Fatal(err)
		}
		if accr, _, err := f.Accreditation(context.Background(), a.DID, vct, time.Time{}); err != nil || accr.Operator != o.DID {
			t.Fatalf("the accreditation names %q: %v", accr.Operator, err)
		}
		return e
	}

	t.Run("nothing to go on from", func(t *testing.T) { refuse(t, c, a.DID, registry.CodeNotAllowed, next(1, true)) })
	iat := c.Time
	c.Must(next(5, false))
	if e := shown(); e.Redated() || e.Sequence != 5 || e.Signer != a.DID.URL(chaintest.AssertionID) {
		t.Fatalf("%+v", e)
	}
	wait(60)
	t.Run("numbers are not used up", func(t *testing.T) {
		refuse(t, c, a.DID, registry.CodeVersionConflict, next(7, true))
		refuse(t, c, a.DID, registry.CodeVersionConflict, next(1<<62, true))
	})
	base := registry.EpochBase{Sequence: 5, IssuedAt: iat, Root: [32]byte{5}, Signer: a.DID.URL(chaintest.AssertionID)}
	for seq := uint64(6); seq < 9; seq++ { // the base stays from epoch to epoch
		c.Must(next(seq, true))
		if e := shown(); !e.Redated() || e.Base != base || e.Sequence != seq || e.Signer != o.DID.URL("st") {
			t.Fatalf("%+v", e)
		}
		wait(60)
	}
	c.Must(next(9, true))
	t.Run("the interval holds the operator up", func(t *testing.T) { refuse(t, c, a.DID, registry.CodeTooSoon, next(10, true)) })
	t.Run("Evidence of the epoch shows both signers' keys, also one that was lost since", func(t *testing.T) {
		signer := func(d registry.DID, kid string) registry.Key {
			t.Helper()
			f, err := evidence.Check(c.Evidence(chain.Query{Status: []registry.DID{a.DID}}), c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			k, _, err := f.Key(t.Context(), d, kid, time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		if k := signer(o.DID, "st"); k.Use != registry.UseStatus || !k.InForce(c.Now()) {
			t.Fatalf("%+v", k)
		}
		if k := signer(a.DID, chaintest.AssertionID); !k.InForce(c.Now()) {
			t.Fatalf("the base's: %+v", k)
		}
		retire := o.Next(&registry.CompromiseBody{ID: "st", From: c.Time.Unix() - 30})
		c.Must(c.Op(retire, o.Op(0).As(registry.RoleOp)))
		if k := signer(o.DID, "st"); k.CompromisedFrom.IsZero() {
			t.Fatalf("%+v", k)
		}
	})
	t.Run("not the issuer", func(t *testing.T) {
		c.Must(next(10, false))
		if e := shown(); e.Redated() || e.Sequence != 10 {
			t.Fatalf("%+v", e)
		}
	})
	t.Run("an accreditation that names nobody any more", func(t *testing.T) {
		wait(60)
		payload, err := accredit.Payload()
		if err != nil {
			t.Fatal(err)
		}
		again := a.AccreditOperation(vct, 1)
		again.Seq, again.Prev = 1, registry.HashOf(payload)
		c.Must(c.Op(again, chaintest.Member(0)))
		refuse(t, c, a.DID, registry.CodeNotAllowed, next(11, true))
	})
}

// TestStatusFacts: the leaf of a network without operators has the bytes that it always had, and a fact that
// contradicts itself is not one.
func TestStatusFacts(t *testing.T) {
	issuer, other := registry.DID("did:dojang:test:zQm1"), registry.DID("did:dojang:test:zQm2")
	fact := registry.StatusFact{Sequence: 1, IssuedAt: 2, NextUpdate: 3, Root: [32]byte{4}, Signer: issuer.URL("k"), Operation: [32]byte{5}}
	b, err := registry.Encode(fact)
	if err != nil {
		t.Fatal(err)
	}
	want := "a6000101020203035820" + "04" + hex.EncodeToString(make([]byte, 31)) + "0476" + hex.EncodeToString([]byte(issuer.URL("k"))) + "055820" + "05" + hex.EncodeToString(make([]byte, 31))
	if hex.EncodeToString(b) != want {
		t.Errorf("%x\nwant %s", b, want)
	}
	based := fact
	based.Signer, based.Base = other.URL("st"), &registry.StatusBase{Sequence: 1, IssuedAt: 2, Root: [32]byte{4}, KeyID: "k"}
	b, err = registry.Encode(based)
	if err != nil {
		t.Fatal(err)
	}
	var again registry.StatusFact
	if err := registry.DecodeCanonical(b, &again); err != nil || *again.Base != *based.Base || !bytes.Contains(b, []byte{0x06, 0x84, 0x01, 0x02, 0x58, 0x20, 0x04}) {
		t.Errorf("%x %v", b, err)
	}
	for name, change := range map[string]func(*registry.StatusFact){
		"somebody else without a base":   func(f *registry.StatusFact) { f.Base = nil },
		"the issuer with a base":         func(f *registry.StatusFact) { f.Signer = issuer.URL("k") },
		"a signer that is not a DID URL": func(f *registry.StatusFact) { f.Signer = "k" },
	} {
		f := based
		change(&f)
		if e, err := f.Epoch(issuer); !errors.Is(err, registry.ErrUntrusted) || e != (registry.StatusEpoch{}) {
			t.Errorf("%s: %+v %v", name, e, err)
		}
	}
}
