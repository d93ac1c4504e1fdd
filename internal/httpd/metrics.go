package httpd

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of one process; labels are bounded: party names from the code, route patterns, status codes.
type Metrics struct{}

// NewMetrics with its own registry (never the global one).
func NewMetrics() *Metrics { return &Metrics{} }

// Registry for a party's own collectors.
func (m *Metrics) Registry() *prometheus.Registry { return nil }

// Handler for a management or third listener, never a public one (THREATS J24).
func (m *Metrics) Handler() http.Handler { return nil }
