// Package web is the HTTP face of a registry node: DID resolution, Evidence, light blocks, published status lists, type
// metadata, submission and health for everybody (Public), the consortium's status host (StatusHost), and a small
// management API for the operator (Management).
//
// Use New. Nothing here decides anything: readers check every answer themselves (registry/light), operations carry their
// controllers' signatures, the node refuses what the chain would. Caller input is untrusted and bounded.
package web

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// Config of a Server.
type Config struct {
	Node     *node.Node
	Statuses *node.StatusStore // nil: the node's
	// StatusURL is the origin under which StatusHost is reached: the beginning of every status list URI.
	StatusURL string
	// Validate is asked about the DID document that a create would make, before its operation is taken
	// (internal/aries.ValidateDocument); nil: not asked.
	Validate func(document []byte) error
	// PerAddress is how many operations a second one address may hand in, and ten times as many at once; default 200. The member
	// whose node this is pays for them with its quota.
	PerAddress float64
	Tokens     *httpd.Tokens // of the management API; nil refuses everybody
	// Metrics are shown on the management listener; nil: none.
	Metrics *httpd.Metrics
	Mux     httpd.MuxConfig
	Now     func() time.Time
	Logger  *slog.Logger
}

// A Server has three handlers for three listeners.
type Server struct {
	cfg        Config
	host       string // of StatusURL
	public     *httpd.Mux
	statusHost *httpd.Mux
	management *httpd.Mux
	polls      atomic.Int64 // callers that wait for a header
	submitters *httpd.AddressLimits
}

// New builds the handlers; nothing listens.
func New(cfg Config) (*Server, error) {
	if cfg.Node == nil {
		return nil, errors.New("registry/web: Config.Node is required")
	}
	u, err := url.Parse(cfg.StatusURL)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, errors.New("registry/web: Config.StatusURL is an origin")
	}
	host := u.Host
	cfg.StatusURL = strings.TrimSuffix(cfg.StatusURL, "/")
	if cfg.Statuses == nil {
		cfg.Statuses = cfg.Node.Statuses()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Mux.Log == nil {
		cfg.Mux.Log = cfg.Logger
	}
	if cfg.PerAddress == 0 {
		cfg.PerAddress = 200
	}
	if cfg.PerAddress < light.MaxOperations/10 {
		return nil, errors.New("registry/web: Config.PerAddress allows no full submission")
	}
	s := &Server{cfg: cfg, host: host, submitters: httpd.NewAddressLimits(cfg.PerAddress, int(10*cfg.PerAddress))}
	for _, mux := range []**httpd.Mux{&s.public, &s.statusHost, &s.management} {
		var err error
		if *mux, err = httpd.NewMux(cfg.Mux); err != nil {
			return nil, err
		}
	}
	s.routes()
	return s, s.manage()
}

// Public is for everybody.
func (s *Server) Public() http.Handler { return s.public }

// StatusHost serves published lists under the consortium's name, from the store alone.
func (s *Server) StatusHost() http.Handler { return s.statusHost }

// Management is for the node's operator.
func (s *Server) Management() http.Handler { return s.management }

func (s *Server) routes() {
	open := func(pattern, cache string, h http.HandlerFunc) {
		s.public.Handle(httpd.Route{Pattern: pattern, Handler: h, Cache: cache, CORS: true})
	}
	open("GET /1.0/identifiers/{did}", "no-cache", s.resolve)
	open("GET /v1/evidence", "no-cache", s.evidence)
	open("GET /v1/headers/{height}", "no-cache", s.header)
	open("GET /v1/header-tree/{size}/{height}", "public, max-age=86400", s.headerPath)
	open("GET /v1/trust-bundles", "no-cache", s.bundles)
	open("GET /v1/status", "no-cache", s.status)
	open("GET /type-metadata/{type}", "public, max-age=300", s.typeMetadata)
	open("GET /v1/operations/{hash}", "no-cache", s.operation)
	open("GET "+node.ListsPath+"{issuer}/{name}", "no-cache", s.lists)
	open("GET "+node.ListsPath+"{issuer}/base/{name}", "no-cache", s.baseLists)
	open("GET "+node.ArchivePath, "no-cache", s.archived)
	open("GET /v1/snapshots/latest", "no-cache", s.snapshot)
	open("GET /v1/snapshots/{height}/{index}", "public, max-age=3600", s.snapshotChunk)
	open("GET /v1/genesis", "public, max-age=86400", s.genesis)
	open("GET /v1/health", "no-store", s.health)
	s.public.Handle(httpd.Route{Pattern: "POST /v1/operations", Handler: http.HandlerFunc(s.submit),
		MaxBody: light.MaxSubmission + 4096, Timeout: time.Minute})
	s.statusHost.Handle(httpd.Route{Pattern: "GET /{issuer}/{list}", Handler: http.HandlerFunc(s.serveList), CORS: true, Cache: "no-cache"})
	s.statusHost.Handle(httpd.Route{Pattern: "GET /did/{id}/did.json", Handler: http.HandlerFunc(s.webDocument), CORS: true, Cache: "no-cache"})
	s.statusHost.HandleFunc("GET /health", httpd.Health(func(*http.Request) error { return nil }).ServeHTTP)
}

