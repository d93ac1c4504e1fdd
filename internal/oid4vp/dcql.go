package oid4vp

// A Query is a DCQL query (section 6).
type Query struct {
	Credentials    []CredentialQuery    `json:"credentials"`
	CredentialSets []CredentialSetQuery `json:"credential_sets,omitzero"`
}

// A CredentialQuery asks for presentations of one kind of credential.
type CredentialQuery struct {
	ID                 string             `json:"id"`
	Format             string             `json:"format"`
	Multiple           bool               `json:"multiple,omitzero"`
	Meta               Meta               `json:"meta"`
	TrustedAuthorities []TrustedAuthority `json:"trusted_authorities,omitzero"`
	// RequireHolderBinding nil means true.
	RequireHolderBinding *bool         `json:"require_cryptographic_holder_binding,omitzero"`
	Claims               []ClaimsQuery `json:"claims,omitzero"`
	ClaimSets            [][]string    `json:"claim_sets,omitzero"`
}

// Meta restricts the type; which member counts depends on the format (appendix B).
type Meta struct {
	VCTValues    []string   `json:"vct_values,omitzero"`
	DoctypeValue string     `json:"doctype_value,omitzero"`
	TypeValues   [][]string `json:"type_values,omitzero"`
}

// Types of trusted authorities (6.1.1).
const (
	AuthorityAKI        = "aki"
	AuthorityETSI       = "etsi_tl"
	AuthorityFederation = "openid_federation"
)

// A TrustedAuthority is one condition on the issuer.
type TrustedAuthority struct {
	Type   string   `json:"type"`
	Values []string `json:"values"`
}

// A ClaimsQuery asks for one claim.
type ClaimsQuery struct {
	ID             string `json:"id,omitzero"`
	Path           Path   `json:"path"`
	Values         []any  `json:"values,omitzero"` // string, bool, or integer as int64
	IntentToRetain *bool  `json:"intent_to_retain,omitzero"`
}

// A CredentialSetQuery lists alternatives; Required nil means true.
type CredentialSetQuery struct {
	Options  [][]string `json:"options"`
	Required *bool      `json:"required,omitzero"`
}

// HolderBinding reports whether a proof of holder binding is demanded.
func (c CredentialQuery) HolderBinding() bool {
	return c.RequireHolderBinding == nil || *c.RequireHolderBinding
}

// ParseQuery reads a query strictly and validates it; unknown members are ignored. At most 64 KiB.
func ParseQuery(data []byte) (Query, error) { return Query{}, errTODO }

// Validate checks the rules of section 6 and our limits: at most 16 credentials, 64 claims each, 32 sets, paths of 16 steps,
// 64 values, ids of [A-Za-z0-9_-]{1,64}, unique; sets name what exists; meta fits the format.
func (q Query) Validate() error { return errTODO }

// Find returns the credential query with that id.
func (q Query) Find(id string) (CredentialQuery, bool) {
	for _, c := range q.Credentials {
		if c.ID == id {
			return c, true
		}
	}
	return CredentialQuery{}, false
}
