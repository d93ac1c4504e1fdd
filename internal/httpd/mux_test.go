package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
)

// logs collects what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *logs) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
func (l *logs) logger() *slog.Logger        { return slog.New(slog.NewJSONHandler(l, nil)) }

func newMux(t *testing.T, cfg httpd.MuxConfig) *httpd.Mux {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m, err := httpd.NewMux(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		body, err := httpd.ReadBody(r)
		if err != nil {
			httpd.WriteError(w, cfg.Log, err)
			return
		}
		_, _ = w.Write(body)
	})
	return m
}

func do(h http.Handler, method, target string, body io.Reader, headers ...string) *http.Response {
	r := httptest.NewRequest("GET", "/", body)
	r.Method = method
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery, r.RequestURI = path, query, target
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// problem asserts status, media type, code, and that nothing of the request came back.
func problem(t *testing.T, res *http.Response, status int, code string, secrets ...string) httpd.Problem {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p httpd.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("not JSON: %q", body)
	}
	if res.StatusCode != status || p.Status != status || p.Code != code || p.Type != "urn:dojang:problem:"+code {
		t.Errorf("got %d %s, want %d %s", res.StatusCode, body, status, code)
	}
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q", ct)
	}
	for _, s := range secrets {
		if strings.Contains(string(body), s) {
			t.Errorf("echo of %q in %s", s, body)
		}
	}
	return p
}

func TestMux(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{HSTS: true})
	m.Handle(httpd.Route{Pattern: "GET /doc", CORS: true, Cache: "max-age=300", Handler: httpd.Health(nil)})
	m.Handle(httpd.Route{Pattern: "POST /doc", CORS: true, Handler: httpd.Health(nil)})
	t.Run("headers of a protocol endpoint", func(t *testing.T) {
		res := do(m, "POST", "/token", strings.NewReader("x"))
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "Access-Control-Allow-Origin": ""} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if res.StatusCode != 200 || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("CORS", func(t *testing.T) {
		res := do(m, "GET", "/doc", nil, "Origin", "https://wallet.example")
		if res.Header.Get("Access-Control-Allow-Origin") != "*" || res.Header.Get("Access-Control-Allow-Credentials") != "" ||
			res.Header.Get("Cache-Control") != "max-age=300" {
			t.Errorf("%v", res.Header)
		}
		res = do(m, "OPTIONS", "/doc", nil, "Origin", "null", "Access-Control-Request-Method", "POST")
		if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Methods") != "GET, POST" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
	})
	t.Run("unknown path", func(t *testing.T) {
		problem(t, do(m, "GET", "/nobody/secret-id", nil), 404, "not-found", "secret-id")
	})
	t.Run("wrong method", func(t *testing.T) {
		res := do(m, "GET", "/token", nil)
		if res.Header.Get("Allow") != "POST" {
			t.Errorf("Allow %q", res.Header.Get("Allow"))
		}
		problem(t, res, 405, "method-not-allowed")
	})
	t.Run("two requests, two ids", func(t *testing.T) {
		a, b := do(m, "GET", "/doc", nil, "X-Request-Id", "mine"), do(m, "GET", "/doc", nil)
		if ia, ib := a.Header.Get("X-Request-Id"), b.Header.Get("X-Request-Id"); ia == ib || ia == "mine" {
			t.Errorf("%q %q", ia, ib)
		}
	})
	t.Run("unhealthy", func(t *testing.T) {
		h := httpd.Health(func(*http.Request) error { return io.ErrClosedPipe })
		problem(t, do(h, "GET", "/", nil), 503, "unhealthy", "pipe")
	})
}

// Paths that mean another one are not found, never served under the wrong rules and never redirected.
func TestPaths(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{})
	served := 0
	m.HandleFunc("GET /admin/{id}", func(w http.ResponseWriter, r *http.Request) { served++ })
	m.HandleFunc("GET /dir/", func(w http.ResponseWriter, r *http.Request) { served++ })
	for _, target := range []string{"//evil.example/", "//evil.example/..", "/\\evil.example", "/admin//x", "/./admin/x", "/dir/../admin/x",
		"/ADMIN/x", "/admin/x/", "/admin;a=b/x", "/admin/..;/admin/x", "/admin./x", "/dir"} {
		id := "J25"
		if strings.Contains(target, "evil") {
			id = "J13"
		}
		t.Run(id+" "+target, func(t *testing.T) {
			res := do(m, "GET", target, nil, "Host", "evil.example")
			if res.Header.Get("Location") != "" {
				t.Errorf("redirect to %q", res.Header.Get("Location"))
			}
			problem(t, res, 404, "not-found", "evil")
		})
	}
	if served != 0 {
		t.Errorf("%d served", served)
	}
	t.Run("J25 encoded slash stays in its segment", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/admin/a%2F..%2Fb", nil)
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		if w.Code != 200 || served != 1 {
			t.Errorf("%d, %d served", w.Code, served)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestBodies(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{})
	tests := []struct {
		name, target string
		body         io.Reader
		headers      []string
		status       int
		code         string
	}{
		{"J19 declared body of 64 KiB + 1", "/token", strings.NewReader(strings.Repeat("x", httpd.SmallBody+1)), nil, 413, "payload-too-large"},
		{"J19 endless body without length", "/token", endless{}, nil, 413, "payload-too-large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem(t, do(m, "POST", tt.target, tt.body, tt.headers...), tt.status, tt.code)
		})
	}
	t.Run("whole bodies", func(t *testing.T) {
		if res := do(m, "POST", "/token", strings.NewReader(strings.Repeat("x", httpd.SmallBody))); res.StatusCode != 200 {
			t.Errorf("64 KiB: %d", res.StatusCode)
		}
	})
}

