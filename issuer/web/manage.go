package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/records"
)

// publishWait bounds how long a status call waits for publication and anchoring; the change itself is durable before.
const publishWait = 20 * time.Second

// At names the tenant of an operation. Exported, because huma looks for parameters in exported embedded types only.
type At struct {
	Tenant string `path:"tenant" maxLength:"32" doc:"Tenant"`
}

// actor is the token's name, when the token may speak for the tenant: another tenant's is answered like an unknown one.
func actor(ctx context.Context, tenant string) (string, error) {
	t := httpd.Caller(ctx)
	if t.Name == "" || t.Tenant != "" && t.Tenant != tenant {
		return "", issuer.ErrUnknownTenant
	}
	return t.Name, nil
}

type offerInput struct {
	At
	Body struct {
		Type   string `json:"type" maxLength:"48" doc:"Credential type, e.g. resident-id"`
		Person string `json:"person" maxLength:"64" doc:"Person's id in the agency's records"`
		Format string `json:"format,omitempty" maxLength:"32" doc:"Credential format; default dc+sd-jwt"`
		TxCode *bool  `json:"tx_code,omitempty" doc:"Whether a transaction code is demanded; default of the type"`
	}
}

type offerOutput struct {
	Body struct {
		ID       string `json:"id" doc:"The logical credential"`
		URI      string `json:"credential_offer_uri" doc:"Complete link, offer by reference"`
		ValueURI string `json:"credential_offer_value_uri" doc:"Complete link, offer by value"`
		TxCode   string `json:"tx_code,omitempty" doc:"To be told over another channel"`
	}
}

type statusInput struct {
	At
	ID   string `path:"id" maxLength:"64"`
	Body struct {
		Status string `json:"status" enum:"valid,revoked,suspended,needs_renewal"`
		Reason string `json:"reason" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9._:/-]+$" doc:"Code or file number of the agency"`
	}
}

type statusOutput struct {
	Body struct {
		Sequence uint64 `json:"sequence" doc:"Status epoch that carries the change"`
		Height   uint64 `json:"height" doc:"Height of the registry chain that proves it"`
	}
}

type credentialInput struct {
	At
	ID string `path:"id" maxLength:"64"`
}

type credentialOutput struct {
	Body struct {
		ID     string         `json:"id"`
		Type   string         `json:"type"`
		State  string         `json:"state" enum:"offered,authorized,issued,suspended,needs_renewal,revoked"`
		Wallet []walletReport `json:"wallet" doc:"what the wallet said of its deliveries, in order of time"`
	}
}

type walletReport struct {
	Event string    `json:"event" enum:"credential_accepted,credential_failure,credential_deleted"`
	At    time.Time `json:"at"`
}

type recordsInput struct {
	At
	Type    string `query:"type" maxLength:"48" required:"true" doc:"Credential type that the records are for"`
	RawBody []byte `contentType:"text/csv"`
}

type recordsOutput struct {
	Body struct {
		People int `json:"people"`
	}
}

// manage registers the operations. Each is one use case of package issuer.
func (s *Server) manage() error {
	api, err := httpd.NewAPI(s.management, httpd.APIConfig{Title: "Dojang issuer", Version: "1", Tokens: s.cfg.Tokens, Problems: problem, Log: s.cfg.Log})
	if err != nil {
		return err
	}
	op := func(method, path, id, summary string, status int) huma.Operation {
		return huma.Operation{Method: method, Path: "/v1/tenants/{tenant}" + path, OperationID: id, Summary: summary, DefaultStatus: status}
	}
	huma.Register(api, op(http.MethodPost, "/offers", "offer", "Offer a credential to a person", http.StatusCreated), s.manageOffer)
	huma.Register(api, op(http.MethodGet, "/credentials/{id}", "credential", "State of a logical credential", http.StatusOK), s.manageCredential)
	huma.Register(api, op(http.MethodPost, "/credentials/{id}/status", "status", "Revoke, suspend, mark for renewal or lift; returns when published and anchored", http.StatusOK), s.manageStatus)
	imports := op(http.MethodPost, "/records", "records", "Import records from CSV (UTF-8 or CP949), all or none", http.StatusOK)
	imports.MaxBodyBytes, imports.BodyReadTimeout = httpd.DefaultBody, 10*time.Second
	huma.Register(api, imports, s.manageRecords)
	s.management.Handle(httpd.Route{Pattern: "GET /health", Handler: s.health()})
	return nil
}

