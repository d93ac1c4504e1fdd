package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

func TestStatusEpochs(t *testing.T) {
	setup := func(t *testing.T) (*chaintest.Chain, *chaintest.Agency, *chaintest.Agency) {
		c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) { g.EpochInterval = 60 }})
		a, op := c.Agency("gaon"), c.NewAgency("operator")
		create := op.CreateOperation()
		create.Body.(*registry.CreateBody).Keys = []registry.NewKey{{ID: "st", Use: registry.UseStatus, Key: op.Key("st").Public()}, {ID: "k1", Use: registry.UseAssertion, Key: op.Key("k1").Public()}}
		op.Created(create)
		c.Must(c.Op(create, op.Op(0).As(registry.RoleOp)))
		accredit := a.AccreditOperation(vct, 1)
		accredit.Body.(*registry.AccreditBody).Operator = op.DID
		c.Must(c.Op(accredit, chaintest.Member(0)))
		a.Epoch()
		return c, a, op
	}
	issuer := func(a *chaintest.Agency) registry.SigningKey { return a.Key("k1").As(a.DID.URL("k1")) }
	operator := func(o *chaintest.Agency) registry.SigningKey { return o.Key("st").As(o.DID.URL("st")) }
	via := &registry.AccreditationRef{Type: vct, N: 1}
	for _, tc := range []struct {
		name   string
		change func(*registry.Operation, *registry.EpochBody)
		by     func(a, o *chaintest.Agency) registry.SigningKey
		code   registry.Code
	}{
		{"next", nil, nil, registry.CodeOK},
		{"a number left out", func(o *registry.Operation, _ *registry.EpochBody) { o.Seq = 9 }, nil, registry.CodeOK},
		{"same number", func(o *registry.Operation, _ *registry.EpochBody) { o.Seq = 1 }, nil, registry.CodeVersionConflict},
		{"within the interval", func(_ *registry.Operation, b *registry.EpochBody) { b.IssuedAt -= 60 }, nil, registry.CodeTooSoon},
		{"iat ahead", func(_ *registry.Operation, b *registry.EpochBody) { b.IssuedAt += 200 }, nil, registry.CodeBadTime},
		{"next_update too far", func(_ *registry.Operation, b *registry.EpochBody) { b.NextUpdate += 46 * 86400 }, nil, registry.CodeBadTime},
		{"by the authentication key", nil, func(a, _ *chaintest.Agency) registry.SigningKey { return a.Key("auth").As(a.DID.URL("auth")) }, registry.CodeNotAllowed},
		{"by a key that is not there", nil, func(a, _ *chaintest.Agency) registry.SigningKey { return a.Key("k7").As(a.DID.URL("k7")) }, registry.CodeNotAllowed},
		{"by the operator", func(_ *registry.Operation, b *registry.EpochBody) { b.Via = via }, func(_, o *chaintest.Agency) registry.SigningKey { return operator(o) }, registry.CodeOK},
		{"by the operator without naming the accreditation", nil, func(_, o *chaintest.Agency) registry.SigningKey { return operator(o) }, registry.CodeBadSignature},
		{"by the operator's assertion key", func(_ *registry.Operation, b *registry.EpochBody) { b.Via = via }, func(_, o *chaintest.Agency) registry.SigningKey { return issuer(o) }, registry.CodeNotAllowed},
		{"by the operator via what is not there", func(_ *registry.Operation, b *registry.EpochBody) {
			b.Via = &registry.AccreditationRef{Type: vct, N: 2}
		}, func(_, o *chaintest.Agency) registry.SigningKey { return operator(o) }, registry.CodeNotAllowed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, a, o := setup(t)
			for range 61 {
				c.Block()
			}
			op := a.EpochOperation()
			if tc.change != nil {
				tc.change(&op, op.Body.(*registry.EpochBody))
			}
			key := issuer(a)
			if tc.by != nil {
				key = tc.by(a, o)
			}
			signed := c.Op(op, key)
			if tc.code != registry.CodeOK {
				refuse(t, c, a.DID, tc.code, signed)
				return
			}
			c.Must(signed)
			fact, height, err := c.Machine.Status(a.DID)
			if err != nil || fact.Sequence != op.Seq || fact.Signer != key.Role || height != c.Height() {
				t.Fatalf("%+v at %d, %v", fact, height, err)
			}
		})
	}
	t.Run("retired and compromised keys", func(t *testing.T) {
		c, a, _ := setup(t)
		a.Do(&registry.CompromiseBody{ID: "k1", From: c.Time.Unix() - 10})
		for range 61 {
			c.Block()
		}
		refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(a.EpochOperation(), issuer(a)))
	})
	t.Run("operator of a suspended accreditation", func(t *testing.T) {
		c, a, o := setup(t)
		accredit := a.AccreditOperation(vct, 1)
		accredit.Body.(*registry.AccreditBody).Operator = o.DID
		payload, err := accredit.Payload()
		if err != nil {
			t.Fatal(err)
		}
		accredit.Body, accredit.Seq, accredit.Prev = &registry.SuspendBody{Type: vct, N: 1}, 1, registry.HashOf(payload)
		c.Must(c.Op(accredit, chaintest.Member(0)))
		for range 61 {
			c.Block()
		}
		op := a.EpochOperation()
		op.Body.(*registry.EpochBody).Via = via
		refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(op, operator(o)))
	})
}

