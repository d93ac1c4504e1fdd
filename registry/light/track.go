package light

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	cmtlight "github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/light/provider"
	lightdb "github.com/cometbft/cometbft/light/store/db"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A tracker follows headers with the engine's light client: one node answers (primary), at least one other confirms
// (witness). On any failure the client is thrown away and built again from the newest trust point with the nodes in
// another order, so that a witness which was down for a moment is not lost for good.
type tracker struct {
	c *Client

	mu        sync.Mutex // the engine's client is not safe for concurrent use
	client    *cmtlight.Client
	turn      int       // which node is primary
	sought    time.Time // when due was last true
	confirmed heads
}

func newTracker(c *Client) *tracker { return &tracker{c: c} }

const (
	trackTimeout = 10 * time.Second
	maxTracked   = 16 // light blocks kept in memory
)

// confirm says whether the header of a checked Evidence may be believed. A development network's signatures suffice; elsewhere a
// witness must have the same header. Errors wrap registry.ErrUntrusted; ErrAttack when it has another one.
func (t *tracker) confirm(ctx context.Context, head registry.Checked, hash [32]byte) error {
	if t.c.trust.Load().Development && len(t.c.cfg.Nodes) == 1 {
		return nil
	}
	if t.confirmed.Known(head.Height, hash) {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	lb, err := t.at(ctx, int64(head.Height))
	if err != nil {
		return t.fail(ctx, err)
	}
	if [32]byte(lb.Hash()) != hash { // both are signed: the Evidence's header was checked before
		return t.c.attack(errors.New("an Evidence stands under another header than was tracked"))
	}
	t.confirmed.Add(head.Height, hash)
	return nil
}

// due is true once in CacheTTL.
func (t *tracker) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.c.cfg.Now()
	if young(now, t.sought, t.c.cfg.CacheTTL) {
		return false
	}
	t.sought = now
	return true
}

// advance moves the trust point to the newest header of the network.
func (t *tracker) advance(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.open(ctx); err != nil {
		return t.fail(ctx, err)
	}
	ctx, cancel := context.WithTimeout(ctx, trackTimeout)
	defer cancel()
	lb, err := t.client.Update(ctx, t.c.cfg.Now())
	if err != nil {
		return t.fail(ctx, err)
	}
	if lb != nil { // nil: nothing newer
		t.adopt(lb)
	}
	return nil
}

func (t *tracker) at(ctx context.Context, height int64) (*types.LightBlock, error) {
	if err := t.open(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, trackTimeout)
	defer cancel()
	lb, err := t.client.VerifyLightBlockAtHeight(ctx, height, t.c.cfg.Now())
	if err == nil {
		t.adopt(lb)
	}
	return lb, err
}

// open makes the engine's client from the newest trust point.
func (t *tracker) open(ctx context.Context) error {
	if t.client != nil {
		return nil
	}
	trust := t.c.trust.Load()
	nodes := make([]provider.Provider, len(t.c.cfg.Nodes))
	for i, node := range t.c.cfg.Nodes {
		nodes[i] = nodeProvider{chainID: trust.ChainID, url: node, http: t.c.cfg.HTTP}
	}
	k := t.turn % len(nodes)
	nodes[0], nodes[k] = nodes[k], nodes[0]
	witnesses := slices.Clone(nodes[1:])
	if len(witnesses) == 0 {
		if !trust.Development {
			return ErrNoWitness
		}
		// Tracking without a witness: the engine's client insists on one, so the only node stands for it.
		witnesses = nodes[:1]
	}
	ctx, cancel := context.WithTimeout(ctx, trackTimeout)
	defer cancel()
	client, err := cmtlight.NewClient(ctx, trust.ChainID,
		cmtlight.TrustOptions{Period: trust.TrustingPeriod, Height: int64(trust.Height), Hash: trust.Hash[:]},
		nodes[0], witnesses, lightdb.New(dbm.NewMemDB(), trust.ChainID),
		cmtlight.MaxClockDrift(clockDrift), cmtlight.MaxRetryAttempts(1), cmtlight.PruningSize(maxTracked))
	if err != nil {
		return err
	}
	t.client = client
	return nil
}

// adopt moves the trust point forward, never back.
func (t *tracker) adopt(lb *types.LightBlock) {
	old := t.c.trust.Load()
	if uint64(lb.Height) <= old.Height {
		return
	}
	next := *old
	next.Height, next.Hash, next.Time = uint64(lb.Height), [32]byte(lb.Hash()), lb.Time
	next.Validators = setOf(lb.ValidatorSet)
	t.c.trust.Store(&next)
	t.confirmed.Add(next.Height, next.Hash)
	if t.c.store != nil {
		t.c.store.putTrust(next)
	}
}

// fail throws the engine's client away and names what happened in our words.
func (t *tracker) fail(ctx context.Context, err error) error {
	t.client = nil
	t.turn++
	var divergence cmtlight.ErrConflictingHeaders
	switch {
	case errors.Is(err, cmtlight.ErrLightClientAttack), errors.As(err, &divergence):
		return t.c.attack(err)
	case errors.Is(err, cmtlight.ErrNoWitnesses), errors.Is(err, cmtlight.ErrFailedHeaderCrossReferencing), errors.Is(err, ErrNoWitness):
		return untrusted(ErrNoWitness)
	case ctx.Err() != nil, errors.Is(err, provider.ErrNoResponse), errors.Is(err, provider.ErrLightBlockNotFound),
		errors.Is(err, provider.ErrHeightTooHigh), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: track headers: %w", registry.ErrUnavailable, err)
	}
	return untrusted(fmt.Errorf("track headers: %w", err))
}

// attack ends this Client: nobody here can say which of two histories is the true one.
func (c *Client) attack(err error) error {
	c.attacked.Store(true)
	if c.cfg.Alarm != nil {
		c.cfg.Alarm(ErrAttack)
	}
	c.cfg.Logger.Error("registry: two signed histories", "err", err)
	return untrusted(ErrAttack)
}

func setOf(vs *types.ValidatorSet) evidence.ValidatorSet {
	set := make(evidence.ValidatorSet, len(vs.Validators))
	for i, v := range vs.Validators {
		set[i] = evidence.Validator{PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower}
	}
	return set
}
