package evidence

import (
	"errors"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Facts is what one checked Evidence says. It is a registry.Resolver: what it does not hold is registry.ErrUnavailable.
// Immutable, safe for concurrent use.
type Facts struct {
	network string
	tree    tree
	head    registry.Checked
	hash    hash
	points  []point // ascending by height, the head last
	status  *Status
}

var _ registry.Resolver = (*Facts)(nil)

// Head says under which header everything in here is proven.
func (f *Facts) Head() registry.Checked { return f.head }

// HeadHash is the hash of that header.
func (f *Facts) HeadHash() [32]byte { return f.hash }

// HeaderHash is the hash of a header that this Evidence proves by the header tree: with it in a HeaderCache, old
// Evidence under that header holds without any signature. ok is false when it is not in here.
func (f *Facts) HeaderHash(height uint64) (h [32]byte, ok bool) {
	i, ok := f.find(height)
	if !ok {
		return h, false
	}
	if f.points[i].nodes == nil {
		return f.hash, height == f.head.Height
	}
	return f.points[i].hash(), true
}

// Get answers for one leaf key: its value, registry.ErrNotFound when its absence is proven, registry.ErrUnavailable otherwise.
func (f *Facts) Get(key []byte) ([]byte, error) { return f.tree.get(key) }

// Status is the status list part: a record with its place in an epoch, and a chunk of the list, as internal/statuslist
// has them and verifies them against StatusEpoch's root. nil: there is none.
func (f *Facts) Status() *Status { return f.status }

func (f *Facts) find(height uint64) (int, bool) {
	return slices.BinarySearchFunc(f.points, height, func(p point, h uint64) int {
		if p.height < h {
			return -1
		} else if p.height > h {
			return 1
		}
		return 0
	})
}

func (f *Facts) addPoint(p point) {
	if i, ok := f.find(p.height); !ok {
		f.points = slices.Insert(f.points, i, p)
	}
}

// TimeOf is the time of operations of a height: that of the header after it. Error: registry.ErrUnavailable.
func (f *Facts) TimeOf(height uint64) (time.Time, error) {
	if i, ok := f.find(height + 1); ok {
		return f.points[i].time, nil
	}
	return time.Time{}, registry.ErrUnavailable
}

// was reports whether operations of a height were in force at t. Times grow with heights, so that any header at or after
// the one that dates them will do when its time is not after t, and any at or before when its time is.
func (f *Facts) was(height uint64, t time.Time) (bool, error) {
	for i := range f.points {
		p := &f.points[i]
		if p.height >= height+1 && !p.time.After(t) {
			return true, nil
		}
		if p.height <= height+1 && p.time.After(t) {
			return false, nil
		}
	}
	return false, registry.ErrUnavailable
}

// factAt reads the fact of a family as it stood at t; the zero time is the latest. Errors: ErrNotFound: there was none
// at that moment; ErrUnavailable: neither the fact nor its absence is shown.
func factAt[T any](f *Facts, family registry.Family, t time.Time) (*T, registry.Leaf, error) {
	b, err := f.tree.get(family.Latest())
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil, registry.Leaf{}, err // what never was has no history
	case t.IsZero() && err != nil:
		return nil, registry.Leaf{}, err // an old fact says nothing about the newest
	case t.IsZero():
		return decode[T](b)
	}
	for i := range f.tree.leaves {
		l := &f.tree.leaves[i]
		if !l.known || !family.Has(l.key) {
			continue
		}
		fact, leaf, err := decode[T](l.value)
		if err != nil {
			return nil, leaf, err
		}
		began, err := f.was(leaf.Since, t)
		switch {
		case err != nil:
		case began && leaf.Until == 0:
			return fact, leaf, nil
		case began:
			if ended, err := f.was(leaf.Until, t); err == nil && !ended {
				return fact, leaf, nil
			}
		case !l.gap && (i == 0 || !family.Has(f.tree.leaves[i-1].key)):
			return nil, leaf, registry.ErrNotFound // the first of its family, and it began later
		}
	}
	return nil, registry.Leaf{}, registry.ErrUnavailable
}

func decode[T any](b []byte) (*T, registry.Leaf, error) {
	var leaf registry.Leaf
	if err := registry.Decode(b, &leaf); err != nil {
		return nil, leaf, err
	}
	fact := new(T)
	if err := registry.Decode(leaf.Fact, fact); err != nil {
		return nil, leaf, err
	}
	return fact, leaf, nil
}

// mine refuses DIDs of other networks: their ids name nothing here.
func (f *Facts) mine(did registry.DID) error {
	if did.Network() != f.network {
		return registry.ErrUnavailable
	}
	return nil
}
