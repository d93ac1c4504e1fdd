package light_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/registry/web"
)

const vct = "urn:dojang:kr:resident-id:1"

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clock is a Config.Now that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time       { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) move(d time.Duration) { c.offset.Add(int64(d)) }

func client(t *testing.T, cfg light.Config) *light.Client {
	t.Helper()
	if cfg.CacheTTL == 0 {
		cfg.CacheTTL = time.Millisecond
	}
	c, err := light.New(cfg)
	must(t, err)
	return c
}

// issuer makes a DID with one key and an accreditation.
func issuer(t *testing.T, r *registrytest.Registry) registry.DID {
	t.Helper()
	key := registrytest.NewKey(t, "")
	c := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}, nil)
	r.Accredit(t, c.DID, vct, registry.AccreditBody{})
	return c.DID
}

// A liar stands before a node and changes its answers.
func liar(t *testing.T, target string, lie func(path string, body []byte) []byte) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header = r.Header.Clone()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(lie(r.URL.Path, body))
	}))
	t.Cleanup(s.Close)
	return s
}

func TestLyingNode(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	for _, tt := range []struct {
		name string
		lie  func(path string, body []byte) []byte
	}{
		{"a flipped bit", func(p string, b []byte) []byte {
			if strings.HasPrefix(p, "/v1/evidence") {
				b[len(b)/2] ^= 1
			}
			return b
		}},
		{"nothing at all", func(string, []byte) []byte { return nil }},
		{"cut short", func(_ string, b []byte) []byte { return b[:len(b)-1] }},
		{"more than asked for", func(_ string, b []byte) []byte { return append(b, 0) }},
		{"a page of text", func(string, []byte) []byte { return []byte("<html>ok</html>") }},
		{"endless", func(string, []byte) []byte { return make([]byte, light.MaxEvidence+1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := liar(t, r.URL, tt.lie)
			c := client(t, light.Config{Nodes: []string{bad.URL}, Trust: r.Trust})
			_, _, err := c.Key(t.Context(), did, "issue-1", time.Time{})
			if !errors.Is(err, registry.ErrUntrusted) && !errors.Is(err, registry.ErrUnavailable) || errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("got %v", err)
			}
		})
	}
	t.Run("evidence of one agency for another", func(t *testing.T) {
		other := issuer(t, r)
		swap := liar(t, r.URL, func(p string, b []byte) []byte { return b })
		swap.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			v := q.URL.Query()
			v.Set("did", string(other))
			res, err := http.Get(r.URL + q.URL.Path + "?" + v.Encode())
			if err != nil {
				return
			}
			defer res.Body.Close()
			_, _ = io.Copy(w, res.Body)
		})
		c := client(t, light.Config{Nodes: []string{swap.URL}, Trust: r.Trust})
		if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		dir := t.TempDir() // nor does it push out what was known
		if _, _, err := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust, Dir: dir}).Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c = client(t, light.Config{Nodes: []string{swap.URL}, Trust: r.Trust, Dir: dir})
			if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
				t.Fatalf("known before: %v", err)
			}
		}
	})
	t.Run("an acknowledgement that the chain does not show", func(t *testing.T) {
		honest := proxy(t, r.URL)
		fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.Method == http.MethodGet {
				honest.ServeHTTP(w, q)
				return
			}
			raw, _ := io.ReadAll(q.Body)
			ops, _ := light.DecodeOperations(raw)
			op, _ := registry.ParseOperation(ops[0])
			out, _ := light.EncodeOutcomes([]registry.Outcome{{Hash: op.Hash[:], Height: 1, Code: "ok"}})
			_, _ = w.Write(out)
		}))
		defer fake.Close()
		c := client(t, light.Config{Nodes: []string{fake.URL}, Trust: r.Trust})
		key := registrytest.NewKey(t, registry.RoleOp)
		raw, err := registry.Operation{Network: "local", ChainID: "dojang-local-1", Body: &registry.CreateBody{Op: key.Public,
			Next: registrytest.NewKey(t, "").Public.Hash(), Recovery: registrytest.NewKey(t, "").Public.Hash()}}.Sign(key)
		must(t, err)
		if _, err := c.Submit(t.Context(), raw); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("got %v", err)
		}
		if out, err := r.Client.Submit(t.Context(), raw); err != nil || out[0].Code != "ok" {
			t.Fatalf("honest node: %+v %v", out, err)
		}
	})
}

