package evidence

import (
	"fmt"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A head proof is an Evidence that shows nothing but the root of the header tree under one header. It is kept beside the
// published head: with it any node, for ever, can prove older headers under that head, although it has dropped the state.

// HeaderTree is the header tree that a checked Evidence shows. Errors: registry.ErrNotFound, registry.ErrUnavailable.
func (f *Facts) HeaderTree() (registry.HeaderRoot, error) {
	var root registry.HeaderRoot
	err := f.plain(registry.HeaderRootKey(), &root)
	return root, err
}

// EncodePoints is the part of an Evidence that shows a header by the header tree: what a node answers for a head proof.
func EncodePoints(p Point, path [][32]byte) []byte {
	m := Material{State: StateProof{Path: path}}
	return m.putPoints(nil, []Point{p})
}

// Bridge joins a head proof and an answer of a node (EncodePoints). Nothing is verified; Check does.
// Errors: registry.ErrMalformed, registry.ErrLimit.
func Bridge(headProof, points []byte) ([]byte, error) {
	if _, err := parse(headProof); err != nil {
		return nil, err
	}
	r := reader{b: headProof}
	if n := r.array(5, 7); n != 5 {
		return nil, fmt.Errorf("%w: not a head proof", registry.ErrMalformed)
	}
	out := append(append(putArray(make([]byte, 0, len(headProof)+len(points)), 6), r.b...), points...)
	if len(out) > MaxSize {
		return nil, registry.ErrLimit
	}
	_, err := parse(out)
	return out, err
}

// Head is the header under which the Evidence of a receipt stands; nothing of it is verified.
func (r *Receipt) Head() (height uint64, hash [32]byte, err error) {
	p, err := parse(r.Evidence)
	if err != nil {
		return 0, hash, err
	}
	head := &p.headers[len(p.headers)-1].Header
	return head.Height, head.Hash(), nil
}

// HeadOfProof is the head that a head proof stands under, after it was checked under trust.
// Errors: as Check; registry.ErrUnavailable when it does not show the header tree.
func HeadOfProof(headProof []byte, trust Trust, now time.Time) (Head, registry.HeaderRoot, error) {
	f, err := Check(headProof, trust, now)
	if err != nil {
		return Head{}, registry.HeaderRoot{}, err
	}
	root, err := f.HeaderTree()
	return HeadOf(f, trust.ChainID), root, err
}
