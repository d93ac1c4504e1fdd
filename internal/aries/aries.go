// Package aries is the one door to aries-framework-go: its DID document model and its resolver registry
// (did:key, did:web and our own method behind one interface). The library is archived upstream, therefore no type of
// it appears in a signature here, and nothing that must be fast or replicated calls it: one document costs about
// 0.3 ms, mostly JSON Schema.
//
// Use ValidateDocument when a did:dojang document is admitted by a gateway, and NewRegistry where a tool
// must read the DIDs of others. What is resolved is as trustworthy as its method: did:web is the word of a web server.
// W3C DID Core 1.0, sections 4 to 7.
package aries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	diddoc "github.com/hyperledger/aries-framework-go/pkg/doc/did"
	vdrapi "github.com/hyperledger/aries-framework-go/pkg/framework/aries/api/vdr"
	"github.com/hyperledger/aries-framework-go/pkg/vdr"
	"github.com/hyperledger/aries-framework-go/pkg/vdr/key"
	"github.com/hyperledger/aries-framework-go/pkg/vdr/web"
)

// What Resolve answers besides a document.
var (
	// ErrNotFound: the method knows that there is no such DID.
	ErrNotFound = errors.New("aries: no such DID")
	// ErrMethod: no method of that name is offered.
	ErrMethod = errors.New("aries: DID method not supported")
	// ErrDocument: the bytes are not a valid DID document.
	ErrDocument = errors.New("aries: invalid DID document")
)

// MaxDocument is the size of the largest document that is read, in bytes.
const MaxDocument = 16 << 10

// A ResolveFunc returns the JSON document of a DID, or an error that wraps ErrNotFound.
type ResolveFunc func(ctx context.Context, did string) ([]byte, error)

// Config of a Registry.
type Config struct {
	Method  string       // our method's name, e.g. "dojang"
	Resolve ResolveFunc  // documents of our method
	HTTP    *http.Client // for did:web; nil: did:web is not offered
}

// A Registry resolves DIDs of several methods.
type Registry struct {
	cfg  Config
	http *http.Client
}

// New makes a Registry; Method and Resolve are required.
func New(cfg Config) (*Registry, error) {
	if cfg.Method == "" || cfg.Resolve == nil {
		return nil, errors.New("aries: Config.Method and Config.Resolve are required")
	}
	r := &Registry{cfg: cfg}
	if cfg.HTTP != nil {
		limited := *cfg.HTTP
		base := limited.Transport
		if base == nil {
			base = http.DefaultTransport
		}
		limited.Transport = limitedTransport{base}
		limited.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		if limited.Timeout == 0 {
			limited.Timeout = 10 * time.Second
		}
		r.http = &limited
	}
	return r, nil
}

// Resolve returns the document of a DID as JSON. did:key is computed, did:web fetched over https,
// our own method asked through Config.Resolve. Never falls back from one method to another.
func (r *Registry) Resolve(ctx context.Context, did string) ([]byte, error) {
	method, err := methodOf(did)
	if err != nil {
		return nil, err
	}
	if method != r.cfg.Method && method != "key" && (method != "web" || r.http == nil) {
		return nil, ErrMethod
	}
	// The library's methods take no context: bind it by a registry of this call.
	methods := vdr.New(vdr.WithVDR(key.New()), vdr.WithVDR(web.New()),
		vdr.WithVDR(ours{ctx: ctx, name: r.cfg.Method, resolve: r.cfg.Resolve}))
	var opts []vdrapi.DIDMethodOption
	if method == "web" {
		opts = append(opts, vdrapi.WithOption(web.HTTPClientOpt, withContext(ctx, r.http)))
	}
	res, err := methods.Resolve(did, opts...)
	switch {
	case errors.Is(err, vdrapi.ErrNotFound):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("resolve DID: %w", err)
	case res.DIDDocument.ID != did:
		return nil, fmt.Errorf("%w: id is another DID", ErrDocument)
	}
	return res.DIDDocument.JSONBytes()
}

// ValidateDocument checks that the bytes are a DID document by the library's schema and model, and that every
// verification method and service belongs to the document's own DID. Returns ErrDocument otherwise.
func ValidateDocument(doc []byte) error {
	if len(doc) > MaxDocument {
		return fmt.Errorf("%w: too large", ErrDocument)
	}
	d, err := diddoc.ParseDocument(doc)
	if err != nil {
		return ErrDocument // the library's text repeats the input
	}
	seen := map[string]bool{}
	for _, vm := range d.VerificationMethod {
		if !ownFragment(d.ID, vm.ID) || vm.Controller != d.ID || seen[vm.ID] {
			return fmt.Errorf("%w: verification method of another DID, or twice", ErrDocument)
		}
		seen[vm.ID] = true
	}
	for _, s := range d.Service {
		if !ownFragment(d.ID, s.ID) || seen[s.ID] {
			return fmt.Errorf("%w: service of another DID, or twice", ErrDocument)
		}
		seen[s.ID] = true
	}
	return nil
}

func ownFragment(did, id string) bool {
	fragment, ok := strings.CutPrefix(id, did+"#")
	if !ok { // relative references are allowed by DID Core 3.2.2
		fragment, ok = strings.CutPrefix(id, "#")
	}
	return ok && fragment != "" && !strings.ContainsAny(fragment, "#?/")
}

func methodOf(did string) (string, error) {
	parts := strings.SplitN(did, ":", 3)
	if len(did) > 512 || len(parts) != 3 || parts[0] != "did" || parts[1] == "" || parts[2] == "" {
		return "", fmt.Errorf("%w: malformed DID", ErrMethod)
	}
	return parts[1], nil
}

// ours is our method as the library sees it: read only, writing goes through signed operations.
type ours struct {
	ctx     context.Context // of the one Resolve this value lives in
	name    string
	resolve ResolveFunc
}

var errReadOnly = errors.New("aries: written by signed operations only")

func (o ours) Read(did string, _ ...vdrapi.DIDMethodOption) (*diddoc.DocResolution, error) {
	raw, err := o.resolve(o.ctx, did)
	if errors.Is(err, ErrNotFound) {
		return nil, vdrapi.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if err := ValidateDocument(raw); err != nil {
		return nil, err
	}
	doc, err := diddoc.ParseDocument(raw)
	if err != nil {
		return nil, ErrDocument
	}
	return &diddoc.DocResolution{DIDDocument: doc}, nil
}

func (o ours) Accept(method string, _ ...vdrapi.DIDMethodOption) bool { return method == o.name }

func (ours) Create(*diddoc.Doc, ...vdrapi.DIDMethodOption) (*diddoc.DocResolution, error) {
	return nil, errReadOnly
}
func (ours) Update(*diddoc.Doc, ...vdrapi.DIDMethodOption) error { return errReadOnly }
func (ours) Deactivate(string, ...vdrapi.DIDMethodOption) error  { return errReadOnly }
func (ours) Close() error                                        { return nil }

// limitedTransport bounds what a web server may answer: the library reads bodies whole.
type limitedTransport struct{ base http.RoundTripper }

func (t limitedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, MaxDocument+1))
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	if len(body) > MaxDocument {
		return nil, fmt.Errorf("%w: too large", ErrDocument)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

// withContext returns a client whose requests end with ctx.
func withContext(ctx context.Context, c *http.Client) *http.Client {
	bound := *c
	bound.Transport = contextTransport{ctx: ctx, base: c.Transport}
	return &bound
}

type contextTransport struct {
	ctx  context.Context // of the one Resolve this value lives in
	base http.RoundTripper
}

func (t contextTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.base.RoundTrip(req.WithContext(t.ctx))
}
