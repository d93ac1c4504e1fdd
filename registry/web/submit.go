package web

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
	"github.com/dojang-id/dojang/registry/light"
)

var errDocument = errors.New("registry/web: the DID document of the operation is not valid")

// submit answers POST /v1/operations: a CBOR array of signed operations; the answer comes when their outcomes are
// provable. A refusal by the rules is an outcome with its code, in a 200.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) {
	if name, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || name != light.TypeOperations && name != "application/cbor" {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusUnsupportedMediaType, "unsupported-media-type", "expected: "+light.TypeOperations))
		return
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, light.MaxSubmission+4097))
	if err != nil || len(raw) > light.MaxSubmission+4096 {
		s.fail(w, r, registry.ErrLimit)
		return
	}
	operations, err := light.DecodeOperations(raw)
	if err != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	if wait := s.submitters.Take(s.public.ClientIP(r), len(operations), s.cfg.Now()); wait > 0 {
		w.Header().Set("Retry-After", httpd.RetryAfter(wait))
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusTooManyRequests, "too-many-operations", "this address has handed in too many"))
		return
	}
	outcomes, err := s.submitOperations(r.Context(), operations)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	body, err := light.EncodeOutcomes(outcomes)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", light.TypeOutcomes)
	_, _ = w.Write(body)
}

func (s *Server) submitOperations(ctx context.Context, operations [][]byte) ([]registry.Outcome, error) {
	for _, raw := range operations {
		op, err := registry.ParseOperation(raw)
		if err != nil {
			return nil, err
		}
		if err := s.validate(op); err != nil {
			return nil, err
		}
	}
	return s.cfg.Node.Submit(ctx, operations...)
}

// validate shows the document that an operation would make to the document library: what it cannot read, others cannot
// either. The chain's own rules stand apart from this and are stricter.
func (s *Server) validate(op *registry.SignedOperation) error {
	if s.cfg.Validate == nil {
		return nil
	}
	record := did.Record{ID: op.ID()}
	switch body := op.Body.(type) {
	case *registry.CreateBody:
		addTo(&record, body.Keys, body.Services)
	case *registry.UpdateBody:
		addTo(&record, body.Keys, body.Services)
	default:
		return nil
	}
	doc, err := record.Document()
	if err != nil {
		return err
	}
	if err := s.cfg.Validate(doc); err != nil {
		return errors.Join(errDocument, err)
	}
	return nil
}

func addTo(record *did.Record, keys []registry.NewKey, services []registry.Service) {
	for _, k := range keys {
		record.Keys = append(record.Keys, did.Named[registry.KeyFact]{ID: k.ID, Fact: registry.KeyFact{Use: k.Use, Key: k.Key}})
	}
	for _, v := range services {
		record.Services = append(record.Services, did.Named[registry.ServiceFact]{ID: v.ID,
			Fact: registry.ServiceFact{Type: v.Type, Endpoint: v.Endpoint}})
	}
}
