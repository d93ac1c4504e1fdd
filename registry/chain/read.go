package chain

import (
	"bytes"
	"errors"
	"time"

	"github.com/cosmos/iavl"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
)

// Readers answer from the newest committed state, without proof. Absent is registry.ErrNotFound.

func (m *Machine) newest() (*iavl.ImmutableTree, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.snapshot == nil {
		return nil, registry.ErrNotFound
	}
	return m.snapshot, nil
}

// A Version is one version of a DID: the sequence number of an operation, and its height.
type Version struct {
	Seq    uint64
	Height uint64
}

// Versions are all versions of a DID that can be told apart, oldest first: of several in one block only the last.
func (m *Machine) Versions(d registry.DID) ([]Version, error) {
	tree, err := m.newest()
	if err != nil {
		return nil, err
	}
	prefix := []byte(registry.DIDFamily(d))
	var out []Version
	var fault error
	each(tree, prefix, func(_, value []byte) bool { // at/… sorts before latest
		var leaf registry.Leaf
		var fact registry.DIDFact
		if fault = registry.Decode(value, &leaf); fault == nil {
			fault = registry.Decode(leaf.Fact, &fact)
		}
		out = append(out, Version{Seq: fact.Seq, Height: leaf.Since})
		return fault == nil
	})
	if fault == nil && len(out) == 0 {
		fault = registry.ErrNotFound
	}
	return out, fault
}

// DID gathers what the document of a DID shows as it stood at a height; 0 is the newest.
func (m *Machine) DID(d registry.DID, height uint64) (did.Record, error) {
	tree, err := m.newest()
	if err != nil {
		return did.Record{}, err
	}
	r := treeReader{tree}
	fact, leaf, err := factAt[registry.DIDFact](r, registry.DIDFamily(d), height)
	if err != nil {
		return did.Record{}, err
	}
	rec := did.Record{ID: d, DID: *fact, Created: m.dated(fact.Created), Updated: m.dated(leaf.Since)}
	if leaf.Until != 0 {
		next, _, err := factAt[registry.DIDFact](r, registry.DIDFamily(d), leaf.Until)
		if err != nil {
			return did.Record{}, err
		}
		rec.Next, rec.NextSeq = m.dated(leaf.Until), next.Seq
	}
	for _, id := range fact.Keys {
		k, _, err := factAt[registry.KeyFact](r, registry.KeyFamily(d, id), height)
		if err != nil {
			return did.Record{}, err
		}
		if height == 0 && k.HeldUntil > m.Info().Time.Unix() {
			continue // an emergency suspension: foreign readers know no such thing
		}
		rec.Keys = append(rec.Keys, did.Named[registry.KeyFact]{ID: id, Fact: *k})
	}
	for _, id := range fact.Services {
		s, _, err := factAt[registry.ServiceFact](r, registry.ServiceFamily(d, id), height)
		if err != nil {
			return did.Record{}, err
		}
		rec.Services = append(rec.Services, did.Named[registry.ServiceFact]{ID: id, Fact: *s})
	}
	return rec, nil
}

// dated is the time of operations of a height; zero while the header that dates them does not exist.
func (m *Machine) dated(height uint64) time.Time {
	_, t, err := m.Header(height + 1)
	if err != nil {
		return time.Time{}
	}
	return t
}

// factAt reads the fact of a family that holds at a height; 0 is the newest.
func factAt[T any](r treeReader, f registry.Family, height uint64) (*T, registry.Leaf, error) {
	fact, leaf, err := readFact[T](r, f)
	if err != nil {
		return nil, leaf, err
	}
	if fact == nil {
		return nil, leaf, registry.ErrNotFound
	}
	if height == 0 || leaf.Since <= height {
		return fact, leaf, nil
	}
	tree := r.tree.(*iavl.ImmutableTree)
	var value []byte
	eachDown(tree, []byte(string(f)+"at/"), f.At(height+1), func(_, v []byte) bool {
		value = v
		return false
	})
	if value == nil {
		return nil, registry.Leaf{}, registry.ErrNotFound
	}
	fact = new(T)
	leaf = registry.Leaf{}
	if err := registry.Decode(value, &leaf); err != nil {
		return nil, leaf, err
	}
	return fact, leaf, registry.Decode(leaf.Fact, fact)
}

// Outcome of an operation.
func (m *Machine) Outcome(operation registry.Hash) (registry.Outcome, error) {
	tree, err := m.newest()
	if err != nil {
		return registry.Outcome{}, err
	}
	fact, err := registry.ReadOutcome(operation, found(treeReader{tree}))
	if err != nil {
		return registry.Outcome{}, err
	}
	return registry.Outcome{Hash: operation[:], Height: fact.Height, Code: string(fact.Code)}, nil
}

// Anchor is the height of the block that anchored a root. Error: registry.ErrNotFound.
func (m *Machine) Anchor(root [32]byte) (height uint64, err error) {
	fact, err := readNewest[registry.AnchorFact](m, registry.AnchorKey(root))
	if err != nil {
		return 0, err
	}
	return fact.Height, nil
}

// Sponsor is a gateway's account: Highest+1 is a nonce that was not used.
func (m *Machine) Sponsor(id string) (registry.SponsorFact, error) {
	fact, err := readNewest[registry.SponsorFact](m, registry.SponsorKey(id))
	if err != nil {
		return registry.SponsorFact{}, err
	}
	return *fact, nil
}

