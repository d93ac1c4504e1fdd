package console

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

const pageSize = 25

// pages are the routes below each language.
func (s *Server) pages() []route {
	return []route{
		{"/{$}", "home", nil, s.home},
		{"/members", "members", nil, s.members},
		{"/dids", "dids", []string{"after"}, s.dids},
		{"/dids/{id}", "dids", nil, s.did},
		{"/accreditations", "accreditations", []string{"after"}, s.accreditations},
		{"/verifiers", "verifiers", []string{"after"}, s.verifiers},
		{"/verifiers/{id}/{purpose}", "verifiers", nil, s.verifier},
		{"/status", "status", []string{"after"}, s.statuses},
		{"/anchors", "anchors", []string{"after"}, s.anchors},
		{"/blocks", "blocks", []string{"below"}, s.blocks},
		{"/blocks/{height}", "blocks", nil, s.block},
		{"/operations/{hash}", "blocks", nil, s.operation},
		{"/check", "check", nil, s.check},
		{"/find", "", []string{"q"}, s.find},
		{"/", "", nil, func(*face, *http.Request) (answer, error) { return answer{}, errNoPage }},
	}
}

func (s *Server) home(f *face, r *http.Request) (answer, error) {
	n, err := s.cfg.Source.Network(r.Context())
	return answer{page: "home", title: f.t("home"), data: n}, err
}

func (s *Server) members(f *face, r *http.Request) (answer, error) {
	n, err := s.cfg.Source.Network(r.Context())
	return answer{page: "members", title: f.t("members"), data: n}, err
}

// A listing is a page of a list.
type listing struct {
	List[any]
	After string // where this page begins
	Path  string // of the list, without language
}

func listOf[T any](l List[T], path, after string) listing {
	out := listing{Path: path, After: after}
	out.Next = l.Next
	for _, item := range l.Items {
		out.Items = append(out.Items, item)
	}
	return out
}

func (s *Server) dids(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validID)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.DIDs(r.Context(), p)
	return answer{page: "dids", title: f.t("dids"), data: listOf(l, "/dids", p.After)}, err
}

func (s *Server) did(f *face, r *http.Request) (answer, error) {
	d, err := s.subject(r)
	return answer{page: "did", title: f.t("did") + " " + short(string(d.DID.ID())), data: d}, err
}

// subject is the DID that the path names.
func (s *Server) subject(r *http.Request) (Subject, error) {
	id := r.PathValue("id")
	if !validID(id) {
		return Subject{}, registry.ErrNotFound
	}
	h, err := s.cfg.Source.Network(r.Context())
	if err != nil {
		return Subject{}, err
	}
	return s.cfg.Source.DID(r.Context(), registry.DID("did:dojang:"+h.Name+":"+id))
}

func (s *Server) accreditations(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validAccreditationPlace)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Accreditations(r.Context(), p)
	return answer{page: "accreditations", title: f.t("accreditations"), data: listOf(l, "/accreditations", p.After)}, err
}

func (s *Server) verifiers(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validRegistrationPlace)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Registrations(r.Context(), p)
	return answer{page: "verifiers", title: f.t("verifiers"), data: listOf(l, "/verifiers", p.After)}, err
}

func (s *Server) verifier(f *face, r *http.Request) (answer, error) {
	d, err := s.subject(r)
	if err != nil {
		return answer{}, err
	}
	for _, g := range d.Registrations {
		if g.Purpose == r.PathValue("purpose") {
			return answer{page: "verifier", title: pick(f.lang, g.Name).Text, data: g}, nil
		}
	}
	return answer{}, registry.ErrNotFound
}

func (s *Server) statuses(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validID)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Statuses(r.Context(), p)
	return answer{page: "status", title: f.t("status"), data: listOf(l, "/status", p.After)}, err
}

func (s *Server) anchors(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, func(after string) bool { return validHex(after, 32) })
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Anchors(r.Context(), p)
	return answer{page: "anchors", title: f.t("anchors"), data: listOf(l, "/anchors", p.After)}, err
}

// blockList is the newest blocks, or those below a height.
type blockList struct {
	Blocks []Block
	Below  uint64 // 0: from the newest on
	Next   uint64 // 0: there are no older ones
}

