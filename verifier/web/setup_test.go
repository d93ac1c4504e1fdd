package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/store"
	"github.com/dojang-id/dojang/verifier/verifiertest"
	"github.com/dojang-id/dojang/verifier/web"
)

// A house is a whole verifier over HTTP with two companies, on one database.
type house struct {
	t      *testing.T // of the running subtest
	root   *testing.T // of the engine: what must outlive a subtest
	w      *verifiertest.World
	url    string // of the database
	public *httptest.Server
	manage *httptest.Server
	tokens map[string]string // tenant -> bearer token
	desk   *verifier.Desk
	store  *store.Store
	wallet *verifiertest.Wallet
	log    bytes.Buffer
	server atomic.Pointer[web.Server]
	other  verifiertest.Company
	step   func(string) // of the desk
}

const (
	byeolmaru = "byeolmaru"
	moa       = "moa"
	back      = "https://byeolmaru.example/back"
)

// each runs f on every SQL engine.
func each(t *testing.T, f func(t *testing.T, h *house)) {
	t.Helper()
	sqldbtest.Each(t, func(t *testing.T, url string) { f(t, build(t, url)) })
}

func build(t *testing.T, url string) *house {
	t.Helper()
	h := &house{t: t, root: t, w: verifiertest.New(), url: url, tokens: map[string]string{}}
	h.public = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.server.Load().Public().ServeHTTP(w, r) }))
	h.manage = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.server.Load().Management().ServeHTTP(w, r) }))
	t.Cleanup(func() { h.public.Close(); h.manage.Close() })
	h.other = h.w.NewCompany("moa-bank")
	for _, tenant := range []string{byeolmaru, moa, ""} {
		h.tokens[tenant] = httpd.NewToken()
	}
	h.wallet = h.w.Wallet()
	h.wallet.Roots = append(h.wallet.Roots, h.other.Root)
	h.start()
	return h
}

// start makes everything but the database anew, as after a crash: nothing in memory survives.
func (h *house) start() {
	h.t.Helper()
	log, err := audit.New(audit.Config{Now: h.w.Clock.Now, PseudonymKey: bytes.Repeat([]byte{7}, 32)})
	h.check(err)
	h.store, err = store.Open(context.Background(), sqldbtest.Open(h.root, h.url), log)
	h.check(err)
	v, err := verifier.New(h.w.Config())
	h.check(err)
	policies, err := verifier.BuiltinPolicies(nil)
	h.check(err)
	base := strings.Replace(h.public.URL, "127.0.0.1", "localhost", 1)
	first, second := h.w.Client(byeolmaru, base+"/"+byeolmaru, h.w.Company), h.w.Client(moa, base+"/"+moa, h.other)
	first.RedirectURI = []string{back}
	second.Policies = []string{"adult-check"}
	h.desk, err = verifier.NewDesk(verifier.DeskConfig{
		Verifier: v, Store: h.store, Clients: []verifier.Client{first, second}, Policies: policies, SealKey: bytes.Repeat([]byte{9}, 32),
		Alone:   strings.HasPrefix(h.url, "sqlite:"), // on PostgreSQL the store is asked every time
		Network: "test", TrustedHeight: func() uint64 { return 42 }, Now: h.w.Clock.Now, Step: h.step,
	})
	h.check(err)
	var list []httpd.Token
	for tenant, token := range h.tokens {
		list = append(list, httpd.Token{Name: "token-" + tenant, Hash: httpd.HashToken(token), Tenant: tenant})
	}
	server, err := web.New(web.Config{
		Desk: h.desk, Registry: h.w.Registry, Tokens: list, Ready: h.store.Ping, Now: h.w.Clock.Now,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	h.check(err)
	h.server.Store(server)
}

func (h *house) check(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// api calls the companies' side as a tenant.
func (h *house) api(tenant, method, path string, in any) (int, map[string]any) {
	h.t.Helper()
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		h.check(err)
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, h.manage.URL+path, body)
	h.check(err)
	req.Header.Set("Authorization", "Bearer "+h.tokens[tenant])
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	h.check(err)
	defer func() { _ = resp.Body.Close() }()
	out := map[string]any{}
	raw, err := io.ReadAll(resp.Body)
	h.check(err)
	if err := json.Unmarshal(raw, &out); err != nil {
		h.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, raw)
	}
	return resp.StatusCode, out
}

type opened struct {
	id, link string
	request  oid4vp.VerifiedRequest
}

// open creates a request and lets the wallet fetch it.
func (h *house) open(options map[string]any) opened {
	h.t.Helper()
	o := h.create(options)
	var err error
	o.request, err = h.wallet.Fetch(o.link, "")
	h.check(err)
	return o
}

func (h *house) create(options map[string]any) opened {
	h.t.Helper()
	in := map[string]any{"policy": "adult-check"}
	for k, v := range options {
		in[k] = v
	}
	status, out := h.api(byeolmaru, http.MethodPost, "/v1/requests", in)
	if status != http.StatusCreated {
		h.t.Fatalf("create: %d %v", status, out)
	}
	return opened{id: out["id"].(string), link: out["request_uri"].(string)}
}

// held is a fresh resident-id.
func (h *house) held() *verifiertest.Held { return h.w.Gaon.Issue(verifiertest.Resident(), nil) }

// answer is an honest answer to a request.
func (h *house) answer(o opened, held *verifiertest.Held) string {
	h.t.Helper()
	text := held.Present(o.request.ClientID, o.request.Nonce, "age_over_19")
	return verifiertest.Answer(o.request, map[string]string{"resident": text}, nil)
}

// post sends an answer and wants this status; every refusal is the same bytes.
func (h *house) post(o opened, body string, status int) {
	h.t.Helper()
	got, answer, err := h.wallet.Post(o.request.ResponseURI, body)
	h.check(err)
	if got != status {
		h.t.Fatalf("answer got %d %s, want %d", got, answer, status)
	}
	if status == http.StatusBadRequest && string(answer) != `{"error":"invalid_request"}` {
		h.t.Fatalf("refusal is not constant: %s", answer)
	}
}

// result reads what the company reads.
func (h *house) result(id string) map[string]any {
	h.t.Helper()
	status, out := h.api(byeolmaru, http.MethodGet, "/v1/requests/"+id, nil)
	if status != http.StatusOK {
		h.t.Fatalf("result: %d %v", status, out)
	}
	return out
}

// want asserts state, decision and code of a result.
func (h *house) want(id, state string, decision, code any) map[string]any {
	h.t.Helper()
	r := h.result(id)
	if r["state"] != state || r["decision"] != decision || r["code"] != code {
		h.t.Fatalf("result %v, want %s %v %v", r, state, decision, code)
	}
	if (code == "VALID") != (r["claims"] != nil) {
		h.t.Fatalf("claims of %v: %v", code, r["claims"])
	}
	return r
}

// rows is the whole database as text: equal before and after means that nothing changed.
func (h *house) rows() string {
	h.t.Helper()
	dump, err := h.store.Dump(context.Background())
	h.check(err)
	return fmt.Sprint(dump)
}