func TestAccreditationRules(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) { g.Development = false; g.Governance = chaintest.Together() }})
	a := c.NewAgency("gaon")
	create := a.CreateOperation()
	create.Body.(*registry.CreateBody).Services = nil
	a.Created(create)
	accredit := func(n uint64, host string) registry.Operation {
		op := a.AccreditOperation(vct, n)
		op.Body.(*registry.AccreditBody).Host = host
		return op
	}
	refuse(t, c, a.DID, registry.CodeNotFound, c.Op(accredit(1, ""), chaintest.Member(0)))
	c.Must(c.Op(create, a.Op(0).As(registry.RoleOp)))
	refuse(t, c, a.DID, registry.CodeVersionConflict, c.Op(accredit(2, ""), chaintest.Member(0)))
	refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(accredit(1, "http://localhost:1"), chaintest.Member(0)))
	first := accredit(1, "https://status.example")
	c.Must(c.Op(first, chaintest.Member(0)))
	refuse(t, c, a.DID, registry.CodeVersionConflict, c.Op(accredit(1, "https://other.example"), chaintest.Member(0)))
	c.Must(c.Op(accredit(2, ""), chaintest.Member(0)))
	// Amended by the next operation of its history, and not by one on an older state.
	payload, err := first.Payload()
	if err != nil {
		t.Fatal(err)
	}
	next := accredit(1, "https://new.example")
	next.Seq, next.Prev = 1, registry.HashOf(payload)
	c.Must(c.Op(next, chaintest.Member(0)))
	fact, _, err := c.Machine.Accreditation(a.DID, vct, 1)
	if err != nil || fact.Host != "https://new.example" || fact.Seq != 1 {
		t.Fatalf("%+v, %v", fact, err)
	}
	resume := next
	resume.Body = &registry.ResumeBody{Type: vct, N: 1}
	refuse(t, c, a.DID, registry.CodeVersionConflict, c.Op(resume, chaintest.Member(0)))
	payload, err = next.Payload()
	if err != nil {
		t.Fatal(err)
	}
	resume.Seq, resume.Prev = 2, registry.HashOf(payload)
	refuse(t, c, a.DID, registry.CodeNotAllowed, c.Op(resume, chaintest.Member(0)))
}

func TestRegistrationTypeAndAnchor(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("moa")
	reg := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, DID: a.DID, Body: &registry.RegisterBody{
		Purpose: "adult-check", Name: map[string]string{"ko": "모아은행", "en": "Moa Bank"}, Text: map[string]string{"ko": "성인 확인"},
		Claims: map[string][]string{vct: {"age_over_19"}}, Basis: []string{"law"}, Retention: 30, From: 1,
	}}
	c.Must(c.Op(reg, chaintest.Member(0)))
	refuse(t, c, a.DID, registry.CodeDuplicate, c.Op(reg, chaintest.Member(0)))
	again := reg
	body := *reg.Body.(*registry.RegisterBody)
	body.Retention = 60
	again.Body = &body
	refuse(t, c, a.DID, registry.CodeVersionConflict, c.Op(again, chaintest.Member(0)))
	payload, err := reg.Payload()
	if err != nil {
		t.Fatal(err)
	}
	again.Seq, again.Prev = 1, registry.HashOf(payload)
	c.Must(c.Op(again, chaintest.Member(0)))
	if fact, _, err := c.Machine.Registration(a.DID, "adult-check"); err != nil || fact.Retention != 60 {
		t.Fatalf("%+v, %v", fact, err)
	}

	typ := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, Body: &registry.TypeDigestBody{Type: vct, Digest: [32]byte{1}}}
	c.Must(c.Op(typ, chaintest.Member(0)))
	changed := typ
	changed.Body = &registry.TypeDigestBody{Type: vct, Digest: [32]byte{2}}
	if out := c.Do(c.Op(changed, chaintest.Member(0))); out[0].Code != string(registry.CodeVersionConflict) {
		t.Fatalf("%+v", out)
	}
	if fact, _, err := c.Machine.Type(vct); err != nil || fact.Digest != [32]byte{1} {
		t.Fatalf("%+v, %v", fact, err)
	}

	anchor := registry.Operation{DID: a.DID, Body: &registry.AnchorBody{Root: [32]byte{7}}}
	c.Must(c.Op(anchor, a.Key("k1").As(a.DID.URL("k1"))))
	b := c.Agency("other")
	anchor.DID = b.DID
	refuse(t, c, b.DID, registry.CodeExists, c.Op(anchor, b.Key("k1").As(b.DID.URL("k1"))))
}

