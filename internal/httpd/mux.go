package httpd

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"
)

// Body limits of THREATS 5.
const (
	SmallBody   = 64 << 10 // token, nonce, PAR
	DefaultBody = 1 << 20
)

// MuxConfig of the middleware around a party's routes.
type MuxConfig struct {
	Log     *slog.Logger // access and error log; default slog.Default()
	Metrics *Metrics     // nil: none
	// TrustedProxies whose X-Forwarded-For is believed, right to left; default none.
	TrustedProxies []netip.Prefix
	// PerIP is the number of requests a second of one address (IPv6: one /64), with Burst; 0: no limit.
	PerIP float64
	Burst int
	// MaxInFlight requests run at once, default 512; more get 503.
	MaxInFlight int
	Now         func() time.Time
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
	// Timeout extends the listener's time for slow answers (event streams); 0 keeps it.
	Timeout time.Duration
	// HTML routes (consoles) set their own Content-Security-Policy; others get "default-src 'none'".
	HTML bool
}

// Mux routes requests and guards them: request id, recover, address limit, concurrency limit, body limit, security
// headers, CORS, access log, metrics. net/http's mux cleans paths once; authorisation goes by matched route.
type Mux struct{}

// NewMux without routes.
func NewMux(cfg MuxConfig) (*Mux, error) { return nil, errTODO }

// Handle adds a route; panics on a malformed or doubled pattern, like net/http (a programmer's mistake at start).
func (m *Mux) Handle(r Route) {}

// HandleFunc is Handle for the plain case: default limits, no-store.
func (m *Mux) HandleFunc(pattern string, h http.HandlerFunc) {}

func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Health answers 200 {"status":"ok"} while check returns nil, otherwise a 503 problem without the reason. No-store, no auth.
func Health(check func(*http.Request) error) http.Handler { return nil }

// RequestID of the request that is being served, "" outside of a Mux. It is also in the X-Request-Id answer header.
func RequestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }

// ClientIP is the peer's address, or what a trusted proxy said it is.
func (m *Mux) ClientIP(r *http.Request) netip.Addr { return netip.Addr{} }
