package chain

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cosmos/iavl"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// ErrVersion: that state is not committed yet, or was pruned.
var ErrVersion = errors.New("chain: no such version")

// A Query names the facts that an Evidence shall hold. Facts that do not exist are proven absent.
type Query struct {
	Keys           []KeyRef
	Accreditations []AccreditationRef
	Registrations  []RegistrationRef
	Types          []string
	Status         []registry.DID
	DIDs           []registry.DID // control facts
	Operations     []registry.Hash
	Anchors        [][32]byte // roots, with the headers that date them
	Raw            [][]byte   // further leaf keys
	// At and Known are moments of which keys, accreditations, registrations and status epochs are shown as they stood, beside
	// their newest state: was it in force At, as Known then? Zero: no such moment.
	At, Known time.Time
	// Heights of further headers to be proven by the header tree; those it does not hold are left out.
	Heights []uint64
}

// A KeyRef names a verification key.
type KeyRef struct {
	DID registry.DID
	ID  string
}

// An AccreditationRef asks for all accreditations of a DID for a type.
type AccreditationRef struct {
	DID  registry.DID
	Type string
}

// A RegistrationRef names a registration.
type RegistrationRef struct {
	DID     registry.DID
	Purpose string
}

// Prove makes the state part of an Evidence from a committed version; 0 is the newest. Errors: ErrVersion, registry.ErrLimit.
func (m *Machine) Prove(version uint64, q Query) (evidence.StateProof, error) {
	tree, version, err := m.version(version)
	if err != nil {
		return evidence.StateProof{}, err
	}
	p := &prover{m: m, tree: tree, heights: slices.Clone(q.Heights)}
	for _, t := range []time.Time{q.At, q.Known} {
		if t.IsZero() {
			continue
		}
		header, err := m.HeightAt(t)
		if err != nil {
			return evidence.StateProof{}, err
		}
		height := max(header, 1) - 1 // its header's time is the first at which operations of the height before count
		if !slices.Contains(p.moments, height) {
			p.moments = append(p.moments, height)
		}
	}
	p.query(q)
	if p.err != nil {
		return evidence.StateProof{}, p.err
	}
	return p.proof(version)
}

func (m *Machine) version(version uint64) (*iavl.ImmutableTree, uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.snapshot == nil || version > m.height || (version != 0 && version <= m.pruned) {
		return nil, 0, ErrVersion
	}
	if version == 0 || version == m.height {
		return m.snapshot, m.height, nil
	}
	tree, err := m.reads.GetImmutable(int64(version))
	if err != nil {
		return nil, 0, ErrVersion
	}
	return tree, version, nil
}

// A prover collects the proofs and dates of one Evidence and keeps the first error.
type prover struct {
	m       *Machine
	tree    *iavl.ImmutableTree
	moments []uint64 // heights of the states at the moments asked for, beside the newest
	merged  merger
	heights []uint64 // headers that date facts: a reader is told these times
	bounds  []uint64 // and those that only tell whether a fact held at a moment: the newest of them, where all are too many
	err     error
}

func (p *prover) query(q Query) {
	for _, k := range q.Keys {
		p.keyFact(registry.KeyFamily(k.DID, k.ID))
	}
	for _, a := range q.Accreditations {
		p.accreditations(a)
	}
	for _, r := range q.Registrations {
		proveHistory[registry.RegistrationFact](p, registry.RegistrationFamily(r.DID, r.Purpose), nil)
	}
	for _, vct := range q.Types {
		p.key(registry.TypeFamily(vct).Latest())
	}
	for _, d := range q.Status {
		if len(p.moments) == 0 {
			p.epoch(d)
		} else {
			proveHistory[registry.StatusFact](p, registry.StatusFamily(d), nil)
		}
	}
	for _, d := range q.DIDs {
		p.key(registry.DIDFamily(d).Latest())
	}
	for _, op := range q.Operations {
		p.outcome(op)
	}
	for _, root := range q.Anchors {
		key := registry.AnchorKey(root)
		p.key(key)
		fact, err := readPlain[registry.AnchorFact](treeReader{p.tree}, key)
		if err != nil {
			p.err = err
		} else if fact != nil {
			p.date(fact.Height)
		}
	}
	for _, k := range q.Raw {
		p.key(k)
	}
}

