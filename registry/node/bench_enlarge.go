package node

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// enlarge gives put the chunks of a snapshot (registry/README.md, "Snapshot") that holds count more DIDs: copies of the leaves
// of the only one in the small snapshot under other identifiers. The tree is balanced.
func enlarge(small chain.Snapshot, chunks [][]byte, count int, put func(int, []byte) error) (chain.Snapshot, error) {
	headers, leaves, err := readSnapshot(slices.Concat(chunks...))
	if err != nil {
		return chain.Snapshot{}, err
	}
	e := &enlarger{version: small.Version, put: put, chunk: headers, out: chain.Snapshot{First: small.First, Version: small.Version}}
	e.streams = []leafStream{{leaves: leaves, count: 1}}
	var id string
	for _, l := range leaves {
		if rest, ok := strings.CutPrefix(string(l.key), "d/"); ok {
			id, _, _ = strings.Cut(rest, "/")
		}
	}
	copies := leafStream{count: count, name: func(i int) string { return "d/" + spread(i, count).String() + "/" }}
	for _, l := range leaves {
		if rest, ok := strings.CutPrefix(string(l.key), "d/"+id+"/"); ok {
			copies.leaves = append(copies.leaves, snapshotLeaf{[]byte(rest), l.value})
		}
	}
	if len(copies.leaves) == 0 {
		return chain.Snapshot{}, errors.New("node: a snapshot without a DID")
	}
	e.streams = append(e.streams, copies)
	total := 0
	for i := range e.streams {
		total += e.streams[i].count * len(e.streams[i].leaves)
		e.streams[i].load()
	}
	if e.out.Root, _, err = e.node(total); err != nil {
		return chain.Snapshot{}, err
	}
	return e.out, e.flush(0)
}

type snapshotLeaf struct{ key, value []byte }

// readSnapshot gives the items of all headers as they stand, and the leaves in order.
func readSnapshot(b []byte) (headers []byte, leaves []snapshotLeaf, err error) {
	const headerItem = 1 + 12 + 96
	for len(b) > 0 && b[0] == 0 && len(b) >= headerItem {
		headers, b = append(headers, b[:headerItem]...), b[headerItem:]
	}
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			err, n = errors.New("node: malformed snapshot"), len(b)
		}
		b = b[n:]
		return v
	}
	text := func() []byte {
		n := min(number(), uint64(len(b)))
		out := b[:n]
		b = b[n:]
		return out
	}
	for len(b) > 0 && err == nil {
		kind := b[0]
		b = b[1:]
		number() // version
		if kind == 1 {
			leaves = append(leaves, snapshotLeaf{text(), text()})
		}
	}
	return headers, leaves, err
}

// A leafStream is leaves in order of their keys: count times the same, under ascending names; name nil: as they are.
type leafStream struct {
	leaves []snapshotLeaf // keys without the name
	count  int
	name   func(i int) string

	at   int    // leaf
	key  []byte // of the next leaf; nil: at the end
	head string
}

func (s *leafStream) load() {
	i, k := s.at/len(s.leaves), s.at%len(s.leaves)
	if i == s.count {
		s.key = nil
		return
	}
	if k == 0 && s.name != nil {
		s.head = s.name(i)
	}
	s.key = append(append(make([]byte, 0, 80), s.head...), s.leaves[k].key...)
}

func (s *leafStream) next() snapshotLeaf {
	l := snapshotLeaf{s.key, s.leaves[s.at%len(s.leaves)].value}
	s.at++
	s.load()
	return l
}

type enlarger struct {
	version uint64
	streams []leafStream
	put     func(int, []byte) error
	chunk   []byte
	out     chain.Snapshot
}

// node writes the next n leaves as a subtree, in postorder.
func (e *enlarger) node(n int) (hash [32]byte, height uint64, err error) {
	if n == 1 {
		l := e.next()
		e.chunk = binary.AppendUvarint(append(e.chunk, 1), e.version)
		e.chunk = append(binary.AppendUvarint(e.chunk, uint64(len(l.key))), l.key...)
		e.chunk = append(binary.AppendUvarint(e.chunk, uint64(len(l.value))), l.value...)
		leaf := evidence.TreeNode{Key: l.key, Value: l.value, Version: e.version}
		return leaf.Digest(), 0, e.flush(4 << 20)
	}
	left, hl, err := e.node(n / 2)
	if err != nil {
		return hash, 0, err
	}
	right, hr, err := e.node(n - n/2)
	if err != nil {
		return hash, 0, err
	}
	e.chunk = binary.AppendUvarint(append(e.chunk, 2), e.version)
	height = max(hl, hr) + 1
	inner := evidence.TreeNode{Left: &evidence.TreeNode{Hash: left[:]}, Right: &evidence.TreeNode{Hash: right[:]},
		Height: height, Size: uint64(n), Version: e.version}
	return inner.Digest(), height, e.flush(4 << 20)
}

// next takes the smallest leaf of all streams.
func (e *enlarger) next() snapshotLeaf {
	var least *leafStream
	for i := range e.streams {
		if s := &e.streams[i]; s.key != nil && (least == nil || bytes.Compare(s.key, least.key) < 0) {
			least = s
		}
	}
	return least.next()
}

func (e *enlarger) flush(limit int) error {
	if len(e.chunk) < limit {
		return nil
	}
	if err := e.put(len(e.out.Chunks), e.chunk); err != nil {
		return err
	}
	e.out.Chunks = append(e.out.Chunks, sha256.Sum256(e.chunk))
	e.chunk = e.chunk[:0]
	return nil
}
