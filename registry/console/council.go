package console

import (
	"context"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Council answers what the members decide, and by which rules.
type Council interface {
	Governance(context.Context) (Governance, error)
	// Proposals newest first, in one of the states, or in any; Page.After is the number of the last one shown.
	Proposals(context.Context, Page, ...registry.ProposalState) (List[Proposal], error)
	Proposal(context.Context, uint64) (ProposalDetail, error)
	// Emergencies by DID; Page.After is a DID's id.
	Emergencies(context.Context, Page) (List[Emergency], error)
	// Misbehaviours that blocks have proved, newest first.
	Misbehaviours(context.Context) ([]Misbehaviour, error)
}

// A Chronicle answers how facts became what they are, newest first.
type Chronicle interface {
	Accreditation(ctx context.Context, d registry.DID, vct string, n uint64) (Accreditation, []Change[Accreditation], error)
	Registration(ctx context.Context, d registry.DID, purpose string) (Registration, []Change[Registration], error)
	// Types that have a digest on the chain; Page.After is a vct.
	Types(context.Context, Page) (List[Type], error)
	Type(context.Context, string) (Type, []Change[Type], error)
	// Issuers are the accreditations for one type.
	Issuers(ctx context.Context, vct string, p Page) (List[Accreditation], error)
}

// Governance is the rules by which members decide, and the members.
type Governance struct {
	Rules
	Network string
	Members []Member // that are, and that were
	History []Change[Rules]
	Open    int    // proposals that are not closed
	Total   uint64 // proposals ever
}

// Rules of decisions. Durations of 0 are "at once".
type Rules struct {
	Members, Threshold    uint64 // k of n
	Removal               uint64 // votes for the removal of a member
	Direct                bool   // k of n may sign together without a vote
	TimeLock, Voting      time.Duration
	Emergency             uint64 // members for an emergency suspension; 0: there is none
	EmergencyHold         time.Duration
	QuotaOps, QuotaBlocks uint64
	EpochInterval         time.Duration
	Heartbeat             time.Duration
	Version               uint64 // of the rules that judge blocks
	Next, NextFrom        uint64 // the version after it, from a height on; 0: none is decided
	// Changed, in a history, are the parameters that are others than before.
	Changed []registry.ParamChange
}

// A Change is one version of a fact: what happened (change.<what> of texts), when, and by which decision.
type Change[T any] struct {
	What      string
	At        Moment
	Operation registry.Hash // zero: the leaf does not name it
	Proposals []uint64      // that decided it; none: signed without one
	Fact      T             // since then
}

// A Proposal in a list.
type Proposal struct {
	N                    uint64
	State                registry.ProposalState
	Kind                 registry.Kind
	About                registry.DID
	Proposer             string
	Opened, Expires, Due time.Time // Due: end of the time lock, zero before the approval
	Closed               Moment
	Code                 string // outcome of the execution
	Yes, No              int    // that count
	Need, Members        uint64 // votes it needs, of how many members: when it was closed, or now
}

// A ProposalDetail is all about one proposal.
type ProposalDetail struct {
	Proposal
	Operation registry.Hash // of what is proposed
	Body      registry.Body
	Seq       uint64
	Before    Before
	Votes     []Vote // of every member that is or voted
	Steps     []Step // in their order
}

// Before is what stood before the decision, of the sort that it changes.
type Before struct {
	Rules         *Rules
	Params        []registry.ParamChange // that a params body sets
	Power         uint64                 // of the validator
	Member        *Member
	Accreditation *Accreditation
	Registration  *Registration
}

// A Vote of a member. At is zero while there is none.
type Vote struct {
	Member    string
	Name      map[string]string
	Approve   bool
	At        Moment
	Operation registry.Hash
	Gone      bool // no member any more when it was counted
}

// A Step in the life of a proposal: opened, yes, no, or a state.
type Step struct {
	What   string // step.<what> of texts
	Member string
	At     Moment
}

// An Emergency is a suspension that few members decided at once.
type Emergency struct {
	DID     registry.DID
	Key     string // or
	Type    string // with
	N       uint64
	At      Moment
	Until   time.Time // it lapses by itself
	State   string    // em.<state> of texts: running, lapsed, confirmed, lifted
	Decided Moment    // of the last two
	By      []string  // members who signed, where the block is still here
}

// A Misbehaviour: a block proved that a validator signed two things for one height, and its power went down by itself.
type Misbehaviour struct {
	Key         string // of the validator, hex
	Operator    string
	Height      uint64 // for which it signed them
	Power, Left uint64 // before and after; Left 0: removed
	At          Moment
}

// A Type is the digest of a type's metadata.
type Type struct {
	VCT    string
	Digest [32]byte
	At     Moment
}

// Rounds answers about "claim once". Nothing here is about one claim.
type Rounds interface {
	Rounds(context.Context, Page) (List[Round], error) // Page.After: "<id>/<programme>/<round>"
	Round(context.Context, registry.DID, registry.RoundRef) (Round, error)
}

// A Round of a programme. Size and Root are shown when it is closed: a count that grows would date claims.
type Round struct {
	Issuer registry.DID
	registry.RoundRef
	State                 string // rd.<state> of texts: open, closed, pruning, ended
	Opened, Closed, Ended Moment
	Until                 time.Time // end of retention
	Destroyed             time.Time // the key, says the issuer
	Pruned, Size          uint64
	Root                  [32]byte
}
