package verifier

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// A Result is what the company that asked may read: exactly CONTRACT's `demo result`. Nil members are null.
type Result struct {
	State      State                     `json:"state"`
	Decision   *Decision                 `json:"decision"`
	Code       *Code                     `json:"code"`
	Claims     map[string]map[string]any `json:"claims,format:emitnull"`
	StatusAsOf *time.Time                `json:"status_as_of"`
	Receipt    *string                   `json:"receipt"`
}

// Result reads a transaction of the tenant. One that sends the browser back (RedirectURI) shows its state only, until
// Redeem was called with the right code from the right session (THREATS D32). Error: ErrNotFound.
func (d *Desk) Result(ctx context.Context, tenant, id string) (Result, error) {
	t, err := d.find(ctx, tenant, id)
	if err != nil {
		return Result{}, err
	}
	if t.RedirectURI != "" && t.Outcome != nil && t.Outcome.State == StateJudged && !t.Outcome.Redeemed {
		return Result{State: t.State}, nil
	}
	return d.result(t)
}

// Redeem takes the response_code that came back with the browser, once, together with the session that the request was
// made in. A wrong, used or foreign code, or another session, is ErrNotFound (THREATS D33).
func (d *Desk) Redeem(ctx context.Context, tenant, id, code, session string) (Result, error) {
	t, err := d.find(ctx, tenant, id)
	if err != nil {
		return Result{}, err
	}
	r := Redemption{Tenant: tenant, ID: id, Code: sha256.Sum256([]byte(code)), Session: sha256.Sum256([]byte(session)), At: d.cfg.Now()}
	if err := d.cfg.Store.Redeem(ctx, r); err != nil {
		return Result{}, err
	}
	return d.result(t)
}

func (d *Desk) find(ctx context.Context, tenant, id string) (Transaction, error) {
	if _, err := d.client(tenant); err != nil {
		return Transaction{}, err
	}
	look := Lookup{Tenant: tenant, By: ByID, ID: id}
	t, err := d.cfg.Store.Find(ctx, look)
	if err != nil || t.Outcome != nil || d.cfg.Now().Before(t.ExpiresAt) {
		if t.State == StateRequested && d.under.marked(Name{t.Tenant, t.ID}) {
			t.State = StateRetrieved
		}
		return t, err
	}
	// Its time is over. That is written down before it is told: an answer that is being judged right now must not
	// change what the company has read.
	if err := d.timeOut(ctx, t); err != nil {
		return t, err
	}
	return d.cfg.Store.Find(ctx, look)
}

func (d *Desk) result(t Transaction) (Result, error) {
	o := t.Outcome
	if o == nil {
		return Result{State: t.State}, nil
	}
	out := Result{State: o.State, Decision: &o.Decision, Code: &o.Code}
	if !o.StatusAsOf.IsZero() {
		at := o.StatusAsOf.UTC().Truncate(time.Second)
		out.StatusAsOf = &at
	}
	if o.Receipt != "" {
		out.Receipt = &o.Receipt
	}
	if o.Claims == nil {
		return out, nil
	}
	plain, err := d.seal.open(place{t.Tenant, t.ID, "claims"}, o.Claims)
	if err != nil {
		return Result{}, err
	}
	if err := json.Unmarshal(plain, &out.Claims); err != nil {
		return Result{}, fmt.Errorf("read claims: %w", err)
	}
	return out, nil
}
