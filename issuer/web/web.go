// Package web is the issuer's HTTP: OpenID4VCI 1.0 for wallets on one handler, the management API on another.
package web

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/ttlkv"
	"github.com/dojang-id/dojang/issuer"
)

// Config of the two handlers.
type Config struct {
	Issuer *issuer.Issuer
	KV     *ttlkv.Store  // limits, DPoP replay memory; may lose everything
	Tokens *httpd.Tokens // of the management API; nil refuses everybody
	Log    *slog.Logger
	Mux    httpd.MuxConfig // middleware of the public handler
}

// Server holds the handlers.
type Server struct{}

// New builds both.
func New(cfg Config) (*Server, error) { return nil, errors.New("web: not built yet") }

// Public is what wallets, nodes and browsers reach.
func (s *Server) Public() http.Handler { return nil }

// Management is for the agency's own systems: a separate listener.
func (s *Server) Management() http.Handler { return nil }
