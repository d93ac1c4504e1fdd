package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// TestOutage is the September of 2025, AC-13, and the month after it, DESIGN 5.7, over one demo. Whoever holds a revoked
// credential is refused at every moment of it.
func TestOutage(t *testing.T) {
	t.Parallel()
	r := startDemo(t, filepath.Join(t.TempDir(), "data"))
	r.told("refused") // the story of the start is over
	good, bad := filepath.Join(t.TempDir(), "good"), filepath.Join(t.TempDir(), "bad")
	r.hand(good, "resident-id", "park-nuri")
	badID := r.hand(bad, "resident-id", "seo-haru")
	if got := r.present(bad, "x509_hash"); got.Code != "VALID" {
		t.Fatalf("before it is revoked: %+v", got)
	}
	old := r.record()
	r.act("revoke", "--id", badID)
	before := r.present(good, "x509_hash")
	o := &outage{running: r, good: good, bad: bad, old: old, before: before.asOf(t)}
	if before.Code != "VALID" {
		t.Fatalf("before the outage: %+v", before)
	}
	o.everything(t)
	o.issuerAlone(t)
	r.stop()
}

type outage struct {
	*running
	good, bad string // wallets
	old       *memory
	before    time.Time // status as of, when the parts went down
}

// asOf is the moment for which the status is known.
func (g result) asOf(t *testing.T) time.Time {
	t.Helper()
	return must(time.Parse(time.RFC3339, g.StatusAsOf))(t)
}

// expect presents both credentials: the good one is judged so, the revoked one is refused, whatever else is.
func (o *outage) expect(t *testing.T, decision, code string) result {
	t.Helper()
	if got := o.present(o.bad, "x509_hash"); got.Decision != "not confirmed" || got.Code != "REVOKED" || got.Claims != nil {
		t.Errorf("the revoked credential: %+v", got)
	}
	got := o.present(o.good, "x509_hash")
	if got.Decision != decision || got.Code != code {
		t.Errorf("the good credential: %s %s, want %s %s", got.Decision, got.Code, decision, code)
	}
	return got
}

// everything: issuer, status host and registry are off. Their ports are held by ears that count who knocks.
func (o *outage) everything(t *testing.T) {
	for _, part := range []string{"issuer", "status", "registry"} {
		o.act("down", part)
	}
	issuer := []*ear{listen(t, o.party("issuer", "url")), listen(t, o.party("issuer", "management_url"))}
	o.run(t, "AC-13 40 hours later the check goes on, with the time of its status", func(t *testing.T) {
		o.act("clock", "40h")
		got := o.expect(t, "confirmed", "VALID")
		if at := got.asOf(t); at.Sub(o.before) > 5*time.Second || at.Before(o.before) {
			t.Errorf("status as of %v, the parts went down after %v", at, o.before)
		}
		if got.Claims["resident"]["age_over_19"] != true || len(got.Claims["resident"]) != 1 {
			t.Errorf("the shop learns one boolean, not %v", got.Claims)
		}
	})
	o.run(t, "AC-13 an older list that is pushed is ignored", o.rollback)
	o.run(t, "AC-13 73 hours later it is on hold", func(t *testing.T) {
		o.act("clock", "73h")
		if got := o.expect(t, "on hold", "STATUS_STALE"); got.Claims != nil {
			t.Errorf("claims are shown on hold: %v", got.Claims)
		}
	})
	o.run(t, "AC-13 nobody asks the issuer", func(t *testing.T) {
		for _, e := range issuer {
			if n := e.close(); n != 0 {
				t.Errorf("%d connections to the issuer's ports", n)
			}
		}
	})
	o.run(t, "AC-13 everything is back", func(t *testing.T) {
		o.act("clock", "0s")
		back := time.Now().Truncate(time.Second)
		for _, part := range []string{"registry", "status", "issuer"} {
			o.act("up", part)
		}
		o.soon(t, "the status is as of after the outage", func() bool {
			return !o.expect(t, "confirmed", "VALID").asOf(t).Before(back)
		})
	})
}

// rollback: somebody holds the ports of registry and status host and serves what they served before the revocation:
// every proof and signature of it was good then.
func (o *outage) rollback(t *testing.T) {
	evil := []*httptest.Server{o.old.serve(t, o.party("registry", "url")), o.old.serve(t, o.party("status", "url"))}
	o.act("clock", "40h1m") // past every pause between attempts
	time.Sleep(1500 * time.Millisecond)
	got := o.expect(t, "confirmed", "VALID")
	if got.asOf(t).Before(o.before) {
		t.Errorf("the status went back to %v", got.asOf(t))
	}
	if o.old.asked.Load() == 0 {
		t.Error("nobody asked the servers of old answers: the test shows nothing")
	}
	for _, s := range evil {
		s.Close()
	}
}

