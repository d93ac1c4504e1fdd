package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// registryProposeCmd puts to the vote what the members decide together. Names of kinds are those of the chain.
type registryProposeCmd struct {
	MemberAdd        proposeMemberAdd       `cmd:"" help:"Add an agency."`
	MemberRemove     proposeMemberRemove    `cmd:"" help:"Remove an agency."`
	MemberKeys       proposeMemberKeys      `cmd:"" help:"Give an agency new keys, by its new card."`
	ValidatorAdd     proposeValidatorAdd    `cmd:"" help:"Add a validator, or change its power, operator or site."`
	ValidatorRemove  proposeValidatorRemove `cmd:"" help:"Remove a validator."`
	Threshold        proposeThreshold       `cmd:"" help:"Set how many members decide."`
	Params           proposeParams          `cmd:"" help:"Set time lock, time to vote, emergencies, quotas, status epochs or heartbeat."`
	Upgrade          proposeUpgrade         `cmd:"" help:"Put the next version of the rules in force from a height on."`
	Accredit         proposeAccredit        `cmd:"" help:"Let an issuer issue a type, or amend its accreditation."`
	Suspend          proposeSuspend         `cmd:"" name:"accreditation-suspend" help:"Suspend an accreditation; also confirms an emergency suspension."`
	Resume           proposeResume          `cmd:"" name:"accreditation-resume" help:"Lift the suspension of an accreditation."`
	End              proposeEnd             `cmd:"" name:"accreditation-end" help:"End an accreditation: revoke it."`
	RegisterVerifier proposeRegister        `cmd:"" help:"Register what a verifier may ask for, and why."`
	TypeDigest       proposeType            `cmd:"" help:"Fix the metadata of a credential type."`
	Recover          proposeRecover         `cmd:"" help:"Give an organisation that lost its recovery key new control keys."`
	KeyRetire        proposeRetire          `cmd:"" help:"Retire a key of an identifier: what it signed before counts."`
	KeyCompromise    proposeCompromise      `cmd:"" help:"Declare a key of an identifier compromised."`
	Deactivate       proposeDeactivate      `cmd:"" help:"End an identifier for good."`
}

// proposeFlags are common to all kinds.
type proposeFlags struct {
	chainFlags
	passphraseFlags
	Out string `help:"Write the operation into a file instead of submitting it; signed if the governance key is here." type:"path" placeholder:"FILE"`
}

// propose makes the proposal of an operation that build prepares on the proven state of the chain.
func (f *proposeFlags) propose(e *env, build func(v *council) (registry.Operation, error)) error {
	v, err := f.open(e)
	if err != nil {
		return err
	}
	if v.card.Member == "" {
		return fmt.Errorf("%s is the home of a node for readers: only members propose and vote", f.Home)
	}
	_, all, err := v.rules(e.ctx)
	if err != nil {
		return err
	}
	op, err := build(v)
	if err != nil {
		return err
	}
	op = v.operation(op)
	if op.Seq == 0 && free(op.Body) {
		op.Seq = all.Count + 1 // the same may be decided again
	}
	body, err := registry.Propose(v.card.Member, op)
	if err != nil {
		return unfit(err)
	}
	d, err := newDraft(v.operation(registry.Operation{Seq: all.Count + 1, Body: body}))
	if err != nil {
		return unfit(err)
	}
	return f.finish(e, v, d)
}

// free: the kind has no history, so that seq only tells one from another.
func free(body registry.Body) bool {
	switch body.(type) {
	case *registry.MemberAddBody, *registry.MemberRemoveBody, *registry.MemberKeysBody, *registry.ValidatorBody, *registry.ThresholdBody, *registry.ParamsBody, *registry.UpgradeBody:
		return true
	}
	return false
}

func unfit(err error) error {
	switch {
	case errors.Is(err, registry.ErrLimit):
		return errors.New("the chain does not take this: something is too long, or there is too much of it")
	case errors.Is(err, registry.ErrMalformed), errors.Is(err, registry.ErrKey):
		return errors.New("the chain does not take this: a name, a number or an interval is malformed")
	}
	return err
}

// finish signs and submits, or writes a file.
func (f *proposeFlags) finish(e *env, v *council, d *draft) error {
	key, err := f.governance(v.home)
	if f.Out == "" && err != nil {
		return err
	}
	if err == nil {
		err = d.sign(key)
	}
	if err != nil && !errors.Is(err, errNoGovernanceKey) {
		return err
	}
	if f.Out != "" {
		return f.write(e, d)
	}
	return v.submitDraft(e, d, f.JSON)
}

