package chain

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
)

func (d *deciding) openRound(b *registry.RoundOpenBody) error {
	family := registry.RoundFamily(d.op.DID, b.RoundRef)
	old, err := d.w.get(family.Latest())
	if err != nil {
		return err
	}
	if old != nil {
		return registry.Refuse(registry.CodeExists, "the round exists or existed")
	}
	accredited, err := d.inForce(&b.Via)
	if err != nil {
		return err
	}
	if accredited == nil {
		return registry.Refuse(registry.CodeNotAllowed, "no accreditation in force: not an issuer of record")
	}
	if b.Until <= d.time {
		return registry.Refuse(registry.CodeBadTime, "retention is over before it begins")
	}
	if _, err := d.byKeyOf(d.op.DID, registry.UseAssertion); err != nil {
		return err
	}
	d.w.fact(family, registry.RoundFact{Key: b.Key, Until: b.Until})
	d.w.plain(registry.RoundTreeKey(d.op.DID, b.RoundRef), registry.RoundTree{Root: emptyRoot, Frontier: [][]byte{}})
	return nil
}

func (d *deciding) round(ref registry.RoundRef) (*registry.RoundFact, error) {
	fact, _, err := readFact[registry.RoundFact](d.w, registry.RoundFamily(d.op.DID, ref))
	if err == nil && fact == nil {
		err = registry.Refuse(registry.CodeNotFound, "no such round")
	}
	return fact, err
}

func (d *deciding) closeRound(b *registry.RoundCloseBody) error {
	fact, err := d.round(b.RoundRef)
	if err != nil {
		return err
	}
	if fact.Closed != 0 {
		return registry.Refuse(registry.CodeNotAllowed, "the round is closed")
	}
	if _, err := d.byKeyOf(d.op.DID, registry.UseAssertion); err != nil {
		return err
	}
	fact.Closed = d.height
	d.w.fact(registry.RoundFamily(d.op.DID, b.RoundRef), *fact)
	return nil
}

// claim: the first wins.
func (d *deciding) claim(b *registry.ClaimBody) error {
	fact, err := d.round(b.RoundRef)
	if err != nil {
		return err
	}
	if fact.Closed != 0 {
		return registry.Refuse(registry.CodeNotAllowed, "the round is closed")
	}
	if err := d.By(registry.RoleClaim, fact.Key); err != nil {
		return err
	}
	key := registry.ClaimKey(d.op.DID, b.RoundRef, b.Tag)
	old, err := readPlain[registry.ClaimFact](d.w, key)
	switch {
	case err != nil:
		return err
	case old != nil && old.Case == b.Case:
		return registry.Refuse(registry.CodeDuplicate, "this claim stands")
	case old != nil:
		return registry.Refuse(registry.CodeDuplicateClaim, "claimed in this round")
	}
	d.w.plain(key, registry.ClaimFact{Case: b.Case})
	return d.grow(b)
}

// grow appends a tag to the tree of its round.
func (d *deciding) grow(b *registry.ClaimBody) error {
	key := registry.RoundTreeKey(d.op.DID, b.RoundRef)
	tree, err := readPlain[registry.RoundTree](d.w, key)
	if err != nil {
		return err
	}
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	grown, err := factory.NewRange(0, tree.Size, tree.Frontier)
	if err == nil {
		err = grown.Append(rfc6962.DefaultHasher.HashLeaf(b.Tag[:]), nil)
	}
	if err != nil {
		return fmt.Errorf("chain: tree of a round in state: %w", err)
	}
	root, err := grown.GetRootHash(nil)
	if err != nil {
		return fmt.Errorf("chain: tree of a round in state: %w", err)
	}
	d.w.plain(key, registry.RoundTree{Size: grown.End(), Root: [32]byte(root), Frontier: grown.Hashes()})
	return nil
}

// pruneRound takes the next tags away; the tree over them stays.
func (d *deciding) pruneRound(b *registry.RoundPruneBody) error {
	family := registry.RoundFamily(d.op.DID, b.RoundRef)
	fact, leaf, err := readFact[registry.RoundFact](d.w, family)
	if err != nil {
		return err
	}
	switch {
	case fact == nil:
		return registry.Refuse(registry.CodeNotFound, "no such round")
	case fact.Closed == 0 || fact.Ended != 0:
		return registry.Refuse(registry.CodeNotAllowed, "the round is not in a state for this")
	case d.time < fact.Until:
		return registry.Refuse(registry.CodeTooSoon, "retention is not over")
	case b.Destroyed > d.time+epochAhead:
		return registry.Refuse(registry.CodeBadTime, "destroyed in the future")
	case leaf.Since == d.height:
		return registry.Refuse(registry.CodeTooSoon, "closed or pruned in this block")
	}
	if _, err := d.byKeyOf(d.op.DID, registry.UseAssertion); err != nil {
		return err
	}
	tree, err := readPlain[registry.RoundTree](d.w, registry.RoundTreeKey(d.op.DID, b.RoundRef))
	if err != nil {
		return err
	}
	// Closed, and pruned at most once in this block: all that are left stand in the state before it.
	prefix := registry.ClaimPrefix(d.op.DID, b.RoundRef)
	keys, err := someKeysUnder(d.before, prefix, registry.PruneStep)
	if err != nil {
		return err
	}
	for _, k := range keys {
		d.w.remove(k)
	}
	fact.Pruned += uint64(len(keys))
	if fact.Pruned == tree.Size {
		fact.Ended = d.height
	}
	if b.Destroyed != 0 {
		fact.Destroyed = b.Destroyed
	}
	d.w.fact(family, *fact)
	return nil
}

func someKeysUnder(state reader, prefix []byte, n int) ([][]byte, error) {
	if c, ok := state.(cachedReader); ok {
		state = c.below
	}
	tree, ok := state.(treeReader)
	if !ok {
		return nil, fmt.Errorf("chain: a state without a tree")
	}
	return tree.some(prefix, n), nil
}
