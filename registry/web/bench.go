package web

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
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

// BenchCases are the rows registry/resolve and registry/resolve-evidence: the public handler with its middleware, without a
// socket; the floor is a bare handler that writes the same bytes.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "registry/resolve", New: func() (*bench.Loops, error) {
			return resolveLoops(func(d registry.DID) string { return "/1.0/identifiers/" + string(d) })
		}},
		{Name: "registry/resolve-evidence", New: func() (*bench.Loops, error) {
			return resolveLoops(func(d registry.DID) string { return "/v1/evidence?did=" + string(d) + "&kid=issue-1" })
		}},
	}
}

const benchDIDs = 256

func resolveLoops(path func(registry.DID) string) (loops *bench.Loops, err error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return nil, err
	}
	network, err := node.NewLocalnet(node.LocalnetConfig{Dir: dir, Validators: 1, Heartbeat: time.Minute})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := network.Start(ctx); err != nil {
		return nil, err
	}
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = network.Stop(ctx)
		_ = os.RemoveAll(dir)
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	n := network.Nodes[0]
	s, err := New(Config{Node: n, StatusURL: "http://localhost:1"})
	if err != nil {
		return nil, err
	}
	dids, err := benchCreate(ctx, n)
	if err != nil {
		return nil, err
	}
	requests := make([]*http.Request, len(dids))
	bodies := make([][]byte, len(dids))
	for i, d := range dids {
		if requests[i], err = http.NewRequest(http.MethodGet, path(d), nil); err != nil {
			return nil, err
		}
		requests[i].RemoteAddr = "127.0.0.1:1"
		rec := discard{header: http.Header{}, keep: true}
		s.Public().ServeHTTP(&rec, requests[i])
		if rec.status != http.StatusOK {
			return nil, fmt.Errorf("status %d", rec.status)
		}
		bodies[i] = rec.kept
	}
	call := func(h http.Handler, i int) error {
		w := discard{header: http.Header{}}
		h.ServeHTTP(&w, requests[i%len(requests)])
		if w.status != http.StatusOK || w.n != len(bodies[i%len(bodies)]) {
			return errors.New("another answer than before")
		}
		return nil
	}
	return &bench.Loops{Close: stop,
		Op: func(i int) error { return call(s.Public(), i) },
		Floor: func(i int) error {
			return call(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				body := bodies[i%len(bodies)]
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
		}}, nil
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

type edKey ed25519.PrivateKey

func (k edKey) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

func benchCreate(ctx context.Context, n *node.Node) ([]registry.DID, error) {
	dids := make([]registry.DID, benchDIDs)
	var operations [][]byte
	for i := range dids {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		key, err := registry.NewPublicKey(public)
		if err != nil {
			return nil, err
		}
		next := registry.HashOf([]byte(strconv.Itoa(i)))
		o := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), Body: &registry.CreateBody{Op: key, Next: next,
			Recovery: registry.HashOf(next[:]), Keys: []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key}}}}
		raw, err := o.Sign(registry.SigningKey{Role: registry.RoleOp, Public: key, Signer: edKey(private)})
		if err != nil {
			return nil, err
		}
		if dids[i], err = o.CreatedDID(); err != nil {
			return nil, err
		}
		if operations = append(operations, raw); len(operations) == 64 {
			out, err := n.Submit(ctx, operations...)
			if err != nil {
				return nil, err
			}
			if out[0].Code != string(registry.CodeOK) {
				return nil, fmt.Errorf("create refused: %s", out[0].Code)
			}
			operations = nil
		}
	}
	for { // the header that dates the last of them is executed a moment after it proves them
		doc, err := n.Document(dids[len(dids)-1], node.Version{})
		if err != nil || bytes.Contains(doc.Metadata, []byte("created")) {
			return dids, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
