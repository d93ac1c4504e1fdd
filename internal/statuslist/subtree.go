package statuslist

import (
	"bytes"
	"crypto/sha256"
	"math/bits"
	"slices"
)

// The trees over lists' values, kept by hash (registry/README.md, "Archive of lists"). An object is what a node of a tree is the hash
// of: 00 and a chunk, or 01 and the hashes of its two parts. What is equal in two versions of a list, or in two lists, is one object.

// MaxObject is the size of the largest object in bytes.
const MaxObject = 1 + ChunkSize

// EntryGroup is how many entries, at least, share a chunk whatever their bits are: who asks for a chunk asks for the first entry of such
// a group, so that nobody is told whose entry it is.
const EntryGroup = ChunkSize

// A Subtree is a part of the tree over a list's values: its hash, and how many bytes of values lie below it. Its shape follows from that.
type Subtree struct {
	Hash  [32]byte
	Bytes uint64
}

// Tree is the whole tree over the values of the list that a record names.
func (r Record) Tree() Subtree {
	return Subtree{Hash: r.Root, Bytes: r.Length * uint64(r.Bits) / 8}
}

// Open checks an object against the hash and the shape, and returns the parts; none where it is a chunk. Error: ErrProof.
func (s Subtree) Open(object []byte) ([]Subtree, error) {
	if len(object) == 0 || len(object) > MaxObject || sha256.Sum256(object) != s.Hash {
		return nil, ErrProof
	}
	if s.Bytes <= ChunkSize {
		if object[0] != 0 || uint64(len(object)-1) != s.Bytes {
			return nil, ErrProof
		}
		return nil, nil
	}
	if object[0] != 1 || len(object) != 1+2*sha256.Size {
		return nil, ErrProof
	}
	left := uint64(split(chunks(int(s.Bytes)))) * ChunkSize
	return []Subtree{{[32]byte(object[1:33]), left}, {[32]byte(object[33:]), s.Bytes - left}}, nil
}

// split is the largest power of two below n, which is at least 2: how many leaves RFC 6962 puts to the left.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Objects calls put for every node of the tree over the values, parts before what they make. What known says is left out, with
// all that lies below it. It returns the first error of either.
func (v Values) Objects(known func(hash [32]byte) (bool, error), put func(hash [32]byte, object []byte) error) error {
	if len(v.raw) == 0 {
		return ErrBits
	}
	w := walker{v: v, tree: v.tree(), known: known, put: put}
	return w.walk(0, chunks(len(v.raw)))
}

type walker struct {
	v     Values
	tree  *tree
	known func([32]byte) (bool, error)
	put   func([32]byte, []byte) error
}

// walk the subtree over n chunks from first on.
func (w *walker) walk(first, n int) error {
	hash := w.tree.hash(first, n)
	if known, err := w.known(hash); err != nil || known {
		return err
	}
	if n == 1 {
		return w.put(hash, append([]byte{0}, w.v.chunk(first)...))
	}
	k := split(n)
	if err := w.walk(first, k); err != nil {
		return err
	}
	if err := w.walk(first+k, n-k); err != nil {
		return err
	}
	left, right := w.tree.hash(first, k), w.tree.hash(first+k, n-k)
	return w.put(hash, slices.Concat([]byte{1}, left[:], right[:]))
}

// hash of the subtree over n leaves from first on, as RFC 6962 cuts the tree.
func (t *tree) hash(first, n int) [32]byte {
	if level := bits.Len(uint(n)) - 1; n == 1<<level {
		return t.levels[level][first>>level]
	}
	k := split(n)
	left, right := t.hash(first, k), t.hash(first+k, n-k)
	return [32]byte(nodeHash(left[:], right[:]))
}

// CutFrom is Values.CutChunk for the list that a record names, out of kept objects. Nothing that get gives is believed.
// Errors: ErrIndex, ErrProof, and what get returns.
func (r Record) CutFrom(get func(hash [32]byte) ([]byte, error), idx uint64) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if idx >= r.Length {
		return nil, ErrIndex
	}
	n := idx * uint64(r.Bits) / 8 / ChunkSize
	var path [][]byte
	for s, at := r.Tree(), n; ; {
		object, err := get(s.Hash)
		if err != nil {
			return nil, err
		}
		parts, err := s.Open(object)
		if err != nil {
			return nil, err
		}
		if len(parts) == 0 {
			slices.Reverse(path)
			return encodeCBOR(chunkCBOR{V: chunkVersion, N: n, Chunk: object[1:], Path: bytes.Join(path, nil)})
		}
		left, right := parts[0], parts[1]
		if k := left.Bytes / ChunkSize; at < k {
			s, path = left, append(path, right.Hash[:])
		} else {
			s, at, path = right, at-k, append(path, left.Hash[:])
		}
	}
}
