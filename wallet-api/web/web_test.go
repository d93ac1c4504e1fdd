package web_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	walletapi "github.com/dojang-id/dojang/wallet-api"
	"github.com/dojang-id/dojang/wallet-api/web"
)

const base = "http://localhost:8604"

// desk is a provider behind its HTTP.
type desk struct {
	t      *testing.T
	db     *sqldb.DB
	server *web.Server
	tokens *httpd.Tokens
	token  string
	logged bytes.Buffer
	now    time.Time
	device keys.Signer
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, now: time.Date(2026, 11, 21, 5, 0, 0, 0, time.UTC), device: signer(t), token: httpd.NewToken()}
	var err error
	if d.db, err = sqldb.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "provider.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.db.Close() })
	p, err := walletapi.New(t.Context(), walletapi.Config{
		URL: base, ClientID: "dojang-wallet", WalletName: "공동지갑", Signer: signer(t), Kid: "did:dojang:demo:x#attestation-1",
		DB: d.db, Secret: make([]byte, 32), Now: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.tokens, err = httpd.NewTokens(httpd.Token{Name: "desk", Hash: httpd.HashToken(d.token)}); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(&d.logged, nil))
	if d.server, err = web.New(web.Config{Provider: p, Tokens: d.tokens, Log: log, Mux: httpd.MuxConfig{Log: log}}); err != nil {
		t.Fatal(err)
	}
	return d
}

func signer(t *testing.T) keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// post sends a body; the answer's members are strings or numbers.
func (d *desk) post(h http.Handler, path, body string, header ...string) (*http.Response, map[string]any) {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	m := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &m); err != nil {
			d.t.Fatalf("%s answered %q: %v", path, raw, err)
		}
	}
	return res, m
}

func (d *desk) challenge() string {
	d.t.Helper()
	_, m := d.post(d.server.Public(), "/v1/challenges", "")
	s, _ := m["challenge"].(string)
	return s
}

func (d *desk) proof(typ string, s keys.Signer, kid string, claims map[string]any) string {
	d.t.Helper()
	full := map[string]any{"aud": base, "iat": d.now.Unix(), "platform": "linux"}
	for k, v := range claims {
		full[k] = v
	}
	payload, err := json.Marshal(full)
	if err != nil {
		d.t.Fatal(err)
	}
	h := keys.Header{Typ: typ, Kid: kid}
	if kid == "" {
		h.JWK = s.Public()
	}
	jwt, err := keys.SignJWS(s, h, payload)
	if err != nil {
		d.t.Fatal(err)
	}
	return jwt
}

func (d *desk) enrolment(challenge string) string {
	return `{"proof":"` + d.proof(walletapi.TypEnrolment, d.device, "", map[string]any{"challenge": challenge}) + `"}`
}

func (d *desk) request(challenge string) string {
	d.t.Helper()
	inner := d.proof(walletapi.TypKey, signer(d.t), "", map[string]any{"challenge": challenge})
	return `{"proof":"` + d.proof(walletapi.TypRequest, d.device, d.device.Public().Thumbprint(), map[string]any{"challenge": challenge, "key": inner}) + `"}`
}

