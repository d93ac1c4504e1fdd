package chain

import (
	"errors"
	"slices"

	"github.com/dojang-id/dojang/registry"
)

// Bounds of what waits for votes: each block looks at all of it.
const (
	maxOpen         = 64
	maxOpenOfMember = 8
)

// propose opens a proposal. It must be allowed now, and is judged again when it executes (H09).
func (d *deciding) propose(b *registry.ProposeBody) error {
	op, err := b.Proposed()
	if err != nil {
		return refusalOf(err)
	}
	if err := d.byMember(b.Member); err != nil {
		return err
	}
	n, err := d.open(b.Member)
	if err != nil {
		return err
	}
	trial := newOverlay(d.w)
	if err := d.carried(op, &writer{overlay: trial, height: d.height}); err != nil {
		return err
	}
	content := registry.ProposalContent{Payload: b.Payload}
	if len(b.Signatures) > 0 {
		if content.Signatures, err = registry.Encode(b.Signatures); err != nil {
			return err
		}
	}
	d.w.plain(registry.ProposalContentKey(n), content)
	fact := registry.ProposalFact{
		Hash: op.Hash.Digest(), Proposer: b.Member, Kind: op.Kind(), About: op.DID, Opened: d.time, Expires: d.time + d.params.Voting,
		State: registry.ProposalVoting, Lock: d.params.TimeLock,
	}
	return d.cast(n, &fact, b.Member, true)
}

// open takes the next number.
func (d *deciding) open(member string) (uint64, error) {
	all, err := readProposals(d.w)
	if err != nil {
		return 0, err
	}
	mine := 0
	for _, n := range all.Open {
		p, err := readProposal(d.w, n)
		if err != nil {
			return 0, err
		}
		if p.Proposer == member {
			mine++
		}
	}
	if mine > 0 && len(all.Open) >= maxOpen { // a first one always: the few cannot take every place
		return 0, registry.Refuse(registry.CodeLimit, "too many proposals are open")
	}
	if mine >= maxOpenOfMember {
		return 0, registry.Refuse(registry.CodeLimit, "too many proposals of this member are open")
	}
	all.Count++
	all.Open = append(all.Open, all.Count)
	d.w.plain(registry.ProposalsKey(), all)
	return all.Count, nil
}

// vote adds one member's vote to an open proposal.
func (d *deciding) vote(b *registry.VoteBody) error {
	if err := d.byMember(b.Member); err != nil {
		return err
	}
	fact, _, err := readFact[registry.ProposalFact](d.w, registry.ProposalFamily(b.N))
	if err != nil {
		return err
	}
	switch {
	case fact == nil:
		return registry.Refuse(registry.CodeNotFound, "no such proposal")
	case fact.Hash != b.Proposal:
		return registry.Refuse(registry.CodeVersionConflict, "the vote is for something else")
	case fact.State != registry.ProposalVoting && fact.State != registry.ProposalApproved:
		return registry.Refuse(registry.CodeNotAllowed, "the proposal is closed")
	case fact.State == registry.ProposalVoting && d.time >= fact.Expires:
		return registry.Refuse(registry.CodeNotAllowed, "the proposal has expired")
	case slices.Contains(fact.Yes, b.Member) || slices.Contains(fact.No, b.Member):
		return registry.Refuse(registry.CodeExists, "this member has voted")
	}
	return d.cast(b.N, fact, b.Member, b.Approve)
}

// cast writes a vote and what follows from it.
func (d *deciding) cast(n uint64, fact *registry.ProposalFact, member string, approve bool) error {
	if approve {
		fact.Yes = append(slices.Clone(fact.Yes), member)
	} else {
		fact.No = append(slices.Clone(fact.No), member)
	}
	d.w.plain(registry.VoteKey(n, member), registry.VoteFact{Height: d.height, Approve: approve, Operation: d.op.Hash.Digest()})
	if err := d.run.judge(d.w, fact); err != nil {
		return err
	}
	return d.run.keep(d.w, n, fact)
}

// judge says where the votes of present members leave a proposal that is not closed.
func (r *run) judge(state reader, fact *registry.ProposalFact) error {
	yes, err := present(state, fact.Yes)
	if err != nil {
		return err
	}
	no, err := present(state, fact.No)
	if err != nil {
		return err
	}
	need := r.params.Need(fact.Kind)
	switch {
	case yes >= need:
		if fact.State != registry.ProposalApproved {
			fact.State, fact.Due = registry.ProposalApproved, r.time+max(fact.Lock, r.params.TimeLock)
		}
	case no > r.params.Members || r.params.Members-no < need:
		fact.State, fact.Due = registry.ProposalRejected, 0
	default:
		fact.State, fact.Due = registry.ProposalVoting, 0
	}
	return nil
}

