package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// A publisher is an issuer's StatusListPublisher.
type publisher struct {
	*httptest.Server

	mu      sync.Mutex
	records [][]byte
	tokens  map[string][]byte // by list name and media type
	asked   int
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{tokens: map[string][]byte{}}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		if r.URL.Path == "/lists/records" {
			raw, err := registry.Encode(p.records)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(raw)
			return
		}
		token, ok := p.tokens[strings.TrimPrefix(r.URL.Path, "/lists/")+" "+r.Header.Get("Accept")]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(token)
	}))
	t.Cleanup(p.Close)
	return p
}

// publish makes list 3 carry a token and returns the root over the records.
func (p *publisher) publish(t *testing.T, uri, token string) [32]byte {
	t.Helper()
	record, err := statuslist.Record{URI: uri, Bits: 2, Length: 1024, Tokens: statuslist.TokenDigests{
		JWT: sha256.Sum256([]byte(token)), CWT: sha256.Sum256([]byte("cwt " + token))}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = [][]byte{record}
	p.tokens["3 "+node.StatusJWT] = []byte(token)
	p.tokens["3 "+node.StatusCWT] = []byte("cwt " + token)
	return statuslist.EpochRoot(p.records)
}

// nothingBut records are to be had.
type nothingBut [][]byte

func (n nothingBut) Records(context.Context, bool) ([][]byte, error) { return n, nil }

func (nothingBut) Token(context.Context, string, string, bool) ([]byte, error) { return nil, io.EOF }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

func TestStatusLists(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	p := newPublisher(t)
	key := registrytest.NewKey(t, "")
	c := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}},
		[]registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: p.URL + "/lists"}})
	key.Role = c.DID.URL("issue-1")
	uri := r.StatusURL + "/" + c.DID.ID() + "/3"
	long := strings.Repeat("token ", 500)
	issued := time.Now().Add(-time.Minute)
	anchor := func(sequence uint64, root [32]byte) {
		r.Epoch(t, registry.StatusEpoch{Issuer: c.DID, Sequence: sequence, IssuedAt: issued.Add(time.Duration(sequence) * time.Second), NextUpdate: time.Now().Add(time.Hour), Root: root}, key)
	}
	anchor(1, p.publish(t, uri, long+"1"))
	eventually(t, "the list is served", func() bool { return get(t, uri, "").status == 200 })

	t.Run("by Accept, with what caches need", func(t *testing.T) {
		for _, tt := range []struct {
			name, accept string
			status       int
			media, body  string
		}{
			{"plain GET", "", 200, node.StatusJWT, long + "1"},
			{"anything", "*/*", 200, node.StatusJWT, long + "1"},
			{"JWT", node.StatusJWT, 200, node.StatusJWT, long + "1"},
			{"CWT", node.StatusCWT, 200, node.StatusCWT, "cwt " + long + "1"},
			{"the better one", node.StatusJWT + ";q=0.1, " + node.StatusCWT + ";q=0.9", 200, node.StatusCWT, "cwt " + long + "1"},
			{"not offered", "text/html", 406, "application/problem+json", ""},
		} {
			a := get(t, uri, tt.accept)
			if a.status != tt.status || a.header.Get("Content-Type") != tt.media || tt.body != "" && string(a.body) != tt.body {
				t.Errorf("%s: %d %s", tt.name, a.status, a.header.Get("Content-Type"))
			}
			if tt.status == 200 && (a.header.Get("ETag") == "" || a.header.Get("Access-Control-Allow-Origin") != "*" ||
				!strings.HasPrefix(a.header.Get("Cache-Control"), "public, max-age=")) {
				t.Errorf("%s: headers %v", tt.name, a.header)
			}
		}
	})
	t.Run("unchanged", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, nil)
		req.Header.Set("If-None-Match", get(t, uri, "").header.Get("ETag"))
		if a := send(t, req); a.status != 304 || len(a.body) != 0 {
			t.Fatalf("%d, %d bytes", a.status, len(a.body))
		}
	})
	t.Run("one tag a representation", func(t *testing.T) {
		if get(t, uri, node.StatusJWT).header.Get("ETag") == get(t, uri, node.StatusCWT).header.Get("ETag") {
			t.Error("JWT and CWT have one tag")
		}
		if vary := get(t, uri, "").header.Get("Vary"); vary != "Accept, Accept-Encoding" {
			t.Errorf("Vary: %q", vary)
		}
	})
	t.Run("compressed", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, uri, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		a := send(t, req)
		z, err := gzip.NewReader(bytes.NewReader(a.body))
		if err != nil || a.header.Get("Content-Encoding") != "gzip" || !strings.HasSuffix(a.header.Get("ETag"), `-gzip"`) {
			t.Fatalf("%v %v", err, a.header)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != long+"1" {
			t.Fatalf("%d bytes: %v", len(got), err)
		}
	})
	t.Run("C18 history", func(t *testing.T) {
		if a := get(t, uri+"?time=1700000000", ""); a.status != 501 {
			t.Fatalf("%d", a.status)
		}
	})
	t.Run("a list that does not hash to the epoch is not taken", func(t *testing.T) {
		root := p.publish(t, uri, long+"2")
		p.mu.Lock()
		p.tokens["3 "+node.StatusJWT] = []byte("forged")
		p.mu.Unlock()
		anchor(2, root)
		time.Sleep(300 * time.Millisecond)
		if a := get(t, uri, ""); string(a.body) != long+"1" {
			t.Fatalf("served %d bytes", len(a.body))
		}
		p.publish(t, uri, long+"2")
		eventually(t, "the right list is served", func() bool { return string(get(t, uri, "").body) == long+"2" })
	})
	t.Run("light client ties the list to the epoch", func(t *testing.T) {
		l, err := r.Client.StatusList(t.Context(), uri, node.StatusCWT)
		if err != nil || string(l.Token) != "cwt "+long+"2" {
			t.Fatalf("%v", err)
		}
	})
	t.Run("an epoch that goes back", func(t *testing.T) {
		store := r.Node.Statuses()
		have, _ := store.Epoch(c.DID)
		for _, tt := range []struct {
			name     string
			sequence uint64
			token    string
		}{{"lower sequence", 1, long + "1"}, {"same sequence, other content", 2, long + "1"}} {
			root := p.publish(t, uri, tt.token)
			err := store.Put(t.Context(), registry.StatusEpoch{Issuer: c.DID, Sequence: tt.sequence, Root: root}, nothingBut(p.records))
			if !errors.Is(err, node.ErrRollback) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if now, _ := store.Epoch(c.DID); now != have {
			t.Fatal("the stored epoch changed")
		}
	})
	t.Run("issuer off, engine off, another process", func(t *testing.T) {
		p.Close()
		if err := r.Node.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := get(t, uri, ""); a.status != 200 || string(a.body) != long+"2" {
			t.Fatalf("%d", a.status)
		}
		again, err := node.OpenStatusStore(r.StatusDir)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := again.List(uri, node.StatusJWT); err != nil || string(l.Token) != long+"2" {
			t.Fatalf("after a restart: %v", err)
		}
	})
}
