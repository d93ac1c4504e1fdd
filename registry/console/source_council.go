package console

import (
	"context"
	"errors"
	"slices"
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
		case registry.KindMemberAdd, registry.KindMemberRemove, registry.KindMemberKeys, registry.KindThreshold, registry.KindParams, registry.KindUpgrade:
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
		EpochInterval: second(p.EpochInterval), Heartbeat: time.Duration(p.Heartbeat) * time.Millisecond,
		Version: max(p.Version, 1), Next: p.Next, NextFrom: p.NextFrom}
}

// Governance implements Council.
func (s *ChainSource) Governance(context.Context) (Governance, error) {
	var out Governance
	var last *registry.ParamsFact
	var heights []uint64
	err := versions(s, registry.ParamsFamily(), func(fact registry.ParamsFact, leaf registry.Leaf) {
		out.Network = fact.Network
		c := Change[Rules]{What: changeOfRules(last, &fact), At: Moment{Height: leaf.Since}, Fact: rulesOf(&fact)}
		if last != nil {
			c.Fact.Changed = registry.ChangedParams(last, &fact)
		}
		out.History = append(out.History, c)
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
	if newest := s.cfg.Health().Height; last.Next != 0 && newest >= last.NextFrom {
		out.Version, out.Next, out.NextFrom = last.VersionAt(newest), 0, 0 // it came into force
	}
	for i, h := range heights {
		c := &out.History[i]
		if c.At = s.moment(h); h > 0 {
			if c.Proposals, err = s.decidedAt(h, registry.KindMemberAdd, registry.KindMemberRemove, registry.KindThreshold, registry.KindParams, registry.KindUpgrade); err != nil {
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
	case is.Next != was.Next || is.NextFrom != was.NextFrom:
		return "upgrade"
	case len(registry.ChangedParams(was, is)) > 0:
		return "params"
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
	var began []uint64
	err := versions(s, registry.MemberFamily(m.ID), func(fact registry.MemberFact, leaf registry.Leaf) {
		began = append(began, leaf.Since)
		m.Name, m.Removed = fact.Name, s.moment(fact.Removed)
		m.Key, _ = fact.Key.Multikey() // a key on the chain encodes
	})
	for i, at := range began {
		if at == 0 || err != nil {
			continue // the genesis
		}
		if i == 0 {
			m.Since = s.moment(at)
		}
		var by []uint64
		by, err = s.decidedAt(at, registry.KindMemberAdd, registry.KindMemberRemove, registry.KindMemberKeys)
		m.Decided = append(m.Decided, by...)
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
