package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	ics23 "github.com/cosmos/ics23/go"

	"github.com/dojang-id/dojang/registry/evidence"
)

// The pruned tree of Evidence and ICS 23 proofs say the same. Merge makes the one out of the other: each proof is a path
// from a leaf to the root with the hash beside every step; laid over one another, the paths are the tree.

var errProof = errors.New("chain: proof is not of the IAVL spec")

// A step is one inner node of a path, seen from its child.
type step struct {
	height, size, version uint64
	left                  bool // the child is the left one
	sibling               []byte
}

// A merger lays proofs of one tree over one another.
type merger struct{ root *evidence.TreeNode }

// add lays one proof over the tree: a leaf with its value, or the two neighbours of an absent key.
func (m *merger) add(p *ics23.CommitmentProof) error {
	if e := p.GetExist(); e != nil {
		return m.path(e, false)
	}
	n := p.GetNonexist()
	if n == nil {
		return errProof
	}
	for _, e := range []*ics23.ExistenceProof{n.Left, n.Right} {
		if e == nil {
			continue
		}
		if err := m.path(e, true); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) path(e *ics23.ExistenceProof, neighbour bool) error {
	at := &m.root
	for i := len(e.Path) - 1; i >= 0; i-- {
		s, err := parseStep(e.Path[i])
		if err != nil {
			return err
		}
		if *at == nil || (*at).Left == nil {
			sibling := &evidence.TreeNode{Hash: s.sibling}
			*at = &evidence.TreeNode{Height: s.height, Size: s.size, Version: s.version, Left: sibling, Right: sibling}
			if s.left {
				(*at).Left = &evidence.TreeNode{}
			} else {
				(*at).Right = &evidence.TreeNode{}
			}
		}
		if s.left {
			at = &(*at).Left
		} else {
			at = &(*at).Right
		}
	}
	version, err := leafVersion(e.Leaf)
	if err != nil {
		return err
	}
	// A neighbour that is also asked for keeps its value.
	if *at != nil && (*at).Key != nil {
		(*at).Neighbour = (*at).Neighbour && neighbour
		return nil
	}
	*at = &evidence.TreeNode{Key: e.Key, Value: e.Value, Version: version, Neighbour: neighbour}
	return nil
}

func leafVersion(op *ics23.LeafOp) (uint64, error) {
	if op == nil || len(op.Prefix) < 3 || op.Prefix[0] != 0 || op.Prefix[1] != 2 {
		return 0, errProof
	}
	v, n := binary.Varint(op.Prefix[2:])
	if n != len(op.Prefix)-2 || v < 0 {
		return 0, errProof
	}
	return uint64(v), nil
}

func parseStep(op *ics23.InnerOp) (step, error) {
	rest := op.Prefix
	var numbers [3]uint64
	for i := range numbers {
		v, n := binary.Varint(rest)
		if n <= 0 || v < 0 {
			return step{}, errProof
		}
		numbers[i], rest = uint64(v), rest[n:]
	}
	s := step{height: numbers[0], size: numbers[1], version: numbers[2]}
	switch {
	case len(rest) == 1 && rest[0] == sha256.Size && len(op.Suffix) == 1+sha256.Size:
		s.left, s.sibling = true, op.Suffix[1:]
	case len(rest) == 2+sha256.Size && rest[0] == sha256.Size && rest[len(rest)-1] == sha256.Size && len(op.Suffix) == 0:
		s.sibling = rest[1 : 1+sha256.Size]
	default:
		return step{}, errProof
	}
	return s, nil
}

// ICS23 is the ICS 23 membership proof (IavlSpec) of one leaf that an Evidence's tree shows with its value; nil when it
// does not. With it other implementations of ICS 23 check what Evidence says. Errors: registry.ErrMalformed, registry.ErrLimit.
func ICS23(tree, key []byte) (*ics23.CommitmentProof, error) {
	root, err := evidence.DecodeTree(tree)
	if err != nil {
		return nil, err
	}
	var path []*ics23.InnerOp
	leaf := walk(root, key, &path)
	if leaf == nil {
		return nil, nil
	}
	return &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Exist{Exist: &ics23.ExistenceProof{
		Key: leaf.Key, Value: leaf.Value, Path: path,
		Leaf: &ics23.LeafOp{
			Hash: ics23.HashOp_SHA256, PrehashValue: ics23.HashOp_SHA256, Length: ics23.LengthOp_VAR_PROTO,
			Prefix: binary.AppendVarint([]byte{0, 2}, int64(leaf.Version)),
		},
	}}}, nil
}

func walk(n *evidence.TreeNode, key []byte, path *[]*ics23.InnerOp) *evidence.TreeNode {
	if n.Left == nil {
		if n.Key != nil && !n.Neighbour && bytes.Equal(n.Key, key) {
			return n
		}
		return nil
	}
	head := binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(nil, int64(n.Height)), int64(n.Size)), int64(n.Version))
	if leaf := walk(n.Left, key, path); leaf != nil {
		h := n.Right.Digest()
		*path = append(*path, &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: append(head, sha256.Size), Suffix: append([]byte{sha256.Size}, h[:]...)})
		return leaf
	}
	if leaf := walk(n.Right, key, path); leaf != nil {
		h := n.Left.Digest()
		prefix := append(append(append(head, sha256.Size), h[:]...), sha256.Size)
		*path = append(*path, &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: prefix})
		return leaf
	}
	return nil
}
