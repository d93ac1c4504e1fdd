package chain_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

func appHash(c *chaintest.Chain) []byte { return c.Machine.Info().AppHash }

// facts is the state of a DID as the chain has it.
func facts(t *testing.T, c *chaintest.Chain, d registry.DID) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := c.Machine.Iterate([]byte("d/"+d.ID()+"/"), func(k, v []byte) bool {
		out[string(k)] = string(v)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// refuse checks that operations are refused with a code, in CheckTx and in a block, and that no fact about d changes.
func refuse(t *testing.T, c *chaintest.Chain, d registry.DID, code registry.Code, operation []byte) {
	t.Helper()
	before := facts(t, c, d)
	tx := c.Tx(operation)
	if got := c.Machine.CheckTx(tx); got.Code != code {
		t.Fatalf("CheckTx: %q %s, want %q", got.Code, got.Detail, code)
	}
	res := c.Block(tx)[0]
	if res.Code != registry.CodeOK || len(res.Operations) != 1 || res.Operations[0].Code != string(code) {
		t.Fatalf("block: %+v, want %q", res, code)
	}
	if !same(before, facts(t, c, d)) {
		t.Fatal("a refused operation changed the state")
	}
}

func TestThreatsOperations(t *testing.T) {
	t.Run("H01 committed update broadcast again", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{})
		a := c.Agency("gaon")
		op := a.Next(&registry.UpdateBody{Remove: []string{"status"}})
		signed := c.Op(op, a.Op(0).As(registry.RoleOp))
		tx := c.Tx(signed)
		if res := c.Block(tx)[0]; res.Operations[0].Code != string(registry.CodeOK) {
			t.Fatalf("%+v", res)
		}
		before, height := appHash(c), c.Height()
		if got := c.Machine.CheckTx(tx); got.Code != registry.CodeNonce {
			t.Fatalf("CheckTx of the same transaction: %q", got.Code)
		}
		if res := c.Block(tx)[0]; res.Code != registry.CodeNonce || !bytes.Equal(before, appHash(c)) {
			t.Fatalf("the same transaction in a block: %q, app hash changed", res.Code)
		}
		refuse(t, c, a.DID, registry.CodeDuplicate, signed) // in another transaction
		s, err := registry.ParseOperation(signed)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := c.Machine.Outcome(s.Hash); err != nil || out.Code != "ok" || out.Height != height {
			t.Fatalf("the outcome changed: %+v, %v", out, err)
		}
	})
	t.Run("H02 signed for another chain", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{})
		a := c.Agency("gaon")
		body := &registry.UpdateBody{Remove: []string{"status"}}
		for name, change := range map[string]func(*registry.Operation){
			"chain":   func(o *registry.Operation) { o.ChainID = "dojang-test-2" },
			"network": func(o *registry.Operation) { o.Network = "prod" },
			"did":     func(o *registry.Operation) { o.DID = registry.DID("did:dojang:prod:" + a.DID.ID()) },
		} {
			op := a.Next(body)
			change(&op)
			t.Log(name)
			refuse(t, c, a.DID, registry.CodeWrongNetwork, c.Op(op, a.Op(0).As(registry.RoleOp)))
		}
		// The kind is in the signed bytes: a signature for one kind is none for another.
		signed := c.Op(a.Next(&registry.DeactivateBody{}), a.Op(0).As(registry.RoleOp))
		other := c.Op(a.Next(body), a.Op(0).As(registry.RoleOp))
		refuse(t, c, a.DID, registry.CodeBadSignature, transplant(t, signed, other))
		tx, err := registry.Transaction{Network: chaintest.Network, ChainID: "dojang-test-2", Sponsor: chaintest.MemberID(0), Nonce: 100, Operations: [][]byte{signed}}.Sign(chaintest.Sponsor(0))
		if err != nil {
			t.Fatal(err)
		}
		before := appHash(c)
		if res := c.Block(tx)[0]; res.Code != registry.CodeWrongNetwork || !bytes.Equal(before, appHash(c)) {
			t.Fatalf("transaction of another chain: %q", res.Code)
		}
	})
	t.Run("H03 two updates race", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{})
		a := c.Agency("gaon")
		first := c.Op(a.Next(&registry.UpdateBody{Remove: []string{"status"}}), a.Op(0).As(registry.RoleOp))
		second := c.Op(a.Next(&registry.RetireBody{ID: "auth"}), a.Op(0).As(registry.RoleOp))
		out := c.Do(first, second)
		if out[0].Code != string(registry.CodeOK) || out[1].Code != string(registry.CodeVersionConflict) {
			t.Fatalf("%+v", out)
		}
		refuse(t, c, a.DID, registry.CodeVersionConflict, second)
		stale := a.Next(&registry.RetireBody{ID: "k1"})
		stale.Seq = 5
		refuse(t, c, a.DID, registry.CodeVersionConflict, c.Op(stale, a.Op(0).As(registry.RoleOp)))
	})
	t.Run("H04 rotation signed by one side only", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{})
		a := c.Agency("gaon")
		op := a.Next(&registry.RotateBody{Key: a.Op(1).Public(), Next: a.Op(2).Public().Hash()})
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(op, a.Op(1).As(registry.RoleNext)))
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(op, a.Op(0).As(registry.RoleOp)))
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(op, a.Op(1).As(registry.RoleOp), a.Op(1).As(registry.RoleNext)))
		thief := chaintest.NewKey("thief")
		stolen := a.Next(&registry.RotateBody{Key: thief.Public(), Next: a.Op(2).Public().Hash()})
		refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(stolen, a.Op(0).As(registry.RoleOp), thief.As(registry.RoleNext)))
		a.Rotate()
	})
	t.Run("H05 old key, deactivated identifier", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{})
		a := c.Agency("gaon")
		a.Rotate()
		a.Rotate()
		body := &registry.UpdateBody{Remove: []string{"status"}}
		for i := range 2 {
			refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.Next(body), a.Op(i).As(registry.RoleOp)))
			refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.Next(&registry.DeactivateBody{}), a.Op(i).As(registry.RoleOp)))
		}
		a.Do(&registry.DeactivateBody{})
		refuse(t, c, a.DID, registry.CodeDeactivated, c.Op(a.Next(body), a.Op(2).As(registry.RoleOp)))
		refuse(t, c, a.DID, registry.CodeDeactivated, c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1"))))
		rec, err := c.Machine.DID(a.DID, 0)
		if err != nil || rec.DID.Deactivated == 0 || len(rec.Keys) != 0 {
			t.Fatalf("%+v, %v", rec, err)
		}
	})
	t.Run("H06 document bomb", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) {
			g.Development = false
			g.EpochInterval = 60
			g.Governance = chaintest.Together()
		}})
		a := c.NewAgency("gaon")
		create := func(change func(*registry.CreateBody)) registry.Operation {
			op := a.CreateOperation()
			body := op.Body.(*registry.CreateBody)
			body.Services = nil
			change(body)
			return op
		}
		a.Created(create(func(*registry.CreateBody) {}))
		c.Must(c.Op(create(func(*registry.CreateBody) {}), a.Op(0).As(registry.RoleOp)))
		for name, uri := range map[string]string{
			"script": "javascript:alert(1)", "data": "data:text/html,x", "file": "file:///etc/passwd", "http": "http://agency.example/",
			"loopback": "http://localhost:8080/", "credentials": "https://u:p@agency.example/", "relative": "/x", "no host": "https:///x",
		} {
			t.Log(name)
			op := create(func(b *registry.CreateBody) {
				b.Services = []registry.Service{{ID: "s", Type: "T", Endpoint: uri}}
			})
			refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(op, a.Op(0).As(registry.RoleOp)))
		}
		// What no builder makes is refused by the parser: too many, too long, twice, foreign.
		for name, change := range map[string]func(*registry.CreateBody){
			"17 keys": func(b *registry.CreateBody) {
				for i := range 15 {
					b.Keys = append(b.Keys, registry.NewKey{ID: strings.Repeat("x", i+1), Use: registry.UseAssertion, Key: chaintest.NewKey(strings.Repeat("x", i)).Public()})
				}
			},
			"one id twice":        func(b *registry.CreateBody) { b.Keys[1].ID = b.Keys[0].ID },
			"fragment of another": func(b *registry.CreateBody) { b.Keys[1].ID = "did:dojang:test:QmX#k1" },
			"long endpoint": func(b *registry.CreateBody) {
				b.Services = []registry.Service{{ID: "s", Type: "T", Endpoint: "https://x/" + strings.Repeat("a", 300)}}
			},
		} {
			if _, err := create(change).Sign(a.Op(0).As(registry.RoleOp)); err == nil {
				t.Errorf("%s: signed", name)
			}
		}
		big := append(c.Op(create(func(*registry.CreateBody) {}), a.Op(0).As(registry.RoleOp)), make([]byte, registry.MaxOperation)...)
		refuse(t, c, a.DID, registry.CodeLimit, big)
		refuse(t, c, a.DID, registry.CodeMalformed, foreignController(t, c, a))
		// A document never outgrows its limit by many small operations.
		for i := range 20 {
			op := a.Next(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "x" + strings.Repeat("y", i), Use: registry.UseAssertion, Key: chaintest.NewKey(strings.Repeat("y", i)).Public()}}})
			signed := c.Op(op, a.Op(0).As(registry.RoleOp))
			if i >= 14 {
				refuse(t, c, a.DID, registry.CodeLimit, signed)
				continue
			}
			c.Must(signed)
			a.Took(op)
		}
		rec, err := c.Machine.DID(a.DID, 0)
		if err != nil {
			t.Fatal(err)
		}
		if doc, err := rec.Document(); err != nil || len(doc) > 16<<10 {
			t.Fatalf("document of %d bytes, %v", len(doc), err)
		}
	})
}

