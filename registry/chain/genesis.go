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
}

// A GenesisMember is a founding member. Keys are public JWKs of different keys.
type GenesisMember struct {
	ID            string            `json:"id"`
	Name          map[string]string `json:"name"`           // language tag to name
	GovernanceKey jsontext.Value    `json:"governance_key"` // offline
	SponsorKey    jsontext.Value    `json:"sponsor_key"`    // the gateway's
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
	if g.QuotaBlocks == 0 || g.EpochInterval < 0 || g.Heartbeat == 0 {
		return ErrGenesis
	}
	if _, err := registry.ParseDID("did:dojang:" + g.Network + ":1"); err != nil || !registry.ValidFragment(g.ChainID) {
		return ErrGenesis
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
	w.fact(registry.ParamsFamily(), registry.ParamsFact{
		Network: g.Network, ChainID: g.ChainID, Development: g.Development, Threshold: g.Threshold, Members: uint64(len(g.Members)),
		QuotaOps: g.QuotaOps, QuotaBlocks: g.QuotaBlocks, EpochInterval: g.EpochInterval, Heartbeat: g.Heartbeat,
	})
	for _, member := range g.Members {
		governance, sponsor, err := member.keys()
		if err != nil {
			return nil, err
		}
		w.fact(registry.MemberFamily(member.ID), registry.MemberFact{Name: member.Name, Key: governance})
		w.plain(registry.SponsorKey(member.ID), registry.SponsorFact{Key: sponsor})
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