// rows is what the store holds.
func (d *desk) rows() (n [4]int64) {
	d.t.Helper()
	err := d.db.Read(d.t.Context(), func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT (SELECT COUNT(*) FROM instance), (SELECT COUNT(*) FROM challenge_used), (SELECT COUNT(*) FROM attested),
			(SELECT COUNT(*) FROM instance WHERE revoked IS NOT NULL)`).Scan(&n[0], &n[1], &n[2], &n[3])
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// problem fails unless the answer is this problem (RFC 9457), without echo, and the store is as before.
func (d *desk) problem(res *http.Response, m map[string]any, status int, slug string, before [4]int64) {
	d.t.Helper()
	typ, _ := m["type"].(string)
	if res.StatusCode != status || !strings.HasSuffix(typ, slug) || res.Header.Get("Content-Type") != "application/problem+json" {
		d.t.Errorf("answered %d %v (%s), want %d %s", res.StatusCode, m, res.Header.Get("Content-Type"), status, slug)
	}
	if after := d.rows(); after != before {
		d.t.Errorf("rows changed from %v to %v", before, after)
	}
}

func TestLifeOfAWallet(t *testing.T) {
	d := newDesk(t)
	res, m := d.post(d.server.Public(), "/v1/instances", d.enrolment(d.challenge()))
	if res.StatusCode != http.StatusOK || m["instance"] != d.device.Public().Thumbprint() {
		t.Fatalf("enrolment: %d %v", res.StatusCode, m)
	}
	res, m = d.post(d.server.Public(), "/v1/attestations", d.request(d.challenge()))
	if jwt, _ := m["attestation"].(string); res.StatusCode != http.StatusOK || m["client_id"] != "dojang-wallet" || strings.Count(jwt, ".") != 2 {
		t.Fatalf("attestation: %d %v", res.StatusCode, m)
	}
	path := "/v1/instances/" + d.device.Public().Thumbprint() + "/revoke"
	before := d.rows()
	for name, header := range map[string][]string{
		"J16 no token":              nil,
		"J16 a made-up token":       {"Authorization", "Bearer " + httpd.NewToken()},
		"J16 another scheme":        {"Authorization", "Basic " + d.token},
		"J16 the token in the path": {"X-Api-Key", d.token},
	} {
		t.Run(name, func(t *testing.T) {
			res, m := d.post(d.server.Management(), path+"?token="+d.token, "", header...)
			d.problem(res, m, http.StatusUnauthorized, "unauthorized", before)
		})
	}
	t.Run("J24 the public listener manages nothing", func(t *testing.T) {
		for _, p := range []string{path, "/openapi.json", "/debug/pprof/", "/metrics"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, p, nil)
			r.Header.Set("Authorization", "Bearer "+d.token)
			w := httptest.NewRecorder()
			d.server.Public().ServeHTTP(w, r)
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", p, w.Code)
			}
		}
	})
	res, m = d.post(d.server.Management(), path, "", "Authorization", "Bearer "+d.token)
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("revocation: %d %v", res.StatusCode, m)
	}
	t.Run("I06 a revoked instance is refused", func(t *testing.T) {
		before := d.rows()
		res, m := d.post(d.server.Public(), "/v1/attestations", d.request(d.challenge()))
		d.problem(res, m, http.StatusForbidden, "instance-revoked", before)
		res, _ = d.post(d.server.Management(), path, "", "Authorization", "Bearer "+d.token)
		if res.StatusCode != http.StatusNoContent || d.rows() != before {
			t.Errorf("revoked twice: %d, rows %v", res.StatusCode, d.rows())
		}
	})
	t.Run("J16 a token that was taken back is refused at once", func(t *testing.T) {
		if err := d.tokens.Replace(); err != nil {
			t.Fatal(err)
		}
		res, m := d.post(d.server.Management(), path, "", "Authorization", "Bearer "+d.token)
		d.problem(res, m, http.StatusUnauthorized, "unauthorized", d.rows())
	})
	for _, secret := range []string{d.token, d.device.Public().Thumbprint()} {
		if strings.Contains(d.logged.String(), secret) {
			t.Errorf("the log holds a token or an instance:\n%s", d.logged.String())
		}
	}
}

func TestProblems(t *testing.T) {
	d := newDesk(t)
	used := d.enrolment(d.challenge())
	if res, m := d.post(d.server.Public(), "/v1/instances", used); res.StatusCode != http.StatusOK {
		t.Fatalf("enrolment: %d %v", res.StatusCode, m)
	}
	stranger := newDesk(t) // another device, not enrolled here
	before := d.rows()
	for _, c := range []struct {
		name, path, body string
		status           int
		slug             string
	}{
		{"I04 a challenge used twice", "/v1/instances", used, 422, "challenge-invalid"},
		{"I04 a challenge that nobody gave", "/v1/instances", d.enrolment("made-up"), 422, "challenge-invalid"},
		{"a proof for somebody else", "/v1/instances", `{"proof":"` + d.proof(walletapi.TypEnrolment, d.device, "", map[string]any{"challenge": d.challenge(), "aud": "https://other.example"}) + `"}`, 422, "attestation-rejected"},
		{"A01 alg none", "/v1/instances", `{"proof":"eyJhbGciOiJub25lIn0.e30."}`, 422, "attestation-rejected"},
		{"A13 JSON serialisation", "/v1/instances", `{"proof":"{\"payload\":\"e30\"}"}`, 422, "attestation-rejected"},
		{"I06 an instance that nobody enrolled", "/v1/attestations", stranger.request(d.challenge()), 404, "not-found"},
		{"J09 an unknown member", "/v1/instances", strings.Replace(d.enrolment(d.challenge()), "{", `{"level":"high",`, 1), 400, "malformed"},
		{"A15 a member twice", "/v1/instances", `{"proof":"a","proof":"b"}`, 400, "malformed"},
		{"A16 a member in another case", "/v1/instances", `{"Proof":"a"}`, 400, "malformed"},
		{"no proof", "/v1/instances", `{}`, 400, "malformed"},
		{"no object", "/v1/instances", `"proof"`, 400, "malformed"},
		{"no body", "/v1/attestations", ``, 400, "malformed"},
		{"trailing data", "/v1/instances", `{"proof":"a"}{}`, 400, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, m := d.post(d.server.Public(), c.path, c.body)
			d.problem(res, m, c.status, c.slug, before)
			if text, _ := json.Marshal(m); strings.Contains(string(text), "made-up") || strings.Contains(string(text), "eyJ") {
				t.Errorf("the answer repeats what was sent: %s", text)
			}
		})
	}
	t.Run("J19 a body that is too long", func(t *testing.T) {
		res, m := d.post(d.server.Public(), "/v1/instances", `{"proof":"`+strings.Repeat("a", 2<<20)+`"}`)
		if res.StatusCode != http.StatusRequestEntityTooLarge && res.StatusCode != http.StatusBadRequest {
			t.Errorf("answered %d %v", res.StatusCode, m)
		}
		if d.rows() != before {
			t.Error("rows changed")
		}
	})
	t.Run("an instance that nobody knows cannot be revoked", func(t *testing.T) {
		res, m := d.post(d.server.Management(), "/v1/instances/nobody/revoke", "", "Authorization", "Bearer "+d.token)
		d.problem(res, m, http.StatusNotFound, "not-found", before)
	})
	t.Run("a fault says nothing but a reference", func(t *testing.T) {
		fresh := d.enrolment(d.challenge())
		if err := d.db.Close(); err != nil {
			t.Fatal(err)
		}
		res, m := d.post(d.server.Public(), "/v1/instances", fresh)
		text, err := json.Marshal(m)
		if err != nil || res.StatusCode != http.StatusServiceUnavailable || m["reference"] == nil || strings.Contains(string(text), "sqldb") {
			t.Errorf("answered %d %s", res.StatusCode, text)
		}
		if ref, _ := m["reference"].(string); ref == "" || !strings.Contains(d.logged.String(), ref) {
			t.Errorf("the log does not know %v:\n%s", m["reference"], d.logged.String())
		}
	})
}

func TestBrowserWallets(t *testing.T) {
	d := newDesk(t)
	res, _ := d.post(d.server.Public(), "/v1/challenges", "", "Origin", "https://wallet.example")
	if res.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a wallet in a browser cannot read the answer")
	}
	res, _ = d.post(d.server.Management(), "/v1/instances/x/revoke", "", "Origin", "https://evil.example", "Authorization", "Bearer "+d.token)
	if res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("the management API talks to browsers")
	}
}

func TestNew(t *testing.T) {
	if _, err := web.New(web.Config{}); err == nil {
		t.Error("a server without a provider")
	}
	d := newDesk(t)
	for name, h := range map[string]http.Handler{"public": d.server.Public(), "management": d.server.Management()} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/health", nil))
		if w.Code != http.StatusOK {
			t.Errorf("%s health: %d", name, w.Code)
		}
	}
}
