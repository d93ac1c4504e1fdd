package console

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
)

// Config of a Server.
type Config struct {
	Source Source
	// API is the origin of the node's HTTP face (registry/web), for links to DID documents; "": the Explorer's own.
	API string
	Mux httpd.MuxConfig
	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: silent
}

// A Server is the Explorer.
type Server struct {
	cfg    Config
	mux    *httpd.Mux
	assets assets
	faces  map[string]*face // :: language -> its pages
}

// New builds the handler; nothing listens.
func New(cfg Config) (*Server, error) {
	if cfg.Source == nil {
		return nil, errors.New("registry/console: Config.Source is required")
	}
	if u, err := url.Parse(cfg.API); err != nil || cfg.API != "" && (u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("registry/console: Config.API is an origin")
	}
	cfg.API = strings.TrimSuffix(cfg.API, "/")
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Mux.Log == nil {
		cfg.Mux.Log = cfg.Log
	}
	s := &Server{cfg: cfg, faces: map[string]*face{}}
	var err error
	if s.mux, err = httpd.NewMux(cfg.Mux); err != nil {
		return nil, err
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	for _, lang := range languages {
		if s.faces[lang], err = s.newFace(lang); err != nil {
			return nil, err
		}
	}
	s.routes()
	return s, nil
}

// Handler serves /, /ko/…, /en/…, /evidence/… and /assets/….
func (s *Server) Handler() http.Handler { return s.mux }
