package web_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/evidence/entry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/registry/web"
)

const (
	archiveType = "urn:dojang:vct:kr:resident-id:1"
	archiveHost = "https://status.example"
	listLength  = 20_000 // entries of 2 bits: five chunks
)

// A press publishes lists of an agency, and those of its second status operator.
type press struct {
	*httptest.Server
	t   *testing.T
	key keys.Signer

	mu     sync.Mutex
	served map[string][]byte // by path and Accept

	did, operator registry.DID
	values        [2]statuslist.Values
	last          registry.StatusEpoch // by the agency
	lastServed    map[string][]byte
	begin         time.Time
}

func newPress(t *testing.T) *press {
	key, err := keys.Generate(keys.ES256)
	must(t, err)
	p := &press{t: t, key: key, served: map[string][]byte{}, begin: time.Now().Add(-9 * time.Minute).UTC().Truncate(time.Second)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		body, ok := p.served[r.URL.Path+" "+r.Header.Get("Accept")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(p.Close)
	for i := range p.values {
		p.values[i], err = statuslist.NewValues(2, make([]byte, listLength/4))
		must(t, err)
	}
	return p
}

func (p *press) uri(n int) string { return archiveHost + "/" + p.did.ID() + "/" + string(rune('1'+n)) }

// set an entry of the first list.
func (p *press) set(idx uint64, s statuslist.Status) {
	list, err := statuslist.NewPublisher(p.values[0])
	must(p.t, err)
	must(p.t, list.Set(idx, s))
	p.values[0] = list.Values()
}

// print signs both lists for an epoch and serves them.
func (p *press) print(sequence uint64, byOperator bool) registry.StatusEpoch {
	p.t.Helper()
	issued := p.begin.Add(time.Duration(sequence) * time.Second)
	e := registry.StatusEpoch{Issuer: p.did, Sequence: sequence, IssuedAt: issued, NextUpdate: issued.Add(24 * time.Hour)}
	base := "/lists"
	if byOperator {
		base = "/operator/" + p.did.ID()
	}
	served := map[string][]byte{}
	var records [][]byte
	for n, v := range p.values {
		compressed, err := statuslist.Deflate(v.Raw())
		must(p.t, err)
		token, err := statuslist.SignJWT(p.key, keys.Header{Kid: "k"}, statuslist.Claims{URI: p.uri(n), IssuedAt: issued, ExpiresAt: issued.Add(48 * time.Hour), TTL: time.Minute, Bits: 2, Compressed: compressed})
		must(p.t, err)
		record, err := statuslist.Record{URI: p.uri(n), Bits: 2, Length: listLength, Root: v.Root(), Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal()
		must(p.t, err)
		records = append(records, record)
		served["/"+string(rune('1'+n))+" "+node.StatusJWT] = token
	}
	raw, err := registry.Encode(records)
	must(p.t, err)
	served["/records application/cbor"] = raw
	e.Root = statuslist.EpochRoot(records)
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.served)
	for path, body := range served {
		p.served[base+path] = body
	}
	if byOperator {
		for path, body := range p.lastServed {
			p.served[base+"/base"+path] = body
		}
	} else {
		p.last, p.lastServed = e, served
	}
	return e
}

// A past is a network of one validator with an agency whose lists have a history, pruned as far as it goes.
type past struct {
	t     *testing.T
	n     *node.Node
	front *httptest.Server
	press *press
	trust evidence.Trust
	agent registry.SigningKey // of the agency, and of its operator
	other registry.SigningKey
	fetch node.Fetch

	listen string // of the node, for peers
}

func newPast(t *testing.T) *past {
	p := &past{t: t, press: newPress(t)}
	p.fetch = fetchVia("https://issuer.example", p.press.URL)
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 100 * time.Millisecond, Fetch: p.fetch, RetainBlocks: 10, SnapshotBlocks: 5,
		Chain: chain.Config{KeepVersions: 5}, Each: func(_ int, cfg *node.Config) {
			cfg.Allow, p.listen = func(string) bool { return true }, cfg.Listen
		}})
	must(t, err)
	must(t, l.Start(t.Context()))
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	p.n = l.Nodes[0]
	p.front = faceOf(t, p.n)
	p.trust, err = p.n.Trust(time.Now().Add(time.Hour))
	must(t, err)
	p.agent, p.other = registrytest.NewKey(t, ""), registrytest.NewKey(t, "")
	p.press.did = p.create(registry.NewKey{ID: "k", Use: registry.UseAssertion, Key: p.agent.Public}, "https://issuer.example/lists").did
	p.press.operator = p.create(registry.NewKey{ID: "st", Use: registry.UseStatus, Key: p.other.Public}, "https://issuer.example/operator").did
	p.agent.Role, p.other.Role = p.press.did.URL("k"), p.press.operator.URL("st")
	member := l.Governance["member-1"]
	public, err := registry.NewPublicKey(member.Public())
	must(t, err)
	p.submit(registry.Operation{Network: p.n.Network(), ChainID: p.n.ChainID(), DID: p.press.did, Body: &registry.AccreditBody{Type: archiveType, N: 1, Basis: []string{"test"},
		Host: archiveHost, From: time.Now().Add(-time.Hour).Unix(), Operator: p.press.operator}}, registry.SigningKey{Role: registry.RoleMember("member-1"), Public: public, Signer: registrytest.Ed25519(member)})
	return p
}