// issuerAlone: DESIGN 5.7. Only the issuer is gone; registry nodes and status host serve on. What is promised:
//
//   - the nodes go on proving, but nobody re-dates the lists, so status_as_of stops at the next_update of the last
//     epoch (30 minutes): adult-check holds for 72 hours after that and then answers "on hold", not "confirmed";
//   - a second status operator (DESIGN 4, continuity) re-dates the lists: TestMonth; the demo has none;
//   - what was revoked before stays refused for the whole month, and the day the issuer is back all is as it was.
//
// The clock of the parties moves, that of the chain does not: its proofs get old with the lists, as if a verifier were cut
// off from the nodes. That is the harder case.
func (o *outage) issuerAlone(t *testing.T) {
	o.act("down", "issuer")
	day := 24 * time.Hour
	for _, step := range []struct {
		ahead          time.Duration
		decision, code string
	}{
		{time.Hour, "confirmed", "VALID"},
		{day, "confirmed", "VALID"},
		{3*day - time.Hour, "confirmed", "VALID"},
		{3*day + time.Hour, "on hold", "STATUS_STALE"},
		{8 * day, "on hold", "STATUS_STALE"},
		{29 * day, "on hold", "STATUS_STALE"},
	} {
		o.run(t, fmt.Sprintf("DESIGN 5.7 the issuer is gone for %v", step.ahead), func(t *testing.T) {
			o.act("clock", step.ahead.String())
			got := o.expect(t, step.decision, step.code)
			if got.StatusAsOf != "" && got.asOf(t).After(time.Now().Add(31*time.Minute)) {
				t.Errorf("status as of %v lies beyond next_update", got.asOf(t))
			}
		})
	}
	o.run(t, "DESIGN 5.7 the issuer is gone for 33 days", o.monthAlone)
	o.run(t, "DESIGN 5.7 the issuer is back", func(t *testing.T) {
		o.act("clock", "0s")
		o.act("up", "issuer")
		o.soon(t, "it is as before", func() bool { return o.present(o.good, "x509_hash").Code == "VALID" })
		o.expect(t, "confirmed", "VALID")
	})
	o.run(t, "DESIGN 5.7 a copy that is shown again is shown to the same verifier only, and the wallet says so", func(t *testing.T) {
		var request struct {
			URI string `json:"request_uri"`
		}
		o.demo(&request, "request", "--policy", "adult-check")
		var sent struct{ Reused bool }
		output(t, &sent, "wallet", "present", "--data", o.data, "--wallet", o.good, "--json", "--yes", request.URI)
		if !sent.Reused {
			t.Error("ten copies lasted for more than ten visits, and the wallet does not say that it showed one again")
		}
	})
}

// monthAlone: beyond the trusting period (30 days) a header that did not move proves nothing to anybody: the wallet does not
// recognise the verifier and sends nothing, the verifier confirms nothing. (A living chain's headers move; the demo's clock
// does not move them.)
func (o *outage) monthAlone(t *testing.T) {
	o.act("clock", "792h")
	for _, wallet := range []string{o.good, o.bad} {
		var request struct {
			URI string `json:"request_uri"`
			ID  string
		}
		o.demo(&request, "request", "--policy", "adult-check")
		code, text := exitCode(t, "wallet", "present", "--data", o.data, "--wallet", wallet, "--json", "--yes", request.URI)
		if got := o.result(request.ID); code != 1 || got.State != "retrieved" || got.Decision != "" || got.Claims != nil {
			t.Errorf("exit code %d, result %+v\n%s", code, got, text)
		}
	}
}

// soon waits a few seconds for what comes by schedule.
func (o *outage) soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
	}
}

// An ear holds a stopped party's port and counts connections.
type ear struct {
	l net.Listener
	n atomic.Int64
}

func listen(t *testing.T, partyURL string) *ear {
	t.Helper()
	e := &ear{l: must(net.Listen("tcp", must(url.Parse(partyURL))(t).Host))(t)}
	t.Cleanup(func() { e.l.Close() })
	go func() {
		for c, err := e.l.Accept(); err == nil; c, err = e.l.Accept() {
			e.n.Add(1)
			c.Close()
		}
	}()
	return e
}

func (e *ear) close() int64 {
	e.l.Close()
	return e.n.Load()
}

// A memory keeps answers of the registry and gives them again when their time is over.
type memory struct {
	mu    sync.Mutex
	kept  map[string]answer // path and query
	asked atomic.Int64
}

type answer struct {
	contentType string
	body        []byte
}

// record reads from the chain what a verifier reads, and keeps every answer.
func (r *running) record() *memory {
	r.t.Helper()
	m := &memory{kept: map[string]answer{}}
	c := r.chain(m)
	_, some := r.receive("resident-id", "park-nuri", 1)
	held := claimsOf(r.t, some[0].text)
	did := registry.DID(held["iss"].(string))
	uri := held["status"].(map[string]any)["status_list"].(map[string]any)["uri"].(string)
	ctx := r.t.Context()
	must(c.StatusList(ctx, uri, statuslist.MediaTypeJWT))(r.t)
	if _, _, err := c.Accreditation(ctx, did, held["vct"].(string), time.Time{}); err != nil {
		r.t.Fatal(err)
	}
	req := must(http.NewRequest(http.MethodGet, uri, nil))(r.t)
	req.Header.Set("Accept", statuslist.MediaTypeJWT)
	res := must(m.RoundTrip(req))(r.t)
	if res.StatusCode != http.StatusOK {
		r.t.Fatalf("the status host answered %d", res.StatusCode)
	}
	return m
}

// RoundTrip asks the real server and remembers.
func (m *memory) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.StatusCode == http.StatusOK {
		m.mu.Lock()
		m.kept[req.URL.RequestURI()] = answer{res.Header.Get("Content-Type"), body}
		m.kept[req.URL.Path] = answer{res.Header.Get("Content-Type"), body} // the newest of its kind, for other questions
		m.mu.Unlock()
	}
	return res, nil
}

// serve answers at a stopped party's address.
func (m *memory) serve(t *testing.T, partyURL string) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(m)
	s.Listener.Close()
	s.Listener = must(net.Listen("tcp", must(url.Parse(partyURL))(t).Host))(t)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (m *memory) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.asked.Add(1)
	m.mu.Lock()
	a, ok := m.kept[r.URL.RequestURI()]
	if !ok {
		a, ok = m.kept[r.URL.Path]
	}
	m.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.contentType)
	_, _ = w.Write(a.body)
}
