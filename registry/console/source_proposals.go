package console

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/dojang-id/dojang/registry"
)

// Proposals implements Council. It looks at no more than maxWalk of them.
func (s *ChainSource) Proposals(_ context.Context, p Page, states ...registry.ProposalState) (List[Proposal], error) {
	var out List[Proposal]
	all, err := s.count()
	if err != nil {
		return out, err
	}
	n := all.Count
	if p.After != "" {
		after, ok := parseHeight(p.After)
		if !ok {
			return out, ErrCursor
		}
		n = min(n, after-1)
	}
	for seen := 0; n > 0; n, seen = n-1, seen+1 {
		if len(out.Items) == p.Limit || seen == maxWalk {
			out.Next = strconv.FormatUint(n+1, 10)
			break
		}
		fact, err := s.motion(n)
		if err != nil {
			return out, err
		}
		if len(states) > 0 && !slices.Contains(states, fact.State) {
			continue
		}
		item, err := s.proposal(n, &fact)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, item)
	}
	return out, nil
}

// proposal with its tally: of those who were members when it was closed, or are now.
func (s *ChainSource) proposal(n uint64, f *registry.ProposalFact) (Proposal, error) {
	out := Proposal{N: n, State: f.State, Kind: f.Kind, About: f.About, Proposer: f.Proposer, Opened: seconds(f.Opened), Expires: seconds(f.Expires),
		Due: seconds(f.Due), Closed: s.moment(f.Closed), Code: string(f.Code)}
	params, err := factAt[registry.ParamsFact](s, registry.ParamsFamily(), f.Closed)
	if err != nil {
		return out, err
	}
	if params != nil {
		out.Need, out.Members = params.Need(f.Kind), params.Members
	}
	for _, side := range []struct {
		ids []string
		n   *int
	}{{f.Yes, &out.Yes}, {f.No, &out.No}} {
		for _, id := range side.ids {
			member, _, err := latest[registry.MemberFact](s, registry.MemberFamily(id))
			if err != nil {
				return out, err
			}
			if !goneAt(&member, f.Closed) {
				*side.n++
			}
		}
	}
	return out, nil
}

// goneAt: no member any more when a proposal was closed at a height; 0: now.
func goneAt(m *registry.MemberFact, closed uint64) bool {
	return m.Removed != 0 && (closed == 0 || m.Removed < closed)
}

// Proposal implements Council.
func (s *ChainSource) Proposal(_ context.Context, n uint64) (ProposalDetail, error) {
	fact, err := s.motion(n)
	if err != nil {
		return ProposalDetail{}, err
	}
	out := ProposalDetail{Operation: registry.HashOfDigest(fact.Hash)}
	if out.Proposal, err = s.proposal(n, &fact); err != nil {
		return out, err
	}
	content, err := plain[registry.ProposalContent](s, registry.ProposalContentKey(n))
	if err != nil {
		return out, err
	}
	op, err := content.Proposed()
	if err != nil {
		return out, err
	}
	out.Body, out.Seq = op.Body, op.Seq
	if out.Before, err = s.before(op, fact.Closed); err != nil {
		return out, err
	}
	if out.Votes, err = s.votes(n, &fact); err != nil {
		return out, err
	}
	out.Steps, err = s.steps(n, out.Votes)
	return out, err
}

