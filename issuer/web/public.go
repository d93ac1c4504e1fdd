package web

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
)

// Caches of public documents.
const (
	cacheMetadata = "public, max-age=300"
	cacheTypes    = "public, max-age=3600"
)

// routes is the whole public face. Everything that a browser wallet reads or posts has CORS.
func (s *Server) routes() error {
	for _, r := range []httpd.Route{
		{Pattern: "POST /{tenant}/token", Handler: http.HandlerFunc(s.token), CORS: true, Refuse: oauth.Refusal(oauth.InvalidRequest)},
		{Pattern: "POST /{tenant}/nonce", Handler: http.HandlerFunc(s.nonce), CORS: true, Refuse: oauth.Refusal(oauth.InvalidRequest)},
		{Pattern: "POST /{tenant}/challenge", Handler: http.HandlerFunc(s.challenge), CORS: true, Refuse: oauth.Refusal(oauth.InvalidRequest)},
		{Pattern: "POST /{tenant}/credential", Handler: http.HandlerFunc(s.credential), CORS: true, MaxBody: 256 << 10,
			Refuse: oauth.Refusal(oauth.InvalidCredentialRequest)},
		{Pattern: "POST /{tenant}/notification", Handler: http.HandlerFunc(s.notification), CORS: true,
			Refuse: oauth.Refusal(oauth.InvalidNotificationRequest)},
		{Pattern: "GET /{tenant}/offers/{ref}", Handler: http.HandlerFunc(s.offer), CORS: true},
		{Pattern: "GET /{tenant}/status/records", Handler: http.HandlerFunc(s.statusRecords), CORS: true},
		{Pattern: "GET /{tenant}/status/{list}", Handler: http.HandlerFunc(s.statusList), CORS: true},
		{Pattern: "GET /.well-known/did-configuration.json", Handler: http.HandlerFunc(s.didConfiguration), CORS: true},
		{Pattern: "GET /health", Handler: s.health()},
	} {
		s.public.Handle(r)
	}
	return s.documents()
}

// A document is fixed at start: it says what is configured.
type document struct {
	body  []byte
	cache string
	etag  string
}

func newDocument(v any, cache string) (document, error) {
	body, ok := v.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(v, json.Deterministic(true)); err != nil {
			return document{}, fmt.Errorf("encode metadata: %w", err)
		}
	}
	return document{body: body, cache: cache, etag: etag(body)}, nil
}

func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// documents of every tenant, under all the well-known forms that wallets look for: inserted (RFC 8414, OpenID4VCI) and
// appended (OpenID Connect, older wallets).
func (s *Server) documents() error {
	credential, server, jwks, types := map[string]document{}, map[string]document{}, map[string]document{}, map[string]document{}
	for _, id := range s.is.Tenants() {
		m, err := s.is.IssuerMetadata(id)
		if err != nil {
			return err
		}
		if credential[id], err = newDocument(m, cacheMetadata); err != nil {
			return err
		}
		as, err := s.is.ServerMetadata(id)
		if err != nil {
			return err
		}
		if server[id], err = newDocument(as, cacheMetadata); err != nil {
			return err
		}
		set, err := s.is.JWKS(id)
		if err != nil {
			return err
		}
		if jwks[id], err = newDocument(set, cacheMetadata); err != nil {
			return err
		}
		t, err := s.is.Tenant(id)
		if err != nil {
			return err
		}
		for _, typ := range t.Types {
			body, err := s.is.TypeMetadata(id, typ)
			if err != nil {
				return err
			}
			if types[id+"/"+typ], err = newDocument(body, cacheTypes); err != nil {
				return err
			}
		}
	}
	byTenant := func(r *http.Request) string { return r.PathValue("tenant") }
	s.serve(credential, byTenant, "GET /.well-known/openid-credential-issuer/{tenant}", "GET /{tenant}/.well-known/openid-credential-issuer")
	s.serve(server, byTenant, "GET /.well-known/oauth-authorization-server/{tenant}", "GET /{tenant}/.well-known/openid-configuration", "GET /{tenant}/.well-known/oauth-authorization-server")
	s.serve(jwks, byTenant, "GET /{tenant}/jwks")
	s.serve(types, func(r *http.Request) string { return r.PathValue("tenant") + "/" + r.PathValue("type") }, "GET /{tenant}/type-metadata/{type}")
	return nil
}

