package console

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// motions remembers of proposals what never changes, so that a fact finds the decision behind it.
type motions struct {
	mu     sync.Mutex
	read   uint64                     // proposals known
	byHash map[[32]byte][]uint64      // :: digest of the payload -> proposals of it
	byKind map[registry.Kind][]uint64 // :: kinds of which the leaf does not name its operation
	open   []uint64                   // not closed when they were read
	state  registry.ProposalsFact     // of that reading: it changes whenever one opens or closes
	closed map[uint64][]uint64        // :: height -> proposals that it closed
}

// motion is a proposal as its newest leaf has it.
func (s *ChainSource) motion(n uint64) (registry.ProposalFact, error) {
	fact, _, err := latest[registry.ProposalFact](s, registry.ProposalFamily(n))
	return fact, err
}

func (s *ChainSource) count() (registry.ProposalsFact, error) {
	all, err := plain[registry.ProposalsFact](s, registry.ProposalsKey())
	if errors.Is(err, registry.ErrNotFound) {
		err = nil // no proposal yet
	}
	return all, err
}

// learn reads the proposals that came since, and again those that were not closed.
func (s *ChainSource) learn() error {
	all, err := s.count()
	if err != nil {
		return err
	}
	m := &s.motions
	if m.byHash != nil && m.state.Count == all.Count && slices.Equal(m.state.Open, all.Open) {
		return nil
	}
	if m.byHash == nil {
		m.byHash, m.byKind, m.closed = map[[32]byte][]uint64{}, map[registry.Kind][]uint64{}, map[uint64][]uint64{}
	}
	waiting := m.open
	m.open = nil
	for _, n := range waiting {
		fact, err := s.motion(n)
		if err != nil {
			m.open = waiting
			return err
		}
		m.settle(n, &fact)
	}
	for ; m.read < all.Count; m.read++ {
		n := m.read + 1
		fact, err := s.motion(n)
		if err != nil {
			return err
		}
		m.byHash[fact.Hash] = append(m.byHash[fact.Hash], n)
		switch fact.Kind {
		case registry.KindMemberAdd, registry.KindMemberRemove, registry.KindThreshold, registry.KindUpgrade:
			m.byKind[fact.Kind] = append(m.byKind[fact.Kind], n)
		}
		m.settle(n, &fact)
	}
	m.state = all
	return nil
}

// proposed names all proposals of an operation, whatever became of them.
func (s *ChainSource) proposed(digest [32]byte) ([]uint64, error) {
	s.motions.mu.Lock()
	defer s.motions.mu.Unlock()
	err := s.learn()
	return slices.Clone(s.motions.byHash[digest]), err
}

func (m *motions) settle(n uint64, fact *registry.ProposalFact) {
	if fact.Closed == 0 {
		m.open = append(m.open, n)
	} else {
		m.closed[fact.Closed] = append(m.closed[fact.Closed], n)
	}
}

// closedAt are the proposals that a block closed.
func (s *ChainSource) closedAt(height uint64) ([]Proposal, error) {
	s.motions.mu.Lock()
	err := s.learn()
	ns := slices.Clone(s.motions.closed[height])
	s.motions.mu.Unlock()
	var out []Proposal
	for _, n := range ns {
		if err != nil {
			break
		}
		var fact registry.ProposalFact
		if fact, err = s.motion(n); err == nil {
			var p Proposal
			p, err = s.proposal(n, &fact)
			out = append(out, p)
		}
	}
	return out, err
}

// decided names the proposals among candidates that were executed at a height; 0: at any.
func (s *ChainSource) decided(height uint64, candidates func(m *motions) []uint64) ([]uint64, error) {
	s.motions.mu.Lock()
	err := s.learn()
	ns := slices.Clone(candidates(&s.motions))
	s.motions.mu.Unlock()
	var out []uint64
	for _, n := range ns {
		if err != nil {
			break
		}
		var fact registry.ProposalFact
		if fact, err = s.motion(n); err == nil && fact.State == registry.ProposalExecuted && (height == 0 || fact.Closed == height) {
			out = append(out, n)
		}
	}
	return out, err
}

// decidedBy is the proposal that carried an operation into force.
func (s *ChainSource) decidedBy(digest [32]byte) ([]uint64, error) {
	return s.decided(0, func(m *motions) []uint64 { return m.byHash[digest] })
}

