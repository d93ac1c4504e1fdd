package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// emptyRoot is the root of a header tree without leaves (RFC 6962 section 2.1).
var emptyRoot = sha256.Sum256(nil)

// Records beside the tree, in the same store. They are written before the version that they belong to, under keys that
// name their height or place: a crash in between leaves records that the replayed block writes again, byte for byte.
//
//	x/h/<height8>         hash (32), seconds (8), nanoseconds (4), point (96, unless the engine gave none) of the header of a height
//	x/n/<level1><index8>  a node of the header tree
//	x/restoring           a snapshot is being taken: what is here is not a state yet
func headerRecord(height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte("x/h/"), height)
}

func nodeRecord(level uint, index uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte("x/n/"), byte(level)), index)
}

func (b *Block) record() record {
	value := appendStamp(slices.Clone(b.Hash[:]), b.Time)
	if b.Point != ([96]byte{}) {
		value = append(value, b.Point[:]...)
	}
	return record{headerRecord(b.Height), value}
}

// header reads the record of an executed block.
func (m *Machine) header(height uint64) (hash [32]byte, t time.Time, err error) {
	b, err := m.headerRecord(height)
	if err != nil {
		return hash, t, err
	}
	return [32]byte(b[:32]), readStamp(b[32:]), nil
}

func (m *Machine) headerRecord(height uint64) ([]byte, error) {
	b, err := m.db.Get(headerRecord(height))
	if err != nil {
		return nil, fmt.Errorf("chain: read header record: %w", err)
	}
	if len(b) != 44 && len(b) != 44+96 {
		return nil, registry.ErrNotFound
	}
	return b, nil
}

// ErrPoints: the engine gave no Block.Point for a header, so that it cannot be shown from here.
var ErrPoints = errors.New("chain: header without its point")

// Point is what shows a header of a committed block under the header tree; it outlives the engine's blocks.
// Errors: registry.ErrNotFound, ErrPoints.
func (m *Machine) Point(height uint64) (evidence.Point, error) {
	if info := m.Info(); height < info.First || height > info.Height {
		return evidence.Point{}, registry.ErrNotFound
	}
	b, err := m.headerRecord(height)
	if err != nil {
		return evidence.Point{}, err
	}
	if len(b) == 44 {
		return evidence.Point{}, ErrPoints
	}
	return evidence.Point{Height: height, Time: readStamp(b[32:]), Nodes: [96]byte(b[44:])}, nil
}

// Header is the hash and the time of the header of a committed block. Error: registry.ErrNotFound.
func (m *Machine) Header(height uint64) (hash [32]byte, t time.Time, err error) {
	if info := m.Info(); height < info.First || height > info.Height {
		return hash, t, registry.ErrNotFound
	}
	return m.header(height)
}

// HeightAt is the highest committed height whose header's time is not after t; 0 when there is none.
func (m *Machine) HeightAt(t time.Time) (uint64, error) {
	info := m.Info()
	low, high := info.First, info.Height+1 // invariant: header(low-1) <= t < header(high)
	if info.Height == 0 {
		return 0, nil
	}
	for low < high {
		mid := low + (high-low)/2
		_, at, err := m.header(mid)
		if err != nil {
			return 0, err
		}
		if at.After(t) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	if low == info.First {
		return 0, nil
	}
	return low - 1, nil
}

// A record is one key and value beside the tree.
type record struct{ key, value []byte }

// appendHeaders puts the header hashes of this block and of the empty blocks before it into the tree of headers.
func (m *Machine) appendHeaders(w *writer, b Block) ([]record, error) {
	root, err := readPlain[registry.HeaderRoot](w, registry.HeaderRootKey())
	if err != nil {
		return nil, err
	}
	frontier, err := readPlain[[][]byte](w, registry.HeaderFrontierKey())
	if err != nil {
		return nil, err
	}
	if frontier == nil {
		frontier = new([][]byte)
	}
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree, err := factory.NewRange(0, root.Size, *frontier)
	if err != nil {
		return nil, fmt.Errorf("chain: header tree in state: %w", err)
	}
	var nodes []record
	visit := func(id compact.NodeID, hash []byte) {
		nodes = append(nodes, record{nodeRecord(id.Level, id.Index), hash})
	}
	for height := root.First + root.Size; height <= b.Height; height++ {
		hash := b.Hash
		if height < b.Height {
			if hash, _, err = m.header(height); err != nil {
				return nil, fmt.Errorf("chain: header of an empty block: %w", err)
			}
		}
		if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(hash[:]), visit); err != nil {
			return nil, fmt.Errorf("chain: header tree in state: %w", err)
		}
	}
	top, err := tree.GetRootHash(nil)
	if err != nil {
		return nil, fmt.Errorf("chain: header tree in state: %w", err)
	}
	w.plain(registry.HeaderRootKey(), registry.HeaderRoot{First: root.First, Size: tree.End(), Root: [32]byte(top)})
	w.plain(registry.HeaderFrontierKey(), tree.Hashes())
	return nodes, w.err
}

// headerPath collects the hashes that prove leaves of a header tree of a size, in the order in which evidence.Check
// asks for them: left to right, top down. indices are ascending.
func (m *Machine) headerPath(size uint64, indices []uint64) ([][32]byte, error) {
	var path [][32]byte
	var walk func(from, n uint64, want []uint64) error
	walk = func(from, n uint64, want []uint64) error {
		if len(want) == 0 {
			h, err := m.subtree(from, n)
			path = append(path, h)
			return err
		}
		if n == 1 {
			return nil
		}
		left := uint64(1) << (bits.Len64(n-1) - 1)
		cut := 0
		for cut < len(want) && want[cut] < from+left {
			cut++
		}
		if err := walk(from, left, want[:cut]); err != nil {
			return err
		}
		return walk(from+left, n-left, want[cut:])
	}
	return path, walk(0, size, indices)
}

// HeaderPath shows a header under the header tree as it was when it had size leaves, however long ago: what a published head
// needs to prove an older one. Errors: registry.ErrNotFound (no such tree or leaf), ErrPoints.
func (m *Machine) HeaderPath(size, height uint64) (evidence.Point, [][32]byte, error) {
	info := m.Info()
	if size == 0 || height < info.First || height-info.First >= size || info.Height < info.First || size > info.Height-info.First+1 {
		return evidence.Point{}, nil, registry.ErrNotFound
	}
	point, err := m.Point(height)
	if err != nil {
		return evidence.Point{}, nil, err
	}
	path, err := m.headerPath(size, []uint64{height - info.First})
	return point, path, err
}

// subtree is the hash over leaves [from, from+n).
func (m *Machine) subtree(from, n uint64) ([32]byte, error) {
	if n&(n-1) == 0 {
		level := uint(bits.TrailingZeros64(n))
		b, err := m.db.Get(nodeRecord(level, from>>level))
		if err != nil || len(b) != 32 {
			return [32]byte{}, fmt.Errorf("chain: node of the header tree: %w", registry.ErrNotFound)
		}
		return [32]byte(b), nil
	}
	left := uint64(1) << (bits.Len64(n-1) - 1)
	l, err := m.subtree(from, left)
	if err != nil {
		return l, err
	}
	r, err := m.subtree(from+left, n-left)
	if err != nil {
		return r, err
	}
	return [32]byte(rfc6962.DefaultHasher.HashChildren(l[:], r[:])), nil
}
