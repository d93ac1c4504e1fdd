package console

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/schemas"
)

// A consortium is a chain of four members on which everything has happened that the pages show, made by operations alone.
type consortium struct {
	*chaintest.Chain
	t                                       *testing.T
	mois, seoul, customs, bank, old, second *chaintest.Agency
	source                                  *ChainSource
	resident, youth                         string
	accredited, suspended                   uint64 // heights
	root                                    [32]byte
	round                                   registry.RoundRef
}

var bodies4 = [][3]string{{"kr-trust", "한국신뢰기관", "KR Trust Authority"}, {"mois", "행정안전부", "Ministry of the Interior and Safety"},
	{"seoul", "서울특별시", "Seoul Metropolitan Government"}, {"customs", "관세청", "Korea Customs Service"}}

func newConsortium(t *testing.T) *consortium {
	t.Helper()
	const day = 24 * 3600
	w := &consortium{t: t, resident: "urn:dojang:kr:resident-id:1", youth: "urn:dojang:kr:youth-eligibility:1", round: registry.RoundRef{Programme: "youth-rent", Round: "2026-2"}}
	w.Chain = chaintest.New(t, chaintest.Config{Members: 4, Threshold: 3, Validators: 4, Genesis: func(g *chain.Genesis) {
		g.Development, g.QuotaOps, g.QuotaBlocks, g.EpochInterval, g.Heartbeat = false, 10000, 1000, 60, 10000
		g.Governance = &chain.GenesisGovernance{TimeLock: 3 * day, Voting: 14 * day, EmergencyThreshold: 2, EmergencyHold: 7 * day}
		for i, b := range bodies4 {
			g.Members[i].Name = map[string]string{"ko": b[1], "en": b[2]}
			g.Validators = append(g.Validators, validator(i, 10, b[0], []string{"daejeon-1", "sejong-1", "seoul-2", "incheon-1"}[i]))
		}
	}})
	w.Step = 10 * time.Second
	w.mois, w.seoul, w.customs, w.bank, w.old = w.agency("mois", "https://status.mois.example/lists"), w.agency("seoul", "https://status.seoul.example/lists"),
		w.agency("customs", ""), w.agency("hanbit", ""), w.agency("old", "")
	w.founding()
	w.rounds()
	w.emergencies()
	w.open()
	w.source = sourceOf(t, w.Chain, w.behind)
	return w
}

// validator i of the chain with its place.
func validator(i int, power uint64, operator, site string) registry.ValidatorFact {
	k := chaintest.NewKey(fmt.Sprint("validator ", i)).Public()
	return registry.ValidatorFact{Key: [32]byte(k[10:]), Power: power, Operator: operator, Site: site}
}

func (w *consortium) agency(name, status string) *chaintest.Agency {
	w.t.Helper()
	a := w.NewAgency(name)
	op := a.CreateOperation()
	body := op.Body.(*registry.CreateBody)
	body.Services = []registry.Service{{ID: "site", Type: "LinkedDomains", Endpoint: "https://" + name + ".example"}}
	if status != "" {
		body.Services = append(body.Services, registry.Service{ID: "status", Type: "StatusListPublisher", Endpoint: status})
	}
	w.Must(w.Op(op, a.Op(0).As(registry.RoleOp)))
	return a.Created(op)
}

// decide proposes, lets these members vote for it, and waits for the time lock.
func (w *consortium) decide(op registry.Operation, voters ...int) {
	w.t.Helper()
	w.Must(w.Proposal(voters[0], op))
	n := w.proposals()
	for _, v := range voters[1:] {
		w.Must(w.Vote(v, n, true))
	}
	w.pass(73 * time.Hour)
}

func (w *consortium) proposals() uint64 {
	all, err := w.Machine.Proposals()
	if err != nil {
		w.t.Fatal(err)
	}
	return all.Count
}

// pass lets time go on with a few blocks.
func (w *consortium) pass(d time.Duration) {
	w.Chain.Pass(1)
	w.Time = w.Time.Add(d)
	w.Chain.Pass(3)
}

