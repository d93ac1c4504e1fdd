package console

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
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
	Prove        func(q node.Query, key string) ([]byte, error)
	Lists        func() *node.StatusStore
	Trust        func() (evidence.Trust, error)
}

// A Reader reads a running node's state and headers, without proof; see ChainConfig.
type Reader interface {
	Range(from, to []byte, f func(key, value []byte) bool) error
	SignedHeader(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error)
}

// FromNode reads a node in this process.
func FromNode(n *node.Node, r Reader) (ChainConfig, error) {
	genesis, err := n.Genesis()
	if err != nil {
		return ChainConfig{}, fmt.Errorf("read genesis: %w", err)
	}
	return ChainConfig{Network: n.Network(), ChainID: n.ChainID(), Genesis: genesis, Health: n.Health,
		Range: r.Range, SignedHeader: r.SignedHeader, Prove: n.Evidence, Lists: n.Statuses,
		Trust: func() (evidence.Trust, error) { return n.Trust(time.Time{}) }}, nil
}

// A ChainSource is a Source over a node's state. Safe for concurrent use.
type ChainSource struct {
	cfg   ChainConfig
	names map[string]string // :: validator's address -> name

	mu      sync.Mutex
	headers map[uint64]headed // :: height -> header, settled ones only; cleared when full
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
	if cfg.Health == nil || cfg.Range == nil || cfg.SignedHeader == nil || cfg.Prove == nil || cfg.Lists == nil || cfg.Trust == nil {
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
	n := Network{Name: params.Network, ChainID: params.ChainID, Development: params.Development, Threshold: params.Threshold,
		Heartbeat: time.Duration(params.Heartbeat) * time.Millisecond, QuotaOps: params.QuotaOps, QuotaBlocks: params.QuotaBlocks}
	if n.Members, err = s.members(); err != nil {
		return Network{}, err
	}
	return n, s.validators(&n)
}

func (s *ChainSource) members() ([]Member, error) {
	var out []Member
	err := s.each("gov/member/", "gov/member0", func(key string, value []byte) (bool, error) {
		id, ok := cutLatest(key, "gov/member/")
		if !ok {
			return true, nil
		}
		fact, leaf, err := decodeLeaf[registry.MemberFact](value)
		if err != nil {
			return false, err
		}
		m := Member{ID: id, Name: fact.Name, Removed: s.moment(fact.Removed)}
		if leaf.Since > 0 { // 0: the genesis
			m.Since = s.moment(leaf.Since)
		}
		m.Key, err = fact.Key.Multikey()
		out = append(out, m)
		return true, err
	})
	for i := range out {
		m := &out[i]
		account, e := plain[registry.SponsorFact](s, registry.SponsorKey(m.ID))
		if errors.Is(e, registry.ErrNotFound) {
			continue
		}
		if e == nil {
			m.Sequence, m.Used = account.Highest, account.Used
			m.Gateway, e = account.Key.Multikey()
		}
		err = errors.Join(err, e)
	}
	return out, err
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
			Key: base64.RawURLEncoding.EncodeToString(v.PublicKey[:]), Power: v.Power})
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
		for _, i := range block.signed {
			for j := range n.Validators {
				if v := &n.Validators[j]; v.Address == address(block.set[i]) {
					v.Signed++
					v.Last = max(v.Last, h)
				}
			}
		}
	}
	return nil
}