// A request leaves method, route, status, time and our own id in the log; whatever the client wrote does not appear.
func TestAccessLog(t *testing.T) {
	l := &logs{}
	metrics := httpd.NewMetrics()
	m := newMux(t, httpd.MuxConfig{Name: "issuer", Log: l.logger(), Metrics: metrics})
	m.HandleFunc("GET /person/{id}", func(http.ResponseWriter, *http.Request) {})
	evil := "x\r\n{\"level\":\"ERROR\"}\x1b[2J"
	for i := range 200 {
		do(m, "GET", "/person/"+evil, nil, "User-Agent", evil, "kid", evil)
		do(m, fmt.Sprint("M", i, evil), fmt.Sprint("/nowhere-", i, "?q=han-gaon"), strings.NewReader("han-gaon"), "Authorization", "Bearer han-gaon")
		do(m, "POST", "/token?han-gaon", strings.NewReader("han-gaon"), "X-Forwarded-For", "192.0.2.77")
	}
	t.Run("J20 nothing of the request in the log", func(t *testing.T) {
		lines := strings.Split(strings.TrimSpace(l.String()), "\n")
		if len(lines) != 600 {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("broken line %q", line)
			}
			for name := range fields {
				if !strings.Contains(" time level msg method route status ms id ", " "+name+" ") {
					t.Errorf("field %s", name)
				}
			}
		}
		for _, secret := range []string{"han-gaon", "[2J", "nowhere", "192.0.2", "ERROR"} {
			if strings.Contains(l.String(), secret) {
				t.Errorf("%q is in the log", secret)
			}
		}
	})
	t.Run("J20 bounded labels", func(t *testing.T) {
		res := do(metrics.Handler(), "GET", "/metrics", nil)
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(body), "dojang_http_requests_total{"); n != 3 {
			t.Errorf("%d series:\n%s", n, body)
		}
		if !strings.Contains(string(body), `dojang_http_requests_total{code="200",listener="issuer",route="POST /token"} 200`) {
			t.Errorf("no count in\n%s", body)
		}
	})
}

func TestPanic(t *testing.T) {
	l := &logs{}
	metrics := httpd.NewMetrics()
	m := newMux(t, httpd.MuxConfig{Name: "x", Log: l.logger(), Metrics: metrics, MaxInFlight: 1})
	m.HandleFunc("GET /early", func(http.ResponseWriter, *http.Request) { panic("한가온 880101") })
	m.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("한가온 880101")
	})
	m.HandleFunc("GET /error", func(w http.ResponseWriter, _ *http.Request) {
		httpd.WriteError(w, l.logger(), fmt.Errorf("select from person: %w", io.ErrUnexpectedEOF))
	})
	p := problem(t, do(m, "GET", "/early", nil), 500, "internal-error", "한가온", "880101")
	if p.Reference == "" || !strings.Contains(l.String(), p.Reference) || strings.Contains(l.String(), "한가온") {
		t.Errorf("reference %q in %s", p.Reference, l.String())
	}
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
				t.Errorf("half an answer ended with %v", v)
			}
		}()
		do(m, "GET", "/late", nil)
	}()
	p = problem(t, do(m, "GET", "/error", nil), 500, "internal-error", "person", "EOF")
	if p.Reference == "" || !strings.Contains(l.String(), p.Reference) {
		t.Errorf("reference %q", p.Reference)
	}
	body, err := io.ReadAll(do(metrics.Handler(), "GET", "/", nil).Body)
	if err != nil || !strings.Contains(string(body), `dojang_http_panic_total{listener="x"} 2`) {
		t.Errorf("%v\n%s", err, body)
	}
}

func TestOverload(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{MaxInFlight: 2})
	gate, entered := make(chan struct{}), make(chan struct{})
	m.HandleFunc("GET /slow", func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-gate })
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { do(m, "GET", "/slow", nil) })
		<-entered
	}
	t.Run("J18 more requests at once than allowed", func(t *testing.T) {
		res := do(m, "POST", "/token", nil)
		if res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		problem(t, res, 503, "overloaded")
	})
	close(gate)
	wg.Wait()
	if res := do(m, "POST", "/token", nil); res.StatusCode != 200 {
		t.Errorf("afterwards: %d", res.StatusCode)
	}
	if _, err := httpd.NewMux(httpd.MuxConfig{MaxInFlight: -1}); err == nil {
		t.Error("negative limit accepted")
	}
	if _, err := httpd.NewMux(httpd.MuxConfig{PerIP: 1}); err == nil {
		t.Error("rate without burst accepted")
	}
}

