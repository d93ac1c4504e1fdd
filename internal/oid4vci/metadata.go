package oid4vci

import "github.com/dojang-id/dojang/internal/oid4vp"

// Metadata is the credential issuer metadata (12.2.4).
type Metadata struct {
	CredentialIssuer           string                   `json:"credential_issuer"`
	AuthorizationServers       []string                 `json:"authorization_servers,omitzero"`
	CredentialEndpoint         string                   `json:"credential_endpoint"`
	NonceEndpoint              string                   `json:"nonce_endpoint,omitzero"`
	DeferredCredentialEndpoint string                   `json:"deferred_credential_endpoint,omitzero"`
	NotificationEndpoint       string                   `json:"notification_endpoint,omitzero"`
	RequestEncryption          *RequestEncryption       `json:"credential_request_encryption,omitzero"`
	ResponseEncryption         *ResponseEncryption      `json:"credential_response_encryption,omitzero"`
	BatchIssuance              *BatchIssuance           `json:"batch_credential_issuance,omitzero"`
	Display                    []Display                `json:"display,omitzero"`
	Configurations             map[string]Configuration `json:"credential_configurations_supported"`
}

// RequestEncryption says whether and with which keys credential requests are encrypted.
type RequestEncryption struct {
	JWKS     JWKS     `json:"jwks"`
	Enc      []string `json:"enc_values_supported"`
	Zip      []string `json:"zip_values_supported,omitzero"`
	Required bool     `json:"encryption_required"`
}

// ResponseEncryption says how credential responses can be encrypted.
type ResponseEncryption struct {
	Alg      []string `json:"alg_values_supported"`
	Enc      []string `json:"enc_values_supported"`
	Zip      []string `json:"zip_values_supported,omitzero"`
	Required bool     `json:"encryption_required"`
}

// JWKS is a JWK set as raw JSON objects; internal/keys reads them.
type JWKS = oid4vp.JWKS

// BatchIssuance is the largest number of proofs in one request, 2 or more.
type BatchIssuance struct {
	BatchSize int `json:"batch_size"`
}

// Display names an issuer, a credential or a claim in one language (BCP 47).
type Display struct {
	Name            string `json:"name,omitzero"`
	Locale          string `json:"locale,omitzero"`
	Logo            *Image `json:"logo,omitzero"`
	Description     string `json:"description,omitzero"`
	BackgroundColor string `json:"background_color,omitzero"`
	BackgroundImage *Image `json:"background_image,omitzero"`
	TextColor       string `json:"text_color,omitzero"`
}

// Image is a logo or background.
type Image struct {
	URI     string `json:"uri"`
	AltText string `json:"alt_text,omitzero"`
}

// A Configuration describes one credential in one format.
type Configuration struct {
	Format             string               `json:"format"`
	Scope              string               `json:"scope,omitzero"`
	VCT                string               `json:"vct,omitzero"`                                     // dc+sd-jwt
	Doctype            string               `json:"doctype,omitzero"`                                 // mso_mdoc
	SigningAlgs        []any                `json:"credential_signing_alg_values_supported,omitzero"` // strings (JOSE) or numbers (COSE)
	BindingMethods     []string             `json:"cryptographic_binding_methods_supported,omitzero"`
	ProofTypes         map[string]ProofType `json:"proof_types_supported,omitzero"`
	CredentialMetadata *CredentialMetadata  `json:"credential_metadata,omitzero"`
}

// A ProofType is what the issuer demands of one kind of key proof.
type ProofType struct {
	SigningAlgs             []string                 `json:"proof_signing_alg_values_supported"`
	KeyAttestationsRequired *KeyAttestationsRequired `json:"key_attestations_required,omitzero"`
}

// KeyAttestationsRequired lists accepted levels; empty lists demand an attestation of any level.
type KeyAttestationsRequired struct {
	KeyStorage         []string `json:"key_storage,omitzero"`
	UserAuthentication []string `json:"user_authentication,omitzero"`
}

// CredentialMetadata is for display.
type CredentialMetadata struct {
	Display []Display          `json:"display,omitzero"`
	Claims  []ClaimDescription `json:"claims,omitzero"`
}

// A ClaimDescription names one claim (appendix B).
type ClaimDescription struct {
	Path      oid4vp.Path `json:"path"`
	Mandatory bool        `json:"mandatory,omitzero"`
	Display   []Display   `json:"display,omitzero"`
}

// DecodeMetadata reads metadata fetched for issuer and refuses another credential_issuer (simple string comparison),
// endpoints that are not https (or allowed plain http), malformed configurations. At most 1 MiB.
func DecodeMetadata(data []byte, issuer string, allowHTTP func(url string) bool) (Metadata, error) {
	return Metadata{}, errTODO
}

// Validate reports what a wallet would refuse: issuers call it on their own metadata at start.
func (m Metadata) Validate(allowHTTP func(url string) bool) error { return errTODO }
