package console

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/dojang-id/dojang/registry"
)

// Accreditation implements Chronicle.
func (s *ChainSource) Accreditation(_ context.Context, d registry.DID, vct string, n uint64) (Accreditation, []Change[Accreditation], error) {
	var out []Change[Accreditation]
	var last *registry.AccreditationFact
	var heads [][32]byte
	err := versions(s, registry.AccreditationFamily(d, vct, n), func(fact registry.AccreditationFact, leaf registry.Leaf) {
		c := Change[Accreditation]{What: changeOfAccreditation(last, &fact), At: s.moment(leaf.Since), Fact: s.accreditationOf(d, vct, n, &fact, leaf)}
		if c.What != "emergency" {
			c.Operation = registry.HashOfDigest(fact.Head)
		}
		out, heads, last = append(out, c), append(heads, fact.Head), &fact
	})
	for i := range out {
		if err == nil && !out[i].Operation.IsZero() {
			out[i].Proposals, err = s.decidedBy(heads[i])
		}
	}
	if err == nil && last == nil {
		err = registry.ErrNotFound
	}
	if err != nil {
		return Accreditation{}, nil, err
	}
	slices.Reverse(out)
	return out[0].Fact, out, nil
}

func changeOfAccreditation(was, is *registry.AccreditationFact) string {
	switch {
	case was == nil && is.Lapses != 0:
		return "emergency" // in the block of its accreditation
	case was == nil:
		return "accredited"
	case is.Lapses != 0 && is.Lapses != was.Lapses:
		return "emergency"
	case is.Suspended && is.Lapses == 0 && was.Lapses != 0:
		return "confirmed"
	case is.Suspended && !was.Suspended:
		return "suspended"
	case !is.Suspended && was.Suspended:
		return "resumed"
	case is.Until != was.Until && is.From == was.From && slices.Equal(is.Basis, was.Basis):
		return "ended"
	}
	return "amended"
}

// Registration implements Chronicle.
func (s *ChainSource) Registration(_ context.Context, d registry.DID, purpose string) (Registration, []Change[Registration], error) {
	var out []Change[Registration]
	var heads [][32]byte
	err := versions(s, registry.RegistrationFamily(d, purpose), func(fact registry.RegistrationFact, leaf registry.Leaf) {
		what := "registered"
		if len(out) > 0 {
			what = "amended"
		}
		heads = append(heads, fact.Head)
		out = append(out, Change[Registration]{What: what, At: s.moment(leaf.Since), Operation: registry.HashOfDigest(fact.Head),
			Fact: s.registrationOf(d, purpose, &fact, leaf)})
	})
	for i := range out {
		if err == nil {
			out[i].Proposals, err = s.decidedBy(heads[i])
		}
	}
	if err == nil && len(out) == 0 {
		err = registry.ErrNotFound
	}
	if err != nil {
		return Registration{}, nil, err
	}
	slices.Reverse(out)
	return out[0].Fact, out, nil
}

// Types implements Chronicle.
func (s *ChainSource) Types(_ context.Context, p Page) (List[Type], error) {
	from := "type/"
	if p.After != "" {
		from += p.After + "0" // '0' follows '/'
	}
	var out List[Type]
	err := s.each(from, "type0", func(key string, value []byte) (bool, error) {
		vct, ok := cutLatest(key, "type/")
		if !ok {
			return true, nil
		}
		if len(out.Items) == p.Limit {
			out.Next = out.Items[p.Limit-1].VCT
			return false, nil
		}
		fact, leaf, err := decodeLeaf[registry.TypeFact](value)
		out.Items = append(out.Items, Type{VCT: vct, Digest: fact.Digest, At: s.moment(leaf.Since)})
		return true, err
	})
	return out, err
}

// Type implements Chronicle. A type without a digest has no changes.
func (s *ChainSource) Type(_ context.Context, vct string) (Type, []Change[Type], error) {
	var out []Change[Type]
	var heads [][32]byte
	err := versions(s, registry.TypeFamily(vct), func(fact registry.TypeFact, leaf registry.Leaf) {
		what := "fixed"
		if len(out) > 0 {
			what = "amended"
		}
		heads = append(heads, fact.Head)
		at := s.moment(leaf.Since)
		out = append(out, Change[Type]{What: what, At: at, Operation: registry.HashOfDigest(fact.Head), Fact: Type{VCT: vct, Digest: fact.Digest, At: at}})
	})
	for i := range out {
		if err == nil {
			out[i].Proposals, err = s.decidedBy(heads[i])
		}
	}
	slices.Reverse(out)
	if err != nil || len(out) == 0 {
		return Type{VCT: vct}, nil, err
	}
	return out[0].Fact, out, nil
}

