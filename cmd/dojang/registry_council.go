package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
)

// governanceCmds are the commands of members, and of those whom they decide about.
type governanceCmds struct {
	Propose   registryProposeCmd   `cmd:"" help:"Put to the vote what the members decide together."`
	Vote      registryVoteCmd      `cmd:"" help:"Vote on a proposal."`
	Proposals registryProposalsCmd `cmd:"" help:"Show proposals, their votes and what became of them."`
	Emergency registryEmergencyCmd `cmd:"" help:"Suspend a key or an accreditation at once; confirm that."`
	DID       registryDIDCmd       `cmd:"" name:"did" help:"Make the identifier of an organisation: issuer, verifier, wallet provider."`
	Evidence  registryEvidenceCmd  `cmd:"" help:"Save the proof of facts, to be checked offline (dojang verify evidence)."`
	Rekey     registryRekeyCmd     `cmd:"" help:"Make new keys for a member whose governance or gateway key is lost or stolen, and the card to propose them by."`
	Sign      registrySignCmd      `cmd:"" help:"Sign an operation file as a member, on a machine without network."`
	Submit    registrySubmitCmd    `cmd:"" help:"Hand in operations that were signed elsewhere."`
}

// chainFlags are what a command needs that reads the chain for an agency.
type chainFlags struct {
	Home  string `arg:"" help:"Home of the agency's node." type:"existingdir"`
	Trust string `help:"Trust file; otherwise the word of the home's own node, which must run." type:"existingfile" placeholder:"FILE"`
	JSON  bool   `help:"Print JSON lines only."`
}

// A council is the chain as one agency sees it. Every answer is Evidence that was checked here, from whatever node it came.
type council struct {
	home    nodeHome
	card    card
	network networkFile
	trust   evidence.Trust
	light   *light.Client
}

func (f chainFlags) open(e *env) (*council, error) {
	v := &council{home: nodeHome(f.Home)}
	var err error
	if v.card, err = readCard(v.home.path("card.json")); err != nil {
		return nil, err
	}
	v.network, err = v.home.readNetwork()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s belongs to no network yet: join or start it first", f.Home)
	}
	if err != nil {
		return nil, err
	}
	if v.trust, err = f.trusted(e, v.home); err != nil {
		return nil, err
	}
	nodes := []string{v.card.URL} // the own one first: it knows soonest what was submitted to it
	for _, c := range v.network.Cards {
		if !slices.Contains(nodes, c.URL) {
			nodes = append(nodes, c.URL)
		}
	}
	v.light, err = light.New(light.Config{Nodes: nodes, Trust: v.trust, Logger: e.log})
	return v, err
}

func (f chainFlags) trusted(e *env, home nodeHome) (evidence.Trust, error) {
	var raw []byte
	var err error
	if f.Trust != "" {
		raw, err = os.ReadFile(f.Trust)
	} else {
		raw, err = ownTrust(e.ctx, home)
	}
	if err != nil {
		return evidence.Trust{}, err
	}
	trust, _, err := evidence.LoadTrust(raw)
	if err != nil {
		return evidence.Trust{}, fmt.Errorf("trust file: %w", err)
	}
	return trust, nil
}

// ownTrust is a trust file out of one's own node: whoever runs it may believe it.
func ownTrust(ctx context.Context, home nodeHome) ([]byte, error) {
	var raw json.RawMessage
	party, err := home.management()
	if err == nil {
		err = call(ctx, party, "GET", "/v1/trust", nil, &raw)
	}
	if err != nil {
		return nil, fmt.Errorf("the node of %s does not answer; give a trust file (--trust): %w", string(home), err)
	}
	return raw, nil
}

// facts proves leaves, all under one header.
func (v *council) facts(ctx context.Context, leaves ...[]byte) (*evidence.Facts, error) {
	facts, _, err := v.ask(ctx, light.Query{Leaves: leaves})
	return facts, err
}

// patience is how long a network may be between two blocks, or a node behind the others, before a command gives up.
const patience = 20 * time.Second

// patiently tries again what is for later to decide.
func patiently(ctx context.Context, later error, try func() error) error {
	for end := time.Now().Add(patience); ; {
		err := try()
		if !errors.Is(err, later) || time.Now().After(end) || !sleep(ctx, 500*time.Millisecond) {
			return err
		}
	}
}

// ask brings one checked Evidence, and its bytes.
func (v *council) ask(ctx context.Context, q light.Query) (facts *evidence.Facts, raw []byte, err error) {
	err = patiently(ctx, registry.ErrUnavailable, func() error {
		facts, raw, err = v.light.Facts(ctx, q)
		return err
	})
	if err != nil && !errors.Is(err, light.ErrQuery) {
		err = fmt.Errorf("ask the network: %w", err)
	}
	return facts, raw, err
}

