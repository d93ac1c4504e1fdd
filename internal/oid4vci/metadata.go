package oid4vci

import (
	"errors"
	"fmt"

	"github.com/dojang-id/dojang/internal/oid4vp"
)

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

const (
	maxMetadataBytes  = 1 << 20
	maxConfigurations = 256
)

// DecodeMetadata reads metadata fetched for issuer and refuses another credential_issuer (simple string comparison) and
// endpoints that are not https (or allowed plain http). At most 1 MiB. A configuration that breaks other rules is the
// issuer's affair as long as nobody asks for it: see Validate.
func DecodeMetadata(data []byte, issuer string, allowHTTP func(url string) bool) (Metadata, error) {
	var m Metadata
	if len(data) > maxMetadataBytes {
		return Metadata{}, errors.New("oid4vci: issuer metadata is too large")
	}
	if err := decodeObject(data, &m); err != nil {
		return Metadata{}, fmt.Errorf("decode issuer metadata: %w", err)
	}
	if m.CredentialIssuer != issuer {
		return Metadata{}, errors.New("oid4vci: metadata is another credential issuer's")
	}
	if err := m.checkAddresses(allowHTTP); err != nil {
		return Metadata{}, err
	}
	return m, nil
}

// Validate reports every breach of 12.2.4: issuers call it on their own metadata at start.
func (m Metadata) Validate(allowHTTP func(url string) bool) error {
	if err := m.checkAddresses(allowHTTP); err != nil {
		return err
	}
	if m.BatchIssuance != nil && m.BatchIssuance.BatchSize < 2 {
		return errors.New("oid4vci: batch_size is below 2")
	}
	if err := m.checkEncryption(); err != nil {
		return err
	}
	if err := checkLocales(m.Display); err != nil {
		return err
	}
	for id, c := range m.Configurations {
		if err := c.check(id); err != nil {
			return err
		}
	}
	return nil
}

func (m Metadata) checkAddresses(allowHTTP func(url string) bool) error {
	if !isIdentifier(m.CredentialIssuer) || !isAllowed(m.CredentialIssuer, allowHTTP) {
		return errors.New("oid4vci: credential_issuer is not an https identifier")
	}
	for _, as := range m.AuthorizationServers {
		if !isIdentifier(as) || !isAllowed(as, allowHTTP) {
			return errors.New("oid4vci: authorization server is not an https identifier")
		}
	}
	if m.CredentialEndpoint == "" {
		return errors.New("oid4vci: credential_endpoint is missing")
	}
	for _, url := range []string{m.CredentialEndpoint, m.NonceEndpoint, m.DeferredCredentialEndpoint, m.NotificationEndpoint} {
		if url != "" && (!isEndpoint(url) || !isAllowed(url, allowHTTP)) {
			return errors.New("oid4vci: endpoint is not an https URL")
		}
	}
	if m.Configurations == nil || len(m.Configurations) > maxConfigurations {
		return errors.New("oid4vci: credential configurations are missing or too many")
	}
	return nil
}

func (m Metadata) checkEncryption() error {
	if e := m.RequestEncryption; e != nil && (len(e.JWKS.Keys) == 0 || len(e.Enc) == 0) {
		return errors.New("oid4vci: request encryption without keys or algorithms")
	}
	if e := m.ResponseEncryption; e != nil && (len(e.Alg) == 0 || len(e.Enc) == 0) {
		return errors.New("oid4vci: response encryption without algorithms")
	}
	return nil
}

func (c Configuration) check(id string) error {
	switch {
	case id == "" || len(id) > maxWord || c.Format == "":
		return errors.New("oid4vci: credential configuration without id or format")
	case c.Format == FormatSDJWTVC && c.VCT == "" || c.Format == FormatMdoc && c.Doctype == "":
		return errors.New("oid4vci: credential configuration without its type")
	case (len(c.BindingMethods) == 0) != (len(c.ProofTypes) == 0):
		return errors.New("oid4vci: binding methods and proof types come together or not at all")
	}
	for _, p := range c.ProofTypes {
		if len(p.SigningAlgs) == 0 {
			return errors.New("oid4vci: proof type without algorithms")
		}
	}
	if c.CredentialMetadata == nil {
		return nil
	}
	for _, claim := range c.CredentialMetadata.Claims {
		if len(claim.Path) == 0 {
			return errors.New("oid4vci: claim description without a path")
		}
		if err := checkLocales(claim.Display); err != nil {
			return err
		}
	}
	return checkLocales(c.CredentialMetadata.Display)
}

// checkLocales: one object a language (12.2.4).
func checkLocales(list []Display) error {
	seen := make(map[string]bool, len(list))
	for _, d := range list {
		if seen[d.Locale] {
			return errors.New("oid4vci: two displays for one language")
		}
		seen[d.Locale] = true
	}
	return nil
}