func (f *proposeFlags) write(e *env, d *draft) error {
	if err := mustBeNew(f.Out); err != nil {
		return err
	}
	if err := d.write(f.Out); err != nil {
		return err
	}
	return tellDraft(e, f.Out, d, f.JSON)
}

// credentialType is the vct of a type's short name, or of a vct.
func credentialType(name string) (string, error) {
	if t, ok := schemas.Lookup(name); ok {
		return t.VCT, nil
	}
	if !registry.ValidType(name) {
		return "", fmt.Errorf("no such credential type: a name like resident-id, or a vct like urn:dojang:kr:resident-id:1")
	}
	return name, nil
}

// identifier checks that text is a DID of this network.
func (v *council) identifier(text string) (registry.DID, error) {
	did, err := registry.ParseDID(text)
	if err != nil || did.Network() != v.trust.Network {
		return "", fmt.Errorf("not an identifier of this network: did:dojang:%s:…", v.trust.Network)
	}
	return did, nil
}

type proposeValidatorAdd struct {
	proposeFlags
	Card     string `arg:"" help:"Card of the node, its fingerprint compared." type:"existingfile"`
	Power    uint64 `help:"Its power; that of the strongest one unless told otherwise."`
	Operator string `help:"The body that runs it; the card's member unless told otherwise." placeholder:"ID"`
	Site     string `help:"Where it stands; the card's site unless told otherwise."`
}

func (c *proposeValidatorAdd) Run(e *env) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		node, err := readCard(c.Card)
		if err != nil {
			return registry.Operation{}, err
		}
		key, err := node.validator()
		if err != nil {
			return registry.Operation{}, err
		}
		b := &registry.ValidatorBody{Key: [32]byte(key), Power: c.Power, Operator: c.Operator, Site: c.Site}
		if b.Operator == "" {
			b.Operator = node.Member
		}
		if b.Site == "" {
			b.Site = node.Site
		}
		if b.Operator == "" || b.Site == "" {
			return registry.Operation{}, errors.New("the card names no agency: say who runs the validator and where it stands (--operator, --site)")
		}
		if b.Power == 0 {
			set, err := v.validators(e.ctx)
			if err != nil {
				return registry.Operation{}, err
			}
			for _, other := range set {
				b.Power = max(b.Power, other.Power)
			}
		}
		return registry.Operation{Body: b}, nil
	})
}

func (v *council) validators(ctx context.Context) ([]registry.ValidatorFact, error) {
	facts, err := v.facts(ctx, registry.ValidatorsFamily().Latest())
	if err != nil {
		return nil, err
	}
	fact, _, err := latestOf[registry.ValidatorsFact](facts, registry.ValidatorsFamily())
	if err == nil && fact == nil {
		err = errors.New("this chain does not name its validators")
	}
	if err != nil {
		return nil, err
	}
	return fact.Validators, nil
}

type proposeValidatorRemove struct {
	proposeFlags
	Validator string `arg:"" help:"Its key (base64url, as status --json shows it), or its node's card."`
}

func (c *proposeValidatorRemove) Run(e *env) error {
	return c.propose(e, func(*council) (registry.Operation, error) {
		raw, err := keys.DecodeBase64URL(c.Validator)
		if err != nil || len(raw) != ed25519.PublicKeySize {
			node, err := readCard(c.Validator)
			if err != nil {
				return registry.Operation{}, fmt.Errorf("neither a validator's key nor a card: %w", err)
			}
			if raw, err = node.validator(); err != nil {
				return registry.Operation{}, err
			}
		}
		return registry.Operation{Body: &registry.ValidatorBody{Key: [32]byte(raw)}}, nil
	})
}

type proposeThreshold struct {
	proposeFlags
	K uint64 `arg:"" help:"How many members decide."`
}

func (c *proposeThreshold) Run(e *env) error {
	return c.propose(e, func(*council) (registry.Operation, error) {
		return registry.Operation{Body: &registry.ThresholdBody{K: c.K}}, nil
	})
}

type proposeUpgrade struct {
	proposeFlags
	Version uint64 `arg:"" help:"Of the rules: one more than the present one. Every node needs a release that knows it."`
	Height  uint64 `arg:"" help:"The first block that they judge. Leave time for the votes, the time lock and the installations."`
}

