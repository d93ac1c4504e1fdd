package console

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/dojang-id/dojang/registry"
)

// A found place is a page to which a search leads.
type foundPlace struct {
	Kind string // fact.<kind> of texts
	Name string
	Path string // without language
}

// find goes where a search leads. More than one place: the page offers them. None: the page says why, and never repeats
// what was asked.
func (s *Server) find(f *face, r *http.Request) (answer, error) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	n, err := s.cfg.Source.Network(r.Context())
	if err != nil {
		return answer{}, err
	}
	places, why, err := finder{s.cfg.Source, r.Context(), n}.places(q)
	if err != nil {
		return answer{}, err
	}
	switch len(places) {
	case 0:
		return answer{page: "find", title: f.t("find.none"), status: http.StatusNotFound, data: findPage{Why: why}}, nil
	case 1:
		return answer{}, elsewhere("/" + f.lang + places[0].Path)
	}
	return answer{page: "find", title: f.t("find.more"), data: findPage{Places: places}}, nil
}

type findPage struct {
	Why    string // a text's key
	Places []foundPlace
}

// finder knows the forms of names.
type finder struct {
	source  Source
	ctx     context.Context
	network Network
}

// places that a text may name, or why there is none.
func (f finder) places(q string) ([]foundPlace, string, error) {
	if d, rest, ok := cutDID(q, f.network.Name); ok {
		if d.Network() != f.network.Name {
			return nil, "none.network", nil
		}
		return f.ofDID(d, rest)
	}
	if number, ok := numbered(q); ok {
		return f.proposal(number)
	}
	if _, ok := parseHeight(q); ok {
		return f.number(q)
	}
	for _, v := range f.network.Validators {
		if q == v.Key || strings.EqualFold(q, v.Address) {
			return []foundPlace{{"validators", "", "/validators"}}, "", nil
		}
	}
	if hash := strings.ToLower(q); validHex(hash, 32) {
		return f.hash(hash)
	} else if validHex(hash, len(registry.Hash{})) && strings.HasPrefix(hash, "1220") {
		return f.hash(hash[4:])
	}
	if registry.ValidType(q) {
		return f.docType(q)
	}
	if u, err := url.Parse(q); err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return f.list(u)
	}
	for _, m := range f.network.Members {
		if m.ID == q {
			return []foundPlace{{"member", m.ID, "/governance#member-" + m.ID}}, "", nil
		}
	}
	return nil, "find.hint", nil
}

// cutDID takes a DID, whole or as the id alone of one of this network, and what follows '#' or '/'. "accr/" in front is
// dropped, and so is "d/": leaf keys are names too.
func cutDID(q, network string) (registry.DID, string, bool) {
	for _, prefix := range []string{"accr/", "d/"} {
		q = strings.TrimPrefix(q, prefix)
	}
	base, rest := q, ""
	if i := strings.IndexAny(q, "#/"); i >= 0 {
		base, rest = q[:i], strings.TrimPrefix(q[i+1:], "accr/")
	}
	if len(base) == 46 && strings.HasPrefix(base, "Qm") { // base58 of a SHA-256 multihash
		base = "did:dojang:" + network + ":" + base
	}
	d, err := registry.ParseDID(base)
	return d, rest, err == nil
}

// ofDID: the DID, or the accreditation <did>/<vct>/<n> of it.
func (f finder) ofDID(d registry.DID, rest string) ([]foundPlace, string, error) {
	vct, n, ok := strings.Cut(rest, "/")
	if !ok && registry.ValidType(vct) {
		n, ok = "1", true
	}
	if ok && registry.ValidType(vct) && validNumber(n) {
		number, _ := parseHeight(n)
		_, _, err := f.source.Accreditation(f.ctx, d, vct, number)
		return one(err, foundPlace{"accreditation", "", "/accreditations/" + d.ID() + "/" + vct + "/" + n}, "none.accreditation")
	}
	_, err := f.source.DID(f.ctx, d)
	return one(err, foundPlace{"did", "", "/dids/" + d.ID()}, "none.did")
}

// numbered takes "#7", "proposal 7", "의안 7".
func numbered(q string) (string, bool) {
	for _, prefix := range []string{"#", "proposal", "의안", "제안"} {
		if rest, ok := strings.CutPrefix(strings.ToLower(q), prefix); ok {
			rest = strings.TrimSpace(strings.TrimPrefix(rest, "/"))
			return rest, validNumber(rest)
		}
	}
	return "", false
}

func (f finder) proposal(n string) ([]foundPlace, string, error) {
	number, _ := parseHeight(n)
	_, err := f.source.Proposal(f.ctx, number)
	return one(err, foundPlace{"proposal", n, "/proposals/" + n}, "none.proposal")
}

// number may be a block's and a proposal's.
func (f finder) number(q string) ([]foundPlace, string, error) {
	height, _ := parseHeight(q)
	var out []foundPlace
	blocks, err := f.source.Blocks(f.ctx, height+1, 1)
	if err != nil {
		return nil, "", err
	}
	if len(blocks) == 1 && blocks[0].Height == height {
		out = append(out, foundPlace{"block", q, "/blocks/" + q})
	}
	motion, _, err := f.proposal(q)
	return append(out, motion...), "none.number", err
}

// hash may be a root that was anchored, or an operation's. That an operation is unknown can be proven: its page is there.
func (f finder) hash(hash string) ([]foundPlace, string, error) {
	raw, _ := hex.DecodeString(hash) // it is valid
	_, err := f.source.Anchor(f.ctx, [32]byte(raw))
	if err == nil {
		return []foundPlace{{"anchor", "", "/anchors/" + hash}}, "", nil
	}
	if !errors.Is(err, registry.ErrNotFound) {
		return nil, "", err
	}
	return []foundPlace{{"operation", "", "/operations/1220" + hash}}, "", nil
}

func (f finder) docType(vct string) ([]foundPlace, string, error) {
	_, changes, err := f.source.Type(f.ctx, vct)
	if err != nil || len(changes) > 0 {
		return []foundPlace{{"type", "", "/types/" + vct}}, "", err
	}
	l, err := f.source.Issuers(f.ctx, vct, Page{Limit: 1})
	if err == nil && len(l.Items) == 0 {
		return nil, "none.type", nil
	}
	return []foundPlace{{"type", "", "/types/" + vct}}, "", err
}

// list: the URI of a status list ends in the issuer's id and the list's number.
func (f finder) list(u *url.URL) ([]foundPlace, string, error) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || !validID(parts[len(parts)-2]) {
		return nil, "none.list", nil
	}
	d := registry.DID("did:dojang:" + f.network.Name + ":" + parts[len(parts)-2])
	_, err := f.source.Status(f.ctx, d)
	return one(err, foundPlace{"status", "", "/status/" + d.ID()}, "none.list")
}

// one place, unless it is not found.
func one(err error, place foundPlace, why string) ([]foundPlace, string, error) {
	if errors.Is(err, registry.ErrNotFound) {
		return nil, why, nil
	}
	return []foundPlace{place}, "", err
}
