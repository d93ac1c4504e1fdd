package httpd

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// ServeConfig of a listener.
type ServeConfig struct {
	// Listen is host:port. The host "localhost" means both loopback families on one port; port 0 picks a free one.
	Listen  string
	Handler http.Handler
	// Log gets what net/http complains about; default slog.Default().
	Log *slog.Logger
	// MaxConns bounds open connections, default 4096; more wait in the kernel's queue.
	MaxConns int
	// WriteTimeout bounds a whole answer, default 30 s.
	WriteTimeout time.Duration
}

// Server is a running listener.
type Server struct{}

var errTODO = errors.New("httpd: not built yet")

// Serve listens and serves until Stop. When it returns, connections are accepted. It may be called again on the same
// port after Stop.
func Serve(ctx context.Context, cfg ServeConfig) (*Server, error) { return nil, errTODO }

// Addr is the first bound address, e.g. "127.0.0.1:8080".
func (s *Server) Addr() string { return "" }

// Port is the bound port.
func (s *Server) Port() int { return 0 }

// URL is "http://localhost:PORT" for a loopback listener, otherwise "http://" + Addr.
func (s *Server) URL() string { return "" }

// Stop closes the listeners first (a TCP connect is refused from then on), lets running requests finish until ctx
// ends, then cuts them.
func (s *Server) Stop(ctx context.Context) error { return nil }

// Err is closed-over: the channel yields when serving ends for another reason than Stop.
func (s *Server) Err() <-chan error { return nil }