func TestOutage(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	dir := t.TempDir()
	cfg := light.Config{Nodes: []string{r.URL}, Trust: r.Trust, Dir: dir}
	c := client(t, cfg)
	_, before, err := c.Key(t.Context(), did, "issue-1", time.Time{})
	must(t, err)
	_, _, err = c.Accreditation(t.Context(), did, vct, time.Time{})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	_ = c.Follow(ctx)
	cancel()
	if c.Trust().Height <= r.Trust.Height {
		t.Fatal("Follow did not move the trust point")
	}
	r.Down()

	t.Run("checked facts stay, with the time at which they were known", func(t *testing.T) {
		_, now, err := c.Key(t.Context(), did, "issue-1", time.Time{})
		must(t, err)
		if now.Height < before.Height || time.Since(now.KnownAt) < 0 || now.KnownAt.After(time.Now()) {
			t.Fatalf("%+v, before %+v", now, before)
		}
		_, later, err := c.Key(t.Context(), did, "issue-1", time.Time{})
		must(t, err)
		if later != now {
			t.Fatal("KnownAt moved without a node")
		}
	})
	t.Run("a restarted reader still knows them", func(t *testing.T) {
		again := client(t, cfg)
		if _, checked, err := again.Accreditation(t.Context(), did, vct, time.Time{}); err != nil || checked.Height < before.Height {
			t.Fatalf("%+v %v", checked, err)
		}
		if again.Trust().Height != c.Trust().Height {
			t.Fatal("the trust point went back")
		}
	})
	t.Run("what was never asked for is unavailable, not absent", func(t *testing.T) {
		if _, _, err := c.Key(t.Context(), did, "issue-9", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
			t.Fatalf("and the known key is gone: %v", err)
		}
	})
	t.Run("damaged files are dropped", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(dir, "evidence-*"))
		must(t, err)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			must(t, err)
			raw[len(raw)/2] ^= 1
			must(t, os.WriteFile(f, raw, 0o600))
		}
		again := client(t, cfg)
		if _, _, err := again.Key(t.Context(), did, "issue-1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestClocks(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	for _, tt := range []struct {
		name  string
		trust func(*evidence.Trust)
		move  time.Duration
	}{
		{"H14 header beyond the trusting period", func(*evidence.Trust) {}, 31 * 24 * time.Hour},
		{"H14 trust file expired", func(tr *evidence.Trust) { tr.Expires = time.Now().Add(-time.Second) }, 0},
		{"H15 clock behind the trusted header", func(*evidence.Trust) {}, -time.Hour},
		{"H15 header from the future", func(tr *evidence.Trust) { tr.Time = tr.Time.Add(-time.Hour); tr.Hash = [32]byte{}; tr.Height-- }, -30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trust := r.Trust
			tt.trust(&trust)
			c := &clock{}
			c.move(tt.move)
			lc := client(t, light.Config{Nodes: []string{r.URL}, Trust: trust, Now: c.now})
			if _, _, err := lc.Key(t.Context(), did, "issue-1", time.Time{}); !errors.Is(err, registry.ErrUntrusted) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func serve(t *testing.T, n *node.Node) *httptest.Server {
	t.Helper()
	s, err := web.New(web.Config{Node: n, StatusURL: "http://localhost:1"})
	must(t, err)
	srv := httptest.NewServer(s.Public())
	t.Cleanup(srv.Close)
	return srv
}

func TestWitnesses(t *testing.T) {
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: t.TempDir(), Validators: 4, Heartbeat: time.Second})
	must(t, err)
	must(t, l.Start(t.Context()))
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	trust, err := l.Nodes[0].Trust(time.Now().Add(time.Hour))
	must(t, err)
	must(t, l.Nodes[0].WaitHeight(t.Context(), trust.Height+3))
	must(t, l.Nodes[1].WaitHeight(t.Context(), trust.Height+3))
	a, b := serve(t, l.Nodes[0]), serve(t, l.Nodes[1])
	dead := httptest.NewServer(nil)
	dead.Close()
	ask := func(c *light.Client) error {
		_, _, err := c.TypeDigest(t.Context(), vct) // proven absent
		return err
	}
	t.Run("a witness confirms", func(t *testing.T) {
		if err := ask(client(t, light.Config{Nodes: []string{a.URL, b.URL}, Trust: trust})); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("an honest second node is asked", func(t *testing.T) {
		var asked atomic.Int64
		bad := liar(t, a.URL, func(string, []byte) []byte { asked.Add(1); return []byte("no") })
		for _, first := range []string{bad.URL, dead.URL} {
			if err := ask(client(t, light.Config{Nodes: []string{first, a.URL, b.URL}, Trust: trust})); !errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("two honest nodes do not suffice: %v", err)
			}
		}
		if asked.Load() == 0 {
			t.Fatal("the liar was not asked at all")
		}
		if err := ask(client(t, light.Config{Nodes: []string{bad.URL, a.URL}, Trust: trust})); errors.Is(err, registry.ErrNotFound) || err == nil {
			t.Fatalf("one honest node without a witness is believed: %v", err)
		}
	})
	t.Run("H13 no witness configured", func(t *testing.T) {
		if _, err := light.New(light.Config{Nodes: []string{a.URL}, Trust: trust}); !errors.Is(err, light.ErrNoWitness) {
			t.Fatalf("got %v", err)
		}
		if _, err := light.New(light.Config{Nodes: []string{a.URL, a.URL + "/"}, Trust: trust}); err == nil {
			t.Fatal("a node became its own witness")
		}
	})
	t.Run("H13 all witnesses down", func(t *testing.T) {
		for _, nodes := range [][]string{{a.URL, dead.URL}, {dead.URL, a.URL}} {
			err := ask(client(t, light.Config{Nodes: nodes, Trust: trust}))
			if errors.Is(err, registry.ErrNotFound) || !errors.Is(err, registry.ErrUntrusted) && !errors.Is(err, registry.ErrUnavailable) {
				t.Fatalf("got %v", err)
			}
		}
	})
	for _, tt := range []struct {
		name string
		bend func(*cmtproto.LightBlock)
	}{
		{"H11 fewer than two thirds sign", func(lb *cmtproto.LightBlock) {
			for i := range lb.SignedHeader.Commit.Signatures[:2] {
				lb.SignedHeader.Commit.Signatures[i] = cmtproto.CommitSig{BlockIdFlag: cmtproto.BlockIDFlagAbsent}
			}
			lb.SignedHeader.Commit.Signatures[2] = cmtproto.CommitSig{BlockIdFlag: cmtproto.BlockIDFlagAbsent}
		}},
		{"H11 a vote twice", func(lb *cmtproto.LightBlock) {
			s := lb.SignedHeader.Commit.Signatures
			for i := range s {
				s[i] = s[len(s)-1]
			}
		}},
		{"H11 nil votes counted", func(lb *cmtproto.LightBlock) {
			for i := range lb.SignedHeader.Commit.Signatures {
				lb.SignedHeader.Commit.Signatures[i].BlockIdFlag = cmtproto.BlockIDFlagNil
			}
		}},
		{"H11 other validators", func(lb *cmtproto.LightBlock) { lb.ValidatorSet.Validators[0].VotingPower = 1000 }},
		{"H11 altered time", func(lb *cmtproto.LightBlock) {
			lb.SignedHeader.Header.Time = lb.SignedHeader.Header.Time.Add(time.Second)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bend := func(path string, body []byte) []byte {
				if !strings.HasPrefix(path, "/v1/headers/") || strings.HasSuffix(path, "/"+itoa(trust.Height)) {
					return body
				}
				var lb cmtproto.LightBlock
				if err := lb.Unmarshal(body); err != nil {
					return body
				}
				tt.bend(&lb)
				out, err := lb.Marshal()
				if err != nil {
					t.Error(err)
				}
				return out
			}
			// Both bend: with one honest node the Client would begin anew with that one, and be right.
			c := client(t, light.Config{Nodes: []string{liar(t, a.URL, bend).URL, liar(t, b.URL, bend).URL}, Trust: trust})
			if err := ask(c); errors.Is(err, registry.ErrNotFound) || err == nil {
				t.Fatalf("a bent block was believed: %v", err)
			}
			if c.Trust().Height != trust.Height {
				t.Fatal("the trust point moved")
			}
		})
	}
}

// Two copies of one network's home go on separately: two histories, both signed by the validator.
func TestFork(t *testing.T) {
	dir := t.TempDir()
	l, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 1, Heartbeat: 100 * time.Millisecond})
	must(t, err)
	must(t, l.Start(t.Context()))
	must(t, l.Nodes[0].WaitHeight(t.Context(), 3))
	trust, err := l.Nodes[0].Trust(time.Now().Add(time.Hour))
	must(t, err)
	must(t, l.Stop(t.Context()))
	copied := filepath.Join(t.TempDir(), "fork")
	must(t, os.CopyFS(copied, os.DirFS(filepath.Join(dir, "node-1"))))
	fork, err := node.New(node.Config{Home: copied})
	must(t, err)
	must(t, l.Start(t.Context()))
	must(t, fork.Start(t.Context()))
	t.Cleanup(func() { _ = l.Stop(context.Background()); _ = fork.Stop(context.Background()) })
	for _, n := range []*node.Node{l.Nodes[0], fork} {
		must(t, n.WaitHeight(t.Context(), trust.Height+4))
	}
	a, b := serve(t, l.Nodes[0]), serve(t, fork)
	for _, tt := range []struct {
		name  string
		nodes []string
	}{
		{"H12 primary and witness show two histories", []string{a.URL, b.URL}},
		{"H19 the other reader is shown the other one", []string{b.URL, a.URL}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var alarm atomic.Value
			c := client(t, light.Config{Nodes: tt.nodes, Trust: trust, Alarm: func(err error) { alarm.Store(err) }})
			_, _, err := c.TypeDigest(t.Context(), vct)
			if !errors.Is(err, registry.ErrUntrusted) || !errors.Is(err, light.ErrAttack) {
				t.Fatalf("got %v", err)
			}
			if got, ok := alarm.Load().(error); !ok || !errors.Is(got, light.ErrAttack) {
				t.Fatalf("alarm %v", got)
			}
			if _, _, err := c.TypeDigest(t.Context(), vct); !errors.Is(err, light.ErrAttack) {
				t.Fatalf("it went on: %v", err)
			}
		})
	}
}

