package chain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

const vct = "urn:dojang:kr:resident-id:1"

// agencyQuery asks for all that a presentation of an agency's credential needs.
func agencyQuery(a *chaintest.Agency) chain.Query {
	return chain.Query{
		Keys:           []chain.KeyRef{{DID: a.DID, ID: chaintest.AssertionID}},
		Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}},
		Status:         []registry.DID{a.DID},
	}
}

func TestFromOperationToFacts(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Validators: 4})
	a := c.Agency("gaon")
	active := c.Headers[len(c.Headers)-1].Time.Add(c.Step) // of the header after the block of the create
	a.Accredit(vct)
	c.Block()
	a.Epoch()

	b := c.Evidence(agencyQuery(a))
	t.Logf("evidence of %d bytes", len(b))
	f, err := evidence.Check(b, c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	key, known, err := f.Key(ctx, a.DID, chaintest.AssertionID, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if !key.ActiveFrom.Equal(active) || key.Use != registry.UseAssertion || !key.InForce(c.Now()) {
		t.Fatalf("key %+v, want active from %v", key, active)
	}
	if want := c.Headers[len(c.Headers)-1]; known.Height != want.Height || !known.KnownAt.Equal(want.Time) {
		t.Fatalf("known %+v", known)
	}
	if _, _, err := f.Key(ctx, a.DID, chaintest.AssertionID, active.Add(-time.Nanosecond)); !errors.Is(err, registry.ErrNotFound) {
		t.Fatalf("before activation: %v", err)
	}
	accr, _, err := f.Accreditation(ctx, a.DID, vct, c.Now())
	if err != nil || !accr.InForce(c.Now()) || accr.StatusHost == "" {
		t.Fatalf("accreditation %+v, %v", accr, err)
	}
	epoch, _, err := f.StatusEpoch(ctx, a.DID)
	if err != nil || epoch.Sequence != 1 || epoch.Signer != a.DID.URL(chaintest.AssertionID) {
		t.Fatalf("epoch %+v, %v", epoch, err)
	}
	if _, _, err := f.TypeDigest(ctx, vct); !errors.Is(err, registry.ErrUnavailable) {
		t.Fatalf("type digest: %v", err)
	}
}

func TestAbsenceIsProven(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a, other := c.Agency("gaon"), c.NewAgency("nobody")
	f, err := evidence.Check(c.Evidence(chain.Query{
		Keys:           []chain.KeyRef{{DID: other.DID, ID: "k1"}, {DID: a.DID, ID: "k9"}},
		Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}},
		Registrations:  []chain.RegistrationRef{{DID: a.DID, Purpose: "adult-check"}},
		Types:          []string{vct},
		Status:         []registry.DID{a.DID},
		Operations:     []registry.Hash{registry.HashOf([]byte("x"))},
	}), c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	_, known, err1 := f.Key(ctx, other.DID, "k1", time.Time{})
	_, _, err2 := f.Key(ctx, a.DID, "k9", c.Now())
	_, _, err3 := f.Accreditation(ctx, a.DID, vct, c.Now())
	_, _, err4 := f.Registration(ctx, a.DID, "adult-check", c.Now())
	_, _, err5 := f.TypeDigest(ctx, vct)
	_, _, err6 := f.StatusEpoch(ctx, a.DID)
	_, err7 := f.Outcome(registry.HashOf([]byte("x")))
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%d: %v, want proven absent", i+1, err)
		}
	}
	if known.Height == 0 {
		t.Error("absence is not known as of a header")
	}
}

// The key is in force from the header after its block, also when nothing has happened on the chain since.
func TestQuietNetworkDatesTheNewestChange(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("gaon")
	height := c.Height()
	for range 50 {
		c.Block()
	}
	f, err := evidence.Check(c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: "k1"}}}), c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, known, err := f.Key(context.Background(), a.DID, "k1", time.Time{})
	if err != nil || !key.ActiveFrom.Equal(c.Headers[height].Time) || known.Height != height+51 {
		t.Fatalf("key %+v, known %+v, %v", key, known, err)
	}
}