func TestAddressLimit(t *testing.T) {
	now := time.Unix(1_795_000_000, 0)
	m := newMux(t, httpd.MuxConfig{PerIP: 1, Burst: 3, Now: func() time.Time { return now },
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	from := func(peer, forwarded string) *http.Response {
		r := httptest.NewRequest("POST", "/token", nil)
		r.RemoteAddr = peer
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		w := httptest.NewRecorder()
		m.ServeHTTP(w, r)
		return w.Result()
	}
	t.Run("J14 X-Forwarded-For of a stranger", func(t *testing.T) {
		for i := range 3 {
			if res := from("192.0.2.1:5", fmt.Sprintf("198.51.100.%d", i)); res.StatusCode != 200 {
				t.Fatalf("%d: %d", i, res.StatusCode)
			}
		}
		res := from("192.0.2.1:6", "198.51.100.9")
		if res.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
		}
		problem(t, res, 429, "too-many-requests")
	})
	t.Run("J14 forged hops behind a trusted proxy", func(t *testing.T) {
		for i := range 3 {
			if res := from("10.0.0.1:5", fmt.Sprintf("203.0.113.%d, 192.0.2.2, 10.0.0.7", i)); res.StatusCode != 200 {
				t.Fatalf("%d: %d", i, res.StatusCode)
			}
		}
		problem(t, from("10.0.0.1:5", "203.0.113.99, 192.0.2.2"), 429, "too-many-requests")
		if res := from("10.0.0.1:5", "192.0.2.3"); res.StatusCode != 200 {
			t.Errorf("another client: %d", res.StatusCode)
		}
	})
	t.Run("J14 one IPv6 subscriber has a /64", func(t *testing.T) {
		for i := range 3 {
			if res := from(fmt.Sprintf("[2001:db8:1:2::%d]:5", i), ""); res.StatusCode != 200 {
				t.Fatal(res.StatusCode)
			}
		}
		problem(t, from("[2001:db8:1:2:ffff::1]:5", ""), 429, "too-many-requests")
	})
	now = now.Add(2 * time.Second)
	if res := from("192.0.2.1:7", ""); res.StatusCode != 200 {
		t.Errorf("after a pause: %d", res.StatusCode)
	}
	t.Run("K09 the clock goes back an hour", func(t *testing.T) {
		for range 4 {
			from("192.0.2.77:5", "")
		}
		now = now.Add(-time.Hour)
		res := from("192.0.2.77:5", "")
		if res.Header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", res.Header.Get("Retry-After"))
		}
		problem(t, res, 429, "too-many-requests")
		now = now.Add(time.Second)
		if res := from("192.0.2.77:5", ""); res.StatusCode != 200 {
			t.Errorf("%d a second later", res.StatusCode)
		}
	})
}

func TestStream(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{})
	m.Handle(httpd.Route{Pattern: "GET /events", Timeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("data: 1\n\n"))
		w.(http.Flusher).Flush()
	})})
	s, err := httpd.Serve(t.Context(), httpd.ServeConfig{Listen: "localhost:0", Handler: m})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	res, err := http.Get(s.URL() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "data: 1\n\n" || res.Body.Close() != nil {
		t.Errorf("%q %v", body, err)
	}
}

// TestRefuse: a route with its own words uses them also for what its handler never sees.
func TestRefuse(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{})
	refuse := func(w http.ResponseWriter, status int) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "own words %d", status)
	}
	for _, pattern := range []string{"GET /own", "POST /own"} {
		m.Handle(httpd.Route{Pattern: pattern, CORS: true, Refuse: refuse, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})})
	}
	for _, row := range []struct {
		method string
		body   io.Reader
		status int
		words  string
		allow  string
	}{
		{"PUT", nil, 405, "own words 405", "GET, HEAD, OPTIONS, POST"},
		{"ODD", nil, 405, "own words 405", "GET, HEAD, OPTIONS, POST"},
		{"POST", strings.NewReader(strings.Repeat("x", httpd.SmallBody+1)), 413, "own words 413", ""},
		{"POST", nil, 200, "", ""},
		{"HEAD", nil, 200, "", ""},
		{"OPTIONS", nil, 204, "", ""},
	} {
		t.Run(row.method+" "+fmt.Sprint(row.status), func(t *testing.T) {
			res := do(m, row.method, "/own", row.body)
			body, err := io.ReadAll(res.Body)
			if err != nil || res.StatusCode != row.status || string(body) != row.words || res.Header.Get("Allow") != row.allow {
				t.Errorf("%d %q Allow %q %v", res.StatusCode, body, res.Header.Get("Allow"), err)
			}
		})
	}
}
