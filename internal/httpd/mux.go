package httpd

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Body limits of THREATS 5.
const (
	SmallBody   = 64 << 10 // token, nonce, PAR
	DefaultBody = 1 << 20
)

// MuxConfig of the middleware around a party's routes.
type MuxConfig struct {
	Name    string       // of the party or listener, for metrics
	Log     *slog.Logger // access and error log; default slog.Default()
	Metrics *Metrics     // nil: none
	// TrustedProxies whose X-Forwarded-For is believed, right to left; default none.
	TrustedProxies []netip.Prefix
	// PerIP is the number of requests a second of one address (IPv6: one /64), with Burst; 0: no limit.
	PerIP float64
	Burst int
	// MaxInFlight requests run at once, default 512; more get 503.
	MaxInFlight int
	// HSTS is for public https names.
	HSTS bool
	Now  func() time.Time // of the address limit; default time.Now
}

// A Route is one endpoint. The zero values of the limits are the safe ones.
type Route struct {
	// Pattern is net/http's: "POST /token", "GET /{tenant}/x". It is also the route's name in logs and metrics.
	Pattern string
	Handler http.Handler
	// MaxBody in bytes, default SmallBody. A longer body is 413 before or while it is read.
	MaxBody int64
	// Cache is the Cache-Control header, default "no-store".
	Cache string
	// CORS opens the route to scripts of every origin, without credentials; adds the OPTIONS route.
	CORS bool
	// Timeout replaces the listener's WriteTimeout for slow answers (event streams); 0 keeps it.
	Timeout time.Duration
	// Refuse answers in the protocol's own words what the route's handler never sees: 413 for a body that is too long, 405
	// for a method that the path does not have. nil: a problem.
	Refuse func(w http.ResponseWriter, status int)
	// HTML routes (consoles) set their own Content-Security-Policy; others get "default-src 'none'".
	HTML bool
}

// Mux routes requests and guards them: request id, recover, address limit, concurrency limit, body limit, security
// headers, CORS, access log, metrics. A path that is not in its canonical form (double slash, "..") is not found: it
// is never redirected (THREATS J13, J25), and authorisation goes by the matched route.
type Mux struct {
	cfg      MuxConfig
	std      *http.ServeMux
	inFlight atomic.Int64
	limits   *AddressLimits
	boot     string // request ids: boot ‖ counter
	requests atomic.Uint64
	unknown  *routeMetrics
	cors     map[string]*preflight // by path pattern; written by Handle only
	wrong    map[string]*otherMethod
}

// NewMux without routes. Add all routes before it serves.
func NewMux(cfg MuxConfig) (*Mux, error) {
	if cfg.PerIP < 0 || cfg.PerIP > 0 && cfg.Burst < 1 || cfg.MaxInFlight < 0 {
		return nil, errors.New("httpd: limits must be positive") // a mistyped limit must not mean none
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 512
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Mux{cfg: cfg, std: http.NewServeMux(), boot: strings.ToLower(rand.Text()[:8]) + "-", cors: map[string]*preflight{}, wrong: map[string]*otherMethod{}}
	m.unknown = cfg.Metrics.route(cfg.Name, "unmatched")
	if cfg.PerIP > 0 {
		m.limits = NewAddressLimits(cfg.PerIP, cfg.Burst)
	}
	return m, nil
}

// endpoint is a route with everything that does not depend on the request worked out.
type endpoint struct {
	Route
	metrics *routeMetrics
	headers []header
}

// header is one line, its value ready to be put into a map: handlers replace it, they never write into it.
type header struct {
	name  string
	value []string
}

// Handle adds a route; panics on a malformed or doubled pattern, like net/http (a programmer's mistake at start).
func (m *Mux) Handle(r Route) {
	if r.MaxBody == 0 {
		r.MaxBody = SmallBody
	}
	if r.Cache == "" {
		r.Cache = "no-store"
	}
	e := &endpoint{Route: r, metrics: m.cfg.Metrics.route(m.cfg.Name, r.Pattern)}
	add := func(name, value string) { e.headers = append(e.headers, header{name, []string{value}}) }
	add("Cache-Control", r.Cache)
	add("X-Content-Type-Options", "nosniff")
	add("Referrer-Policy", "no-referrer")
	if !r.HTML {
		add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	}
	if m.cfg.HSTS {
		add("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	if r.CORS {
		add("Access-Control-Allow-Origin", "*")
		add("Access-Control-Expose-Headers", "DPoP-Nonce, WWW-Authenticate, Retry-After, Location, ETag, X-Request-Id")
		m.preflight(r.Pattern)
	}
	m.std.Handle(r.Pattern, e)
	if r.Refuse != nil {
		m.otherMethods(r)
	}
}

// otherMethod answers methods that a path does not have, where a route brings its own words.
type otherMethod struct {
	allow  []string
	refuse func(w http.ResponseWriter, status int)
}

func (m *Mux) otherMethods(r Route) {
	method, path, ok := strings.Cut(r.Pattern, " ")
	if !ok {
		panic(fmt.Sprintf("httpd: route %q with its own refusals must name its method", r.Pattern))
	}
	methods := []string{method}
	if method == http.MethodGet {
		methods = append(methods, http.MethodHead)
	}
	o := m.wrong[path]
	if o == nil {
		o = &otherMethod{refuse: r.Refuse, allow: []string{http.MethodOptions}}
		m.wrong[path] = o
		m.Handle(Route{Pattern: path, Handler: o, CORS: false})
	}
	o.allow = append(o.allow, methods...)
	slices.Sort(o.allow)
}

func (o *otherMethod) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Allow", strings.Join(o.allow, ", "))
	o.refuse(w, http.StatusMethodNotAllowed)
}

// HandleFunc is Handle for the plain case: default limits, no-store.
func (m *Mux) HandleFunc(pattern string, h http.HandlerFunc) {
	m.Handle(Route{Pattern: pattern, Handler: h})
}

// preflight answers OPTIONS of one path for all its CORS routes.
type preflight struct{ methods string }

func (m *Mux) preflight(pattern string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		panic(fmt.Sprintf("httpd: CORS route %q must name its method", pattern))
	}
	if p := m.cors[path]; p != nil {
		p.methods += ", " + method
		return
	}
	p := &preflight{methods: method}
	m.cors[path] = p
	m.Handle(Route{Pattern: "OPTIONS " + path, Handler: p, Cache: "max-age=600"})
}

