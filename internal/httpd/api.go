package httpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// APIConfig of a management API.
type APIConfig struct {
	Title, Version string
	// Tokens are who may call; nil refuses everybody. An operation whose Security is an empty, non-nil list is open.
	Tokens *Tokens
	// Problems turns the party's sentinels into problems; false: unknown, answered as "internal-error" with a reference
	// and logged.
	Problems func(error) (*Problem, bool)
	Log      *slog.Logger
}

// api is one APIConfig at work; it travels in the context of its operations, because huma's error hooks are variables
// of the process.
type api struct {
	cfg   APIConfig
	huma  huma.API
	once  sync.Once
	names map[string]bool // of properties and parameters; only these come back in problems
}

type apiKey struct{}

// hooks are set once a process, by the first NewAPI: every API of a process is one of ours.
var hooks sync.Once

// NewAPI mounts huma on mux: OpenAPI 3.1 at /openapi.json (behind a token), RFC 9457 problems, bearer tokens, unknown
// fields refused with 422 (THREATS J09), no docs page, no $schema links, no echo of what was sent.
func NewAPI(mux *Mux, cfg APIConfig) (huma.API, error) {
	if cfg.Title == "" || cfg.Version == "" {
		return nil, errors.New("httpd: an API needs a title and a version")
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Tokens == nil {
		cfg.Tokens = &Tokens{}
	}
	hooks.Do(func() {
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return problemOf(nil, "", status, msg, errs)
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			a, _ := ctx.Context().Value(apiKey{}).(*api)
			_, w := humago.Unwrap(ctx)
			return problemOf(a, RequestID(w), status, msg, errs)
		}
		huma.ValidateStrictCasing = true
	})
	a := &api{cfg: cfg}
	hc := huma.DefaultConfig(cfg.Title, cfg.Version)
	hc.CreateHooks, hc.Transformers = nil, nil // no $schema in bodies
	hc.OpenAPIPath, hc.DocsPath, hc.SchemasPath = "", "", ""
	strict := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	hc.Formats = map[string]huma.Format{"application/json": strict, "json": strict}
	hc.RejectUnknownQueryParameters = true
	hc.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer"}}
	hc.Security = []map[string][]string{{"bearer": {}}}
	h := humago.New(apiMux{mux}, hc)
	h.UseMiddleware(a.authenticate)
	a.huma = h
	mux.Handle(Route{Pattern: "GET /openapi.json", Handler: cfg.Tokens.Guard(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			spec, err := h.OpenAPI().MarshalJSON()
			if err != nil {
				WriteError(w, cfg.Log, err)
				return
			}
			w.Header().Set("Content-Type", "application/openapi+json")
			_, _ = w.Write(spec) // the client may be gone
		}))})
	return h, nil
}

// apiMux is the Mux with the body limit of APIs.
type apiMux struct{ *Mux }

func (m apiMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	m.Handle(Route{Pattern: pattern, Handler: http.HandlerFunc(f), MaxBody: DefaultBody})
}

// marshal gives empty lists, never null; omitempty means what it means in encoding/json.
func marshal(w io.Writer, v any) error {
	return json.MarshalWrite(w, v, jsonv1.OmitEmptyWithLegacySemantics(true))
}

// maxDepth of nested JSON (THREATS J19).
const maxDepth = 32

var errMalformed = errors.New("malformed JSON")

// unmarshal is strict: no duplicate names, exact case, UTF-8, nothing behind the value, bounded depth. Errors are one
// constant: the library's text would carry member names back.
func unmarshal(data []byte, v any) error {
	if deep(data) || json.Unmarshal(data, v) != nil {
		return errMalformed
	}
	return nil
}

