package console

import (
	"context"
	"strings"

	"github.com/dojang-id/dojang/registry"
)

// Rounds implements Rounds. It steps from round to round: the tags in between are never read.
func (s *ChainSource) Rounds(ctx context.Context, p Page) (List[Round], error) {
	var out List[Round]
	id, rest, inside := strings.Cut(p.After, "/")
	var err error
	if !inside {
		if id, err = s.nextID(p.After); err != nil {
			return out, err
		}
	}
	last := p.After
	for range maxWalk {
		if id == "" {
			return out, nil
		}
		for {
			ref, err := s.nextRound(id, rest)
			if err != nil {
				return out, err
			}
			if ref == (registry.RoundRef{}) {
				break
			}
			if len(out.Items) == p.Limit {
				out.Next = last
				return out, nil
			}
			r, err := s.Round(ctx, s.did(id), ref)
			if err != nil {
				return out, err
			}
			rest = ref.Programme + "/" + ref.Round
			out.Items, last = append(out.Items, r), id+"/"+rest
		}
		rest, last = "", id
		if id, err = s.nextID(id); err != nil {
			return out, err
		}
	}
	if id != "" {
		out.Next = last
	}
	return out, nil
}

// nextRound of a DID behind one, "" for the first. The zero RoundRef: there is none.
func (s *ChainSource) nextRound(id, after string) (ref registry.RoundRef, err error) {
	prefix := "d/" + id + "/round/"
	from := prefix
	if after != "" {
		from += after + "0" // '0' follows '/'
	}
	err = s.each(from, prefix[:len(prefix)-1]+"0", func(key string, _ []byte) (bool, error) {
		parts := strings.SplitN(key[len(prefix):], "/", 3)
		if len(parts) == 3 {
			ref = registry.RoundRef{Programme: parts[0], Round: parts[1]}
		}
		return len(parts) != 3, nil
	})
	return ref, err
}

// Round implements Rounds.
func (s *ChainSource) Round(_ context.Context, d registry.DID, ref registry.RoundRef) (Round, error) {
	family := registry.RoundFamily(d, ref)
	fact, _, err := latest[registry.RoundFact](s, family)
	if err != nil {
		return Round{}, err
	}
	out := Round{Issuer: d, RoundRef: ref, Closed: s.moment(fact.Closed), Ended: s.moment(fact.Ended), Until: seconds(fact.Until),
		Destroyed: seconds(fact.Destroyed), Pruned: fact.Pruned}
	opened := uint64(0)
	err = s.each(string(family), string(family)+"tag/", func(_ string, value []byte) (bool, error) { // at/… and latest
		var leaf registry.Leaf
		err := registry.Decode(value, &leaf)
		opened = leaf.Since
		return false, err
	})
	if err != nil {
		return Round{}, err
	}
	out.Opened = s.moment(opened)
	out.State = s.roundState(&fact)
	if fact.Closed == 0 {
		return out, nil
	}
	tree, err := plain[registry.RoundTree](s, registry.RoundTreeKey(d, ref))
	out.Size, out.Root = tree.Size, tree.Root
	return out, err
}

func (s *ChainSource) roundState(f *registry.RoundFact) string {
	switch {
	case f.Closed == 0:
		return "open"
	case f.Ended != 0:
		return "ended"
	case s.cfg.Health().Time.Unix() >= f.Until:
		return "pruning"
	}
	return "closed"
}