func TestThreatsMembers(t *testing.T) {
	t.Run("H07 not a member, another's namespace, removed member", func(t *testing.T) {
		db := chain.NewMemory()
		c := chaintest.New(t, chaintest.Config{Members: 2, DB: db})
		a, b := c.Agency("gaon"), c.Agency("seoul")
		update := &registry.UpdateBody{Remove: []string{"status"}}
		outsider := chaintest.NewKey("outsider")
		before := appHash(c)
		for name, sponsor := range map[string]string{"unknown": "nobody", "known name, other key": chaintest.MemberID(0)} {
			tx, err := registry.Transaction{
				Network: chaintest.Network, ChainID: chaintest.ChainID, Sponsor: sponsor, Nonce: 50,
				Operations: [][]byte{c.Op(a.Next(update), a.Op(0).As(registry.RoleOp))},
			}.Sign(outsider.As(""))
			if err != nil {
				t.Fatal(err)
			}
			check, res := c.Machine.CheckTx(tx), c.Block(tx)[0]
			if check.Code != res.Code || (res.Code != registry.CodeNotASponsor && res.Code != registry.CodeBadSignature) || !bytes.Equal(before, appHash(c)) {
				t.Fatalf("%s: %q and %q", name, check.Code, res.Code)
			}
		}
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.Next(update), b.Op(0).As(registry.RoleOp)))
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.EpochOperation(), b.Key("k1").As(b.DID.URL("k1"))))
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.EpochOperation(), b.Key("k1").As(a.DID.URL("k1"))))
		// The sponsor signs operations of nobody but those whose keys it holds.
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(a.Next(update), chaintest.Sponsor(0)))

		if res := c.Block(c.TxOf(1, 1, c.Op(a.Next(update), a.Op(0).As(registry.RoleOp))))[0]; res.Code != registry.CodeOK || res.Operations[0].Code != string(registry.CodeOK) {
			t.Fatalf("second member: %+v", res)
		}
		chain.RemoveMember(t, c.Machine, chaintest.MemberID(1))
		c.Block()
		tx := c.TxOf(1, 2, c.Op(b.Next(update), b.Op(0).As(registry.RoleOp)))
		before = appHash(c)
		if check, res := c.Machine.CheckTx(tx), c.Block(tx)[0]; check.Code != registry.CodeNotASponsor || res.Code != registry.CodeNotASponsor || !bytes.Equal(before, appHash(c)) {
			t.Fatalf("removed member: %q and %q", check.Code, res.Code)
		}
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(a.AccreditOperation(vct, 1), chaintest.Member(1)))
	})
	t.Run("H08 one signature where k of n are needed", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Members: 3, Threshold: 2})
		a := c.Agency("gaon")
		op := a.AccreditOperation(vct, 1)
		m0, m1, m2 := chaintest.Member(0), chaintest.Member(1), chaintest.Member(2)
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(op, m0))
		outsider := chaintest.NewKey("outsider")
		refuse(t, c, a.DID, registry.CodeBadSignature, c.Op(op, m0, outsider.As(m1.Role)))
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(op, m0, outsider.As(registry.RoleMember("nobody"))))
		refuse(t, c, a.DID, registry.CodeMalformed, c.Op(op, m0, m1, outsider.As("stranger")))
		// The controller is no member, and one member under two names is one.
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(op, a.Op(0).As(registry.RoleOp), m0))
		c.Must(c.Op(op, m2, m0))
		suspend := op
		payload, err := op.Payload()
		if err != nil {
			t.Fatal(err)
		}
		suspend.Seq, suspend.Prev, suspend.Body = 1, registry.HashOf(payload), &registry.SuspendBody{Type: vct, N: 1}
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(suspend, m1))
		reg := registry.Operation{DID: a.DID, Body: &registry.RegisterBody{
			Purpose: "adult-check", Name: map[string]string{"en": "Moa Bank"}, Text: map[string]string{"en": "age"},
			Claims: map[string][]string{vct: {"age_over_19"}}, Basis: []string{"law"}, From: 1,
		}}
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(reg, m1))
		typ := registry.Operation{Body: &registry.TypeDigestBody{Type: vct, Digest: [32]byte{1}}}
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(typ, m1))
		recover := a.Next(&registry.RecoverBody{Op: a.Op(5).Public(), Next: a.Op(6).Public().Hash(), Recovery: a.Recovery(1).Public().Hash()})
		refuse(t, c, a.DID, registry.CodeThreshold, c.Op(recover, a.Op(5).As(registry.RoleOp), m0))
	})
	t.Run("H09 valid when checked, not when executed", func(t *testing.T) {
		run := func() (codes []string, hash []byte) {
			c := chaintest.New(t, chaintest.Config{})
			a := c.Agency("gaon")
			update := c.Op(a.Next(&registry.UpdateBody{Remove: []string{"status"}}), a.Op(0).As(registry.RoleOp))
			retire := c.Op(a.Next(&registry.RetireBody{ID: "k1"}), a.Op(0).As(registry.RoleOp))
			one, two := c.Tx(update), c.Tx(retire)
			if got := c.Machine.CheckTx(two); got.Code != registry.CodeOK {
				t.Fatalf("CheckTx: %+v", got)
			}
			res := c.Block(one, two)
			before := facts(t, c, a.DID)
			if len(res) != 2 || res[1].Operations[0].Code != string(registry.CodeVersionConflict) {
				t.Fatalf("%+v", res)
			}
			rec, err := c.Machine.DID(a.DID, 0)
			if err != nil || len(rec.Keys) != 2 || len(before) == 0 {
				t.Fatalf("the loser changed something: %+v, %v", rec, err)
			}
			return []string{res[0].Operations[0].Code, res[1].Operations[0].Code}, appHash(c)
		}
		codes, hash := run()
		again, hash2 := run()
		if !bytes.Equal(hash, hash2) || strings.Join(codes, " ") != strings.Join(again, " ") {
			t.Fatal("two nodes disagree")
		}
	})
}

// transplant puts the signatures of one operation on the payload of another.
func transplant(t *testing.T, from, to []byte) []byte {
	t.Helper()
	type wire struct {
		_          struct{} `cbor:",toarray"`
		Payload    []byte
		Signatures []any
	}
	var a, b wire
	if err := registry.Decode(from, &a); err != nil {
		t.Fatal(err)
	}
	if err := registry.Decode(to, &b); err != nil {
		t.Fatal(err)
	}
	b.Signatures = a.Signatures
	out, err := registry.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// foreignController adds a member to a create body that the format does not have.
func foreignController(t *testing.T, c *chaintest.Chain, a *chaintest.Agency) []byte {
	t.Helper()
	signed, err := registry.ParseOperation(c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp)))
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := registry.Decode(signed.Payload, &m); err != nil {
		t.Fatal(err)
	}
	body := map[string]any{}
	for k, v := range m["body"].(map[any]any) {
		body[k.(string)] = v
	}
	body["controller"] = "did:dojang:test:QmSomebodyElse"
	m["body"] = body
	payload, err := registry.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	protected := signed.Signatures[0].Protected
	out, err := registry.Encode([]any{payload, []any{[]any{protected, signed.Signatures[0].Value}}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
