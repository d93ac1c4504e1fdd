package holder

import (
	"context"
	"errors"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// A Card is a stored credential as a person sees it.
type Card struct {
	ID         string
	VCT        string
	Label      string
	Issuer     string // DID
	Received   time.Time
	Expires    time.Time
	DaysLeft   int
	CopiesLeft int
	// Status is valid, revoked, suspended, needs_renewal, expired or unknown; unknown before a checked list was at hand.
	Status string
	// StatusAsOf is the moment for which the status is known; zero for expired and unknown.
	StatusAsOf time.Time
}

// List is everything held, newest first. When no status list can be had, the status is the one of the newest Refresh.
func (h *Holder) List(ctx context.Context) ([]Card, error) {
	list, err := h.all(ctx, "")
	if err != nil {
		return nil, err
	}
	cards := make([]Card, 0, len(list))
	now := h.cfg.Now()
	lists := map[string]listed{}
	for _, c := range list {
		card := Card{ID: c.id, VCT: c.vct, Label: c.vct, Issuer: string(c.did), Received: c.received, Expires: c.expires,
			DaysLeft: max(0, int(c.expires.Sub(now)/(24*time.Hour))), CopiesLeft: c.unused, Status: "unknown"}
		if t, ok := schemas.Lookup(c.vct); ok {
			card.Label = t.Label.In(h.cfg.Language)
		}
		if keys.Expired(c.expires, now) {
			card.Status = "expired"
		} else if s := h.statusOf(ctx, c, lists); !s.at.IsZero() {
			card.Status, card.StatusAsOf = statusWord(s.value), s.at
		}
		cards = append(cards, card)
	}
	return cards, nil
}

// statusOf reads the entry in the newest list; lists keeps those of this call.
func (h *Holder) statusOf(ctx context.Context, c held, lists map[string]listed) knownStatus {
	l, ok := lists[c.status.URI]
	if !ok {
		l, _ = h.list(ctx, listOf{c.did, c.vct, c.status.URI}) //nolint:errcheck // none: what is known from before
		lists[c.status.URI] = l
	}
	if value, err := l.values.Status(c.status.Index); err == nil && !l.asOf.Before(c.known.at) {
		return knownStatus{value, l.asOf}
	}
	return c.known
}

func statusWord(s statuslist.Status) string {
	switch s {
	case statuslist.Valid:
		return "valid"
	case statuslist.Suspended:
		return "suspended"
	case statuslist.NeedsRenewal:
		return "needs_renewal"
	default:
		return "revoked"
	}
}

// A listed is a checked status list.
type listed struct {
	published registry.StatusList
	values    statuslist.Values
	known     time.Time // of the header that shows its epoch
	asOf      time.Time // the moment for which it is known to be the latest: withholding can only make it older (DESIGN 6.4)
	// base are the values of the issuer's own last list where its second status operator has made entries worse.
	base statuslist.Values
}

// A listOf names a list that credentials of an issuer and type point to.
type listOf struct {
	did      registry.DID
	vct, uri string
}

// list fetches a whole status list from the registry's nodes and checks it: record in the epoch, token in the record,
// signature by a key of the issuer.
func (h *Holder) list(ctx context.Context, of listOf) (listed, error) {
	if h.cfg.Status == nil {
		return listed{}, errors.New("holder: no source of status lists")
	}
	for again := true; ; again = false {
		l, err := h.listOnce(ctx, of)
		if again && errors.Is(err, statuslist.ErrProof) {
			continue // the epoch moved on between list and leaf
		}
		return l, err
	}
}

func (h *Holder) listOnce(ctx context.Context, of listOf) (listed, error) {
	did, uri := of.did, of.uri
	published, err := h.cfg.Status.StatusList(ctx, uri, statuslist.MediaTypeJWT)
	if err != nil {
		return listed{}, err
	}
	epoch, checked, err := h.cfg.Registry.StatusEpoch(ctx, did)
	if err != nil {
		return listed{}, err
	}
	record, err := statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: published.Record, Path: published.Path, Index: published.Index, Size: published.Size})
	if err != nil {
		return listed{}, err
	}
	if record.URI != uri {
		return listed{}, statuslist.ErrSubject
	}
	if err := record.CheckToken(statuslist.MediaTypeJWT, published.Token); err != nil {
		return listed{}, err
	}
	token, err := statuslist.ParseJWT(published.Token, statuslist.Limits{})
	if err != nil {
		return listed{}, err
	}
	key, err := h.listKey(ctx, of, epoch, token.Header().Kid)
	if err != nil {
		return listed{}, err
	}
	verified, err := token.Verify(key, statuslist.Expect{URI: uri, Now: h.cfg.Now()})
	if err != nil {
		return listed{}, err
	}
	l := listed{published: published, values: verified.Values, known: checked.KnownAt, asOf: checked.KnownAt}
	if epoch.NextUpdate.Before(l.asOf) {
		l.asOf = epoch.NextUpdate
	}
	if err := record.CheckValues(verified.Values); err != nil || !epoch.Redated() {
		return l, err
	}
	l.base, err = baseOf(record, published, epoch)
	return l, err
}

// baseOf holds an operator's list against the issuer's own, whose values it returns where they differ.
func baseOf(record statuslist.Record, published registry.StatusList, epoch registry.StatusEpoch) (statuslist.Values, error) {
	b := published.Base
	if b == nil {
		return statuslist.Values{}, errors.New("holder: an operator's list without the issuer's")
	}
	proof := statuslist.RecordProof{Record: b.Record, Path: b.Path, Index: b.Index, Size: b.Size}
	err := statuslist.Redated{MediaType: statuslist.MediaTypeJWT, Record: record, Token: published.Token, BaseRoot: epoch.Base.Root, Base: proof, BaseToken: b.Token}.Check()
	if err != nil {
		return statuslist.Values{}, err
	}
	base, err := statuslist.VerifyRecord(epoch.Base.Root, proof)
	if err != nil || base.Root == record.Root {
		return statuslist.Values{}, err
	}
	return base.Read(statuslist.MediaTypeJWT, b.Token)
}

// listKey is the key that signed a list. It may be younger than a credential's, or retired since: the epoch says that the
// list is the issuer's latest. Under an epoch of its second status operator it is that one's, if the accreditation names it.
func (h *Holder) listKey(ctx context.Context, of listOf, epoch registry.StatusEpoch, kid string) (*keys.PublicKey, error) {
	by, use := of.did, registry.UseAssertion
	if epoch.Redated() {
		accr, _, err := h.cfg.Registry.Accreditation(ctx, of.did, of.vct, time.Time{})
		if err != nil {
			return nil, err
		}
		by, use = accr.Operator, registry.UseStatus
	}
	signer, fragment, err := registry.ParseDIDURL(kid)
	if err != nil || signer != by {
		return nil, errors.New("holder: the list's key is not the issuer's or its operator's")
	}
	fact, _, err := h.cfg.Registry.Key(ctx, by, fragment, time.Time{})
	if err != nil {
		return nil, err
	}
	if fact.Use != use || h.cfg.Now().Before(fact.ActiveFrom) || !fact.CompromisedFrom.IsZero() {
		return nil, errors.New("holder: the list's key is not in force")
	}
	return keys.ParseJWK(fact.JWK)
}