// evidence answers GET /v1/evidence.
func (s *Server) evidence(w http.ResponseWriter, r *http.Request) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	q, err := light.ParseQuery(values)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.prove(w, r, q)
}

// operation answers GET /v1/operations/{hash}: Evidence of the outcome, or of its absence.
func (s *Server) operation(w http.ResponseWriter, r *http.Request) {
	hash, err := light.ParseHash(r.PathValue("hash"))
	if err != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	s.prove(w, r, light.Query{Operations: []registry.Hash{hash}})
}

func (s *Server) prove(w http.ResponseWriter, r *http.Request, q light.Query) {
	nq := node.Query{Height: q.Height}
	nq.Types, nq.Operations, nq.Raw, nq.At = q.Metadata, q.Operations, q.Leaves, q.At
	nq.Anchors, nq.Heights, nq.Known = q.Anchors, q.Headers, q.Known
	nq.List, nq.Entry = q.List, q.Entry
	if q.DID != "" && q.DID.Network() != s.cfg.Node.Network() {
		s.fail(w, r, registry.ErrNotFound)
		return
	}
	for _, kid := range q.Keys {
		nq.Keys = append(nq.Keys, chain.KeyRef{DID: q.DID, ID: kid})
	}
	for _, vct := range q.Types {
		nq.Accreditations = append(nq.Accreditations, chain.AccreditationRef{DID: q.DID, Type: vct})
	}
	for _, purpose := range q.Purposes {
		nq.Registrations = append(nq.Registrations, chain.RegistrationRef{DID: q.DID, Purpose: purpose})
	}
	if q.Status {
		nq.Status = []registry.DID{q.DID}
	}
	raw, err := s.cfg.Node.Evidence(nq, q.Values().Encode())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, light.TypeEvidence, raw)
}

// longPoll is how long a caller may wait for a new header, maxPolls how many may wait at once: the others are answered at once.
const (
	longPoll = 20 * time.Second
	maxPolls = 200
)

// newer holds an answer back until there is a header above after, or for longPoll.
func (s *Server) newer(r *http.Request, after string) error {
	height, err := strconv.ParseUint(after, 10, 63)
	if err != nil {
		return light.ErrQuery
	}
	if s.polls.Add(1) > maxPolls {
		s.polls.Add(-1)
		return nil
	}
	defer s.polls.Add(-1)
	ctx, cancel := context.WithTimeout(r.Context(), longPoll)
	defer cancel()
	err = s.cfg.Node.WaitHeight(ctx, height+1)
	if ctx.Err() != nil { // nothing new, or the caller left
		return nil
	}
	return err
}

// header answers GET /v1/headers/{height|latest}; 425 above the newest. latest?after=H waits for one above H.
func (s *Server) header(w http.ResponseWriter, r *http.Request) {
	height := uint64(0)
	if name := r.PathValue("height"); name != "latest" {
		var err error
		if height, err = strconv.ParseUint(name, 10, 63); err != nil || height == 0 {
			s.fail(w, r, light.ErrQuery)
			return
		}
	}
	if after := r.URL.Query().Get("after"); after != "" && height == 0 {
		if err := s.newer(r, after); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	raw, err := s.cfg.Node.LightBlock(height)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, light.TypeLightBlock, raw)
}

// status answers GET /v1/status?uri=: the published list with what ties it to the chain.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	mediaType, ok := httpd.Negotiate(r.Header.Values("Accept"), node.StatusJWT, node.StatusCWT)
	if !ok {
		s.fail(w, r, errNotAcceptable)
		return
	}
	list, err := s.cfg.Statuses.List(r.URL.Query().Get("uri"), mediaType)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	raw, err := light.EncodeStatusList(list.StatusList)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, light.TypeStatus, raw)
}