// deep counts brackets outside of strings before any parser recurses into them.
func deep(data []byte) bool {
	depth := 0
	for len(data) > 0 {
		switch data[0] {
		case '{', '[':
			if depth++; depth > maxDepth {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			data = data[1:]
			for {
				i := bytes.IndexAny(data, `"\`)
				if i < 0 {
					return false // malformed anyway
				}
				if data[i] == '"' {
					data = data[i:]
					break
				}
				data = data[min(i+2, len(data)):]
			}
		}
		data = data[1:]
	}
	return false
}

// authenticate lets callers with a token through, everybody to open operations.
func (a *api) authenticate(ctx huma.Context, next func(huma.Context)) {
	ctx = huma.WithValue(ctx, apiKey{}, a)
	if s := ctx.Operation().Security; s != nil && len(s) == 0 {
		next(ctx)
		return
	}
	token, ok := a.cfg.Tokens.Find(ctx.Header("Authorization"))
	if !ok {
		_, w := humago.Unwrap(ctx)
		w.Header().Set("WWW-Authenticate", "Bearer")
		WriteProblem(w, errUnauthorized)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, token))
}

// problemOf is what huma answers with. a is nil outside of an operation (huma.Error404NotFound and the like).
func problemOf(a *api, reference string, status int, msg string, errs []error) *Problem {
	joined := errors.Join(errs...)
	var p *Problem
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(joined, &tooLarge):
		return errTooLarge
	case status >= 500 && errors.As(joined, &p):
		return p
	case status >= 500 && a != nil:
		if a.cfg.Problems != nil {
			if p, ok := a.cfg.Problems(joined); ok {
				return p
			}
		}
		return internal(a.cfg.Log, reference, joined)
	}
	p = NewProblem(status, codeOf(status), "")
	if status < 500 && joined == nil {
		p.Detail = msg // a constant of the handler
	}
	for _, err := range errs {
		p.Errors = append(p.Errors, a.fieldError(err))
	}
	return p
}

func codeOf(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return errTooLarge.Code
	case http.StatusUnprocessableEntity:
		return "validation-failed"
	case http.StatusBadRequest:
		return "malformed-request"
	case http.StatusInternalServerError, 0:
		return "internal-error"
	}
	return strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "-")
}

// fieldError keeps the place and the rule. huma's own texts end in the library's error, which quotes the value
// ("…: parsing time …"); places may hold names that the client chose.
func (a *api) fieldError(err error) FieldError {
	var d *huma.ErrorDetail
	if !errors.As(err, &d) {
		return FieldError{Message: "invalid"}
	}
	f := FieldError{Location: a.place(d.Location)}
	f.Message, _, _ = strings.Cut(d.Message, ":")
	if v, ok := d.Value.(string); ok && len(v) > 1 && strings.Contains(f.Message, v) {
		f.Message = "invalid"
	}
	return f
}

// place replaces the names that are not the API's own by *.
func (a *api) place(location string) string {
	if a == nil || len(location) > 256 {
		return ""
	}
	a.once.Do(a.collect)
	segments := strings.Split(location, ".")
	for i, s := range segments {
		name, index, _ := strings.Cut(s, "[")
		if !a.names[name] {
			segments[i] = "*"
		} else if _, err := strconv.Atoi(strings.TrimSuffix(index, "]")); err != nil {
			segments[i] = name
		}
	}
	return strings.Join(segments, ".")
}

// collect gathers the names of the API; all operations are registered before it serves.
func (a *api) collect() {
	a.names = map[string]bool{"body": true, "query": true, "path": true, "header": true, "cookie": true}
	spec := a.huma.OpenAPI()
	for _, schema := range spec.Components.Schemas.Map() {
		for name := range schema.Properties {
			a.names[name] = true
		}
	}
	for _, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Delete, item.Patch, item.Head} {
			if op == nil {
				continue
			}
			for _, p := range op.Parameters {
				a.names[p.Name] = true
			}
		}
	}
}

// Caller of a management operation: its token, without the secret; the zero Token outside.
func Caller(ctx context.Context) Token {
	t, _ := ctx.Value(callerKey{}).(Token)
	return t
}

type callerKey struct{}

func (t Token) String() string { return fmt.Sprintf("token %s", t.Name) }
