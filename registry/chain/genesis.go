package chain

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/registry"
)

// GenesisFormat is the first member of an app state.
const GenesisFormat = "dojang-genesis/1"

// ErrGenesis: an app state that this chain cannot start from.
var ErrGenesis = errors.New("chain: malformed genesis")

// A Genesis is the app state of a new chain. Times and heights do not occur in it.
type Genesis struct {
	Format        string          `json:"format"` // GenesisFormat
	Network       string          `json:"network"`
	ChainID       string          `json:"chain_id"`
	Development   bool            `json:"development"`      // one validator, http on loopback
	Threshold     uint64          `json:"threshold"`        // k of the members
	QuotaOps      uint64          `json:"quota_operations"` // per sponsor and window; 0: none
	QuotaBlocks   uint64          `json:"quota_blocks"`     // length of a window
	EpochInterval int64           `json:"epoch_interval_s"` // between two status epochs of an issuer
	Heartbeat     uint64          `json:"heartbeat_ms"`
	Members       []GenesisMember `json:"members"`
	// Governance is how members decide. Absent: a development network lets k of n sign an operation together; any other
	// decides by proposals, with DefaultGovernance.
	Governance *GenesisGovernance `json:"governance,omitempty"`
	// Validators of the first block. They stand in the engine's half of the genesis, whose adapter fills them in.
	Validators []registry.ValidatorFact `json:"-"`
	// Version of the rules of the first block, from the engine's half too; 0: 1.
	Version uint64 `json:"-"`
}

// GenesisGovernance are the rules of deciding.
type GenesisGovernance struct {
	Direct             bool   `json:"direct"`              // k of n may sign one operation together, without a proposal
	TimeLock           int64  `json:"time_lock_s"`         // between approval and execution
	Voting             int64  `json:"voting_s"`            // until a proposal expires
	EmergencyThreshold uint64 `json:"emergency_threshold"` // members for an emergency suspension; 0: there is none
	EmergencyHold      int64  `json:"emergency_s"`         // how long it holds
}

// DefaultGovernance of k of n members: three days of time lock, two weeks to vote, half of k for an emergency of a week, and of
// three or more members two.
func DefaultGovernance(k, n uint64) GenesisGovernance {
	const day = 24 * 3600
	return GenesisGovernance{TimeLock: 3 * day, Voting: 14 * day, EmergencyThreshold: DefaultEmergency(k, n), EmergencyHold: 7 * day}
}

// DefaultEmergency is how many members suspend at once where k of n decide.
func DefaultEmergency(k, n uint64) uint64 { return max((k+1)/2, min(k, leastEmergency(n))) }

func (g *Genesis) governance() GenesisGovernance {
	switch {
	case g.Governance != nil:
		return *g.Governance
	case g.Development:
		rules := DefaultGovernance(g.Threshold, 1)
		rules.Direct, rules.TimeLock = true, 0
		return rules
	}
	return DefaultGovernance(g.Threshold, uint64(len(g.Members)))
}

func (g *GenesisGovernance) check(threshold uint64) error {
	const most = 366 * 24 * 3600
	if g.TimeLock < 0 || g.TimeLock > most || g.Voting <= 0 || g.Voting > most || g.EmergencyThreshold > threshold {
		return ErrGenesis
	}
	if (g.EmergencyThreshold > 0) != (g.EmergencyHold > 0) || g.EmergencyHold < 0 || g.EmergencyHold > most {
		return ErrGenesis
	}
	return nil
}

// A GenesisMember is a founding member. Keys are public JWKs of different keys.
type GenesisMember struct {
	ID            string            `json:"id"`
	Name          map[string]string `json:"name"`           // language tag to name
	GovernanceKey jsontext.Value    `json:"governance_key"` // offline
	SponsorKey    jsontext.Value    `json:"sponsor_key"`    // the gateway's
}

// WithValidators is the genesis with the engine's half of it. Error: ErrGenesis, also when an operator or a site has a third.
func (g Genesis) WithValidators(set []registry.ValidatorFact) (Genesis, error) {
	g.Validators = set
	return g, g.check()
}

// ParseGenesis reads the app state strictly. Error: ErrGenesis.
func ParseGenesis(data []byte) (Genesis, error) {
	var g Genesis
	if len(data) > 1<<20 {
		return Genesis{}, ErrGenesis
	}
	if err := json.Unmarshal(data, &g, json.RejectUnknownMembers(true)); err != nil {
		return Genesis{}, ErrGenesis
	}
	return g, g.check()
}

