package chaintest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A bigTree is a balanced state tree of very many leaves, of which any few can be shown: the size of a country's state
// without running its history.
type bigTree struct {
	leaves []bigLeaf
	known  map[[2]int][32]byte // hashes of sub-trees
}

type bigLeaf struct{ key, value []byte }

const bigVersion = 1_000_000

// others are n leaves of other identifiers, at least one.
func others(n int) []bigLeaf {
	leaves := make([]bigLeaf, max(n, 1))
	value := make([]byte, 120)
	for i := range leaves {
		id := registry.HashOf([]byte(fmt.Sprint("other ", i)))
		leaves[i] = bigLeaf{[]byte("d/" + id.String() + "/did/latest"), value}
	}
	return leaves
}

func newBigTree(leaves []bigLeaf) *bigTree {
	slices.SortFunc(leaves, func(a, b bigLeaf) int { return bytes.Compare(a.key, b.key) })
	return &bigTree{leaves: leaves, known: map[[2]int][32]byte{}}
}

func (b *bigTree) root() [32]byte { return b.digest(0, len(b.leaves)) }

// show is the pruned tree that shows these leaves.
func (b *bigTree) show(keys map[string][]byte) ([]byte, error) {
	var want []int
	for k := range keys {
		i, ok := slices.BinarySearchFunc(b.leaves, k, func(l bigLeaf, k string) int { return bytes.Compare(l.key, []byte(k)) })
		if !ok {
			return nil, registry.ErrNotFound
		}
		want = append(want, i)
	}
	slices.Sort(want)
	return evidence.EncodeTree(b.path(0, len(b.leaves), want))
}

func (b *bigTree) path(from, to int, want []int) *evidence.TreeNode {
	if len(want) == 0 {
		d := b.digest(from, to)
		return &evidence.TreeNode{Hash: d[:]}
	}
	return b.node(from, to, func(f, t int) *evidence.TreeNode {
		low, _ := slices.BinarySearch(want, f)
		high, _ := slices.BinarySearch(want, t)
		return b.path(f, t, want[low:high])
	})
}

func (b *bigTree) digest(from, to int) [32]byte {
	if h, ok := b.known[[2]int{from, to}]; ok {
		return h
	}
	h := b.node(from, to, func(f, t int) *evidence.TreeNode {
		d := b.digest(f, t)
		return &evidence.TreeNode{Hash: d[:]}
	}).Digest()
	b.known[[2]int{from, to}] = h
	return h
}

func (b *bigTree) node(from, to int, child func(from, to int) *evidence.TreeNode) *evidence.TreeNode {
	if to-from == 1 {
		return &evidence.TreeNode{Key: b.leaves[from].key, Value: b.leaves[from].value, Version: bigVersion}
	}
	half, height := from+(to-from)/2, uint64(1)
	for 1<<height < to-from {
		height++
	}
	return &evidence.TreeNode{Left: child(from, half), Right: child(half, to), Height: height, Size: uint64(to - from), Version: bigVersion}
}
