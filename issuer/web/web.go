// Package web is the issuer's HTTP: OpenID4VCI 1.0 for wallets on one handler (plain net/http), the management API on
// another (huma). It decodes and authenticates; what is decided, package issuer decides.
//
// Trusted: the configuration. Nothing of a request names us: every URL that we compare or publish comes from the
// configuration (B34, B73). What is kept in ttlkv (limits, DPoP and attestation replay memory) may vanish at any moment:
// DPoP nonces and attestation challenges then carry an epoch that is gone, so nothing old is accepted again.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/ttlkv"
	"github.com/dojang-id/dojang/issuer"
)

// Config of the two handlers.
type Config struct {
	Issuer *issuer.Issuer
	KV     *ttlkv.Store  // limits, replay memory; may lose everything
	Tokens *httpd.Tokens // of the management API; nil refuses everybody
	Log    *slog.Logger
	Now    func() time.Time
	// Public is the middleware of the public handler; Log and Now are filled in.
	Public httpd.MuxConfig
	Limits Limits
	// Ready says whether the store answers; nil: always.
	Ready func(context.Context) error
}

// Limits are events a second with a burst of ten seconds' worth; zero takes the default.
type Limits struct {
	TokenPerIP float64 // token requests of one address: 5
	TokenAll   float64 // token requests of all: 500
	OfferPerIP float64 // offers fetched by one address: 10
	PerGrant   float64 // credential requests under one access token: 2
}

// Server holds the handlers.
type Server struct {
	cfg        Config
	is         *issuer.Issuer
	public     *httpd.Mux
	management *httpd.Mux
	epoch      *ttlkv.Epoch
	tokenIP    *ttlkv.Limiter
	tokenAll   *ttlkv.Limiter
	offerIP    *ttlkv.Limiter
	perGrant   *ttlkv.Limiter
}

// New builds both handlers.
func New(cfg Config) (*Server, error) {
	if cfg.Issuer == nil || cfg.KV == nil {
		return nil, errors.New("issuer/web: Issuer and KV are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	cfg.Public.Log, cfg.Public.Now = cfg.Log, cfg.Now
	s := &Server{cfg: cfg, is: cfg.Issuer}
	var err error
	if s.epoch, err = ttlkv.NewEpoch(cfg.KV, "issuer-nonces", time.Hour, nil); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		to              **ttlkv.Limiter
		name            string
		rate, otherwise float64
	}{
		{&s.tokenIP, "token-ip", cfg.Limits.TokenPerIP, 5}, {&s.tokenAll, "token-all", cfg.Limits.TokenAll, 500},
		{&s.offerIP, "offer-ip", cfg.Limits.OfferPerIP, 10}, {&s.perGrant, "credential", cfg.Limits.PerGrant, 2},
	} {
		if l.rate == 0 {
			l.rate = l.otherwise
		}
		*l.to, err = ttlkv.NewLimiter(ttlkv.LimiterConfig{Store: cfg.KV, Name: "issuer-" + l.name, Rate: l.rate, Burst: int(max(10*l.rate, 10)), Now: cfg.Now})
		if err != nil {
			return nil, err
		}
	}
	if s.public, err = httpd.NewMux(cfg.Public); err != nil {
		return nil, err
	}
	if err := s.routes(); err != nil {
		return nil, err
	}
	if s.management, err = httpd.NewMux(httpd.MuxConfig{Log: cfg.Log, Now: cfg.Now, Metrics: cfg.Public.Metrics}); err != nil {
		return nil, err
	}
	return s, s.manage()
}

// Public is what wallets, nodes and browsers reach.
func (s *Server) Public() http.Handler { return s.public }

// Management is for the agency's own systems: a separate listener.
func (s *Server) Management() http.Handler { return s.management }

func (s *Server) health() http.Handler {
	return httpd.Health(func(r *http.Request) error { return s.cfg.Ready(r.Context()) })
}
