package console

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/node"
)

// sourceOf reads a chain in memory as it would a node.
func sourceOf(t *testing.T, c *chaintest.Chain, change func(*ChainConfig)) *ChainSource {
	t.Helper()
	lists, err := node.OpenStatusStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cfg := ChainConfig{Network: c.Genesis.Network, ChainID: c.Genesis.ChainID,
		Health: func() node.Health {
			h := c.Headers[len(c.Headers)-1]
			return node.Health{State: "ok", Height: h.Height, Time: h.Time}
		},
		Range: func(from, to []byte, f func(key, value []byte) bool) error {
			n := 0 // what both have in front
			for n < len(from) && n < len(to) && from[n] == to[n] {
				n++
			}
			return c.Machine.Iterate(from[:n], func(k, v []byte) bool {
				return string(k) < string(from) || string(k) < string(to) && f(k, v)
			})
		},
		SignedHeader: func(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
			if height > uint64(len(c.Headers)) {
				return evidence.SignedHeader{}, nil, node.ErrTooHigh
			}
			return c.Sign(c.Headers[height-1]), c.Set(), nil
		},
		Header: func(height uint64) ([32]byte, time.Time, error) {
			if height > uint64(len(c.Headers)) || height == 0 {
				return [32]byte{}, time.Time{}, node.ErrTooHigh
			}
			return c.Headers[height-1].Hash(), c.Headers[height-1].Time, nil
		},
		Transactions: func(height uint64) ([][]byte, error) {
			if height > uint64(len(c.Headers)) {
				return nil, node.ErrTooHigh
			}
			return c.Blocks[height], nil
		},
		Prove: func(q node.Query, _ string) ([]byte, error) { return c.Evidence(q.Query), nil },
		Lists: func() *node.StatusStore { return lists },
		Trust: func() (evidence.Trust, error) { return c.Trust(), nil },
	}
	if change != nil {
		change(&cfg)
	}
	s, err := NewChainSource(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collect walks all pages of a list.
func collect[T any](t *testing.T, limit int, page func(context.Context, Page) (List[T], error)) []T {
	t.Helper()
	var out []T
	p := Page{Limit: limit}
	for range 1000 {
		l, err := page(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Items) > limit {
			t.Fatalf("%d items, asked for %d", len(l.Items), limit)
		}
		out = append(out, l.Items...)
		if l.Next == "" {
			return out
		}
		if l.Next == p.After {
			t.Fatalf("the page after %q is the same", p.After)
		}
		p.After = l.Next
	}
	t.Fatal("the list does not end")
	return nil
}

// Every fact is on exactly one page, whatever the length of a page.
func TestLists(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	const agencies = 7
	want := map[string]int{}
	for i := range agencies {
		a := c.Agency(fmt.Sprint("agency ", i))
		for j := range i % 4 { // none, one, two, three
			vct := fmt.Sprintf("urn:dojang:kr:type-%d:1", j)
			body := &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"x"}, From: 1}
			c.Must(c.Op(registry.Operation{DID: a.DID, Body: body}, chaintest.Member(0)))
			reg := &registry.RegisterBody{Purpose: fmt.Sprint("p", j), Name: map[string]string{"en": "n"}, Text: map[string]string{"en": "t"},
				Claims: map[string][]string{vct: {"name"}}, Basis: []string{"x"}, Retention: 30, From: 1}
			c.Must(c.Op(registry.Operation{DID: a.DID, Body: reg}, chaintest.Member(0)))
			want[a.DID.ID()+"/"+vct+"/1"]++
			want[a.DID.ID()+"/p"+fmt.Sprint(j)]++
		}
		c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.AnchorBody{Root: sha256.Sum256([]byte{byte(i)})}}, a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))))
		want["did "+a.DID.ID()]++
		want[fmt.Sprintf("anchor %x", sha256.Sum256([]byte{byte(i)}))]++
	}
	s := sourceOf(t, c, nil)
	for limit := 1; limit <= 25; limit += 3 {
		got := map[string]int{}
		for _, a := range collect(t, limit, s.Accreditations) {
			got[fmt.Sprintf("%s/%s/%d", a.DID.ID(), a.Type, a.N)]++
			if !validAccreditationPlace(fmt.Sprintf("%s/%s/%d", a.DID.ID(), a.Type, a.N)) {
				t.Error("its place is not valid")
			}
		}
		for _, g := range collect(t, limit, s.Registrations) {
			got[g.DID.ID()+"/"+g.Purpose]++
		}
		for _, d := range collect(t, limit, s.DIDs) {
			got["did "+d.DID.ID()]++
			if d.Keys != 2 || d.Created.Height == 0 || d.Created.Time.IsZero() {
				t.Errorf("%+v", d)
			}
		}
		for _, a := range collect(t, limit, s.Anchors) {
			got[fmt.Sprintf("anchor %x", a.Root)]++
		}
		for k, n := range want {
			if got[k] != n {
				t.Errorf("pages of %d: %s %d times", limit, k, got[k])
			}
		}
		if len(got) != len(want) {
			t.Errorf("pages of %d: %d facts, want %d", limit, len(got), len(want))
		}
	}
	if l, err := s.Anchors(t.Context(), Page{After: "zz", Limit: 1}); !errors.Is(err, ErrCursor) || len(l.Items) != 0 {
		t.Errorf("%v", err)
	}
}