// epoch proves an issuer's newest status epoch with the keys that stand behind it: a reader without network, too, sees that one was
// compromised since, the second status operator's included.
func (p *prover) epoch(issuer registry.DID) {
	_, fact := proveFact[registry.StatusFact](p, registry.StatusFamily(issuer))
	if fact == nil {
		return
	}
	signers := []string{fact.Signer}
	if fact.Base != nil {
		signers = append(signers, issuer.URL(fact.Base.KeyID))
	}
	for _, s := range signers {
		did, kid, err := registry.ParseDIDURL(s)
		if err != nil {
			p.err = err
			return
		}
		p.keyFact(registry.KeyFamily(did, kid))
	}
}

// accreditations: n counts without gaps, so that the first absent one shows that there are no more.
func (p *prover) accreditations(a AccreditationRef) {
	for n := uint64(1); n <= registry.MaxAccreditations+1 && p.err == nil; n++ {
		if !proveHistory[registry.AccreditationFact](p, registry.AccreditationFamily(a.DID, a.Type, n), nil) {
			return
		}
	}
}

// outcome proves the leaves that registry.ReadOutcome needs.
func (p *prover) outcome(operation registry.Hash) {
	r := treeReader{p.tree}
	booked, err := readPlain[registry.OutcomeFact](r, registry.OutcomeKey(operation))
	var created []byte
	if err == nil {
		created, err = r.get(registry.CreatedFamily(operation).Latest())
	}
	if err != nil {
		p.err = err
		return
	}
	ok := booked != nil && booked.Code == registry.CodeOK
	if !ok {
		p.key(registry.CreatedFamily(operation).Latest())
	}
	if created == nil {
		p.key(registry.OutcomeKey(operation))
	}
}

// key proves one leaf, present or absent.
func (p *prover) key(key []byte) {
	if p.err != nil {
		return
	}
	proof, err := p.tree.GetProof(key)
	if err != nil {
		p.err = fmt.Errorf("chain: prove: %w", err)
		return
	}
	p.err = p.merged.add(proof)
}

// date asks for the header that dates operations of a height; bound for it if there is room.
func (p *prover) date(height uint64)  { p.heights = append(p.heights, height+1) }
func (p *prover) bound(height uint64) { p.bounds = append(p.bounds, height+1) }

// proveFact proves the latest fact of a family and returns it; nil when it is absent.
func proveFact[T any](p *prover, f registry.Family) (*registry.Leaf, *T) {
	p.key(f.Latest())
	if p.err != nil {
		return nil, nil
	}
	fact, leaf, err := readFact[T](treeReader{p.tree}, f)
	if err != nil || fact == nil {
		p.err = err
		return nil, nil
	}
	return &leaf, fact
}

// keyFact proves a key with the headers that date its interval.
func (p *prover) keyFact(f registry.Family) {
	dates := func(k *registry.KeyFact) {
		p.date(k.Active)
		if k.Retired != 0 {
			p.date(k.Retired)
		}
		if k.Held != 0 {
			p.date(k.Held)
		}
	}
	if len(p.moments) > 0 {
		proveHistory(p, f, dates)
	} else if _, fact := proveFact[registry.KeyFact](p, f); fact != nil {
		dates(fact)
	}
}

// proveHistory proves the latest fact and the one at each moment asked for, or that there was none. dates, unless nil, is told
// of each fact.
func proveHistory[T any](p *prover, f registry.Family, dates func(*T)) (exists bool) {
	leaf, newest := proveFact[T](p, f)
	if leaf == nil {
		return false
	}
	p.bound(leaf.Since)
	if dates != nil {
		dates(newest)
	}
	for _, height := range p.moments {
		if height >= leaf.Since {
			continue
		}
		var fact *T
		var at registry.Leaf
		err := registry.ErrNotFound
		if height > 0 {
			fact, at, err = factAt[T](treeReader{p.tree}, f, height)
		}
		switch {
		case errors.Is(err, registry.ErrNotFound):
			p.first(f, leaf.Since)
		case err != nil:
			p.err = err
		default:
			p.bound(at.Since)
			p.bound(at.Until)
			p.key(f.At(at.Since))
			if dates != nil {
				dates(fact)
			}
		}
	}
	return true
}

