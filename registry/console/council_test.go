package console

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// What a citizen asks: who may, since when, by whose decision.
func TestHistory(t *testing.T) {
	w := newConsortium(t)
	a, changes, err := w.source.Accreditation(t.Context(), w.seoul.DID, w.youth, 1)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		What      string
		Proposals []uint64
		Named     bool
	}
	var got []row
	for _, c := range changes {
		got = append(got, row{c.What, c.Proposals, !c.Operation.IsZero()})
		if c.At.Time.IsZero() {
			t.Errorf("%s is not dated", c.What)
		}
	}
	want := []row{{"confirmed", []uint64{8}, true}, {"emergency", nil, false}, {"accredited", []uint64{2}, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a.Domain != "seoul.example" {
		t.Errorf("domain %q", a.Domain)
	}
	if !a.Suspended || !a.Lapses.IsZero() || changes[0].At.Height != w.suspended || changes[2].At.Height != w.accredited || changes[2].Fact.Suspended {
		t.Errorf("%+v", a)
	}
	if changes[2].At.Time != w.Headers[w.accredited].Time {
		t.Errorf("dated %v: not by the header after it", changes[2].At)
	}
	_, regs, err := w.source.Registration(t.Context(), w.bank.DID, "account-opening")
	if err != nil || len(regs) != 1 || regs[0].What != "registered" || !slices.Equal(regs[0].Proposals, []uint64{3}) {
		t.Errorf("%+v %v", regs, err)
	}
	typ, types, err := w.source.Type(t.Context(), w.youth)
	if err != nil || len(types) != 1 || !slices.Equal(types[0].Proposals, []uint64{5}) || !sameType(typ) {
		t.Errorf("%+v %v", types, err)
	}
	d, err := w.source.DID(t.Context(), w.mois.DID)
	if err != nil {
		t.Fatal(err)
	}
	var whats []string
	for _, v := range d.Versions {
		whats = append(whats, v.What)
	}
	if !slices.Equal(whats, []string{"keys", "keys", "rotated", "created"}) {
		t.Errorf("%v", whats)
	}
	for _, missing := range []error{
		second(w.source.Accreditation(t.Context(), w.mois.DID, w.resident, 2)), second(w.source.Registration(t.Context(), w.mois.DID, "x")),
	} {
		if !errors.Is(missing, registry.ErrNotFound) {
			t.Error(missing)
		}
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

// How a fact changed follows from what it was and what it is.
func TestChangeNames(t *testing.T) {
	fact := func(f registry.AccreditationFact) *registry.AccreditationFact { return &f }
	for _, r := range []struct {
		want    string
		was, is *registry.AccreditationFact
	}{
		{"accredited", nil, fact(registry.AccreditationFact{})},
		{"emergency", nil, fact(registry.AccreditationFact{Suspended: true, Lapses: 5})},
		{"emergency", fact(registry.AccreditationFact{}), fact(registry.AccreditationFact{Suspended: true, Lapses: 5})},
		{"emergency", fact(registry.AccreditationFact{Suspended: true, Lapses: 5}), fact(registry.AccreditationFact{Suspended: true, Lapses: 9})},
		{"confirmed", fact(registry.AccreditationFact{Suspended: true, Lapses: 5}), fact(registry.AccreditationFact{Suspended: true})},
		{"suspended", fact(registry.AccreditationFact{}), fact(registry.AccreditationFact{Suspended: true})},
		{"resumed", fact(registry.AccreditationFact{Suspended: true, Lapses: 5}), fact(registry.AccreditationFact{})},
		{"ended", fact(registry.AccreditationFact{}), fact(registry.AccreditationFact{Until: 7})},
		{"amended", fact(registry.AccreditationFact{}), fact(registry.AccreditationFact{Host: "x"})},
	} {
		if got := changeOfAccreditation(r.was, r.is); got != r.want {
			t.Errorf("%+v to %+v: %s, want %s", r.was, r.is, got, r.want)
		}
	}
	for want, f := range map[string][2]registry.DIDFact{
		"frozen": {{}, {Frozen: 3}}, "deactivated": {{}, {Deactivated: 3}}, "recovered": {{}, {Recovery: [32]byte{1}, Op: registry.PublicKey{1}}},
		"rotated": {{}, {Op: registry.PublicKey{1}}}, "keys": {{}, {Keys: []string{"a"}}}, "services": {{}, {Services: []string{"a"}}}, "updated": {{}, {Seq: 1}},
	} {
		if got := changeOfDID(&f[0], &f[1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestProposals(t *testing.T) {
	w := newConsortium(t)
	all := collect(t, 4, func(ctx context.Context, p Page) (List[Proposal], error) { return w.source.Proposals(ctx, p) })
	var got []string
	for _, p := range all {
		got = append(got, fmt.Sprint(p.N, " ", p.State, " ", p.Yes, "/", p.No, " of ", p.Need, "/", p.Members, " ", p.Code))
	}
	want := []string{"14 voting 1/0 of 3/5 ", "13 voting 2/1 of 3/5 ", "12 approved 3/0 of 3/5 ", "11 failed 3/0 of 3/5 deactivated", "10 rejected 1/3 of 3/5 ",
		"9 expired 1/0 of 3/5 ", "8 executed 3/0 of 3/5 ok", "7 executed 3/0 of 3/5 ok", "6 executed 4/0 of 3/4 ok", "5 executed 3/0 of 3/4 ok"}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" || len(got) != 14 {
		t.Error(diff)
	}
	for _, tab := range tabs {
		items := collect(t, 2, func(ctx context.Context, p Page) (List[Proposal], error) {
			return w.source.Proposals(ctx, p, tab.States...)
		})
		n := map[string]int{"all": 14, "voting": 2, "approved": 1, "executed": 8, "rejected": 2, "expired": 1}[tab.Name]
		if len(items) != n {
			t.Errorf("%s: %d, want %d", tab.Name, len(items), n)
		}
	}
	p, err := w.source.Proposal(t.Context(), 12)
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for i, s := range p.Steps {
		steps = append(steps, s.What+" "+s.Member)
		if s.At.Time.IsZero() || i > 0 && s.At.Height < p.Steps[i-1].At.Height {
			t.Errorf("%+v", s)
		}
	}
	if diff := cmp.Diff([]string{"opened member-1", "yes member-0", "yes member-3", "approved "}, steps); diff != "" {
		t.Error(diff)
	}
	words := w.server().faces["en"].words(p)
	var differs []string
	for _, l := range words.Lines {
		if !l.Same {
			differs = append(differs, l.Label)
		}
	}
	if !words.Changes || !slices.Equal(differs, []string{"ver.purpose", "ver.items", "ver.retention"}) {
		t.Errorf("%v in %+v", differs, words)
	}
	voted := 0
	for _, v := range p.Votes {
		if v.At.Height > 0 {
			voted++
		}
	}
	if len(p.Votes) != 5 || voted != 3 {
		t.Errorf("%+v", p.Votes)
	}
	if _, err := w.source.Proposal(t.Context(), 15); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	t.Run("the vote of a member that left", func(t *testing.T) {
		w.decide(registry.Operation{Body: &registry.MemberRemoveBody{ID: "member-3"}}, 0, 1, 2)
		p, err := w.source.Proposal(t.Context(), 13)
		if err != nil || p.Yes != 2 || p.No != 0 || p.Members != 4 {
			t.Errorf("%+v %v", p.Proposal, err)
		}
		if i := slices.IndexFunc(p.Votes, func(v Vote) bool { return v.Member == "member-3" }); i < 0 || !p.Votes[i].Gone {
			t.Errorf("%+v", p.Votes)
		}
		if p, err := w.source.Proposal(t.Context(), 10); err != nil || p.No != 3 || slices.ContainsFunc(p.Votes, func(v Vote) bool { return v.Gone }) {
			t.Errorf("it counted when that proposal was closed: %+v %v", p.Proposal, err)
		}
		g, err := w.source.Governance(t.Context())
		if err != nil || g.History[0].What != "memberremove" || !slices.Equal(g.History[0].Proposals, []uint64{15}) || g.Rules.Members != 4 {
			t.Errorf("%+v %v", g.History, err)
		}
		for _, m := range g.Members {
			if (m.ID == "member-3") != (m.Removed.Height > 0) || m.ID == "member-3" && (m.Since.Height != 0 || !slices.Equal(m.Decided, []uint64{15})) {
				t.Errorf("%+v", m)
			}
		}
	})
}

func TestGovernance(t *testing.T) {
	w := newConsortium(t)
	g, err := w.source.Governance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Rules{Members: 5, Threshold: 3, Removal: 3, TimeLock: 72 * time.Hour, Voting: 14 * 24 * time.Hour, Emergency: 2, EmergencyHold: 7 * 24 * time.Hour,
		QuotaOps: 10000, QuotaBlocks: 1000, EpochInterval: time.Minute, Heartbeat: 10 * time.Second, Version: 1}
	if diff := cmp.Diff(want, g.Rules); diff != "" || g.Open != 3 || g.Total != 14 {
		t.Error(diff, g.Open, g.Total)
	}
	busan := g.Members[0]
	if busan.ID != "busan" || busan.Since.Time.IsZero() || !slices.Equal(busan.Decided, []uint64{6}) || busan.Gateway == "" {
		t.Errorf("%+v", busan)
	}
	if len(g.History) != 2 || g.History[0].What != "memberadd" || !slices.Equal(g.History[0].Proposals, []uint64{6}) || g.History[1].What != "genesis" || g.History[1].Fact.Members != 4 {
		t.Errorf("%+v", g.History)
	}
	n, err := w.source.Network(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, v := range n.Validators {
		if v.Operator == "customs" && (v.Last != w.Height()-51 || !v.Seen.Equal(w.Headers[v.Last-1].Time)) {
			t.Errorf("last seen in block %d at %v, of %d", v.Last, v.Seen, w.Height())
		}
		states = append(states, v.Operator+" "+validatorState(v, n.Watched))
	}
	if diff := cmp.Diff([]string{"busan joining", "customs silent", "kr-trust signing", "mois signing", "seoul back"}, states); diff != "" || n.Direct {
		t.Error(diff)
	}
}

func TestEmergencies(t *testing.T) {
	w := newConsortium(t)
	got := map[string]string{}
	for _, e := range collect(t, 1, func(ctx context.Context, p Page) (List[Emergency], error) {
		l, err := w.source.Emergencies(ctx, p)
		return l, err
	}) {
		got[e.DID.ID()+" "+e.Key+e.Type] = e.State + " " + strings.Join(e.By, " ")
		if e.At.Time.IsZero() || e.Until.Sub(e.At.Time) < 6*24*time.Hour || (e.State == "confirmed") != (e.Decided.Height == w.suspended) {
			t.Errorf("%+v", e)
		}
	}
	by := " member-0 member-2"
	want := map[string]string{w.seoul.DID.ID() + " " + w.youth: "confirmed" + by, w.bank.DID.ID() + " " + chaintest.AuthenticationID: "lapsed" + by,
		w.mois.DID.ID() + " " + chaintest.AuthenticationID: "running" + by}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	d, err := w.source.DID(t.Context(), w.mois.DID)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range d.KeyList {
		if state := keyState(k, w.Now()); (k.ID == chaintest.AuthenticationID) != (state == "held") {
			t.Errorf("%s is %s", k.ID, state)
		}
	}
	lapsed := Accreditation{Lapses: w.Now().Add(-time.Second), Accreditation: registry.Accreditation{Suspended: true}}
	if state := accreditationState(lapsed, w.Now()); state != "inforce" {
		t.Errorf("an emergency that lapsed is %s", state)
	}
	if state := accreditationState(lapsed, w.Now().Add(-time.Minute)); state != "emergency" {
		t.Errorf("an emergency that runs is %s", state)
	}
}

// "Claim once" shows nobody: no tag, no case, no count while it grows, no claim in a block, and no Evidence with one.
func TestRounds(t *testing.T) {
	w := newConsortium(t)
	rounds := collect(t, 1, w.source.Rounds)
	if len(rounds) != 2 || rounds[0].State != "ended" || rounds[0].Size != 7 || rounds[0].Pruned != 7 || rounds[0].Root == [32]byte{} || rounds[0].Destroyed.IsZero() ||
		rounds[1].State != "open" || rounds[1].Size != 0 || rounds[1].Root != [32]byte{} || rounds[1].Opened.Time.IsZero() {
		t.Fatalf("%+v", rounds)
	}
	secrets := [][]byte{}
	for _, round := range []string{"2026-1", "2026-2"} {
		for i := range 7 {
			tag := registry.ClaimTag([]byte(round), binary.BigEndian.AppendUint64(nil, uint64(i)))
			secrets = append(secrets, tag[:], []byte(hex.EncodeToString(tag[:])))
		}
	}
	s := w.server()
	held := func(what string, raw []byte) {
		for _, secret := range secrets {
			if bytes.Contains(raw, secret) {
				t.Errorf("%s shows a tag", what)
			}
		}
	}
	claims := 0
	for height := uint64(1); height <= w.Height(); height++ {
		body := get(t, s, fmt.Sprint("/en/blocks/", height)).Body.Bytes()
		held(fmt.Sprint("block ", height), body)
		c, err := w.source.Contents(t.Context(), height)
		if err != nil {
			t.Fatal(err)
		}
		if c.Claims {
			claims++
			if len(c.Operations) != 0 || !bytes.Contains(body, []byte("Claims are never shown")) {
				t.Errorf("block %d: %+v", height, c)
			}
		}
	}
	if claims != 2 {
		t.Errorf("%d blocks with claims", claims)
	}
	for _, path := range w.pages() {
		held(path, get(t, s, "/ko"+path).Body.Bytes())
	}
	id := w.seoul.DID.ID()
	for _, path := range []string{"/evidence/round/" + id + "/youth-rent/2026-2", "/evidence/round/" + id + "/youth-rent/2026-1", "/evidence/round/" + id + "/youth-rent/2026-3",
		"/evidence/round/" + id + "/a/b", "/evidence/status/" + id, "/evidence/registration/" + id + "/zzz", "/evidence/accreditation/" + id + "/urn:z"} {
		held(path, get(t, s, path).Body.Bytes())
	}
	raw := get(t, s, "/evidence/round/"+id+"/youth-rent/2026-2").Body.Bytes()
	trust := w.Trust()
	trust.TrustingPeriod *= 12
	facts, err := evidence.Check(raw, trust, w.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := facts.Get(registry.RoundTreeKey(w.seoul.DID, w.round)); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Evidence of an open round counts its claims: %v", err)
	}
}

// A node that has pruned its blocks still says when everything was.
func TestPruned(t *testing.T) {
	w := newConsortium(t)
	kept := w.Height() - 25
	pruned := sourceOf(t, w.Chain, func(cfg *ChainConfig) {
		w.behind(cfg)
		signed, txs := cfg.SignedHeader, cfg.Transactions
		cfg.SignedHeader = func(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
			if height < kept && height != 0 {
				return evidence.SignedHeader{}, nil, registry.ErrNotFound
			}
			return signed(height)
		}
		cfg.Transactions = func(height uint64) ([][]byte, error) {
			if height < kept {
				return nil, registry.ErrNotFound
			}
			return txs(height)
		}
	})
	_, was, err1 := w.source.Accreditation(t.Context(), w.seoul.DID, w.youth, 1)
	_, is, err2 := pruned.Accreditation(t.Context(), w.seoul.DID, w.youth, 1)
	if err := errors.Join(err1, err2); err != nil || !reflect.DeepEqual(was, is) {
		t.Errorf("%+v %v", is, err)
	}
	for n := range w.proposals() {
		was, err1 := w.source.Proposal(t.Context(), n+1)
		is, err2 := pruned.Proposal(t.Context(), n+1)
		if err := errors.Join(err1, err2); err != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("proposal %d: %v", n+1, err)
		}
	}
	s, err := New(Config{Source: pruned, Now: func() time.Time { return w.Now() }})
	if err != nil {
		t.Fatal(err)
	}
	for name, path := range w.pages() {
		body := html.UnescapeString(get(t, s, "/en"+path).Body.String())
		if strings.Contains(body, texts["undated"].en) {
			t.Errorf("%s does not date something", path)
		}
		if want := "no longer keeps the body"; strings.Contains(body, want) != strings.HasPrefix(name, "block") && name != "blocks" {
			t.Errorf("%s: %q", path, want)
		}
	}
	blocks := collectBlocks(t, pruned)
	for i, b := range blocks {
		h := w.Headers[b.Height-1]
		if b.Height != uint64(len(blocks)-i) || b.Pruned != (b.Height < kept) || !b.Time.Equal(h.Time) || b.Pruned && b.Hash != h.Hash() {
			t.Fatalf("%+v", b)
		}
	}
	if len(blocks) != int(w.Height()) {
		t.Errorf("%d blocks", len(blocks))
	}
	c, err := pruned.Contents(t.Context(), w.suspended)
	if err != nil || !c.Pruned || len(c.Closed) != 1 || c.Closed[0].N != 8 {
		t.Errorf("%+v %v", c, err)
	}
}

func collectBlocks(t *testing.T, s *ChainSource) (out []Block) {
	t.Helper()
	for below := uint64(0); below != 1; {
		part, err := s.Blocks(t.Context(), below, 7)
		if err != nil || len(part) == 0 {
			t.Fatal(err)
		}
		out, below = append(out, part...), part[len(part)-1].Height
	}
	return out
}

// Whatever has a name on the chain is found by it.
func TestFindOnChain(t *testing.T) {
	w := newConsortium(t)
	s := w.server()
	id := w.seoul.DID.ID()
	for q, want := range map[string]string{
		string(w.seoul.DID): "/dids/" + id, id: "/dids/" + id, string(w.seoul.DID) + "/" + w.youth + "/1": "/accreditations/" + id + "/" + w.youth + "/1",
		string(w.seoul.DID) + "/" + w.youth + "/2": "", "https://status.trust.example/" + id + "/2": "/status/" + id, "https://status.trust.example/" + w.bank.DID.ID() + "/2": "",
		"#8": "/proposals/8", "#15": "", fmt.Sprint(w.suspended): fmt.Sprint("/blocks/", w.suspended), fmt.Sprint(w.Height() + 50): "", w.youth: "/types/" + w.youth,
		"urn:dojang:kr:nothing:1": "", hex.EncodeToString(w.root[:]): "/anchors/" + hex.EncodeToString(w.root[:]), "member-2": "/governance#member-member-2",
	} {
		r := get(t, s, "/ko/find?q="+strings.NewReplacer("#", "%23", ":", "%3A", "/", "%2F").Replace(q))
		if got := strings.TrimPrefix(r.Header().Get("Location"), "/ko"); got != want || (want == "") != (r.Code == 404) {
			t.Errorf("%q leads to %q (%d), want %q", q, got, r.Code, want)
		}
	}
	if r := get(t, s, "/ko/find?q=8"); r.Code != 200 || !strings.Contains(r.Body.String(), "/ko/proposals/8") || !strings.Contains(r.Body.String(), "/ko/blocks/8") {
		t.Errorf("%d", r.Code)
	}
}

// An operation's page knows who handed it in, and which proposals carry it.
func TestOperations(t *testing.T) {
	w := newConsortium(t)
	p, err := w.source.Proposal(t.Context(), 12)
	if err != nil {
		t.Fatal(err)
	}
	vote, err := w.source.Operation(t.Context(), p.Votes[1].Operation)
	if err != nil || vote.Code != "ok" || vote.Done == nil || vote.Done.Kind != registry.KindVote || vote.Done.N != 12 || !slices.Equal(vote.Done.Members, []string{"member-0"}) ||
		vote.Done.Sponsor != "member-0" || vote.At != p.Votes[1].At {
		t.Errorf("%+v %v", vote, err)
	}
	proposed, err := w.source.Operation(t.Context(), p.Operation)
	if err != nil || proposed.Code != "" || !slices.Equal(proposed.Proposals, []uint64{12}) {
		t.Errorf("what waits: %+v %v", proposed, err)
	}
	if p, err = w.source.Proposal(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	done, err := w.source.Operation(t.Context(), p.Operation)
	if err != nil || done.Code != "ok" || done.Done != nil || !slices.Equal(done.Proposals, []uint64{8}) || done.At.Height != w.suspended {
		t.Errorf("what a proposal carried: %+v %v", done, err)
	}
	t.Run("a proposal that closes later is noticed", func(t *testing.T) {
		w.pass(73 * time.Hour)
		p, err := w.source.Proposal(t.Context(), 12)
		if err != nil || p.State != registry.ProposalExecuted {
			t.Fatalf("%+v %v", p.Proposal, err)
		}
		_, changes, err := w.source.Registration(t.Context(), w.bank.DID, "account-opening")
		if err != nil || len(changes) != 2 || changes[0].What != "amended" || !slices.Equal(changes[0].Proposals, []uint64{12}) || changes[0].Fact.RetentionDays != 365 {
			t.Errorf("%+v %v", changes, err)
		}
		c, err := w.source.Contents(t.Context(), p.Closed.Height)
		if err != nil || len(c.Closed) != 1 || c.Closed[0].N != 12 {
			t.Errorf("%+v %v", c, err)
		}
	})
}

// New keys of a member and an upgrade of the rules are decisions that its members' page knows.
func TestKeysAndUpgrade(t *testing.T) {
	w := newConsortium(t)
	before, err := w.source.Governance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.decide(registry.Operation{Body: &registry.MemberKeysBody{ID: "busan", Sponsor: chaintest.Sponsor(8).Public}}, 0, 1, 2)
	w.decide(registry.Operation{Body: &registry.MemberKeysBody{ID: "busan", Key: chaintest.Member(8).Public}}, 0, 1, 2)
	w.decide(registry.Operation{Body: &registry.UpgradeBody{Version: 2, Height: w.Height() + 5000}}, 0, 1, 2)
	g, err := w.source.Governance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key, _ := chaintest.Member(8).Public.Multikey()
	if busan := g.Members[0]; busan.Key != key || !slices.Contains(busan.Decided, 6) || !slices.Contains(busan.Decided, 16) || busan.Since.Height == 0 || busan.Since != before.Members[0].Since {
		t.Errorf("%+v", busan)
	}
	if c := g.History[0]; c.What != "upgrade" || !slices.Equal(c.Proposals, []uint64{17}) || g.Rules.Version != 1 || g.Next != 2 || g.NextFrom == 0 {
		t.Errorf("%+v", g.Rules)
	}
	s := w.server()
	for path, want := range map[string]string{"/en/governance": "2 from block", "/en/proposals/17": "Every node needs a release", "/ko/proposals/16": "기관의 키를 새로 바꿉니다"} {
		if body := get(t, s, path).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
}

// What members set by vote is told beside what it was, on the proposal's page and in the history of the rules.
func TestParameters(t *testing.T) {
	w := newConsortium(t)
	w.decide(registry.Operation{Body: &registry.ParamsBody{TimeLock: new(uint64(36 * 3600)), QuotaOps: new(uint64(5000)), EmergencyHold: new(uint64(7 * 24 * 3600))}}, 0, 1, 2)
	w.Must(w.Proposal(0, registry.Operation{Body: &registry.ParamsBody{TimeLock: new(uint64(24 * 3600))}}))
	g, err := w.source.Governance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := g.History[0]; c.What != "params" || !slices.Equal(c.Proposals, []uint64{15}) || len(c.Fact.Changed) != 2 || c.Fact.Changed[0] != (registry.ParamChange{Name: "time_lock_s", Unit: registry.UnitSeconds, Was: 72 * 3600, Is: 36 * 3600}) {
		t.Errorf("%+v", c)
	}
	for n, want := range map[uint64][]registry.ParamChange{
		15: {{Name: "time_lock_s", Unit: registry.UnitSeconds, Was: 72 * 3600, Is: 36 * 3600}, {Name: "emergency_s", Unit: registry.UnitSeconds, Was: 7 * 24 * 3600, Is: 7 * 24 * 3600},
			{Name: "quota_operations", Unit: registry.UnitOperations, Was: g.History[1].Fact.QuotaOps, Is: 5000}},
		16: {{Name: "time_lock_s", Unit: registry.UnitSeconds, Was: 36 * 3600, Is: 24 * 3600}},
	} {
		p, err := w.source.Proposal(t.Context(), n)
		if err != nil || !slices.Equal(p.Before.Params, want) {
			t.Errorf("proposal %d: %+v %v", n, p.Before.Params, err)
		}
	}
	s := w.server()
	for path, wants := range map[string][]string{
		"/en/governance":   {"Parameters changed", "Time lock, from approval to effect: 3 d → 36 h", "<dd>36 h</dd>"},
		"/ko/proposals/15": {"운영 규칙 변경", "36시간", "그대로", "접수 한도"},
		"/en/proposals/16": {"The time lock of proposals that are open gets no shorter", "36 h", "1 d"},
	} {
		body := get(t, s, path).Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q", path, want)
			}
		}
	}
}

// A validator that a block proves to have signed twice: which one, for which height, what it lost; and whoever looks it up finds it.
func TestMisbehaviour(t *testing.T) {
	w := newConsortium(t)
	if all, err := w.source.Misbehaviours(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("%+v %v", all, err)
	}
	s := w.server()
	if body := get(t, s, "/en/validators").Body.String(); !strings.Contains(body, "no validator was ever proven") {
		t.Error("the page does not say that there is none")
	}
	w.later()
	v := validator(9, 10, "busan", "busan-1")
	all, err := w.source.Misbehaviours(t.Context())
	if err != nil || len(all) != 1 || all[0].Key != hex.EncodeToString(v.Key[:]) || all[0].Operator != "busan" || all[0].Power != 10 || all[0].Left != 0 ||
		all[0].At.Height <= all[0].Height || all[0].At.Time.IsZero() {
		t.Fatalf("%+v %v", all, err)
	}
	for lang, wants := range map[string][]string{
		"en": {"Proven double signing", "busan", fmt.Sprintf("block %d<", all[0].Height), "Removed", "10 → 0", "/evidence/misbehaviour/" + all[0].Key},
		"ko": {"이중 서명 적발", "busan", fmt.Sprintf("블록 %d<", all[0].Height), "제외됨"}} {
		body := get(t, s, "/"+lang+"/validators").Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("/%s/validators does not say %q", lang, want)
			}
		}
	}
	if got := get(t, s, "/en/find?q="+base64.RawURLEncoding.EncodeToString(w.Set()[0].PublicKey[:])); got.Header().Get("Location") != "/en/validators" {
		t.Errorf("a validator's key leads to %d %q", got.Code, got.Header().Get("Location"))
	}
}

// A second status operator that went on from the issuer's lists is named wherever the lists are.
func TestSecondOperator(t *testing.T) {
	w := newConsortium(t)
	w.later()
	s := w.server()
	for path, wants := range map[string][]string{
		"/en/status":                    {"signed by the second status operator"},
		"/en/status/" + w.mois.DID.ID(): {w.second.DID.URL("status-1"), "Last epoch that the issuer signed itself", "<dd>41, "},
		"/ko/dids/" + w.bank.DID.ID():   {"유출"},
		"/en/accreditations/" + w.mois.DID.ID() + "/" + w.resident + "/1": {"Second status operator", w.second.DID.ID(), "/proposals/16"},
	} {
		body := get(t, s, path).Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q", path, want)
			}
		}
	}
}
