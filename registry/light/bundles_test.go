package light_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// months is a node of a chain whose blocks are as far apart as a test wants: time there is the chain's.
type months struct {
	mu      sync.Mutex
	chain   *chaintest.Chain
	agency  *chaintest.Agency
	bundles map[uint64][]byte
	asked   int
}

func (m *months) now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.chain.Now()
}

// pass lets time pass, and makes a block then.
func (m *months) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chain.Time = m.chain.Time.Add(d)
	m.agency.Epoch() // a block with a transaction: also the headers of a quiet time come into the header tree
	m.chain.Block()
}

func (m *months) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r.URL.Path {
	case "/v1/evidence":
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		q, err := light.ParseQuery(values)
		if err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		var cq chain.Query
		for _, id := range q.Keys {
			cq.Keys = append(cq.Keys, chain.KeyRef{DID: q.DID, ID: id})
		}
		_, _ = w.Write(m.chain.Evidence(cq))
	case "/v1/trust-bundles":
		m.asked++
		after, _ := strconv.ParseUint(r.URL.Query().Get("after"), 10, 63)
		var files [][]byte
		for n := after + 1; m.bundles[n] != nil; n++ {
			files = append(files, m.bundles[n])
		}
		raw, _ := evidence.EncodeBundles(files)
		_, _ = w.Write(raw)
	default:
		http.NotFound(w, r)
	}
}

// bundle makes the next link at the newest header, signed by members.
func (m *months) bundle(t *testing.T, prev *evidence.Bundle, signers ...int) *evidence.Bundle {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chain
	b := &evidence.Bundle{Trust: c.Trust(), Threshold: 2}
	head := c.Headers[len(c.Headers)-1]
	b.Number, b.Height, b.Hash, b.Time = 1, head.Height, head.Hash(), head.Time
	b.Expires = head.Time.Add(90 * 24 * time.Hour).Truncate(time.Second)
	for i := range 3 {
		b.Members = append(b.Members, evidence.BundleMember{ID: chaintest.MemberID(i), Key: chaintest.Member(i).Public})
	}
	if prev != nil {
		b.Number = prev.Number + 1
		var err error
		b.Prev, err = prev.Digest()
		must(t, err)
	}
	for _, i := range signers {
		must(t, b.Sign(chaintest.Member(i)))
	}
	raw, err := b.Marshal()
	must(t, err)
	if m.bundles == nil {
		m.bundles = map[uint64][]byte{}
	}
	m.bundles[b.Number] = raw
	return b
}

