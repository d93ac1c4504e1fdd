package holder_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

var start = time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC)

const residentID = "urn:dojang:kr:resident-id:1"

// world is a wallet, an agency, a shop, and the registry that knows both. Nothing in it is shared between tests.
type world struct {
	*holder.Holder
	t      *testing.T
	db     *sqldb.DB
	facts  *facts
	agency *agency
	shop   *shop
	other  *shop
	cfg    holder.Config
	mu     sync.Mutex
	at     time.Time // guarded by mu
}

func newWorld(t *testing.T, change ...func(*holder.Config)) *world {
	t.Helper()
	return openWorld(t, sqldbtest.SQLite(t), change...)
}

func openWorld(t *testing.T, database string, change ...func(*holder.Config)) *world {
	t.Helper()
	w := &world{t: t, at: start, facts: newFacts()}
	w.db = must(sqldb.Open(t.Context(), database))(t)
	t.Cleanup(func() { w.db.Close() })
	w.agency, w.shop, w.other = newAgency(w, "GaonAgency1"), newShop(w, "NoriShop1"), newShop(w, "SoriShop1")
	origins := []string{w.agency.origin, w.shop.origin, w.other.origin}
	w.cfg = holder.Config{
		DB: w.db, Secret: []byte(strings.Repeat("s", 32)), HTTP: must(httpd.NewClient(httpd.ClientConfig{Origins: origins}))(t),
		Registry: w.facts, Status: w.facts, Evidence: w.facts, Language: "en", Now: w.now,
		AllowHTTP: func(url string) bool {
			return slices.ContainsFunc(origins, func(o string) bool { return strings.HasPrefix(url, o+"/") })
		},
	}
	for _, f := range change {
		f(&w.cfg)
	}
	w.Holder = must(holder.New(t.Context(), w.cfg))(t)
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.at
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at = w.at.Add(d)
}

// receive takes an offer of the agency.
func (w *world) receive() holder.Received {
	w.t.Helper()
	o := must(w.Offer(w.t.Context(), w.agency.offer()))(w.t)
	return must(w.Receive(w.t.Context(), o, ""))(w.t)[0]
}

