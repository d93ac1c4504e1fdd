package verifier

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
)

// replayed writes down that a transaction which has been judged was answered again: NONCE_REPLAY (DOMAIN 4.5). The first
// result stays as it is (THREATS D02).
func (d *Desk) replayed(ctx context.Context, t Transaction) error {
	if err := d.cfg.Store.Replayed(ctx, Name{t.Tenant, t.ID}, d.cfg.Now()); err != nil {
		return fmt.Errorf("record replay: %w", err)
	}
	return nil
}

// maxKeyBinding bounds a KB-JWT before its nonce is looked at.
const maxKeyBinding = 8 << 10

// seenBefore: was one of these presentations made for another transaction of the tenant, which has been judged? Then it
// is a used one that somebody sends again, and not just a wrong nonce. Asked for refused answers only. The nonce is
// believed without its signature: all that it can do is to turn one refusal into another.
func (d *Desk) seenBefore(ctx context.Context, t Transaction, s Submission) (bool, error) {
	for _, texts := range s.Presentations {
		for _, text := range texts {
			nonce, ok := nonceOf(text)
			if !ok {
				continue
			}
			state := nameKey(d.seal.stateOf(t.Tenant, nonce))
			other, err := d.cfg.Store.Find(ctx, Lookup{Tenant: t.Tenant, By: ByState, Hash: state})
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return false, fmt.Errorf("look for an earlier use: %w", err)
			}
			if other.ID != t.ID && other.State == StateJudged {
				return true, nil
			}
		}
	}
	return false, nil
}

// nonceOf reads the nonce of a presentation's KB-JWT, unverified.
func nonceOf(presentation string) (string, bool) {
	kb := presentation[strings.LastIndexByte(presentation, '~')+1:]
	parts := strings.Split(kb, ".")
	if len(kb) > maxKeyBinding || len(parts) != 3 {
		return "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", false
	}
	var claims struct {
		Nonce string `json:"nonce"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Nonce == "" {
		return "", false
	}
	return claims.Nonce, true
}

// History is what happened to a transaction of the tenant, in order: how it ended, then what was tried again. Error:
// ErrNotFound.
func (d *Desk) History(ctx context.Context, tenant, id string) ([]Event, error) {
	if _, err := d.find(ctx, tenant, id); err != nil {
		return nil, err
	}
	return d.cfg.Store.History(ctx, Name{tenant, id})
}