// before is what the operation changes, as it stood before its block; while the proposal is open, as it stands.
func (s *ChainSource) before(op *registry.SignedOperation, closed uint64) (out Before, err error) {
	switch b := op.Body.(type) {
	case *registry.ThresholdBody, *registry.MemberAddBody, *registry.MemberRemoveBody:
		var params *registry.ParamsFact
		if params, err = factAt[registry.ParamsFact](s, registry.ParamsFamily(), closed); params != nil {
			rules := rulesOf(params)
			out.Rules = &rules
		}
		if b, ok := op.Body.(*registry.MemberRemoveBody); ok && err == nil {
			out.Member = &Member{ID: b.ID}
			err = s.member(out.Member)
		}
	case *registry.ParamsBody:
		var params *registry.ParamsFact
		if params, err = factAt[registry.ParamsFact](s, registry.ParamsFamily(), closed); params != nil {
			out.Params = b.Changes(params)
		}
	case *registry.ValidatorBody:
		var set *registry.ValidatorsFact
		if set, err = factAt[registry.ValidatorsFact](s, registry.ValidatorsFamily(), closed); set != nil {
			for _, v := range set.Validators {
				if v.Key == b.Key {
					out.Power = v.Power
				}
			}
		}
	case *registry.AccreditBody:
		out.Accreditation, err = s.accreditationBefore(op.DID, b.Type, b.N, closed)
	case *registry.SuspendBody:
		out.Accreditation, err = s.accreditationBefore(op.DID, b.Type, b.N, closed)
	case *registry.ResumeBody:
		out.Accreditation, err = s.accreditationBefore(op.DID, b.Type, b.N, closed)
	case *registry.EndBody:
		out.Accreditation, err = s.accreditationBefore(op.DID, b.Type, b.N, closed)
	case *registry.RegisterBody:
		var fact *registry.RegistrationFact
		if fact, err = factAt[registry.RegistrationFact](s, registry.RegistrationFamily(op.DID, b.Purpose), closed); fact != nil {
			g := s.registrationOf(op.DID, b.Purpose, fact, registry.Leaf{})
			out.Registration = &g
		}
	}
	return out, err
}

func (s *ChainSource) accreditationBefore(d registry.DID, vct string, n, closed uint64) (*Accreditation, error) {
	fact, err := factAt[registry.AccreditationFact](s, registry.AccreditationFamily(d, vct, n), closed)
	if err != nil || fact == nil {
		return nil, err
	}
	a := s.accreditationOf(d, vct, n, fact, registry.Leaf{})
	return &a, nil
}

// votes of all members that could, in the order of their ids.
func (s *ChainSource) votes(n uint64, f *registry.ProposalFact) ([]Vote, error) {
	members, err := s.members()
	var out []Vote
	for _, m := range members {
		v := Vote{Member: m.ID, Name: m.Name, Gone: m.Removed.Height != 0 && (f.Closed == 0 || m.Removed.Height < f.Closed)}
		fact, e := plain[registry.VoteFact](s, registry.VoteKey(n, m.ID))
		switch {
		case e == nil:
			v.Approve, v.At, v.Operation = fact.Approve, s.moment(fact.Height), registry.HashOfDigest(fact.Operation)
		case !errors.Is(e, registry.ErrNotFound):
			return nil, e
		case v.Gone || m.Since.Height != 0 && f.Closed != 0 && m.Since.Height >= f.Closed:
			continue // was no member
		}
		out = append(out, v)
	}
	return out, err
}

// steps of a proposal's life, in order.
func (s *ChainSource) steps(n uint64, votes []Vote) ([]Step, error) {
	var out []Step
	var was registry.ProposalState
	var opened, proposer = uint64(0), ""
	err := versions(s, registry.ProposalFamily(n), func(fact registry.ProposalFact, leaf registry.Leaf) {
		if opened == 0 {
			opened, proposer = leaf.Since, fact.Proposer
			was = registry.ProposalVoting
		}
		if fact.State != was {
			out = append(out, Step{What: string(fact.State), At: s.moment(leaf.Since)})
		}
		was = fact.State
	})
	for _, v := range votes {
		what := "no"
		if v.Approve {
			what = "yes"
		}
		if v.At.Height != 0 && v.Member != proposer { // the proposer's is in the opening
			out = append(out, Step{What: what, Member: v.Member, At: v.At})
		}
	}
	if opened != 0 {
		out = append(out, Step{What: "opened", Member: proposer, At: s.moment(opened)})
	}
	rank := func(st Step) int {
		switch st.What {
		case "opened":
			return 0
		case "yes", "no":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(out, func(a, b Step) int {
		if a.At.Height != b.At.Height {
			return int(a.At.Height) - int(b.At.Height)
		}
		return rank(a) - rank(b)
	})
	return out, err
}
