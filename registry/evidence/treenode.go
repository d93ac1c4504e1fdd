package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

// A TreeNode is a node of a pruned tree under construction; chain makes them of ICS 23 proofs.
type TreeNode struct {
	Hash        []byte    // pruned: of the node; neighbour without Value: of its value
	Left, Right *TreeNode // inner
	Height      uint64
	Size        uint64
	Version     uint64
	Key, Value  []byte // leaf
	Neighbour   bool   // leaf whose value does not matter
}

// EncodeTree is the pruned tree in preorder. Error: registry.ErrLimit, registry.ErrMalformed.
func EncodeTree(n *TreeNode) ([]byte, error) {
	b, err := n.append(nil, maxDepth)
	if err != nil {
		return nil, fmt.Errorf("encode state tree: %w", err)
	}
	return b, nil
}

// Digest is the IAVL hash of the node.
func (n *TreeNode) Digest() [32]byte {
	switch {
	case n.Left != nil && n.Right != nil:
		return innerHash(n.Height, n.Size, n.Version, n.Left.Digest(), n.Right.Digest())
	case n.Key != nil:
		return leafHash(n.Version, n.Key, n.valueDigest())
	}
	var h hash
	copy(h[:], n.Hash)
	return h
}

func (n *TreeNode) valueDigest() hash {
	if n.Neighbour && len(n.Hash) == sha256.Size {
		return hash(n.Hash)
	}
	return sha256.Sum256(n.Value)
}

func innerHash(height, size, version uint64, left, right hash) hash {
	var buf [112]byte
	b := binary.AppendVarint(buf[:0], int64(height))
	b = binary.AppendVarint(binary.AppendVarint(b, int64(size)), int64(version))
	b = append(append(b, sha256.Size), left[:]...)
	b = append(append(b, sha256.Size), right[:]...)
	return sha256.Sum256(b)
}

func leafHash(version uint64, key []byte, value hash) hash {
	var buf [256]byte
	b := binary.AppendVarint(append(buf[:0], 0, 2), int64(version))
	b = append(binary.AppendUvarint(b, uint64(len(key))), key...)
	b = append(append(b, sha256.Size), value[:]...)
	return sha256.Sum256(b)
}

func (n *TreeNode) append(b []byte, depth int) ([]byte, error) {
	switch {
	case depth == 0 || len(n.Key) > maxKey || len(n.Value) > maxValue:
		return nil, registry.ErrLimit
	case n.Left != nil && n.Right != nil:
		b = binary.AppendUvarint(append(b, nodeInner), n.Height)
		b = binary.AppendUvarint(binary.AppendUvarint(b, n.Size), n.Version)
		b, err := n.Left.append(b, depth-1)
		if err != nil {
			return nil, err
		}
		return n.Right.append(b, depth-1)
	case n.Key != nil:
		kind := byte(nodeLeaf)
		if n.Neighbour {
			kind = nodeNeighbour
		}
		b = binary.AppendUvarint(append(b, kind), n.Version)
		b = append(binary.AppendUvarint(b, uint64(len(n.Key))), n.Key...)
		if n.Neighbour {
			digest := n.valueDigest()
			return append(b, digest[:]...), nil
		}
		return append(binary.AppendUvarint(b, uint64(len(n.Value))), n.Value...), nil
	case len(n.Hash) == sha256.Size:
		return append(append(b, nodePruned), n.Hash...), nil
	}
	return nil, registry.ErrMalformed
}

// DecodeTree reads a pruned tree as nodes, for tools and other forms of proof; Check does not need them. It verifies
// nothing: compare Digest. Errors: registry.ErrMalformed, registry.ErrLimit.
func DecodeTree(b []byte) (*TreeNode, error) {
	if _, err := Root(b); err != nil { // all limits and shapes
		return nil, err
	}
	r := treeReader{b: b}
	return r.decode()
}

func (r *treeReader) decode() (*TreeNode, error) {
	kind := r.b[0]
	r.b = r.b[1:]
	n := &TreeNode{}
	var err error
	switch kind {
	case nodePruned:
		n.Hash, err = r.take(sha256.Size)
		return n, err
	case nodeInner:
		if n.Height, err = r.number(); err == nil {
			n.Size, err = r.number()
		}
		if err == nil {
			n.Version, err = r.number()
		}
		if err == nil {
			n.Left, err = r.decode()
		}
		if err == nil {
			n.Right, err = r.decode()
		}
		return n, err
	}
	var size uint64
	if n.Version, err = r.number(); err == nil {
		size, err = r.number()
	}
	if err == nil {
		n.Key, err = r.take(int(size))
	}
	if err != nil || kind == nodeNeighbour {
		if err == nil {
			n.Neighbour = true
			n.Hash, err = r.take(sha256.Size)
		}
		return n, err
	}
	if size, err = r.number(); err == nil {
		n.Value, err = r.take(int(size))
	}
	return n, err
}
