package chain_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

// TestGovernanceProperties runs random proposals, votes, removals and floods on two machines, one of which also checks
// transactions beforehand and is restarted: the same app hashes, and after every block the invariants of governance.
func TestGovernanceProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(2, 6).Draw(rt, "members")
		k := rapid.IntRange(n/2+1, n).Draw(rt, "threshold")
		c := chaintest.New(rt, chaintest.Config{Members: n, Threshold: k, Genesis: func(g *chain.Genesis) {
			g.Development, g.Governance, g.Validators = false, chaintest.ByVote(), chaintest.GenesisValidators(n)
			g.Governance.TimeLock = int64(rapid.IntRange(0, 5).Draw(rt, "lock"))
			g.Governance.Voting = 15
		}})
		db := chain.NewMemory()
		twin, err := chain.New(db, chain.Config{})
		if err == nil {
			_, err = twin.InitGenesis(c.Genesis, 1)
		}
		if err != nil {
			rt.Fatal(err)
		}
		follow := func(txs [][]byte, proofs ...chain.Misbehaviour) {
			h := c.Headers[len(c.Headers)-1]
			if _, _, err := twin.Execute(chain.Block{Height: h.Height, Time: h.Time, Hash: h.Hash(), Point: h.Point().Nodes, Misbehaviours: proofs, Txs: txs}); err != nil {
				rt.Fatal(err)
			}
			if err := twin.Commit(); err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(twin.Info().AppHash, c.Machine.Info().AppHash) {
				rt.Fatalf("app hashes differ at height %d", h.Height)
			}
		}
		follow(nil)
		nonces := map[int]uint64{}
		g := governor{rt: rt, c: c, agency: agency(c, "gaon")}
		follow(c.Blocks[c.Height()])
		for range rapid.IntRange(5, 40).Draw(rt, "blocks") {
			var txs [][]byte
			for range rapid.IntRange(0, 3).Draw(rt, "transactions") {
				member := rapid.IntRange(1, 7).Draw(rt, "sponsor") // member 0's nonces are the harness's
				nonces[member]++
				tx := c.TxOf(member, nonces[member], g.operation())
				if rapid.Bool().Draw(rt, "checked") {
					twin.CheckTx(tx)
				}
				txs = append(txs, tx)
			}
			before := c.Machine.Info().Params
			var proofs []chain.Misbehaviour
			if rapid.IntRange(0, 9).Draw(rt, "misbehaviour") == 0 {
				proofs = append(proofs, proof(rapid.IntRange(0, 7).Draw(rt, "who"), rapid.Uint64Range(1, c.Height()).Draw(rt, "when")))
			}
			c.Misbehaviours = proofs
			c.Block(txs...)
			follow(txs, proofs...)
			g.invariants(before)
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				if twin, err = chain.New(db, chain.Config{}); err != nil {
					rt.Fatal(err)
				}
			}
		}
	})
}

type governor struct {
	rt     *rapid.T
	c      *chaintest.Chain
	agency *chaintest.Agency
	made   uint64
}

func (g *governor) operation() []byte {
	rt := g.rt
	member := rapid.IntRange(0, 7).Draw(rt, "member")
	all, err := g.c.Machine.Proposals()
	if err != nil {
		rt.Fatal(err)
	}
	if all.Count > 0 && rapid.IntRange(0, 3).Draw(rt, "vote or propose") > 0 {
		from := max(1, int(all.Count)-4)
		return g.c.Vote(member, uint64(rapid.IntRange(from, int(all.Count)).Draw(rt, "proposal")), rapid.IntRange(0, 4).Draw(rt, "approve") > 0)
	}
	g.made++
	op := registry.Operation{Seq: g.made}
	switch rapid.IntRange(0, 7).Draw(rt, "kind") {
	case 0:
		op.Body = newMember(rapid.IntRange(0, 9).Draw(rt, "new"))
	case 1:
		op.Body = &registry.MemberRemoveBody{ID: chaintest.MemberID(rapid.IntRange(0, 7).Draw(rt, "old"))}
	case 2:
		op.Body = &registry.ThresholdBody{K: uint64(rapid.IntRange(1, 7).Draw(rt, "k"))}
	case 3:
		v := chaintest.Validator(rapid.IntRange(0, 9).Draw(rt, "validator"), uint64(rapid.IntRange(0, 30).Draw(rt, "power")))
		body := &registry.ValidatorBody{Key: v.Key, Power: v.Power}
		if v.Power > 0 {
			body.Operator, body.Site = v.Operator, v.Site
		}
		op.Body = body
	case 4:
		op = accreditOf(g.agency)
	case 7:
		op.Body = someParams(rt)
	case 6:
		op.Body = &registry.MemberKeysBody{ID: chaintest.MemberID(rapid.IntRange(0, 7).Draw(rt, "whose")), Sponsor: chaintest.Sponsor(rapid.IntRange(20, 29).Draw(rt, "gateway")).Public}
	case 5: // signed together, which is not allowed here
		op.Body = &registry.ThresholdBody{K: uint64(rapid.IntRange(1, 7).Draw(rt, "k"))}
		var keys []registry.SigningKey
		for i := range 7 {
			keys = append(keys, chaintest.Member(i))
		}
		return g.c.Op(op, keys...)
	}
	return g.c.Proposal(member, op)
}

