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
	// Status is valid, revoked, suspended, needs_renewal, expired or unknown; unknown when no checked list is at hand.
	Status string
}

// List is everything held, newest first.
func (h *Holder) List(ctx context.Context) ([]Card, error) {
	list, err := h.all(ctx)
	if err != nil {
		return nil, err
	}
	cards := make([]Card, 0, len(list))
	now := h.cfg.Now()
	for _, c := range list {
		card := Card{ID: c.id, VCT: c.vct, Label: c.vct, Issuer: string(c.did), Received: c.received, Expires: c.expires,
			DaysLeft: max(0, int(c.expires.Sub(now)/(24*time.Hour))), CopiesLeft: c.unused, Status: "unknown"}
		if t, ok := schemas.Lookup(c.vct); ok {
			card.Label = t.Label.In(h.cfg.Language)
		}
		if keys.Expired(c.expires, now) {
			card.Status = "expired"
		} else if s, err := h.statusOf(ctx, c); err == nil {
			card.Status = s
		}
		cards = append(cards, card)
	}
	return cards, nil
}

func (h *Holder) statusOf(ctx context.Context, c held) (string, error) {
	_, values, err := h.list(ctx, c, c.status.URI)
	if err != nil {
		return "", err
	}
	s, err := values.Status(c.status.Index)
	if err != nil {
		return "", err
	}
	switch s {
	case statuslist.Valid:
		return "valid", nil
	case statuslist.Suspended:
		return "suspended", nil
	case statuslist.NeedsRenewal:
		return "needs_renewal", nil
	default:
		return "revoked", nil
	}
}

// list fetches a whole status list from the registry's nodes and checks it: record in the epoch, token in the record,
// signature by the issuer's key.
func (h *Holder) list(ctx context.Context, c held, uri string) (registry.StatusList, statuslist.Values, error) {
	if h.cfg.Status == nil {
		return registry.StatusList{}, statuslist.Values{}, errors.New("holder: no source of status lists")
	}
	epoch, _, err := h.cfg.Registry.StatusEpoch(ctx, c.did)
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	published, err := h.cfg.Status.StatusList(ctx, uri, statuslist.MediaTypeJWT)
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	record, err := statuslist.VerifyRecord(epoch.Root, statuslist.RecordProof{Record: published.Record, Path: published.Path, Index: published.Index, Size: published.Size})
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	if err := record.CheckToken(statuslist.MediaTypeJWT, published.Token); err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	token, err := statuslist.ParseJWT(published.Token, statuslist.Limits{})
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	fact, _, err := h.cfg.Registry.Key(ctx, c.did, c.kid, time.Time{})
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	key, err := keys.ParseJWK(fact.JWK)
	if err != nil || fact.Use != registry.UseAssertion {
		return registry.StatusList{}, statuslist.Values{}, errors.New("holder: the list's key is not the issuer's")
	}
	verified, err := token.Verify(key, statuslist.Expect{URI: uri, Now: h.cfg.Now()})
	if err != nil {
		return registry.StatusList{}, statuslist.Values{}, err
	}
	return published, verified.Values, record.CheckValues(verified.Values)
}