func TestSubject(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	a := c.Agency("mois")
	other := c.Agency("bank")
	created := c.Height() - 1
	const vct = "urn:dojang:kr:resident-id:1"
	accredit := registry.Operation{DID: a.DID, Body: &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"KR-RRA-24-2"}, Roots: [][32]byte{{1}},
		Host: "https://status.example", From: 100, Until: 200, Operator: other.DID}}
	c.Must(c.Op(accredit, chaintest.Member(0)))
	payload, err := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, DID: a.DID, Body: accredit.Body}.Payload()
	if err != nil {
		t.Fatal(err)
	}
	c.Must(c.Op(registry.Operation{DID: a.DID, Seq: 1, Prev: registry.HashOf(payload), Body: &registry.SuspendBody{Type: vct, N: 1}}, chaintest.Member(0)))
	suspended := c.Height()
	epoch := registry.Operation{DID: a.DID, Seq: 5, Body: &registry.EpochBody{IssuedAt: c.Time.Unix(), NextUpdate: c.Time.Unix() + 600, Root: [32]byte{7}}}
	c.Must(c.Op(epoch, a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))))
	retire := registry.Operation{DID: a.DID, Seq: a.Seq + 1, Prev: a.Prev, Body: &registry.RetireBody{ID: chaintest.AuthenticationID}}
	c.Must(c.Op(retire, a.Op(0).As(registry.RoleOp)))
	retired := c.Height()

	s := sourceOf(t, c, nil)
	d, err := s.DID(t.Context(), a.DID)
	if err != nil {
		t.Fatal(err)
	}
	if d.Version != 1 || d.Created.Height != created || len(d.Versions) != 2 || d.Versions[0].ID != 1 || d.Versions[0].At != (Moment{Height: retired}) || d.Versions[0].What != "keys" || d.Versions[1].ID != 0 || d.Versions[1].What != "created" {
		t.Errorf("versions %+v", d.Versions)
	}
	if d.Versions[1].At.Time != c.Headers[created].Time {
		t.Errorf("dated %v: not by the header after it", d.Versions[1].At)
	}
	for _, k := range d.KeyList {
		if k.Active.Height != created || (k.ID == chaintest.AuthenticationID) != (k.Retired.Height == retired) || k.Alg != "EdDSA" || !strings.HasPrefix(k.Multikey, "z") {
			t.Errorf("key %+v", k)
		}
	}
	if len(d.KeyList) != 2 || d.Keys != 1 || len(d.Services) != 1 || d.Services[0].Type != "StatusListPublisher" || d.Services[0].Removed.Height != 0 {
		t.Errorf("%+v", d)
	}
	if len(d.Accreditations) != 1 {
		t.Fatalf("%d accreditations", len(d.Accreditations))
	}
	if g := d.Accreditations[0]; !g.Suspended || g.N != 1 || g.Changed.Height != suspended || g.Operator != other.DID || g.StatusHost != "https://status.example" ||
		len(g.Roots) != 1 || g.Roots[0][0] != 1 || g.From.Unix() != 100 || g.Until.Unix() != 200 {
		t.Errorf("%+v", g)
	}
	if d.Status == nil || d.Status.Sequence != 5 || d.Status.Served != 0 || d.Status.Signer != a.DID.URL(chaintest.AssertionID) || d.Status.Root != [32]byte{7} {
		t.Errorf("status %+v", d.Status)
	}
	if l := collect(t, 1, s.Statuses); len(l) != 1 || l[0].Issuer != a.DID {
		t.Errorf("%+v", l)
	}
	for _, d := range []registry.DID{"did:dojang:other:" + registry.DID(a.DID.ID()), testID("nobody")} {
		if _, err := s.DID(t.Context(), d); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: %v", d, err)
		}
	}
	c.Block() // now the newest operation is dated
	if d, err := s.DID(t.Context(), a.DID); err != nil || !d.Updated.Time.Equal(c.Headers[retired].Time) {
		t.Errorf("%+v %v", d.Updated, err)
	}
}

