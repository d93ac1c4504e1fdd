package console

import (
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// historied is one fact with its history.
type historied[T any] struct {
	Fact    T
	Changes []Change[T]
}

func (s *Server) accreditation(f *face, r *http.Request) (answer, error) {
	d, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	vct := r.PathValue("vct")
	n, ok := parseHeight(r.PathValue("n"))
	if !ok || !registry.ValidType(vct) {
		return answer{}, missing("none.accreditation")
	}
	a, changes, err := s.cfg.Source.Accreditation(r.Context(), d, vct, n)
	return answer{page: "accreditation", title: f.docType(vct).Label, data: historied[Accreditation]{a, changes}}, orMissing(err, "none.accreditation")
}

func (s *Server) verifier(f *face, r *http.Request) (answer, error) {
	d, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	purpose := r.PathValue("purpose")
	if !registry.ValidFragment(purpose) {
		return answer{}, missing("none.registration")
	}
	g, changes, err := s.cfg.Source.Registration(r.Context(), d, purpose)
	return answer{page: "verifier", title: pick(f.lang, g.Name).Text, data: historied[Registration]{g, changes}}, orMissing(err, "none.registration")
}

func (s *Server) types(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, registry.ValidType)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Types(r.Context(), p)
	return answer{page: "types", title: f.t("types"), data: listOf(l, "/types", p.After)}, err
}

// typePage is a type with those who may issue it.
type typePage struct {
	historied[Type]
	Issuers listing
}

// docTypePage is there for every type that somebody may issue or that has a digest.
func (s *Server) docTypePage(f *face, r *http.Request) (answer, error) {
	vct := r.PathValue("vct")
	if !registry.ValidType(vct) {
		return answer{}, missing("none.type")
	}
	p, err := pageOf(r, validIssuerPlace)
	if err != nil {
		return answer{}, err
	}
	var out typePage
	if out.Fact, out.Changes, err = s.cfg.Source.Type(r.Context(), vct); err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Issuers(r.Context(), vct, p)
	out.Issuers = listOf(l, "/types/"+vct, p.After)
	if err == nil && p.After == "" && len(l.Items) == 0 && l.Next == "" && len(out.Changes) == 0 {
		err = missing("none.type")
	}
	return answer{page: "type", title: f.docType(vct).Label, data: out}, err
}

func (s *Server) statusOf(f *face, r *http.Request) (answer, error) {
	d, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	st, err := s.cfg.Source.Status(r.Context(), d)
	return answer{page: "statusof", title: f.t("status") + " " + short(d.ID()), data: st}, orMissing(err, "none.status")
}

func (s *Server) rounds(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validRoundPlace)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Rounds(r.Context(), p)
	return answer{page: "rounds", title: f.t("rounds"), data: listOf(l, "/rounds", p.After)}, err
}

func (s *Server) round(f *face, r *http.Request) (answer, error) {
	d, err := s.named(r)
	if err != nil {
		return answer{}, err
	}
	ref := registry.RoundRef{Programme: r.PathValue("programme"), Round: r.PathValue("round")}
	if !registry.ValidFragment(ref.Programme) || !registry.ValidFragment(ref.Round) {
		return answer{}, missing("none.round")
	}
	round, err := s.cfg.Source.Round(r.Context(), d, ref)
	return answer{page: "round", title: ref.Programme + " " + ref.Round, data: round}, orMissing(err, "none.round")
}

func (s *Server) anchor(f *face, r *http.Request) (answer, error) {
	root := r.PathValue("root")
	if !validHex(root, 32) {
		return answer{}, missing("none.anchor")
	}
	raw, _ := hex.DecodeString(root) // it is valid
	a, err := s.cfg.Source.Anchor(r.Context(), [32]byte(raw))
	return answer{page: "anchor", title: f.t("an.title"), data: a}, orMissing(err, "none.anchor")
}

// blockPage is a block with what stands in it, and as a published head has it.
type blockPage struct {
	Block
	Contents
	Newest uint64
	Head   string // evidence.Head's machine file; "" while it is the newest: it may not be decided for others yet
	Notice string
}