// typeMetadata answers GET /type-metadata/{type} with the document that the chain's digest names.
func (s *Server) typeMetadata(w http.ResponseWriter, r *http.Request) {
	raw, err := s.cfg.Node.TypeMetadata(r.PathValue("type"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, "application/json", raw)
}

func (s *Server) genesis(w http.ResponseWriter, r *http.Request) {
	raw, err := s.cfg.Node.Genesis()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, "application/json", raw)
}

// snapshot answers GET /v1/snapshots/latest: what the newest snapshot is made of.
func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	raw, err := s.cfg.Node.Snapshot()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, "application/octet-stream", raw)
}

// snapshotChunk answers GET /v1/snapshots/{height}/{index}.
func (s *Server) snapshotChunk(w http.ResponseWriter, r *http.Request) {
	height, bad := strconv.ParseUint(r.PathValue("height"), 10, 63)
	index, worse := strconv.Atoi(r.PathValue("index"))
	if bad != nil || worse != nil {
		s.fail(w, r, light.ErrQuery)
		return
	}
	chunk, err := s.cfg.Node.SnapshotChunk(height, index)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	defer chunk.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, chunk)
}

type healthJSON struct {
	Status string `json:"status"` // ok, syncing, stuck, down
	Height uint64 `json:"height"`
	Time   string `json:"time,omitempty"`
	Peers  int    `json:"peers"`
}

func (s *Server) healthNow() (healthJSON, int) {
	h := s.cfg.Node.Health()
	out := healthJSON{Status: h.State, Height: h.Height, Peers: h.Peers}
	if !h.Time.IsZero() {
		out.Time = h.Time.UTC().Format(time.RFC3339Nano)
	}
	if h.State != "ok" {
		return out, http.StatusServiceUnavailable
	}
	return out, http.StatusOK
}

// health answers 200 while the node is current. Readers are served all the same when it is not (H22): an Evidence says
// by its head how old it is.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	out, status := s.healthNow()
	raw, err := json.Marshal(out)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// answer writes a document with an ETag would cost more than it saves: heads change every heartbeat.
func (s *Server) answer(w http.ResponseWriter, mediaType string, body []byte) {
	if h := s.cfg.Node.Health(); h.State != "ok" {
		w.Header().Set("Dojang-Stale", h.State)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left is no fault of ours
}

var errNotAcceptable = errors.New("registry/web: not acceptable")

// fail is the one place where errors become answers.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := problem(err)
	if p == nil {
		s.internal(w, r, err)
		return
	}
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "2")
	}
	httpd.WriteProblem(w, p)
}

// A problemRow is an error and what becomes of it.
type problemRow struct {
	err    error
	status int
	code   string
}

func problem(err error) *httpd.Problem {
	for _, row := range append([]problemRow{
		{light.ErrQuery, http.StatusBadRequest, "invalid-request"},
		{registry.ErrMalformed, http.StatusBadRequest, "invalid-request"},
		{registry.ErrLimit, http.StatusRequestEntityTooLarge, "limit-exceeded"},
		{errNotAcceptable, http.StatusNotAcceptable, "not-acceptable"},
		{registry.ErrNotFound, http.StatusNotFound, "not-found"},
		{node.ErrNoList, http.StatusNotFound, "not-found"},
		{node.ErrNotArchived, http.StatusServiceUnavailable, "not-archived"},
		{node.ErrNoSnapshot, http.StatusNotFound, "not-found"},
		{chain.ErrVersion, http.StatusNotFound, "not-found"},
		{node.ErrTooHigh, http.StatusTooEarly, "too-early"},
		{errDocument, http.StatusUnprocessableEntity, "invalid-document"},
		{node.ErrTooMany, http.StatusRequestEntityTooLarge, "limit-exceeded"},
		{node.ErrNotAdmitting, http.StatusServiceUnavailable, "not-admitting"},
		{node.ErrBusy, http.StatusTooManyRequests, "busy"},
		{node.ErrDown, http.StatusServiceUnavailable, "not-running"},
		{node.ErrStopped, http.StatusServiceUnavailable, "outcome-unknown"},
		{node.ErrUnknown, http.StatusGatewayTimeout, "outcome-unknown"},
		{node.ErrRefusedEnvelope, http.StatusServiceUnavailable, "sponsor-refused"},
		{statuslist.ErrProof, http.StatusServiceUnavailable, "damaged"},
	}, anchorProblems...) {
		if errors.Is(err, row.err) {
			return httpd.NewProblem(row.status, row.code, "").WithCause(err)
		}
	}
	return nil
}

func hexHash(hash []byte) string { return hex.EncodeToString(hash) }