func TestNoncesAndQuota(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) { g.QuotaOps, g.QuotaBlocks = 5, 30 }})
	n := 0
	op := func() []byte {
		n++
		a := c.NewAgency(string(rune('a' + n)))
		return c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))
	}
	try := func(nonce uint64, code registry.Code, ops ...[]byte) {
		t.Helper()
		before := appHash(c)
		tx := c.TxOf(0, nonce, ops...)
		check, res := c.Machine.CheckTx(tx), c.Block(tx)[0]
		if check.Code != code || res.Code != code {
			t.Fatalf("nonce %d: %q and %q, want %q", nonce, check.Code, res.Code, code)
		}
		if code != registry.CodeOK && !bytes.Equal(before, appHash(c)) {
			t.Fatal("a refused transaction changed the state")
		}
	}
	try(2000, registry.CodeNonce, op())
	try(1000, registry.CodeOK, op())
	try(1000, registry.CodeNonce, op())
	try(900, registry.CodeOK, op())
	try(900, registry.CodeNonce, op())
	try(1, registry.CodeOK, op())
	try(2000, registry.CodeOK, op())
	try(976, registry.CodeNonce, op()) // 1,024 below
	try(1000, registry.CodeNonce, op())
	try(977, registry.CodeQuota, op(), op())
	try(977, registry.CodeOK, op())
	try(978, registry.CodeQuota, op())
	for c.Height()%30 != 29 {
		c.Block()
	}
	try(978, registry.CodeOK, op())
}

// Operations of a batch succeed or fail one by one, in order; later ones build on earlier ones; CheckTx sees what waits.
func TestBatch(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a, b := c.NewAgency("gaon"), c.NewAgency("seoul")
	out := c.Do(
		c.Op(a.Next(&registry.RetireBody{ID: "k1"}), a.Op(0).As(registry.RoleOp)),
		c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp)),
		[]byte("rubbish"),
		c.Op(a.Next(&registry.RetireBody{ID: "auth"}), a.Op(0).As(registry.RoleOp)),
		c.Op(b.CreateOperation(), a.Op(0).As(registry.RoleOp)),
	)
	for i, want := range []registry.Code{registry.CodeNotFound, registry.CodeOK, registry.CodeMalformed, registry.CodeOK, registry.CodeBadSignature} {
		if out[i].Code != string(want) {
			t.Errorf("operation %d: %s, want %s", i, out[i].Code, want)
		}
	}
	// What failed because it came too early may come again.
	create := c.Op(b.CreateOperation(), b.Op(0).As(registry.RoleOp))
	early := c.Op(b.Next(&registry.RetireBody{ID: "k1"}), b.Op(0).As(registry.RoleOp))
	if got := c.Machine.CheckTx(c.Tx(early)); got.Code != registry.CodeNotFound {
		t.Fatalf("%+v", got)
	}
	one, two := c.Tx(create), c.Tx(early)
	if got := c.Machine.CheckTx(one); got.Code != registry.CodeOK {
		t.Fatalf("%+v", got)
	}
	if got := c.Machine.CheckTx(two); got.Code != registry.CodeOK {
		t.Fatalf("an operation on one that waits: %+v", got)
	}
	res := c.Block(one, two)
	if res[1].Operations[0].Code != string(registry.CodeOK) {
		t.Fatalf("%+v", res)
	}
	if !bytes.Equal(res[1].Data(), []byte{0x82, 0x62, 'o', 'k', 0x62, 'o', 'k'}) {
		t.Fatalf("data %x", res[1].Data())
	}
}

