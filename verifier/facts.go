package verifier

import (
	"context"
	"errors"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// sources answers from our own resolver and, when the wallet stapled Evidence that holds, from that. The answer known
// later wins: a staple cannot take our own younger knowledge away, and our old cache cannot hide a younger staple.
type sources struct {
	own    registry.Resolver
	staple Staple // nil: none
}

type answer[T any] struct {
	fact  T
	known registry.Checked
	err   error
}

// proven: a fact or its proven absence; anything else is not an answer.
func (a answer[T]) proven() bool { return a.err == nil || errors.Is(a.err, registry.ErrNotFound) }

func ask[T any](s sources, question func(registry.Resolver) (T, registry.Checked, error)) (T, registry.Checked, error) {
	var own, stapled answer[T]
	own.fact, own.known, own.err = question(s.own)
	// Evidence that contradicts itself on our side is an alarm, not a gap to be filled by a wallet.
	if s.staple == nil || errors.Is(own.err, registry.ErrUntrusted) {
		return own.fact, own.known, own.err
	}
	stapled.fact, stapled.known, stapled.err = question(s.staple)
	if stapled.proven() && (!own.proven() || stapled.known.KnownAt.After(own.known.KnownAt)) {
		own = stapled
	}
	return own.fact, own.known, own.err
}

func (s sources) key(ctx context.Context, did registry.DID, id string) (registry.Key, registry.Checked, error) {
	return ask(s, func(r registry.Resolver) (registry.Key, registry.Checked, error) {
		return r.Key(ctx, did, id, time.Time{})
	})
}

func (s sources) accreditation(ctx context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	return ask(s, func(r registry.Resolver) (registry.Accreditation, registry.Checked, error) {
		return r.Accreditation(ctx, did, vct, at)
	})
}

func (s sources) epoch(ctx context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	return ask(s, func(r registry.Resolver) (registry.StatusEpoch, registry.Checked, error) {
		return r.StatusEpoch(ctx, did)
	})
}
