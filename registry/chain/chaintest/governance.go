package chaintest

import (
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// Together are rules under which k of n sign operations together.
func Together() *chain.GenesisGovernance {
	return &chain.GenesisGovernance{Direct: true, Voting: 3600}
}

// ByVote are rules under which members vote: 10 s of time lock, 100 s to vote, two members for an emergency of 50 s.
func ByVote() *chain.GenesisGovernance {
	return &chain.GenesisGovernance{TimeLock: 10, Voting: 100, EmergencyThreshold: 2, EmergencyHold: 50}
}

// GenesisValidators are n validators of equal power at different bodies and sites.
func GenesisValidators(n int) []registry.ValidatorFact {
	var out []registry.ValidatorFact
	for i := range n {
		out = append(out, Validator(i, 10))
	}
	return out
}

// Validator is validator i with a power.
func Validator(i int, power uint64) registry.ValidatorFact {
	name := MemberID(i)
	k := NewKey("validator of " + name).Public()
	return registry.ValidatorFact{Key: [32]byte(k[10:]), Power: power, Operator: name, Site: "site-" + name}
}

// Proposal is a member's proposal of an operation.
func (c *Chain) Proposal(member int, op registry.Operation, keys ...registry.SigningKey) []byte {
	c.TB.Helper()
	op.Network, op.ChainID = c.Genesis.Network, c.Genesis.ChainID
	b, err := registry.Propose(MemberID(member), op, keys...)
	if err != nil {
		c.TB.Fatal(err)
	}
	c.proposals++
	return c.Op(registry.Operation{Seq: c.proposals, Body: b}, Member(member))
}

// Vote is a member's vote for what a proposal's newest state says it is.
func (c *Chain) Vote(member int, n uint64, approve bool) []byte {
	c.TB.Helper()
	p, _, err := c.Machine.Proposal(n)
	if err != nil {
		c.TB.Fatal(err)
	}
	return c.Op(registry.Operation{Body: &registry.VoteBody{Member: MemberID(member), N: n, Proposal: p.Hash, Approve: approve}}, Member(member))
}

// Pass makes empty blocks until so many seconds are over.
func (c *Chain) Pass(seconds int) {
	c.TB.Helper()
	for range seconds {
		c.Block()
	}
}