func (s *ChainSource) decidedAt(height uint64, kinds ...registry.Kind) ([]uint64, error) {
	return s.decided(height, func(m *motions) (out []uint64) {
		for _, k := range kinds {
			out = append(out, m.byKind[k]...)
		}
		return out
	})
}

func rulesOf(p *registry.ParamsFact) Rules {
	second := func(n int64) time.Duration { return time.Duration(n) * time.Second }
	return Rules{Members: p.Members, Threshold: p.Threshold, Removal: p.Need(registry.KindMemberRemove), Direct: !p.Closed, TimeLock: second(p.TimeLock),
		Voting: second(p.Voting), Emergency: p.Emergency, EmergencyHold: second(p.EmergencyHold), QuotaOps: p.QuotaOps, QuotaBlocks: p.QuotaBlocks,
		EpochInterval: second(p.EpochInterval), Heartbeat: time.Duration(p.Heartbeat) * time.Millisecond}
}

// Governance implements Council.
func (s *ChainSource) Governance(context.Context) (Governance, error) {
	var out Governance
	var last *registry.ParamsFact
	var heights []uint64
	err := versions(s, registry.ParamsFamily(), func(fact registry.ParamsFact, leaf registry.Leaf) {
		out.Network = fact.Network
		out.History = append(out.History, Change[Rules]{What: changeOfRules(last, &fact), At: Moment{Height: leaf.Since}, Fact: rulesOf(&fact)})
		heights = append(heights, leaf.Since)
		last = &fact
	})
	if err == nil && last == nil {
		err = registry.ErrUnavailable
	}
	if err != nil {
		return out, err
	}
	out.Rules = rulesOf(last)
	for i, h := range heights {
		c := &out.History[i]
		if c.At = s.moment(h); h > 0 {
			if c.Proposals, err = s.decidedAt(h, registry.KindMemberAdd, registry.KindMemberRemove, registry.KindThreshold, registry.KindUpgrade); err != nil {
				return out, err
			}
		}
	}
	slices.Reverse(out.History)
	all, err := s.count()
	if err != nil {
		return out, err
	}
	out.Open, out.Total = len(all.Open), all.Count
	out.Members, err = s.members()
	return out, err
}

func changeOfRules(was, is *registry.ParamsFact) string {
	switch {
	case was == nil:
		return "genesis"
	case is.Members > was.Members:
		return "memberadd"
	case is.Members < was.Members:
		return "memberremove"
	case is.Threshold != was.Threshold:
		return "threshold"
	}
	return "updated"
}

func (s *ChainSource) members() ([]Member, error) {
	var out []Member
	err := s.each("gov/member/", "gov/member0", func(key string, value []byte) (bool, error) {
		id, ok := cutLatest(key, "gov/member/")
		if !ok {
			return true, nil
		}
		m := Member{ID: id}
		out = append(out, m)
		return true, nil
	})
	for i := range out {
		err = errors.Join(err, s.member(&out[i]))
	}
	return out, err
}

// member fills in what the leaves say about one.
func (s *ChainSource) member(m *Member) error {
	first := true
	err := versions(s, registry.MemberFamily(m.ID), func(fact registry.MemberFact, leaf registry.Leaf) {
		if first && leaf.Since > 0 { // 0: the genesis
			m.Since = s.moment(leaf.Since)
		}
		first = false
		m.Name, m.Removed = fact.Name, s.moment(fact.Removed)
		m.Key, _ = fact.Key.Multikey() // a key on the chain encodes
	})
	for kind, at := range map[registry.Kind]uint64{registry.KindMemberAdd: m.Since.Height, registry.KindMemberRemove: m.Removed.Height} {
		if at > 0 && err == nil {
			var by []uint64
			by, err = s.decidedAt(at, kind)
			m.Decided = append(m.Decided, by...)
		}
	}
	slices.Sort(m.Decided)
	if err != nil {
		return err
	}
	account, err := plain[registry.SponsorFact](s, registry.SponsorKey(m.ID))
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err == nil {
		m.Sequence, m.Used = account.Highest, account.Used
		m.Gateway, err = account.Key.Multikey()
	}
	return err
}

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