func (s *Server) manageOffer(ctx context.Context, in *offerInput) (*offerOutput, error) {
	who, err := actor(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	o, err := s.is.Offer(ctx, issuer.OfferRequest{Tenant: in.Tenant, Type: in.Body.Type, Person: in.Body.Person, Format: in.Body.Format, TxCode: in.Body.TxCode, Actor: who})
	if err != nil {
		return nil, err
	}
	out := &offerOutput{}
	out.Body.ID, out.Body.URI, out.Body.ValueURI, out.Body.TxCode = o.ID, o.URI, o.ValueURI, o.TxCode
	return out, nil
}

func (s *Server) manageCredential(ctx context.Context, in *credentialInput) (*credentialOutput, error) {
	if _, err := actor(ctx, in.Tenant); err != nil {
		return nil, err
	}
	c, err := s.is.State(ctx, in.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	reports, err := s.is.Reports(ctx, in.Tenant, c.ID)
	if err != nil {
		return nil, err
	}
	out := &credentialOutput{}
	out.Body.ID, out.Body.Type, out.Body.State = c.ID, c.Type, string(c.State)
	out.Body.Wallet = make([]walletReport, 0, len(reports))
	for _, r := range reports {
		out.Body.Wallet = append(out.Body.Wallet, walletReport{Event: r.Event, At: r.At.UTC().Truncate(time.Second)})
	}
	return out, nil
}

func (s *Server) manageStatus(ctx context.Context, in *statusInput) (*statusOutput, error) {
	who, err := actor(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishWait)
	defer cancel()
	p, err := s.is.SetStatus(ctx, issuer.StatusChange{Tenant: in.Tenant, Credential: in.ID, To: issuer.StatusName(in.Body.Status), Reason: in.Body.Reason, Actor: who})
	if err != nil {
		return nil, err
	}
	out := &statusOutput{}
	out.Body.Sequence, out.Body.Height = p.Sequence, p.Height
	return out, nil
}

func (s *Server) manageRecords(ctx context.Context, in *recordsInput) (*recordsOutput, error) {
	who, err := actor(ctx, in.Tenant)
	if err != nil {
		return nil, err
	}
	n, err := s.is.Import(ctx, issuer.ImportRequest{Tenant: in.Tenant, Type: in.Type, File: in.RawBody, Actor: who})
	if err != nil {
		return nil, err
	}
	out := &recordsOutput{}
	out.Body.People = n
	return out, nil
}

// problems is the one mapping from our sentinels to RFC 9457. Another tenant's credential, an unknown tenant and an
// unknown id are one answer.
var problems = []struct {
	err    error
	status int
	code   string
	detail string
}{
	{audit.ErrUnavailable, http.StatusServiceUnavailable, "audit-unavailable", "nothing was changed"},
	{issuer.ErrUnknownTenant, http.StatusNotFound, "not-found", ""},
	{issuer.ErrNotFound, http.StatusNotFound, "not-found", ""},
	{issuer.ErrNoRecord, http.StatusNotFound, "no-record", "the agency has no record of this person for this type"},
	{issuer.ErrUnknownType, http.StatusUnprocessableEntity, "unknown-type", "the tenant does not issue this type"},
	{issuer.ErrUnknownFormat, http.StatusUnprocessableEntity, "unknown-format", "the type is not issued in this format"},
	{issuer.ErrUnknownStatus, http.StatusUnprocessableEntity, "validation-failed", "unknown status"},
	{issuer.ErrRevocationFinal, http.StatusConflict, "revocation-final", "a revoked credential stays revoked"},
	{issuer.ErrTransition, http.StatusConflict, "wrong-state", "the credential is not issued"},
	{issuer.ErrNotPublished, http.StatusServiceUnavailable, "not-published", "the change is recorded; ask again until it is published and anchored"},
	{records.ErrFile, http.StatusUnprocessableEntity, "file-unreadable", ""},
	{sqldb.ErrFull, http.StatusServiceUnavailable, "storage-unavailable", "nothing was changed"},
	{sqldb.ErrConflict, http.StatusServiceUnavailable, "storage-unavailable", "nothing was changed"},
	{sqldb.ErrUnavailable, http.StatusServiceUnavailable, "storage-unavailable", ""},
	{sqldb.ErrClosed, http.StatusServiceUnavailable, "storage-unavailable", "nothing was changed"},
}

// maxFieldErrors of one answer.
const maxFieldErrors = 100

func problem(err error) (*httpd.Problem, bool) {
	var claims *issuer.ClaimsError
	if errors.As(err, &claims) {
		p := httpd.NewProblem(http.StatusUnprocessableEntity, "validation-failed", "claims break a rule of the type")
		for i, v := range claims.Violations {
			if i == maxFieldErrors {
				break
			}
			place := v.Claim
			if v.Row > 0 {
				place = "row " + strconv.Itoa(v.Row) + " " + v.Claim
			}
			p.Errors = append(p.Errors, httpd.FieldError{Location: place, Message: v.Rule})
		}
		return p, true
	}
	for _, known := range problems {
		if errors.Is(err, known.err) {
			p := httpd.NewProblem(known.status, known.code, known.detail)
			if errors.Is(err, records.ErrFile) {
				p.Detail = err.Error() // says line or column numbers, never content
			}
			return p.WithCause(err), true
		}
	}
	return nil, false
}
