package holder_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	walletapi "github.com/dojang-id/dojang/wallet-api"
	"github.com/dojang-id/dojang/wallet-api/holder"
	"github.com/dojang-id/dojang/wallet-api/web"
)

// provider is the real wallet provider over HTTP, with a record of every byte that it got or wrote.
type provider struct {
	*walletapi.Provider
	folder string
	db     *sqldb.DB
	mu     sync.Mutex
	heard  bytes.Buffer // guarded by mu
	seen   []string     // attestations that the issuer saw; guarded by mu
}

func withProvider(t *testing.T) (*world, *provider) {
	t.Helper()
	p := &provider{folder: t.TempDir()}
	p.db = must(sqldb.Open(t.Context(), "sqlite://"+filepath.Join(p.folder, "provider.db")))(t)
	t.Cleanup(func() { p.db.Close() })
	var public http.Handler
	origin := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		p.heard.WriteString(r.Method + " " + r.URL.String() + "\n")
		_ = r.Header.Write(&p.heard)
		p.heard.Write(body)
		p.heard.WriteString("\n" + unpack(string(body)) + "\n")
		p.mu.Unlock()
		public.ServeHTTP(w, r)
	}))
	signer := newSigner(t)
	w := newWorld(t)
	p.Provider = must(walletapi.New(t.Context(), walletapi.Config{
		URL: origin, ClientID: "dojang-wallet", WalletName: "공동지갑", Signer: signer, Kid: "did:dojang:demo:Provider1#attestation-1",
		DB: p.db, Secret: make([]byte, 32), Now: w.now,
	}))(t)
	server := must(web.New(web.Config{Provider: p.Provider, Mux: httpd.MuxConfig{Log: slog.New(slog.DiscardHandler)}, Log: slog.New(slog.DiscardHandler)}))(t)
	public = server.Public()
	w.agency.wallet = func(h *keys.Header) (*keys.PublicKey, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.seen = append(p.seen, w.agency.headers["/gaon/token"].Get("OAuth-Client-Attestation"))
		return signer.Public(), nil
	}
	w.cfg.Provider = origin
	w.cfg.HTTP = must(httpd.NewClient(httpd.ClientConfig{Origins: []string{origin, w.agency.origin, w.shop.origin}}))(t)
	w.Holder = must(holder.New(t.Context(), w.cfg))(t)
	return w, p
}

// unpack opens the payloads of JWTs inside JWTs, so that nothing hides in base64.
func unpack(s string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(`"{}:,. `, r) }) {
		if raw, err := keys.DecodeBase64URL(word); err == nil && len(raw) > 16 {
			b.Write(raw)
			b.WriteString("\n" + unpack(string(raw)))
		}
	}
	return b.String()
}

func TestProvider(t *testing.T) {
	w, p := withProvider(t)
	w.receive()
	w.receive()
	must(w.show())(t)
	t.Run("I07 no two issuances see one attestation", func(t *testing.T) {
		if len(p.seen) != 2 || p.seen[0] == p.seen[1] || p.seen[0] == "" {
			t.Errorf("%d attestations", len(p.seen))
		}
	})
	t.Run("one wallet is one instance", func(t *testing.T) {
		if n := p.count(t); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
	t.Run("I17 the provider hears of no issuer, type, person or verifier", func(t *testing.T) {
		everything := p.heard.String()
		err := filepath.WalkDir(p.folder, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			everything += string(raw)
			return err
		})
		if err != nil || len(everything) < 4096 {
			t.Fatalf("%d bytes: %v", len(everything), err)
		}
		_, agencyPort, _ := strings.Cut(w.agency.origin, "localhost:")
		_, shopPort, _ := strings.Cut(w.shop.origin, "localhost:")
		for _, canary := range []string{
			string(w.agency.did), w.agency.did.ID(), w.agency.url, "localhost:" + agencyPort, "resident-id", "한가온", "HAN GAON", "1998-07-04",
			string(w.shop.did), w.shop.did.ID(), "localhost:" + shopPort, "adult-check", "age_over_19", "code-1", "access-1", "nonce-1",
		} {
			if strings.Contains(everything, canary) {
				t.Errorf("the provider knows %q", canary)
			}
		}
	})
	t.Run("I06 a revoked wallet receives nothing", func(t *testing.T) {
		if err := p.Revoke(t.Context(), p.instance(t)); err != nil {
			t.Fatal(err)
		}
		before, asked := w.rows(), w.agency.requests("/gaon/token")
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		_, err := w.Receive(t.Context(), o, "")
		w.unchanged(err, holder.ErrRefused, before)
		if w.agency.requests("/gaon/token") != asked {
			t.Error("the code was used")
		}
	})
}

func (p *provider) count(t *testing.T) (n int) {
	t.Helper()
	if err := p.db.Read(t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM instance`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func (p *provider) instance(t *testing.T) (id string) {
	t.Helper()
	if err := p.db.Read(t.Context(), func(tx *sqldb.Tx) error { return tx.QueryRow(`SELECT id FROM instance`).Scan(&id) }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestProviderTrouble(t *testing.T) {
	t.Run("the issuer asks for a challenge only in its refusal", func(t *testing.T) {
		w, _ := withProvider(t)
		w.agency.as = func(m map[string]any) { delete(m, "challenge_endpoint") }
		refused := 0
		check := w.agency.token
		w.agency.instead["/gaon/token"] = func(rw http.ResponseWriter, r *http.Request) {
			record := httptest.NewRecorder()
			check(record, r)
			if record.Code != http.StatusOK {
				refused++
				rw.Header().Set("OAuth-Client-Attestation-Challenge", "challenge-1")
			}
			rw.WriteHeader(record.Code)
			_, _ = rw.Write(record.Body.Bytes())
		}
		w.receive()
		if refused != 1 {
			t.Errorf("%d refusals", refused)
		}
	})
	for name, answer := range map[string]string{"no JSON": "<html>", "not all members": `{"challenge":""}`, "another shape": `{"challenge":1}`} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			origin := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, answer) }))
			w.cfg.Provider = origin
			w.cfg.HTTP = must(httpd.NewClient(httpd.ClientConfig{Origins: []string{origin, w.agency.origin}}))(t)
			w.Holder = must(holder.New(t.Context(), w.cfg))(t)
			before := w.rows()
			o := must(w.Offer(t.Context(), w.agency.offer()))(t)
			_, err := w.Receive(t.Context(), o, "")
			w.unchanged(err, holder.ErrRefused, before)
			if w.agency.requests("/gaon/token") != 0 {
				t.Error("the code was used")
			}
		})
	}
	t.Run("the provider is gone", func(t *testing.T) {
		w := newWorld(t, func(c *holder.Config) { c.Provider = "http://localhost:1" })
		w.cfg.HTTP = must(httpd.NewClient(httpd.ClientConfig{Origins: []string{"http://localhost:1", w.agency.origin}}))(t)
		w.Holder = must(holder.New(t.Context(), w.cfg))(t)
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		if _, err := w.Receive(t.Context(), o, ""); !errors.Is(err, holder.ErrUnreachable) {
			t.Error(err)
		}
	})
}
