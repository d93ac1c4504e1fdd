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

	"github.com/dojang-id/dojang/internal/keys"
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

	key  keys.Signer
	made map[string]string // tokens by media type and what they were made for
}

func newPublisher(t *testing.T) *publisher {
	p := &publisher{tokens: map[string][]byte{}, made: map[string]string{}}
	var err error
	if p.key, err = keys.Generate(keys.ES256); err != nil {
		t.Fatal(err)
	}
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

// token of list 3, of 1024 valid entries, made once for each text.
func (p *publisher) token(t *testing.T, uri, mediaType, text string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if token, ok := p.made[mediaType+text]; ok {
		return token
	}
	sign := statuslist.SignJWT
	if mediaType == node.StatusCWT {
		sign = statuslist.SignCWT
	}
	compressed, err := statuslist.Deflate(make([]byte, 256))
	must(t, err)
	issued := time.Now().Truncate(time.Second)
	token, err := sign(p.key, keys.Header{Kid: "k-" + text}, statuslist.Claims{URI: uri, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour), TTL: time.Minute, Bits: 2, Compressed: compressed})
	must(t, err)
	p.made[mediaType+text] = string(token)
	return string(token)
}

// publish makes list 3 carry the tokens of a text and returns the root over the records.
func (p *publisher) publish(t *testing.T, uri, text string) [32]byte {
	t.Helper()
	jwt, cwt := []byte(p.token(t, uri, node.StatusJWT, text)), []byte(p.token(t, uri, node.StatusCWT, text))
	values, err := statuslist.NewValues(2, make([]byte, 256))
	must(t, err)
	record, err := statuslist.Record{URI: uri, Bits: 2, Length: 1024, Root: values.Root(), Tokens: statuslist.TokenDigests{
		JWT: sha256.Sum256(jwt), CWT: sha256.Sum256(cwt)}}.Marshal()
	must(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = [][]byte{record}
	p.tokens["3 "+node.StatusJWT], p.tokens["3 "+node.StatusCWT] = jwt, cwt
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
	r.Accredit(t, c.DID, vct, registry.AccreditBody{})
	uri := r.StatusURL + "/" + c.DID.ID() + "/3"
	jwt := func(text string) string { return p.token(t, uri, node.StatusJWT, text) }
	cwt := func(text string) string { return p.token(t, uri, node.StatusCWT, text) }
	stranger := newPublisher(t) // anybody may have a DID and write epochs
	own := registrytest.NewKey(t, "")
	s := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: own.Public}},
		[]registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: stranger.URL + "/lists"}})
	own.Role = s.DID.URL("issue-1")
	r.Epoch(t, registry.StatusEpoch{Issuer: s.DID, Sequence: 1, IssuedAt: time.Now(), NextUpdate: time.Now().Add(time.Hour),
		Root: stranger.publish(t, r.StatusURL+"/"+s.DID.ID()+"/3", "much")}, own)
	issued := time.Now().Add(-time.Minute)
	anchor := func(sequence uint64, root [32]byte) {
		r.Epoch(t, registry.StatusEpoch{Issuer: c.DID, Sequence: sequence, IssuedAt: issued.Add(time.Duration(sequence) * time.Second), NextUpdate: time.Now().Add(time.Hour), Root: root}, key)
	}
	anchor(1, p.publish(t, uri, "1"))
	eventually(t, "the list is served", func() bool { return get(t, uri, "").status == 200 })

	t.Run("nobody is asked for lists who was never accredited", func(t *testing.T) {
		stranger.mu.Lock()
		defer stranger.mu.Unlock()
		if _, ok := r.Node.Statuses().Epoch(s.DID); ok || stranger.asked != 0 {
			t.Errorf("asked %d times", stranger.asked)
		}
	})
	t.Run("by Accept, with what caches need", func(t *testing.T) {
		for _, tt := range []struct {
			name, accept string
			status       int
			media, body  string
		}{
			{"plain GET", "", 200, node.StatusJWT, jwt("1")},
			{"anything", "*/*", 200, node.StatusJWT, jwt("1")},
			{"JWT", node.StatusJWT, 200, node.StatusJWT, jwt("1")},
			{"CWT", node.StatusCWT, 200, node.StatusCWT, cwt("1")},
			{"the better one", node.StatusJWT + ";q=0.1, " + node.StatusCWT + ";q=0.9", 200, node.StatusCWT, cwt("1")},
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
		if got, err := io.ReadAll(z); err != nil || string(got) != jwt("1") {
			t.Fatalf("%d bytes: %v", len(got), err)
		}
	})
	t.Run("C18 history", func(t *testing.T) {
		if a := get(t, uri+"?time=1700000000", ""); a.status != 501 {
			t.Fatalf("%d", a.status)
		}
	})
	t.Run("a list that does not hash to the epoch is not taken", func(t *testing.T) {
		root := p.publish(t, uri, "2")
		p.mu.Lock()
		p.tokens["3 "+node.StatusJWT] = []byte("forged")
		p.mu.Unlock()
		anchor(2, root)
		time.Sleep(300 * time.Millisecond)
		if a := get(t, uri, ""); string(a.body) != jwt("1") {
			t.Fatalf("served %d bytes", len(a.body))
		}
		p.publish(t, uri, "2")
		eventually(t, "the right list is served", func() bool { return string(get(t, uri, "").body) == jwt("2") })
	})
	t.Run("light client ties the list to the epoch", func(t *testing.T) {
		l, err := r.Client.StatusList(t.Context(), uri, node.StatusCWT)
		if err != nil || string(l.Token) != cwt("2") {
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
		}{{"lower sequence", 1, "1"}, {"same sequence, other content", 2, "1"}} {
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
		if a := get(t, uri, ""); a.status != 200 || string(a.body) != jwt("2") {
			t.Fatalf("%d", a.status)
		}
		again, err := node.OpenStatusStore(r.StatusDir)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := again.List(uri, node.StatusJWT); err != nil || string(l.Token) != jwt("2") {
			t.Fatalf("after a restart: %v", err)
		}
	})
}
