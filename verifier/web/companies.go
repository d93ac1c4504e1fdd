package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
)

// companies mounts the management API.
func (s *Server) companies() error {
	tokens, err := httpd.NewTokens(s.cfg.Tokens...)
	if err != nil {
		return err
	}
	s.management.Handle(httpd.Route{Pattern: "GET /health", Handler: httpd.Health(s.health)})
	api, err := httpd.NewAPI(s.management, httpd.APIConfig{
		Title: "Dojang verifier", Version: "1", Tokens: tokens, Problems: problem, Log: s.cfg.Log,
	})
	if err != nil {
		return err
	}
	huma.Register(api, huma.Operation{
		OperationID: "create-request", Method: http.MethodPost, Path: "/v1/requests", Summary: "Ask a wallet for a presentation",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: httpd.SmallBody,
	}, s.createRequest)
	huma.Register(api, huma.Operation{
		OperationID: "read-result", Method: http.MethodGet, Path: "/v1/requests/{id}", Summary: "Read state, decision and claims",
	}, s.readResult)
	huma.Register(api, huma.Operation{
		OperationID: "read-history", Method: http.MethodGet, Path: "/v1/requests/{id}/history",
		Summary: "Read how a request ended and what was tried again (NONCE_REPLAY)",
	}, s.readHistory)
	huma.Register(api, huma.Operation{
		OperationID: "redeem-result", Method: http.MethodPost, Path: "/v1/requests/{id}/redeem",
		Summary: "Redeem the response code that came back with the browser", MaxBodyBytes: httpd.SmallBody,
	}, s.redeem)
	huma.Register(api, huma.Operation{
		OperationID: "list-policies", Method: http.MethodGet, Path: "/v1/policies", Summary: "List the policies a tenant may use",
	}, s.listPolicies)
	huma.Register(api, huma.Operation{
		OperationID: "check-receipt", Method: http.MethodPost, Path: "/v1/receipts/check", Summary: "Check a receipt of any verifier",
		MaxBodyBytes: httpd.SmallBody,
	}, s.checkReceipt)
	return nil
}

// problem is the one mapping from the party's errors to RFC 9457 problems.
func problem(err error) (*httpd.Problem, bool) {
	table := []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{verifier.ErrNotFound, http.StatusNotFound, "not-found", ""},
		{verifier.ErrPolicy, http.StatusUnprocessableEntity, "validation-failed", "no such policy"},
		{verifier.ErrRequest, http.StatusUnprocessableEntity, "validation-failed", "request cannot be made as described"},
		{verifier.ErrPurpose, http.StatusForbidden, "purpose-not-allowed", "the registration does not cover these claims"},
		{verifier.ErrRegistry, http.StatusServiceUnavailable, "registry-unavailable", ""},
		{verifier.ErrReceipt, http.StatusUnprocessableEntity, "receipt-invalid", "the receipt does not hold"},
		{registry.ErrUnavailable, http.StatusServiceUnavailable, "registry-unavailable", ""},
		{registry.ErrUntrusted, http.StatusServiceUnavailable, "registry-unavailable", ""},
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return httpd.NewProblem(row.status, row.code, row.detail).WithCause(err), true
		}
	}
	if storageFails(err) {
		return httpd.NewProblem(http.StatusServiceUnavailable, "storage-unavailable", "").WithCause(err), true
	}
	return nil, false
}

// storageFails: the caller may try again later.
func storageFails(err error) bool {
	return sqldb.Retryable(err) || errors.Is(err, audit.ErrUnavailable)
}

// tenant is the token's; the operator's token names one, or means the only one there is.
func (s *Server) tenant(ctx context.Context, named string) (string, error) {
	caller := httpd.Caller(ctx)
	switch {
	case caller.Name == "", caller.Tenant != "" && named != "" && named != caller.Tenant:
		return "", verifier.ErrNotFound
	case caller.Tenant != "":
		return caller.Tenant, nil
	case named != "":
		return named, nil
	}
	if clients := s.cfg.Desk.Clients(); len(clients) == 1 {
		return clients[0].Tenant, nil
	}
	return "", verifier.ErrNotFound
}

// TenantQuery is common to every operation (exported: huma reads exported embedded fields only).
type TenantQuery struct {
	Tenant string `query:"tenant" maxLength:"32" doc:"for the operator's token when there are several tenants"`
}

type createInput struct {
	TenantQuery
	Body struct {
		Policy         string `json:"policy" maxLength:"64" doc:"name of a policy"`
		ClientIDPrefix string `json:"client_id_prefix,omitempty" enum:"x509_hash,x509_san_dns,decentralized_identifier" doc:"default x509_hash"`
		ResponseMode   string `json:"response_mode,omitempty" enum:"direct_post,direct_post.jwt" doc:"default direct_post.jwt"`
		CrossDevice    bool   `json:"cross_device,omitempty" doc:"shown on another device: 120 s, only where the policy allows"`
		Evidence       *bool  `json:"evidence,omitempty" doc:"ask the wallet for registry evidence; default: the policy's"`
		RedirectURI    string `json:"redirect_uri,omitempty" maxLength:"2048" doc:"registered URL that the browser returns to"`
		Session        string `json:"session,omitempty" maxLength:"512" doc:"the browser session that may redeem the result"`
	}
}

