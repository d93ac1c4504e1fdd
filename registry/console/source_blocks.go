package console

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/node"
)

// Blocks implements Ledger.
func (s *ChainSource) Blocks(_ context.Context, below uint64, n int) ([]Block, error) {
	newest := s.cfg.Health().Height
	height := newest
	if below > 0 {
		height = min(height, below-1)
	}
	var out []Block
	for ; height > 0 && len(out) < n; height-- {
		h, err := s.header(height)
		if errors.Is(err, registry.ErrNotFound) {
			b, err := s.pruned(height)
			if errors.Is(err, registry.ErrNotFound) {
				break
			}
			if err != nil {
				return nil, err
			}
			out = append(out, b)
			continue
		}
		if err != nil {
			return nil, err
		}
		b := Block{Height: height, Time: h.Time, Hash: h.hash, AppHash: h.AppHash, Proposer: s.name(hexUpper(h.Proposer)), Validators: len(h.set)}
		for _, i := range h.signed {
			b.Signers = append(b.Signers, s.name(address(h.set[i])))
		}
		if height == newest {
			b.Open = true
		} else {
			next, err := s.header(height + 1)
			if err != nil {
				return nil, err
			}
			b.Changed = string(next.AppHash) != string(h.AppHash)
		}
		out = append(out, b)
	}
	return out, nil
}

// pruned is what is left of a block. Error: registry.ErrNotFound: it is older than all that this node knows.
func (s *ChainSource) pruned(height uint64) (Block, error) {
	hash, t, err := s.cfg.Header(height)
	return Block{Height: height, Hash: hash, Time: t, Pruned: true}, unavailable(err)
}

// maxDone bounds the operations of one block's page.
const maxDone = 200

// contentsKept bounds the blocks that are remembered as they were read.
const contentsKept = 64

// Contents implements Archive. A block is read once: it may be large, and be asked for by many.
func (s *ChainSource) Contents(_ context.Context, height uint64) (Contents, error) {
	s.mu.Lock()
	out, ok := s.contents[height]
	s.mu.Unlock()
	if ok {
		return out, nil
	}
	out, err := s.readContents(height)
	if err == nil && !out.Pruned && height < s.cfg.Health().Height { // settled: its outcomes are committed
		s.mu.Lock()
		if s.contents == nil || len(s.contents) >= contentsKept {
			s.contents = map[uint64]Contents{}
		}
		s.contents[height] = out
		s.mu.Unlock()
	}
	return out, err
}

func (s *ChainSource) readContents(height uint64) (Contents, error) {
	closed, err := s.closedAt(height)
	if err != nil {
		return Contents{}, err
	}
	out := Contents{Closed: closed}
	txs, err := s.cfg.Transactions(height)
	if errors.Is(err, registry.ErrNotFound) || errors.Is(err, node.ErrTooHigh) {
		out.Pruned = true
		return out, nil
	}
	if err != nil {
		return Contents{}, unavailable(err)
	}
	for _, raw := range txs {
		tx, err := registry.ParseTransaction(raw, s.cfg.Network)
		if err != nil {
			continue // a proposer put it there, the rules refused it
		}
		for _, op := range tx.Operations {
			if err := s.done(&out, op, tx.Sponsor, height); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// done adds one operation with its outcome, unless it is a claim.
func (s *ChainSource) done(out *Contents, raw []byte, sponsor string, height uint64) error {
	op, err := registry.ParseOperation(raw)
	switch {
	case err != nil:
		out.More++ // refused without a name: malformed
		return nil
	case op.Kind() == registry.KindNullifierClaim:
		out.Claims = true
		return nil
	case len(out.Operations) == maxDone:
		out.More++
		return nil
	}
	d := Done{Hash: op.Hash, Kind: op.Kind(), DID: op.ID(), Sponsor: sponsor}
	for _, sig := range op.Signatures {
		if id, ok := registry.MemberOfRole(sig.Role); ok {
			d.Members = append(d.Members, id)
		}
	}
	switch b := op.Body.(type) {
	case *registry.AnchorBody:
		d.Anchor = b.Root
	case *registry.VoteBody:
		d.N = b.N
	}
	fact, err := registry.ReadOutcome(op.Hash, s.get)
	if err == nil && fact.Height == height {
		d.Code = string(fact.Code)
	}
	if errors.Is(err, registry.ErrNotFound) {
		err = nil
	}
	out.Operations = append(out.Operations, d)
	return err
}

// Operation implements Ledger.
func (s *ChainSource) Operation(ctx context.Context, hash registry.Hash) (Operation, error) {
	out := Operation{Hash: hash}
	proposals, err := s.proposed(hash.Digest())
	if err != nil {
		return out, err
	}
	out.Proposals = proposals
	fact, err := registry.ReadOutcome(hash, s.get)
	if errors.Is(err, registry.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	out.Code, out.At = string(fact.Code), s.moment(fact.Height)
	contents, err := s.Contents(ctx, fact.Height)
	for i := range contents.Operations {
		if d := &contents.Operations[i]; d.Hash == hash {
			out.Done = d
		}
	}
	return out, err
}

// Anchors implements Ledger.
func (s *ChainSource) Anchors(_ context.Context, p Page) (List[Anchor], error) {
	from := "anchor/"
	if p.After != "" {
		root, err := hex.DecodeString(p.After)
		if err != nil || len(root) != 32 {
			return List[Anchor]{}, ErrCursor
		}
		from += string(root) + "\x00"
	}
	var out List[Anchor]
	err := s.each(from, "anchor0", func(key string, value []byte) (bool, error) {
		if len(key) != len("anchor/")+32 {
			return true, nil
		}
		if len(out.Items) == p.Limit {
			out.Next = hex.EncodeToString(out.Items[p.Limit-1].Root[:])
			return false, nil
		}
		var fact registry.AnchorFact
		err := registry.Decode(value, &fact)
		out.Items = append(out.Items, Anchor{Root: [32]byte([]byte(key[len("anchor/"):])), By: s.did(fact.ID), At: s.moment(fact.Height)})
		return true, err
	})
	return out, err
}

// Anchor implements Archive.
func (s *ChainSource) Anchor(_ context.Context, root [32]byte) (Anchor, error) {
	fact, err := plain[registry.AnchorFact](s, registry.AnchorKey(root))
	return Anchor{Root: root, By: s.did(fact.ID), At: s.moment(fact.Height)}, err
}

// unavailable says of a node's errors what a Source says.
func unavailable(err error) error {
	switch {
	case errors.Is(err, node.ErrDown):
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	case errors.Is(err, node.ErrTooHigh):
		return registry.ErrNotFound
	}
	return err
}