func TestFollowSeesAnEpochWithinTwoSeconds(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	key := registrytest.NewKey(t, "")
	d := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}}, nil)
	key.Role = d.DID.URL("issue-1")
	c := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust, CacheTTL: time.Second})
	c.Subscribe(d.DID)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx) }()
	time.Sleep(50 * time.Millisecond)
	r.Epoch(t, registry.StatusEpoch{Issuer: d.DID, Sequence: 1, IssuedAt: time.Now(), NextUpdate: time.Now().Add(time.Hour), Root: [32]byte{7}}, key)
	written := time.Now()
	for {
		e, _, err := c.StatusEpoch(t.Context(), d.DID)
		if err == nil && e.Root == [32]byte{7} {
			break
		}
		if time.Since(written) > 2*time.Second {
			t.Fatalf("not known after two seconds: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestEvidenceForStapling(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did := issuer(t, r)
	c := client(t, light.Config{Nodes: []string{r.URL}, Trust: r.Trust})
	_, _, err := c.Registration(t.Context(), did, "adult-check", time.Time{}) // of no concern to the next reader
	if !errors.Is(err, registry.ErrNotFound) {
		t.Fatal(err)
	}
	raw, err := c.Evidence(t.Context(), light.Query{DID: did, Keys: []string{"issue-1"}, Types: []string{vct}})
	must(t, err)
	facts, err := evidence.Check(raw, r.Trust, time.Now())
	must(t, err)
	if _, _, err := facts.Key(t.Context(), did, "issue-1", time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := facts.Registration(t.Context(), did, "adult-check", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
		t.Fatalf("holds more than was asked for: %v", err)
	}
	if len(raw) > 8<<10 {
		t.Fatalf("%d bytes", len(raw))
	}
}

func TestFacts(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	issuer(t, r) // a block that a header proves
	params, absent := registry.ParamsFamily().Latest(), registry.ProposalFamily(1).Latest()
	facts, raw, err := r.Client.Facts(t.Context(), light.Query{Leaves: [][]byte{params, absent}})
	must(t, err)
	if value, err := facts.Get(params); err != nil || len(value) == 0 {
		t.Errorf("parameters: %v", err)
	}
	if _, err := facts.Get(absent); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a proposal that nobody made: %v", err)
	}
	if _, err := evidence.Check(raw, r.Trust, time.Now()); err != nil {
		t.Errorf("the bytes: %v", err)
	}
	if _, _, err := r.Client.Facts(t.Context(), light.Query{}); !errors.Is(err, light.ErrQuery) {
		t.Errorf("a question about nothing: %v", err)
	}
}

// proxy is what a liar asks when it tells the truth.
func proxy(t *testing.T, node string) http.Handler {
	t.Helper()
	at, err := url.Parse(node)
	must(t, err)
	return httputil.NewSingleHostReverseProxy(at)
}

// A node is asked itself: it does not make its readers ask others, inside of their own network for instance.
func TestRedirect(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	did, asked := issuer(t, r), 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inside.Close()
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, inside.URL, http.StatusTemporaryRedirect)
	}))
	defer liar.Close()
	c := client(t, light.Config{Nodes: []string{liar.URL}, Trust: r.Trust})
	if _, _, err := c.Key(t.Context(), did, "issue-1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("an answer: %v", err)
	}
	if _, err := c.Submit(t.Context(), []byte{1}); err == nil {
		t.Errorf("submitted: %v", err)
	}
	if asked != 0 {
		t.Errorf("somebody else was asked %d times", asked)
	}
}