func (w *consortium) founding() {
	w.decide(w.accreditation(w.mois, w.resident, []string{"KR-RRA-24-2"}, w.customs.DID), 1, 0, 2)
	w.decide(w.accreditation(w.seoul, w.youth, []string{"KR-YOUTH-BASIC"}, ""), 2, 1, 3)
	_, w.accredited, _ = w.Machine.Accreditation(w.seoul.DID, w.youth, 1)
	w.decide(registry.Operation{DID: w.bank.DID, Body: &registry.RegisterBody{Purpose: "account-opening", Name: map[string]string{"ko": "한빛은행", "en": "Hanbit Bank"},
		Text:   map[string]string{"ko": "비대면 계좌 개설을 위한 본인 확인", "en": "Identity check to open an account"},
		Claims: map[string][]string{w.resident: {"name", "birthdate", "age_over_19"}}, Basis: []string{"KR-RRA-24-2"}, Retention: 1825, From: w.Time.Unix()}}, 0, 1, 2)
	for _, vct := range []string{w.resident, w.youth} {
		typ, _ := schemas.Lookup(vct)
		w.decide(registry.Operation{Body: &registry.TypeDigestBody{Type: vct, Digest: typ.Digest()}}, 0, 1, 3)
	}
	w.decide(registry.Operation{Body: &registry.MemberAddBody{ID: "busan", Name: map[string]string{"ko": "부산광역시", "en": "Busan Metropolitan City"},
		Key: chaintest.Member(9).Public, Sponsor: chaintest.Sponsor(9).Public}}, 0, 1, 2, 3)
	v := validator(9, 10, "busan", "busan-1")
	w.decide(registry.Operation{Body: &registry.ValidatorBody{Key: v.Key, Power: v.Power, Operator: v.Operator, Site: v.Site}}, 3, 0, 1)
	w.mois.Rotate()
	w.mois.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "k2", Use: registry.UseAssertion, Key: w.mois.Key("k2").Public()}}})
	w.pass(time.Hour)
	w.mois.Do(&registry.RetireBody{ID: chaintest.AssertionID})
	w.old.Do(&registry.DeactivateBody{})
}

func (w *consortium) accreditation(a *chaintest.Agency, vct string, basis []string, operator registry.DID) registry.Operation {
	return registry.Operation{DID: a.DID, Body: &registry.AccreditBody{Type: vct, N: 1, Basis: basis, Roots: [][32]byte{sha256.Sum256([]byte(vct))},
		Host: "https://status.trust.example", From: w.Time.Unix(), Operator: operator}}
}

// signs is a key of an agency in its role.
func signs(a *chaintest.Agency, id string) registry.SigningKey { return a.Key(id).As(a.DID.URL(id)) }

func (w *consortium) rounds() {
	key := signs(w.seoul, chaintest.AssertionID)
	claims := chaintest.NewKey("claims").As(registry.RoleClaim)
	first := registry.RoundRef{Programme: "youth-rent", Round: "2026-1"}
	via := registry.AccreditationRef{Type: w.youth, N: 1}
	for _, ref := range []registry.RoundRef{first, w.round} {
		w.Must(w.Op(registry.Operation{DID: w.seoul.DID, Body: &registry.RoundOpenBody{RoundRef: ref, Via: via, Key: claims.Public, Until: w.Time.Unix() + 3600}}, key))
		var ops [][]byte
		for i := range 7 {
			tag := registry.ClaimTag([]byte(ref.Round), binary.BigEndian.AppendUint64(nil, uint64(i)))
			ops = append(ops, w.Op(registry.Operation{DID: w.seoul.DID, Body: &registry.ClaimBody{RoundRef: ref, Tag: tag, Case: [32]byte{byte(i)}}}, claims))
		}
		w.Must(ops...)
	}
	w.Must(w.Op(registry.Operation{DID: w.seoul.DID, Body: &registry.RoundCloseBody{RoundRef: first}}, key))
	w.pass(2 * time.Hour)
	w.Must(w.Op(registry.Operation{DID: w.seoul.DID, Seq: 1, Body: &registry.RoundPruneBody{RoundRef: first, Destroyed: w.Time.Unix()}}, key))
	w.root = sha256.Sum256([]byte("receipts of a morning"))
	for i := range 4 {
		root := sha256.Sum256(fmt.Appendf(nil, "root %d", i))
		if i == 0 {
			root = w.root
		}
		w.Must(w.Op(registry.Operation{DID: w.seoul.DID, Body: &registry.AnchorBody{Root: root}}, key))
	}
}

