package evidence

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// AnchorLeaf is what of a document goes into an aggregation: the hash over a random salt and the bytes as issued. The
// salt keeps whoever knows the root, or a neighbour's receipt, from guessing the document.
func AnchorLeaf(salt [32]byte, issued []byte) [32]byte {
	h := sha256.New()
	h.Write(salt[:])
	h.Write(issued)
	return [32]byte(h.Sum(nil))
}

// An Aggregation is a Merkle tree (RFC 6962) over leaves; its root is what is anchored.
type Aggregation struct {
	levels [][]hash // levels[0] are the hashes of the leaves; an odd last node moves up as it is
}

// MaxAggregation is the largest number of leaves.
const MaxAggregation = 1 << 20

// Aggregate builds the tree. Errors: registry.ErrLimit, also without any leaf.
func Aggregate(leaves [][32]byte) (*Aggregation, error) {
	if len(leaves) == 0 || len(leaves) > MaxAggregation {
		return nil, registry.ErrLimit
	}
	level := make([]hash, len(leaves))
	for i := range leaves {
		level[i] = leaf(leaves[i][:])
	}
	a := &Aggregation{levels: [][]hash{level}}
	for len(level) > 1 {
		up := make([]hash, 0, (len(level)+1)/2)
		for i := 0; i+1 < len(level); i += 2 {
			up = append(up, inner(level[i], level[i+1]))
		}
		if len(level)%2 == 1 {
			up = append(up, level[len(level)-1])
		}
		level = up
		a.levels = append(a.levels, level)
	}
	return a, nil
}

// Root of the tree.
func (a *Aggregation) Root() [32]byte { return a.levels[len(a.levels)-1][0] }

// Receipt of leaf i, which was made with the salt; its Evidence is still to come.
func (a *Aggregation) Receipt(i int, salt [32]byte) (*Receipt, error) {
	if i < 0 || i >= len(a.levels[0]) {
		return nil, registry.ErrNotFound
	}
	r := &Receipt{Salt: salt, Index: uint64(i), Size: uint64(len(a.levels[0]))}
	for _, level := range a.levels[:len(a.levels)-1] {
		if i^1 < len(level) {
			r.Path = append(r.Path, level[i^1])
		}
		i /= 2
	}
	return r, nil
}

// A Receipt proves when a document existed: with the document, the receipt and one trusted header. registry/README.md,
// "Time anchor".
type Receipt struct {
	Salt     [32]byte
	Index    uint64 // of the leaf
	Size     uint64 // of the aggregation
	Path     [][32]byte
	Evidence []byte // shows the leaf anchor/<root>, the header that dates it, and nothing personal
	Bridge   []byte // shows, under a later head, the header of Evidence; nil where that is trusted itself
}

// An Anchored is what a receipt proves.
type Anchored struct {
	By     registry.DID
	At     time.Time // the document existed then
	Height uint64    // of the anchor
	Known  registry.Checked
}

// ErrReceipt: the receipt is not of this document. It wraps registry.ErrUntrusted.
var ErrReceipt = fmt.Errorf("%w: receipt of another document", registry.ErrUntrusted)

const maxReceipt = 2*MaxSize + 2048

// Root is the root that the receipt gives for a document. Error: ErrReceipt.
func (r *Receipt) Root(issued []byte) ([32]byte, error) { return r.RootOf(AnchorLeaf(r.Salt, issued)) }

// RootOf is the root that the receipt gives for a leaf. Error: ErrReceipt.
func (r *Receipt) RootOf(l [32]byte) ([32]byte, error) {
	h := leaf(l[:])
	if r.Size == 0 || r.Size > MaxAggregation || r.Index >= r.Size {
		return hash{}, ErrReceipt
	}
	path := r.Path
	for i, last := r.Index, r.Size-1; last > 0; i, last = i/2, last/2 {
		if i == last && i%2 == 0 {
			continue // the odd last one moves up
		}
		if len(path) == 0 {
			return hash{}, ErrReceipt
		}
		if i%2 == 1 {
			h = inner(path[0], h)
		} else {
			h = inner(h, path[0])
		}
		path = path[1:]
	}
	if len(path) != 0 {
		return hash{}, ErrReceipt
	}
	return h, nil
}

// Check verifies the receipt of a document. trust may be a published head (Head.Trust): then no signature is needed, and
// its head must be that of Evidence, or of Bridge. Errors: ErrReceipt, registry.ErrNotFound (no such anchor), as Check.
func (r *Receipt) Check(issued []byte, trust Trust, now time.Time) (Anchored, error) {
	return r.CheckLeaf(AnchorLeaf(r.Salt, issued), trust, now)
}

