package verifier

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// What is asked of an epoch that a second status operator signed (registry/README.md): the accreditation names it, its
// token is by its own key for this use, and no entry is better than in the issuer's own last list. It fails closed: what cannot
// be shown is no statement.

// operatorOf is the signer of an operator's epoch, when the accreditation of the type names it, as known now.
func operatorOf(ctx context.Context, facts sources, issuer registry.DID, vct string, epoch registry.StatusEpoch) (registry.DID, registry.Accreditation, error) {
	did, _, err := registry.ParseDIDURL(epoch.Signer)
	if err != nil {
		return "", registry.Accreditation{}, statuslist.ErrSignature
	}
	accr, _, err := facts.accreditation(ctx, issuer, vct, time.Time{})
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return "", accr, fmt.Errorf("%w: %w", statuslist.ErrSignature, err)
	case err != nil:
		return "", accr, fmt.Errorf("%w: %w", statuslist.ErrUnavailable, err)
	case accr.DID != issuer || accr.Type != vct || accr.Operator == "" || accr.Operator != did:
		return "", accr, fmt.Errorf("%w: not the operator that the accreditation names", statuslist.ErrSignature)
	}
	return did, accr, nil
}

// operatorKey is the key of a list's token under an operator's epoch.
func (v *Verifier) operatorKey(ctx context.Context, ask listAsk, header *keys.Header, epoch registry.StatusEpoch) (*keys.PublicKey, error) {
	did, accr, err := operatorOf(ctx, ask.facts, ask.by.did, ask.vct, epoch)
	if err != nil {
		return nil, err
	}
	owner, id, err := registry.ParseDIDURL(header.Kid)
	if err != nil || owner != did {
		return nil, fmt.Errorf("%w: kid is not a key of the operator", statuslist.ErrSignature)
	}
	key, _, err := ask.facts.key(ctx, did, id)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil, fmt.Errorf("%w: %w", statuslist.ErrSignature, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", statuslist.ErrUnavailable, err)
	case key.DID != did || key.ID != id || key.Use != registry.UseStatus || !key.CompromisedFrom.IsZero() || ask.now.Before(key.ActiveFrom):
		return nil, fmt.Errorf("%w: not a status key in force", statuslist.ErrSignature)
	case !key.RetiredAt.IsZero() && !epoch.IssuedAt.Before(key.RetiredAt):
		return nil, fmt.Errorf("%w: the operator's key was retired", statuslist.ErrSignature)
	}
	public, err := v.keys.parse(key.JWK)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", statuslist.ErrSignature, err)
	}
	c := claim{operator: true, x5c: header.X5C, signed: times{first: epoch.IssuedAt, last: epoch.IssuedAt}}
	if f := v.certified(c, did, public, accr); f != nil {
		return nil, errors.Join(statuslist.ErrSignature, f)
	}
	return public, nil
}

// checkRedated holds a whole list against the issuer's own.
func checkRedated(record statuslist.Record, list registry.StatusList, epoch registry.StatusEpoch) error {
	if list.Base == nil {
		return statuslist.ErrUnavailable
	}
	b := list.Base
	return statuslist.Redated{
		MediaType: statuslist.MediaTypeJWT, Record: record, Token: list.Token, BaseRoot: epoch.Base.Root, BaseToken: b.Token,
		Base: statuslist.RecordProof{Record: b.Record, Path: b.Path, Index: b.Index, Size: b.Size},
	}.Check()
}

// follows holds a list against the one that was known before: an operator makes nothing better that it found since the base,
// and nobody takes a revocation back. What is refused is counted; the older list goes on, and its age with it.
func (l *lists) follows(e statuslist.Entry, epoch registry.StatusEpoch) error {
	before, ok := l.cache.Lookup(e.Token.URI)
	if !ok {
		return nil
	}
	err := statuslist.CheckFinal(before.Token.Values, e.Token.Values)
	if err == nil && epoch.Redated() && before.Sequence >= epoch.Base.Sequence {
		err = statuslist.CheckWorse(before.Token.Values, e.Token.Values)
	}
	if err != nil {
		l.refused.Add(1)
	}
	return err
}

// A redatedEntry is one entry of an operator's list, with the issuer's own part that the wallet stapled.
type redatedEntry struct {
	issuer registry.DID
	vct    string
	epoch  registry.StatusEpoch
	record statuslist.Record
	index  uint64
	value  statuslist.Status
	base   *evidence.Status
}

// stapledRedated holds the one entry against the issuer's own chunk.
func stapledRedated(ctx context.Context, facts sources, e redatedEntry) error {
	if _, _, err := operatorOf(ctx, facts, e.issuer, e.vct, e.epoch); err != nil {
		return err
	}
	if e.base == nil {
		return errNoChunk
	}
	return statuslist.Redated{
		Record: e.record, BaseRoot: e.epoch.Base.Root,
		Base: statuslist.RecordProof{Record: e.base.Record, Path: e.base.Path, Index: e.base.Index, Size: e.base.Size},
	}.CheckEntry(e.index, e.value, e.base.Chunk)
}
