package httpd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
)

func serve(t *testing.T, cfg httpd.ServeConfig) *httpd.Server {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s, err := httpd.Serve(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Stop(ctx) // some tests have stopped it
	})
	return s
}

// Both loopback families answer; after Stop a connect is refused; the same port serves again.
func TestServeStopServe(t *testing.T) {
	m := newMux(t, httpd.MuxConfig{})
	m.Handle(httpd.Route{Pattern: "GET /health", Handler: httpd.Health(nil)})
	s := serve(t, httpd.ServeConfig{Listen: "localhost:0", Handler: m})
	port := s.Port()
	if s.URL() != fmt.Sprintf("http://localhost:%d", port) {
		t.Errorf("URL %s", s.URL())
	}
	up := func() (n int) {
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", host, port), time.Second)
			if err != nil {
				continue
			}
			n++
			_ = c.Close()
		}
		return n
	}
	families := up()
	if families == 0 {
		t.Fatal("nobody listens")
	}
	for round := range 3 {
		res, err := http.Get(s.URL() + "/health") // keeps its connection open
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("round %d: %v", round, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		if n := up(); n != 0 {
			t.Fatalf("%d listeners after Stop", n)
		}
		s = serve(t, httpd.ServeConfig{Listen: fmt.Sprint("localhost:", port), Handler: m})
		if n := up(); n != families || s.Port() != port {
			t.Fatalf("%d of %d families again", n, families)
		}
	}
	if _, err := httpd.Serve(t.Context(), httpd.ServeConfig{Listen: fmt.Sprint("localhost:", port), Handler: m}); err == nil {
		t.Error("one port served twice")
	}
}

// raw sends bytes and returns the first line of the answer, and how long it took until the connection ended.
func raw(t *testing.T, s *httpd.Server, send func(net.Conn)) (line string, took time.Duration) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	go send(c)
	line, _ = bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), time.Since(start)
}

func TestHostileConnections(t *testing.T) {
	s := serve(t, httpd.ServeConfig{Listen: "localhost:0", Handler: newMux(t, httpd.MuxConfig{})})
	t.Run("A14 Authorization header of 8 MiB dots", func(t *testing.T) {
		least, dots := uint64(1<<40), bytes.Repeat([]byte("."), 64<<10)
		for range 3 { // what other goroutines allocate meanwhile counts too: the least is ours
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			line, _ := raw(t, s, func(c net.Conn) {
				_, _ = io.WriteString(c, "POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: DPoP ")
				for range 128 {
					if _, err := c.Write(dots); err != nil {
						return
					}
				}
			})
			runtime.ReadMemStats(&after)
			if !strings.Contains(line, " 431 ") && line != "" { // the reset may overtake the answer
				t.Errorf("got %q", line)
			}
			least = min(least, after.TotalAlloc-before.TotalAlloc)
		}
		if least > 1<<20 {
			t.Errorf("%d bytes allocated", least)
		}
	})
	t.Run("J18 headers of 40 KiB", func(t *testing.T) {
		line, _ := raw(t, s, func(c net.Conn) {
			_, _ = io.WriteString(c, "POST /token HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 40<<10)+"\r\n\r\n")
		})
		if !strings.Contains(line, " 431 ") {
			t.Errorf("got %q", line)
		}
	})
	t.Run("J19 1e6 query parameters", func(t *testing.T) {
		line, _ := raw(t, s, func(c net.Conn) {
			_, _ = io.WriteString(c, "POST /token?"+strings.Repeat("a&", 20_000)+" HTTP/1.1\r\nHost: x\r\n\r\n")
		})
		if !strings.Contains(line, " 431 ") {
			t.Errorf("got %q", line)
		}
	})
	for _, smuggled := range []string{
		"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"POST /token HTTP/1.1\r\n\r\n",
	} {
		t.Run("J18 smuggling "+smuggled[:24], func(t *testing.T) {
			line, _ := raw(t, s, func(c net.Conn) { _, _ = io.WriteString(c, smuggled) })
			if !strings.Contains(line, " 400 ") && !strings.Contains(line, " 501 ") && !strings.Contains(line, " 505 ") {
				t.Errorf("got %q", line)
			}
		})
	}
	t.Run("J18 h2c upgrade", func(t *testing.T) {
		line, _ := raw(t, s, func(c net.Conn) {
			_, _ = io.WriteString(c, "POST /token HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 0\r\n\r\n")
		})
		if !strings.Contains(line, "HTTP/1.1 200") {
			t.Errorf("got %q", line)
		}
	})
}

func TestSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for real timeouts")
	}
	s := serve(t, httpd.ServeConfig{Listen: "localhost:0", Handler: newMux(t, httpd.MuxConfig{})})
	drip := func(start string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, start)
			for range 40 {
				time.Sleep(500 * time.Millisecond)
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}
	}
	t.Run("J18 slowloris headers", func(t *testing.T) {
		t.Parallel()
		if _, took := raw(t, s, drip("POST /token HTTP/1.1\r\nHost: x\r\nX: ")); took > 7*time.Second {
			t.Errorf("held for %v", took)
		}
	})
	t.Run("J18 slow body", func(t *testing.T) {
		t.Parallel()
		line, took := raw(t, s, drip("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"))
		if took > 12*time.Second || strings.Contains(line, " 200 ") {
			t.Errorf("held for %v, %q", took, line)
		}
	})
	t.Run("J18 good traffic beside 400 slow connections", func(t *testing.T) {
		t.Parallel()
		for range 400 {
			c, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			_, _ = io.WriteString(c, "POST /token HTTP/1.1\r\nHost: x\r\n")
		}
		for range 50 {
			res, err := http.Post(s.URL()+"/token", "text/plain", strings.NewReader("x"))
			if err != nil || res.StatusCode != 200 {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
	})
}

func TestMaxConns(t *testing.T) {
	s := serve(t, httpd.ServeConfig{Listen: "localhost:0", Handler: newMux(t, httpd.MuxConfig{}), MaxConns: 2})
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	time.Sleep(50 * time.Millisecond)
	client := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	if _, err := client.Post(s.URL()+"/token", "", nil); err == nil {
		t.Error("a third connection was served")
	}
	for _, c := range held {
		_ = c.Close()
	}
	client.Timeout = 5 * time.Second
	res, err := client.Post(s.URL()+"/token", "", nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("after two went: %v", err)
	}
	_ = res.Body.Close()
}
