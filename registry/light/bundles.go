package light

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Limits of an answer with trust bundles.
const (
	maxBundles    = 4 << 20
	renewInterval = time.Hour // how often Follow looks for a new bundle while the one at hand is good
	expirySoon    = 7 * 24 * time.Hour
)

// Bundle is the newest trust bundle that was followed; nil when Config.Bundle is.
func (c *Client) Bundle() *evidence.Bundle { return c.bundle.Load() }

// AdvanceBundle asks the nodes for newer trust bundles and goes along those that hold (evidence.Advance). It returns whether
// there was one. A node can withhold a bundle, never forge one. Follow calls it, and so does an answer that is too old.
func (c *Client) AdvanceBundle(ctx context.Context) (newer bool, err error) {
	if c.bundle.Load() == nil {
		return false, nil
	}
	answered, refused := false, error(nil)
	for _, node := range c.cfg.Nodes { // all of them: one may lag behind
		have := c.bundle.Load()
		links, err := c.askBundles(ctx, node, have.Number)
		if err == nil && len(links) == 0 {
			answered = true
			continue
		}
		var next *evidence.Bundle
		if err == nil {
			next, err = evidence.Advance(have, links, c.cfg.Now())
		}
		if err == nil {
			err = c.adoptBundle(next)
		}
		switch {
		case err == nil:
			newer = true
		case errors.Is(err, registry.ErrUntrusted), errors.Is(err, registry.ErrMalformed), errors.Is(err, registry.ErrLimit):
			c.cfg.Logger.Warn("a node's trust bundles do not hold", "node", node, "err", err)
			refused = err
		default:
			c.cfg.Logger.Info("no trust bundles from a node", "node", node, "err", err)
		}
	}
	switch {
	case newer:
		return true, nil
	case refused != nil:
		return false, refused
	case !answered:
		return false, registry.ErrUnavailable
	}
	return false, nil
}

func (c *Client) askBundles(ctx context.Context, node string, after uint64) ([]*evidence.Bundle, error) {
	raw, status, err := get(ctx, c.cfg.HTTP, node+"/v1/trust-bundles?after="+strconv.FormatUint(after, 10), maxBundles)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("registry node answered %d", status)
	}
	return evidence.DecodeBundles(raw)
}

// adoptBundle takes a bundle that was verified. A trust point that tracking has moved further stays, while it is young.
func (c *Client) adoptBundle(b *evidence.Bundle) error {
	c.track.mu.Lock()
	defer c.track.mu.Unlock()
	old, next := c.trust.Load(), b.Trust
	switch {
	case old.Height == next.Height && old.Hash != next.Hash:
		return c.attack(errors.New("the trust bundle has another header than was tracked"))
	case old.Height > next.Height && c.cfg.Now().Before(old.Time.Add(next.TrustingPeriod)):
		next.Height, next.Hash, next.Time, next.Validators = old.Height, old.Hash, old.Time, old.Validators
	}
	c.bundle.Store(b)
	c.trust.Store(&next)
	c.track.client = nil
	if c.store != nil {
		c.store.putBundle(b)
		c.store.putTrust(next)
	}
	c.cfg.Logger.Info("registry: a new trust bundle", "number", b.Number, "expires", b.Expires)
	return nil
}

// renew looks for what restores trust after it has expired: a newer bundle, or the published head that was configured. Callers
// come with every answer that is too old; nodes are asked once in CacheTTL.
func (c *Client) renew(ctx context.Context) bool {
	c.renewMu.Lock()
	defer c.renewMu.Unlock()
	now := c.cfg.Now()
	if young(now, c.renewed, c.cfg.CacheTTL) {
		return false
	}
	c.renewed = now
	if newer, err := c.AdvanceBundle(ctx); newer {
		return true
	} else if err != nil {
		c.cfg.Logger.Warn("no newer trust bundle", "err", err)
	}
	if c.cfg.Head == nil {
		return false
	}
	err := c.BeginAtHead(ctx, *c.cfg.Head)
	if err != nil {
		c.cfg.Logger.Warn("the published head does not restore trust", "err", err)
	}
	return err == nil
}