// Blocks implements Ledger.
func (s *ChainSource) Blocks(_ context.Context, below uint64, n int) ([]Block, error) {
	newest := s.cfg.Health().Height
	height := newest
	if below > 0 {
		height = min(height, below-1)
	}
	var out []Block
	for ; height > 0 && len(out) < n; height-- {
		h, err := s.header(height)
		if errors.Is(err, registry.ErrNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		b := Block{Height: height, Time: h.Time, Hash: h.hash, AppHash: h.AppHash, Proposer: s.name(hexUpper(h.Proposer)), Validators: len(h.set)}
		for _, i := range h.signed {
			b.Signers = append(b.Signers, s.name(address(h.set[i])))
		}
		if height == newest {
			b.Open = true
		} else {
			next, err := s.header(height + 1)
			if err != nil {
				return nil, err
			}
			b.Changed = string(next.AppHash) != string(h.AppHash)
		}
		out = append(out, b)
	}
	return out, nil
}

// Operation implements Ledger.
func (s *ChainSource) Operation(_ context.Context, hash registry.Hash) (Operation, error) {
	fact, err := plain[registry.OutcomeFact](s, registry.OutcomeKey(hash))
	if errors.Is(err, registry.ErrNotFound) {
		return Operation{Hash: hash}, nil
	}
	return Operation{Hash: hash, Code: string(fact.Code), At: s.moment(fact.Height)}, err
}

// Anchors implements Ledger.
func (s *ChainSource) Anchors(_ context.Context, p Page) (List[Anchor], error) {
	from := "anchor/"
	if p.After != "" {
		root, err := hex.DecodeString(p.After)
		if err != nil || len(root) != 32 {
			return List[Anchor]{}, ErrCursor
		}
		from += string(root) + "\x00"
	}
	var out List[Anchor]
	err := s.each(from, "anchor0", func(key string, value []byte) (bool, error) {
		if len(key) != len("anchor/")+32 {
			return true, nil
		}
		if len(out.Items) == p.Limit {
			out.Next = hex.EncodeToString(out.Items[p.Limit-1].Root[:])
			return false, nil
		}
		var fact registry.AnchorFact
		err := registry.Decode(value, &fact)
		out.Items = append(out.Items, Anchor{Root: [32]byte([]byte(key[len("anchor/"):])), By: s.did(fact.ID), At: s.moment(fact.Height)})
		return true, err
	})
	return out, err
}

// Evidence implements Prover.
func (s *ChainSource) Evidence(_ context.Context, f Fact) ([]byte, error) {
	q := node.Query{}
	d := s.did(f.ID)
	switch f.Kind {
	case "key":
		q.Keys = []chain.KeyRef{{DID: d, ID: f.Name}}
	case "accreditation":
		q.Accreditations = []chain.AccreditationRef{{DID: d, Type: f.Name}}
	case "registration":
		q.Registrations = []chain.RegistrationRef{{DID: d, Purpose: f.Name}}
	default:
		key, err := f.leaf(d)
		if err != nil {
			return nil, err
		}
		q.Raw = [][]byte{key}
		if height := s.since(key); height > 0 {
			q.Heights = []uint64{height + 1}
		}
	}
	raw, err := s.cfg.Prove(q, "explorer "+f.Path())
	switch {
	case errors.Is(err, node.ErrDown):
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	case errors.Is(err, chain.ErrVersion):
		return nil, fmt.Errorf("%w: %w", registry.ErrNotFound, err)
	}
	return raw, err
}

// leaf is the key of the fact that holds now.
func (f Fact) leaf(d registry.DID) ([]byte, error) {
	switch f.Kind {
	case "did":
		return registry.DIDFamily(d).Latest(), nil
	case "service":
		return registry.ServiceFamily(d, f.Name).Latest(), nil
	case "status":
		return registry.StatusFamily(d).Latest(), nil
	case "type":
		return registry.TypeFamily(f.ID).Latest(), nil
	case "parameters":
		return registry.ParamsFamily().Latest(), nil
	case "member":
		return registry.MemberFamily(f.ID).Latest(), nil
	}
	raw, err := hex.DecodeString(f.ID)
	switch {
	case err != nil:
	case f.Kind == "anchor" && len(raw) == 32:
		return registry.AnchorKey([32]byte(raw)), nil
	case f.Kind == "operation":
		if hash, err := registry.ParseHash(raw); err == nil {
			return registry.OutcomeKey(hash), nil
		}
	}
	return nil, registry.ErrNotFound
}

// since is the height of the operation behind a leaf, 0 when it is not told: the Evidence then comes without its date.
func (s *ChainSource) since(key []byte) uint64 {
	value, err := s.get(key)
	if err != nil {
		return 0
	}
	var leaf registry.Leaf
	var anchor registry.AnchorFact
	var outcome registry.OutcomeFact
	switch {
	case string(key[:3]) == "op/" && registry.Decode(value, &outcome) == nil:
		return outcome.Height
	case string(key[:3]) == "anc" && registry.Decode(value, &anchor) == nil:
		return anchor.Height
	case registry.Decode(value, &leaf) == nil:
		return leaf.Since
	}
	return 0
}

// Trust implements Prover.
func (s *ChainSource) Trust(context.Context) (evidence.Trust, error) {
	t, err := s.cfg.Trust()
	if errors.Is(err, node.ErrDown) {
		err = fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return t, err
}
