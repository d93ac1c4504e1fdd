package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
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
	e, known, err := ask(s, func(r registry.Resolver) (registry.StatusEpoch, registry.Checked, error) {
		return r.StatusEpoch(ctx, did)
	})
	if err == nil {
		err = s.vet(ctx, e)
	}
	return e, known, err
}

// errRepudiated: whoever holds a stolen key could have cleared every revocation in it.
var errRepudiated = fmt.Errorf("%w: status epoch under a compromised key", statuslist.ErrSignature)

// vet refuses a status epoch that was signed by a key known to be compromised by now. The chain has checked that it was
// in force then; a key of which nothing is at hand is left to that.
func (s sources) vet(ctx context.Context, e registry.StatusEpoch) error {
	for _, signer := range []string{e.Signer, e.Base.Signer} { // an operator cannot wash what a stolen key has cleared
		did, id, err := registry.ParseDIDURL(signer)
		if err != nil {
			continue
		}
		if key, _, err := s.key(ctx, did, id); err == nil && !key.CompromisedFrom.IsZero() {
			return errRepudiated
		}
	}
	return nil
}

// nowhere is a registry that cannot be reached: the offline check.
type nowhere struct{}

func (nowhere) Key(context.Context, registry.DID, string, time.Time) (registry.Key, registry.Checked, error) {
	return registry.Key{}, registry.Checked{}, registry.ErrUnavailable
}

func (nowhere) Accreditation(context.Context, registry.DID, string, time.Time) (registry.Accreditation, registry.Checked, error) {
	return registry.Accreditation{}, registry.Checked{}, registry.ErrUnavailable
}

func (nowhere) Registration(context.Context, registry.DID, string, time.Time) (registry.Registration, registry.Checked, error) {
	return registry.Registration{}, registry.Checked{}, registry.ErrUnavailable
}

func (nowhere) TypeDigest(context.Context, string) ([32]byte, registry.Checked, error) {
	return [32]byte{}, registry.Checked{}, registry.ErrUnavailable
}

func (nowhere) StatusEpoch(context.Context, registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	return registry.StatusEpoch{}, registry.Checked{}, registry.ErrUnavailable
}
