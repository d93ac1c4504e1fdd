package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/node"
)

// A ChainConfig says where a ChainSource reads. FromNode fills it; all functions are required.
type ChainConfig struct {
	Network, ChainID string
	Genesis          []byte // JSON, for the validators' names; nil: they are shown by address
	Health           func() node.Health
	// Range calls f for the leaves with from <= key < to of the newest committed state, in key order, until f returns
	// false. f must not keep the slices.
	Range func(from, to []byte, f func(key, value []byte) bool) error
	// SignedHeader of a height, with all votes and the validators; 0: the newest. Errors: node.ErrTooHigh,
	// registry.ErrNotFound (pruned).
	SignedHeader func(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error)
	// Header is hash and time of a header, also of a pruned one; Transactions are those of a block. Errors: as SignedHeader.
	Header       func(height uint64) ([32]byte, time.Time, error)
	Transactions func(height uint64) ([][]byte, error)
	Prove        func(q node.Query, key string) ([]byte, error)
	Lists        func() *node.StatusStore
	Trust        func() (evidence.Trust, error)
}

// A Reader reads a running node's state and blocks, without proof; see ChainConfig.
type Reader interface {
	Range(from, to []byte, f func(key, value []byte) bool) error
	SignedHeader(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error)
	Header(height uint64) ([32]byte, time.Time, error)
	Transactions(height uint64) ([][]byte, error)
}

// FromNode reads a node in this process.
func FromNode(n *node.Node, r Reader) (ChainConfig, error) {
	genesis, err := n.Genesis()
	if err != nil {
		return ChainConfig{}, fmt.Errorf("read genesis: %w", err)
	}
	return ChainConfig{Network: n.Network(), ChainID: n.ChainID(), Genesis: genesis, Health: n.Health,
		Range: r.Range, SignedHeader: r.SignedHeader, Header: r.Header, Transactions: r.Transactions, Prove: n.Evidence, Lists: n.Statuses,
		Trust: func() (evidence.Trust, error) { return n.Trust(time.Time{}) }}, nil
}

// A ChainSource is a Source over a node's state. Safe for concurrent use.
type ChainSource struct {
	cfg   ChainConfig
	names map[string]string // :: validator's address -> name

	mu       sync.Mutex
	headers  map[uint64]headed   // :: height -> header, settled ones only; cleared when full
	contents map[uint64]Contents // :: height -> what stands in the block; the same

	motions motions
}

// headed is what pages need of a header; of its votes the indices.
type headed struct {
	evidence.Header
	hash   [32]byte
	set    evidence.ValidatorSet
	signed []int
}

const headersKept = 4096

var _ Source = (*ChainSource)(nil)

// NewChainSource starts nothing.
func NewChainSource(cfg ChainConfig) (*ChainSource, error) {
	if cfg.Health == nil || cfg.Range == nil || cfg.SignedHeader == nil || cfg.Header == nil || cfg.Transactions == nil || cfg.Prove == nil || cfg.Lists == nil || cfg.Trust == nil {
		return nil, errors.New("registry/console: every function of ChainConfig is required")
	}
	s := &ChainSource{cfg: cfg, names: map[string]string{}, headers: map[uint64]headed{}}
	if cfg.Genesis != nil {
		var g struct {
			Validators []struct {
				Address string `json:"address"`
				Name    string `json:"name"`
			} `json:"validators"`
		}
		if err := json.Unmarshal(cfg.Genesis, &g); err != nil {
			return nil, fmt.Errorf("read the validators of the genesis: %w", err)
		}
		for _, v := range g.Validators {
			s.names[v.Address] = v.Name
		}
	}
	return s, nil
}

// Health implements Ledger.
func (s *ChainSource) Health(context.Context) (Health, error) {
	h := s.cfg.Health()
	return Health{State: h.State, Height: h.Height, Time: h.Time, Peers: h.Peers}, nil
}