// first proves which fact of a family was the first: with its left neighbour.
func (p *prover) first(f registry.Family, latest uint64) {
	since, key := latest, f.Latest()
	each(p.tree, []byte(string(f)+"at/"), func(k, v []byte) bool {
		var leaf registry.Leaf
		if err := registry.Decode(v, &leaf); err != nil {
			p.err = err
			return false
		}
		since, key = leaf.Since, slices.Clone(k)
		return false
	})
	p.bound(since)
	p.key(key)
	p.key(f.At(max(since, 1) - 1)) // absent: shows what is left of the first
}

// proof puts the parts together.
func (p *prover) proof(version uint64) (evidence.StateProof, error) {
	out := evidence.StateProof{Version: version, Root: [32]byte(p.tree.Hash())}
	if len(p.heights)+len(p.bounds) > 0 {
		if err := p.dates(&out, version); err != nil {
			return out, err
		}
	}
	if p.err != nil {
		return out, p.err
	}
	if p.merged.root == nil {
		p.key(registry.ParamsFamily().Latest()) // an Evidence of nothing but a header still shows some state
		if p.err != nil {
			return out, p.err
		}
	}
	var err error
	out.Tree, err = evidence.EncodeTree(p.merged.root)
	return out, err
}

// dates sorts the headers asked for into those that stand in the header tree of this version, and the one that cannot yet.
func (p *prover) dates(out *evidence.StateProof, version uint64) error {
	root, err := readPlain[registry.HeaderRoot](treeReader{p.tree}, registry.HeaderRootKey())
	if err != nil || root == nil {
		return fmt.Errorf("chain: header tree in state: %w", errors.Join(err, registry.ErrNotFound))
	}
	var indices []uint64
	for _, h := range p.headers(root) {
		switch {
		case h < root.First:
		case h < root.First+root.Size:
			indices = append(indices, h-root.First)
			out.Points = append(out.Points, h)
		case h == root.First+root.Size && h <= version+1:
			out.Loose = h
		}
	}
	switch {
	case len(indices) > evidence.MaxPoints:
		return registry.ErrLimit
	case len(indices) == 0:
		return nil
	}
	p.key(registry.HeaderRootKey())
	if out.Path, err = p.m.headerPath(root.Size, indices); err != nil {
		return err
	}
	return p.m.points(out)
}

// headers are the heights of the headers to be shown, ascending. When not all go into one Evidence, the newest bounds stay, and those
// around each moment: together they tell of every fact whether it had begun by then.
func (p *prover) headers(root *registry.HeaderRoot) []uint64 {
	heights := sorted(p.heights)
	all := sorted(append(slices.Clone(heights), p.bounds...))
	if len(all) <= evidence.MaxPoints {
		return all
	}
	for _, m := range p.moments {
		heights = append(heights, m+1)
		if m+2 < root.First+root.Size {
			heights = append(heights, m+2)
		}
	}
	for _, h := range slices.Backward(sorted(p.bounds)) {
		if heights = sorted(heights); len(heights) >= evidence.MaxPoints {
			break
		}
		heights = append(heights, h)
	}
	return sorted(heights)
}

func sorted(heights []uint64) []uint64 {
	heights = slices.Sorted(slices.Values(heights))
	return slices.Compact(heights)
}

// points adds the headers themselves, unless one is not here: then the engine's blocks have them.
func (m *Machine) points(out *evidence.StateProof) error {
	for _, h := range out.Points {
		point, err := m.Point(h)
		if errors.Is(err, ErrPoints) {
			out.Dated = nil
			return nil
		}
		if err != nil {
			return fmt.Errorf("chain: header %d: %w", h, err)
		}
		out.Dated = append(out.Dated, point)
	}
	return nil
}
