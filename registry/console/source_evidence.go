package console

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/node"
)

// maxDated bounds the heights that one Evidence dates; the format allows 16 points.
const maxDated = 12

// Evidence implements Prover.
func (s *ChainSource) Evidence(_ context.Context, f Fact) ([]byte, error) {
	q, err := s.query(f)
	if err != nil {
		return nil, err
	}
	raw, err := s.cfg.Prove(q, "explorer "+f.Path())
	switch {
	case errors.Is(err, node.ErrDown):
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	case errors.Is(err, chain.ErrVersion), errors.Is(err, node.ErrTooHigh):
		return nil, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return raw, err
}

func (s *ChainSource) query(f Fact) (q node.Query, err error) {
	d := s.did(f.ID)
	switch f.Kind {
	case "key":
		q.Keys = []chain.KeyRef{{DID: d, ID: f.Name}}
	case "accreditation":
		q.Accreditations = []chain.AccreditationRef{{DID: d, Type: f.Name}}
	case "registration":
		q.Registrations = []chain.RegistrationRef{{DID: d, Purpose: f.Name}}
	case "operation":
		err = s.operationQuery(f, &q)
	case "block":
		err = s.blockQuery(f, &q)
	case "proposal":
		err = s.proposalQuery(f, &q)
	case "round":
		err = s.roundQuery(d, registry.RoundRef{Programme: f.Name, Round: f.Sub}, &q)
	case "accreditation-history":
		n, _ := parseHeight(f.Sub)
		err = s.historyQuery(registry.AccreditationFamily(d, f.Name, n), &q)
	case "registration-history":
		err = s.historyQuery(registry.RegistrationFamily(d, f.Name), &q)
	case "did-history":
		err = s.historyQuery(registry.DIDFamily(d), &q)
	case "parameters-history":
		err = s.historyQuery(registry.ParamsFamily(), &q)
	default:
		key, err := f.leaf(d)
		if err != nil {
			return q, err
		}
		q.Raw = [][]byte{key}
		if height := s.since(key); height > 0 {
			q.Heights = []uint64{height + 1}
		}
	}
	return q, err
}

// blockQuery shows a header by the header tree; those of a quiet network are not in it yet, and show themselves.
func (s *ChainSource) blockQuery(f Fact, q *node.Query) error {
	height, _ := parseHeight(f.ID)
	root, err := plain[registry.HeaderRoot](s, registry.HeaderRootKey())
	switch {
	case err != nil:
	case height >= root.First+root.Size:
		q.Height = height
	default:
		q.Heights = []uint64{height}
	}
	return err
}

// operationQuery is what became of an operation, and when.
func (s *ChainSource) operationQuery(f Fact, q *node.Query) error {
	raw, err := hex.DecodeString(f.ID)
	if err != nil {
		return registry.ErrNotFound
	}
	hash, err := registry.ParseHash(raw)
	if err != nil {
		return registry.ErrNotFound
	}
	q.Operations = []registry.Hash{hash}
	outcome, err := registry.ReadOutcome(hash, s.get)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil // its absence is proven
	case err == nil && outcome.Height > 0:
		q.Heights = []uint64{outcome.Height + 1}
	}
	return err
}

// historyQuery is the newest versions of a fact.
func (s *ChainSource) historyQuery(family registry.Family, q *node.Query) error {
	q.Raw = [][]byte{family.Latest()}
	var began []uint64
	err := s.each(string(family), string(family[:len(family)-1])+"0", func(key string, value []byte) (bool, error) {
		var leaf registry.Leaf
		if !family.Has([]byte(key)) {
			return true, nil
		}
		err := registry.Decode(value, &leaf)
		began = append(began, leaf.Since)
		return true, err
	})
	began = began[max(0, len(began)-maxDated):]
	for i, since := range began {
		if i < len(began)-1 {
			q.Raw = append(q.Raw, family.At(since))
		}
		if since > 0 {
			q.Heights = append(q.Heights, since+1)
		}
	}
	return err
}

// proposalQuery is a proposal as it stands, what it proposes, its newest votes, and the rules of now.
func (s *ChainSource) proposalQuery(f Fact, q *node.Query) error {
	n, _ := parseHeight(f.ID)
	family := registry.ProposalFamily(n)
	q.Raw = [][]byte{family.Latest(), registry.ProposalContentKey(n), registry.ParamsFamily().Latest()}
	fact, leaf, err := latest[registry.ProposalFact](s, family)
	if errors.Is(err, registry.ErrNotFound) {
		return nil // its absence is proven
	}
	if err != nil {
		return err
	}
	q.Heights = []uint64{leaf.Since + 1}
	voters := slices.Concat(fact.No, fact.Yes)
	for _, id := range voters[max(0, len(voters)-32):] {
		vote, err := plain[registry.VoteFact](s, registry.VoteKey(n, id))
		if err != nil {
			return err
		}
		q.Raw = append(q.Raw, registry.VoteKey(n, id))
		if !slices.Contains(q.Heights, vote.Height+1) && len(q.Heights) < maxDated {
			q.Heights = append(q.Heights, vote.Height+1)
		}
	}
	return nil
}

// roundQuery: the tree over the tags only when the round is closed, see Round.
func (s *ChainSource) roundQuery(d registry.DID, ref registry.RoundRef, q *node.Query) error {
	family := registry.RoundFamily(d, ref)
	q.Raw = [][]byte{family.Latest()}
	fact, leaf, err := latest[registry.RoundFact](s, family)
	if errors.Is(err, registry.ErrNotFound) {
		return nil // its absence is proven
	}
	if err == nil && fact.Closed != 0 {
		q.Raw = append(q.Raw, registry.RoundTreeKey(d, ref))
	}
	q.Heights = []uint64{leaf.Since + 1}
	return err
}

// leaf is the key of the fact that holds now.
func (f Fact) leaf(d registry.DID) ([]byte, error) {
	switch f.Kind {
	case "did":
		return registry.DIDFamily(d).Latest(), nil
	case "service":
		return registry.ServiceFamily(d, f.Name).Latest(), nil
	case "status":
		return registry.StatusFamily(d).Latest(), nil
	case "type":
		return registry.TypeFamily(f.ID).Latest(), nil
	case "parameters":
		return registry.ParamsFamily().Latest(), nil
	case "validators":
		return registry.ValidatorsFamily().Latest(), nil
	case "member":
		return registry.MemberFamily(f.ID).Latest(), nil
	}
	raw, err := hex.DecodeString(f.ID)
	switch {
	case err != nil || len(raw) != 32:
	case f.Kind == "anchor":
		return registry.AnchorKey([32]byte(raw)), nil
	case f.Kind == "misbehaviour":
		return registry.MisbehaviourFamily([32]byte(raw)).Latest(), nil
	}
	return nil, registry.ErrNotFound
}

// since is the height of the operation behind a leaf, 0 when it is not told: the Evidence then comes without its date.
func (s *ChainSource) since(key []byte) uint64 {
	value, err := s.get(key)
	if err != nil {
		return 0
	}
	var leaf registry.Leaf
	var anchor registry.AnchorFact
	switch {
	case string(key[:3]) == "anc" && registry.Decode(value, &anchor) == nil:
		return anchor.Height
	case registry.Decode(value, &leaf) == nil:
		return leaf.Since
	}
	return 0
}