func TestLedger(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{Members: 3, Threshold: 2, Validators: 4})
	a := c.Agency("mois")
	for range 30 {
		c.Block()
	}
	dead := address(c.Set()[3])
	signed := 0
	s := sourceOf(t, c, func(cfg *ChainConfig) {
		cfg.Genesis = fmt.Appendf(nil, `{"validators":[{"address":%q,"name":"seoul","power":"10"},{"address":%q,"name":"gone"}],"other":1}`, address(c.Set()[0]), dead)
		inner := cfg.SignedHeader
		cfg.SignedHeader = func(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
			signed++
			h, set, err := inner(height)
			if err == nil {
				h.Commit.Votes = h.Commit.Votes[:3]
			}
			return h, set, err
		}
	})
	n, err := s.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n.Name != chaintest.Network || n.ChainID != chaintest.ChainID || n.Threshold != 2 || len(n.Members) != 3 || n.Heartbeat != time.Second || n.Watched != 20 {
		t.Errorf("%+v", n)
	}
	if m := n.Members[0]; m.ID != "member-0" || m.Name["ko"] != "회원 0" || m.Sequence != 1 || m.Since.Height != 0 || m.Key == "" || m.Gateway == "" || m.Key == m.Gateway {
		t.Errorf("%+v", m)
	}
	names := map[string]string{}
	for _, v := range n.Validators {
		names[v.Address] = v.Name + " " + validatorState(v, n.Watched)
		if want := map[bool]int{true: 0, false: 20}[v.Address == dead]; v.Signed != want || (v.Last == 0) != (v.Address == dead) || v.Power != 10 || v.Wanted != -1 {
			t.Errorf("%+v", v)
		}
	}
	if names[address(c.Set()[0])] != "seoul signing" || names[address(c.Set()[1])] != " signing" || names[dead] != "gone silent" {
		t.Errorf("%+v", names)
	}
	before := signed
	if _, err := s.Network(t.Context()); err != nil || signed-before > 1 {
		t.Errorf("settled headers are read again: %d", signed-before)
	}

	top := c.Height()
	blocks, err := s.Blocks(t.Context(), 0, 5)
	if err != nil || len(blocks) != 5 || blocks[0].Height != top || !blocks[0].Open || blocks[1].Open || blocks[4].Height != top-4 || len(blocks[0].Signers) != 3 {
		t.Errorf("%+v %v", blocks, err)
	}
	if blocks[0].Hash != c.Headers[top-1].Hash() || blocks[0].Signers[0] != "seoul" {
		t.Errorf("%+v", blocks[0])
	}
	first, err := s.Blocks(t.Context(), 3, 10)
	if err != nil || len(first) != 2 || first[0].Height != 2 || !first[0].Changed || first[1].Height != 1 {
		t.Errorf("%+v %v", first, err)
	}

	op := a.CreateOperation()
	payload, err := op.Payload()
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Operation(t.Context(), registry.HashOf(payload))
	if err != nil || got.Code != "ok" || got.At.Height != 2 || !got.At.Time.Equal(c.Headers[2].Time) {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := s.Operation(t.Context(), registry.HashOf([]byte("x"))); err != nil || got.Code != "" {
		t.Errorf("%+v %v", got, err)
	}
}

