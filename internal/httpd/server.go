package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Times and sizes of THREATS J18.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 32 << 10
)

// ServeConfig of a listener.
type ServeConfig struct {
	// Listen is host:port. The host "localhost" means both loopback families on one port; port 0 picks a free one.
	Listen  string
	Handler http.Handler
	// TLS serves https, version 1.2 at least; nil: plain http (loopback, or behind a proxy).
	TLS *tls.Config
	// Log gets what net/http complains about; default slog.Default().
	Log *slog.Logger
	// MaxConns bounds open connections, default 4096; more wait in the kernel's queue.
	MaxConns int
	// WriteTimeout bounds a whole answer, default 30 s. Routes with a Timeout of their own extend it.
	WriteTimeout time.Duration
}

// Server is a running listener.
type Server struct {
	http      *http.Server
	tls       bool
	listeners []net.Listener
	failed    chan error
	serving   sync.WaitGroup
}

// Serve listens and serves until Stop. When it returns, connections are accepted. It may be called again for the same
// port after Stop. ctx bounds the start only.
func Serve(ctx context.Context, cfg ServeConfig) (*Server, error) {
	if cfg.Handler == nil {
		return nil, errors.New("httpd: no handler")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 4096
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 30 * time.Second
	}
	listeners, err := listen(ctx, cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := &Server{tls: cfg.TLS != nil, listeners: listeners, failed: make(chan error, len(listeners)), http: &http.Server{
		Handler: cfg.Handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		WriteTimeout: cfg.WriteTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(quiet{cfg.Log.Handler()}, slog.LevelDebug),
	}}
	if cfg.TLS != nil {
		s.http.TLSConfig = cfg.TLS.Clone()
		s.http.TLSConfig.MinVersion = max(cfg.TLS.MinVersion, tls.VersionTLS12)
	}
	slots := make(chan struct{}, cfg.MaxConns)
	for _, l := range listeners {
		s.serving.Go(func() { s.serve(&limitedListener{Listener: l, slots: slots, closed: make(chan struct{})}) })
	}
	return s, nil
}

func (s *Server) serve(l net.Listener) {
	var err error
	if s.tls {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		s.failed <- err
	}
}

// listen binds host:port, "localhost" on both loopback families where the machine has them.
func listen(ctx context.Context, address string) ([]net.Listener, error) {
	var lc net.ListenConfig
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if host != "localhost" {
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		return []net.Listener{l}, nil
	}
	for try := 0; ; try++ {
		four, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
		bound := strconv.Itoa(four.Addr().(*net.TCPAddr).Port)
		six, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", bound))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case !haveIPv6(ctx):
			return []net.Listener{four}, nil
		case port != "0" || try == 20: // the other family's port is somebody else's: never answer beside them
			return nil, errors.Join(fmt.Errorf("listen: %w", err), four.Close())
		}
		if err := four.Close(); err != nil {
			return nil, err
		}
	}
}

func haveIPv6(ctx context.Context) bool {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp6", "[::1]:0")
	return err == nil && l.Close() == nil
}

// Addr is the first bound address, e.g. "127.0.0.1:8080".
func (s *Server) Addr() string { return s.listeners[0].Addr().String() }

// Port is the bound port.
func (s *Server) Port() int { return s.listeners[0].Addr().(*net.TCPAddr).Port }

// URL is "http://localhost:PORT" for a loopback listener, otherwise the bound address; https with TLS.
func (s *Server) URL() string {
	scheme, host := "http", s.Addr()
	if s.tls {
		scheme = "https"
	}
	if s.listeners[0].Addr().(*net.TCPAddr).IP.IsLoopback() {
		host = net.JoinHostPort("localhost", strconv.Itoa(s.Port()))
	}
	return scheme + "://" + host
}

// Stop closes the listeners first (a TCP connect is refused from then on), lets running requests finish until ctx
// ends, then cuts them.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	s.serving.Wait()
	return err
}

// Err yields when serving ends for another reason than Stop.
func (s *Server) Err() <-chan error { return s.failed }

// limitedListener accepts while a slot is free; all listeners of a server share the slots.
type limitedListener struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, slots: l.slots}, nil
}

func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { <-c.slots })
	return err
}

// quiet drops the text of net/http's complaints, which quotes what clients sent; that there was one remains.
type quiet struct{ slog.Handler }

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	return q.Handler.Handle(ctx, slog.NewRecord(r.Time, r.Level, "connection refused or broken off", r.PC))
}
