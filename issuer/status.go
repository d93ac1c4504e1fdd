package issuer

import "context"

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

// SetStatus flips every copy of the logical credential in one transaction and returns when the lists that carry the
// change are published and anchored. Errors: ErrNotFound, ErrRevocationFinal, ErrTransition.
func (is *Issuer) SetStatus(ctx context.Context, c StatusChange) (Published, error) {
	return Published{}, errTODO
}
