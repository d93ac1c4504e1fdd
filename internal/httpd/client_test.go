package httpd_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
)

// remote is a plain http server on loopback whose origin is listed, beside one that is not.
type remote struct {
	*httptest.Server
	hits atomic.Int32
}

func newRemote(t *testing.T, h http.HandlerFunc) *remote {
	t.Helper()
	r := &remote{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.hits.Add(1)
		h(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func newClient(t *testing.T, cfg httpd.ClientConfig) *httpd.Client {
	t.Helper()
	c, err := httpd.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func TestClient(t *testing.T) {
	r := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
		w.WriteHeader(201)
		_, _ = fmt.Fprintf(w, "%s %s %s %s", r.Method, body, r.Header.Get("X-Mine"), r.UserAgent())
	})
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // the environment has no say
	c := newClient(t, httpd.ClientConfig{Origins: []string{r.URL}})
	res, err := c.Do(t.Context(), httpd.Request{Method: "POST", URL: r.URL + "/x", Body: []byte("hello"), Header: http.Header{"X-Mine": {"1"}}})
	if err != nil || res.Status != 201 || string(res.Body) != "POST hello 1 dojang" || res.ContentType != "application/json" {
		t.Errorf("%+v %v", res, err)
	}
	if _, err := c.Get(t.Context(), r.URL+"/x"); !errors.Is(err, httpd.ErrUnreachable) {
		t.Errorf("201 to Get: %v", err)
	}
	r.Close()
	if _, err := c.Get(t.Context(), r.URL); !errors.Is(err, httpd.ErrUnreachable) || strings.Contains(err.Error(), r.URL) {
		t.Errorf("closed port: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, r.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	var leaked atomic.Bool
	look := func(w http.ResponseWriter, r *http.Request) {
		for _, h := range []string{"Authorization", "DPoP", "Cookie", "OAuth-Client-Attestation", "X-Mine"} {
			if r.Header.Get(h) != "" {
				leaked.Store(true)
			}
		}
		_, _ = w.Write([]byte("ok"))
	}
	inside := newRemote(t, look) // not listed
	other := newRemote(t, look)  // listed
	var to atomic.Pointer[string]
	first := newRemote(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, *to.Load(), http.StatusFound) })
	headers := http.Header{"Authorization": {"DPoP x"}, "DPoP": {"x"}, "Cookie": {"x"}, "Oauth-Client-Attestation": {"x"}, "X-Mine": {"x"}}
	get := func(redirects int, target string) (*httpd.Response, error) {
		to.Store(&target)
		c := newClient(t, httpd.ClientConfig{Origins: []string{first.URL, other.URL}, Redirects: redirects})
		return c.Do(t.Context(), httpd.Request{URL: first.URL, Header: headers})
	}
	t.Run("G08 none by default", func(t *testing.T) {
		res, err := get(0, other.URL)
		if err != nil || res.Status != 302 || other.hits.Load() != 0 {
			t.Errorf("%v %v, %d hits", res, err, other.hits.Load())
		}
	})
	for _, target := range []string{inside.URL, "http://169.254.169.254/latest", "https://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:70/", "https://10.0.0.1/"} {
		name := "G08 redirect to " + target
		if strings.HasPrefix(target, "file:") {
			name = "A25 redirect to a file"
		}
		t.Run(name, func(t *testing.T) {
			if res, err := get(3, target); !errors.Is(err, httpd.ErrForbiddenTarget) || res != nil {
				t.Errorf("%v %v", res, err)
			}
			if inside.hits.Load() != 0 {
				t.Error("the target was reached")
			}
		})
	}
	t.Run("G08 credentials stay behind", func(t *testing.T) {
		if res, err := get(1, other.URL); err != nil || string(res.Body) != "ok" || leaked.Load() {
			t.Errorf("%v %v, leaked %v", res, err, leaked.Load())
		}
	})
	t.Run("G08 loop", func(t *testing.T) {
		before := first.hits.Load()
		res, err := get(3, first.URL)
		if err != nil || res.Status != 302 || first.hits.Load()-before != 4 {
			t.Errorf("%v %v, %d hits", res, err, first.hits.Load()-before)
		}
	})
}

func gzipped(n int) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.CopyN(w, endless{}, int64(n))
	_ = w.Close()
	return b.Bytes()
}

func TestHostileAnswers(t *testing.T) {
	bomb := gzipped(64 << 20)
	r := newRemote(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		case "/drip":
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte("x"))
				w.(http.Flusher).Flush()
				time.Sleep(100 * time.Millisecond)
			}
		case "/headers":
			w.Header().Set("X", strings.Repeat("x", 10<<20))
		case "/html":
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		case "/exact":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/hang":
			<-r.Context().Done()
		}
	})
	c := newClient(t, httpd.ClientConfig{Origins: []string{r.URL}, Timeout: time.Second})
	tests := []struct {
		name, path string
		want       error
	}{
		{"G09 gzip bomb of 64 MiB", "/bomb", httpd.ErrTooLarge},
		{"G09 endless body", "/endless", httpd.ErrTooLarge},
		{"A25 body of 1 byte a moment", "/drip", httpd.ErrUnreachable},
		{"G09 headers of 10 MiB", "/headers", httpd.ErrUnreachable},
		{"G09 no answer at all", "/hang", httpd.ErrUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			res, err := c.Get(t.Context(), r.URL+tt.path)
			if !errors.Is(err, tt.want) || res != nil {
				t.Errorf("got %v", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	t.Run("A25 200 with HTML is visible as such", func(t *testing.T) {
		if res, err := c.Get(t.Context(), r.URL+"/html"); err != nil || res.ContentType != "text/html" {
			t.Errorf("%+v %v", res, err)
		}
	})
	if res, err := c.Get(t.Context(), r.URL+"/exact"); err != nil || len(res.Body) != 1<<20 {
		t.Errorf("exactly the limit: %v", err)
	}
	if _, err := c.Do(t.Context(), httpd.Request{URL: r.URL + "/exact", MaxBody: 1<<20 - 1}); !errors.Is(err, httpd.ErrTooLarge) {
		t.Errorf("one more than asked for: %v", err)
	}
}

// Not one byte reaches a local service that is not listed.
func TestNothingSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan struct{}, 8)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			_ = conn.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	c := newClient(t, httpd.ClientConfig{})
	t.Run("G06 local ports", func(t *testing.T) {
		for _, form := range []string{"https://127.0.0.1:%d/", "http://127.0.0.1:%d/", "https://localhost:%d/", "https://[::ffff:127.0.0.1]:%d/", "https://2130706433:%d/"} {
			if _, err := c.Get(t.Context(), fmt.Sprintf(form, port)); !errors.Is(err, httpd.ErrForbiddenTarget) {
				t.Errorf("%s: %v", form, err)
			}
		}
		select {
		case <-accepted:
			t.Error("a connection was made")
		case <-time.After(50 * time.Millisecond):
		}
	})
}

func TestNegative(t *testing.T) {
	now := time.Unix(0, 0)
	dead := errors.New("dead")
	n := &httpd.Negative{Max: 10}
	t.Run("A25 failures are remembered for 30 s", func(t *testing.T) {
		n.Add("a", dead, now)
		if err := n.Check("a", now.Add(29*time.Second)); err != dead {
			t.Errorf("got %v", err)
		}
		if err := n.Check("b", now); err != nil {
			t.Errorf("another key: %v", err)
		}
		if err := n.Check("a", now.Add(30*time.Second)); err != nil {
			t.Errorf("too long: %v", err)
		}
		n.Add("a", dead, now)
		n.Add("a", nil, now)
		if err := n.Check("a", now); err != nil {
			t.Errorf("forgotten: %v", err)
		}
	})
	remembered := 0
	for i := range 1000 {
		n.Add(fmt.Sprint(i), dead, now)
	}
	for i := range 1000 {
		if n.Check(fmt.Sprint(i), now) != nil {
			remembered++
		}
	}
	if remembered == 0 || remembered > 10 || n.Check("999", now) == nil {
		t.Errorf("%d remembered", remembered)
	}
}