func (p *preflight) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", p.methods)
	h.Set("Access-Control-Allow-Headers",
		"Accept, Authorization, Content-Type, DPoP, OAuth-Client-Attestation, OAuth-Client-Attestation-PoP")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

var (
	errOverloaded = NewProblem(http.StatusServiceUnavailable, "overloaded", "")
	errTooMany    = NewProblem(http.StatusTooManyRequests, "too-many-requests", "")
	errNotFound   = NewProblem(http.StatusNotFound, "not-found", "")
	errMethod     = NewProblem(http.StatusMethodNotAllowed, "method-not-allowed", "")
)

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := &response{w: w, start: time.Now(), metrics: m.unknown}
	w.Header()["X-Request-Id"] = []string{m.newID()}
	running := m.inFlight.Add(1)
	defer m.finish(res, r)
	if running > int64(m.cfg.MaxInFlight) {
		w.Header().Set("Retry-After", "1")
		res.fromRoute = true
		WriteProblem(res, errOverloaded)
		return
	}
	if m.limits != nil {
		if retry := m.limits.Take(m.ClientIP(r), 1, m.cfg.Now()); retry > 0 {
			w.Header().Set("Retry-After", RetryAfter(retry))
			res.fromRoute = true
			WriteProblem(res, errTooMany)
			return
		}
	}
	m.std.ServeHTTP(res, r)
}

// finish frees the slot, contains a panic and notes the outcome.
func (m *Mux) finish(res *response, r *http.Request) {
	m.inFlight.Add(-1)
	v := recover()
	if v != nil && v != http.ErrAbortHandler { //nolint:errorlint // net/http compares its sentinel in the same way
		v = m.panicked(res, v)
	}
	m.note(res, r)
	if v != nil {
		panic(http.ErrAbortHandler)
	}
}

func (m *Mux) newID() string {
	var b [24]byte
	return string(strconv.AppendUint(append(b[:0], m.boot...), m.requests.Add(1), 36))
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	res := w.(*response)
	res.fromRoute, res.pattern, res.metrics = true, e.Pattern, e.metrics
	h := res.w.Header()
	for i := range e.headers {
		h[e.headers[i].name] = e.headers[i].value
	}
	if r.ContentLength > e.MaxBody {
		h.Set("Connection", "close") // what the client still sends is not read
		if e.Refuse != nil {
			e.Refuse(res, http.StatusRequestEntityTooLarge)
		} else {
			WriteProblem(res, errTooLarge)
		}
		return
	}
	if r.ContentLength < 0 {
		r.Body = http.MaxBytesReader(res.w, r.Body, e.MaxBody)
	}
	if e.Timeout > 0 {
		err := http.NewResponseController(res.w).SetWriteDeadline(time.Now().Add(e.Timeout))
		if err != nil && !errors.Is(err, http.ErrNotSupported) {
			panic(http.ErrAbortHandler) // the connection is broken
		}
	}
	e.Handler.ServeHTTP(res, r)
}

// Health answers 200 {"status":"ok"} while check returns nil, otherwise a 503 problem without the reason.
func Health(check func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if check != nil && check(r) != nil {
			WriteProblem(w, NewProblem(http.StatusServiceUnavailable, "unhealthy", ""))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`)) // the client may be gone
	})
}

// RequestID of the request that is being served, "" outside of a Mux. It is also in the X-Request-Id answer header.
func RequestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }
