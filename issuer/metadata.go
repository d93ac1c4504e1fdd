package issuer

import (
	"strings"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/schemas"
)

// Tenants lists the ids of the tenants.
func (is *Issuer) Tenants() []string {
	ids := make([]string, 0, len(is.cfg.Tenants))
	for _, t := range is.cfg.Tenants {
		ids = append(ids, t.ID)
	}
	return ids
}

// Tenant is a tenant's configuration; ErrUnknownTenant.
func (is *Issuer) Tenant(id string) (Tenant, error) {
	t, err := is.tenant(id)
	if err != nil {
		return Tenant{}, err
	}
	return t.Tenant, nil
}

// CredentialIssuer is a tenant's identifier, URL + "/" + id, or "" for an unknown tenant.
func (is *Issuer) CredentialIssuer(tenant string) string {
	if t := is.tenants[tenant]; t != nil {
		return t.issuerURL
	}
	return ""
}

// BatchSize is the most proofs in one request of a tenant.
func (is *Issuer) BatchSize(tenant string) int {
	n := 1
	if t := is.tenants[tenant]; t != nil {
		for _, c := range t.configs {
			n = max(n, c.batch())
		}
	}
	return n
}

// IssuerMetadata is the credential issuer metadata of a tenant (OpenID4VCI 12.2). It says what is configured, never what
// a request claims about our name (B73).
func (is *Issuer) IssuerMetadata(tenant string) (oid4vci.Metadata, error) {
	t, err := is.tenant(tenant)
	if err != nil {
		return oid4vci.Metadata{}, err
	}
	m := oid4vci.Metadata{
		CredentialIssuer:     t.issuerURL,
		CredentialEndpoint:   t.issuerURL + "/credential",
		NonceEndpoint:        t.issuerURL + "/nonce",
		NotificationEndpoint: t.issuerURL + "/notification",
		Display:              display(t.Name),
		Configurations:       map[string]oid4vci.Configuration{},
	}
	if n := is.BatchSize(tenant); n > 1 { // 12.2.4: absent, or at least 2
		m.BatchIssuance = &oid4vci.BatchIssuance{BatchSize: n}
	}
	for id, c := range t.configs {
		m.Configurations[id] = t.configurationMetadata(c)
	}
	return m, nil
}

func (t *tenant) configurationMetadata(c *configuration) oid4vci.Configuration {
	out := oid4vci.Configuration{
		Format: c.format, Scope: c.id, VCT: c.typ.VCT,
		SigningAlgs:        []any{t.alg()},
		BindingMethods:     []string{"jwk"},
		ProofTypes:         map[string]oid4vci.ProofType{"jwt": {SigningAlgs: []string{keys.ES256}}},
		CredentialMetadata: &oid4vci.CredentialMetadata{Display: display(c.typ.Label)},
	}
	for _, claim := range c.typ.Claims {
		if claim.Class == schemas.Never || claim.Reserved {
			continue
		}
		out.CredentialMetadata.Claims = append(out.CredentialMetadata.Claims, oid4vci.ClaimDescription{
			Path: pathOf(claim.Path), Mandatory: claim.Required, Display: display(claim.Label),
		})
	}
	return out
}

// pathOf turns our dotted path into a claims path pointer.
func pathOf(path string) oid4vp.Path {
	var out oid4vp.Path
	for part := range strings.SplitSeq(path, ".") {
		name, array := strings.CutSuffix(part, "[]")
		out = append(out, oid4vp.Name(name))
		if array {
			out = append(out, oid4vp.All())
		}
	}
	return out
}

func display(t schemas.Text) []oid4vci.Display {
	return []oid4vci.Display{{Name: t.Ko, Locale: "ko-KR"}, {Name: t.En, Locale: "en-US"}}
}

// ServerMetadata is the authorization server metadata of a tenant (RFC 8414): the tenant is its own.
func (is *Issuer) ServerMetadata(tenant string) (oauth.ServerMetadata, error) {
	t, err := is.tenant(tenant)
	if err != nil {
		return oauth.ServerMetadata{}, err
	}
	m := oauth.ServerMetadata{
		Issuer: t.issuerURL, TokenEndpoint: t.issuerURL + "/token", JWKSURI: t.issuerURL + "/jwks",
		ChallengeEndpoint:   t.issuerURL + "/challenge",
		GrantTypesSupported: []string{oauth.GrantPreAuthorizedCode},
		// Anonymous wallets: RFC 8414 has no way to say that a method is optional, so both are listed.
		TokenEndpointAuthMethodsSupported:          []string{"none", oauth.AuthMethodAttestation},
		DPoPSigningAlgValuesSupported:              []string{keys.ES256},
		ClientAttestationSigningAlgValuesSupported: []string{keys.ES256},
		ClientAttestationPoPSigningAlgValues:       []string{keys.ES256},
		AuthorizationDetailsTypesSupported:         []string{oid4vci.AuthorizationDetailType},
		PreAuthorizedGrantAnonymousAccessSupported: t.Attestation == AttestationOptional,
	}
	if t.Attestation == AttestationRequired {
		m.TokenEndpointAuthMethodsSupported = []string{oauth.AuthMethodAttestation}
	}
	return m, nil
}

// TypeMetadata is the SD-JWT VC type metadata of a type that the tenant issues, as schemas holds it; ErrUnknownType.
func (is *Issuer) TypeMetadata(tenant, typ string) ([]byte, error) {
	t, err := is.tenant(tenant)
	if err != nil || t.types[typ] == nil {
		return nil, ErrUnknownType
	}
	return t.types[typ].TypeMetadata(), nil
}

// JWKS is the tenant's public signing key as a JWK set.
func (is *Issuer) JWKS(tenant string) ([]byte, error) {
	t, err := is.tenant(tenant)
	if err != nil {
		return nil, err
	}
	jwk := t.Key.Public().JWK()
	kid := `,"kid":"` + t.keyURL + `","use":"sig","alg":"` + t.alg() + `"}`
	return []byte(`{"keys":[` + strings.TrimSuffix(string(jwk), "}") + kid + `]}`), nil
}