// Marshal is the app state. Error: ErrGenesis.
func (g Genesis) Marshal() ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return json.Marshal(g, json.Deterministic(true))
}

func (g Genesis) check() error {
	n := uint64(len(g.Members))
	if g.Format != GenesisFormat || n == 0 || n > 100 || g.Threshold == 0 || g.Threshold > n {
		return ErrGenesis
	}
	if !g.Development && g.Threshold < registry.Majority(n) {
		return fmt.Errorf("%w: fewer than a majority may not decide", ErrGenesis)
	}
	if rules := g.governance(); rules.check(g.Threshold) != nil {
		return fmt.Errorf("%w: governance", ErrGenesis)
	} else if e := rules.EmergencyThreshold; !g.Development && e != 0 && e < leastEmergency(n) {
		return fmt.Errorf("%w: where three or more decide, none suspends alone", ErrGenesis)
	}
	if g.QuotaBlocks == 0 || g.EpochInterval < 0 || g.Heartbeat == 0 {
		return ErrGenesis
	}
	if _, err := registry.ParseDID("did:dojang:" + g.Network + ":1"); err != nil || !registry.ValidFragment(g.ChainID) {
		return ErrGenesis
	}
	if err := checkValidators(g.Validators); err != nil {
		return err
	}
	var seen []string
	for _, m := range g.Members {
		gov, gate, err := m.keys()
		if err != nil {
			return err
		}
		if !registry.ValidFragment(m.ID) || len(m.Name) == 0 {
			return ErrGenesis
		}
		for _, s := range []string{"id " + m.ID, string(gov), string(gate)} {
			if slices.Contains(seen, s) {
				return fmt.Errorf("%w: a member or key occurs twice", ErrGenesis)
			}
			seen = append(seen, s)
		}
	}
	return nil
}

func (m GenesisMember) keys() (governance, sponsor registry.PublicKey, err error) {
	if governance, err = registry.ParseJWK(m.GovernanceKey); err != nil {
		return nil, nil, fmt.Errorf("%w: governance key", ErrGenesis)
	}
	if sponsor, err = registry.ParseJWK(m.SponsorKey); err != nil {
		return nil, nil, fmt.Errorf("%w: sponsor key", ErrGenesis)
	}
	return governance, sponsor, nil
}

// InitGenesis writes the first state; Commit of the first block persists it. height is that of the first block.
// Errors: ErrGenesis, ErrOrder on a store that has a state.
func (m *Machine) InitGenesis(g Genesis, height uint64) (appHash []byte, err error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.height != 0 || height == 0 || m.restoring {
		return nil, ErrOrder
	}
	m.tree.Rollback() // an engine that died before the first commit calls again
	if height > 1 {
		m.tree.SetInitialVersion(height)
	}
	o := newOverlay(treeReader{m.tree})
	w := writer{overlay: o, height: height - 1}
	rules := g.governance()
	params := registry.ParamsFact{
		Closed: !rules.Direct, TimeLock: rules.TimeLock, Voting: rules.Voting, Emergency: rules.EmergencyThreshold, EmergencyHold: rules.EmergencyHold,
		Network: g.Network, ChainID: g.ChainID, Development: g.Development, Threshold: g.Threshold, Members: uint64(len(g.Members)),
		QuotaOps: g.QuotaOps, QuotaBlocks: g.QuotaBlocks, EpochInterval: g.EpochInterval, Heartbeat: g.Heartbeat,
	}
	if g.Version > 1 {
		params.Version = g.Version
	}
	if err := m.knows(&params, height); err != nil {
		return nil, err
	}
	w.fact(registry.ParamsFamily(), params)
	for _, member := range g.Members {
		governance, sponsor, err := member.keys()
		if err != nil {
			return nil, err
		}
		w.fact(registry.MemberFamily(member.ID), registry.MemberFact{Name: member.Name, Key: governance})
		w.plain(registry.SponsorKey(member.ID), registry.SponsorFact{Key: sponsor})
		w.plain(registry.GovernanceKeyKey(governance), member.ID)
		w.plain(registry.GovernanceKeyKey(sponsor), member.ID)
	}
	if len(g.Validators) > 0 {
		w.fact(registry.ValidatorsFamily(), registry.ValidatorsFact{Validators: inKeyOrder(g.Validators)})
	}
	w.plain(registry.HeaderRootKey(), registry.HeaderRoot{First: height, Root: emptyRoot})
	if w.err != nil {
		return nil, w.err
	}
	m.first = height
	if err := m.apply(o); err != nil {
		return nil, err
	}
	return m.tree.WorkingHash(), nil
}
