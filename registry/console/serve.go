package console

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// policy lets a page load our stylesheet and our seal, post to us, and nothing else: there is no script to allow.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func guard(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
}

// What the edge makes of errors. Anything else is 500 with a reference.
var (
	errQuery  = errors.New("registry/console: unknown, doubled or malformed parameter")
	errNoPage = errors.New("registry/console: no such page")
	errOrigin = errors.New("registry/console: form of another site")
)

func statusOf(err error) int {
	for _, row := range []struct {
		err    error
		status int
	}{
		{errQuery, http.StatusBadRequest},
		{ErrCursor, http.StatusBadRequest},
		{errOrigin, http.StatusForbidden},
		{errNoPage, http.StatusNotFound},
		{registry.ErrNotFound, http.StatusNotFound},
		{registry.ErrLimit, http.StatusRequestEntityTooLarge},
		{registry.ErrUnavailable, http.StatusServiceUnavailable},
	} {
		if errors.Is(err, row.err) {
			return row.status
		}
	}
	return http.StatusInternalServerError
}

// An answer is one page to be rendered.
type answer struct {
	page   string // template
	title  string
	status int // 0: 200
	data   any
}

// A view is what the layout shows.
type view struct {
	Title   string
	Section string // of the navigation
	Other   string // this page in the other language
	Health  Health
	Data    any
}

type handler func(f *face, r *http.Request) (answer, error)

// A route below /ko and /en.
type route struct {
	path    string
	section string
	params  []string // query parameters that it takes, each at most once
	h       handler
}

func (s *Server) routes() {
	for _, lang := range languages {
		for _, r := range s.pages() {
			s.mux.Handle(httpd.Route{Pattern: "GET /" + lang + r.path, Handler: s.page(lang, r), Cache: "no-cache", HTML: true})
		}
		upload := http.NewCrossOriginProtection()
		upload.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, lang, errOrigin) }))
		s.mux.Handle(httpd.Route{Pattern: "POST /" + lang + "/check", HTML: true, MaxBody: maxUpload,
			Handler: upload.Handler(s.page(lang, route{section: "check", h: s.checked}))})
	}
	s.mux.Handle(httpd.Route{Pattern: "GET /{$}", Handler: http.HandlerFunc(s.start), HTML: true})
	for _, p := range []string{"{kind}", "{kind}/{id}", "{kind}/{id}/{name}", "{kind}/{id}/{name}/{sub}"} {
		s.mux.Handle(httpd.Route{Pattern: "GET /evidence/" + p, Handler: http.HandlerFunc(s.evidence), Cache: "no-cache", CORS: true})
	}
	s.mux.Handle(httpd.Route{Pattern: "GET /assets/{name}", Handler: http.HandlerFunc(s.asset), HTML: true, Cache: "public, max-age=31536000, immutable"})
}

// page makes a handler of a route.
func (s *Server) page(lang string, rt route) http.Handler {
	f := s.faces[lang]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := onlyParams(r, rt.params); err != nil {
			s.fail(w, r, lang, err)
			return
		}
		a, err := rt.h(f, r)
		if to, ok := errors.AsType[elsewhere](err); ok {
			guard(w)
			w.Header().Set("Location", string(to))
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		if err != nil {
			s.fail(w, r, lang, err)
			return
		}
		s.render(w, r, f, rt.section, a)
	})
}

// elsewhere is a page of ours to go to: always a path that begins with the language.
type elsewhere string

func (elsewhere) Error() string { return "registry/console: elsewhere" }

// onlyParams refuses what a page does not know (J19): an unknown parameter is a mistake or an attack.
func onlyParams(r *http.Request, known []string) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	if len(r.URL.RawQuery) > 1024 {
		return errQuery
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return errQuery
	}
	for name, v := range values {
		ok := false
		for _, k := range known {
			ok = ok || k == name
		}
		if !ok || len(v) != 1 {
			return errQuery
		}
	}
	return nil
}

