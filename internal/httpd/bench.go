package httpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/dojang-id/dojang/internal/bench"
)

const benchConns = 16

// BenchCases are the middleware in front of an endpoint like /nonce, with access log, metrics and address limit on,
// beside the same handler bare: CPU of server and a thin client over 16 loopback connections kept alive.
func BenchCases() []bench.Case {
	return []bench.Case{{Name: "http/floor", New: benchFloor}}
}

// benchNonce answers as a nonce endpoint does: read a small form, answer a small JSON object that may not be cached.
func benchNonce(w http.ResponseWriter, r *http.Request) {
	body, err := ReadBody(r)
	if err != nil {
		WriteError(w, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, `{"c_nonce":"%x"}`, body[:16])
}

func benchFloor() (*bench.Loops, error) {
	sink, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	mux, err := NewMux(MuxConfig{Name: "bench", Log: slog.New(slog.NewJSONHandler(sink, nil)), Metrics: NewMetrics(), PerIP: 1e6, Burst: 1e6})
	if err != nil {
		return nil, err
	}
	mux.Handle(Route{Pattern: "POST /nonce", Handler: http.HandlerFunc(benchNonce), CORS: true})
	bare := http.NewServeMux()
	bare.HandleFunc("POST /nonce", benchNonce)
	var clients [2]*benchClient
	for i, h := range []http.Handler{mux, bare} {
		if clients[i], err = newBenchClient(h); err != nil {
			return nil, err
		}
	}
	return &bench.Loops{
		Op: clients[0].one, Floor: clients[1].one,
		Corrupt: func(int) error { return clients[0].tooLarge() },
		Close:   func() { _ = errors.Join(clients[0].close(), clients[1].close(), sink.Close()) },
	}, nil
}

// benchClient keeps 16 requests in flight, one a connection. It writes ready requests and reads answers by hand:
// net/http's client would cost as much as the server.
type benchClient struct {
	server *Server
	conns  []net.Conn
	jobs   chan int
	failed chan error
	work   sync.WaitGroup
}

func newBenchClient(h http.Handler) (*benchClient, error) {
	s, err := Serve(context.Background(), ServeConfig{Listen: "127.0.0.1:0", Handler: h})
	if err != nil {
		return nil, err
	}
	c := &benchClient{server: s, jobs: make(chan int), failed: make(chan error, benchConns)}
	for range benchConns {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			return nil, err
		}
		c.conns = append(c.conns, conn)
		c.work.Go(func() { c.drive(conn) })
	}
	return c, nil
}

func (c *benchClient) drive(conn net.Conn) {
	r := bufio.NewReader(conn)
	for i := range c.jobs {
		if err := c.request(conn, r, i); err != nil {
			c.failed <- err
			return
		}
	}
}

// one hands a request to the next free connection.
func (c *benchClient) one(i int) error {
	select {
	case c.jobs <- i:
		return nil
	case err := <-c.failed:
		return err
	}
}

func (c *benchClient) request(conn net.Conn, r *bufio.Reader, i int) error {
	_, err := fmt.Fprintf(conn, "POST /nonce HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: 44\r\n\r\nattestation=%032d", i)
	if err != nil {
		return err
	}
	return c.answer(r, http.StatusOK)
}

func (c *benchClient) answer(r *bufio.Reader, status int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if string(line[9:12]) != strconv.Itoa(status) {
		return fmt.Errorf("answered %s", line)
	}
	length := 0
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}

// tooLarge sends a body above the route's limit on a connection of its own.
func (c *benchClient) tooLarge() error {
	conn, err := net.Dial("tcp", c.server.Addr())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "POST /nonce HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\n"); err != nil {
		return err
	}
	return c.answer(bufio.NewReader(conn), http.StatusRequestEntityTooLarge)
}

func (c *benchClient) close() error {
	close(c.jobs)
	c.work.Wait()
	var errs []error
	for _, conn := range c.conns {
		errs = append(errs, conn.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), idleTimeout)
	defer cancel()
	return errors.Join(append(errs, c.server.Stop(ctx))...)
}