func (s *Server) block(f *face, r *http.Request) (answer, error) {
	height, ok := parseHeight(r.PathValue("height"))
	if !ok {
		return answer{}, missing("none.block")
	}
	blocks, err := s.cfg.Source.Blocks(r.Context(), height+1, 1)
	if err != nil {
		return answer{}, err
	}
	if len(blocks) != 1 || blocks[0].Height != height {
		return answer{}, missing("none.block")
	}
	out := blockPage{Block: blocks[0]}
	if out.Contents, err = s.cfg.Source.Contents(r.Context(), height); err != nil {
		return answer{}, err
	}
	n, err := s.cfg.Source.Network(r.Context())
	if err != nil {
		return answer{}, err
	}
	h, err := s.cfg.Source.Health(r.Context())
	if err != nil {
		return answer{}, err
	}
	out.Newest = h.Height
	head := evidence.Head{Network: n.Name, ChainID: n.ChainID, Height: height, Hash: out.Hash, Time: out.Time}
	if raw, err := head.Marshal(); err == nil && !out.Open {
		out.Head = string(raw)
		if out.Notice, err = head.Notice(f.lang); err != nil {
			out.Notice = ""
		}
	}
	return answer{page: "block", title: f.t("bl.title", height), data: out}, nil
}

func (s *Server) operation(f *face, r *http.Request) (answer, error) {
	raw, err := hex.DecodeString(r.PathValue("hash"))
	if err != nil {
		return answer{}, missing("none.operation")
	}
	hash, err := registry.ParseHash(raw)
	if err != nil {
		return answer{}, missing("none.operation")
	}
	op, err := s.cfg.Source.Operation(r.Context(), hash)
	return answer{page: "operation", title: f.t("op.title"), data: op}, err
}

// tabs of the list of proposals: what ?state= takes.
var tabs = []struct {
	Name   string // text tab.<name>
	States []registry.ProposalState
}{
	{"all", nil},
	{"voting", []registry.ProposalState{registry.ProposalVoting}},
	{"approved", []registry.ProposalState{registry.ProposalApproved}},
	{"executed", []registry.ProposalState{registry.ProposalExecuted}},
	{"rejected", []registry.ProposalState{registry.ProposalRejected, registry.ProposalFailed}},
	{"expired", []registry.ProposalState{registry.ProposalExpired}},
}

// motionList is a page of proposals behind one tab.
type motionList struct {
	List[Proposal]
	Tab, After string
	Tabs       []string
	Direct     bool // there are decisions without a proposal
}

func (s *Server) proposals(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validNumber)
	if err != nil {
		return answer{}, err
	}
	out := motionList{Tab: "all", After: p.After}
	if r.URL.Query().Has("state") {
		out.Tab = r.URL.Query().Get("state")
	}
	known := false
	var states []registry.ProposalState
	for _, t := range tabs {
		out.Tabs = append(out.Tabs, t.Name)
		if t.Name == out.Tab {
			known, states = true, t.States
		}
	}
	if !known {
		return answer{}, errQuery
	}
	n, err := s.cfg.Source.Network(r.Context())
	if err != nil {
		return answer{}, err
	}
	out.Direct = n.Direct
	out.List, err = s.cfg.Source.Proposals(r.Context(), p, states...)
	return answer{page: "proposals", title: f.t("proposals"), data: out}, err
}

func (s *Server) proposal(f *face, r *http.Request) (answer, error) {
	n, ok := parseHeight(r.PathValue("n"))
	if !ok {
		return answer{}, missing("none.proposal")
	}
	p, err := s.cfg.Source.Proposal(r.Context(), n)
	return answer{page: "proposal", title: f.t("pr.title", strconv.FormatUint(n, 10)), data: p}, orMissing(err, "none.proposal")
}

func (s *Server) emergencies(f *face, r *http.Request) (answer, error) {
	p, err := pageOf(r, validID)
	if err != nil {
		return answer{}, err
	}
	l, err := s.cfg.Source.Emergencies(r.Context(), p)
	return answer{page: "emergencies", title: f.t("em.title"), data: listOf(l, "/emergencies", p.After)}, err
}

func (s *Server) governance(f *face, r *http.Request) (answer, error) {
	g, err := s.cfg.Source.Governance(r.Context())
	return answer{page: "governance", title: f.t("governance"), data: g}, err
}

// validatorsPage is who makes blocks, and who was proved to have signed two for one height.
type validatorsPage struct {
	Network
	Proven []Misbehaviour
}

func (s *Server) validators(f *face, r *http.Request) (answer, error) {
	n, err := s.cfg.Source.Network(r.Context())
	if err != nil {
		return answer{}, err
	}
	proven, err := s.cfg.Source.Misbehaviours(r.Context())
	return answer{page: "validators", title: f.t("validators"), data: validatorsPage{n, proven}}, err
}