func TestBundlesAreFollowed(t *testing.T) {
	const month = 30 * 24 * time.Hour
	m := &months{chain: chaintest.New(t, chaintest.Config{Validators: 4})}
	a := m.chain.Agency("gaon")
	m.agency = a
	m.pass(time.Hour)
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	first := m.bundle(t, nil)
	dir := t.TempDir()
	ask := func(c *light.Client) error {
		_, _, err := c.Key(t.Context(), a.DID, "k1", time.Time{})
		return err
	}
	open := func(dir string) *light.Client {
		return client(t, light.Config{Nodes: []string{srv.URL}, Bundle: first, Now: m.now, Dir: dir, CacheTTL: time.Minute})
	}
	c := open(dir)
	must(t, ask(c))
	m.pass(month + time.Hour)
	t.Run("H14 after the trusting period nothing holds any more", func(t *testing.T) {
		if err := ask(c); err != nil { // what was checked before is at hand, and as old as it is
			t.Fatal(err)
		}
		fresh := open("")
		if err := ask(fresh); !errors.Is(err, evidence.ErrTooOld) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("H14 a bundle that too few have signed restores nothing", func(t *testing.T) {
		m.bundle(t, first, 1)
		fresh := open("")
		if err := ask(fresh); !errors.Is(err, registry.ErrUntrusted) || fresh.Bundle().Number != 1 {
			t.Fatalf("got %v, bundle %d", err, fresh.Bundle().Number)
		}
	})
	second := m.bundle(t, first, 0, 2)
	t.Run("H14 the next bundle restores trust", func(t *testing.T) {
		fresh := open("")
		must(t, ask(fresh))
		if fresh.Bundle().Number != 2 || fresh.Trust().Number != 2 {
			t.Fatalf("bundle %d", fresh.Bundle().Number)
		}
	})
	t.Run("and is kept over a restart", func(t *testing.T) {
		newer, err := c.AdvanceBundle(t.Context())
		if err != nil || !newer {
			t.Fatalf("%v %v", newer, err)
		}
		m.mu.Lock()
		kept := m.bundles
		m.bundles = nil
		m.mu.Unlock()
		again := open(dir)
		if again.Bundle().Number != 2 {
			t.Fatalf("bundle %d", again.Bundle().Number)
		}
		must(t, ask(again))
		m.mu.Lock()
		m.bundles = kept
		m.mu.Unlock()
	})
	t.Run("H14 a node that lies about bundles", func(t *testing.T) {
		fewer := *second
		fewer.Signatures = fewer.Signatures[:1]
		cut, err := fewer.Marshal()
		must(t, err)
		var many [][]byte
		for range evidence.MaxBundles + 1 {
			many = append(many, cut)
		}
		for name, files := range map[string][][]byte{"no bundle": {[]byte("{}")}, "fewer signatures": {cut}, "too many": many, "nothing": nil} {
			answer, err := evidence.EncodeBundles(files)
			must(t, err)
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/trust-bundles" {
					_, _ = w.Write(answer)
					return
				}
				m.ServeHTTP(w, r)
			}))
			c := client(t, light.Config{Nodes: []string{liar.URL}, Bundle: first, Now: m.now})
			if newer, err := c.AdvanceBundle(t.Context()); newer || c.Bundle().Number != 1 || (err == nil) != (files == nil) {
				t.Fatalf("%s: %v %v", name, newer, err)
			}
			liar.Close()
		}
	})
	m.pass(4 * month)
	third := m.bundle(t, second, 0, 1)
	m.pass(4 * month)
	t.Run("H14 years of bundles: links between may have expired, the last one not", func(t *testing.T) {
		fresh := open("")
		if err := ask(fresh); !errors.Is(err, registry.ErrUntrusted) || fresh.Bundle().Number != 1 {
			t.Fatalf("only expired links: %v", err)
		}
		m.bundle(t, third, 1, 2)
		fresh = open("")
		must(t, ask(fresh))
		if fresh.Bundle().Number != 4 {
			t.Fatalf("bundle %d", fresh.Bundle().Number)
		}
	})
	t.Run("who waits does not ask with every answer", func(t *testing.T) {
		m.mu.Lock()
		m.bundles, m.asked = nil, 0
		m.mu.Unlock()
		fresh := open("")
		for range 5 {
			if err := ask(fresh); err == nil {
				t.Fatal("trusted")
			}
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.asked != 1 {
			t.Fatalf("asked %d times", m.asked)
		}
	})
}

func TestBundleOfAnotherHistory(t *testing.T) {
	m := &months{chain: chaintest.New(t, chaintest.Config{Validators: 4})}
	m.agency = m.chain.Agency("gaon")
	m.pass(time.Hour)
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	first := m.bundle(t, nil)
	m.pass(time.Hour)
	second := m.bundle(t, first, 0, 1)
	c := client(t, light.Config{Nodes: []string{srv.URL}, Bundle: first, Now: m.now})
	if newer, err := c.AdvanceBundle(t.Context()); err != nil || !newer {
		t.Fatalf("%v %v", newer, err)
	}
	m.chain.Headers[len(m.chain.Headers)-1].Time = m.chain.Headers[len(m.chain.Headers)-1].Time.Add(time.Millisecond) // another header there
	m.bundle(t, second, 0, 1)
	var alarm error
	c = client(t, light.Config{Nodes: []string{srv.URL}, Bundle: second, Now: m.now, Alarm: func(err error) { alarm = err }})
	if _, err := c.AdvanceBundle(t.Context()); !errors.Is(err, registry.ErrUntrusted) || c.Bundle().Number != 2 {
		t.Fatalf("got %v, bundle %d, alarm %v", err, c.Bundle().Number, alarm)
	}
}

