package chain_test

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// proof is what a block proves against validator i: that it signed twice for a height.
func proof(i int, height uint64) chain.Misbehaviour {
	key := chaintest.Validator(i, 1).Key
	sum := sha256.Sum256(key[:])
	return chain.Misbehaviour{Height: height, Validator: [20]byte(sum[:20])}
}

// power of validator i in the set that the chain wants.
func power(t *testing.T, c *chaintest.Chain, i int) uint64 {
	t.Helper()
	set, err := c.Machine.Validators()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(set, func(v registry.ValidatorFact) bool { return v.Key == chaintest.Validator(i, 1).Key })
	if at < 0 {
		return 0
	}
	return set[at].Power
}

// proven makes a block that proves misbehaviours, and returns what it changes of the validators.
func proven(c *chaintest.Chain, proofs ...chain.Misbehaviour) (updates []chain.ValidatorUpdate) {
	c.Executed = func(m *chain.Machine) { updates = append(updates, m.ValidatorUpdates()...) }
	c.Misbehaviours = proofs
	c.Block()
	c.Executed = nil
	return updates
}

func punished(t *testing.T, c *chaintest.Chain, i int) *registry.MisbehaviourFact {
	t.Helper()
	key := registry.MisbehaviourFamily(chaintest.Validator(i, 1).Key).Latest()
	f, err := evidence.Check(c.Evidence(chain.Query{Raw: [][]byte{key}}), c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Get(key)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	var leaf registry.Leaf
	fact := &registry.MisbehaviourFact{}
	if err == nil {
		err = registry.Decode(b, &leaf)
	}
	if err == nil {
		err = registry.Decode(leaf.Fact, fact)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fact
}

func TestMisbehaviour(t *testing.T) {
	again := func(c *chaintest.Chain, i int) registry.Operation {
		v := chaintest.Validator(i, 10)
		return registry.Operation{Seq: c.Height(), Body: &registry.ValidatorBody{Key: v.Key, Power: v.Power, Operator: v.Operator, Site: v.Site}}
	}
	t.Run("H20 of five the one that signed twice is removed, and the proof stays on the chain", func(t *testing.T) {
		c := council(t, 5, 3)
		got := proven(c, proof(2, 1))
		if want := []chain.ValidatorUpdate{{Key: chaintest.Validator(2, 0).Key}}; !slices.Equal(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		want(t, "recorded", *punished(t, c, 2), registry.MisbehaviourFact{Height: 1, Operator: chaintest.MemberID(2), Power: 10})
		want(t, "its operator still is a member", c.Machine.Info().Params.Members, 5)
		want(t, "the same proof again", len(proven(c, proof(2, 1))), 0)
	})
	t.Run("H20 of four it keeps the least, so that nobody gets a third", func(t *testing.T) {
		c := council(t, 4, 3)
		want(t, "updates", len(proven(c, proof(3, 1))), 1)
		want(t, "left", power(t, c, 3), 1)
		want(t, "recorded", *punished(t, c, 3), registry.MisbehaviourFact{Height: 1, Operator: chaintest.MemberID(3), Power: 10, Left: 1})
		before := c.Machine.Info().AppHash
		want(t, "it goes on, nothing is left to take", len(proven(c, proof(3, c.Height()+2))), 0)
		want(t, "and nothing is written", string(c.Machine.Info().AppHash), string(before))
	})
	t.Run("let in again, what it did before does not count, what it does then does", func(t *testing.T) {
		c := council(t, 5, 3)
		proven(c, proof(2, 1))
		at := c.Height()
		want(t, "voted in", decide(t, c, again(c, 2), 0, 1, 3).State, registry.ProposalExecuted)
		want(t, "old", len(proven(c, proof(2, 1), proof(2, at+1))), 0)
		want(t, "power", power(t, c, 2), 10)
		want(t, "new", len(proven(c, proof(2, at+2))), 1)
		want(t, "power", power(t, c, 2), 0)
	})
	t.Run("never more than a third of the power in one block", func(t *testing.T) {
		c := council(t, 4, 3)
		proven(c, proof(0, 1), proof(1, 1))
		want(t, "first", power(t, c, 0), 1)
		want(t, "second", power(t, c, 1), 10)
		want(t, "recorded all the same", *punished(t, c, 1), registry.MisbehaviourFact{Height: 1, Operator: chaintest.MemberID(1), Power: 10, Left: 10})
	})
	for name, c := range map[string]*chaintest.Chain{
		"somebody unknown":                 council(t, 4, 3),
		"three validators: members decide": council(t, 3, 2),
		"a chain that names no validators": chaintest.New(t, chaintest.Config{}),
	} {
		t.Run(name, func(t *testing.T) {
			before := c.Machine.Info().AppHash
			m := proof(2, 1)
			if len(c.Genesis.Validators) == 4 {
				m.Validator[0] ^= 1
			}
			want(t, "updates", len(proven(c, m)), 0)
			want(t, "state", string(c.Machine.Info().AppHash), string(before))
		})
	}
}