func (s *Server) blocks(f *face, r *http.Request) (answer, error) {
	var out blockList
	if text := r.URL.Query().Get("below"); text != "" {
		var ok bool
		if out.Below, ok = parseHeight(text); !ok {
			return answer{}, ErrCursor
		}
	}
	var err error
	out.Blocks, err = s.cfg.Source.Blocks(r.Context(), out.Below, pageSize)
	if n := len(out.Blocks); n == pageSize && out.Blocks[n-1].Height > 1 {
		out.Next = out.Blocks[n-1].Height
	}
	return answer{page: "blocks", title: f.t("blocks"), data: out}, err
}

func (s *Server) block(f *face, r *http.Request) (answer, error) {
	height, ok := parseHeight(r.PathValue("height"))
	if !ok {
		return answer{}, registry.ErrNotFound
	}
	blocks, err := s.cfg.Source.Blocks(r.Context(), height+1, 1)
	if err != nil {
		return answer{}, err
	}
	if len(blocks) != 1 || blocks[0].Height != height {
		return answer{}, registry.ErrNotFound
	}
	return answer{page: "block", title: f.t("bl.title", height), data: blocks[0]}, nil
}

// parseHeight takes the one spelling of a positive number.
func parseHeight(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

func (s *Server) operation(f *face, r *http.Request) (answer, error) {
	raw, err := hex.DecodeString(r.PathValue("hash"))
	if err != nil {
		return answer{}, registry.ErrNotFound
	}
	hash, err := registry.ParseHash(raw)
	if err != nil {
		return answer{}, registry.ErrNotFound
	}
	op, err := s.cfg.Source.Operation(r.Context(), hash)
	return answer{page: "operation", title: f.t("op.title"), data: op}, err
}

// find goes where a DID, a DID URL, a height or an operation's hash leads. What it does not know is not repeated.
func (s *Server) find(f *face, r *http.Request) (answer, error) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	base, _, _ := strings.Cut(q, "#")
	_, height := parseHeight(q)
	did, err := registry.ParseDID(base)
	switch {
	case err == nil:
		return answer{}, elsewhere("/" + f.lang + "/dids/" + did.ID())
	case height:
		return answer{}, elsewhere("/" + f.lang + "/blocks/" + q)
	case validHex(strings.ToLower(q), len(registry.Hash{})):
		return answer{}, elsewhere("/" + f.lang + "/operations/" + strings.ToLower(q))
	case validHex(strings.ToLower(q), 32): // the digest alone, as in a leaf's key
		return answer{}, elsewhere("/" + f.lang + "/operations/1220" + strings.ToLower(q))
	}
	return answer{page: "find", title: f.t("find.none"), status: http.StatusNotFound}, nil
}

// pageOf reads ?after=, whose form valid knows. A place is public and names its own row: it needs no secret, only one
// spelling. Error: ErrCursor.
func pageOf(r *http.Request, valid func(string) bool) (Page, error) {
	q := r.URL.Query()
	after := q.Get("after")
	if q.Has("after") && !valid(after) {
		return Page{}, ErrCursor
	}
	return Page{After: after, Limit: pageSize}, nil
}

// Places in lists: "<id>" is behind everything of a DID; "<id>/<vct>/<n>", "<id>/<purpose>" behind that one.

func validAccreditationPlace(s string) bool {
	id, rest, more := strings.Cut(s, "/")
	vct, n, _ := strings.Cut(rest, "/")
	_, number := parseHeight(n)
	return validID(id) && (!more || registry.ValidType(vct) && number)
}

func validRegistrationPlace(s string) bool {
	id, purpose, more := strings.Cut(s, "/")
	return validID(id) && (!more || registry.ValidFragment(purpose))
}

// accreditationState is a word of texts for what an accreditation is at a moment.
func accreditationState(a Accreditation, now time.Time) string {
	switch {
	case a.Suspended:
		return "suspended"
	case now.Before(a.From):
		return "future"
	case !a.Until.IsZero() && !now.Before(a.Until):
		return "ended"
	}
	return "inforce"
}

func registrationState(g Registration, now time.Time) string {
	return accreditationState(Accreditation{Accreditation: registry.Accreditation{From: g.From, Until: g.Until}}, now)
}
