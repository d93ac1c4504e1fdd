package chain_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

func setting(f func(*registry.ParamsBody)) registry.Operation {
	b := &registry.ParamsBody{}
	f(b)
	return registry.Operation{Body: b}
}

func TestParams(t *testing.T) {
	const hour = 3600
	t.Run("all of them, by vote and after the time lock", func(t *testing.T) {
		c := council(t, 4, 3)
		op := setting(func(b *registry.ParamsBody) {
			b.QuotaOps, b.QuotaBlocks, b.EpochInterval, b.Heartbeat = new(uint64(500)), new(uint64(20)), new(uint64(30)), new(uint64(2000))
			b.TimeLock, b.Voting, b.Emergency, b.EmergencyHold = new(uint64(2*hour)), new(uint64(3*hour)), new(uint64(3)), new(uint64(4*hour))
		})
		before := c.Machine.Info().Params
		want(t, "signed together", code(c, c.Op(op, chaintest.Member(0), chaintest.Member(1), chaintest.Member(2), chaintest.Member(3))), registry.CodeThreshold)
		c.Must(c.Proposal(0, op))
		c.Must(c.Vote(1, 1, true), c.Vote(2, 1, true))
		want(t, "in the time lock", c.Machine.Info().Params, before)
		c.Pass(12)
		want(t, "state", state(t, c, 1).State, registry.ProposalExecuted)
		p := before
		p.QuotaOps, p.QuotaBlocks, p.EpochInterval, p.Heartbeat = 500, 20, 30, 2000
		p.TimeLock, p.Voting, p.Emergency, p.EmergencyHold = 2*hour, 3*hour, 3, 4*hour
		want(t, "parameters", c.Machine.Info().Params, p)
		want(t, "the same again", code(c, c.Proposal(0, op)), registry.CodeExists)
		all, err := c.Machine.Proposals()
		if err != nil || all.Count != 1 {
			t.Fatalf("%+v %v", all, err)
		}
	})
	t.Run("out of bounds", func(t *testing.T) {
		c := council(t, 4, 3)
		for name, f := range map[string]func(b *registry.ParamsBody){
			"no time to object":                  func(b *registry.ParamsBody) { b.TimeLock = new(uint64(hour - 1)) },
			"a time lock without an end":         func(b *registry.ParamsBody) { b.TimeLock = new(uint64(366*24*hour + 1)) },
			"no time to vote":                    func(b *registry.ParamsBody) { b.Voting = new(uint64(0)) },
			"one suspends alone":                 func(b *registry.ParamsBody) { b.Emergency = new(uint64(1)) },
			"the few more than the many":         func(b *registry.ParamsBody) { b.Emergency = new(uint64(4)) },
			"an emergency without a duration":    func(b *registry.ParamsBody) { b.EmergencyHold = new(uint64(0)) },
			"a duration without an emergency":    func(b *registry.ParamsBody) { b.Emergency = new(uint64(0)) },
			"an emergency of two months":         func(b *registry.ParamsBody) { b.EmergencyHold = new(uint64(60 * 24 * hour)) },
			"no quota at all":                    func(b *registry.ParamsBody) { b.QuotaOps, b.Voting = new(uint64(0)), new(uint64(hour)) },
			"a quota too small to vote with":     func(b *registry.ParamsBody) { b.QuotaOps = new(uint64(99)) },
			"no window":                          func(b *registry.ParamsBody) { b.QuotaBlocks = new(uint64(0)) },
			"a window of a year":                 func(b *registry.ParamsBody) { b.QuotaBlocks = new(uint64(10_001)) },
			"revocations wait":                   func(b *registry.ParamsBody) { b.EpochInterval = new(uint64(hour + 1)) },
			"a status epoch in every block":      func(b *registry.ParamsBody) { b.EpochInterval = new(uint64(0)) },
			"blocks without a pause":             func(b *registry.ParamsBody) { b.Heartbeat = new(uint64(99)) },
			"a clock nobody can date by":         func(b *registry.ParamsBody) { b.Heartbeat = new(uint64(60_001)) },
			"one that is right does not help it": func(b *registry.ParamsBody) { b.Heartbeat, b.Voting = new(uint64(1000)), new(uint64(1)) },
		} {
			want(t, name, code(c, c.Proposal(0, setting(f))), registry.CodeNotAllowed)
		}
		all, err := c.Machine.Proposals()
		if err != nil || all.Count != 0 {
			t.Fatalf("%+v %v", all, err)
		}
	})
	t.Run("a development network may have what its genesis may", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Members: 3, Threshold: 2})
		op := setting(func(b *registry.ParamsBody) {
			b.TimeLock, b.Voting, b.Emergency, b.EmergencyHold = new(uint64(0)), new(uint64(1)), new(uint64(1)), new(uint64(1))
			b.QuotaOps, b.EpochInterval, b.Heartbeat = new(uint64(1)), new(uint64(0)), new(uint64(100))
		})
		want(t, "one signs", code(c, c.Op(op, chaintest.Member(0))), registry.CodeThreshold)
		want(t, "two sign together", code(c, c.Op(op, chaintest.Member(0), chaintest.Member(2))), registry.CodeOK)
		want(t, "voting", c.Machine.Info().Params.Voting, 1)
	})
	t.Run("malformed", func(t *testing.T) {
		empty := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, Body: &registry.ParamsBody{}}
		if _, err := empty.Payload(); !errors.Is(err, registry.ErrMalformed) {
			t.Fatalf("nothing set: %v", err)
		}
		empty.Body = &registry.ParamsBody{Voting: new(uint64(1<<40 + 1))}
		if _, err := empty.Payload(); !errors.Is(err, registry.ErrLimit) {
			t.Fatalf("too large: %v", err)
		}
	})
	t.Run("H08 a time lock is never shortened for what is open", func(t *testing.T) {
		c := council(t, 4, 3)
		lock := func(seconds uint64) registry.Operation {
			return setting(func(b *registry.ParamsBody) { b.TimeLock = &seconds })
		}
		want(t, "two hours", decide(t, c, lock(2*hour), 0, 1, 2).State, registry.ProposalExecuted)
		a := agency(c, "gaon")
		op := lock(hour)
		op.Seq = 1
		c.Must(c.Proposal(0, op), c.Proposal(1, accreditOf(a))) // 2: shorter; 3: opened under the longer one
		c.Must(c.Vote(1, 2, true), c.Vote(2, 2, true))
		c.Time = c.Time.Add(2 * hour * time.Second)
		c.Pass(2)
		want(t, "shortened", c.Machine.Info().Params.TimeLock, hour)
		want(t, "expired in between", state(t, c, 3).State, registry.ProposalExpired)

		op = lock(2 * hour)
		op.Seq = 2
		c.Must(c.Proposal(0, setting(func(b *registry.ParamsBody) { b.Voting = new(uint64(24 * hour)) }))) // 4
		c.Must(c.Vote(1, 4, true), c.Vote(2, 4, true))
		c.Time = c.Time.Add(hour * time.Second)
		c.Pass(2)
		want(t, "votes for a day", c.Machine.Info().Params.Voting, 24*hour)
		c.Must(c.Proposal(0, op)) // 5: two hours again
		c.Must(c.Vote(1, 5, true), c.Vote(2, 5, true))
		c.Time = c.Time.Add(hour * time.Second)
		c.Pass(2)
		want(t, "longer", c.Machine.Info().Params.TimeLock, 2*hour)
		op = lock(hour)
		op.Seq = 3
		c.Must(c.Proposal(0, op), c.Proposal(1, accreditOf(a))) // 6 and 7, both under two hours
		c.Must(c.Vote(1, 6, true), c.Vote(2, 6, true))
		c.Time = c.Time.Add(2 * hour * time.Second)
		c.Pass(2)
		want(t, "shorter again", c.Machine.Info().Params.TimeLock, hour)
		c.Must(c.Vote(0, 7, true), c.Vote(2, 7, true))
		p := state(t, c, 7)
		want(t, "the lock that it was opened under", p.Due, c.Headers[c.Height()-1].Time.Unix()+2*hour)
		c.Time = c.Time.Add(hour * time.Second)
		c.Pass(2)
		want(t, "after the shorter one", state(t, c, 7).State, registry.ProposalApproved)
		c.Time = c.Time.Add(hour * time.Second)
		c.Pass(2)
		want(t, "after its own", state(t, c, 7).State, registry.ProposalExecuted)
	})
	t.Run("a quota is in force at once, for everybody", func(t *testing.T) {
		c := council(t, 4, 3)
		op := setting(func(b *registry.ParamsBody) { b.QuotaOps, b.QuotaBlocks = new(uint64(100)), new(uint64(10_000)) })
		want(t, "set", decide(t, c, op, 0, 1, 2).State, registry.ProposalExecuted)
		junk := c.Op(registry.Operation{Body: &registry.ThresholdBody{K: 9}}, chaintest.Member(0))
		var many [][]byte
		for range 101 {
			many = append(many, junk)
		}
		want(t, "more than the quota", c.Block(c.TxOf(1, 1, many...))[0].Code, registry.CodeQuota)
		want(t, "the quota", c.Block(c.TxOf(1, 2, many[:100]...))[0].Code, registry.CodeOK)
	})
	t.Run("a third member ends one member's emergencies", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Members: 2, Threshold: 2, Genesis: func(g *chain.Genesis) {
			g.Development, g.Governance = false, chaintest.ByVote()
			g.Governance.EmergencyThreshold = 1
		}})
		want(t, "added", decide(t, c, registry.Operation{Body: newMember(2)}, 0, 1).State, registry.ProposalExecuted)
		want(t, "members for an emergency", c.Machine.Info().Params.Emergency, 2)
		g := c.Genesis
		g.Members = chaintest.NewGenesis(3, 2).Members
		if _, err := g.Marshal(); !errors.Is(err, chain.ErrGenesis) {
			t.Fatalf("a genesis where one of three suspends alone: %v", err)
		}
	})
}