type created struct {
	registry.Outcome
	did registry.DID
}

func (p *past) create(key registry.NewKey, endpoint string) created {
	p.t.Helper()
	op := registrytest.NewKey(p.t, registry.RoleOp)
	o := registry.Operation{Network: p.n.Network(), ChainID: p.n.ChainID(), Body: &registry.CreateBody{Op: op.Public, Next: registrytest.NewKey(p.t, "").Public.Hash(),
		Recovery: registrytest.NewKey(p.t, "").Public.Hash(), Keys: []registry.NewKey{key}, Services: []registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: endpoint}}}}
	d, err := o.CreatedDID()
	must(p.t, err)
	return created{p.submit(o, op), d}
}

// faceOf serves a node's public face.
func faceOf(t *testing.T, n *node.Node) *httptest.Server {
	t.Helper()
	s, err := web.New(web.Config{Node: n, StatusURL: archiveHost})
	must(t, err)
	front := httptest.NewServer(s.Public())
	t.Cleanup(front.Close)
	return front
}

func (p *past) submit(o registry.Operation, key registry.SigningKey) registry.Outcome {
	p.t.Helper()
	raw, err := o.Sign(key)
	must(p.t, err)
	out, err := p.n.Submit(p.t.Context(), raw)
	must(p.t, err)
	if out[0].Code != string(registry.CodeOK) {
		p.t.Fatalf("%+v", out)
	}
	return out[0]
}

// publish puts an epoch on the chain and waits until the node has stored its lists.
func (p *past) publish(sequence uint64, byOperator bool) registry.Outcome {
	p.t.Helper()
	e := p.press.print(sequence, byOperator)
	body := &registry.EpochBody{IssuedAt: e.IssuedAt.Unix(), NextUpdate: e.NextUpdate.Unix(), Root: e.Root}
	key := p.agent
	if byOperator {
		body.Via, key = &registry.AccreditationRef{Type: archiveType, N: 1}, p.other
	}
	out := p.submit(registry.Operation{Network: p.n.Network(), ChainID: p.n.ChainID(), DID: p.press.did, Seq: sequence, Body: body}, key)
	patiently(p.t, "the lists of an epoch are stored", func() bool {
		have, _ := p.n.Statuses().Epoch(p.press.did)
		return have.Sequence == sequence
	})
	return out
}

// moment is a second in which what was just done holds, and which ends before anything else is done.
func (p *past) moment(out registry.Outcome) time.Time {
	p.t.Helper()
	_, at, err := p.n.Header(out.Height + 1)
	must(p.t, err)
	at = at.Truncate(time.Second).Add(time.Second)
	patiently(p.t, "the chain's clock goes on", func() bool { return p.n.Health().Time.After(at.Add(time.Second)) })
	return at
}

