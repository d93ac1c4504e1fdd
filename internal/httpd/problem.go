package httpd

import "net/http"

// Problem is an RFC 9457 answer of our own APIs, and an error that handlers may return. Texts are constants of the
// code, never input.
type Problem struct {
	Type      string       `json:"type"` // "urn:dojang:problem:" + Code
	Title     string       `json:"title"`
	Status    int          `json:"status"`
	Code      string       `json:"code"` // stable slug, e.g. "not-found"
	Detail    string       `json:"detail,omitempty"`
	Reference string       `json:"reference,omitempty"` // of the log line, for internal errors
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
func WriteProblem(w http.ResponseWriter, p *Problem) {}
