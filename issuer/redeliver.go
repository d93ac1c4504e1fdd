package issuer

import (
	"context"
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/internal/oauth"
)

// requestKey identifies identical requests: same access token, same proofs.
type requestKey struct{ grant, proofs [32]byte }

// alone lets one of several identical requests through at a time; the next one then finds what the first recorded.
func (is *Issuer) alone(ctx context.Context, r *request) (release func(), err error) {
	key := requestKey{grant: r.grant.Token, proofs: r.hash}
	for {
		is.mu.Lock()
		busy := is.inflight[key]
		if busy == nil {
			mine := make(chan struct{})
			is.inflight[key] = mine
			is.mu.Unlock()
			return func() {
				is.mu.Lock()
				delete(is.inflight, key)
				is.mu.Unlock()
				close(mine)
			}, nil
		}
		is.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, oauth.NewError(oauth.TemporarilyUnavailable, "try again").WithParent(ctx.Err())
		}
	}
}

func responsePlace(issuance string) string { return "response/" + issuance }

// redeliver answers a request whose nonce is no longer good. The very same proofs under the same grant get the recorded
// response while the window is open, or the copies that an interrupted attempt owes, under new intents. Anything else is
// refusal: a nonce serves once (B40, B68).
func (is *Issuer) redeliver(ctx context.Context, r *request, refusal error) ([]byte, error) {
	d, err := is.cfg.Store.Issued(ctx, r.grant.Token, r.hash)
	if errors.Is(err, ErrNotFound) {
		return nil, refusal
	}
	if err != nil {
		return nil, fmt.Errorf("find recorded response: %w", err)
	}
	if !is.now().Before(d.Until) {
		return nil, refusal
	}
	if r.grant, err = is.cfg.Store.Grant(ctx, r.tenant.ID, r.grant.Token); err != nil { // as it is now: see redeemed
		return nil, fmt.Errorf("read grant: %w", err)
	}
	if d.State == IssuanceIssued {
		if d.Response == nil || !r.grant.Credential.State.issuable() {
			return nil, refusal
		}
		return is.secrets.open(d.Response, responsePlace(d.Issuance))
	}
	if r.proofs == nil { // the nonce was refused before all proofs were looked at
		return nil, refusal
	}
	// The nonces are already this issuance's own; a proof set that was recorded passed every check before.
	r.id, r.attempt, r.nonces = d.Issuance, d.Attempt+1, nil
	body, err := is.produce(ctx, r)
	if errors.Is(err, ErrBurned) { // another process was faster
		return nil, oauth.NewError(oauth.TemporarilyUnavailable, "try the same request again").WithParent(err)
	}
	return body, err
}
