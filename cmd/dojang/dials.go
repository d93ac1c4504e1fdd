package main

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"
)

// A dialCounter counts what a judgement sends to parts that can be stopped: attempts, whether or not they connect. What the
// verifier does in the background, by its own schedule, is not a judgement's doing and is not counted.
type dialCounter struct {
	ports []string
	n     atomic.Int64
}

func newDialCounter(ports ...int) *dialCounter {
	d := &dialCounter{}
	for _, p := range ports {
		d.ports = append(d.ports, strconv.Itoa(p))
	}
	return d
}

type judging struct{}

// mark wraps the verifier's public handler: from here on a request's context says that somebody is being judged.
func (d *dialCounter) mark(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), judging{}, true)))
	})
}

// RoundTrip counts on the verifier's way out.
func (d *dialCounter) RoundTrip(r *http.Request) (*http.Response, error) {
	d.see(r.Context(), r.URL)
	return http.DefaultTransport.RoundTrip(r)
}

func (d *dialCounter) see(ctx context.Context, u *url.URL) {
	if ctx.Value(judging{}) != nil && slices.Contains(d.ports, u.Port()) {
		d.n.Add(1)
	}
}

func (d *dialCounter) count() int64 { return d.n.Load() }