// someParams are within bounds and without.
func someParams(rt *rapid.T) *registry.ParamsBody {
	b := &registry.ParamsBody{}
	for i, f := range []**uint64{&b.QuotaOps, &b.QuotaBlocks, &b.EpochInterval, &b.Heartbeat, &b.TimeLock, &b.Voting, &b.Emergency, &b.EmergencyHold} {
		if i == 0 || rapid.IntRange(0, 3).Draw(rt, "set") == 0 {
			*f = new(rapid.SampledFrom([]uint64{0, 1, 2, 3, 4, 99, 100, 1000, 3600, 3601, 60_000, 1 << 40}).Draw(rt, "value"))
		}
	}
	return b
}

func (g *governor) invariants(before registry.ParamsFact) {
	rt, p := g.rt, g.c.Machine.Info().Params
	var present []string
	for i := range 12 {
		m, _, err := g.c.Machine.Member(chaintest.MemberID(i))
		if err == nil && m.Removed == 0 {
			present = append(present, chaintest.MemberID(i))
		}
	}
	if uint64(len(present)) != p.Members || p.Threshold < registry.Majority(p.Members) || p.Threshold > p.Members {
		rt.Fatalf("%d present, parameters %+v", len(present), p)
	}
	if (p.Emergency == 0) != (p.EmergencyHold == 0) || p.Emergency > p.Threshold || p.Emergency == 1 && p.Members > 2 {
		rt.Fatalf("an emergency of %d: %+v", p.Emergency, p)
	}
	if p.QuotaOps != 0 && p.QuotaOps < 100 || p.QuotaBlocks == 0 || p.Heartbeat < 100 || p.Heartbeat > 60_000 || p.EpochInterval == 0 || p.EpochInterval > 3600 {
		rt.Fatalf("out of bounds: %+v", p)
	}
	g.validators()
	all, err := g.c.Machine.Proposals()
	if err != nil {
		rt.Fatal(err)
	}
	height, changed := g.c.Height(), false
	for n := uint64(1); n <= all.Count; n++ {
		f, _, err := g.c.Machine.Proposal(n)
		if err != nil {
			rt.Fatal(err)
		}
		open := f.State == registry.ProposalVoting || f.State == registry.ProposalApproved
		if open != slices.Contains(all.Open, n) || open != (f.Closed == 0) {
			rt.Fatalf("proposal %d is %s, open are %v", n, f.State, all.Open)
		}
		voters := slices.Concat(f.Yes, f.No)
		slices.Sort(voters)
		if len(slices.Compact(voters)) != len(f.Yes)+len(f.No) {
			rt.Fatalf("proposal %d: a member has two votes: %v %v", n, f.Yes, f.No)
		}
		if f.State != registry.ProposalExecuted || f.Closed != height {
			continue
		}
		changed = true
		if now := g.c.Headers[height-1].Time.Unix(); now < f.Due || f.Due < f.Opened+f.Lock {
			rt.Fatalf("proposal %d executed before its time lock", n)
		}
		if uint64(len(f.Yes)) < min(before.Threshold, before.Members-1) || uint64(len(f.Yes)) < registry.Majority(before.Members) {
			rt.Fatalf("proposal %d executed with %v of %+v", n, f.Yes, before)
		}
	}
	if !changed && fmt.Sprint(before) != fmt.Sprint(p) {
		rt.Fatalf("parameters changed without a proposal: %+v, %+v", before, p)
	}
}

// validators: once there are four, there are four, and nobody has a third.
func (g *governor) validators() {
	set, err := g.c.Machine.Validators()
	if err != nil {
		g.rt.Fatal(err)
	}
	var total, most uint64
	for _, v := range set {
		total, most = total+v.Power, max(most, v.Power)
	}
	if founders := len(g.c.Genesis.Validators); founders >= 4 && (len(set) < 4 || most*3 >= total) {
		g.rt.Fatalf("validators %+v", set)
	}
}
