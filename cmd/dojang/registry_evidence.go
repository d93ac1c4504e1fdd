package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// registryEvidenceCmd saves what the chain proves, so that it can be checked without any server, by anybody, later.
type registryEvidenceCmd struct {
	chainFlags
	Out      string   `arg:"" help:"File to write." type:"path"`
	DID      string   `help:"Identifier that keys, types and purposes are of." name:"did"`
	Key      []string `help:"Keys of it, by the part after #." placeholder:"NAME"`
	Type     []string `help:"Its accreditations for credential types." placeholder:"TYPE"`
	Purpose  []string `help:"Its registrations as a verifier." placeholder:"PURPOSE"`
	Status   bool     `help:"Its newest status epoch."`
	List     string   `help:"One of its status lists as it was at that moment (--at, --known)." placeholder:"URI"`
	Index    uint64   `help:"Entry of that list; the node is only told which thousand it is among." placeholder:"N"`
	Metadata []string `help:"Digests of credential types' metadata; need no identifier." placeholder:"TYPE"`
	Proposal []uint64 `help:"Proposals with their content and votes." placeholder:"N"`
	Member   []string `help:"Members." placeholder:"ID"`
	Rules    bool     `help:"The parameters of the network, and its validators."`
	At       moment   `help:"Also whether all that was in force at that moment." placeholder:"MOMENT"`
	Known    moment   `help:"The same, as it was known at that moment; now unless told otherwise." placeholder:"MOMENT"`
	Block    uint64   `help:"Proven by the header of that block, for instance a published head's, while nodes keep its state; the newest unless told otherwise." placeholder:"HEIGHT"`
	Header   []uint64 `help:"Older blocks, proven without any validator's key." placeholder:"HEIGHT"`
}

func (c *registryEvidenceCmd) Run(e *env) error {
	if err := mustBeNew(c.Out); err != nil {
		return err
	}
	if c.List != "" && (c.DID == "" || c.At.at.IsZero() && c.Known.at.IsZero()) {
		return errors.New("--list needs --did, and a moment (--at, --known): the newest list is published as a whole")
	}
	v, err := c.open(e)
	if err != nil {
		return err
	}
	q, err := c.query(e, v)
	if err != nil {
		return err
	}
	facts, raw, err := v.ask(e.ctx, q)
	switch {
	case errors.Is(err, light.ErrQuery):
		return fmt.Errorf("nothing to prove, or more than %d things at once", light.MaxQueryKeys)
	case err != nil:
		return err
	}
	if err := writeFile(c.Out, raw); err != nil {
		return err
	}
	said := sayFacts(facts)
	var moments []answered
	if !q.At.IsZero() || !q.Known.IsZero() {
		moments = answers(facts, q, evidence.Moment{At: q.At, Known: q.Known})
	}
	headers := provenHeaders(facts, append([]uint64{0}, c.Header...))
	if c.JSON {
		err = e.print(map[string]any{"file": c.Out, "bytes": len(raw), "known_block": facts.Head().Height, "known_at": facts.Head().KnownAt, "says": said,
			"moments": moments, "headers": headers})
	} else {
		_, err = fmt.Fprintf(e.stdout, "%s: %d bytes, proven by block %d\n%s%s", c.Out, len(raw), facts.Head().Height, listed(said), listMoment(moments, headers))
	}
	if len(headers) < len(c.Header) {
		err = errors.Join(err, fmt.Errorf("%w: not all of these blocks stand in the header tree yet", errCheck))
	}
	return errors.Join(err, unanswered(moments))
}

func (c *registryEvidenceCmd) query(e *env, v *council) (light.Query, error) {
	q := light.Query{Keys: c.Key, Purposes: c.Purpose, Status: c.Status || c.List != "", List: c.List, Entry: c.Index, At: c.At.at, Known: c.Known.at, Headers: c.Header, Height: c.Block}
	var err error
	if c.DID != "" {
		if q.DID, err = v.identifier(c.DID); err != nil {
			return q, err
		}
	}
	for names, to := range map[*[]string]*[]string{&c.Type: &q.Types, &c.Metadata: &q.Metadata} {
		for _, name := range *names {
			vct, err := credentialType(name)
			if err != nil {
				return q, err
			}
			*to = append(*to, vct)
		}
	}
	for _, id := range c.Member {
		q.Leaves = append(q.Leaves, registry.MemberFamily(id).Latest())
	}
	if c.Rules {
		q.Leaves = append(q.Leaves, registry.ParamsFamily().Latest(), registry.ValidatorsFamily().Latest())
	}
	for _, n := range c.Proposal {
		p, err := v.proposal(e.ctx, n)
		if err != nil {
			return q, err
		}
		q.Leaves = append(q.Leaves, registry.ProposalFamily(n).Latest(), registry.ProposalContentKey(n))
		for _, member := range slices.Concat(p.fact.Yes, p.fact.No) {
			q.Leaves = append(q.Leaves, registry.VoteKey(n, member))
		}
	}
	return q, nil
}