// render executes the page into memory first: half a page never leaves.
func (s *Server) render(w http.ResponseWriter, r *http.Request, f *face, section string, a answer) {
	health, err := s.cfg.Source.Health(r.Context())
	if err != nil {
		health = Health{State: "down"}
	}
	var out bytes.Buffer
	v := view{Title: a.title, Section: section, Other: other(f.lang, r), Health: health, Data: a.data}
	if err := f.pages[a.page].ExecuteTemplate(&out, "layout", v); err != nil {
		s.cfg.Log.Error("render page", slog.String("page", a.page), slog.String("error", err.Error()), slog.String("id", httpd.RequestID(w)))
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusInternalServerError, "internal-error", ""))
		return
	}
	guard(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", f.lang)
	h.Set("Content-Length", strconv.Itoa(out.Len()))
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(out.Bytes()) // a client that left is no fault of ours
}

// other is the same page in the other language. It keeps the query, which onlyParams has passed or the page has refused.
func other(lang string, r *http.Request) string {
	to := "/en"
	if lang == "en" {
		to = "/ko"
	}
	u := url.URL{Path: to + strings.TrimPrefix(r.URL.Path, "/"+lang), RawQuery: r.URL.RawQuery}
	return u.RequestURI()
}

// fail answers an error as a page; lang "" asks the browser's preference.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, lang string, err error) {
	if lang == "" {
		lang = preferred(r)
	}
	f, status := s.faces[lang], statusOf(err)
	key, reference := "err."+strconv.Itoa(status), ""
	if none, ok := errors.AsType[missing](err); ok {
		key = string(none)
	}
	if status == http.StatusInternalServerError {
		reference = httpd.RequestID(w)
		s.cfg.Log.Error("page", slog.String("error", err.Error()), slog.String("id", reference))
	}
	w.Header().Set("Cache-Control", "no-store")
	bare := r.Clone(r.Context())
	bare.URL = &url.URL{Path: "/" + lang + "/"} // nothing of a refused address is repeated
	s.render(w, bare, f, "", answer{page: "error", title: f.t("err.title"), status: status, data: f.t(key, reference)})
}

var matcher = language.NewMatcher([]language.Tag{language.Korean, language.English})

// preferred language of the browser; Korean when it does not say.
func preferred(r *http.Request) string {
	accept := r.Header.Get("Accept-Language")
	if accept == "" || len(accept) > 256 {
		return "ko"
	}
	_, i := language.MatchStrings(matcher, accept)
	return languages[i]
}

// start sends the bare address to a language. The target is ours alone: nothing of the request goes into it (J13).
func (s *Server) start(w http.ResponseWriter, r *http.Request) {
	guard(w)
	w.Header().Set("Vary", "Accept-Language")
	w.Header().Set("Location", "/"+preferred(r)+"/")
	w.WriteHeader(http.StatusSeeOther)
}

// evidence answers GET /evidence/…: the bytes that readers check themselves.
func (s *Server) evidence(w http.ResponseWriter, r *http.Request) {
	fact, err := ParseFact(r.PathValue("kind"), r.PathValue("id"), r.PathValue("name"), r.PathValue("sub"))
	if err == nil {
		err = onlyParams(r, nil)
	}
	var raw []byte
	if err == nil {
		raw, err = s.cfg.Source.Evidence(r.Context(), fact)
	}
	if err != nil {
		status := statusOf(err)
		code := map[int]string{400: "invalid-request", 404: "not-found", 503: "not-running"}[status]
		if code == "" {
			status, code = http.StatusInternalServerError, "internal-error"
			s.cfg.Log.Error("evidence", slog.String("error", err.Error()), slog.String("id", httpd.RequestID(w)))
		}
		httpd.WriteProblem(w, httpd.NewProblem(status, code, ""))
		return
	}
	w.Header().Set("Content-Type", typeEvidence)
	w.Header().Set("Content-Disposition", `attachment; filename="`+fact.File()+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	_, _ = w.Write(raw) // a client that left is no fault of ours
}

const (
	typeEvidence = "application/vnd.dojang.evidence+cbor" // registry/light
	maxUpload    = evidence.MaxSize + 64<<10              // a form around it, and enough room to say kindly that it is too large
)
