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

// steps of evidence.Check; its package documentation has the order.
var steps = []string{"size", "shape", "chain", "time", "state", "dates", "age", "set", "votes"}

func found(facts *evidence.Facts, network string, err error) *finding {
	out := &finding{Holds: err == nil}
	failed := -1
	if err != nil {
		failed = failedStep(err)
	}
	for i, name := range steps {
		st := step{name, "pass"}
		if failed >= 0 && i >= failed {
			st.State = "skip"
			if i == failed {
				st.State = "fail"
			}
		}
		out.Steps = append(out.Steps, st)
	}
	if err == nil {
		out.Head, out.Hash, out.Status = facts.Head(), facts.HeadHash(), facts.Status() != nil
		out.Facts = describe(facts, network)
		out.Leaves = len(facts.Keys())
	}
	return out
}

// failedStep finds the step by the error. Package evidence exports only those that a caller acts on; the others are told by
// their words, and a test breaks every step to see that they still are.
func failedStep(err error) int {
	name := "shape" // registry.ErrMalformed, wherever it was noticed
	switch {
	case errors.Is(err, registry.ErrLimit):
		name = "size"
	case errors.Is(err, evidence.ErrTooOld):
		name = "age"
	case errors.Is(err, evidence.ErrClock):
		name = "time"
	}
	prefix := registry.ErrUntrusted.Error() + ": "
	switch err.Error() {
	case prefix + "of another chain":
		name = "chain"
	case prefix + "headers are not in order":
		name = "time"
	case prefix + "the state is not that of the header":
		name = "state"
	case prefix + "headers are not in the header tree":
		name = "dates"
	case prefix + "unknown validators":
		name = "set"
	case prefix + "not enough valid votes":
		name = "votes"
	}
	for i, s := range steps {
		if s == name {
			return i
		}
	}
	return 0
}
