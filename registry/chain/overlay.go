package chain

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cosmos/iavl"

	"github.com/dojang-id/dojang/registry"
)

// A reader reads leaves; absent is nil.
type reader interface {
	get(key []byte) ([]byte, error)
}

// treeReader reads an IAVL tree, mutable or not.
type treeReader struct {
	tree interface {
		Get(key []byte) ([]byte, error)
	}
}

func (r treeReader) get(key []byte) ([]byte, error) { return r.tree.Get(key) }

// some gives at most n keys under a prefix, in order.
func (r treeReader) some(prefix []byte, n int) [][]byte {
	var tree *iavl.ImmutableTree
	switch t := r.tree.(type) {
	case *iavl.ImmutableTree:
		tree = t
	case *iavl.MutableTree:
		tree = t.ImmutableTree
	}
	var keys [][]byte
	tree.IterateRange(prefix, after(prefix), true, func(k, _ []byte) bool {
		keys = append(keys, bytes.Clone(k))
		return len(keys) == n
	})
	return keys
}

// empty is the state before there is one.
type empty struct{}

func (empty) get([]byte) ([]byte, error) { return nil, nil }

// An overlay is a state with changes on top that may still be taken back. A change to nil removes.
type overlay struct {
	base   reader
	writes map[string][]byte
	undo   []undone // in the order of the changes
}

// undone is what stood at a key before a change.
type undone struct {
	key   string
	value []byte
	stood bool // in writes
}

func newOverlay(base reader) *overlay { return &overlay{base: base, writes: map[string][]byte{}} }

func (o *overlay) get(key []byte) ([]byte, error) {
	if v, ok := o.writes[string(key)]; ok {
		return v, nil
	}
	return o.base.get(key)
}

func (o *overlay) set(key, value []byte) {
	k := string(key)
	before, stood := o.writes[k]
	o.undo = append(o.undo, undone{k, before, stood})
	o.writes[k] = value
}

// remove takes a leaf away: only tags of rounds whose retention is over.
func (o *overlay) remove(key []byte) { o.set(key, nil) }

// A mark is a moment that an overlay can be taken back to.
type mark int

func (o *overlay) mark() mark { return mark(len(o.undo)) }

// takeBack undoes all changes since a mark.
func (o *overlay) takeBack(to mark) {
	for i := len(o.undo) - 1; i >= int(to); i-- {
		if u := &o.undo[i]; u.stood {
			o.writes[u.key] = u.value
		} else {
			delete(o.writes, u.key)
		}
	}
	o.undo = o.undo[:to]
}

// keep makes all changes so far final.
func (o *overlay) keep() { o.undo = o.undo[:0] }

// keys are the changed keys in order: the shape of an IAVL tree depends on the order of insertion.
func (o *overlay) keys() []string {
	keys := make([]string, 0, len(o.writes))
	for k := range o.writes {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// readFact reads the latest fact of a family; absent is nil. The leaf tells since when it holds.
func readFact[T any](r reader, f registry.Family) (*T, registry.Leaf, error) {
	b, err := r.get(f.Latest())
	if err != nil || b == nil {
		return nil, registry.Leaf{}, err
	}
	var leaf registry.Leaf
	if err := registry.Decode(b, &leaf); err != nil {
		return nil, leaf, fmt.Errorf("chain: leaf in state: %w", err)
	}
	fact := new(T)
	if err := registry.Decode(leaf.Fact, fact); err != nil {
		return nil, leaf, fmt.Errorf("chain: fact in state: %w", err)
	}
	return fact, leaf, nil
}

// readPlain reads a leaf without history; absent is nil.
func readPlain[T any](r reader, key []byte) (*T, error) {
	b, err := r.get(key)
	if err != nil || b == nil {
		return nil, err
	}
	v := new(T)
	if err := registry.Decode(b, v); err != nil {
		return nil, fmt.Errorf("chain: leaf in state: %w", err)
	}
	return v, nil
}

// A writer writes leaves of one height and keeps the first error.
type writer struct {
	*overlay
	height uint64
	err    error
}

// fact writes the latest fact of a family and moves the one before, if it held at all, to its at/ leaf.
func (w *writer) fact(f registry.Family, fact any) {
	b, err := registry.Encode(fact)
	if err == nil {
		err = w.retireLatest(f)
	}
	if err == nil {
		b, err = registry.Encode(registry.Leaf{Since: w.height, Fact: b})
	}
	if err != nil {
		w.fail(err)
		return
	}
	w.set(f.Latest(), b)
}

func (w *writer) retireLatest(f registry.Family) error {
	old, err := w.get(f.Latest())
	if err != nil || old == nil {
		return err
	}
	var leaf registry.Leaf
	if err := registry.Decode(old, &leaf); err != nil {
		return fmt.Errorf("chain: leaf in state: %w", err)
	}
	if leaf.Since == w.height {
		return nil // replaced in the same block: nobody can ever have seen it
	}
	leaf.Until = w.height
	b, err := registry.Encode(leaf)
	if err == nil {
		w.set(f.At(leaf.Since), b)
	}
	return err
}

func (w *writer) plain(key []byte, v any) {
	b, err := registry.Encode(v)
	if err != nil {
		w.fail(err)
		return
	}
	w.set(key, b)
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}
