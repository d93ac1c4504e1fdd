package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// registryVoteCmd votes on a proposal. A vote is signed, public and final.
type registryVoteCmd struct {
	proposeFlags
	N    uint64 `arg:"" help:"Number of the proposal."`
	Word string `arg:"" name:"yes|no" help:"yes or no." enum:"yes,no"`
}

func (c *registryVoteCmd) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	p, err := v.awaitProposal(e.ctx, c.N)
	if err != nil {
		return err
	}
	switch {
	case v.card.Member == "":
		return fmt.Errorf("%s is the home of a node for readers: only members propose and vote", c.Home)
	case p.closed():
		return fmt.Errorf("%w: proposal %d is closed: %s", errCheck, c.N, p.fact.State)
	case slices.Contains(p.fact.Yes, v.card.Member) || slices.Contains(p.fact.No, v.card.Member):
		return fmt.Errorf("%w: %s has voted on proposal %d", errCheck, v.card.Member, c.N)
	}
	d, err := newDraft(v.operation(registry.Operation{Body: &registry.VoteBody{Member: v.card.Member, N: c.N, Proposal: p.fact.Hash, Approve: c.Word == "yes"}}))
	if err != nil {
		return unfit(err)
	}
	d.proposed = p.op.Payload
	return c.finish(e, v, d)
}

// registrySignCmd adds a member's signature to an operation file. It needs no network: the home may be a folder on an
// offline machine that holds card.json and governance/ and nothing else.
type registrySignCmd struct {
	Home string `arg:"" help:"Home with card.json and the folder governance; needs no network." type:"existingdir"`
	File string `arg:"" help:"Operation file." type:"existingfile"`
	Yes  bool   `help:"Sign without being asked."`
	JSON bool   `help:"Print JSON lines only."`
	passphraseFlags
}

func (c *registrySignCmd) Run(e *env) error {
	d, err := readDraft(c.File)
	if err != nil {
		return err
	}
	says, err := d.says()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	key, err := c.governance(nodeHome(c.Home))
	if err != nil {
		return err
	}
	if !c.Yes {
		if _, err := fmt.Fprintf(e.stderr, "On %s: %s\n", d.op.ChainID, visible(says)); err != nil {
			return err
		}
		if !confirmed(e, "Sign this as "+strings.TrimPrefix(key.Role, "member/")+"? [y/N] ") {
			return fmt.Errorf("%w: not signed (--yes signs without being asked)", errCheck)
		}
	}
	if err := d.sign(key); err != nil {
		return err
	}
	if err := d.write(c.File); err != nil {
		return err
	}
	return tellDraft(e, c.File, d, c.JSON)
}