// CheckLeaf is Check for whoever has the leaf and not the document.
func (r *Receipt) CheckLeaf(l [32]byte, trust Trust, now time.Time) (Anchored, error) {
	root, err := r.RootOf(l)
	if err != nil {
		return Anchored{}, err
	}
	if r.Bridge != nil {
		if trust, err = r.bridged(trust, now); err != nil {
			return Anchored{}, err
		}
	}
	f, err := Check(r.Evidence, trust, now)
	if err != nil {
		return Anchored{}, err
	}
	by, at, err := f.Anchor(root)
	if err != nil {
		return Anchored{}, err
	}
	var fact registry.AnchorFact
	if err := f.plain(registry.AnchorKey(root), &fact); err != nil {
		return Anchored{}, err
	}
	return Anchored{By: by, At: at, Height: fact.Height, Known: f.Head()}, nil
}

// bridged trusts the one header of Evidence that Bridge proves.
func (r *Receipt) bridged(trust Trust, now time.Time) (Trust, error) {
	later, err := Check(r.Bridge, trust, now)
	if err != nil {
		return Trust{}, err
	}
	p, err := parse(r.Evidence)
	if err != nil {
		return Trust{}, err
	}
	head := &p.headers[len(p.headers)-1].Header
	known, ok := later.HeaderHash(head.Height)
	if !ok {
		return Trust{}, errors.Join(errPoints, registry.ErrUntrusted)
	}
	return Trust{Network: trust.Network, ChainID: trust.ChainID, Development: trust.Development, Height: head.Height, Hash: known, Time: head.Time}, nil
}

// Marshal encodes the receipt. Error: registry.ErrLimit.
func (r *Receipt) Marshal() ([]byte, error) {
	n := 6
	if r.Bridge != nil {
		n = 7
	}
	b := putUint(putArray(nil, n), version)
	b = putUint(putUint(putBytes(b, r.Salt[:]), r.Index), r.Size)
	b = putArray(b, len(r.Path))
	for i := range r.Path {
		b = putBytes(b, r.Path[i][:])
	}
	b = putBytes(b, r.Evidence)
	if r.Bridge != nil {
		b = putBytes(b, r.Bridge)
	}
	if len(b) > maxReceipt {
		return nil, registry.ErrLimit
	}
	return b, nil
}

// ParseReceipt reads a receipt; nothing of it is verified. Errors: registry.ErrMalformed, registry.ErrLimit.
func ParseReceipt(raw []byte) (*Receipt, error) {
	if len(raw) > maxReceipt {
		return nil, registry.ErrLimit
	}
	in := reader{b: raw}
	n := in.array(6, 7)
	if v := in.uint(); in.err == nil && v != version {
		return nil, registry.ErrMalformed
	}
	r := &Receipt{Salt: in.hash(), Index: in.uint(), Size: in.uint()}
	for k := in.array(0, 20); k > 0 && in.err == nil; k-- {
		r.Path = append(r.Path, in.hash())
	}
	r.Evidence = in.bytes(1, MaxSize)
	if n == 7 {
		r.Bridge = in.bytes(1, MaxSize)
	}
	if in.err != nil || len(in.b) != 0 {
		return nil, registry.ErrMalformed
	}
	return r, nil
}

// AnchorDocuments anchors documents, each with a salt of its own from random, and returns a receipt of each, encoded. It returns when
// the receipts exist. Errors: those of anchors, ErrReceipt.
func AnchorDocuments(ctx context.Context, anchors registry.Anchors, random io.Reader, documents ...[]byte) ([][]byte, error) {
	salts, leaves := make([][32]byte, len(documents)), make([][32]byte, len(documents))
	for i, d := range documents {
		if _, err := io.ReadFull(random, salts[i][:]); err != nil {
			return nil, fmt.Errorf("draw salt: %w", err)
		}
		leaves[i] = AnchorLeaf(salts[i], d)
	}
	receipts, err := anchors.Anchor(ctx, leaves...)
	if err != nil {
		return nil, err
	}
	if len(receipts) != len(documents) {
		return nil, ErrReceipt
	}
	for i, raw := range receipts {
		r, err := ParseReceipt(raw)
		if err != nil {
			return nil, err
		}
		r.Salt = salts[i]
		if receipts[i], err = r.Marshal(); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}
