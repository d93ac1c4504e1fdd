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
	bare   *httptest.Server
	db     *sqldb.DB
	dir    string
	token  string

	mu      sync.Mutex
	answers []stocked
	used    int // of them since the last refill
	took    bench.Latencies
}

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
	a := newArithmetic()
	body := strings.Repeat("A", 4300)
	return &bench.Loops{
		Per: benchCallers, Latencies: f.took.Ms,
		Op: func(int) error { return together(f.serveOne) },
		Floor: func(int) error {
			for range 3 {
				if err := f.trip(f.bare.URL, body); err != nil {
					return err
				}
			}
			return errors.Join(a.sign(2), a.verify(2), a.agree())
		},
		Corrupt: func(round int) error {
			bent := *f.held[round%benchSet]
			bent.Text = corrupt(bent.Text)
			return errors.Join(f.run(&bent, http.StatusBadRequest), f.stock(2*f.taken()))
		},
		Close: f.close,
	}, nil
}

// benchCallers at once: durable records of callers who wait together are joined, as in a service under load.
const benchCallers = 32

func together(one func() error) error {
	var group errgroup.Group
	for range benchCallers {
		group.Go(one)
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

func (f *flow) serveOne() error {
	answer, err := f.next()
	if err != nil {
		return err
	}
	began := time.Now()
	defer func() { f.took.Add(time.Since(began)) }()
	link, err := f.create()
	if err != nil {
		return err
	}
	l, err := oid4vp.ParseLink(link, func(string) bool { return true })
	if err != nil {
		return err
	}
	if status, _, err := f.wallet.object(l.RequestURI, ""); err != nil || status != http.StatusOK {
		return fmt.Errorf("request object: %d: %w", status, errors.Join(err))
	}
	status, body, err := f.wallet.Post(answer.uri, answer.body)
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("answered %d %s: %w", status, body, errors.Join(err))
	}
	return nil
}

// A Load is what many callers at once got.
type Load struct {
	Flows    int
	PerS     float64       // flows a second of wall time
	CPU      time.Duration // of the whole process for one flow, wallet's side included
	P50, P99 time.Duration // of one whole flow: three requests
}

// MeasureLoad runs whole presentations from so many callers for that long, on a database of its own.
func MeasureLoad(ctx context.Context, callers int, d time.Duration) (Load, error) {
	f, err := newFlow()
	if err != nil {
		return Load{}, err
	}
	defer f.close()
	var mu sync.Mutex
	var took []float64
	group, ctx := errgroup.WithContext(ctx)
	start, cpu := time.Now(), bench.CPUTime()
	for c := range callers {
		group.Go(func() error {
			for i := c; time.Since(start) < d && ctx.Err() == nil; i += callers {
				began := time.Now()
				if err := f.run(f.held[i%benchSet], http.StatusOK); err != nil {
					return err
				}
				mu.Lock()
				took = append(took, float64(time.Since(began)))
				mu.Unlock()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Load{}, err
	}
	n := len(took)
	return Load{
		Flows: n, PerS: float64(n) / time.Since(start).Seconds(), CPU: (bench.CPUTime() - cpu) / time.Duration(n),
		P50: time.Duration(bench.Quantile(took, 0.5)), P99: time.Duration(bench.Quantile(took, 0.99)),
	}, nil
}

func newFlow() (*flow, error) {
	f := &flow{w: New()}
	var err error
	if f.dir, err = os.MkdirTemp("", "dojang-bench-"); err != nil {
		return nil, err
	}
	if f.db, err = sqldb.Open(context.Background(), "sqlite://"+filepath.Join(f.dir, "verifier.db")); err != nil {
		return nil, err
	}
	var server *web.Server
	f.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { server.Public().ServeHTTP(w, r) }))
	f.bare = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	if server, err = f.serve(); err != nil {
		f.close()
		return nil, err
	}
	f.manage = httptest.NewServer(server.Management())
	f.wallet = f.w.Wallet()
	for range benchSet {
		f.held = append(f.held, f.w.Gaon.Issue(Resident(), nil))
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
		Verifier: v, Store: s, Clients: []verifier.Client{f.w.Client("bench", base, f.w.Company)}, Policies: policies,
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

func (f *flow) create() (string, error) {
	req, err := http.NewRequest(http.MethodPost, f.manage.URL+"/v1/requests", strings.NewReader(`{"policy":"adult-check","client_id_prefix":"decentralized_identifier"}`))
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

func (f *flow) trip(url, body string) error {
	_, _, err := f.wallet.Post(url, body)
	return err
}

func (f *flow) close() {
	for _, s := range []*httptest.Server{f.public, f.manage, f.bare} {
		if s != nil {
			s.Close()
		}
	}
	_ = f.db.Close()
	_ = os.RemoveAll(f.dir)
}
