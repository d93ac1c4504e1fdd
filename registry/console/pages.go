package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

const pageSize = 25

// pages are the routes below each language.
func (s *Server) pages() []route {
	after := []string{"after"}
	return []route{
		{"/{$}", "home", nil, s.home},
		{"/proposals", "proposals", []string{"after", "state"}, s.proposals},
		{"/proposals/{n}", "proposals", nil, s.proposal},
		{"/emergencies", "proposals", after, s.emergencies},
		{"/governance", "governance", nil, s.governance},
		{"/validators", "validators", nil, s.validators},
		{"/rounds", "rounds", after, s.rounds},
		{"/rounds/{id}/{programme}/{round}", "rounds", nil, s.round},
		{"/dids", "dids", after, s.dids},
		{"/dids/{id}", "dids", nil, s.did},
		{"/accreditations", "accreditations", after, s.accreditations},
		{"/accreditations/{id}/{vct}/{n}", "accreditations", nil, s.accreditation},
		{"/types", "accreditations", after, s.types},
		{"/types/{vct}", "accreditations", after, s.docTypePage},
		{"/verifiers", "verifiers", after, s.verifiers},
		{"/verifiers/{id}/{purpose}", "verifiers", nil, s.verifier},
		{"/status", "status", after, s.statuses},
		{"/status/{id}", "status", nil, s.statusOf},
		{"/anchors", "anchors", after, s.anchors},
		{"/anchors/{root}", "anchors", nil, s.anchor},
		{"/blocks", "blocks", []string{"below"}, s.blocks},
		{"/blocks/{height}", "blocks", nil, s.block},
		{"/operations/{hash}", "blocks", nil, s.operation},
		{"/check", "check", nil, s.check},
		{"/find", "", []string{"q"}, s.find},
		{"/", "", nil, func(*face, *http.Request) (answer, error) { return answer{}, errNoPage }},
	}
}

// missing is a subject that does not exist; the page says which.
type missing string // a text's key

func (m missing) Error() string { return "registry/console: no such " + string(m) }

func (missing) Is(err error) bool { return err == registry.ErrNotFound }

// orMissing says of a fact that is not found what it was.
func orMissing(err error, key string) error {
	if errors.Is(err, registry.ErrNotFound) {
		return missing(key)
	}
	return err
}

func (s *Server) home(f *face, r *http.Request) (answer, error) {
	n, err := s.cfg.Source.Network(r.Context())
	return answer{page: "home", title: f.t("home"), data: n}, err
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

// named is the DID that the path names. Error: missing.
func (s *Server) named(r *http.Request) (registry.DID, error) {
	id := r.PathValue("id")
	if !validID(id) {
		return "", missing("none.did")
	}
	n, err := s.cfg.Source.Network(r.Context())
	return registry.DID("did:dojang:" + n.Name + ":" + id), err
}

// subject is all about it.
func (s *Server) subject(r *http.Request) (Subject, error) {
	d, err := s.named(r)
	if err != nil {
		return Subject{}, err
	}
	out, err := s.cfg.Source.DID(r.Context(), d)
	return out, orMissing(err, "none.did")
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

// parseHeight takes the one spelling of a positive number.
func parseHeight(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 62)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
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

// validIssuerPlace is a place among the accreditations for one type.
func validIssuerPlace(s string) bool {
	id, n, more := strings.Cut(s, "/")
	return validID(id) && (!more || validNumber(n))
}

func validRoundPlace(s string) bool {
	id, rest, more := strings.Cut(s, "/")
	programme, round, _ := strings.Cut(rest, "/")
	return validID(id) && (!more || registry.ValidFragment(programme) && registry.ValidFragment(round))
}

func validRegistrationPlace(s string) bool {
	id, purpose, more := strings.Cut(s, "/")
	return validID(id) && (!more || registry.ValidFragment(purpose))
}

// accreditationState is a word of texts for what an accreditation is at a moment.
func accreditationState(a Accreditation, now time.Time) string {
	switch {
	case a.Suspended && a.Lapses.IsZero():
		return "suspended"
	case a.Suspended && now.Before(a.Lapses):
		return "emergency"
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
