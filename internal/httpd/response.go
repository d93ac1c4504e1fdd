package httpd

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// response counts what a handler answers. It is not pooled: a handler that keeps it too long must not write into
// another request's answer.
type response struct {
	w         http.ResponseWriter
	start     time.Time
	metrics   *routeMetrics
	pattern   string // "" while no route has matched
	status    int
	bytes     int64
	fromRoute bool // a route, or the Mux itself, answers; otherwise net/http's mux with its own texts and redirects
	swallow   bool // its body is replaced
}

func (w *response) Header() http.Header         { return w.w.Header() }
func (w *response) Unwrap() http.ResponseWriter { return w.w }

func (w *response) WriteHeader(status int) {
	if !w.fromRoute {
		w.fromRoute = true
		w.unmatched(status)
		return
	}
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.w.WriteHeader(status)
}

// unmatched replaces net/http's plain texts by problems, and its redirects to cleaned paths by 404.
func (w *response) unmatched(status int) {
	w.Header().Del("Location")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusMethodNotAllowed {
		WriteProblem(w, errMethod)
	} else {
		WriteProblem(w, errNotFound)
	}
	w.swallow = true
}

func (w *response) Write(b []byte) (int, error) {
	if w.swallow {
		return len(b), nil
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.w.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Flush is for event streams.
func (w *response) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if f, ok := w.w.(http.Flusher); ok {
		f.Flush()
	}
}

// panicked answers 500, or returns v when half an answer is out, which must not look whole. The value of a panic may be
// personal: its type and the stack are logged.
func (m *Mux) panicked(res *response, v any) any {
	m.cfg.Metrics.panicked(m.cfg.Name)
	reference := RequestID(res.w)
	m.cfg.Log.Error("panic", slog.String("reference", reference), slog.String("type", fmt.Sprintf("%T", v)),
		slog.String("stack", string(debug.Stack())))
	if res.status != 0 {
		return v
	}
	p := NewProblem(http.StatusInternalServerError, "internal-error", "")
	p.Reference = reference
	res.fromRoute = true
	WriteProblem(res, p)
	return nil
}

// note writes the access log line and the metrics: only fields that hold nothing of anybody.
func (m *Mux) note(res *response, r *http.Request) {
	if res.status == 0 {
		res.status = http.StatusOK // net/http will say so
	}
	took := time.Since(res.start)
	res.metrics.observe(res.status, took)
	ctx := r.Context()
	if !m.cfg.Log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	route := res.pattern
	if route == "" {
		route = "unmatched"
	}
	m.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request", slog.String("method", known(r.Method)), slog.String("route", route),
		slog.Int("status", res.status), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("id", res.w.Header()["X-Request-Id"][0]))
}

// known bounds the methods that may reach a log.
func known(method string) string {
	switch method {
	case "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS":
		return method
	}
	return "OTHER"
}
