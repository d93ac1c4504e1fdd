package console

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// fakeSource answers from its fields. The zero error is nil.
type fakeSource struct {
	health         Health
	network        Network
	subjects       []Subject
	accreditations []Accreditation
	registrations  []Registration
	statuses       []Status
	anchors        []Anchor
	blocks         []Block
	operation      Operation
	contents       Contents
	governance     Governance
	proposals      []ProposalDetail
	emergencies    []Emergency
	proven         []Misbehaviour
	rounds         []Round
	types          []Type
	err            error
	next           string
	pages          []Page // asked for
	facts          []Fact // asked for
	trust          evidence.Trust
}

func (f *fakeSource) Health(context.Context) (Health, error)   { return f.health, f.err }
func (f *fakeSource) Network(context.Context) (Network, error) { return f.network, f.err }
func (f *fakeSource) Blocks(_ context.Context, below uint64, n int) ([]Block, error) {
	var out []Block
	for _, b := range f.blocks {
		if (below == 0 || b.Height < below) && len(out) < n {
			out = append(out, b)
		}
	}
	return out, f.err
}
func (f *fakeSource) Operation(_ context.Context, h registry.Hash) (Operation, error) {
	op := f.operation
	op.Hash = h
	return op, f.err
}
func (f *fakeSource) Anchors(_ context.Context, p Page) (List[Anchor], error) {
	return fakeList(f, p, f.anchors)
}
func (f *fakeSource) DIDs(_ context.Context, p Page) (List[Summary], error) {
	var all []Summary
	for _, s := range f.subjects {
		all = append(all, s.Summary)
	}
	return fakeList(f, p, all)
}
func (f *fakeSource) DID(_ context.Context, d registry.DID) (Subject, error) {
	for _, s := range f.subjects {
		if s.DID == d {
			return s, f.err
		}
	}
	return Subject{}, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Accreditations(_ context.Context, p Page) (List[Accreditation], error) {
	return fakeList(f, p, f.accreditations)
}
func (f *fakeSource) Registrations(_ context.Context, p Page) (List[Registration], error) {
	return fakeList(f, p, f.registrations)
}
func (f *fakeSource) Status(_ context.Context, d registry.DID) (Status, error) {
	for _, s := range f.statuses {
		if s.Issuer == d {
			return s, f.err
		}
	}
	return Status{}, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Contents(context.Context, uint64) (Contents, error) { return f.contents, f.err }
func (f *fakeSource) Anchor(_ context.Context, root [32]byte) (Anchor, error) {
	for _, a := range f.anchors {
		if a.Root == root {
			return a, f.err
		}
	}
	return Anchor{}, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Governance(context.Context) (Governance, error) { return f.governance, f.err }
func (f *fakeSource) Proposals(_ context.Context, p Page, states ...registry.ProposalState) (List[Proposal], error) {
	var all []Proposal
	for _, d := range f.proposals {
		if len(states) == 0 || slices.Contains(states, d.State) {
			all = append(all, d.Proposal)
		}
	}
	return fakeList(f, p, all)
}
func (f *fakeSource) Proposal(_ context.Context, n uint64) (ProposalDetail, error) {
	for _, p := range f.proposals {
		if p.N == n {
			return p, f.err
		}
	}
	return ProposalDetail{}, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Emergencies(_ context.Context, p Page) (List[Emergency], error) {
	return fakeList(f, p, f.emergencies)
}
func (f *fakeSource) Misbehaviours(context.Context) ([]Misbehaviour, error) { return f.proven, f.err }
func (f *fakeSource) Accreditation(_ context.Context, d registry.DID, vct string, n uint64) (Accreditation, []Change[Accreditation], error) {
	for _, a := range f.accreditations {
		if a.DID == d && a.Type == vct && a.N == n {
			return a, []Change[Accreditation]{{What: "suspended", At: a.Changed, Operation: registry.HashOf(nil), Proposals: []uint64{1}, Fact: a},
				{What: "emergency", At: a.Changed, Fact: a}, {What: "accredited", At: a.Changed, Operation: registry.HashOf(nil), Fact: a}}, f.err
		}
	}
	return Accreditation{}, nil, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Registration(_ context.Context, d registry.DID, purpose string) (Registration, []Change[Registration], error) {
	for _, g := range f.registrations {
		if g.DID == d && g.Purpose == purpose {
			return g, []Change[Registration]{{What: "registered", At: g.Changed, Operation: registry.HashOf(nil), Proposals: []uint64{1}, Fact: g}}, f.err
		}
	}
	return Registration{}, nil, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Types(_ context.Context, p Page) (List[Type], error) {
	return fakeList(f, p, f.types)
}
func (f *fakeSource) Type(_ context.Context, vct string) (Type, []Change[Type], error) {
	for _, t := range f.types {
		if t.VCT == vct {
			return t, []Change[Type]{{What: "fixed", At: t.At, Operation: registry.HashOf(nil), Fact: t}}, f.err
		}
	}
	return Type{VCT: vct}, nil, f.err
}
func (f *fakeSource) Issuers(_ context.Context, vct string, p Page) (List[Accreditation], error) {
	var all []Accreditation
	for _, a := range f.accreditations {
		if a.Type == vct {
			all = append(all, a)
		}
	}
	return fakeList(f, p, all)
}
func (f *fakeSource) Rounds(_ context.Context, p Page) (List[Round], error) {
	return fakeList(f, p, f.rounds)
}
func (f *fakeSource) Round(_ context.Context, d registry.DID, ref registry.RoundRef) (Round, error) {
	for _, r := range f.rounds {
		if r.Issuer == d && r.RoundRef == ref {
			return r, f.err
		}
	}
	return Round{}, cmp.Or(f.err, registry.ErrNotFound)
}
func (f *fakeSource) Statuses(_ context.Context, p Page) (List[Status], error) {
	return fakeList(f, p, f.statuses)
}
func (f *fakeSource) Evidence(_ context.Context, fact Fact) ([]byte, error) {
	f.facts = append(f.facts, fact)
	return []byte("evidence of " + fact.Kind), f.err
}
func (f *fakeSource) Trust(context.Context) (evidence.Trust, error) { return f.trust, f.err }

func fakeList[T any](f *fakeSource, p Page, all []T) (List[T], error) {
	f.pages = append(f.pages, p)
	return List[T]{Items: all, Next: f.next}, f.err
}

var testNow = time.Date(2026, 11, 21, 3, 20, 10, 0, time.UTC)

// testID is a DID of the fake network.
func testID(name string) registry.DID {
	digest := sha256.Sum256([]byte(name))
	return registry.DID("did:dojang:demo:" + registry.HashOfDigest(digest).String())
}

// newFake is a network of four agencies with one of everything.
func newFake() *fakeSource {
	at := func(h uint64) Moment {
		return Moment{Height: h, Time: testNow.Add(time.Duration(int(h)-4210) * 10 * time.Second)}
	}
	f := &fakeSource{health: Health{State: "ok", Height: 4211, Time: testNow.Add(-3 * time.Second), Peers: 3}}
	f.network = Network{Name: "demo", ChainID: "dojang-demo-1", Threshold: 3, Heartbeat: 10 * time.Second, QuotaOps: 100000, QuotaBlocks: 1000, Watched: 20}
	for i, n := range [][2]string{{"한국신뢰기관", "KR Trust Authority"}, {"행정안전부", "Ministry of the Interior and Safety"}, {"서울특별시", "Seoul Metropolitan Government"}, {"관세청", "Korea Customs Service"}} {
		id := []string{"kr-trust", "mois", "seoul", "customs"}[i]
		f.network.Members = append(f.network.Members, Member{ID: id, Name: map[string]string{"ko": n[0], "en": n[1]},
			Key: "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", Gateway: "z6Mkw", Sequence: uint64(90 * (4 - i)), Used: uint64(310 * (4 - i))})
		f.network.Validators = append(f.network.Validators, Validator{Name: id, Address: strings.Repeat("AB", 20), Key: "1fX0vW0hHn2bq4x6r2QmXb0h6oV2l2o2v3c9bK7Gm0E",
			Power: 10, Signed: []int{20, 20, 7, 0}[i], Last: []uint64{4210, 4210, 4208, 0}[i], Operator: id, Site: "site-" + id, Wanted: 10,
			Votes: fakeVotes([]int{20, 20, 7, 0}[i])})
	}
	vct, youth := "urn:dojang:kr:resident-id:1", "urn:dojang:kr:youth-eligibility:1"
	for i, n := range []string{"mois", "seoul", "bank", "old"} {
		d := testID(n)
		s := Subject{Summary: Summary{DID: d, Keys: 2, Created: at(12), Domain: n + ".example"}, Version: 3, Updated: at(4000),
			KeyList: []Key{
				{ID: "cred-2", Use: registry.UseAssertion, Alg: "ES256", Multikey: "zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv", Active: at(4000)},
				{ID: "cred-1", Use: registry.UseAssertion, Alg: "ES256", Multikey: "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", Active: at(12), Retired: at(4000)},
				{ID: "leaked", Use: registry.UseAuthentication, Alg: "EdDSA", Multikey: "z6Mki", Active: at(12), CompromisedFrom: testNow.Add(-48 * time.Hour), Declared: at(3900)},
			},
			Services: []Service{{ID: "status", Type: "StatusListPublisher", Endpoint: "https://status.seoul.example/lists"}, {ID: "site", Type: "LinkedDomains", Endpoint: "https://seoul.example", Removed: at(3000)}},
			Versions: []Version{{3, at(4000), "keys", registry.HashOf(nil)}, {1, at(900), "rotated", registry.HashOf(nil)}, {0, at(12), "created", registry.HashOf(nil)}}}
		if i < 2 {
			a := Accreditation{N: 1, Changed: at(30), Domain: n + ".example", Operator: testID("mois"), Accreditation: registry.Accreditation{DID: d, Type: []string{vct, youth}[i], LegalBasis: []string{"KR-RRA-24-2"},
				StatusHost: "https://status.trust.example", From: testNow.AddDate(-1, 0, 0), Suspended: i == 1, Roots: [][]byte{make([]byte, 32)}}}
			s.Types, s.Accreditations = 1, []Accreditation{a}
			f.accreditations = append(f.accreditations, a)
			st := Status{At: at(4200), Served: 41, Lists: []string{"https://status.trust.example/" + d.ID() + "/1"}, StatusEpoch: registry.StatusEpoch{Issuer: d, Sequence: 41,
				IssuedAt: testNow.Add(-7 * time.Minute), NextUpdate: testNow.Add(time.Duration(1-2*i) * time.Hour), Signer: d.URL("cred-2")}}
			s.Status = &st
			f.statuses = append(f.statuses, st)
		}
		if i == 2 {
			g := Registration{Changed: at(77), Registration: registry.Registration{DID: d, Purpose: "account-opening",
				Name:        map[string]string{"ko": "한빛은행", "en": "Hanbit Bank"},
				PurposeText: map[string]string{"ko": "비대면 계좌 개설을 위한 본인 확인", "en": "Identity check to open an account"},
				Claims:      map[string][]string{vct: {"name", "birthdate", "address.region", "age_over_19"}}, LegalBasis: []string{"KR-RRA-24-2", "금융실명법 제3조"},
				RetentionDays: 1825, From: testNow.AddDate(0, -2, 0), Until: testNow.AddDate(2, 0, 0)}}
			s.Purposes, s.Registrations, s.Name = 1, []Registration{g}, g.Name
			f.registrations = append(f.registrations, g)
		}
		if i == 3 {
			s.Deactivated, s.KeyList, s.Keys = at(4100), nil, 0
		}
		f.subjects = append(f.subjects, s)
	}
	for i := range 3 {
		f.anchors = append(f.anchors, Anchor{Root: sha256.Sum256([]byte{byte(i)}), By: testID("seoul"), At: at(uint64(4000 + i))})
	}
	for h := uint64(4211); h > 4180; h-- {
		m := at(h)
		f.blocks = append(f.blocks, Block{Height: h, Time: m.Time, Hash: sha256.Sum256([]byte{byte(h)}), AppHash: make([]byte, 32), Proposer: "seoul",
			Signers: []string{"kr-trust", "mois", "seoul"}, Validators: 4, Changed: h%3 == 0, Open: h == 4211})
	}
	f.operation = Operation{Code: "ok", At: at(4100)}
	f.council(at)
	return f
}

// fakeVotes are n of 20; the three newest are missing, unless all are there.
func fakeVotes(n int) []bool {
	out := make([]bool, 20)
	for i := range out {
		out[i] = n == 20 || i >= 17-n && i < 17
	}
	return out
}

// council adds decisions of every kind and state, emergencies, rounds and types.
func (f *fakeSource) council(at func(uint64) Moment) {
	rules := Rules{Members: 4, Threshold: 3, Removal: 3, TimeLock: 72 * time.Hour, Voting: 14 * 24 * time.Hour, Emergency: 2, EmergencyHold: 7 * 24 * time.Hour,
		QuotaOps: 100000, QuotaBlocks: 1000, EpochInterval: time.Minute, Heartbeat: 10 * time.Second}
	f.governance = Governance{Rules: rules, Network: "demo", Members: slices.Clone(f.network.Members), Open: 2, Total: 16,
		History: []Change[Rules]{{What: "memberadd", At: at(900), Proposals: []uint64{7}, Fact: rules}, {What: "genesis", Fact: rules}}}
	f.governance.Members[3].Removed, f.governance.Members[3].Decided = at(4000), []uint64{8}
	bank, mois := testID("bank"), testID("mois")
	const vct = "urn:dojang:kr:resident-id:1"
	key := registry.PublicKey(nil)
	bodies := []registry.Body{
		&registry.AccreditBody{Type: vct, N: 1, Basis: []string{"KR-RRA-24-2"}, From: testNow.Unix(), Host: "https://status.trust.example", Roots: [][32]byte{{1}}, Operator: bank},
		&registry.SuspendBody{Type: vct, N: 1}, &registry.ResumeBody{Type: vct, N: 1}, &registry.EndBody{Type: vct, N: 1, Until: testNow.Unix()},
		&registry.RegisterBody{Purpose: "account-opening", Name: map[string]string{"ko": "한빛은행"}, Text: map[string]string{"ko": "계좌 개설"}, Claims: map[string][]string{vct: {"name"}},
			Basis: []string{"KR-RRA-24-2"}, Retention: 30, From: testNow.Unix()},
		&registry.TypeDigestBody{Type: vct}, &registry.MemberAddBody{ID: "busan", Name: map[string]string{"ko": "부산광역시"}, Key: key, Sponsor: key}, &registry.MemberRemoveBody{ID: "customs"},
		&registry.ValidatorBody{Power: 12, Operator: "busan", Site: "busan-1"}, &registry.ValidatorBody{}, &registry.ThresholdBody{K: 4}, &registry.RecoverBody{}, &registry.DeactivateBody{},
		&registry.RetireBody{ID: "cred-1"}, &registry.CompromiseBody{ID: "cred-1", From: testNow.Unix()}, &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"x"}},
		&registry.MemberKeysBody{ID: "busan", Key: key, Sponsor: key},
	}
	states := []registry.ProposalState{registry.ProposalVoting, registry.ProposalApproved, registry.ProposalExecuted, registry.ProposalFailed, registry.ProposalRejected, registry.ProposalExpired}
	for i, body := range bodies {
		n := uint64(i + 1)
		p := ProposalDetail{Proposal: Proposal{N: n, State: states[i%len(states)], Kind: body.Kind(), About: mois, Proposer: "mois", Opened: testNow.Add(-time.Hour), Expires: testNow.Add(time.Hour),
			Yes: 2, No: 1, Need: 3, Members: 4}, Operation: registry.HashOf([]byte{byte(i)}), Body: body}
		if body.Kind() == registry.KindRegisterVerifier {
			p.About = bank
		}
		p.Votes = []Vote{{Member: "mois", Name: f.network.Members[1].Name, Approve: true, At: at(4000), Operation: registry.HashOf(nil)},
			{Member: "seoul", Name: f.network.Members[2].Name, At: at(4001), Operation: registry.HashOf(nil)},
			{Member: "customs", Name: f.network.Members[3].Name, Approve: true, At: at(4002), Operation: registry.HashOf(nil), Gone: true}, {Member: "kr-trust", Name: f.network.Members[0].Name}}
		p.Steps = []Step{{What: "opened", Member: "mois", At: at(4000)}, {What: "no", Member: "seoul", At: at(4001)}}
		if p.State != registry.ProposalVoting {
			p.Due, p.Steps = testNow.Add(time.Hour), append(p.Steps, Step{What: string(p.State), At: at(4005)})
		}
		if p.State != registry.ProposalVoting && p.State != registry.ProposalApproved {
			p.Closed, p.Code = at(4010), "not-allowed"
		}
		p.Before = Before{Rules: &rules, Power: 10, Member: &f.network.Members[3], Accreditation: &f.accreditations[0], Registration: &f.registrations[0]}
		f.proposals = append(f.proposals, p)
	}
	f.emergencies = []Emergency{{DID: mois, Key: "cred-2", At: at(4100), Until: testNow.Add(time.Hour), State: "running", By: []string{"mois"}},
		{DID: mois, Type: vct, N: 1, At: at(4000), Until: testNow, State: "confirmed", Decided: at(4050)},
		{DID: mois, Type: vct, N: 1, At: at(4000), Until: testNow, State: "lapsed"}, {DID: mois, Type: vct, N: 1, At: at(4000), Until: testNow, State: "lifted", Decided: at(4060)}}
	for i, state := range []string{"open", "closed", "pruning", "ended"} {
		r := Round{Issuer: testID("seoul"), RoundRef: registry.RoundRef{Programme: "youth-rent", Round: fmt.Sprint("2026-", i)}, State: state, Opened: at(3000), Until: testNow.AddDate(5, 0, 0)}
		if i > 0 {
			r.Closed, r.Size, r.Root = at(4000), 1234, sha256.Sum256(nil)
		}
		if i == 3 {
			r.Ended, r.Pruned, r.Destroyed = at(4200), 1234, testNow
		}
		f.rounds = append(f.rounds, r)
	}
	for _, v := range []string{vct, "urn:dojang:kr:unknown:1"} {
		f.types = append(f.types, Type{VCT: v, At: at(50)})
	}
	f.operation.Proposals = []uint64{3}
	f.contents = Contents{Closed: []Proposal{f.proposals[2].Proposal}, Claims: true, More: 2, Operations: []Done{{Hash: registry.HashOf(nil), Kind: registry.KindAnchor, DID: mois, Sponsor: "mois", Code: "ok", Anchor: f.anchors[0].Root},
		{Hash: registry.HashOf(nil), Kind: registry.KindVote, Sponsor: "mois", Members: []string{"seoul"}, Code: "ok", N: 1},
		{Hash: registry.HashOf(nil), Kind: registry.KindUpdate, DID: bank, Sponsor: "mois", Code: "version-conflict"}, {Hash: registry.HashOf(nil), Kind: "x", Sponsor: "mois"}}}
	f.operation.Done = &f.contents.Operations[1]
}

func newServer(t *testing.T, f Source) *Server {
	t.Helper()
	s, err := New(Config{Source: f, API: "https://node.example", Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, s *Server, target string) *httptest.ResponseRecorder {
	t.Helper()
	return do(t, s, httptest.NewRequest(http.MethodGet, target, nil))
}

func do(t *testing.T, s *Server, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}
