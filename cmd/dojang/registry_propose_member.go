package main

import (
	"bytes"
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

type proposeMemberAdd struct {
	proposeFlags
	Card string `arg:"" help:"Card of the agency, its fingerprint compared." type:"existingfile"`
}

func (c *proposeMemberAdd) Run(e *env) error {
	return c.propose(e, func(*council) (registry.Operation, error) {
		member, governance, sponsor, err := readMember(c.Card)
		return registry.Operation{Body: &registry.MemberAddBody{ID: member.Member, Name: member.Name, Key: governance, Sponsor: sponsor}}, err
	})
}

// readMember reads a member's card and its keys.
func readMember(path string) (member card, governance, sponsor registry.PublicKey, err error) {
	if member, err = readCard(path); err != nil {
		return card{}, nil, nil, err
	}
	if member.Member == "" {
		return card{}, nil, nil, fmt.Errorf("%s is the card of a node for readers: it was made without --member", path)
	}
	if governance, err = registry.ParseJWK(member.GovernanceKey); err == nil {
		sponsor, err = registry.ParseJWK(member.SponsorKey)
	}
	if err != nil {
		return card{}, nil, nil, fmt.Errorf("%s: malformed key", path)
	}
	return member, governance, sponsor, nil
}

type proposeMemberRemove struct {
	proposeFlags
	Member string `arg:"" help:"Id of the agency."`
}

func (c *proposeMemberRemove) Run(e *env) error {
	return c.propose(e, func(*council) (registry.Operation, error) {
		return registry.Operation{Body: &registry.MemberRemoveBody{ID: c.Member}}, nil
	})
}

type proposeMemberKeys struct {
	proposeFlags
	Card string `arg:"" help:"New card of the agency (dojang registry rekey), its fingerprint compared." type:"existingfile"`
}

func (c *proposeMemberKeys) Run(e *env) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		member, governance, sponsor, err := readMember(c.Card)
		if err != nil {
			return registry.Operation{}, err
		}
		family := registry.MemberFamily(member.Member)
		facts, err := v.facts(e.ctx, family.Latest(), registry.SponsorKey(member.Member))
		if err != nil {
			return registry.Operation{}, err
		}
		now, _, err := latestOf[registry.MemberFact](facts, family)
		if err != nil {
			return registry.Operation{}, err
		}
		gateway, err := plainOf[registry.SponsorFact](facts, registry.SponsorKey(member.Member))
		switch {
		case err != nil:
			return registry.Operation{}, err
		case now == nil || gateway == nil:
			return registry.Operation{}, fmt.Errorf("%w: no such member", errCheck)
		}
		b := &registry.MemberKeysBody{ID: member.Member} // of those that are new
		if !bytes.Equal(governance, now.Key) {
			b.Key = governance
		}
		if !bytes.Equal(sponsor, gateway.Key) {
			b.Sponsor = sponsor
		}
		if b.Key == nil && b.Sponsor == nil {
			return registry.Operation{}, fmt.Errorf("%s has the keys that the chain knows", c.Card)
		}
		return registry.Operation{Body: b}, nil
	})
}
