package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"sort"

	"github.com/dojang-id/dojang/registry"
)

// The state tree with everything pruned that is not needed, in preorder. Hashes are those of IAVL (ICS 23 IavlSpec):
//
//	node  = 00 hash                                   pruned
//	      / 01 version klen key vlen value            leaf
//	      / 02 version klen key hash                  leaf, of which only the key matters: a neighbour
//	      / 03 height size version node node          inner, left then right
//
// Numbers are unsigned LEB128 in the shortest form. What is hashed:
//
//	leaf  = 00 02 zigzag(version) klen key 20 SHA-256(value)
//	inner = zigzag(height >= 1) zigzag(size) zigzag(version) 20 left 20 right
//
// A leaf begins with 00 and an inner node does not, so that neither passes for the other.
const (
	nodePruned    = 0
	nodeLeaf      = 1
	nodeNeighbour = 2
	nodeInner     = 3

	maxKey   = 512
	maxValue = 16 << 10
)

// A treeLeaf is one leaf shown. gap says that something is pruned between it and the leaf shown before it.
type treeLeaf struct {
	key, value []byte
	known      bool // the value is shown
	gap        bool
}

// A tree is a state tree as far as it is shown: leaves in key order.
type tree struct {
	leaves []treeLeaf
	tail   bool // something is pruned after the last leaf
}

type treeReader struct {
	b    []byte
	out  tree
	gap  bool
	last []byte // key before
}

// readTree reads a pruned tree and computes its root. Errors: registry.ErrMalformed, registry.ErrLimit.
func readTree(b []byte) (tree, hash, error) {
	r := treeReader{b: b, out: tree{leaves: make([]treeLeaf, 0, 12)}}
	root, err := r.node(maxDepth)
	if err == nil && len(r.b) != 0 {
		err = registry.ErrMalformed
	}
	if err != nil {
		return tree{}, hash{}, err
	}
	r.out.tail = r.gap
	return r.out, root, nil
}

// Root is the app hash that a pruned tree leads to, without a header to hold it against: for tools and measurements.
// Errors: registry.ErrMalformed, registry.ErrLimit.
func Root(tree []byte) ([32]byte, error) {
	_, root, err := readTree(tree)
	return root, err
}

func (r *treeReader) node(depth int) (hash, error) {
	if depth == 0 {
		return hash{}, registry.ErrLimit
	}
	if len(r.b) == 0 {
		return hash{}, registry.ErrMalformed
	}
	kind := r.b[0]
	r.b = r.b[1:]
	switch kind {
	case nodePruned:
		h, err := r.take(sha256.Size)
		if err != nil {
			return hash{}, err
		}
		r.gap = true
		return hash(h), nil
	case nodeLeaf, nodeNeighbour:
		return r.leaf(kind)
	case nodeInner:
		return r.inner(depth)
	}
	return hash{}, registry.ErrMalformed
}

func (r *treeReader) inner(depth int) (hash, error) {
	height, err := r.number()
	if err != nil || height == 0 || height > 127 {
		return hash{}, registry.ErrMalformed
	}
	size, err := r.number()
	if err != nil {
		return hash{}, err
	}
	version, err := r.number()
	if err != nil {
		return hash{}, err
	}
	left, err := r.node(depth - 1)
	if err != nil {
		return hash{}, err
	}
	right, err := r.node(depth - 1)
	if err != nil {
		return hash{}, err
	}
	return innerHash(height, size, version, left, right), nil
}

func (r *treeReader) leaf(kind byte) (hash, error) {
	version, err := r.number()
	if err != nil {
		return hash{}, err
	}
	n, err := r.number()
	if err != nil || n == 0 || n > maxKey {
		return hash{}, registry.ErrMalformed
	}
	key, err := r.take(int(n))
	if err != nil {
		return hash{}, err
	}
	if bytes.Compare(r.last, key) >= 0 {
		return hash{}, registry.ErrMalformed
	}
	l := treeLeaf{key: key, gap: r.gap}
	var digest hash
	if kind == nodeLeaf {
		if n, err = r.number(); err != nil || n > maxValue {
			return hash{}, registry.ErrMalformed
		}
		if l.value, err = r.take(int(n)); err != nil {
			return hash{}, err
		}
		l.known, digest = true, sha256.Sum256(l.value)
	} else {
		h, err := r.take(sha256.Size)
		if err != nil {
			return hash{}, err
		}
		digest = hash(h)
	}
	r.out.leaves, r.gap, r.last = append(r.out.leaves, l), false, key
	return leafHash(version, key, digest), nil
}

func (r *treeReader) take(n int) ([]byte, error) {
	if n > len(r.b) {
		return nil, registry.ErrMalformed
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out, nil
}

// number reads an unsigned LEB128 of at most 2^62 in its shortest form.
func (r *treeReader) number() (uint64, error) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<62 || (n > 1 && r.b[n-1] == 0) {
		return 0, registry.ErrMalformed
	}
	r.b = r.b[n:]
	return v, nil
}

// get answers for one key: its value, registry.ErrNotFound when its two neighbours are shown, registry.ErrUnavailable
// otherwise.
func (t *tree) get(key []byte) ([]byte, error) {
	i := sort.Search(len(t.leaves), func(i int) bool { return bytes.Compare(t.leaves[i].key, key) >= 0 })
	if i < len(t.leaves) && bytes.Equal(t.leaves[i].key, key) {
		if !t.leaves[i].known {
			return nil, registry.ErrUnavailable
		}
		return t.leaves[i].value, nil
	}
	if t.gapBefore(i) {
		return nil, registry.ErrUnavailable
	}
	return nil, registry.ErrNotFound
}

// gapBefore reports whether something is pruned between leaves i-1 and i.
func (t *tree) gapBefore(i int) bool {
	if i < len(t.leaves) {
		return t.leaves[i].gap
	}
	return t.tail
}