func TestVersionsAndHistory(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("gaon")
	created := c.Height()
	c.Block()
	a.Do(&registry.RetireBody{ID: "auth"})
	retired := c.Height()
	a.Do(&registry.UpdateBody{Remove: []string{"status"}})
	versions, err := c.Machine.Versions(a.DID)
	if err != nil || len(versions) != 3 || versions[0].Height != created || versions[1] != (chain.Version{Seq: 1, Height: retired}) || versions[2].Seq != 2 {
		t.Fatalf("%+v, %v", versions, err)
	}
	rec, err := c.Machine.DID(a.DID, created)
	if err != nil || len(rec.Keys) != 2 || len(rec.Services) != 1 || rec.NextSeq != 1 || rec.Keys[1].Fact.Retired != 0 {
		t.Fatalf("%+v, %v", rec, err)
	}
	if rec, err = c.Machine.DID(a.DID, 0); err != nil || len(rec.Keys) != 1 || len(rec.Services) != 0 || rec.DID.Seq != 2 || !rec.Next.IsZero() {
		t.Fatalf("%+v, %v", rec, err)
	}
	if _, err := c.Machine.DID(a.DID, created-1); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("before it was: %v", err)
	}
	if _, err := c.Machine.DID(c.NewAgency("x").DID, 0); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("what is not: %v", err)
	}
}

func TestOutOfOrder(t *testing.T) {
	m, err := chain.New(chain.NewMemory(), chain.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Execute(chain.Block{Height: 1}); !errors.Is(err, chain.ErrOrder) {
		t.Fatalf("execute before the genesis: %v", err)
	}
	if err := m.Commit(); !errors.Is(err, chain.ErrOrder) {
		t.Fatalf("commit of nothing: %v", err)
	}
	if res := m.CheckTx([]byte("x")); res.Code == registry.CodeOK {
		t.Fatal("checked before the genesis")
	}
	c := chaintest.New(t, chaintest.Config{})
	for _, h := range []uint64{0, 1, 3} {
		if _, _, err := c.Machine.Execute(chain.Block{Height: h}); !errors.Is(err, chain.ErrOrder) {
			t.Fatalf("height %d after 1: %v", h, err)
		}
	}
	if _, err := c.Machine.InitGenesis(c.Genesis, 1); !errors.Is(err, chain.ErrOrder) {
		t.Fatalf("a second genesis: %v", err)
	}
	if _, err := c.Machine.Prove(99, chain.Query{}); !errors.Is(err, chain.ErrVersion) {
		t.Fatalf("a version to come: %v", err)
	}
}

func TestGenesis(t *testing.T) {
	g := chaintest.NewGenesis(3, 2)
	b, err := g.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := chain.ParseGenesis(b)
	if err != nil || again.Threshold != 2 || len(again.Members) != 3 {
		t.Fatalf("%+v, %v", again, err)
	}
	for name, change := range map[string]func(*chain.Genesis){
		"format":    func(g *chain.Genesis) { g.Format = "x" },
		"threshold": func(g *chain.Genesis) { g.Threshold = 4 },
		"none":      func(g *chain.Genesis) { g.Threshold = 0 },
		"nobody":    func(g *chain.Genesis) { g.Members = nil },
		"twice":     func(g *chain.Genesis) { g.Members[1] = g.Members[0] },
		"one key":   func(g *chain.Genesis) { g.Members[1].GovernanceKey = g.Members[0].SponsorKey },
		"bad key":   func(g *chain.Genesis) { g.Members[1].GovernanceKey = []byte(`{}`) },
		"network":   func(g *chain.Genesis) { g.Network = "A" },
		"window":    func(g *chain.Genesis) { g.QuotaBlocks = 0 },
	} {
		bad := chaintest.NewGenesis(3, 2)
		change(&bad)
		if _, err := bad.Marshal(); !errors.Is(err, chain.ErrGenesis) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseGenesis(f *testing.F) {
	if b, err := chaintest.NewGenesis(1, 1).Marshal(); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := chain.ParseGenesis(b)
		if err != nil {
			return
		}
		if _, err := g.Marshal(); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzCheckTx(f *testing.F) {
	c := chaintest.New(f, chaintest.Config{})
	a := c.NewAgency("gaon")
	f.Add(c.Tx(c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))))
	f.Add([]byte{0x82, 0x40, 0x82, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, tx []byte) {
		if res := c.Machine.CheckTx(tx); res.Code == "" {
			t.Fatal("neither yes nor no")
		}
	})
}
