package chain_test

import (
	"errors"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

// upgrading is a council whose release knows the rules up to a version; told is what the engine hears, by height.
func upgrading(t *testing.T, known uint64) (c *chaintest.Chain, told map[uint64]uint64) {
	t.Helper()
	c = chaintest.New(t, chaintest.Config{Members: 3, Threshold: 2, Machine: chain.Config{Version: known}, Genesis: func(g *chain.Genesis) {
		g.Development, g.Governance = false, chaintest.ByVote()
	}})
	told = map[uint64]uint64{}
	c.Executed = func(m *chain.Machine) {
		if v := m.Upgrade(); v != 0 {
			told[m.Info().Height+1] = v // the executed block, which is not committed
		}
	}
	return c, told
}

func upgradeTo(version, height uint64) registry.Operation {
	return registry.Operation{Seq: height, Body: &registry.UpgradeBody{Version: version, Height: height}}
}

func TestUpgrade(t *testing.T) {
	t.Run("the engine is told one block before, once", func(t *testing.T) {
		c, told := upgrading(t, 3)
		want(t, "decided", decide(t, c, upgradeTo(2, 1000), 0, 1).State, registry.ProposalExecuted)
		from := c.Height() + 30
		want(t, "brought forward", decide(t, c, upgradeTo(2, from), 0, 1).State, registry.ProposalExecuted)
		for c.Height() < from+2 {
			c.Block()
		}
		want(t, "times told", len(told), 1)
		want(t, "version", told[from-1], 2)
		p := c.Machine.Info().Params
		want(t, "before", p.VersionAt(from-1), 1)
		want(t, "after", p.VersionAt(from), 2)
		next := c.Height() + 40
		want(t, "the one after it", decide(t, c, upgradeTo(3, next), 0, 1).State, registry.ProposalExecuted)
		p = c.Machine.Info().Params
		want(t, "now", p.VersionAt(c.Height()), 2)
		for c.Height() < next {
			c.Block()
		}
		want(t, "version", told[next-1], 3)
		want(t, "times told", len(told), 2)
	})
	t.Run("refused", func(t *testing.T) {
		c, told := upgrading(t, 3)
		for name, tc := range map[string]struct {
			op   registry.Operation
			code registry.Code
		}{
			"a version left out": {upgradeTo(3, 1000), registry.CodeNotAllowed},
			"a height that is":   {upgradeTo(2, c.Height()+1), registry.CodeTooSoon},
			"the next height":    {upgradeTo(2, c.Height()+2), registry.CodeTooSoon},
		} {
			if got := code(c, c.Proposal(0, tc.op)); got != tc.code {
				t.Errorf("%s: %s", name, got)
			}
		}
		late := decide(t, c, upgradeTo(2, c.Height()+6), 0, 1) // over before the time lock
		want(t, "late", late.State, registry.ProposalFailed)
		want(t, "code", late.Code, registry.CodeTooSoon)
		want(t, "told", len(told), 0)
		p := c.Machine.Info().Params
		want(t, "version", p.VersionAt(1<<40), 1)
	})
	t.Run("a release that does not know the rules executes nothing", func(t *testing.T) {
		c, told := upgrading(t, 1)
		from := c.Height() + 30
		want(t, "decided", decide(t, c, upgradeTo(2, from), 0, 1).State, registry.ProposalExecuted)
		for c.Height() < from-1 {
			if err := c.Machine.Outdated(); err != nil {
				t.Fatal(err)
			}
			c.Block()
		}
		want(t, "told, as by every release", told[from-1], 2)
		if err := c.Machine.Outdated(); !errors.Is(err, chain.ErrUpgrade) {
			t.Fatalf("outdated: %v", err)
		}
		before := c.Machine.Info()
		if _, err := c.TryBlock(); !errors.Is(err, chain.ErrUpgrade) {
			t.Fatalf("executed: %v", err)
		}
		if after := c.Machine.Info(); after.Height != before.Height || string(after.AppHash) != string(before.AppHash) {
			t.Fatal("something changed")
		}
	})
}
