package web

import (
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/node"
)

// listAge bounds how long a shared cache may serve a list: an issuer writes an epoch at most once a minute, so a longer
// life would only age revocations.
const listAge = time.Minute

// serveList answers GET /{issuer}/{list}: the URI that stands in credentials. It reads the store alone, so it works with
// the engine stopped and the issuer gone.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request) {
	mediaType, ok := httpd.Negotiate(r.Header.Values("Accept"), node.StatusJWT, node.StatusCWT)
	if !ok {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotAcceptable, "not-acceptable", "offered: "+node.StatusJWT+", "+node.StatusCWT))
		return
	}
	if r.URL.Query().Has("time") { // C18: history would tell who was looked at
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotImplemented, "not-implemented", "no historical status lists"))
		return
	}
	list, err := s.cfg.Statuses.List(s.cfg.StatusURL+"/"+r.PathValue("issuer")+"/"+r.PathValue("list"), mediaType)
	if errors.Is(err, node.ErrNoList) {
		httpd.WriteProblem(w, httpd.NewProblem(http.StatusNotFound, "not-found", ""))
		return
	}
	if err != nil {
		s.internal(w, r, err)
		return
	}
	h := w.Header()
	body, etag := list.Token, hex.EncodeToString(list.Digest[:16])
	if acceptsGzip(r.Header.Values("Accept-Encoding")) && len(list.Gzip) < len(list.Token) {
		body, etag = list.Gzip, etag+"-gzip" // one tag a representation (RFC 9110 8.8.3.3)
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", `"`+etag+`"`)
	h.Set("Vary", "Accept, Accept-Encoding")
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(s.freshFor(list.NextUpdate)/time.Second)))
	if match(r.Header.Values("If-None-Match"), h.Get("ETag")) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left is no fault of ours
}

// lists answers GET /v1/lists/{issuer}/{name} for other nodes, as the issuer's publisher would: "records", or a list's last
// segment. Who asks checks it against the chain.
func (s *Server) lists(w http.ResponseWriter, r *http.Request) { s.published(w, r, false) }

// baseLists answers GET /v1/lists/{issuer}/base/{name}: what the issuer itself published last, where its second status operator
// has gone on.
func (s *Server) baseLists(w http.ResponseWriter, r *http.Request) { s.published(w, r, true) }

func (s *Server) published(w http.ResponseWriter, r *http.Request, base bool) {
	issuer, err := registry.ParseDID("did:dojang:" + s.cfg.Node.Network() + ":" + r.PathValue("issuer"))
	if err != nil {
		s.fail(w, r, registry.ErrNotFound)
		return
	}
	if name := r.PathValue("name"); name != "records" {
		mediaType, ok := httpd.Negotiate(r.Header.Values("Accept"), node.StatusJWT, node.StatusCWT)
		if !ok {
			s.fail(w, r, errNotAcceptable)
			return
		}
		list, err := s.cfg.Statuses.Named(issuer, name, mediaType, base)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.answer(w, mediaType, list.Token)
		return
	}
	records, err := s.cfg.Statuses.Records(issuer, base)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	raw, err := registry.Encode(records)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, "application/cbor", raw)
}

func (s *Server) freshFor(nextUpdate time.Time) time.Duration {
	return max(0, min(listAge, nextUpdate.Sub(s.cfg.Now())))
}

func acceptsGzip(encodings []string) bool {
	for _, line := range encodings {
		for part := range strings.SplitSeq(line, ",") {
			name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.EqualFold(strings.TrimSpace(name), "gzip") {
				q = strings.ReplaceAll(q, " ", "")
				return q != "q=0" && !strings.HasPrefix(q, "q=0.000")
			}
		}
	}
	return false
}

func match(ifNoneMatch []string, etag string) bool {
	for _, line := range ifNoneMatch {
		for part := range strings.SplitSeq(line, ",") {
			part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
			if part == "*" || part == etag {
				return true
			}
		}
	}
	return false
}

func (s *Server) internal(w http.ResponseWriter, r *http.Request, err error) {
	ref := httpd.RequestID(w)
	level := slog.LevelError
	if r.Context().Err() != nil { // the caller hung up: nobody's fault here
		level = slog.LevelInfo
	}
	s.cfg.Logger.Log(r.Context(), level, "registry web", "route", r.Pattern, "reference", ref, "err", err)
	p := httpd.NewProblem(http.StatusInternalServerError, "internal-error", "")
	p.Reference = ref
	httpd.WriteProblem(w, p)
}
