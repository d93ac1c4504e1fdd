package verifiertest

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
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
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/store"
	"github.com/dojang-id/dojang/verifier/web"
)

// BenchCases are the rows of the verifier.
//
// oid4vp/direct_post.jwt-e2e is one whole presentation over HTTP loopback with a durable record: create the request, GET
// the request object, POST the encrypted answer. Both sides run in this process, so the wallet's share (verify the
// request, sign the key binding, encrypt) is in the operation and in the floor. The floor is three bare HTTP round trips
// and the curve arithmetic that no implementation can avoid: request and receipt signed, two ephemeral keys, two ECDH,
// issuer and holder verified, and on the wallet's side one signature and one verification; no storage, no JSON.
//
// oid4vp/judge is the library alone: issuer bound, SD-JWT and key binding verified, status looked up in a list of
// 100,000 entries, policy evaluated. Its floor is two P-256 verifications.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "oid4vp/direct_post.jwt-e2e", New: benchFlow},
		{Name: "oid4vp/judge", New: benchJudge},
	}
}

const benchSet = 256

func benchJudge() (*bench.Loops, error) {
	w := New()
	v, err := verifier.New(w.Config())
	if err != nil {
		return nil, err
	}
	policies, err := verifier.BuiltinPolicies(nil)
	if err != nil {
		return nil, err
	}
	expect := verifier.Expect{Audience: "x509_hash:bench", Nonce: "bench-nonce", Now: w.Clock.Now()}
	texts := make([]string, benchSet)
	for i := range texts {
		texts[i] = w.Gaon.Issue(Resident(), nil).Present(expect.Audience, expect.Nonce, "age_over_19")
	}
	judge := func(text string) (verifier.Code, error) {
		s := verifier.Submission{Presentations: map[string][]string{"resident": {text}}}
		j, err := v.Judge(context.Background(), s, policies[0], expect)
		return j.Code, err
	}
	a := newArithmetic()
	return &bench.Loops{
		Op: func(i int) error {
			code, err := judge(texts[i%benchSet])
			if err == nil && code != verifier.Valid {
				err = fmt.Errorf("judged %s", code)
			}
			return err
		},
		Floor: func(int) error { return a.verify(2) },
		Corrupt: func(round int) error {
			code, err := judge(corrupt(texts[round%benchSet]))
			if err != nil || code != verifier.SignatureInvalid {
				return fmt.Errorf("judged %s: %w", code, errors.Join(err))
			}
			return nil
		},
	}, nil
}

// corrupt flips one character of the issuer's signature.
func corrupt(text string) string {
	at := strings.IndexByte(text, '~') - 10
	flipped := byte('A')
	if text[at] == flipped {
		flipped = 'B'
	}
	return text[:at] + string(flipped) + text[at+1:]
}

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
}

func benchFlow() (*bench.Loops, error) {
	f, err := newFlow()
	if err != nil {
		return nil, err
	}
	a := newArithmetic()
	body := strings.Repeat("A", 4300)
	return &bench.Loops{
		Op: func(i int) error { return f.run(f.held[i%benchSet], http.StatusOK) },
		Floor: func(int) error {
			for range 3 {
				if err := f.trip(f.bare.URL, body); err != nil {
					return err
				}
			}
			return errors.Join(a.sign(3), a.verify(3), a.agree(), a.agree())
		},
		Corrupt: func(round int) error {
			bent := *f.held[round%benchSet]
			bent.Text = corrupt(bent.Text)
			return f.run(&bent, http.StatusBadRequest)
		},
		Close: f.close,
	}, nil
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
	link, err := f.create()
	if err != nil {
		return err
	}
	r, err := f.wallet.Fetch(link, "")
	if err != nil {
		return err
	}
	text := held.Present(r.ClientID, r.Nonce, "age_over_19")
	got, body, err := f.wallet.Post(r.ResponseURI, Answer(r, map[string]string{"resident": text}, nil))
	if err != nil {
		return err
	}
	if got != status {
		return fmt.Errorf("answered %d %s", got, body)
	}
	return nil
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

// arithmetic is the curve work of a flow on parsed keys and ready digests.
type arithmetic struct {
	key    *ecdsa.PrivateKey
	peer   *ecdh.PublicKey
	digest [32]byte
	sig    []byte
}

func newArithmetic() *arithmetic {
	a := &arithmetic{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), digest: sha256.Sum256([]byte("dojang"))}
	a.sig = must(ecdsa.SignASN1(rand.Reader, a.key, a.digest[:]))
	a.peer = must(ecdh.P256().GenerateKey(rand.Reader)).PublicKey()
	return a
}

func (a *arithmetic) sign(n int) error {
	for range n {
		if _, err := ecdsa.SignASN1(rand.Reader, a.key, a.digest[:]); err != nil {
			return err
		}
	}
	return nil
}

func (a *arithmetic) verify(n int) error {
	for range n {
		if !ecdsa.VerifyASN1(&a.key.PublicKey, a.digest[:], a.sig) {
			return errors.New("signature does not verify")
		}
	}
	return nil
}

// agree is one side of a key agreement: an ephemeral key and one multiplication.
func (a *arithmetic) agree() error {
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	_, err = key.ECDH(a.peer)
	return err
}
