package node

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A Query names what an Evidence shall hold. Height 0: as known by the newest header that proves a state; otherwise the
// header of that height (old states are kept for a while only: history does not need them, facts carry their intervals).
type Query struct {
	chain.Query
	Height uint64
	// List is the URI of a status list of the only issuer in Status, as it stood at the earlier one of At and Known, with the chunk
	// that holds Entry; "": none.
	List  string
	Entry uint64
}

// ErrTooHigh: there is no header of that height yet.
var ErrTooHigh = errors.New("node: above the newest header")

// Evidence proves facts under one header. What does not exist is proven absent. Errors: ErrDown, ErrTooHigh,
// chain.ErrVersion (pruned, or nothing committed yet), registry.ErrLimit; of a List ErrNotArchived, ErrNoList. key, when not empty, names the query: the answer is
// kept until the next header.
func (n *Node) Evidence(q Query, key string) ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	head := r.newest.Load()
	if key != "" {
		if raw, ok := r.proofs.get(head, key); ok {
			return raw, nil
		}
	}
	raw, err := r.prove(q, head)
	if err == nil && key != "" {
		r.proofs.put(head, key, raw)
	}
	return raw, err
}

// prove looks for a state and a header whose app hash is that state's root.
func (r *running) prove(q Query, newest uint64) ([]byte, error) {
	head := newest
	if q.Height > 0 {
		if head = q.Height; head > newest {
			return nil, ErrTooHigh
		}
	}
	if head < 2 { // header 1 carries the genesis state, which no block has committed
		return nil, chain.ErrVersion
	}
	state, err := r.machine.Prove(head-1, q.Query)
	if err != nil {
		return nil, err
	}
	material := evidence.Material{ChainID: r.engine.chainID, State: state}
	if state.Loose > head {
		return nil, fmt.Errorf("evidence: header %d is above the head", state.Loose)
	}
	if state.Loose > 0 && state.Loose < head {
		if err := r.addHeader(&material, state.Loose); err != nil {
			return nil, err
		}
	}
	if err := r.addHeader(&material, head); err != nil {
		return nil, err
	}
	for _, h := range state.Points[len(state.Dated):] { // none, unless the state began before points were kept
		meta := r.engine.node.BlockStore().LoadBlockMeta(int64(h))
		if meta == nil {
			return nil, fmt.Errorf("evidence: header %d is not stored", h)
		}
		material.Points = append(material.Points, headerOf(&meta.Header))
	}
	if q.List != "" {
		if len(q.Status) != 1 {
			return nil, registry.ErrMalformed
		}
		if material.Status, err = r.listed(q, head); err != nil {
			return nil, err
		}
	}
	return evidence.Build(material)
}

// listed is the status part: from the epoch that the Evidence proves for the moment. nil: there was none yet, which it proves too.
func (r *running) listed(q Query, head uint64) (*evidence.Status, error) {
	t := q.At
	if t.IsZero() || !q.Known.IsZero() && q.Known.Before(t) {
		t = q.Known
	}
	if at, ok := r.engine.headerTime(head); ok && !t.Before(at) {
		t = time.Time{}
	}
	fact, err := r.machine.StatusAt(head-1, q.Status[0], t)
	if errors.Is(err, registry.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.archive.status(fact, q.List, q.Entry)
}

// addHeader adds a header with its validators. Every reader knows the founding set; a later one goes into the Evidence.
func (r *running) addHeader(m *evidence.Material, height uint64) error {
	signed, set, err := r.engine.signedHeader(height)
	if err != nil {
		return err
	}
	m.Headers = append(m.Headers, signed)
	to := &m.Sets
	if set.Hash() == r.engine.founders {
		to = &m.Known
	}
	if len(*to) == 0 || (*to)[len(*to)-1].Hash() != set.Hash() {
		*to = append(*to, set)
	}
	return nil
}

// lightBlock gathers header, votes and validators of a height; 0: the newest.
func (e *engine) lightBlock(height uint64) (*types.LightBlock, error) {
	blocks := e.node.BlockStore()
	newest := uint64(max(0, blocks.Height()))
	if height == 0 {
		height = newest
	}
	if height > newest || newest == 0 {
		return nil, ErrTooHigh
	}
	meta := blocks.LoadBlockMeta(int64(height))
	commit := blocks.LoadBlockCommit(int64(height))
	if commit == nil { // the votes for the newest block are not in a block yet
		commit = blocks.LoadSeenCommit(int64(height))
	}
	if meta == nil || commit == nil {
		return nil, registry.ErrNotFound // pruned
	}
	set, err := e.states.LoadValidators(int64(height))
	if err != nil {
		return nil, fmt.Errorf("validators of height %d: %w", height, err)
	}
	return &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &meta.Header, Commit: commit}, ValidatorSet: set}, nil
}

func (e *engine) signedHeader(height uint64) (evidence.SignedHeader, evidence.ValidatorSet, error) {
	lb, err := e.lightBlock(height)
	if err != nil {
		return evidence.SignedHeader{}, nil, err
	}
	out := evidence.SignedHeader{Header: headerOf(lb.Header), Commit: evidence.Commit{Round: uint32(lb.Commit.Round),
		PartsTotal: lb.Commit.BlockID.PartSetHeader.Total, PartsHash: lb.Commit.BlockID.PartSetHeader.Hash}}
	for i, s := range lb.Commit.Signatures {
		if s.BlockIDFlag == types.BlockIDFlagCommit {
			out.Commit.Votes = append(out.Commit.Votes, evidence.Vote{Index: i, Time: s.Timestamp, Signature: s.Signature})
		}
	}
	return out, setOf(lb.ValidatorSet), nil
}

func setOf(vs *types.ValidatorSet) evidence.ValidatorSet {
	set := make(evidence.ValidatorSet, len(vs.Validators))
	for i, v := range vs.Validators {
		set[i] = evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower}
	}
	return set
}

func headerOf(h *types.Header) evidence.Header {
	return evidence.Header{Block: h.Version.Block, App: h.Version.App, ChainID: h.ChainID, Height: uint64(h.Height), Time: h.Time,
		LastBlock: evidence.BlockID{Hash: h.LastBlockID.Hash, PartsTotal: h.LastBlockID.PartSetHeader.Total,
			PartsHash: h.LastBlockID.PartSetHeader.Hash},
		LastCommit: h.LastCommitHash, Data: h.DataHash, Validators: h.ValidatorsHash, NextValidators: h.NextValidatorsHash,
		Consensus: h.ConsensusHash, AppHash: h.AppHash, LastResults: h.LastResultsHash, Evidence: h.EvidenceHash,
		Proposer: h.ProposerAddress}
}

// proofCache keeps encoded Evidence of the newest header: readers ask for the same few agencies.
type proofCache struct {
	mu    sync.Mutex
	head  uint64
	bytes int
	byKey map[string][]byte
}

const proofCacheBytes = 2 << 20

func newProofCache() *proofCache { return &proofCache{byKey: map[string][]byte{}} }

func (c *proofCache) get(head uint64, key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.head != head {
		return nil, false
	}
	raw, ok := c.byKey[key]
	return raw, ok
}

func (c *proofCache) put(head uint64, key string, raw []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if head < c.head {
		return
	}
	if head > c.head || c.bytes > proofCacheBytes {
		c.head, c.bytes = head, 0
		clear(c.byKey)
	}
	c.byKey[key] = raw
	c.bytes += len(key) + len(raw)
}