type createOutput struct {
	Body struct {
		ID         string    `json:"id"`
		RequestURI string    `json:"request_uri" doc:"complete openid4vp:// link for a button or QR code"`
		ExpiresAt  time.Time `json:"expires_at"`
	}
}

func (s *Server) createRequest(ctx context.Context, in *createInput) (*createOutput, error) {
	tenant, err := s.tenant(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	b := in.Body
	r, err := s.cfg.Desk.Request(ctx, tenant, verifier.RequestInput{
		Policy: b.Policy, ClientIDPrefix: b.ClientIDPrefix, ResponseMode: b.ResponseMode, CrossDevice: b.CrossDevice,
		Evidence: b.Evidence, RedirectURI: b.RedirectURI, Session: b.Session,
	})
	if err != nil {
		return nil, err
	}
	out := new(createOutput)
	out.Body.ID, out.Body.RequestURI, out.Body.ExpiresAt = r.ID, r.Link, r.ExpiresAt.UTC().Truncate(time.Second)
	return out, nil
}

// ResultInput names one transaction.
type ResultInput struct {
	TenantQuery
	ID string `path:"id" maxLength:"64"`
}

type resultOutput struct{ Body verifier.Result }

func (s *Server) readResult(ctx context.Context, in *ResultInput) (*resultOutput, error) {
	tenant, err := s.tenant(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	r, err := s.cfg.Desk.Result(ctx, tenant, in.ID)
	return &resultOutput{Body: r}, err
}

type eventView struct {
	Kind     string            `json:"kind" enum:"presentation.judged,presentation.expired,presentation.replayed"`
	Code     verifier.Code     `json:"code"`
	Decision verifier.Decision `json:"decision"`
	Text     verifier.Text     `json:"text" doc:"the code in words"`
	At       time.Time         `json:"at"`
}

type historyOutput struct {
	Body struct {
		Events []eventView `json:"events" doc:"in order; the result is that of the first, whatever comes after"`
	}
}

func (s *Server) readHistory(ctx context.Context, in *ResultInput) (*historyOutput, error) {
	tenant, err := s.tenant(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	events, err := s.cfg.Desk.History(ctx, tenant, in.ID)
	if err != nil {
		return nil, err
	}
	out := new(historyOutput)
	out.Body.Events = make([]eventView, 0, len(events))
	for _, e := range events {
		out.Body.Events = append(out.Body.Events, eventView{
			Kind: e.Kind, Code: e.Code, Decision: e.Code.Decision(), Text: e.Code.Text(""), At: e.At.UTC().Truncate(time.Second),
		})
	}
	return out, nil
}

type redeemInput struct {
	ResultInput
	Body struct {
		ResponseCode string `json:"response_code" maxLength:"64"`
		Session      string `json:"session" maxLength:"512"`
	}
}

func (s *Server) redeem(ctx context.Context, in *redeemInput) (*resultOutput, error) {
	tenant, err := s.tenant(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	r, err := s.cfg.Desk.Redeem(ctx, tenant, in.ID, in.Body.ResponseCode, in.Body.Session)
	return &resultOutput{Body: r}, err
}

type policyView struct {
	Name    string              `json:"name"`
	Version int                 `json:"version"`
	Title   verifier.Text       `json:"title"`
	Purpose string              `json:"purpose"`
	Types   map[string][]string `json:"types"`
	Text    string              `json:"text" doc:"the policy as YAML"`
}

type policiesOutput struct {
	Body struct {
		Policies []policyView `json:"policies"`
	}
}

func (s *Server) listPolicies(ctx context.Context, in *TenantQuery) (*policiesOutput, error) {
	tenant, err := s.tenant(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	policies, err := s.cfg.Desk.Policies(tenant)
	if err != nil {
		return nil, err
	}
	out := new(policiesOutput)
	out.Body.Policies = make([]policyView, 0, len(policies))
	for _, p := range policies {
		out.Body.Policies = append(out.Body.Policies, policyView{
			Name: p.Name(), Version: p.Version(), Title: p.Title(), Purpose: p.Purpose(), Types: p.Types(), Text: string(p.Source()),
		})
	}
	return out, nil
}

type receiptInput struct {
	Body struct {
		Receipt string `json:"receipt" maxLength:"32768"`
	}
}

type receiptOutput struct{ Body verifier.Receipt }

func (s *Server) checkReceipt(ctx context.Context, in *receiptInput) (*receiptOutput, error) {
	r, err := verifier.CheckReceipt(ctx, in.Body.Receipt, s.cfg.Registry, s.cfg.Now())
	return &receiptOutput{Body: r}, err
}
