package console

import (
	"errors"
	"io"
	"mime/multipart"
	"net/http"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A step of evidence.Check, in its order.
type step struct {
	Name  string // of texts: ck.<name>
	State string // pass, fail, skip
}

// A finding is what the server-side check says. Facts are nil when it does not hold.
type finding struct {
	Problem string // a text's key: the form was wrong, nothing was checked
	Holds   bool
	Steps   []step
	Head    registry.Checked
	Hash    [32]byte
	Facts   []shown
	Leaves  int
	Status  bool // a status part is attached
}

func (s *Server) check(f *face, _ *http.Request) (answer, error) {
	return answer{page: "check", title: f.t("ck.title")}, nil
}

// checked answers the form: an Evidence file, examined in memory and forgotten.
func (s *Server) checked(f *face, r *http.Request) (answer, error) {
	file, err := uploaded(r)
	if err != nil {
		return answer{}, err
	}
	out := answer{page: "check", title: f.t("ck.title")}
	if len(file) == 0 {
		out.status, out.data = http.StatusBadRequest, &finding{Problem: "ck.nofile"}
		return out, nil
	}
	trust, err := s.cfg.Source.Trust(r.Context())
	if err != nil {
		return answer{}, err
	}
	facts, err := evidence.Check(file, trust, s.cfg.Now())
	out.data = found(facts, trust.Network, err)
	return out, nil
}

// uploaded is the one part "evidence" of the form. Errors: registry.ErrLimit, errQuery.
func uploaded(r *http.Request) ([]byte, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, errQuery
	}
	part, err := parts.NextPart()
	if err != nil || part.FormName() != "evidence" {
		return nil, tooLarge(err)
	}
	raw, err := io.ReadAll(io.LimitReader(part, evidence.MaxSize+1))
	if err != nil {
		return nil, tooLarge(err)
	}
	if len(raw) > evidence.MaxSize {
		return nil, registry.ErrLimit
	}
	if _, err := parts.NextPart(); !errors.Is(err, io.EOF) {
		return nil, errQuery
	}
	return raw, nil
}

func tooLarge(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || errors.Is(err, multipart.ErrMessageTooLarge) {
		return registry.ErrLimit
	}
	return errQuery
}

func found(facts *evidence.Facts, network string, err error) *finding {
	out := &finding{Holds: err == nil}
	state, failed := "pass", failedStep(err)
	for _, name := range evidence.Steps() {
		if name == failed {
			out.Steps, state = append(out.Steps, step{string(name), "fail"}), "skip"
			continue
		}
		out.Steps = append(out.Steps, step{string(name), state})
	}
	if err == nil {
		out.Head, out.Hash, out.Status = facts.Head(), facts.HeadHash(), facts.Status() != nil
		out.Facts = describe(facts, network)
		out.Leaves = len(facts.Keys())
	}
	return out
}

// failedStep is "" when nothing failed.
func failedStep(err error) evidence.Step {
	at := evidence.FailedStep(err)
	if err != nil && at == "" {
		at = evidence.StepSize // not of Check: say nothing of the others
	}
	return at
}