func (c *proposeUpgrade) Run(e *env) error {
	return c.propose(e, func(*council) (registry.Operation, error) {
		return registry.Operation{Body: &registry.UpgradeBody{Version: c.Version, Height: c.Height}}, nil
	})
}

type proposeType struct {
	proposeFlags
	Type     string `arg:"" help:"Credential type: resident-id, or its vct."`
	Metadata string `help:"Type metadata, byte for byte as served; that of this program unless told otherwise." type:"existingfile" placeholder:"FILE"`
}

func (c *proposeType) Run(e *env) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		vct, err := credentialType(c.Type)
		if err != nil {
			return registry.Operation{}, err
		}
		b := &registry.TypeDigestBody{Type: vct}
		if t, ok := schemas.Lookup(vct); c.Metadata != "" {
			raw, err := os.ReadFile(c.Metadata)
			if err != nil {
				return registry.Operation{}, err
			}
			b.Digest = sha256.Sum256(raw)
		} else if ok {
			b.Digest = t.Digest()
		} else {
			return registry.Operation{}, errors.New("this program does not know the type: --metadata")
		}
		facts, err := v.facts(e.ctx, registry.TypeFamily(vct).Latest())
		if err != nil {
			return registry.Operation{}, err
		}
		old, _, err := latestOf[registry.TypeFact](facts, registry.TypeFamily(vct))
		if err != nil {
			return registry.Operation{}, err
		}
		op := registry.Operation{Body: b}
		if old != nil {
			op.Seq, op.Prev = old.Seq+1, registry.HashOfDigest(old.Head)
		}
		return op, nil
	})
}

type proposeRegister struct {
	proposeFlags
	DID  string `arg:"" name:"did" help:"The verifier's identifier."`
	File string `arg:"" help:"YAML: purpose, name, text (language to text), claims (type to claims), basis, retention_days, from, until." type:"existingfile"`
}

// registrationYAML is what a verifier may ask for.
type registrationYAML struct {
	Purpose       string              `yaml:"purpose"`
	Name          map[string]string   `yaml:"name"`
	Text          map[string]string   `yaml:"text"`
	Claims        map[string][]string `yaml:"claims"` // type, short or vct, to dotted paths
	Basis         []string            `yaml:"basis"`
	RetentionDays uint64              `yaml:"retention_days"`
	From          string              `yaml:"from"`
	Until         string              `yaml:"until"`
}

func (c *proposeRegister) Run(e *env) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		did, err := v.identifier(c.DID)
		if err != nil {
			return registry.Operation{}, err
		}
		b, err := readRegistration(c.File)
		if err != nil {
			return registry.Operation{}, fmt.Errorf("%s: %w", c.File, err)
		}
		family := registry.RegistrationFamily(did, b.Purpose)
		facts, err := v.facts(e.ctx, family.Latest())
		if err != nil {
			return registry.Operation{}, err
		}
		old, _, err := latestOf[registry.RegistrationFact](facts, family)
		if err != nil {
			return registry.Operation{}, err
		}
		op := registry.Operation{DID: did, Body: b}
		if old != nil {
			op.Seq, op.Prev = old.Seq+1, registry.HashOfDigest(old.Head)
		}
		return op, nil
	})
}

func readRegistration(path string) (*registry.RegisterBody, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var y registrationYAML
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&y); err != nil {
		return nil, err
	}
	b := &registry.RegisterBody{Purpose: y.Purpose, Name: y.Name, Text: y.Text, Claims: map[string][]string{}, Basis: y.Basis,
		Retention: y.RetentionDays, From: time.Now().Unix()}
	if !registry.ValidFragment(y.Purpose) {
		return nil, errors.New("purpose is an identifier like ADULT_CHECK")
	}
	for name, claims := range y.Claims {
		vct, err := credentialType(name)
		if err != nil {
			return nil, err
		}
		b.Claims[vct] = slices.Clone(claims)
	}
	var from, until moment
	if y.From != "" {
		if err := from.UnmarshalText([]byte(y.From)); err != nil {
			return nil, err
		}
		b.From = from.from()
	}
	if y.Until != "" {
		if err := until.UnmarshalText([]byte(y.Until)); err != nil {
			return nil, err
		}
		b.Until = until.until()
	}
	return b, nil
}