// tellDraft says what a file holds and who has signed it.
func tellDraft(e *env, path string, d *draft, asJSON bool) error {
	says, err := d.says()
	if err != nil {
		return err
	}
	signers := []string{}
	for _, role := range d.signers() {
		signers = append(signers, strings.TrimPrefix(role, "member/"))
	}
	if asJSON {
		return e.print(map[string]any{"file": path, "says": says, "signed_by": signers})
	}
	by := "signed by nobody yet"
	if len(signers) > 0 {
		by = "signed by " + strings.Join(signers, ", ")
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %s\n  %s\n", path, visible(says), by)
	return err
}

// registrySubmitCmd hands in operations that were signed elsewhere.
type registrySubmitCmd struct {
	chainFlags
	Files []string `arg:"" help:"Operation files, signed." type:"existingfile"`
}

func (c *registrySubmitCmd) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	for _, path := range c.Files {
		d, err := readDraft(path)
		if err == nil && d.signed == nil {
			err = errors.New("nobody has signed it yet (dojang registry sign)")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if err := v.submitDraft(e, d, c.JSON); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// submitDraft hands in a signed operation and tells what became of it; of proposals and votes, where they stand.
func (v *council) submitDraft(e *env, d *draft, asJSON bool) error {
	if err := v.submit(e.ctx, d.raw); err != nil {
		return err
	}
	switch b := d.op.Body.(type) {
	case *registry.ProposeBody:
		n, err := v.numberOf(e.ctx, b)
		if err != nil {
			return err
		}
		return v.tellProposal(e, n, asJSON)
	case *registry.VoteBody:
		return v.tellProposal(e, b.N, asJSON)
	}
	says, err := d.says()
	if err != nil {
		return err
	}
	if asJSON {
		return e.print(map[string]any{"done": says, "operation": d.signed.Hash.String()})
	}
	_, err = fmt.Fprintf(e.stdout, "done: %s\n", visible(says))
	return err
}

// numberOf finds the number that a proposal got: it is among the newest.
func (v *council) numberOf(ctx context.Context, b *registry.ProposeBody) (uint64, error) {
	op, err := b.Proposed()
	if err != nil {
		return 0, err
	}
	_, all, err := v.rules(ctx)
	if err != nil {
		return 0, err
	}
	const newest = 16
	var leaves [][]byte
	for n := all.Count; n > 0 && n+newest > all.Count; n-- {
		leaves = append(leaves, registry.ProposalFamily(n).Latest())
	}
	if len(leaves) == 0 {
		return 0, errors.New("the chain shows no proposal")
	}
	facts, err := v.facts(ctx, leaves...)
	if err != nil {
		return 0, err
	}
	for n := all.Count; n > 0 && n+newest > all.Count; n-- {
		fact, _, err := latestOf[registry.ProposalFact](facts, registry.ProposalFamily(n))
		if err != nil {
			return 0, err
		}
		if fact != nil && fact.Proposer == b.Member && fact.Hash == op.Hash.Digest() {
			return n, nil
		}
	}
	return 0, errors.New("the proposal is on the chain, but not among the newest: dojang registry proposals --all")
}

// registryEmergencyCmd stops a key or an accreditation at once, by fewer members than a decision needs. It lapses by itself
// unless a proposal confirms it.
type registryEmergencyCmd struct {
	Suspend emergencySuspend `cmd:"" help:"Suspend a key or an accreditation at once, for a while."`
	Confirm emergencyConfirm `cmd:"" help:"Propose that an emergency suspension stays."`
}

type emergencyFlags struct {
	proposeFlags
	DID  string `arg:"" name:"did" help:"The identifier; of a key, did:dojang:…#name."`
	Type string `arg:"" optional:"" help:"Credential type of the accreditation; none: the key."`
	N    uint64 `help:"Number of the accreditation for this type; the newest unless told otherwise." placeholder:"N"`
}

// of says what is to be suspended: a key, or an accreditation.
func (c *emergencyFlags) of(ctx context.Context, v *council) (did registry.DID, key string, g grant, err error) {
	if did, key, err = registry.ParseDIDURL(c.DID); err == nil {
		if c.Type != "" {
			return "", "", grant{}, errors.New("either a key (did:dojang:…#name) or an accreditation (identifier and type)")
		}
		did, err = v.identifier(string(did))
		return did, key, grant{}, err
	}
	if did, err = v.identifier(c.DID); err != nil {
		return "", "", grant{}, err
	}
	if c.Type == "" {
		return "", "", grant{}, errors.New("what of it: a key is named did:dojang:…#name, an accreditation by identifier and type")
	}
	if g.vct, err = credentialType(c.Type); err != nil {
		return "", "", grant{}, err
	}
	g.did = did
	g.n, _, err = v.accreditation(ctx, grant{did: did, vct: g.vct, n: c.N})
	return did, "", g, err
}

type emergencySuspend struct{ emergencyFlags }

func (c *emergencySuspend) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	params, _, err := v.rules(e.ctx)
	if err != nil {
		return err
	}
	switch {
	case params.Emergency == 0:
		return errors.New("this network has no emergency suspension: propose accreditation-suspend, key-retire or key-compromise")
	case params.Emergency > 1 && c.Out == "":
		return fmt.Errorf("%d members sign an emergency suspension: give --out FILE, let the others sign it (dojang registry sign), then submit it", params.Emergency)
	}
	did, key, g, err := c.of(e.ctx, v)
	if err != nil {
		return err
	}
	d, err := newDraft(v.operation(registry.Operation{DID: did, Body: &registry.EmergencyBody{At: time.Now().Unix(), Key: key, Type: g.vct, N: g.n}}))
	if err != nil {
		return unfit(err)
	}
	return c.finish(e, v, d)
}

type emergencyConfirm struct {
	emergencyFlags
	Retire bool `help:"Of a key: retire it, instead of declaring it compromised since the suspension."`
}

func (c *emergencyConfirm) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	did, key, g, err := c.of(e.ctx, v)
	switch {
	case err != nil:
		return err
	case key == "":
		grants := grantFlags{proposeFlags: c.proposeFlags, DID: c.DID, Type: c.Type, N: g.n}
		return grants.change(e, func(vct string, n uint64) registry.Body { return &registry.SuspendBody{Type: vct, N: n} })
	case c.Retire:
		return c.changeDID(e, string(did), &registry.RetireBody{ID: key})
	}
	since, err := v.heldSince(e.ctx, did, key)
	if err != nil {
		return err
	}
	return c.changeDID(e, string(did), &registry.CompromiseBody{ID: key, From: since})
}

// heldSince is when a key was suspended in an emergency.
func (v *council) heldSince(ctx context.Context, did registry.DID, key string) (int64, error) {
	family := registry.KeyFamily(did, key)
	facts, err := v.facts(ctx, family.Latest(), registry.ParamsFamily().Latest())
	if err != nil {
		return 0, err
	}
	fact, _, err := latestOf[registry.KeyFact](facts, family)
	if err != nil {
		return 0, err
	}
	params, _, err := latestOf[registry.ParamsFact](facts, registry.ParamsFamily())
	switch {
	case err != nil:
		return 0, err
	case fact == nil:
		return 0, errors.New("no such key")
	case fact.HeldUntil == 0:
		return 0, errors.New("the key was not suspended in an emergency: propose key-retire or key-compromise")
	}
	return fact.HeldUntil - params.EmergencyHold, nil
}
