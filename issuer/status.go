package issuer

import (
	"context"
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/internal/audit"
)

// A StatusName is a status on the management API.
type StatusName string

// The four statuses; what needs_renewal means is fixed per type in schemas.
const (
	StatusValid        StatusName = "valid"
	StatusRevoked      StatusName = "revoked"
	StatusSuspended    StatusName = "suspended"
	StatusNeedsRenewal StatusName = "needs_renewal"
)

// A StatusChange asks for a new status of a logical credential.
type StatusChange struct {
	Tenant     string
	Credential string // the offer's id
	To         StatusName
	Reason     string // a code of the agency, for audit; never shown to a verifier
	Actor      string // who, for audit
}

// A Published says where a change can be seen.
type Published struct {
	Sequence uint64 // of the status epoch
	Height   uint64 // of the chain
}

// SetStatus moves the logical credential to a status; with it every copy of it flips, issued or only intended. It
// returns when the lists that carry the change are published and anchored (C17). Asking again for the same status
// changes nothing and waits likewise. Errors: ErrUnknownTenant, ErrUnknownStatus, ErrNotFound, ErrRevocationFinal (C15),
// ErrTransition; ErrNotPublished when the change is durable and its publication is still to come.
func (is *Issuer) SetStatus(ctx context.Context, c StatusChange) (Published, error) {
	t, err := is.tenant(c.Tenant)
	if err != nil {
		return Published{}, err
	}
	to, ok := stateOf(c.To)
	if !ok {
		return Published{}, ErrUnknownStatus
	}
	number, err := is.cfg.Store.ChangeStatus(ctx, t.ID, c.Credential, func(now Credential) (State, audit.Entry, error) {
		entry := audit.Entry{Chain: t.ID, Actor: c.Actor, Action: "credential." + string(c.To), Object: now.ID, Reason: c.Reason}
		return to, entry, now.State.change(to)
	})
	if err != nil {
		return Published{}, err
	}
	is.step("status.changed")
	p, err := is.publish(ctx, t, want{change: number})
	if err != nil {
		return Published{}, fmt.Errorf("%w: %w", ErrNotPublished, err)
	}
	return Published{Sequence: p.Sequence, Height: p.Height}, nil
}

// State is what the management API tells about a logical credential.
func (is *Issuer) State(ctx context.Context, tenant, id string) (Credential, error) {
	if _, err := is.tenant(tenant); err != nil {
		return Credential{}, err
	}
	if len(id) != 22 {
		return Credential{}, ErrNotFound
	}
	return is.cfg.Store.Credential(ctx, tenant, id)
}

var errAnchor = errors.New("issuer: the chain refused the epoch")
