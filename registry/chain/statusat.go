package chain

import (
	"errors"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// StatusAt is the status epoch of an issuer that stood at a moment before the header of version+1, by the state of that version (0:
// the newest): what an Evidence of that state proves for the moment. The zero time: that state's latest. Errors: ErrVersion;
// registry.ErrNotFound: there was none yet.
func (m *Machine) StatusAt(version uint64, d registry.DID, t time.Time) (registry.StatusFact, error) {
	tree, _, err := m.version(version)
	if err != nil {
		return registry.StatusFact{}, err
	}
	height := uint64(0)
	if !t.IsZero() {
		header, err := m.HeightAt(t)
		if err != nil {
			return registry.StatusFact{}, err
		}
		if header < 2 { // its time is the first at which operations of the height before count
			return registry.StatusFact{}, registry.ErrNotFound
		}
		height = header - 1
	}
	fact, _, err := factAt[registry.StatusFact](treeReader{tree}, registry.StatusFamily(d), height)
	if err != nil {
		return registry.StatusFact{}, err
	}
	return *fact, nil
}

// A StatusLeaf is a status epoch that was replaced, and from which height on to which it stood.
type StatusLeaf struct {
	Since, Until uint64
	Root         [32]byte
}

// ReplacedStatus calls f for an issuer's status epochs that were replaced and began at a height or later, oldest first, until f
// returns false. Error: registry.ErrNotFound while nothing is committed.
func (m *Machine) ReplacedStatus(d registry.DID, from uint64, f func(StatusLeaf) bool) error {
	family := registry.StatusFamily(d)
	var fault error
	err := m.Range(family.At(from), family.Latest(), func(_, value []byte) bool { // at/… sorts before latest
		var leaf registry.Leaf
		var fact registry.StatusFact
		if fault = registry.Decode(value, &leaf); fault == nil {
			fault = registry.Decode(leaf.Fact, &fact)
		}
		return fault == nil && f(StatusLeaf{Since: leaf.Since, Until: leaf.Until, Root: fact.Root})
	})
	return errors.Join(err, fault)
}

// AccreditedSince is the height from which on an issuer had an accreditation, in force or not. Error: registry.ErrNotFound: it never had one.
func (m *Machine) AccreditedSince(d registry.DID) (uint64, error) {
	since, some := uint64(0), false
	var fault error
	err := m.Iterate([]byte("d/"+d.ID()+"/accr/"), func(_, value []byte) bool {
		var leaf registry.Leaf
		if fault = registry.Decode(value, &leaf); fault != nil {
			return false
		}
		if !some || leaf.Since < since {
			since, some = leaf.Since, true
		}
		return true
	})
	if err = errors.Join(err, fault); err == nil && !some {
		err = registry.ErrNotFound
	}
	return since, err
}