// rows is everything that the store holds, as text: two equal ones mean that nothing changed.
func (w *world) rows() string {
	w.t.Helper()
	var b strings.Builder
	err := w.db.Read(w.t.Context(), func(tx *sqldb.Tx) error {
		for _, q := range []string{ // two texts, a number, two blobs
			`SELECT id, did || kid || vct || issuer, received_at, NULL, NULL FROM credential ORDER BY id`,
			`SELECT credential, status_uri, n, token, used_for FROM copy ORDER BY credential, n`,
			`SELECT credential, '', n, private, chunk FROM copy ORDER BY credential, n`,
			`SELECT id, outcome, at, line, NULL FROM submission ORDER BY id`,
			`SELECT status_uri, kid || vct, known_at, bytes, record FROM evidence ORDER BY status_uri`,
			`SELECT provider, id, 0, private, NULL FROM instance ORDER BY provider`,
		} {
			if err := dump(tx, q, &b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return b.String()
}

func dump(tx *sqldb.Tx, query string, b *strings.Builder) error {
	rows, err := tx.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var first, second string
		var n int64
		var x, y []byte
		if err := rows.Scan(&first, &second, &n, &x, &y); err != nil {
			return err
		}
		fmt.Fprintf(b, "%s %s %d %x %x\n", first, second, n, sha256.Sum256(x), sha256.Sum256(y))
	}
	return rows.Close()
}

// unchanged fails when err is not want or the store changed.
func (w *world) unchanged(err, want error, before string) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Errorf("got error %v, want %v", err, want)
	}
	if after := w.rows(); after != before {
		w.t.Errorf("the store changed:\n%s\nbefore:\n%s", after, before)
	}
}

// facts is a registry that knows what the test says.
type facts struct {
	mu            sync.Mutex
	keys          map[string]registry.Key           // DID URL
	accreditation map[string]registry.Accreditation // DID + type
	registration  map[string]registry.Registration  // DID + purpose
	epochs        map[registry.DID]registry.StatusEpoch
	lists         map[string]registry.StatusList
	knownAt       time.Time
	evidence      []byte
	err           error // of every answer about DIDs
	nodes         error // of lists and Evidence: nodes are down, what was resolved is cached
	asked         int   // questions that go to nodes
}

func newFacts() *facts {
	return &facts{
		keys: map[string]registry.Key{}, accreditation: map[string]registry.Accreditation{}, registration: map[string]registry.Registration{},
		epochs: map[registry.DID]registry.StatusEpoch{}, lists: map[string]registry.StatusList{}, knownAt: start, evidence: someEvidence(),
	}
}

// change alters the facts under their lock.
func (f *facts) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

func lookup[T any](f *facts, m map[string]T, key string) (T, registry.Checked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v, ok := m[key]
	switch {
	case f.err != nil:
		return *new(T), registry.Checked{}, f.err
	case !ok:
		return v, registry.Checked{}, registry.ErrNotFound
	}
	return v, registry.Checked{Height: 7, KnownAt: f.knownAt}, nil
}

func (f *facts) Key(_ context.Context, did registry.DID, id string, _ time.Time) (registry.Key, registry.Checked, error) {
	return lookup(f, f.keys, did.URL(id))
}

func (f *facts) Accreditation(_ context.Context, did registry.DID, vct string, _ time.Time) (registry.Accreditation, registry.Checked, error) {
	return lookup(f, f.accreditation, string(did)+vct)
}

func (f *facts) Registration(_ context.Context, did registry.DID, purpose string, _ time.Time) (registry.Registration, registry.Checked, error) {
	return lookup(f, f.registration, string(did)+purpose)
}

func (f *facts) TypeDigest(context.Context, string) ([32]byte, registry.Checked, error) {
	return [32]byte{}, registry.Checked{}, registry.ErrNotFound
}

func (f *facts) StatusEpoch(_ context.Context, issuer registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.epochs[issuer]
	if !ok {
		return e, registry.Checked{}, registry.ErrNotFound
	}
	return e, registry.Checked{Height: 7, KnownAt: f.knownAt}, f.err
}

func (f *facts) StatusList(_ context.Context, uri, mediaType string) (registry.StatusList, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	l, ok := f.lists[uri]
	if !ok || mediaType != "application/statuslist+jwt" {
		return l, registry.ErrUnavailable
	}
	return l, f.nodes
}

func (f *facts) StatusEvidence(_ context.Context, did registry.DID, kid, vct string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if did == "" || kid == "" || vct == "" {
		return nil, registry.ErrNotFound
	}
	return f.evidence, f.nodes
}

// someEvidence is well-formed Evidence; who checks it is not the wallet.
func someEvidence() []byte {
	b, err := evidence.Build(evidence.Material{
		ChainID: "dojang-demo-1", State: evidence.StateProof{Tree: []byte{1}},
		Headers: []evidence.SignedHeader{{Header: evidence.Header{
			ChainID: "dojang-demo-1", Height: 7, Time: start, Validators: make([]byte, 32), AppHash: make([]byte, 32),
		}}},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// An organisation has a DID, a key fact, and a certificate that says the same.
type organisation struct {
	did    registry.DID
	keyID  string
	signer keys.Signer
	chain  [][]byte
	root   []byte
}

func newOrganisation(t *testing.T, id string, use registry.KeyUse, f *facts) organisation {
	t.Helper()
	o := organisation{did: registry.DID("did:dojang:demo:" + id), keyID: string(use) + "-1", signer: newSigner(t)}
	o.root, o.chain = certify(t, o, start.Add(365*24*time.Hour))
	f.keys[o.url()] = registry.Key{DID: o.did, ID: o.keyID, Use: use, JWK: o.signer.Public().JWK(), ActiveFrom: start.Add(-time.Hour)}
	return o
}

func (o organisation) url() string { return o.did.URL(o.keyID) }

func certify(t *testing.T, o organisation, until time.Time) (root []byte, chain [][]byte) {
	t.Helper()
	from := start.Add(-24 * time.Hour)
	authority := must(keys.NewRoot(keys.RootConfig{
		CommonName: "Test Root", PermittedDNS: []string{"localhost"}, NotBefore: from.Add(-time.Hour), NotAfter: start.Add(20 * 365 * 24 * time.Hour), Key: newSigner(t),
	}))(t)
	leaf := must(authority.Issue(keys.LeafConfig{
		CommonName: "Test", URI: string(o.did), DNS: []string{"localhost"}, Key: o.signer.Public(), NotBefore: from, NotAfter: until,
	}))(t)
	return authority.Root().Raw, [][]byte{leaf}
}

// serve listens on loopback; the origin is what the world publishes.
func serve(t *testing.T, h http.Handler) (origin string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return "http://localhost:" + port
}

func newSigner(t *testing.T) keys.Signer { t.Helper(); return must(keys.Generate(keys.ES256))(t) }

// must fails the test on an error: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