// stop is an emergency of two members.
func (w *consortium) stop(d registry.DID, body registry.EmergencyBody) {
	w.t.Helper()
	body.At = w.Time.Unix()
	w.Must(w.Op(registry.Operation{DID: d, Body: &body}, chaintest.Member(0), chaintest.Member(2)))
}

// emergencies: one of Seoul's accreditation that a proposal confirms, one of a key of the bank that lapses.
func (w *consortium) emergencies() {
	w.stop(w.seoul.DID, registry.EmergencyBody{Type: w.youth, N: 1})
	fact, _, err := w.Machine.Accreditation(w.seoul.DID, w.youth, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.decide(registry.Operation{DID: w.seoul.DID, Seq: fact.Seq + 1, Prev: registry.HashOfDigest(fact.Head), Body: &registry.SuspendBody{Type: w.youth, N: 1}}, 1, 0, 3)
	_, w.suspended, _ = w.Machine.Accreditation(w.seoul.DID, w.youth, 1)
	w.stop(w.bank.DID, registry.EmergencyBody{Key: chaintest.AuthenticationID})
	w.pass(time.Hour)
}

// open leaves proposals of every state, and a fresh status epoch.
func (w *consortium) open() {
	propose := func(member int, op registry.Operation) uint64 {
		w.Must(w.Proposal(member, op))
		return w.proposals()
	}
	n := propose(3, registry.Operation{Body: &registry.MemberRemoveBody{ID: "busan"}})
	_ = n // nobody votes: it expires
	n = propose(2, registry.Operation{Body: &registry.ThresholdBody{K: 4}})
	for _, v := range []int{0, 1, 3} {
		w.Must(w.Vote(v, n, false))
	}
	n = propose(0, registry.Operation{DID: w.customs.DID, Body: w.accreditation(w.customs, "urn:dojang:kr:customs-identity:1", []string{"KR-CUSTOMS"}, "").Body})
	w.Must(w.customs0(&registry.DeactivateBody{}))
	w.Must(w.Vote(1, n, true))
	w.Must(w.Vote(2, n, true)) // fails when its time lock is over
	w.pass(15 * 24 * time.Hour)
	fact, _, err := w.Machine.Registration(w.bank.DID, "account-opening")
	if err != nil {
		w.t.Fatal(err)
	}
	n = propose(1, registry.Operation{DID: w.bank.DID, Seq: 1, Prev: registry.HashOfDigest(fact.Head), Body: &registry.RegisterBody{Purpose: "account-opening",
		Name: fact.Name, Text: map[string]string{"ko": "비대면 계좌 개설과 한도 상향을 위한 본인 확인", "en": "Identity check to open an account or raise its limit"},
		Claims: map[string][]string{w.resident: {"name", "birthdate", "age_over_19", "address.region"}}, Basis: fact.Basis, Retention: 365, From: fact.From}})
	w.Must(w.Vote(0, n, true))
	w.pass(40 * time.Minute)
	w.Must(w.Vote(3, n, true))
	accr, _, err := w.Machine.Accreditation(w.mois.DID, w.resident, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	n = propose(0, registry.Operation{DID: w.mois.DID, Seq: 1, Prev: registry.HashOfDigest(accr.Head), Body: &registry.AccreditBody{Type: w.resident, N: 1, Basis: accr.Basis,
		Roots: accr.Roots, Host: accr.Host, From: accr.From, Until: accr.From + 5*365*24*3600}})
	w.Must(w.Vote(2, n, true))
	w.Must(w.Vote(3, n, false))
	propose(2, registry.Operation{Body: &registry.ThresholdBody{K: 4}})
	w.pass(time.Hour)
	w.stop(w.mois.DID, registry.EmergencyBody{Key: chaintest.AuthenticationID})
	w.epoch(w.mois, "k2", 41, 24*time.Hour)
	w.epoch(w.seoul, chaintest.AssertionID, 7, time.Second)
	w.Chain.Pass(30)
}

// later is what pages() does not show: parameters that a vote has changed, others that are put to it, a validator that signed twice.
func (w *consortium) later() map[string]string {
	w.decide(registry.Operation{Body: &registry.ParamsBody{TimeLock: new(uint64(36 * 3600)), Voting: new(uint64(10 * 24 * 3600)), QuotaOps: new(uint64(5000))}}, 1, 0, 2)
	w.operated()
	v := validator(9, 10, "busan", "busan-1")
	w.Misbehaviours = []chain.Misbehaviour{{Height: w.Height() - 2, Validator: [20]byte(hashed(v.Key[:]))}}
	w.Must(w.Proposal(2, registry.Operation{Body: &registry.ParamsBody{Emergency: new(uint64(3)), Heartbeat: new(uint64(5000)), TimeLock: new(uint64(36 * 3600))}}))
	w.Chain.Pass(20)
	return map[string]string{"later-governance": "/governance", "later-validators": "/validators", "later-proposals": "/proposals", "later-status": "/status",
		"later-emergencies": "/emergencies", "later-params": "/proposals/15", "later-params-open": "/proposals/17",
		"later-operator": "/accreditations/" + w.mois.DID.ID() + "/" + w.resident + "/1", "later-statusof": "/status/" + w.mois.DID.ID(), "later-did-bank": "/dids/" + w.bank.DID.ID(), "later-did-operator": "/dids/" + w.second.DID.ID(),
		"later-accreditations": "/accreditations", "later-home": "/"}
}

// operated: the members name a second status operator, which goes on from the issuer's lists; a key of the bank was stolen.
func (w *consortium) operated() {
	w.second = w.NewAgency("second")
	op := w.second.CreateOperation()
	op.Body.(*registry.CreateBody).Services = []registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: "https://lists.second.example"}}
	op.Body.(*registry.CreateBody).Keys = []registry.NewKey{{ID: "status-1", Use: registry.UseStatus, Key: w.second.Key("status-1").Public()}}
	w.Must(w.Op(op, w.second.Op(0).As(registry.RoleOp)))
	w.second.Created(op)
	accr, _, err := w.Machine.Accreditation(w.mois.DID, w.resident, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	w.decide(registry.Operation{DID: w.mois.DID, Seq: accr.Seq + 1, Prev: registry.HashOfDigest(accr.Head), Body: &registry.AccreditBody{Type: w.resident, N: 1, Basis: accr.Basis,
		Roots: accr.Roots, Host: accr.Host, From: accr.From, Until: accr.Until, Operator: w.second.DID}}, 0, 1, 2)
	w.Must(w.Op(registry.Operation{DID: w.mois.DID, Seq: 42, Body: &registry.EpochBody{IssuedAt: w.Time.Unix(), NextUpdate: w.Time.Add(24 * time.Hour).Unix(),
		Root: statuslist.EpochRoot(records(w.t, w.mois)), Via: &registry.AccreditationRef{Type: w.resident, N: 1}}}, w.second.Key("status-1").As(w.second.DID.URL("status-1"))))
	w.bank.Do(&registry.CompromiseBody{ID: chaintest.AssertionID, From: w.Time.Add(-time.Hour).Unix()})
}

func hashed(key []byte) []byte {
	digest := sha256.Sum256(key)
	return digest[:20]
}

func (w *consortium) customs0(body registry.Body) []byte {
	return w.Op(w.customs.Next(body), w.customs.Op(0).As(registry.RoleOp))
}

// records of two lists of an agency.
func records(t *testing.T, a *chaintest.Agency) [][]byte {
	t.Helper()
	var out [][]byte
	for i := range 2 {
		raw, err := statuslist.Record{URI: fmt.Sprintf("https://status.trust.example/%s/%d", a.DID.ID(), i+1), Bits: 2, Length: 1 << 17, Root: [32]byte{byte(i)}}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// published are records of lists without tokens.
type published [][]byte

func (p published) Records(context.Context, bool) ([][]byte, error) { return p, nil }

func (published) Token(context.Context, string, string, bool) ([]byte, error) {
	return nil, node.ErrNoList
}

func (w *consortium) epoch(a *chaintest.Agency, key string, sequence uint64, fresh time.Duration) {
	w.Must(w.Op(registry.Operation{DID: a.DID, Seq: sequence, Body: &registry.EpochBody{IssuedAt: w.Time.Unix(), NextUpdate: w.Time.Add(fresh).Unix(),
		Root: statuslist.EpochRoot(records(w.t, a))}}, signs(a, key)))
}

// behind makes the chain look like a node: its lists, and votes that are missing.
func (w *consortium) behind(cfg *ChainConfig) {
	lists := cfg.Lists()
	fact, _, err := w.Machine.Status(w.mois.DID)
	if err != nil {
		w.t.Fatal(err)
	}
	epoch := registry.StatusEpoch{Issuer: w.mois.DID, Sequence: fact.Sequence, IssuedAt: time.Unix(fact.IssuedAt, 0), NextUpdate: time.Unix(fact.NextUpdate, 0), Root: fact.Root}
	if err := lists.Put(w.t.Context(), epoch, published(records(w.t, w.mois))); err != nil {
		w.t.Fatal(err)
	}
	cfg.Health = func() node.Health {
		h := w.Headers[len(w.Headers)-1]
		return node.Health{State: "ok", Height: h.Height, Time: h.Time, Peers: 3}
	}
	inner, top := cfg.SignedHeader, w.Height()
	cfg.SignedHeader = func(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
		h, set, err := inner(height)
		if err != nil {
			return h, set, err
		}
		var votes []evidence.Vote
		for _, v := range h.Commit.Votes {
			late := v.Index == 2 && height+15 > top && height+5 < top // away, and back
			if (v.Index != 3 || height+50 < top) && !late {           // the last one is silent
				votes = append(votes, v)
			}
		}
		h.Commit.Votes = votes
		h.Header.Proposer = nil
		digest := sha256.Sum256(set[height%3].PublicKey[:])
		h.Header.Proposer = digest[:20]
		return h, set, nil
	}
	genesis := `{"validators":[`
	for i, v := range w.Set() {
		if i > 0 {
			genesis += ","
		}
		genesis += fmt.Sprintf(`{"address":%q,"name":%q}`, address(v), bodies4[i][0])
	}
	cfg.Genesis = []byte(genesis + "]}")
}

// server shows it.
func (w *consortium) server() *Server {
	w.t.Helper()
	s, err := New(Config{Source: w.source, API: "https://node.example", Now: func() time.Time { return w.Now() }})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// pages is one address of every page with something on it, and of every proposal.
func (w *consortium) pages() map[string]string {
	out := map[string]string{"home": "/", "governance": "/governance", "validators": "/validators", "proposals": "/proposals", "proposals-waiting": "/proposals?state=approved",
		"emergencies": "/emergencies", "rounds": "/rounds", "round-open": "/rounds/" + w.seoul.DID.ID() + "/youth-rent/2026-2", "round-ended": "/rounds/" + w.seoul.DID.ID() + "/youth-rent/2026-1",
		"dids": "/dids", "did-issuer": "/dids/" + w.mois.DID.ID(), "did-bank": "/dids/" + w.bank.DID.ID(), "accreditations": "/accreditations",
		"accreditation": "/accreditations/" + w.seoul.DID.ID() + "/" + w.youth + "/1", "types": "/types", "type": "/types/" + w.resident,
		"verifiers": "/verifiers", "verifier": "/verifiers/" + w.bank.DID.ID() + "/account-opening", "status": "/status", "statusof": "/status/" + w.mois.DID.ID(),
		"anchors": "/anchors", "anchor": fmt.Sprintf("/anchors/%x", w.root), "blocks": "/blocks", "block": fmt.Sprint("/blocks/", w.suspended),
		"block-emergency": fmt.Sprint("/blocks/", w.suspended-6), "check": "/check", "find-none": "/find?q=hello"}
	for n := range w.proposals() {
		out[fmt.Sprintf("proposal-%02d", n+1)] = fmt.Sprint("/proposals/", n+1)
	}
	return out
}

func (w *consortium) get(s *Server, path string) *httptest.ResponseRecorder {
	return get(w.t, s, path)
}