// renewSoon is Follow's part: bundles are looked for now and then, and more often when the one at hand ends soon.
func (c *Client) renewSoon(ctx context.Context) {
	b := c.bundle.Load()
	if b == nil {
		return
	}
	every := renewInterval
	if !c.cfg.Now().Before(b.Expires.Add(-expirySoon)) {
		every = time.Minute
	}
	c.renewMu.Lock()
	due := !young(c.cfg.Now(), c.renewed, every)
	if due {
		c.renewed = c.cfg.Now()
	}
	c.renewMu.Unlock()
	if due {
		_, _ = c.AdvanceBundle(ctx) // what does not hold is logged there
	}
}

// BeginAtHead begins anew at a published head, which the caller believes: the light block that a node gives must be that very
// header, and the one after it must have the validators that it names. The head must be newer than what was trusted, and inside
// the trusting period. Errors: registry.ErrUntrusted (also evidence.ErrTooOld), registry.ErrUnavailable.
func (c *Client) BeginAtHead(ctx context.Context, head evidence.Head) error {
	old := c.trust.Load()
	if head.ChainID != old.ChainID || head.Network != old.Network || head.Height <= old.Height {
		return untrusted(errors.New("registry/light: the head is of another chain, or not newer than the trust point"))
	}
	if now := c.cfg.Now(); now.After(head.Time.Add(old.TrustingPeriod)) || now.Add(clockDrift).Before(head.Time) {
		return evidence.ErrTooOld
	}
	last := registry.ErrUnavailable
	for _, url := range c.cfg.Nodes {
		next, err := validatorsAfter(ctx, nodeProvider{chainID: head.ChainID, url: url, http: c.cfg.HTTP}, head)
		if err != nil {
			last = err
			continue
		}
		trust := evidence.Trust{Number: old.Number, Network: old.Network, ChainID: old.ChainID, Development: old.Development, Height: head.Height,
			Hash: head.Hash, Time: head.Time, TrustingPeriod: old.TrustingPeriod, Validators: next}
		c.track.mu.Lock()
		defer c.track.mu.Unlock()
		c.trust.Store(&trust)
		c.track.client = nil
		if c.store != nil {
			c.store.putTrust(trust)
		}
		return nil
	}
	return last
}

// validatorsAfter are those that a published header names as the next ones.
func validatorsAfter(ctx context.Context, node nodeProvider, head evidence.Head) (evidence.ValidatorSet, error) {
	lb, err := node.LightBlock(ctx, int64(head.Height))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	if [32]byte(lb.Hash()) != head.Hash || !lb.Time.Equal(head.Time) {
		return nil, untrusted(errors.New("registry/light: not the published header"))
	}
	after, err := node.LightBlock(ctx, int64(head.Height)+1)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	if !bytes.Equal(after.ValidatorSet.Hash(), lb.NextValidatorsHash) {
		return nil, untrusted(errors.New("registry/light: not the validators that the published header names"))
	}
	return setOf(after.ValidatorSet), nil
}

const bundleFile = "bundle"

func (s *store) putBundle(b *evidence.Bundle) {
	if raw, err := b.Marshal(); err == nil {
		_ = replace(filepath.Join(s.dir, bundleFile), raw)
	}
}

// restoreBundle takes a bundle that this reader has followed before it was restarted.
func (c *Client) restoreBundle() {
	have := c.bundle.Load()
	if have == nil {
		return
	}
	raw, err := os.ReadFile(filepath.Join(c.store.dir, bundleFile))
	if err != nil {
		return
	}
	kept, err := evidence.ParseBundle(raw)
	if err == nil && kept.ChainID == have.ChainID && kept.Network == have.Network && kept.Number > have.Number {
		c.bundle.Store(kept)
		c.trust.Store(&kept.Trust)
	}
}