// TestManyKeys: of a DID that changed its keys for years each is found, though they do not all go into one Evidence.
func TestManyKeys(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	c := r.CreateDID(t, nil, nil)
	const many = 10
	name := func(i int) string { return "k" + strconv.Itoa(i) }
	for i := range many {
		key := registrytest.NewKey(t, "")
		r.Change(t, c, &registry.UpdateBody{Keys: []registry.NewKey{{ID: name(i), Use: registry.UseAssertion, Key: key.Public}}})
		r.Change(t, c, &registry.RetireBody{ID: name(i)})
	}
	for round := range 2 {
		for i := range many {
			key, _, err := r.Client.Key(t.Context(), c.DID, name(i), time.Time{})
			if err != nil || key.RetiredAt.IsZero() {
				t.Errorf("round %d, key %d: %+v %v", round, i, key, err)
			}
		}
	}
	var q light.Query
	for i := range many {
		q.DID, q.Keys = c.DID, append(q.Keys, name(i))
	}
	res, err := http.Get(r.URL + "/v1/evidence?" + q.Values().Encode())
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too many dates: %d", res.StatusCode)
	}
}

func TestQuery(t *testing.T) {
	q := light.Query{DID: "did:dojang:local:Qm1", Keys: []string{"a", "b"}, Types: []string{vct}, Purposes: []string{"p"}, Status: true,
		Metadata: []string{"urn:x:1"}, Operations: []registry.Hash{registry.HashOf(nil)}, Leaves: [][]byte{[]byte("gov/proposals")}, At: time.Unix(1700000000, 0).UTC(), Height: 7,
		Known: time.Unix(1700000007, 0).UTC(), Anchors: [][32]byte{{7}}, Headers: []uint64{1, 9}}
	got, err := light.ParseQuery(q.Values())
	if err != nil || !slices.Equal(got.Keys, q.Keys) || got.Height != 7 || !got.At.Equal(q.At) || got.Operations[0] != q.Operations[0] || string(got.Leaves[0]) != "gov/proposals" {
		t.Fatalf("%+v %v", got, err)
	}
	for _, bad := range []string{"", "did=did:dojang:local:Qm1", "kid=a", "did=x&kid=a", "did=did:dojang:local:Qm1&kid=", "x=1",
		"did=did:dojang:local:Qm1&kid=a&height=0", "did=did:dojang:local:Qm1&kid=a&height=1&height=2", "did=did:dojang:local:Qm1&status=yes",
		"did=did:dojang:local:Qm1&status=1&at=7&list=http://x/y/1", "did=did:dojang:local:Qm1&status=1&at=7&entry=1024",
		"did=did:dojang:local:Qm1&status=1&at=7&list=http://x/y/1&entry=7", "did=did:dojang:local:Qm1&status=1&list=http://x/y/1&entry=1024",
		"did=did:dojang:local:Qm1&kid=a&at=7&list=http://x/y/1&entry=1024", "did=did:dojang:local:Qm1&status=1&at=7&list=http://x/y/1&entry=137438953472",
		"did=did:dojang:local:Qm1&status=1&at=7&list=a&list=b&entry=0", "did=did:dojang:local:Qm1&status=1&at=7&entry=0&list=" + strings.Repeat("a", 513),
		"op=00", "type=urn:x:1&at=-1", "leaf=zz", "leaf=" + strings.Repeat("00", 513)} {
		v, err := url.ParseQuery(bad)
		must(t, err)
		if _, err := light.ParseQuery(v); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The entry is rounded before it leaves the reader.
func TestQueryOfAnEntry(t *testing.T) {
	q := light.Query{DID: "did:dojang:local:Qm1", Status: true, List: "https://status.example/Qm1/1", Entry: 9_999_999, Known: time.Unix(1700000007, 0).UTC()}
	got, err := light.ParseQuery(q.Values())
	if err != nil || got.List != q.List || got.Entry != 9_999_360 || !got.Known.Equal(q.Known) {
		t.Fatalf("%+v %v", got, err)
	}
}

func FuzzQuery(f *testing.F) {
	f.Add("did=did:dojang:local:Qm1&status=1&at=7&list=http://x/y/1&entry=1024")
	f.Add("type=urn:x:1&header=1&known=9")
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		q, err := light.ParseQuery(v)
		if err != nil {
			return
		}
		if again, err := light.ParseQuery(q.Values()); err != nil || again.Values().Encode() != q.Values().Encode() {
			t.Fatalf("%+v is not itself again: %+v %v", q, again, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	ops, _ := light.EncodeOperations([][]byte{{1}, {2, 3}})
	list, _ := light.EncodeStatusList(registry.StatusList{URI: "http://x/y/1", Token: []byte("t"), Record: []byte("r"), Path: [][]byte{{1}}, Size: 1})
	outs, _ := light.EncodeOutcomes([]registry.Outcome{{Hash: []byte{1}, Height: 2, Code: "ok"}})
	for _, seed := range [][]byte{ops, list, outs, {0x80}, nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if ops, err := light.DecodeOperations(raw); err == nil {
			again, err := light.EncodeOperations(ops)
			if err != nil {
				t.Fatal(err)
			}
			if more, err := light.DecodeOperations(again); err != nil || !slices.EqualFunc(more, ops, bytes.Equal) {
				t.Fatal("does not survive a round trip")
			}
		}
		_, _ = light.DecodeStatusList(raw)
		_, _ = light.DecodeOutcomes(raw, 1)
	})
}

func itoa(n uint64) string {
	v := light.Query{Metadata: []string{"urn:x:1"}, Height: n}.Values()
	return v.Get("height")
}
