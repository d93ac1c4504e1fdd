package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/node"
)

// BenchCases are the public handler with its middleware, without a socket; the floor is a bare handler that writes the same
// bytes. 256 DIDs out of 1,000 are asked for again and again, as readers ask for the agencies they know: their documents are
// encoded already. uncached_ns is the CPU time of the first answer for a DID that nobody has asked for yet.
//
// registry/resolve-evidence is the same for Evidence of a DID and its key. registry/resolve/1e5 … are larger states,
// scaling/resolve is the growth.
func BenchCases() []bench.Case {
	resolve := func(n int) (*bench.Loops, error) {
		return resolveLoops(n, func(d registry.DID) string { return "/1.0/identifiers/" + string(d) })
	}
	of := func(n int) func() (*bench.Loops, error) {
		return func() (*bench.Loops, error) { return resolve(n) }
	}
	growth := bench.Scaling{Name: "scaling/resolve", Sizes: []int{1e3, 1e5}, Full: []int{1e6, 1e7}, New: resolve, Exponent: bench.Growth(2.5, 1e4)}.Case()
	growth.Long = true
	return []bench.Case{
		{Name: "registry/resolve", New: of(1e3)},
		{Name: "registry/resolve/1e5", New: of(1e5), Long: true},
		{Name: "registry/resolve/1e6", New: of(1e6), Full: true},
		{Name: "registry/resolve/1e7", New: of(1e7), Full: true},
		{Name: "registry/resolve-evidence", New: func() (*bench.Loops, error) {
			return resolveLoops(1e3, func(d registry.DID) string { return "/v1/evidence?did=" + string(d) + "&kid=issue-1" })
		}},
		growth,
	}
}

const (
	benchDIDs     = 256 // that are asked for again
	benchUncached = 512 // asked for once
)

func resolveLoops(count int, path func(registry.DID) string) (loops *bench.Loops, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	l, err := node.NewLoaded(ctx, node.LoadedConfig{Dir: dir, DIDs: count})
	if err != nil {
		return nil, err
	}
	stop := func() { _ = l.Close(ctx) }
	loops, err = resolverLoops(l, count, path)
	if err != nil {
		stop()
		return nil, err
	}
	loops.Close = stop
	return loops, nil
}

func resolverLoops(l *node.Loaded, count int, path func(registry.DID) string) (*bench.Loops, error) {
	s, err := New(Config{Node: l.Node, StatusURL: "http://localhost:1"})
	if err != nil {
		return nil, err
	}
	// Spread over the whole state: those asked for once lie between the others.
	all := make([]*http.Request, benchDIDs+benchUncached)
	for i := range all {
		if all[i], err = http.NewRequest(http.MethodGet, path(l.DID(i*count/len(all))), nil); err != nil {
			return nil, err
		}
		all[i].RemoteAddr = "127.0.0.1:1"
	}
	bodies := make([][]byte, benchDIDs)
	requests := make([]*http.Request, benchDIDs)
	var once time.Duration
	for i, r := range all {
		rec := discard{header: http.Header{}, keep: i%3 == 0}
		began := bench.CPUTime()
		s.Public().ServeHTTP(&rec, r)
		if rec.status != http.StatusOK {
			return nil, fmt.Errorf("status %d", rec.status)
		}
		if rec.keep {
			requests[i/3], bodies[i/3] = r, rec.kept
		} else {
			once += bench.CPUTime() - began
		}
	}
	call := func(h http.Handler, i int) error {
		w := discard{header: http.Header{}}
		h.ServeHTTP(&w, requests[i%benchDIDs])
		if w.status != http.StatusOK || w.n < len(bodies[i%benchDIDs])/2 { // Evidence changes with each header
			return errors.New("another answer than before")
		}
		return nil
	}
	return &bench.Loops{
		Op: func(i int) error { return call(s.Public(), i) },
		Floor: func(i int) error {
			return call(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body := bodies[i%benchDIDs]
				w.Header().Set("Content-Type", typeResolution)
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				w.WriteHeader(http.StatusOK)
				_, _ = w.Write(body)
			}), i)
		},
		Corrupt: func(round int) error {
			w := discard{header: http.Header{}}
			r, err := http.NewRequest(http.MethodGet, path("did:dojang:local:0"+registry.DID(strconv.Itoa(round))), nil)
			if err != nil {
				return err
			}
			r.RemoteAddr = "127.0.0.1:1"
			s.Public().ServeHTTP(&w, r)
			if w.status == http.StatusOK {
				return errors.New("a malformed DID was answered")
			}
			return nil
		},
		Extra: map[string]float64{"dids": float64(count), "bytes": float64(len(bodies[0])), "uncached_ns": float64(once) / benchUncached},
	}, nil
}

// discard is a ResponseWriter that counts.
type discard struct {
	header http.Header
	status int
	n      int
	keep   bool
	kept   []byte
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(b []byte) (int, error) {
	if d.status == 0 {
		d.status = http.StatusOK
	}
	d.n += len(b)
	if d.keep {
		d.kept = append(d.kept, b...)
	}
	return len(b), nil
}