// present counts those that are members now.
func present(state reader, ids []string) (uint64, error) {
	var n uint64
	for _, id := range ids {
		m, _, err := readFact[registry.MemberFact](state, registry.MemberFamily(id))
		if err != nil {
			return 0, err
		}
		if m != nil && m.Removed == 0 {
			n++
		}
	}
	return n, nil
}

// keep writes a proposal, and takes it off the list when it is closed.
func (r *run) keep(w *writer, n uint64, fact *registry.ProposalFact) error {
	if fact.State != registry.ProposalVoting && fact.State != registry.ProposalApproved {
		fact.Closed = r.height
		all, err := readProposals(w)
		if err != nil {
			return err
		}
		all.Open = slices.DeleteFunc(slices.Clone(all.Open), func(o uint64) bool { return o == n })
		w.plain(registry.ProposalsKey(), all)
	}
	w.fact(registry.ProposalFamily(n), *fact)
	return w.err
}

// proposals is the beginning of a block: what is due executes, what is too old expires.
func (r *run) proposals() error {
	all, err := readProposals(r.state)
	if err != nil {
		return err
	}
	for _, n := range all.Open {
		fact, err := readProposal(r.state, n)
		if err != nil {
			return err
		}
		if err := r.due(n, fact); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) due(n uint64, fact *registry.ProposalFact) error {
	w := &writer{overlay: r.state, height: r.height}
	was := fact.State
	if was == registry.ProposalApproved && r.time >= fact.Due {
		if err := r.judge(r.state, fact); err != nil { // members and threshold may have changed since
			return err
		}
		if fact.State == registry.ProposalApproved {
			if err := r.execute(n, fact, w); err != nil {
				return err
			}
		}
	}
	if fact.State == registry.ProposalVoting && r.time >= fact.Expires {
		fact.State = registry.ProposalExpired
	}
	if fact.State == was {
		return nil
	}
	return r.keep(w, n, fact)
}

// execute judges the proposed operation on the state as it is now.
func (r *run) execute(n uint64, fact *registry.ProposalFact, w *writer) error {
	op, err := readProposed(r.state, n)
	if err != nil {
		return err
	}
	before, err := earlier(op, r.state)
	if err != nil {
		return err
	}
	no := error(registry.Refuse(registry.CodeDuplicate, "executed before"))
	if before.Code != registry.CodeOK {
		begin := r.state.mark()
		iw := &writer{overlay: r.state, height: r.height}
		d := deciding{run: r, parsed: &parsed{op: op}, op: op, w: iw, decided: true}
		if no = d.carried(op, iw); no == nil {
			no = iw.err
		}
		if no != nil {
			r.state.takeBack(begin)
		}
	}
	out, err := outcomeOf(op.Hash[:], r.height, no)
	if err != nil {
		return err
	}
	fact.State, fact.Code = registry.ProposalFailed, registry.Code(out.Code)
	if no == nil {
		fact.State = registry.ProposalExecuted
		if err := r.reload(op.Kind(), r.state); err != nil {
			return err
		}
	}
	if before.Code != registry.CodeOK {
		w.plain(registry.OutcomeKey(op.Hash), registry.OutcomeFact{Height: r.height, Code: fact.Code})
	}
	return w.err
}

// carried decides an operation that a proposal carries.
func (d *deciding) carried(op *registry.SignedOperation, w *writer) error {
	inner := deciding{run: d.run, parsed: &parsed{op: op}, op: op, w: w, approved: true, decided: d.decided}
	return d.run.decide(&inner)
}

func readProposals(state reader) (registry.ProposalsFact, error) {
	all, err := readPlain[registry.ProposalsFact](state, registry.ProposalsKey())
	if err != nil || all == nil {
		return registry.ProposalsFact{}, err
	}
	return *all, nil
}

func readProposal(state reader, n uint64) (*registry.ProposalFact, error) {
	fact, _, err := readFact[registry.ProposalFact](state, registry.ProposalFamily(n))
	if err == nil && fact == nil {
		err = errors.New("chain: an open proposal is not in the state")
	}
	return fact, err
}

func readProposed(state reader, n uint64) (*registry.SignedOperation, error) {
	content, err := readPlain[registry.ProposalContent](state, registry.ProposalContentKey(n))
	if err == nil && content == nil {
		err = errors.New("chain: a proposal without its content")
	}
	if err != nil {
		return nil, err
	}
	return content.Proposed()
}