// An accreditation suspended for a while: what it was at each moment follows from the newest state alone.
func TestHistoryFromTheNewestState(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Machine: chain.Config{KeepVersions: 1}})
	a := c.Agency("gaon")
	before := c.Now()
	accredit := a.AccreditOperation(vct, 1)
	prev := accredit
	step := func(body registry.Body, at *time.Time) {
		op := accredit
		if body != nil {
			op.Body = body
			payload, err := prev.Payload()
			if err != nil {
				t.Fatal(err)
			}
			op.Seq, op.Prev = prev.Seq+1, registry.HashOf(payload)
		}
		c.Must(c.Op(op, chaintest.Member(0)))
		for range 5 {
			c.Block()
		}
		prev, *at = op, c.Now()
	}
	var open, suspended, resumed, ended time.Time
	step(nil, &open)
	step(&registry.SuspendBody{Type: vct, N: 1}, &suspended)
	step(&registry.ResumeBody{Type: vct, N: 1}, &resumed)
	step(&registry.EndBody{Type: vct, N: 1, Until: resumed.Unix() - 1}, &ended) // decided after the day that it names
	for range 100 {
		c.Block()
	}
	for _, tc := range []struct {
		name      string
		at        time.Time
		err       error
		suspended bool
	}{
		{"before the first", before, registry.ErrNotFound, false},
		{"before the chain", chaintest.Begin.Add(-time.Hour), registry.ErrNotFound, false},
		{"while open", open, nil, false},
		{"while suspended", suspended, nil, true},
		{"resumed", resumed.Add(-2 * time.Second), nil, false},
		{"between the end and the decision", resumed, registry.ErrNotFound, false},
		{"after the end", c.Now(), registry.ErrNotFound, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := chain.Query{Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}}, At: tc.at}
			f, err := evidence.Check(c.Evidence(q), c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := f.Accreditation(context.Background(), a.DID, vct, tc.at)
			if !errors.Is(err, tc.err) || (err == nil && got.Suspended != tc.suspended) {
				t.Fatalf("%+v, %v; want suspended %v, %v", got, err, tc.suspended, tc.err)
			}
		})
	}
}

// A transaction that comes before the first block is refused, and judged anew when it comes again.
func TestCheckBeforeTheFirstBlock(t *testing.T) {
	c := chaintest.Start(t, chaintest.Config{})
	a := c.NewAgency("early")
	tx := c.Tx(c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp)))
	if res := c.Machine.CheckTx(tx); res.Code != registry.CodeNotASponsor {
		t.Fatalf("before the first block: %+v", res)
	}
	c.Block()
	if res := c.Block(tx); res[0].Code != registry.CodeOK || res[0].Operations[0].Code != string(registry.CodeOK) {
		t.Fatalf("%+v", res)
	}
}

// What only waits may never come into a block: it refuses nothing that the committed state allows.
func TestWhatWaitsDecidesNothing(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Members: 3})
	a := c.Agency("gaon")
	first := a.Next(&registry.UpdateBody{Services: []registry.Service{{ID: "one", Type: "LinkedDomains", Endpoint: "https://one.example"}}})
	second := a.Next(&registry.UpdateBody{Services: []registry.Service{{ID: "two", Type: "LinkedDomains", Endpoint: "https://two.example"}}})
	key := a.Op(0).As(registry.RoleOp)
	one, two := c.Op(first, key), c.Op(second, key)
	a.Took(first)
	after := c.Op(a.Next(&registry.UpdateBody{Remove: []string{"one"}}), key)
	check := func(member int, nonce uint64, op []byte) registry.Code {
		return c.Machine.CheckTx(c.TxOf(member, nonce, op)).Code
	}
	for _, x := range []struct {
		name   string
		member int
		nonce  uint64
		op     []byte
		want   registry.Code
	}{
		{"the first", 0, 50, one, registry.CodeOK},
		{"another for the same place", 1, 50, two, registry.CodeOK},
		{"the first by another member", 2, 50, one, registry.CodeOK},
		{"what follows the first", 0, 51, after, registry.CodeOK},
		{"the same by another member: it may succeed first", 2, 51, after, registry.CodeOK},
		{"a nonce that waits", 2, 51, two, registry.CodeNonce},
	} {
		if got := check(x.member, x.nonce, x.op); got != x.want {
			t.Errorf("%s: %s", x.name, got)
		}
	}
	c.Block(c.TxOf(1, 50, two))
	for name, op := range map[string][]byte{"the first": one, "what follows it": after} {
		if got := check(0, 60, op); got != registry.CodeVersionConflict {
			t.Errorf("after the block, %s: %s", name, got)
		}
	}
	if got := check(0, 60, two); got != registry.CodeDuplicate {
		t.Errorf("after the block, the winner: %s", got)
	}
	if res := c.Machine.Recheck(c.TxOf(0, 50, one)); res.Code != registry.CodeOK || res.Operations[0].Code != string(registry.CodeVersionConflict) {
		t.Errorf("what waits on: %+v", res)
	}
	if res := c.Machine.Recheck(c.TxOf(1, 50, one)); res.Code != registry.CodeNonce {
		t.Errorf("what cannot wait on: %+v", res)
	}
}
