package oid4vp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Credential format identifiers (appendix B).
const (
	FormatSDJWTVC = "dc+sd-jwt"
	FormatMdoc    = "mso_mdoc"
	FormatJWTVC   = "jwt_vc_json"
	FormatLDPVC   = "ldp_vc"
)

// A Query is a DCQL query (section 6). Decoding one from JSON validates it.
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

// Meta restricts the type; which member counts depends on the format (appendix B). The zero Meta restricts nothing.
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
	Values         Values `json:"values,omitzero"`
	IntentToRetain *bool  `json:"intent_to_retain,omitzero"`
}

// Values are the acceptable values of a claim: string, bool, or int64.
type Values []any

// A CredentialSetQuery lists alternatives; Required nil means true.
type CredentialSetQuery struct {
	Options  [][]string `json:"options"`
	Required *bool      `json:"required,omitzero"`
}

// Limits of a query; DCQL has none of its own.
const (
	maxQueryBytes     = 64 << 10
	maxCredentials    = 16
	maxClaims         = 64
	maxSets           = 32
	maxValues         = 64
	maxValueBytes     = 1 << 10
	maxIDBytes        = 64
	maxTypeBytes      = 512
	maxAuthorities    = 16
	maxAuthorityBytes = 1 << 10
)

// HolderBinding reports whether a proof of holder binding is demanded.
func (c CredentialQuery) HolderBinding() bool {
	return c.RequireHolderBinding == nil || *c.RequireHolderBinding
}

// Find returns the credential query with that id.
func (q Query) Find(id string) (CredentialQuery, bool) {
	for _, c := range q.Credentials {
		if c.ID == id {
			return c, true
		}
	}
	return CredentialQuery{}, false
}

// ParseQuery reads a query strictly and validates it; unknown members are ignored. At most 64 KiB.
func ParseQuery(data []byte) (Query, error) {
	var q Query
	if err := q.UnmarshalJSON(data); err != nil {
		return Query{}, err
	}
	return q, q.Validate()
}

// UnmarshalJSON implements json.Unmarshaler with all rules of Validate but one: a claim asked for twice is ignored the
// second time, as 6.1 wants of wallets.
func (q *Query) UnmarshalJSON(data []byte) error {
	if len(data) > maxQueryBytes {
		return errors.New("oid4vp: query is too large")
	}
	type wire Query // without this method
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("decode query: %w", err)
	}
	var shape struct {
		Credentials []struct {
			Meta jsontext.Value `json:"meta"`
		} `json:"credentials"`
	}
	if err := json.Unmarshal(data, &shape); err != nil {
		return fmt.Errorf("decode query: %w", err)
	}
	for _, c := range shape.Credentials {
		if c.Meta.Kind() != '{' { // required, although it may be empty
			return errors.New("oid4vp: credential query without meta")
		}
	}
	if err := Query(w).check(); err != nil {
		return err
	}
	*q = Query(w)
	return nil
}

// UnmarshalJSON implements json.Unmarshaler: strings, booleans and integers.
func (v *Values) UnmarshalJSON(data []byte) error {
	var raw []jsontext.Value
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	out := make(Values, len(raw))
	for i, r := range raw {
		switch r.Kind() {
		case '"', 't', 'f':
			if err := json.Unmarshal(r, &out[i]); err != nil {
				return err
			}
		case '0':
			n, err := strconv.ParseInt(string(r), 10, 64)
			if err != nil {
				return errors.New("oid4vp: value is not an integer")
			}
			out[i] = n
		default:
			return errors.New("oid4vp: value is neither string, integer nor boolean")
		}
	}
	*v = out
	return nil
}

// Validate checks the rules of section 6 and our limits: at most 16 credentials, 64 claims each, 32 sets, paths of 16
// steps, 64 values, ids of [A-Za-z0-9_-]{1,64}, unique; sets name what exists; no claim twice.
func (q Query) Validate() error {
	if err := q.check(); err != nil {
		return err
	}
	for _, c := range q.Credentials {
		seen := make(map[string]bool)
		for _, claim := range c.Claims {
			if seen[claim.Path.key()] {
				return errors.New("oid4vp: query asks for a claim twice")
			}
			seen[claim.Path.key()] = true
		}
	}
	return nil
}