func patiently(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func (p *past) client(url string) *light.Client {
	p.t.Helper()
	c, err := light.New(light.Config{Nodes: []string{url}, Trust: p.trust, CacheTTL: time.Millisecond})
	must(p.t, err)
	return c
}

// A question about an entry, and its answer.
type question struct {
	name      string
	at, known time.Time
	list      int
	idx       uint64
	want      statuslist.Status
	base      statuslist.Status // of the issuer's own last list
	err       error
}

// ask a node, and check the answer as anybody would in ten years, with nothing but a published head.
func (p *past) ask(c *light.Client, q question) error {
	p.t.Helper()
	facts, raw, err := c.Facts(p.t.Context(), light.Query{DID: p.press.did, Status: true, List: p.press.uri(q.list), Entry: q.idx, At: q.at, Known: q.known})
	if err != nil {
		return err
	}
	head := evidence.HeadOf(facts, p.n.ChainID())
	offline, err := evidence.Check(raw, head.Trust(), time.Now().AddDate(10, 0, 0))
	must(p.t, err)
	a, err := entry.At(offline, p.press.did, statuslist.Reference{URI: p.press.uri(q.list), Index: q.idx}, evidence.Moment{At: q.at, Known: q.known})
	if q.err != nil {
		if !errors.Is(err, q.err) {
			p.t.Errorf("%s: %+v %v", q.name, a, err)
		}
		return nil
	}
	if err != nil || a.Status != q.want || a.Base != q.base {
		p.t.Errorf("%s: %v, the issuer's own %v: %v", q.name, a.Status, a.Base, err)
	}
	return nil
}

// Entries of lists that were replaced fifty times since, proven as they were at T, as known at K: by the node that was there, with its
// issuer off, blocks and states pruned; and by one that came by a snapshot, out of the archives of others.
func TestEntryOfThePast(t *testing.T) {
	p := newPast(t)
	_, first, err := p.n.Header(1)
	must(t, err)
	const entryA, entryB, flipped = 4711, 15_000, 9000
	const valid, revoked, suspended = statuslist.Valid, statuslist.Revoked, statuslist.Suspended
	p.press.set(flipped, suspended)
	t1 := p.moment(p.publish(1, false))
	p.press.set(entryA, revoked)
	t2 := p.moment(p.publish(2, false))
	p.press.set(entryB, suspended)
	t3 := p.moment(p.publish(3, true))
	t4 := p.moment(p.publish(4, true)) // re-dated only
	p.press.set(flipped, valid)        // lifted by the issuer, which has taken over the rest
	t5 := p.moment(p.publish(5, false))
	for sequence := uint64(6); sequence < 60; sequence++ {
		p.press.set(100*sequence, suspended)
		p.publish(sequence, false)
	}
	p.press.Close()                                 // for good
	patiently(t, "blocks are pruned", func() bool { // of a quiet network they are kept
		must(t, p.n.WaitHeight(t.Context(), p.create(registry.NewKey{ID: "k", Use: registry.UseAssertion, Key: registrytest.NewKey(t, "").Public}, "https://a.example").Height+3))
		_, err := p.n.Transactions(60)
		return errors.Is(err, registry.ErrNotFound)
	})
	questions := []question{
		{name: "valid then, as known then", at: t1, known: t1, idx: entryA, want: valid, base: valid},
		{name: "valid then, as known today", at: t1, idx: entryA, want: valid, base: valid},
		{name: "revoked since, as known before", at: t2, known: t1, idx: entryA, want: valid, base: valid},
		{name: "revoked, as known then", at: t2, known: t2, idx: entryA, want: revoked, base: revoked},
		{name: "revoked, known without a moment", known: t2, idx: entryA, want: revoked, base: revoked},
		{name: "suspended by nobody yet", at: t2, idx: entryB, want: valid, base: valid},
		{name: "suspended by the operator", at: t3, idx: entryB, want: suspended, base: valid},
		{name: "in another list of the operator", at: t3, list: 1, idx: entryB, want: valid, base: valid},
		{name: "re-dated by the operator", at: t4, known: t5, idx: entryB, want: suspended, base: valid},
		{name: "re-dated, of an entry that was not touched", at: t4, idx: entryA, want: revoked, base: revoked},
		{name: "taken over by the issuer", at: t5, idx: entryB, want: suspended, base: suspended},
		{name: "lifted since", at: t4, idx: flipped, want: suspended, base: suspended},
		{name: "lifted", at: t5, idx: flipped, want: valid, base: valid},
		{name: "the newest", at: time.Now().Add(time.Hour), idx: 5900, want: suspended, base: suspended},
		{name: "before there was a list", at: first, known: first, idx: entryA, err: registry.ErrNotFound},
		{name: "an entry that the list does not have, beside one it has", at: t1, idx: listLength + 1, err: statuslist.ErrIndex},
	}
	all := func(t *testing.T, c *light.Client) {
		t.Helper()
		for _, q := range questions {
			if err := p.ask(c, q); err != nil {
				t.Errorf("%s: %v", q.name, err)
			}
		}
	}
	t.Run("by the node that was there", func(t *testing.T) { all(t, p.client(p.front.URL)) })
	t.Run("what no list has is not proven", func(t *testing.T) {
		for name, q := range map[string]question{"no such list": {at: t1, list: 7}, "far outside of it": {at: t1, idx: 3 * listLength}} {
			if err := p.ask(p.client(p.front.URL), q); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("a node is asked for a group of entries, never for one", func(t *testing.T) {
		q := light.Query{DID: p.press.did, Status: true, List: p.press.uri(0), Entry: entryA, At: t1}.Values()
		if q.Get("entry") != "4096" {
			t.Errorf("asked for %s", q.Get("entry"))
		}
		q.Set("entry", "4711")
		if a := get(t, p.front.URL+"/v1/evidence?"+q.Encode(), ""); a.status != http.StatusBadRequest {
			t.Errorf("%d", a.status)
		}
		q = light.Query{DID: p.press.did, Status: true, List: p.press.uri(0)}.Values() // of the newest, the whole list is to be had
		if a := get(t, p.front.URL+"/v1/evidence?"+q.Encode(), ""); a.status != http.StatusBadRequest {
			t.Errorf("without a moment: %d", a.status)
		}
	})
	t.Run("what peers may ask for", func(t *testing.T) {
		one := node.EncodeHashes([][32]byte{{7}})
		for query, want := range map[string]int{"": 400, "hash=" + one: 200, "root=" + one: 200, "hash=" + one + "&root=" + one: 400, "hash=ab": 400, "hash=": 400, "other=" + one: 400,
			"hash=" + one + "&hash=" + one: 400, "hash=" + one + "=": 400, "hash=" + node.EncodeHashes(make([][32]byte, node.MaxArchived)): 200,
			"hash=" + node.EncodeHashes(make([][32]byte, node.MaxArchived+1)): 400} {
			if a := get(t, p.front.URL+node.ArchivePath+"?"+query, ""); a.status != want {
				t.Errorf("%.80s: %d, want %d", query, a.status, want)
			}
		}
	})
	t.Run("by a node that came by a snapshot", func(t *testing.T) {
		home := t.TempDir()
		raw, err := p.n.Genesis()
		must(t, err)
		_, err = node.Init(home)
		must(t, err)
		must(t, node.WriteGenesis(home, raw))
		_, err = node.StateSync(t.Context(), home, p.client(p.front.URL), nil)
		must(t, err)
		run := func(faces ...string) (*node.Node, *httptest.Server) {
			t.Helper()
			n, err := node.New(node.Config{Home: home, Fetch: p.fetch, Faces: faces, Peers: []string{p.n.ID() + "@" + p.listen}})
			must(t, err)
			must(t, n.Start(t.Context()))
			patiently(t, "it has the newest header", func() bool { return n.Health().State == "ok" && n.Health().Height >= p.n.Health().Height-2 })
			return n, faceOf(t, n)
		}
		alone, front := run()
		for _, q := range questions[:3] {
			if err := p.ask(p.client(front.URL), q); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("%s, with an empty archive: %v", q.name, err)
			}
		}
		must(t, alone.Stop(t.Context()))
		joined, front := run(hostile(t, p.front.URL), p.front.URL)
		defer func() { _ = joined.Stop(context.Background()) }()
		c := p.client(front.URL)
		patiently(t, "its archive is full", func() bool {
			err := p.ask(c, questions[0])
			if err != nil && !errors.Is(err, registry.ErrUnavailable) {
				t.Fatal(err)
			}
			return err == nil && joined.ArchiveMissing() == 0
		})
		all(t, c)
		must(t, joined.Stop(t.Context()))
		for _, r := range fsck(t, home) {
			if r.ID == "registry/archive" && (r.Checked < 100 || r.Violations != 0) {
				t.Errorf("%+v", r)
			}
		}
	})
}

func fsck(t *testing.T, home string) []node.Row {
	t.Helper()
	rows, err := node.Fsck(t.Context(), filepath.Clean(home))
	must(t, err)
	return rows
}

// hostile is a peer that bends everything in its archive.
func hostile(t *testing.T, really string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := registrytest.Fetch(r.Context(), really+r.URL.RequestURI(), "application/cbor", 4<<20)
		if err != nil || !strings.HasPrefix(r.URL.Path, node.ArchivePath) {
			http.NotFound(w, r)
			return
		}
		body[len(body)-1] ^= 1
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}