// Network implements Ledger.
func (s *ChainSource) Network(ctx context.Context) (Network, error) {
	params, _, err := latest[registry.ParamsFact](s, registry.ParamsFamily())
	if err != nil {
		return Network{}, err
	}
	n := Network{Name: params.Network, ChainID: params.ChainID, Development: params.Development, Direct: !params.Closed, Threshold: params.Threshold,
		Heartbeat: time.Duration(params.Heartbeat) * time.Millisecond, QuotaOps: params.QuotaOps, QuotaBlocks: params.QuotaBlocks}
	if n.Members, err = s.members(); err != nil {
		return Network{}, err
	}
	motions, err := s.count()
	if err != nil {
		return Network{}, err
	}
	n.Open = len(motions.Open)
	return n, s.validators(&n)
}

// watched is how many of the newest blocks tell whether a validator is alive.
const watched = 20

// validators counts votes. Those for the newest header are as this node saw them, and may be incomplete: that header is
// left out, unless there is no other.
func (s *ChainSource) validators(n *Network) error {
	newest := s.cfg.Health().Height
	if newest == 0 {
		return nil
	}
	top, err := s.header(newest)
	if err != nil {
		return err
	}
	for _, v := range top.set {
		n.Validators = append(n.Validators, Validator{Name: s.names[address(v)], Address: address(v),
			Key: base64.RawURLEncoding.EncodeToString(v.PublicKey[:]), Power: v.Power, Wanted: -1})
	}
	for h := max(newest-1, 1); h > 0 && n.Watched < watched; h-- {
		block, err := s.header(h)
		if errors.Is(err, registry.ErrNotFound) {
			break
		}
		if err != nil {
			return err
		}
		n.Watched++
		for j := range n.Validators {
			v := &n.Validators[j]
			voted := slices.ContainsFunc(block.signed, func(i int) bool { return address(block.set[i]) == v.Address })
			v.Votes = append(v.Votes, voted)
			if voted {
				v.Signed++
				if v.Last == 0 {
					v.Last, v.Seen = h, block.Time
				}
			}
		}
	}
	for i := range n.Validators {
		slices.Reverse(n.Validators[i].Votes)
	}
	if err := s.lookBack(n, newest); err != nil {
		return err
	}
	if err := s.wanted(n); err != nil {
		return err
	}
	slices.SortStableFunc(n.Validators, func(a, b Validator) int {
		return strings.Compare(cmp.Or(a.Name, a.Operator, a.Address), cmp.Or(b.Name, b.Operator, b.Address))
	})
	return nil
}

// maxLookBack bounds the blocks in which the last vote of a silent validator is looked for.
const maxLookBack = 300

// lookBack finds when silent validators signed last.
func (s *ChainSource) lookBack(n *Network, newest uint64) error {
	silent := func(v Validator) bool { return v.Last == 0 }
	for h := newest - min(newest, uint64(n.Watched)+1); h > 0 && newest-h < maxLookBack && slices.ContainsFunc(n.Validators, silent); h-- {
		block, err := s.header(h)
		if errors.Is(err, registry.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, i := range block.signed {
			at := address(block.set[i])
			for j := range n.Validators {
				if v := &n.Validators[j]; v.Last == 0 && v.Address == at {
					v.Last, v.Seen = h, block.Time
				}
			}
		}
	}
	return nil
}

// wanted adds what the members decided about validators: operators, sites, and powers that the engine takes two blocks later.
func (s *ChainSource) wanted(n *Network) error {
	fact, _, err := latest[registry.ValidatorsFact](s, registry.ValidatorsFamily())
	if errors.Is(err, registry.ErrNotFound) {
		return nil // the genesis named none
	}
	for i := range n.Validators {
		n.Validators[i].Wanted = 0
	}
	for _, w := range fact.Validators {
		at := address(evidence.Validator{PublicKey: w.Key})
		i := slices.IndexFunc(n.Validators, func(v Validator) bool { return v.Address == at })
		if i < 0 {
			i = len(n.Validators)
			n.Validators = append(n.Validators, Validator{Address: at, Key: base64.RawURLEncoding.EncodeToString(w.Key[:])})
		}
		v := &n.Validators[i]
		v.Operator, v.Site, v.Wanted = w.Operator, w.Site, int64(w.Power)
	}
	return err
}

// Trust implements Prover.
func (s *ChainSource) Trust(context.Context) (evidence.Trust, error) {
	t, err := s.cfg.Trust()
	if errors.Is(err, node.ErrDown) {
		err = fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return t, err
}
