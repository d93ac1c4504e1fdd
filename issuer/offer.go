package issuer

import "context"

// An OfferRequest asks for a credential to be offered to a person.
type OfferRequest struct {
	Tenant string
	Type   string // short name, e.g. resident-id
	Person string // id in the agency's records
	Format string // "dc+sd-jwt"; "" is that
	TxCode *bool  // nil: the type's default
	Actor  string
}

// An Offered credential.
type Offered struct {
	ID       string // of the logical credential
	URI      string // openid-credential-offer://?credential_offer_uri=…
	ValueURI string // openid-credential-offer://?credential_offer=…
	TxCode   string // "" when none is expected
}

// Offer records the offer. Errors: ErrUnknownTenant, ErrUnknownType, ErrNoRecord, *ClaimsError.
func (is *Issuer) Offer(ctx context.Context, r OfferRequest) (Offered, error) {
	return Offered{}, errTODO
}
