// Package web puts HTTP around a verifier's desk: the wallet's endpoints of OpenID4VP in plain net/http (Public) and the
// companies' API in huma behind bearer tokens (Management), for two listeners.
//
// Trusted: the Config. A request names its tenant by the route (public) or by its token (management), never by a header.
// Wallets read one constant refusal whatever went wrong; companies read codes of a closed list.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
)

// Config of a Server.
type Config struct {
	Desk *verifier.Desk // required
	// Registry checks receipts of any verifier. Required.
	Registry registry.Resolver
	// Tokens of companies (Tenant set) and of the operator (Tenant ""; names the tenant as a query parameter).
	Tokens []httpd.Token
	// Ready is asked by /health, e.g. the store's Ping; nil: always ready.
	Ready   func(ctx context.Context) error
	Log     *slog.Logger
	Metrics *httpd.Metrics
	Mux     httpd.MuxConfig // limits and proxies; Log and Metrics are taken from above
	Now     func() time.Time
}

// Server holds both handlers.
type Server struct {
	cfg        Config
	public     *httpd.Mux
	management *httpd.Mux
}

// New refuses a Config without a desk and tenants whose public paths collide.
func New(cfg Config) (*Server, error) {
	if cfg.Desk == nil || cfg.Registry == nil {
		return nil, errors.New("verifier/web: Config needs Desk and Registry")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Mux.Log, cfg.Mux.Metrics, cfg.Mux.Now = cfg.Log, cfg.Metrics, cfg.Now
	s := &Server{cfg: cfg}
	var err error
	if s.public, err = httpd.NewMux(cfg.Mux); err != nil {
		return nil, fmt.Errorf("verifier/web: public mux: %w", err)
	}
	if s.management, err = httpd.NewMux(cfg.Mux); err != nil {
		return nil, fmt.Errorf("verifier/web: management mux: %w", err)
	}
	if err := s.wallets(); err != nil {
		return nil, err
	}
	return s, s.companies()
}

// Public is the wallets' side.
func (s *Server) Public() http.Handler { return s.public }

// Management is the companies' side.
func (s *Server) Management() http.Handler { return s.management }

func (s *Server) health(r *http.Request) error {
	if s.cfg.Ready == nil {
		return nil
	}
	return s.cfg.Ready(r.Context())
}

// prefixes gives every tenant its route prefix: the path of its base URL, with the host where two tenants share a path.
func (s *Server) prefixes() (map[string]string, error) {
	paths := map[string]int{}
	urls := map[string]*url.URL{}
	for _, c := range s.cfg.Desk.Clients() {
		u, err := url.Parse(c.BaseURL)
		if err != nil {
			return nil, fmt.Errorf("verifier/web: tenant %s: base URL: %w", c.Tenant, err)
		}
		urls[c.Tenant] = u
		paths[u.Path]++
	}
	out, seen := map[string]string{}, map[string]bool{}
	for tenant, u := range urls {
		prefix := u.Path
		if paths[u.Path] > 1 {
			prefix = u.Hostname() + u.Path
		}
		if seen[prefix] {
			return nil, fmt.Errorf("verifier/web: tenant %s: base URL belongs to another tenant", tenant)
		}
		out[tenant], seen[prefix] = prefix, true
	}
	return out, nil
}