// found gives registry.ErrNotFound for what is absent.
func found(r reader) func(key []byte) ([]byte, error) {
	return func(key []byte) ([]byte, error) {
		value, err := r.get(key)
		if err == nil && value == nil {
			err = registry.ErrNotFound
		}
		return value, err
	}
}

func readNewest[T any](m *Machine, key []byte) (*T, error) {
	tree, err := m.newest()
	if err != nil {
		return nil, err
	}
	fact, err := readPlain[T](treeReader{tree}, key)
	if err == nil && fact == nil {
		err = registry.ErrNotFound
	}
	return fact, err
}

// Status is the newest status epoch of an issuer and the height of its operation.
func (m *Machine) Status(d registry.DID) (registry.StatusFact, uint64, error) {
	return latest[registry.StatusFact](m, registry.StatusFamily(d))
}

// Accreditation is the newest state of accreditation n of a DID for a type, and the height of its last change.
func (m *Machine) Accreditation(d registry.DID, vct string, n uint64) (registry.AccreditationFact, uint64, error) {
	return latest[registry.AccreditationFact](m, registry.AccreditationFamily(d, vct, n))
}

// Registration is the newest registration of a verifier for a purpose, and the height of its last change.
func (m *Machine) Registration(d registry.DID, purpose string) (registry.RegistrationFact, uint64, error) {
	return latest[registry.RegistrationFact](m, registry.RegistrationFamily(d, purpose))
}

// Type is the newest metadata digest of a type, and the height of its last change.
func (m *Machine) Type(vct string) (registry.TypeFact, uint64, error) {
	return latest[registry.TypeFact](m, registry.TypeFamily(vct))
}

// Proposal n as it stands, and the height of its last change.
func (m *Machine) Proposal(n uint64) (registry.ProposalFact, uint64, error) {
	return latest[registry.ProposalFact](m, registry.ProposalFamily(n))
}

// Proposed is the operation that proposal n carries.
func (m *Machine) Proposed(n uint64) (*registry.SignedOperation, error) {
	content, err := readNewest[registry.ProposalContent](m, registry.ProposalContentKey(n))
	if err != nil {
		return nil, err
	}
	return content.Proposed()
}

// Proposals counts all proposals and names those that are not closed.
func (m *Machine) Proposals() (registry.ProposalsFact, error) {
	fact, err := readNewest[registry.ProposalsFact](m, registry.ProposalsKey())
	if errors.Is(err, registry.ErrNotFound) {
		return registry.ProposalsFact{}, nil
	}
	if err != nil {
		return registry.ProposalsFact{}, err
	}
	return *fact, nil
}

// Round is a round as it stands, and the tree over its tags.
func (m *Machine) Round(issuer registry.DID, ref registry.RoundRef) (registry.RoundFact, registry.RoundTree, error) {
	fact, _, err := latest[registry.RoundFact](m, registry.RoundFamily(issuer, ref))
	if err != nil {
		return fact, registry.RoundTree{}, err
	}
	tree, err := readNewest[registry.RoundTree](m, registry.RoundTreeKey(issuer, ref))
	if err != nil {
		return fact, registry.RoundTree{}, err
	}
	return fact, *tree, nil
}

// Member is a member, removed or not, and the height of its last change.
func (m *Machine) Member(id string) (registry.MemberFact, uint64, error) {
	return latest[registry.MemberFact](m, registry.MemberFamily(id))
}

// Validators that the members want; the engine follows two blocks later. Empty when the genesis named none.
func (m *Machine) Validators() ([]registry.ValidatorFact, error) {
	fact, _, err := latest[registry.ValidatorsFact](m, registry.ValidatorsFamily())
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	return fact.Validators, err
}

func latest[T any](m *Machine, f registry.Family) (T, uint64, error) {
	var zero T
	tree, err := m.newest()
	if err != nil {
		return zero, 0, err
	}
	fact, leaf, err := readFact[T](treeReader{tree}, f)
	if err != nil {
		return zero, 0, err
	}
	if fact == nil {
		return zero, 0, registry.ErrNotFound
	}
	return *fact, leaf.Since, nil
}

// Iterate calls f for the leaves under a prefix, in key order, until f returns false. f must not keep the slices.
func (m *Machine) Iterate(prefix []byte, f func(key, value []byte) bool) error {
	return m.Range(prefix, after(prefix), f)
}

func each(tree *iavl.ImmutableTree, prefix []byte, f func(key, value []byte) bool) {
	tree.IterateRange(prefix, after(prefix), true, func(k, v []byte) bool { return !f(k, v) })
}

func eachDown(tree *iavl.ImmutableTree, from, to []byte, f func(key, value []byte) bool) {
	tree.IterateRange(from, to, false, func(k, v []byte) bool { return !f(k, v) })
}

// after is the first key that does not begin with the prefix; prefixes here end in ASCII.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	if len(end) == 0 {
		return nil
	}
	end[len(end)-1]++
	return end
}

// Range calls f for the leaves with from <= key < to, in key order, until f returns false. f must not keep the slices.
func (m *Machine) Range(from, to []byte, f func(key, value []byte) bool) error {
	height := m.Info().Height
	if height == 0 {
		return registry.ErrNotFound
	}
	tree, release, err := m.hold(height) // a long walk ends early without a word when what it walks over is pruned
	if err != nil {
		return err
	}
	defer release()
	tree.IterateRange(from, to, true, func(k, v []byte) bool { return !f(k, v) })
	return nil
}
