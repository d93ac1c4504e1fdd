package statuslist

import (
	"fmt"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// A tree keeps every perfect node of an RFC 6962 tree, so that one changed leaf costs one path.
type tree struct {
	levels [][][32]byte // levels[k][i] covers leaves i<<k .. (i+1)<<k; levels[0] are the leaves
}

func leafHash(leaf []byte) [32]byte { return [32]byte(rfc6962.DefaultHasher.HashLeaf(leaf)) }

func nodeHash(left, right []byte) []byte { return rfc6962.DefaultHasher.HashChildren(left, right) }

func newTree(leaves [][32]byte) *tree {
	t := &tree{levels: [][][32]byte{leaves}}
	for below := leaves; len(below) > 1; {
		level := make([][32]byte, len(below)/2)
		for i := range level {
			level[i] = [32]byte(nodeHash(below[2*i][:], below[2*i+1][:]))
		}
		t.levels = append(t.levels, level)
		below = level
	}
	return t
}

func (t *tree) size() uint64 { return uint64(len(t.levels[0])) }

// update replaces one leaf and the perfect nodes above it.
func (t *tree) update(i uint64, leaf [32]byte) {
	t.levels[0][i] = leaf
	for k := 1; k < len(t.levels); k++ {
		i >>= 1
		if i >= uint64(len(t.levels[k])) {
			return
		}
		below := t.levels[k-1]
		t.levels[k][i] = [32]byte(nodeHash(below[2*i][:], below[2*i+1][:]))
	}
}

func (t *tree) node(id compact.NodeID) []byte { return t.levels[id.Level][id.Index][:] }

func (t *tree) root() [32]byte {
	if t.size() == 0 {
		return [32]byte(rfc6962.DefaultHasher.EmptyRoot())
	}
	ids := compact.RangeNodes(0, t.size(), nil)
	hash := t.node(ids[len(ids)-1])
	for i := len(ids) - 2; i >= 0; i-- {
		hash = nodeHash(t.node(ids[i]), hash)
	}
	return [32]byte(hash)
}

func (t *tree) path(index uint64) ([][]byte, error) {
	nodes, err := proof.Inclusion(index, t.size())
	if err != nil {
		return nil, fmt.Errorf("audit path: %w", ErrIndex)
	}
	hashes := make([][]byte, len(nodes.IDs))
	for i, id := range nodes.IDs {
		hashes[i] = t.node(id)
	}
	path, err := nodes.Rehash(hashes, nodeHash)
	if err != nil {
		return nil, fmt.Errorf("audit path: %w", err)
	}
	return path, nil
}

// inTree checks an audit path; the only error is ErrProof.
func inTree(root [32]byte, leaf []byte, index, size uint64, path [][]byte) error {
	hash := leafHash(leaf)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, hash[:], path, root[:]); err != nil {
		return ErrProof
	}
	return nil
}