// rules are the parameters of the chain and the count of proposals.
func (v *council) rules(ctx context.Context) (registry.ParamsFact, registry.ProposalsFact, error) {
	facts, err := v.facts(ctx, registry.ParamsFamily().Latest(), registry.ProposalsKey())
	if err != nil {
		return registry.ParamsFact{}, registry.ProposalsFact{}, err
	}
	params, _, err := latestOf[registry.ParamsFact](facts, registry.ParamsFamily())
	if err == nil && params == nil {
		err = errors.New("the chain has no parameters")
	}
	if err != nil {
		return registry.ParamsFact{}, registry.ProposalsFact{}, err
	}
	all, err := plainOf[registry.ProposalsFact](facts, registry.ProposalsKey())
	if err != nil || all == nil {
		return *params, registry.ProposalsFact{}, err
	}
	return *params, *all, nil
}

// operation is one of this network.
func (v *council) operation(o registry.Operation) registry.Operation {
	o.Network, o.ChainID = v.trust.Network, v.trust.ChainID
	return o
}

// submit hands one operation to the first node that takes it, and returns when the chain's answer is proven.
func (v *council) submit(ctx context.Context, operation []byte) error {
	var out []registry.Outcome
	err := patiently(ctx, light.ErrNotAdmitting, func() error {
		var err error
		out, err = v.light.Submit(ctx, operation)
		return err
	})
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	switch registry.Code(out[0].Code) {
	case registry.CodeOK, registry.CodeDuplicate: // the latter: it had succeeded before
		return nil
	}
	if out[0].Detail == "" {
		return fmt.Errorf("%w: the chain refuses it: %s", errCheck, out[0].Code)
	}
	return fmt.Errorf("%w: the chain refuses it: %s (%s)", errCheck, out[0].Detail, out[0].Code)
}

// latestOf is the newest fact of a family, and the height since which it holds; nil when its absence is proven.
func latestOf[T any](facts *evidence.Facts, family registry.Family) (*T, uint64, error) {
	leaf, err := plainOf[registry.Leaf](facts, family.Latest())
	if err != nil || leaf == nil {
		return nil, 0, err
	}
	fact := new(T)
	return fact, leaf.Since, registry.Decode(leaf.Fact, fact)
}

// plainOf is a leaf without a history; nil when its absence is proven.
func plainOf[T any](facts *evidence.Facts, key []byte) (*T, error) {
	raw, err := facts.Get(key)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, registry.Decode(raw, v)
}

// errNoGovernanceKey: the key is where it should be, offline.
var errNoGovernanceKey = errors.New("the governance key is not in this home; with --out the operation goes into a file, to be signed where the key is (dojang registry sign)")

// governance is the member's vote: the key in the folder governance of a home, which may lie on a machine without network.
func (f passphraseFlags) governance(home nodeHome) (registry.SigningKey, error) {
	own, err := readCard(home.path("card.json"))
	if err != nil {
		return registry.SigningKey{}, err
	}
	if own.Member == "" {
		return registry.SigningKey{}, fmt.Errorf("%s is the home of a node for readers: only members propose and vote", string(home))
	}
	if _, err := os.Stat(home.path("governance", "store.json")); errors.Is(err, fs.ErrNotExist) {
		return registry.SigningKey{}, errNoGovernanceKey
	}
	store, err := f.store(home, "governance")
	if err != nil {
		return registry.SigningKey{}, err
	}
	signer, err := store.Signer(governanceKey)
	if err != nil {
		return registry.SigningKey{}, fmt.Errorf("governance key: %w", err)
	}
	public, err := registry.NewPublicKey(signer.Public().Crypto())
	if err != nil {
		return registry.SigningKey{}, err
	}
	if named, err := registry.ParseJWK(own.GovernanceKey); err != nil || string(named) != string(public) {
		return registry.SigningKey{}, errors.New("governance key: it is not the one of this home's card")
	}
	return registry.SigningKey{Role: registry.RoleMember(own.Member), Public: public, Signer: signer}, nil
}

// A moment of the command line: RFC 3339, or a Korean civil day.
type moment struct {
	at  time.Time
	day bool
}

// UnmarshalText reads one.
func (m *moment) UnmarshalText(text []byte) error {
	var err error
	if m.at, err = time.ParseInLocation(time.DateOnly, string(text), korea); err == nil {
		m.day = true
		return nil
	}
	if m.at, err = time.Parse(time.RFC3339, string(text)); err != nil {
		return errors.New("a moment is a day (2027-12-31) or RFC 3339 (2027-12-31T09:00:00+09:00)")
	}
	return nil
}

var korea = time.FixedZone("KST", 9*3600)

// from is the first second of it, 0 when nothing was given; until the first one after it.
func (m moment) from() int64 {
	if m.at.IsZero() {
		return 0
	}
	return m.at.Unix()
}

func (m moment) until() int64 {
	if m.day {
		return m.at.AddDate(0, 0, 1).Unix()
	}
	return m.from()
}
