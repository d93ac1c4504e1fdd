package console

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
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
	return Subject{}, registry.ErrNotFound
}
func (f *fakeSource) Accreditations(_ context.Context, p Page) (List[Accreditation], error) {
	return fakeList(f, p, f.accreditations)
}
func (f *fakeSource) Registrations(_ context.Context, p Page) (List[Registration], error) {
	return fakeList(f, p, f.registrations)
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
			Power: 10, Signed: []int{20, 20, 7, 0}[i], Last: []uint64{4210, 4210, 4207, 0}[i]})
	}
	vct, youth := "urn:dojang:kr:resident-id:1", "urn:dojang:kr:youth-eligibility:1"
	for i, n := range []string{"mois", "seoul", "bank", "old"} {
		d := testID(n)
		s := Subject{Summary: Summary{DID: d, Keys: 2, Created: at(12)}, Version: 3, Updated: at(4000),
			KeyList: []Key{
				{ID: "cred-2", Use: registry.UseAssertion, Alg: "ES256", Multikey: "zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv", Active: at(4000)},
				{ID: "cred-1", Use: registry.UseAssertion, Alg: "ES256", Multikey: "zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", Active: at(12), Retired: at(4000)},
				{ID: "leaked", Use: registry.UseAuthentication, Alg: "EdDSA", Multikey: "z6Mki", Active: at(12), CompromisedFrom: testNow.Add(-48 * time.Hour), Declared: at(3900)},
			},
			Services: []Service{{ID: "status", Type: "StatusListPublisher", Endpoint: "https://status.seoul.example/lists"}, {ID: "site", Type: "LinkedDomains", Endpoint: "https://seoul.example", Removed: at(3000)}},
			Versions: []Version{{3, at(4000)}, {1, at(900)}, {0, at(12)}}}
		if i < 2 {
			a := Accreditation{N: 1, Changed: at(30), Operator: testID("mois"), Accreditation: registry.Accreditation{DID: d, Type: []string{vct, youth}[i], LegalBasis: []string{"KR-RRA-24-2"},
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
	return f
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