// The Evidence behind every link holds, and says the fact with its date.
func TestEvidenceOfFacts(t *testing.T) {
	c, did, q := world(t)
	root := sha256.Sum256([]byte("x"))
	anchor := c.Op(registry.Operation{DID: did, Body: &registry.AnchorBody{Root: root}}, chaintest.NewKey("mois "+chaintest.AssertionID).As(did.URL(chaintest.AssertionID)))
	c.Must(anchor)
	anchored, err := registry.ParseOperation(anchor)
	if err != nil {
		t.Fatal(err)
	}
	s := sourceOf(t, c, nil)
	id := did.ID()
	for _, r := range []struct {
		fact Fact
		leaf []byte
	}{
		{Fact{Kind: "did", ID: id}, registry.DIDFamily(did).Latest()},
		{Fact{Kind: "key", ID: id, Name: chaintest.AssertionID}, registry.KeyFamily(did, chaintest.AssertionID).Latest()},
		{Fact{Kind: "service", ID: id, Name: "status"}, registry.ServiceFamily(did, "status").Latest()},
		{Fact{Kind: "accreditation", ID: id, Name: q.Types[0]}, registry.AccreditationFamily(did, q.Types[0], 1).Latest()},
		{Fact{Kind: "registration", ID: id, Name: "test"}, registry.RegistrationFamily(did, "test").Latest()},
		{Fact{Kind: "parameters"}, registry.ParamsFamily().Latest()},
		{Fact{Kind: "member", ID: "member-0"}, registry.MemberFamily("member-0").Latest()},
		{Fact{Kind: "anchor", ID: fmt.Sprintf("%x", root)}, registry.AnchorKey(root)},
		{Fact{Kind: "operation", ID: fmt.Sprintf("%x", anchored.Hash[:])}, registry.OutcomeKey(anchored.Hash)},
	} {
		t.Run(r.fact.Kind, func(t *testing.T) {
			if again, err := ParseFact(strings.Split(strings.TrimPrefix(r.fact.Path(), "/evidence/"), "/")...); err != nil || again != r.fact {
				t.Fatal(err)
			}
			raw, err := s.Evidence(t.Context(), r.fact)
			if err != nil {
				t.Fatal(err)
			}
			facts, err := evidence.Check(raw, c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := facts.Get(r.leaf); err != nil {
				t.Error(err)
			}
			for _, f := range describe(facts, chaintest.Network) {
				if f.Kind == "other" {
					t.Errorf("%+v", f)
				}
				if f.Kind != r.fact.Kind {
					continue
				}
				dated := r.fact.Kind == "parameters" || r.fact.Kind == "member" // of the genesis: no header dates them
				for _, x := range f.Fields {
					dated = dated || !x.Time.IsZero()
				}
				if !dated {
					t.Errorf("not dated: %+v", f)
				}
			}
		})
	}
	none := registry.HashOfDigest([32]byte{})
	for _, absent := range []Fact{{Kind: "status", ID: id}, {Kind: "type", ID: "urn:dojang:kr:none:1"}, {Kind: "operation", ID: fmt.Sprintf("%x", none[:])}, {Kind: "validators"}} {
		raw, err := s.Evidence(t.Context(), absent)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := evidence.Check(raw, c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if absent.Kind == "operation" {
			if _, err := facts.Outcome(none); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("absence of an operation is not proven: %v", err)
			}
			continue
		}
		key, err := absent.leaf(did)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := facts.Get(key); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("%s: absence is not proven: %v", absent.Kind, err)
		}
	}
}

func TestSourceFaults(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	down := sourceOf(t, c, func(cfg *ChainConfig) {
		cfg.Range = func(_, _ []byte, _ func(_, _ []byte) bool) error { return node.ErrDown }
		cfg.Prove = func(node.Query, string) ([]byte, error) { return nil, node.ErrDown }
		cfg.Trust = func() (evidence.Trust, error) { return evidence.Trust{}, node.ErrDown }
	})
	_, err1 := down.Network(t.Context())
	_, err2 := down.DIDs(t.Context(), Page{Limit: 1})
	_, err3 := down.Evidence(t.Context(), Fact{Kind: "parameters"})
	_, err4 := down.Trust(t.Context())
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%d: %v", i, err)
		}
	}
	pruned := sourceOf(t, c, func(cfg *ChainConfig) {
		cfg.Prove = func(node.Query, string) ([]byte, error) { return nil, chain.ErrVersion }
		cfg.SignedHeader = func(uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
			return evidence.SignedHeader{}, nil, registry.ErrNotFound
		}
		cfg.Header = func(uint64) ([32]byte, time.Time, error) { return [32]byte{}, time.Time{}, registry.ErrNotFound }
	})
	if _, err := pruned.Evidence(t.Context(), Fact{Kind: "parameters"}); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	if blocks, err := pruned.Blocks(t.Context(), 0, 5); err != nil || len(blocks) != 0 {
		t.Errorf("%v %v", blocks, err)
	}
	if _, err := NewChainSource(ChainConfig{}); err == nil {
		t.Error("a source without a chain")
	}
}
