package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/operator"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/verifier"
)

// TestMonth is DESIGN 5.7 with continuity: the issuer is off for 33 days (the real outage took 32), its second status operator at
// another site re-dates the lists from what the nodes keep, one credential is revoked in the middle. Chain, node store,
// operator and verifier are the real ones; the clock of all of them is the chain's. The policy is adult-check, status and
// registry at most 72 hours old, all the while.
func TestMonth(t *testing.T) {
	m := newMonth(t, true)
	day := 24 * time.Hour
	const step = 12 * time.Hour
	for at := step; at <= 33*day; at += step {
		m.now(m.begin.Add(at))
		if at == 16*day {
			m.revoke(t)
		}
		if published := must(m.operator.Tick(t.Context()))(t); !published && at != 16*day {
			t.Fatalf("%v: the lists are not re-dated", at)
		}
		m.follow(t)
		want := map[string]string{"good": "VALID", "victim": "VALID", "suspended": "SUSPENDED", "revoked": "REVOKED"}
		if at >= 16*day {
			want["victim"] = "REVOKED"
		}
		for name, code := range want {
			got := map[string]verifier.Judgement{"online": m.judge(t, m.online, name, nil)}
			if at%(4*day) == 0 || name == "victim" && at > 15*day && at < 17*day {
				got["offline"] = m.judge(t, m.offline(), name, m.staple(t, name))
			}
			for way, got := range got {
				if string(got.Code) != code || (got.Decision == verifier.Confirmed) != (code == "VALID") {
					t.Fatalf("%v, %s, %s: %s %s (%v), want %s", at, name, way, got.Decision, got.Code, got.Cause(), code)
				}
				if code == "VALID" && m.c.Now().Sub(got.StatusAsOf) > time.Minute {
					t.Fatalf("%v, %s, %s: status as of %v, the lists were re-dated just now", at, name, way, got.StatusAsOf)
				}
			}
		}
	}
	m.onlyWorse(t)
	if c := m.online.Counters(); c.Refused != 0 || c.Conflicts != 0 || c.Behind != 0 {
		t.Errorf("%+v", c)
	}
	t.Run("the operator goes too: on hold after 72 hours", func(t *testing.T) {
		last := m.epoch(t)
		m.now(last.NextUpdate.Add(71 * time.Hour))
		if got := m.judge(t, m.online, "good", nil); got.Code != "VALID" {
			t.Errorf("%s %s (%v)", got.Decision, got.Code, got.Cause())
		}
		m.now(last.NextUpdate.Add(73 * time.Hour))
		for name, code := range map[string]string{"good": "STATUS_STALE", "victim": "REVOKED"} {
			if got := m.judge(t, m.online, name, nil); string(got.Code) != code || got.Claims != nil {
				t.Errorf("%s: %s %s (%v)", name, got.Decision, got.Code, got.Cause())
			}
		}
	})
	t.Run("the issuer is back: the operator rests", func(t *testing.T) {
		m.publish(t)
		if e := m.epoch(t); e.Redated() {
			t.Fatalf("%+v", e)
		}
		if published := must(m.operator.Tick(t.Context()))(t); published {
			t.Error("the operator goes on")
		}
		if got := m.judge(t, m.online, "victim", nil); got.Code != "REVOKED" {
			t.Errorf("%s %s (%v)", got.Decision, got.Code, got.Cause())
		}
	})
}

