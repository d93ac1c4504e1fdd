// Package web is the wallet provider's HTTP: what wallets call on one handler, the management API on another.
package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	walletapi "github.com/dojang-id/dojang/wallet-api"
)

// Config of the two handlers.
type Config struct {
	Provider *walletapi.Provider
	Tokens   *httpd.Tokens // of the management API; nil refuses everybody
	Log      *slog.Logger
	Mux      httpd.MuxConfig // middleware of the public handler
}

// Server holds the handlers.
type Server struct{ public, management *httpd.Mux }

// New builds both.
func New(cfg Config) (*Server, error) {
	if cfg.Provider == nil {
		return nil, errors.New("wallet-api/web: a provider is needed")
	}
	public, err := httpd.NewMux(cfg.Mux)
	if err != nil {
		return nil, err
	}
	p := cfg.Provider
	public.Handle(httpd.Route{Pattern: "GET /health", Handler: httpd.Health(func(*http.Request) error { return nil })})
	public.Handle(httpd.Route{Pattern: "POST /v1/challenges", CORS: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		challenge, err := p.Challenge()
		answer(w, cfg.Log, map[string]string{"challenge": challenge}, err)
	})})
	public.Handle(httpd.Route{Pattern: "POST /v1/instances", CORS: true, Handler: withProof(cfg.Log, func(ctx context.Context, proof string) (map[string]string, error) {
		instance, err := p.Enrol(ctx, proof)
		return map[string]string{"instance": instance}, err
	})})
	public.Handle(httpd.Route{Pattern: "POST /v1/attestations", CORS: true, Handler: withProof(cfg.Log, func(ctx context.Context, proof string) (map[string]string, error) {
		jwt, err := p.Attest(ctx, proof)
		return map[string]string{"attestation": jwt, "client_id": p.ClientID()}, err
	})})
	management, err := newManagement(cfg)
	if err != nil {
		return nil, err
	}
	return &Server{public, management}, nil
}

// Public is what wallets reach.
func (s *Server) Public() http.Handler { return s.public }

// Management is for the provider's own people: a separate listener.
func (s *Server) Management() http.Handler { return s.management }

// withProof handles {"proof": JWT}.
func withProof(log *slog.Logger, f func(context.Context, string) (map[string]string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Proof string `json:"proof"`
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &in, json.RejectUnknownMembers(true)) != nil || in.Proof == "" {
			httpd.WriteProblem(w, httpd.NewProblem(http.StatusBadRequest, "malformed", "A JSON object with a proof is expected."))
			return
		}
		result, err := f(r.Context(), in.Proof)
		answer(w, log, result, err)
	})
}

func answer(w http.ResponseWriter, log *slog.Logger, v any, err error) {
	if err != nil {
		p, known := problem(err)
		if !known {
			p = httpd.NewProblem(http.StatusInternalServerError, "internal-error", "")
		}
		if p.Status >= http.StatusInternalServerError {
			p.Reference = httpd.RequestID(w)
			if log != nil {
				log.Error("wallet-api", slog.String("request", p.Reference), slog.Any("error", err))
			}
		}
		httpd.WriteProblem(w, p)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, v) //nolint:errcheck // the wallet sees a short answer
}

// problem is the one table of what this API answers.
func problem(err error) (*httpd.Problem, bool) {
	switch {
	case errors.Is(err, walletapi.ErrProof):
		return httpd.NewProblem(http.StatusUnprocessableEntity, "attestation-rejected", "The proof does not hold."), true
	case errors.Is(err, walletapi.ErrChallenge):
		return httpd.NewProblem(http.StatusUnprocessableEntity, "challenge-invalid", "Ask for a new challenge."), true
	case errors.Is(err, walletapi.ErrUnknown):
		return httpd.NewProblem(http.StatusNotFound, "not-found", "There is no such instance."), true
	case errors.Is(err, walletapi.ErrRevoked):
		return httpd.NewProblem(http.StatusForbidden, "instance-revoked", "This wallet was revoked."), true
	case errors.Is(err, walletapi.ErrTooMany):
		return httpd.NewProblem(http.StatusTooManyRequests, "too-many", "Come back tomorrow."), true
	case sqldb.Retryable(err):
		return httpd.NewProblem(http.StatusServiceUnavailable, "storage-unavailable", "Try again later."), true
	}
	return nil, false
}

func newManagement(cfg Config) (*httpd.Mux, error) {
	mux, err := httpd.NewMux(httpd.MuxConfig{Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	mux.Handle(httpd.Route{Pattern: "GET /health", Handler: httpd.Health(func(*http.Request) error { return nil })})
	api, err := httpd.NewAPI(mux, httpd.APIConfig{Title: "Dojang wallet provider", Version: "1", Tokens: cfg.Tokens, Problems: problem, Log: cfg.Log})
	if err != nil {
		return nil, err
	}
	huma.Register(api, huma.Operation{
		OperationID: "revoke-instance", Method: http.MethodPost, Path: "/v1/instances/{id}/revoke", DefaultStatus: http.StatusNoContent,
		Summary: "End a wallet instance: it gets no attestation any more.",
	}, func(ctx context.Context, in *struct {
		ID string `path:"id" maxLength:"64" doc:"Thumbprint of the instance key."`
	}) (*struct{}, error) {
		return nil, cfg.Provider.Revoke(ctx, in.ID)
	})
	return mux, nil
}