// didConfiguration says which DIDs call this origin theirs (DIF Well Known DID Configuration).
func (s *Server) didConfiguration(w http.ResponseWriter, r *http.Request) {
	body, err := s.is.DIDConfiguration()
	if err != nil {
		s.fault(w, err)
		return
	}
	w.Header().Set("Cache-Control", cacheTypes)
	answer(w, r, "application/json", etag(body), body)
}

func (s *Server) serve(docs map[string]document, key func(*http.Request) string, patterns ...string) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d, ok := docs[key(r)]
		if !ok {
			notFound(w)
			return
		}
		w.Header().Set("Cache-Control", d.cache)
		answer(w, r, "application/json", d.etag, d.body)
	})
	for _, p := range patterns {
		s.public.Handle(httpd.Route{Pattern: p, Handler: h, CORS: true})
	}
}

// answer writes a body with its tag, or 304 when the reader has it.
func answer(w http.ResponseWriter, r *http.Request, contentType, tag string, body []byte) {
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// notFound is one answer for whatever is not there, or not theirs.
func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotFound, "not-found", ""))
}

// offer serves a credential offer by reference (B12).
func (s *Server) offer(w http.ResponseWriter, r *http.Request) {
	if ok, retry := s.offerIP.Allow(r.Context(), s.subscriber(r)); !ok {
		tooMany(w, retry)
		return
	}
	o, err := s.is.OfferByReference(r.Context(), r.PathValue("tenant"), r.PathValue("ref"))
	if errors.Is(err, issuer.ErrNotFound) {
		notFound(w)
		return
	}
	if err != nil {
		s.fault(w, err)
		return
	}
	writeJSON(w, http.StatusOK, o)
}

// statusList serves a list as last published. History is not told (C18).
func (s *Server) statusList(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("time") {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotImplemented, "no-history", "status lists are served as they are now"))
		return
	}
	n, err := strconv.ParseUint(r.PathValue("list"), 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != r.PathValue("list") {
		notFound(w)
		return
	}
	mediaType, ok := httpd.Negotiate(r.Header.Values("Accept"), statuslist.MediaTypeJWT, statuslist.MediaTypeCWT)
	if !ok {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotAcceptable, "not-acceptable", "offered: "+statuslist.MediaTypeJWT+", "+statuslist.MediaTypeCWT))
		return
	}
	w.Header().Set("Vary", "Accept")
	token, ttl, err := s.is.StatusList(r.Context(), r.PathValue("tenant"), n, mediaType)
	if errors.Is(err, issuer.ErrNotFound) {
		notFound(w)
		return
	}
	if err != nil {
		s.fault(w, err)
		return
	}
	// Nodes come right after a new epoch: a cache in between must not hand them the list before.
	w.Header().Set("Cache-Control", "public, no-cache, max-age="+strconv.Itoa(int(ttl/time.Second)))
	answer(w, r, mediaType, etag(token), token)
}

// statusRecords answers what the newest epoch's root is over: a CBOR array of the list records, in list order.
func (s *Server) statusRecords(w http.ResponseWriter, r *http.Request) {
	records, err := s.is.StatusRecords(r.Context(), r.PathValue("tenant"))
	if errors.Is(err, issuer.ErrNotFound) {
		notFound(w)
		return
	}
	var body []byte
	if err == nil {
		body, err = cbor.Marshal(records)
	}
	if err != nil {
		s.fault(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	answer(w, r, "application/cbor", etag(body), body)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusInternalServerError, "internal-error", ""))
		return
	}
	writeBody(w, status, body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func tooMany(w http.ResponseWriter, retry time.Duration) {
	oauth.WriteError(w, slowDown(retry))
}

func slowDown(retry time.Duration) *oauth.Error {
	seconds := int((retry + time.Second - 1) / time.Second)
	return oauth.NewError(oauth.SlowDown, "too many requests").WithHeader("Retry-After", strconv.Itoa(max(1, seconds)))
}

// fault answers what is not the client's doing, and logs it.
func (s *Server) fault(w http.ResponseWriter, err error) {
	if storageFails(err) {
		s.cfg.Log.Error("storage unavailable", "request", httpd.RequestID(w), "error", err)
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusServiceUnavailable, "storage-unavailable", ""))
		return
	}
	httpd.WriteError(w, s.cfg.Log, err)
}
