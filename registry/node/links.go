package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

const (
	linksEvery   = 10 * time.Minute
	linksAgain   = 5 * time.Second // while no peer has answered
	maxLinksSize = 4 << 20
)

// A linkFollower brings trust bundles that were published at another node: publishing at one is enough.
type linkFollower struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// newLinkFollower asks at once, and then now and then. bring reports whether anybody answered.
func newLinkFollower(bring func(context.Context) bool) *linkFollower {
	ctx, cancel := context.WithCancel(context.Background())
	l := &linkFollower{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for {
			wait := linksEvery
			if !bring(ctx) {
				wait = linksAgain
			}
			timer := time.NewTimer(wait)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
		}
	}()
	return l
}

func (l *linkFollower) stop() {
	l.cancel()
	<-l.done
}

// bringBundles asks the peers for the bundles after those that are here.
func (n *Node) bringBundles(ctx context.Context) (answered bool) {
	for _, face := range n.cfg.Faces {
		links, err := n.askLinks(ctx, face)
		if err != nil {
			if ctx.Err() == nil {
				n.cfg.Logger.Info("no trust bundles from a peer", "peer", face, "err", err)
			}
			continue
		}
		answered = true
		for i, b := range links {
			if err := n.takeBundle(b, links[i+1:]); errors.Is(err, errForeignHeader) {
				n.cfg.Logger.Error("ALARM: a peer hands on a trust bundle with another header than this chain has", "peer", face, "number", b.Number, "height", b.Height)
				break
			} else if err != nil {
				n.cfg.Logger.Warn("a peer's trust bundle is not taken", "peer", face, "number", b.Number, "err", err)
				break
			}
			n.cfg.Logger.Info("trust bundle from a peer", "peer", face, "number", b.Number)
		}
	}
	return answered
}

func (n *Node) askLinks(ctx context.Context, face string) ([]*evidence.Bundle, error) {
	have, err := n.bundlesHere()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	raw, err := n.cfg.Fetch(ctx, strings.TrimSuffix(face, "/")+"/v1/trust-bundles?after="+strconv.FormatUint(have, 10), evidence.TypeBundles, maxLinksSize)
	if err != nil {
		return nil, err
	}
	return evidence.DecodeBundles(raw)
}

// bundlesHere is the number of the last one.
func (n *Node) bundlesHere() (uint64, error) {
	for have := uint64(0); ; {
		files, err := n.Bundles(have)
		if err != nil || len(files) == 0 {
			return have, err
		}
		have += uint64(len(files))
	}
}

var (
	errForeignHeader = errors.New("node: the trust bundle has another header than this chain")
	errForeignBundle = errors.New("node: not a trust bundle of this chain")
	errUnvouched     = errors.New("node: no member has signed the first trust bundle or the one after it; its operator may publish it here")
)

// vouched: k of the members that a first bundle names have signed it, or the one that follows it.
func vouched(first *evidence.Bundle, later []*evidence.Bundle, now time.Time) bool {
	if _, missing, err := first.SignedBy(first); err == nil && missing == 0 {
		return true
	}
	if len(later) == 0 {
		return false
	}
	err := evidence.VerifyBundle(first, later[0], now)
	return err == nil || errors.Is(err, evidence.ErrBundleExpired)
}

// takeBundle keeps a peer's bundle when it is of this chain and the next link. Number 1 need not be signed: it must name the
// members that this node's state names, and enough of them must have signed it or the one after it.
func (n *Node) takeBundle(b *evidence.Bundle, later []*evidence.Bundle) error {
	if b.Network != n.chain.Network || b.ChainID != n.chain.ChainID || b.Development != n.chain.Development {
		return errForeignBundle
	}
	hash, at, err := n.Header(b.Height)
	if err != nil {
		return fmt.Errorf("header of a trust bundle: %w", err)
	}
	if hash != b.Hash || !at.Equal(b.Time) {
		return errForeignHeader
	}
	if b.Number == 1 {
		if err := n.namesMembers(b); err != nil {
			return err
		}
		if !vouched(b, later, n.cfg.Now()) {
			return errUnvouched
		}
	}
	return PublishBundle(n.cfg.Home, b, n.cfg.Now())
}

// namesMembers compares a bundle with the members and the threshold before its block and after it.
func (n *Node) namesMembers(b *evidence.Bundle) error {
	r := n.run.Load()
	if r == nil {
		return ErrDown
	}
	for _, height := range []uint64{b.Height, b.Height - 1} {
		want := &evidence.Bundle{Trust: b.Trust, Prev: b.Prev}
		var err error
		if want.Members, want.Threshold, err = membersAt(r, height); err != nil {
			return err
		}
		a, bad := want.Payload()
		c, worse := b.Payload()
		if bad == nil && worse == nil && string(a) == string(c) {
			return nil
		}
	}
	return errForeignBundle
}

// membersAt are the members after a block, and how many of them decided.
func membersAt(r *running, height uint64) (members []evidence.BundleMember, threshold uint64, err error) {
	then := func(leaf registry.Leaf) bool { return leaf.Since <= height && (leaf.Until == 0 || leaf.Until > height) }
	const prefix = "gov/member/"
	var bad error
	err = r.machine.Iterate([]byte(prefix), func(key, value []byte) bool {
		var leaf registry.Leaf
		var fact registry.MemberFact
		if bad = registry.Decode(value, &leaf); bad == nil {
			bad = registry.Decode(leaf.Fact, &fact)
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(string(key), prefix), "/")
		if bad == nil && then(leaf) && fact.Removed == 0 {
			members = append(members, evidence.BundleMember{ID: id, Key: fact.Key})
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, 0, err
	}
	err = r.machine.Iterate([]byte(registry.ParamsFamily()), func(_, value []byte) bool {
		var leaf registry.Leaf
		var fact registry.ParamsFact
		if bad = registry.Decode(value, &leaf); bad == nil {
			bad = registry.Decode(leaf.Fact, &fact)
		}
		if bad == nil && then(leaf) {
			threshold = fact.Threshold
		}
		return bad == nil
	})
	return members, threshold, errors.Join(err, bad)
}