func TestPublishedHeadRestoresTrust(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	expired := r.Trust
	expired.Expires = time.Now().Add(-time.Hour)
	ask := func(head *evidence.Head) error {
		c := client(t, light.Config{Nodes: []string{r.URL}, Trust: expired, Head: head})
		_, _, err := c.Key(t.Context(), did, "issue-1", time.Time{})
		return err
	}
	raw, err := r.Client.Evidence(t.Context(), light.Query{DID: did, Keys: []string{"issue-1"}})
	must(t, err)
	facts, err := evidence.Check(raw, r.Trust, time.Now())
	must(t, err)
	head := evidence.HeadOf(facts, r.Trust.ChainID)
	t.Run("H14 an expired trust file alone", func(t *testing.T) {
		if err := ask(nil); !errors.Is(err, evidence.ErrTooOld) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("H14 with a published head", func(t *testing.T) {
		must(t, ask(&head))
	})
	for name, bend := range map[string]func(*evidence.Head){
		"H14 a head of another history":    func(h *evidence.Head) { h.Hash[0] ^= 1 },
		"H14 a head of another chain":      func(h *evidence.Head) { h.ChainID = "other-1" },
		"H14 a head before the trust file": func(h *evidence.Head) { h.Height = expired.Height },
		"H14 a head that is too old":       func(h *evidence.Head) { h.Time = h.Time.Add(-31 * 24 * time.Hour) },
		"H15 a head from the future":       func(h *evidence.Head) { h.Time = h.Time.Add(time.Hour) },
		"H14 a head that no node has":      func(h *evidence.Head) { h.Height += 1_000_000 },
	} {
		t.Run(name, func(t *testing.T) {
			h := head
			bend(&h)
			if err := ask(&h); !errors.Is(err, evidence.ErrTooOld) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// A network of four, tracked with a witness over HTTP: the reader's bundle has expired, the members have signed the next one, and
// one of two nodes hands it on.
func TestBundlesOfAConsortium(t *testing.T) {
	dir := t.TempDir()
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 4, Heartbeat: time.Second})
	must(t, err)
	must(t, l.Start(t.Context()))
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	n, other := l.Nodes[0], l.Nodes[1]
	must(t, n.WaitHeight(ctx, 3))
	first, err := n.ProposeBundle()
	must(t, err)
	if len(first.Members) != 4 || first.Threshold < 3 || first.Development || len(first.Validators) != 4 {
		t.Fatalf("%+v", first)
	}
	first.Time, first.Expires = first.Time.Add(-2*time.Hour), time.Now().Add(-time.Hour).Truncate(time.Second)
	must(t, n.WaitHeight(ctx, first.Height+2))
	next := func(signers int) *evidence.Bundle {
		b, err := n.ProposeBundle()
		must(t, err)
		b.Number = 2
		b.Prev, err = first.Digest()
		must(t, err)
		for _, m := range b.Members[:signers] {
			key := l.Governance[m.ID]
			must(t, b.Sign(registry.SigningKey{Role: registry.RoleMember(m.ID), Public: m.Key, Signer: registrytest.Ed25519(key)}))
		}
		return b
	}
	home := filepath.Join(dir, "node-2")
	t.Run("a home takes only the next one, well signed", func(t *testing.T) {
		now := time.Now()
		if err := node.PublishBundle(home, next(3), now); !errors.Is(err, node.ErrBundles) {
			t.Fatalf("without the one before: %v", err)
		}
		must(t, node.PublishBundle(home, first, now))
		if err := node.PublishBundle(home, next(2), now); !errors.Is(err, evidence.ErrBundle) {
			t.Fatalf("two of four: %v", err)
		}
		must(t, node.PublishBundle(home, next(3), now))
		if err := node.PublishBundle(home, next(4), now); !errors.Is(err, node.ErrBundles) {
			t.Fatalf("a second number 2: %v", err)
		}
	})
	must(t, other.WaitHeight(ctx, first.Height+4))
	a, b := serve(t, n), serve(t, other)
	t.Run("H14 the reader goes on with the bundle that one node has, and the witness confirms", func(t *testing.T) {
		c := client(t, light.Config{Nodes: []string{a.URL, b.URL}, Bundle: first})
		if _, _, err := c.TypeDigest(t.Context(), vct); !errors.Is(err, registry.ErrNotFound) { // proven absent
			t.Fatalf("got %v", err)
		}
		if c.Bundle().Number != 2 || c.Trust().Number != 2 || c.Trust().Height < first.Height {
			t.Fatalf("bundle %d, %+v", c.Bundle().Number, c.Trust())
		}
	})
	t.Run("H13 a bundle does not stand for a witness", func(t *testing.T) {
		dead := httptest.NewServer(nil)
		dead.Close()
		c := client(t, light.Config{Nodes: []string{b.URL, dead.URL}, Bundle: first})
		if _, _, err := c.TypeDigest(t.Context(), vct); err == nil || errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("got %v", err)
		}
	})
}
