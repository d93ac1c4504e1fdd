package httpd

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
)

// Problem is an RFC 9457 answer of our own APIs, and an error that handlers may return. Texts are constants of the
// code, never input.
type Problem struct {
	Type      string       `json:"type" doc:"urn:dojang:problem: and the code"`
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      string       `json:"code" doc:"stable name of the problem" example:"not-found"`
	Detail    string       `json:"detail,omitempty"`
	Reference string       `json:"reference,omitempty" doc:"names the log line of an internal error"`
	Errors    []FieldError `json:"errors,omitempty"`

	cause error // for the log only
}

// FieldError names a place in the request and the broken rule, never the value.
type FieldError struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// NewProblem with type and title made from code and status.
func NewProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "urn:dojang:problem:" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// WithCause keeps err for the log; it never leaves the process.
func (p *Problem) WithCause(err error) *Problem { q := *p; q.cause = err; return &q }

func (p *Problem) Error() string  { return p.Code }
func (p *Problem) Unwrap() error  { return p.cause }
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes huma answer application/problem+json.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// WriteProblem answers a plain net/http request with p.
func WriteProblem(w http.ResponseWriter, p *Problem) {
	body, err := json.Marshal(p)
	if err != nil { // strings that are not UTF-8: not among our constants
		body = []byte(`{"type":"urn:dojang:problem:internal-error","status":500,"code":"internal-error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may be gone
}

// WriteError answers with the problem inside err, or logs err under a reference and answers "internal-error" with it.
func WriteError(w http.ResponseWriter, log *slog.Logger, err error) {
	var p *Problem
	if !errors.As(err, &p) {
		p = internal(log, RequestID(w), err)
	}
	WriteProblem(w, p)
}

// internal logs err and returns what the client may know of it.
func internal(log *slog.Logger, reference string, err error) *Problem {
	if log == nil {
		log = slog.Default()
	}
	text := "none"
	if err != nil {
		text = err.Error()
	}
	log.Error("internal error", slog.String("reference", reference), slog.String("error", text))
	p := NewProblem(http.StatusInternalServerError, "internal-error", "")
	p.Reference = reference
	return p
}

var errTooLarge = NewProblem(http.StatusRequestEntityTooLarge, "payload-too-large", "")

// ReadBody reads the request's body, which the Mux has bounded. Errors are Problems.
func ReadBody(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, errTooLarge
	case err != nil:
		return nil, NewProblem(http.StatusBadRequest, "body-unreadable", "")
	}
	return b, nil
}
