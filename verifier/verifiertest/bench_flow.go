package verifiertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/store"
	"github.com/dojang-id/dojang/verifier/web"
)

// flow is a verifier over HTTP on a database file of its own.
type flow struct {
	w      *World
	wallet *Wallet
	held   []*Held
	public *httptest.Server
	manage *httptest.Server
	db     *sqldb.DB
	dir    string
	token  string
	thin   []thin // benchCallers

	mu      sync.Mutex
	answers []stocked
	used    int // of them since the last refill
	took    bench.Latencies
}

// thin is one caller's connections: the company's to the management API, the wallet's to the public side.
type thin struct{ manage, public *bench.Wire }

// benchFlow times the verifier's three requests of a flow. The answers that it gets were made by a wallet before, for
// transactions of their own that are just as pending, so that the wallet's work is not in the time: every Op creates a
// request, fetches it, and posts the answer of an earlier one.
func benchFlow() (*bench.Loops, error) {
	f, err := newFlow()
	if err != nil {
		return nil, err
	}
	if err := f.stock(8 * benchSet); err != nil {
		f.close()
		return nil, err
	}
	l, err := newFlowFloor(f)
	if err != nil {
		f.close()
		return nil, err
	}
	return &bench.Loops{
		Per: benchCallers, FloorPer: benchCallers, Latencies: f.took.Ms,
		Op:    func(int) error { return together(f.serveOne) },
		Floor: func(int) error { return together(l.flow) },
		Corrupt: func(round int) error {
			bent := *f.held[round%benchSet]
			bent.Text = corrupt(bent.Text)
			return errors.Join(f.run(&bent, http.StatusBadRequest), f.stock(2*f.taken()))
		},
		Close: func() { l.close(); f.close() },
	}, nil
}

// benchCallers at once: durable records of callers who wait together are joined, as in a service under load.
const benchCallers = 32

func together(one func(caller int) error) error {
	var group errgroup.Group
	for c := range benchCallers {
		group.Go(func() error { return one(c) })
	}
	return group.Wait()
}

// stocked is an answer that a wallet has made and not yet sent.
type stocked struct{ uri, body string }

// stock makes answers until so many are ready.
func (f *flow) stock(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.answers); i < n; i++ {
		r, body, err := f.prepare(f.held[i%benchSet])
		if err != nil {
			return err
		}
		f.answers = append(f.answers, stocked{r.ResponseURI, body})
	}
	f.used = 0
	return nil
}

// taken is how many were used since the last refill.
func (f *flow) taken() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used
}

// next takes one; when there is none, which costs time, more are made.
func (f *flow) next() (stocked, error) {
	for {
		f.mu.Lock()
		if n := len(f.answers); n > 0 {
			last := f.answers[n-1]
			f.answers, f.used = f.answers[:n-1], f.used+1
			f.mu.Unlock()
			return last, nil
		}
		f.mu.Unlock()
		if err := f.stock(benchSet); err != nil {
			return stocked{}, err
		}
	}
}

func (f *flow) serveOne(caller int) error {
	answer, err := f.next()
	if err != nil {
		return err
	}
	began := time.Now()
	defer func() { f.took.Add(time.Since(began)) }()
	c := f.thin[caller]
	status, body, err := c.manage.Do("POST /v1/requests", bench.JSONHead+"Authorization: Bearer "+f.token+"\r\n", []byte(benchRequest))
	if err != nil || status != http.StatusCreated {
		return fmt.Errorf("create: %d: %w", status, errors.Join(err))
	}
	var created struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &created); err != nil {
		return err
	}
	l, err := oid4vp.ParseLink(created.RequestURI, func(string) bool { return true })
	if err != nil {
		return err
	}
	if status, _, err = c.public.Do("GET "+pathOf(l.RequestURI), "", nil); err != nil || status != http.StatusOK {
		return fmt.Errorf("request object: %d: %w", status, errors.Join(err))
	}
	status, body, err = c.public.Do("POST "+pathOf(answer.uri), bench.FormHead, []byte(answer.body))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("answered %d %s: %w", status, body, errors.Join(err))
	}
	return nil
}

// pathOf a URL of ours.
func pathOf(uri string) string {
	_, path, _ := strings.Cut(strings.TrimPrefix(uri, "http://"), "/")
	return "/" + path
}

// A Flows is a verifier with wallets, for a load that others share the machine with.
type Flows struct {
	f    *flow
	a    *arithmetic
	next atomic.Int64
}

// NewFlows starts it on a database of its own; Close ends it.
func NewFlows() (*Flows, error) {
	f, err := newFlow()
	if err != nil {
		return nil, err
	}
	return &Flows{f: f, a: newArithmetic()}, nil
}