// TestMonthAlone is the same outage of an issuer that has named nobody: on hold from the fourth day on, never confirmed.
func TestMonthAlone(t *testing.T) {
	m := newMonth(t, false)
	if _, err := m.operator.Tick(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Duration{time.Hour, 71 * time.Hour, 74 * time.Hour, 16 * 24 * time.Hour, 33 * 24 * time.Hour} {
		m.now(m.begin.Add(at))
		if at > time.Hour {
			if _, err := m.operator.Tick(t.Context()); !errors.Is(err, operator.ErrRefused) {
				t.Fatalf("the chain let somebody re-date who is not named: %v", err)
			}
		}
		want := "VALID"
		if at > 72*time.Hour {
			want = "STATUS_STALE"
		}
		if got := m.judge(t, m.online, "good", nil); string(got.Code) != want {
			t.Errorf("%v: %s %s (%v), want %s", at, got.Decision, got.Code, got.Cause(), want)
		}
		if got := m.judge(t, m.online, "revoked", nil); got.Code != "REVOKED" {
			t.Errorf("%v: %s", at, got.Code)
		}
	}
}

const (
	monthHost = "https://status.dojang.example"
	monthType = "urn:dojang:kr:resident-id:1"
)

// A month is a chain, a node's store of lists, an issuer that can be off, its operator and a verifier.
type month struct {
	t        *testing.T
	c        *chaintest.Chain
	begin    time.Time
	agency   *chaintest.Agency
	key      keys.Signer
	leaf     [][]byte
	root     *x509.Certificate
	list     *statuslist.Publisher // of the issuer
	held     map[string]uint64     // entries
	issued   map[string]string     // credentials
	holder   keys.Signer
	store    *node.StatusStore
	served   listsAt // of the issuer's publisher
	operator *operator.Operator
	at       *httptest.Server // of the operator
	online   *verifier.Verifier
	sequence uint64
	second   registry.DID
	known    *evidence.Facts // of this moment
}

// now moves the clock of everybody.
func (m *month) now(at time.Time) { m.c.Time, m.known = at, nil }

func newMonth(t *testing.T, named bool) *month {
	t.Helper()
	m := &month{t: t, c: chaintest.New(t, chaintest.Config{Validators: 4, Genesis: func(g *chain.Genesis) { g.EpochInterval = 60 }}),
		held: map[string]uint64{"good": 4711, "victim": 90_000, "suspended": 12, "revoked": 4712}, issued: map[string]string{}}
	m.key, m.holder = must(keys.Generate(keys.ES256))(t), must(keys.Generate(keys.ES256))(t)
	from := chaintest.Begin.AddDate(0, 0, -1)
	ca := must(keys.NewRoot(keys.RootConfig{CommonName: "Gaon root", Organization: "Gaon", NotBefore: from, NotAfter: from.AddDate(20, 0, 0), Key: must(keys.Generate(keys.ES256))(t)}))(t)
	m.root = ca.Root()
	certify := func(did registry.DID, key keys.Signer, use asn1.ObjectIdentifier) [][]byte {
		return [][]byte{must(ca.Issue(keys.LeafConfig{CommonName: "leaf", Organization: "Gaon", URI: string(did), Key: key.Public(), NotBefore: from,
			NotAfter: from.AddDate(2, 0, 0), EKU: []asn1.ObjectIdentifier{use}}))(t)}
	}
	m.agency = m.c.Agency("gaon")
	m.agency.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "k2", Use: registry.UseAssertion, Key: must(registry.NewPublicKey(m.key.Public().Crypto()))(t)}}})
	m.leaf = certify(m.agency.DID, m.key, keys.EKUDocumentSigner)

	second, secondKey := m.c.NewAgency("second"), must(keys.Generate(keys.ES256))(t)
	create := second.CreateOperation()
	create.Body.(*registry.CreateBody).Keys = []registry.NewKey{{ID: "st", Use: registry.UseStatus, Key: must(registry.NewPublicKey(secondKey.Public().Crypto()))(t)}}
	second.Created(create)
	m.c.Must(m.c.Op(create, second.Op(0).As(registry.RoleOp)))
	accredit := m.agency.AccreditOperation(monthType, 1)
	body := accredit.Body.(*registry.AccreditBody)
	body.Roots, body.Host = [][32]byte{sha256.Sum256(m.root.Raw)}, monthHost
	if named {
		body.Operator = second.DID
	}
	m.c.Must(m.c.Op(accredit, chaintest.Member(0)))

	m.second = second.DID
	m.store = must(node.OpenStatusStore(t.TempDir()))(t)
	m.list = must(statuslist.NewPublisher(must(statuslist.NewValues(2, make([]byte, 25_000)))(t)))(t)
	must(0, m.list.Set(m.held["suspended"], statuslist.Suspended))(t)
	must(0, m.list.Set(m.held["revoked"], statuslist.Revoked))(t)
	for name, index := range m.held {
		m.issued[name] = m.issue(t, index)
	}
	m.publish(t)
	m.operator = must(operator.New(operator.Config{
		Issuer: m.agency.DID, Via: registry.AccreditationRef{Type: monthType, N: 1}, DID: second.DID, KeyID: "st", Key: secondKey,
		X5C: certify(second.DID, secondKey, keys.EKUStatusSigner), Chain: m, Submitter: m, Network: chaintest.Network, ChainID: chaintest.ChainID,
		Dir: t.TempDir(), Now: m.c.Now, Every: 12 * time.Hour,
	}))(t)
	m.at = httptest.NewServer(m.operator.Handler())
	t.Cleanup(m.at.Close)
	m.online = must(verifier.New(verifier.Config{Network: chaintest.Network, Registry: m, Status: m, Roots: []*x509.Certificate{m.root}}))(t)
	m.begin = m.c.Now()
	return m
}