// Issuers implements Chronicle.
func (s *ChainSource) Issuers(_ context.Context, vct string, p Page) (List[Accreditation], error) {
	return walk(s, "accr/"+vct, p, func(d registry.DID, n string, value []byte) (Accreditation, error) {
		return s.accreditation(d, vct+"/"+n, value)
	})
}

// Emergencies implements Council: DID by DID, all of one on the same page.
func (s *ChainSource) Emergencies(_ context.Context, p Page) (List[Emergency], error) {
	var out List[Emergency]
	last := p.After
	id, err := s.nextID(p.After)
	for seen := 0; err == nil && id != ""; id, err = s.nextID(id) {
		if len(out.Items) >= p.Limit || seen == maxWalk {
			out.Next = last
			break
		}
		var found []Emergency
		if found, err = s.emergencies(s.did(id)); err != nil {
			break
		}
		out.Items = append(out.Items, found...)
		last, seen = id, seen+1
	}
	return out, err
}

// emergencies of a DID. A fact that was never in one has no history to read.
func (s *ChainSource) emergencies(d registry.DID) ([]Emergency, error) {
	var out []Emergency
	var accreditations []string
	err := s.of(d, "key", func(id string, value []byte) error {
		fact, _, err := decodeLeaf[registry.KeyFact](value)
		if err == nil && fact.Held != 0 {
			out = append(out, s.held(d, id, &fact))
		}
		return err
	})
	if err == nil {
		err = s.of(d, "accr", func(name string, _ []byte) error {
			accreditations = append(accreditations, name)
			return nil
		})
	}
	for _, name := range accreditations {
		if err != nil {
			break
		}
		vct, number, _ := strings.Cut(name, "/")
		var n uint64
		if n, err = strconv.ParseUint(number, 10, 64); err == nil {
			out, err = s.halted(out, d, vct, n)
		}
	}
	for i := range out {
		if err == nil {
			out[i].By, err = s.signedBy(&out[i])
		}
	}
	return out, err
}

// held is the emergency of a key: one at most until a proposal decides, and that ends the key.
func (s *ChainSource) held(d registry.DID, id string, f *registry.KeyFact) Emergency {
	e := Emergency{DID: d, Key: id, At: s.moment(f.Held), Until: seconds(f.HeldUntil), State: "running"}
	switch {
	case f.Declared != 0:
		e.State, e.Decided = "confirmed", s.moment(f.Declared)
	case f.Retired != 0:
		e.State, e.Decided = "confirmed", s.moment(f.Retired)
	case s.cfg.Health().Time.Unix() >= f.HeldUntil:
		e.State = "lapsed"
	}
	return e
}

// halted are the emergencies of an accreditation.
func (s *ChainSource) halted(out []Emergency, d registry.DID, vct string, n uint64) ([]Emergency, error) {
	var open bool
	var lapses int64
	err := versions(s, registry.AccreditationFamily(d, vct, n), func(f registry.AccreditationFact, leaf registry.Leaf) {
		switch {
		case f.Lapses != 0 && f.Lapses != lapses:
			out = append(out, Emergency{DID: d, Type: vct, N: n, At: s.moment(leaf.Since), Until: seconds(f.Lapses), State: "running"})
			open = true
		case f.Lapses == 0 && open:
			e := &out[len(out)-1]
			e.State, e.Decided, open = "lifted", s.moment(leaf.Since), false
			if f.Suspended {
				e.State = "confirmed"
			}
		}
		lapses = f.Lapses
	})
	if open && s.cfg.Health().Time.Unix() >= lapses {
		out[len(out)-1].State = "lapsed"
	}
	return out, err
}

// signedBy is who signed an emergency, as its block has it; nil when that is pruned.
func (s *ChainSource) signedBy(e *Emergency) ([]string, error) {
	contents, err := s.Contents(context.Background(), e.At.Height)
	if err != nil {
		return nil, err
	}
	for _, done := range contents.Operations {
		if done.Kind == registry.KindEmergencySuspend && done.DID == e.DID && done.Code == string(registry.CodeOK) {
			return done.Members, nil
		}
	}
	return nil, nil
}