// One is a whole presentation, the wallet's part included. Safe for concurrent use.
func (s *Flows) One() error {
	return s.f.run(s.f.held[s.next.Add(1)%benchSet], http.StatusOK)
}

// Floor is the arithmetic of one: request, key binding and receipt signed; request, issuer and holder verified; an answer
// sealed and opened.
func (s *Flows) Floor() error {
	return errors.Join(s.a.sign(3), s.a.verify(3), s.a.agree(), s.a.agree())
}

// Close stops the servers.
func (s *Flows) Close() { s.f.close() }

func newFlow() (*flow, error) {
	f := &flow{w: New()}
	f.w.Gaon.Shrink(benchList)
	var err error
	if f.dir, err = os.MkdirTemp("", "dojang-bench-"); err != nil {
		return nil, err
	}
	if f.db, err = sqldb.Open(context.Background(), "sqlite://"+filepath.Join(f.dir, "verifier.db")); err != nil {
		return nil, err
	}
	var server *web.Server
	f.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.Public().ServeHTTP(w, r) }))
	if server, err = f.serve(); err != nil {
		f.close()
		return nil, err
	}
	f.manage = httptest.NewServer(server.Management())
	f.wallet = f.w.Wallet()
	for range benchSet {
		f.held = append(f.held, f.w.Gaon.Issue(Resident(), nil))
	}
	for range benchCallers {
		c := thin{}
		if c.manage, err = bench.Dial(f.manage.URL); err == nil {
			c.public, err = bench.Dial(f.public.URL)
		}
		if err != nil {
			f.close()
			return nil, err
		}
		f.thin = append(f.thin, c)
	}
	return f, nil
}

func (f *flow) serve() (*web.Server, error) {
	log, err := audit.New(audit.Config{Now: f.w.Clock.Now, PseudonymKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		return nil, err
	}
	s, err := store.Open(context.Background(), f.db, log)
	if err != nil {
		return nil, err
	}
	v, err := verifier.New(f.w.Config())
	if err != nil {
		return nil, err
	}
	policies, err := verifier.BuiltinPolicies(nil)
	if err != nil {
		return nil, err
	}
	base := strings.Replace(f.public.URL, "127.0.0.1", "localhost", 1)
	desk, err := verifier.NewDesk(verifier.DeskConfig{
		Verifier: v, Store: s, Alone: true, Clients: []verifier.Client{f.w.Client("bench", base, f.w.Company)}, Policies: policies,
		SealKey: bytes.Repeat([]byte{9}, 32), Network: "test", Now: f.w.Clock.Now,
	})
	if err != nil {
		return nil, err
	}
	f.token = httpd.NewToken()
	return web.New(web.Config{
		Desk: desk, Registry: f.w.Registry, Now: f.w.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Tokens: []httpd.Token{{Name: "bench", Hash: httpd.HashToken(f.token), Tenant: "bench"}},
	})
}

// run is one whole presentation that must end with status.
func (f *flow) run(held *Held, status int) error {
	r, body, err := f.prepare(held)
	if err != nil {
		return err
	}
	got, answer, err := f.wallet.Post(r.ResponseURI, body)
	if err != nil {
		return err
	}
	if got != status {
		return fmt.Errorf("answered %d %s", got, answer)
	}
	return nil
}

// prepare is everything up to the wallet's answer.
func (f *flow) prepare(held *Held) (oid4vp.VerifiedRequest, string, error) {
	link, err := f.create()
	if err != nil {
		return oid4vp.VerifiedRequest{}, "", err
	}
	r, err := f.wallet.Fetch(link, "")
	if err != nil {
		return r, "", err
	}
	text := held.Present(r.ClientID, r.Nonce, "age_over_19")
	return r, Answer(r, map[string]string{"resident": text}, nil), nil
}

const (
	benchRequest = `{"policy":"adult-check","client_id_prefix":"decentralized_identifier"}`
	benchList    = 1_000_000 // entries of the status list
)

func (f *flow) create() (string, error) {
	req, err := http.NewRequest(http.MethodPost, f.manage.URL+"/v1/requests", strings.NewReader(benchRequest))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := f.wallet.Client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var out struct {
		RequestURI string `json:"request_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("create: %d: %w", resp.StatusCode, errors.Join(err))
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return out.RequestURI, err
}

func (f *flow) close() {
	for _, c := range f.thin {
		_ = c.manage.Close()
		_ = c.public.Close()
	}
	for _, s := range []*httptest.Server{f.public, f.manage} {
		if s != nil {
			s.Close()
		}
	}
	_ = f.db.Close()
	_ = os.RemoveAll(f.dir)
}
