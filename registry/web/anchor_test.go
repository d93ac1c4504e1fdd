package web_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/registry/web"
)

// aggregator is a node that anchors, with its two faces; few leaves may wait.
func aggregator(t *testing.T, waiting int) (n *node.Node, public, management *httptest.Server, token string) {
	t.Helper()
	dir := t.TempDir()
	if _, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 1, Heartbeat: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Home: filepath.Join(dir, "node-1"), Anchors: &node.AnchorConfig{Key: registrytest.NewKey(t, ""),
		Op: registrytest.NewKey(t, registry.RoleOp), Next: registrytest.NewKey(t, "").Public.Hash(), Recovery: registrytest.NewKey(t, "").Public.Hash(), Waiting: waiting}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(context.Background()) })
	token = httpd.NewToken()
	tokens, err := httpd.NewTokens(httpd.Token{Name: "issuer", Hash: httpd.HashToken(token)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := web.New(web.Config{Node: n, StatusURL: "http://localhost:1", Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	public, management = httptest.NewServer(s.Public()), httptest.NewServer(s.Management())
	t.Cleanup(public.Close)
	t.Cleanup(management.Close)
	return n, public, management, token
}

func TestAnchors(t *testing.T) {
	n, public, management, token := aggregator(t, 50)
	salt, issued := [32]byte{1, 2, 3}, []byte("a deed")
	var anchors registry.Anchors = light.Anchors{URL: management.URL, Token: token}
	receipts, err := anchors.Anchor(t.Context(), evidence.AnchorLeaf(salt, issued), evidence.AnchorLeaf(salt, []byte("another")))
	if err != nil || len(receipts) != 2 {
		t.Fatalf("%d %v", len(receipts), err)
	}
	r, err := evidence.ParseReceipt(receipts[0])
	if err != nil {
		t.Fatal(err)
	}
	r.Salt = salt
	proof, err := n.HeadProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := evidence.HeadOfProof(proof, trust, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := light.Bridging{Receipt: r, Head: head, Proof: proof, Now: time.Now()}
	t.Run("bridged by any node", func(t *testing.T) {
		bridged, err := light.Bridge(t.Context(), []string{"http://127.0.0.1:1", public.URL}, b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bridged.Check(issued, head.Trust(), time.Now().AddDate(10, 0, 0)); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a node that lies about headers is seen", func(t *testing.T) {
		for name, bend := range map[string]func([]byte) []byte{
			"another hash":  func(b []byte) []byte { b[len(b)-5] ^= 1; return b },
			"another time":  func(b []byte) []byte { b[9] ^= 1; return b },
			"cut":           func(b []byte) []byte { return b[:len(b)-1] },
			"more than one": func(b []byte) []byte { return append(b, b...) },
			"nothing":       func([]byte) []byte { return nil },
		} {
			liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				res, err := http.Get(public.URL + q.URL.Path)
				if err != nil {
					return
				}
				defer res.Body.Close()
				raw, _ := io.ReadAll(res.Body)
				_, _ = w.Write(bend(raw))
			}))
			if out, err := light.Bridge(t.Context(), []string{liar.URL}, b); err == nil || out != nil {
				t.Errorf("%s: taken", name)
			}
			liar.Close()
		}
	})
	t.Run("a head from before the receipt does not cover it", func(t *testing.T) {
		again, err := anchors.Anchor(t.Context(), evidence.AnchorLeaf(salt, []byte("later")))
		if err != nil {
			t.Fatal(err)
		}
		later, err := evidence.ParseReceipt(again[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := light.Bridge(t.Context(), []string{public.URL}, light.Bridging{Receipt: later, Head: head, Proof: proof, Now: time.Now()}); !errors.Is(err, light.ErrNotCovered) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("a full queue is 429", func(t *testing.T) {
		if _, err := anchors.Anchor(t.Context(), make([][32]byte, 51)...); !errors.Is(err, light.ErrAnchorsBusy) {
			t.Fatalf("got %v", err)
		}
	})
	leaf := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct {
		name, token, body string
		status            int
	}{
		{"no token", "", `{"leaves":["` + leaf + `"]}`, 401},
		{"another token", httpd.NewToken(), `{"leaves":["` + leaf + `"]}`, 401},
		{"no leaves", token, `{"leaves":[]}`, 422},
		{"a short leaf", token, `{"leaves":["AAAA"]}`, 400},
		{"something else", token, `{"leaves":["` + leaf + `"],"more":1}`, 422},
		{"too many", token, `{"leaves":["` + strings.Repeat(leaf+`","`, 1000) + leaf + `"]}`, 422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, management.URL+light.AnchorsPath, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if tt.token != "" {
				req.Header.Set("Authorization", "Bearer "+tt.token)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if res.StatusCode != tt.status {
				raw, _ := io.ReadAll(res.Body)
				t.Fatalf("status %d, want %d: %s", res.StatusCode, tt.status, raw)
			}
		})
	}
	t.Run("not on the public face", func(t *testing.T) {
		res, err := http.Post(public.URL+light.AnchorsPath, "application/json", strings.NewReader(`{"leaves":["`+leaf+`"]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Fatalf("status %d", res.StatusCode)
		}
	})
}

func TestAnchorsThatLie(t *testing.T) {
	for name, answer := range map[string]string{
		"no receipts":      `{"root":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `","receipts":[]}`,
		"of another leaf":  `{"root":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `","size":1,"receipts":[{"index":0,"path":[]}],"evidence":"AA=="}`,
		"no root":          `{"size":1,"receipts":[{"index":0,"path":[]}],"evidence":"AA=="}`,
		"a path of shorts": `{"root":"` + base64.StdEncoding.EncodeToString(make([]byte, 32)) + `","size":2,"receipts":[{"index":0,"path":["AA=="]}],"evidence":"AA=="}`,
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
			defer srv.Close()
			if out, err := (light.Anchors{URL: srv.URL}).Anchor(t.Context(), [32]byte{1}); !errors.Is(err, registry.ErrUntrusted) || out != nil {
				t.Fatalf("got %v", err)
			}
		})
	}
}
