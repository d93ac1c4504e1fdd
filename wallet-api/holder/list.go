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
		l, _ = h.list(ctx, c.did, c.status.URI) //nolint:errcheck // none: what is known from before
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
}

// list fetches a whole status list from the registry's nodes and checks it: record in the epoch, token in the record,
// signature by a key of the issuer.
func (h *Holder) list(ctx context.Context, did registry.DID, uri string) (listed, error) {
	if h.cfg.Status == nil {
		return listed{}, errors.New("holder: no source of status lists")
	}
	for again := true; ; again = false {
		l, err := h.listOnce(ctx, did, uri)
		if again && errors.Is(err, statuslist.ErrProof) {
			continue // the epoch moved on between list and leaf
		}
		return l, err
	}
}

func (h *Holder) listOnce(ctx context.Context, did registry.DID, uri string) (listed, error) {
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
	key, err := h.listKey(ctx, did, token.Header().Kid)
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
	return l, record.CheckValues(verified.Values)
}

// listKey is the key that signed a list. It may be younger than a credential's, or retired since: the epoch says that the
// list is the issuer's latest.
func (h *Holder) listKey(ctx context.Context, did registry.DID, kid string) (*keys.PublicKey, error) {
	signer, fragment, err := registry.ParseDIDURL(kid)
	if err != nil || signer != did {
		return nil, errors.New("holder: the list's key is not the issuer's")
	}
	fact, _, err := h.cfg.Registry.Key(ctx, did, fragment, time.Time{})
	if err != nil {
		return nil, err
	}
	if fact.Use != registry.UseAssertion || h.cfg.Now().Before(fact.ActiveFrom) || !fact.CompromisedFrom.IsZero() {
		return nil, errors.New("holder: the list's key is not in force")
	}
	return keys.ParseJWK(fact.JWK)
}