func (q Query) check() error {
	if len(q.Credentials) == 0 || len(q.Credentials) > maxCredentials || outside(q.CredentialSets, maxSets) {
		return errors.New("oid4vp: query has no or too many credentials or sets")
	}
	ids := make(map[string]bool)
	for _, c := range q.Credentials {
		if !validID(c.ID) || ids[c.ID] {
			return errors.New("oid4vp: credential query id is malformed or repeated")
		}
		ids[c.ID] = true
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, s := range q.CredentialSets {
		if len(s.Options) == 0 || len(s.Options) > maxSets {
			return errors.New("oid4vp: credential set has no or too many options")
		}
		for _, option := range s.Options {
			if err := checkRefs(option, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c CredentialQuery) check() error {
	if c.Format == "" || len(c.Format) > maxIDBytes {
		return errors.New("oid4vp: credential query without a format")
	}
	if outside(c.Claims, maxClaims) || outside(c.ClaimSets, maxSets) || c.ClaimSets != nil && c.Claims == nil {
		return errors.New("oid4vp: credential query has empty, too many or misplaced claims")
	}
	if err := c.Meta.check(); err != nil {
		return err
	}
	if outside(c.TrustedAuthorities, maxAuthorities) {
		return errors.New("oid4vp: trusted authorities are empty or too many")
	}
	for _, t := range c.TrustedAuthorities {
		if t.Type == "" || len(t.Type) > maxIDBytes || len(t.Values) == 0 || tooLong(t.Values, maxValues, maxAuthorityBytes) {
			return errors.New("oid4vp: trusted authority is malformed")
		}
	}
	ids := make(map[string]bool)
	for _, claim := range c.Claims {
		if err := claim.check(c.Format); err != nil {
			return err
		}
		if claim.ID == "" && c.ClaimSets != nil || claim.ID != "" && (!validID(claim.ID) || ids[claim.ID]) {
			return errors.New("oid4vp: claim id is missing, malformed or repeated")
		}
		ids[claim.ID] = true
	}
	for _, set := range c.ClaimSets {
		if err := checkRefs(set, ids); err != nil {
			return err
		}
	}
	return nil
}

func (m Meta) check() error {
	if outside(m.VCTValues, maxValues) || tooLong(m.VCTValues, maxValues, maxTypeBytes) || len(m.DoctypeValue) > maxTypeBytes ||
		outside(m.TypeValues, maxValues) {
		return errors.New("oid4vp: meta is empty-valued or too large")
	}
	for _, types := range m.TypeValues {
		if len(types) == 0 || tooLong(types, maxValues, maxTypeBytes) {
			return errors.New("oid4vp: type alternative is empty or too large")
		}
	}
	return nil
}

func (c ClaimsQuery) check(format string) error {
	if !c.Path.valid() {
		return errors.New("oid4vp: claims path is empty or too long")
	}
	if format == FormatMdoc { // 7.2: namespace and element identifier
		for _, s := range c.Path {
			if s.kind != stepName || len(c.Path) != 2 {
				return errors.New("oid4vp: claims path of an mdoc is namespace and element")
			}
		}
	}
	if outside(c.Values, maxValues) {
		return errors.New("oid4vp: values are empty or too many")
	}
	for _, v := range c.Values {
		switch v := v.(type) {
		case bool, int64, int:
		case string:
			if len(v) > maxValueBytes {
				return errors.New("oid4vp: value is too long")
			}
		default:
			return errors.New("oid4vp: value is neither string, integer nor boolean")
		}
	}
	return nil
}

// outside reports an array that is present and empty, or longer than most.
func outside[T any, S ~[]T](s S, most int) bool { return s != nil && len(s) == 0 || len(s) > most }

func tooLong(list []string, most, bytes int) bool {
	return len(list) > most || slices.ContainsFunc(list, func(s string) bool { return s == "" || len(s) > bytes })
}

// checkRefs wants a non-empty list of distinct known ids.
func checkRefs(refs []string, known map[string]bool) error {
	if len(refs) == 0 || len(refs) > maxClaims {
		return errors.New("oid4vp: set is empty or too large")
	}
	for i, id := range refs {
		if !known[id] || id == "" || slices.Contains(refs[:i], id) {
			return errors.New("oid4vp: set names an unknown or repeated id")
		}
	}
	return nil
}

func validID(s string) bool {
	if s == "" || len(s) > maxIDBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
