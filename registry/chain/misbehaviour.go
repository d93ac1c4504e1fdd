package chain

import (
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/dojang-id/dojang/registry"
)

// A Misbehaviour is a proof, agreed on with the block that holds it, that a validator signed two things for one height.
type Misbehaviour struct {
	Height    uint64   // for which it signed them
	Validator [20]byte // the engine's address of its key
}

// takesEffect is how many blocks after a decision the engine's validators follow it.
const takesEffect = 2

// misbehaved takes the power of validators that a block proves to have signed twice, without a vote (H20).
func (r *run) misbehaved(proofs []Misbehaviour) error {
	for _, m := range proofs {
		if err := r.punish(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) punish(m Misbehaviour) error {
	set, err := readValidators(r.state)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(set, func(v registry.ValidatorFact) bool { return addressOf(v.Key) == m.Validator })
	if i < 0 || len(set) < minValidators { // removed meanwhile; or too few to go on without one: the members decide
		return nil
	}
	family := registry.MisbehaviourFamily(set[i].Key)
	old, leaf, err := readFact[registry.MisbehaviourFact](r.state, family)
	if err != nil {
		return err
	}
	if old != nil && m.Height < leaf.Since+takesEffect { // done before it was punished; the members may have let it in again
		return nil
	}
	next, err := r.without(set, i)
	if err != nil {
		return err
	}
	fact := registry.MisbehaviourFact{Height: m.Height, Operator: set[i].Operator, Power: set[i].Power, Left: powerOf(next, set[i].Key)}
	if old != nil && fact.Left == fact.Power {
		return nil // nothing new, and nothing more to take
	}
	w := &writer{overlay: r.state, height: r.height}
	w.fact(family, fact)
	if fact.Left != fact.Power {
		w.fact(registry.ValidatorsFamily(), registry.ValidatorsFact{Validators: next})
	}
	return w.err
}

// without is the set without a validator; where the rules for the set do not allow that (too few would be left, or somebody
// would get a third), with the least of its power; and where they do not allow that either, the set as it is.
func (r *run) without(set []registry.ValidatorFact, i int) ([]registry.ValidatorFact, error) {
	least := slices.Clone(set)
	least[i].Power = 1
	for _, next := range [][]registry.ValidatorFact{slices.Delete(slices.Clone(set), i, i+1), least} {
		switch err := r.allowedValidators(len(set), next); {
		case err == nil:
			return next, nil
		case !errors.As(err, new(*registry.Refusal)):
			return nil, err
		}
	}
	return set, nil
}

// addressOf is how the engine names a validator's key.
func addressOf(key [32]byte) [20]byte {
	sum := sha256.Sum256(key[:])
	return [20]byte(sum[:20])
}