func (m *month) uri() string { return monthHost + "/" + m.agency.DID.ID() + "/1" }

func (m *month) issue(t *testing.T, index uint64) string {
	t.Helper()
	return must(must(sdjwt.Prepare(sdjwt.Credential{
		Alg: keys.ES256, Kid: m.agency.DID.URL("k2"), X5C: m.leaf, Issuer: string(m.agency.DID), VCT: monthType,
		IssuedAt: chaintest.Begin, Expires: chaintest.Begin.AddDate(0, 0, 60), Holder: m.holder.Public(), Status: &sdjwt.StatusRef{URI: m.uri(), Index: index},
		Claims: []sdjwt.Claim{{Name: "date_of_expiry", Value: sdjwt.Text("2029-11-20")}, {Name: "age_over_19", Value: sdjwt.Flag(true), SD: true}},
	}, rand.Reader))(t).Sign(m.key))(t)
}

// publish is the issuer's own: it takes over what its operator made worse, as it must before it goes on.
func (m *month) publish(t *testing.T) {
	t.Helper()
	if e, _, err := m.StatusEpoch(t.Context(), m.agency.DID); err == nil {
		m.sequence = e.Sequence
		l := must(m.store.List(m.uri(), statuslist.MediaTypeJWT))(t)
		values := must(must(statuslist.ParseRecord(l.Record))(t).Read(statuslist.MediaTypeJWT, l.Token))(t)
		m.list = must(statuslist.NewPublisher(values))(t)
	}
	m.sequence++
	s, now := must(m.list.Snapshot())(t), m.c.Now().Truncate(time.Second)
	token := must(statuslist.SignJWT(m.key, keys.Header{Kid: m.agency.DID.URL("k2"), X5C: m.leaf}, statuslist.Claims{
		URI: m.uri(), IssuedAt: now, ExpiresAt: now.AddDate(0, 0, 7), TTL: 10 * time.Minute, Bits: s.Bits, Compressed: s.Compressed}))(t)
	record := must(statuslist.Record{URI: m.uri(), Bits: s.Bits, Length: s.Length, Root: s.Root, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal())(t)
	m.served = listsAt{records: [][]byte{record}, token: token}
	m.known = nil
	m.c.Must(m.c.Op(registry.Operation{DID: m.agency.DID, Seq: m.sequence, Body: &registry.EpochBody{IssuedAt: now.Unix(), NextUpdate: now.Add(30 * time.Minute).Unix(),
		Root: statuslist.EpochRoot([][]byte{record})}}, registry.SigningKey{Role: m.agency.DID.URL("k2"), Public: must(registry.NewPublicKey(m.key.Public().Crypto()))(t), Signer: m.key}))
	must(0, m.store.Put(t.Context(), m.epoch(t), m.served))(t)
}

// revoke is an officer's word at the second site.
func (m *month) revoke(t *testing.T) {
	t.Helper()
	d := operator.Decision{Officer: "officer-7", Reason: "LOST", To: statuslist.Revoked, Entries: []statuslist.Reference{{URI: m.uri(), Index: m.held["victim"]}}}
	must(0, m.operator.Worsen(t.Context(), d))(t)
	m.follow(t)
	for name, index := range map[string]uint64{"victim": m.held["victim"], "revoked": m.held["revoked"]} {
		d.To, d.Entries = statuslist.Suspended, []statuslist.Reference{{URI: m.uri(), Index: index}}
		if err := m.operator.Worsen(t.Context(), d); !errors.Is(err, operator.ErrNotWorse) {
			t.Errorf("%s can be made better: %v", name, err)
		}
	}
}

// follow is what a node does on a new epoch; the issuer is off, so that it asks the operator.
func (m *month) follow(t *testing.T) {
	t.Helper()
	must(0, m.store.Put(t.Context(), m.epoch(t), operatorLists(m.at.URL+"/"+m.agency.DID.ID())))(t)
}

func (m *month) epoch(t *testing.T) registry.StatusEpoch {
	t.Helper()
	fact, _, err := m.c.Machine.Status(m.agency.DID)
	if err != nil {
		t.Fatal(err)
	}
	return must(fact.Epoch(m.agency.DID))(t)
}

// onlyWorse compares every entry of what is served now with the issuer's own last list.
func (m *month) onlyWorse(t *testing.T) {
	t.Helper()
	l := must(m.store.List(m.uri(), statuslist.MediaTypeJWT))(t)
	now := must(must(statuslist.ParseRecord(l.Record))(t).Read(statuslist.MediaTypeJWT, l.Token))(t)
	changed := 0
	for i := range now.Len() {
		before, after := must(m.list.Get(i))(t), must(now.Status(i))(t)
		if !after.Worse(before) {
			t.Errorf("entry %d: %v became %v", i, before, after)
		}
		if after != before {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d entries changed, one was revoked", changed)
	}
}

// judge shows a credential's one claim to a verifier, with Evidence or without.
func (m *month) judge(t *testing.T, v *verifier.Verifier, name string, stapled []byte) verifier.Judgement {
	t.Helper()
	now := m.c.Now()
	kb := sdjwt.KeyBinding{Audience: "x509_hash:company", Nonce: "n-0S6_WzA2Mj", IssuedAt: now}
	text := must(must(sdjwt.Open(m.issued[name]))(t).Present([]sdjwt.Path{{"age_over_19"}}, kb, m.holder))(t)
	var policy *verifier.Policy
	for _, p := range must(verifier.BuiltinPolicies(nil))(t) {
		if p.Name() == "adult-check" {
			policy = p
		}
	}
	return must(v.Judge(t.Context(), verifier.Submission{Presentations: map[string][]string{"resident": {text}}, Evidence: stapled}, policy,
		verifier.Expect{Audience: kb.Audience, Nonce: kb.Nonce, Now: now}))(t)
}

// offline is a verifier that knows a trust file and a root, and asks nobody.
func (m *month) offline() *verifier.Verifier {
	return must(verifier.New(verifier.Config{Network: chaintest.Network, Roots: []*x509.Certificate{m.root}, Staples: verifier.Staples(evidence.Checker{Trust: m.trust()})}))(m.t)
}

// staple is what a wallet attaches: Evidence of the newest state, its own chunk, and the issuer's own.
func (m *month) staple(t *testing.T, name string) []byte {
	t.Helper()
	l := must(m.store.List(m.uri(), statuslist.MediaTypeJWT))(t)
	cut := func(record, token []byte) []byte {
		return must(must(must(statuslist.ParseRecord(record))(t).Read(statuslist.MediaTypeJWT, token))(t).CutChunk(m.held[name]))(t)
	}
	s := evidence.Status{Record: l.Record, Index: l.Index, Size: l.Size, Path: l.Path, Chunk: cut(l.Record, l.Token)}
	if b := l.Base; b != nil {
		s.Base = &evidence.Status{Record: b.Record, Index: b.Index, Size: b.Size, Path: b.Path}
		if len(b.Token) > 0 {
			s.Base.Chunk = cut(b.Record, b.Token)
		}
	}
	out := must(evidence.Attach(m.c.Evidence(m.query()), s))(t)
	if len(out) > 8<<10 {
		t.Fatalf("stapled %d bytes", len(out))
	}
	return out
}

func (m *month) query() chain.Query {
	return chain.Query{Keys: []chain.KeyRef{{DID: m.agency.DID, ID: "k2"}}, Status: []registry.DID{m.agency.DID},
		Accreditations: []chain.AccreditationRef{{DID: m.agency.DID, Type: monthType}}}
}

// trust moves with the chain, as that of a reader who follows it does.
func (m *month) trust() evidence.Trust {
	trust, head := m.c.Trust(), m.c.Headers[len(m.c.Headers)-1]
	trust.Height, trust.Hash, trust.Time = head.Height, head.Hash(), head.Time
	return trust
}

// facts are those of the newest state, proven. They are asked for once a moment, as by a reader who follows the chain.
func (m *month) facts() *evidence.Facts {
	if m.known == nil {
		q := m.query()
		q.Keys = append(q.Keys, chain.KeyRef{DID: m.second, ID: "st"})
		m.known = must(evidence.Check(m.c.Evidence(q), m.trust(), m.c.Now()))(m.t)
	}
	return m.known
}

// The month is a registry.Resolver, a StatusSource and a Submitter as registry/light is one.

func (m *month) Key(ctx context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	return m.facts().Key(ctx, did, id, at)
}

func (m *month) Accreditation(ctx context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	return m.facts().Accreditation(ctx, did, vct, at)
}

func (m *month) Registration(context.Context, registry.DID, string, time.Time) (registry.Registration, registry.Checked, error) {
	return registry.Registration{}, registry.Checked{}, registry.ErrUnavailable
}

func (m *month) TypeDigest(context.Context, string) ([32]byte, registry.Checked, error) {
	return [32]byte{}, registry.Checked{}, registry.ErrUnavailable
}

func (m *month) StatusEpoch(ctx context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	return m.facts().StatusEpoch(ctx, did)
}

func (m *month) StatusRecords(_ context.Context, did registry.DID) ([][]byte, error) {
	return m.store.Records(did, false)
}

func (m *month) StatusList(_ context.Context, uri, mediaType string) (registry.StatusList, error) {
	l, err := m.store.List(uri, mediaType)
	return l.StatusList, err
}

func (m *month) Submit(_ context.Context, operations ...[]byte) ([]registry.Outcome, error) {
	m.known = nil
	return m.c.Do(operations...), nil
}

// listsAt is what the issuer's publisher serves.
type listsAt struct {
	records [][]byte
	token   []byte
}

func (l listsAt) Records(context.Context, bool) ([][]byte, error) { return l.records, nil }

func (l listsAt) Token(context.Context, string, string, bool) ([]byte, error) { return l.token, nil }

// operatorLists is the operator's publisher, over HTTP.
type operatorLists string

func (u operatorLists) get(ctx context.Context, name, accept string, base bool) ([]byte, error) {
	url := string(u) + "/" + name
	if base {
		url = string(u) + "/base/" + name
	}
	return registrytest.Fetch(ctx, url, accept, 1<<20)
}

func (u operatorLists) Records(ctx context.Context, base bool) ([][]byte, error) {
	raw, err := u.get(ctx, "records", "application/cbor", base)
	var records [][]byte
	if err == nil {
		err = registry.Decode(raw, &records)
	}
	return records, err
}

func (u operatorLists) Token(ctx context.Context, _, mediaType string, base bool) ([]byte, error) {
	return u.get(ctx, "1", mediaType, base)
}
