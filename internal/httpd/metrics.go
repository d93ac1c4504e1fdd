package httpd

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics of one process: dojang_http_requests_total{listener,route,code}, dojang_http_request_seconds{listener,route},
// dojang_http_panic_total{listener}. Labels come from the code (names, route patterns, statuses), never from a request
// (THREATS J20). A nil *Metrics counts nothing.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	panics   *prometheus.CounterVec
}

// NewMetrics with its own registry (never the global one).
func NewMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dojang_http_requests_total", Help: "Requests answered."},
			[]string{"listener", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "dojang_http_request_seconds", Help: "Time to answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}}, []string{"listener", "route"}),
		panics: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dojang_http_panic_total", Help: "Handlers that panicked."},
			[]string{"listener"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, m.panics, collectors.NewGoCollector())
	return m
}

// Registry for a party's own collectors.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler for a management or third listener, never a public one (THREATS J24).
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func (m *Metrics) panicked(listener string) {
	if m != nil {
		m.panics.WithLabelValues(listener).Inc()
	}
}

// routeMetrics are one route's series, looked up once.
type routeMetrics struct {
	seconds  prometheus.Observer
	requests *prometheus.CounterVec // of this route, by code

	mu    sync.RWMutex
	codes map[int]prometheus.Counter // guarded by mu
}

func (m *Metrics) route(listener, pattern string) *routeMetrics {
	if m == nil {
		return nil
	}
	return &routeMetrics{seconds: m.seconds.WithLabelValues(listener, pattern), codes: map[int]prometheus.Counter{},
		requests: m.requests.MustCurryWith(prometheus.Labels{"listener": listener, "route": pattern})}
}

func (r *routeMetrics) observe(status int, took time.Duration) {
	if r == nil {
		return
	}
	r.seconds.Observe(took.Seconds())
	r.mu.RLock()
	c := r.codes[status]
	r.mu.RUnlock()
	if c == nil {
		c = r.requests.WithLabelValues(strconv.Itoa(status))
		r.mu.Lock()
		r.codes[status] = c
		r.mu.Unlock()
	}
	c.Inc()
}
