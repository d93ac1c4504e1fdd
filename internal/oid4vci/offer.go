package oid4vci

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/oauth"
)

// An Offer is the credential offer object (4.1.1).
type Offer struct {
	CredentialIssuer           string   `json:"credential_issuer"`
	CredentialConfigurationIDs []string `json:"credential_configuration_ids"`
	Grants                     Grants   `json:"grants,omitzero"`
}

// Grants names the flows that the issuer is prepared for; at most one of each.
type Grants struct {
	AuthorizationCode *AuthorizationCodeGrant `json:"authorization_code,omitzero"`
	PreAuthorizedCode *PreAuthorizedCodeGrant `json:"urn:ietf:params:oauth:grant-type:pre-authorized_code,omitzero"`
}

// AuthorizationCodeGrant binds a later authorization request to this offer.
type AuthorizationCodeGrant struct {
	IssuerState         string `json:"issuer_state,omitzero"`
	AuthorizationServer string `json:"authorization_server,omitzero"`
}

// PreAuthorizedCodeGrant carries the code; a TxCode, even an empty one, demands a transaction code.
type PreAuthorizedCodeGrant struct {
	PreAuthorizedCode   string  `json:"pre-authorized_code"`
	TxCode              *TxCode `json:"tx_code,omitzero"`
	AuthorizationServer string  `json:"authorization_server,omitzero"`
}

// Input modes of a transaction code; "" means numeric.
const (
	InputNumeric = "numeric"
	InputText    = "text"
)

// TxCode describes the transaction code to the person.
type TxCode struct {
	InputMode   string `json:"input_mode,omitzero"`
	Length      int    `json:"length,omitzero"`
	Description string `json:"description,omitzero"` // at most 300 characters
}

// OfferScheme is the custom scheme that opens a wallet whose offer endpoint is unknown.
const OfferScheme = "openid-credential-offer://"

const (
	maxOfferBytes = 32 << 10
	maxConfigIDs  = 32
	maxWord       = 512 // bytes of an id, code, state
)

// An OfferLink is what a QR code or a link carries: exactly one of both.
type OfferLink struct {
	Offer *Offer // by value
	URI   string // by reference: fetch it, then DecodeOffer
}

// URL is the complete link under base, usually OfferScheme, or the https offer endpoint of a web wallet.
func (l OfferLink) URL(base string) (string, error) {
	if (l.Offer == nil) == (l.URI == "") {
		return "", errors.New("oid4vci: offer link needs the offer or its URI, not both")
	}
	if !strings.Contains(base, ":") || strings.Contains(base, "#") || !plain(base) {
		return "", errors.New("oid4vci: link base is not a URL without fragment")
	}
	query := "credential_offer_uri=" + url.QueryEscape(l.URI)
	if l.Offer != nil {
		raw, err := json.Marshal(l.Offer, json.Deterministic(true))
		if err != nil {
			return "", err
		}
		query = "credential_offer=" + url.QueryEscape(string(raw))
	}
	switch {
	case strings.HasSuffix(base, "?") || strings.HasSuffix(base, "&"):
		return base + query, nil
	case strings.Contains(base, "?"):
		return base + "&" + query, nil
	}
	return base + "?" + query, nil
}

// ParseOfferLink reads a link of any scheme and the offer in it, when it is there by value. allowHTTP says which plain-http
// URLs are tolerated (configured loopback origins); nil: none.
func ParseOfferLink(link string, allowHTTP func(url string) bool) (OfferLink, error) {
	_, query, ok := strings.Cut(link, "?")
	if !ok || strings.Contains(query, "#") {
		return OfferLink{}, errors.New("oid4vci: offer link has no query, or a fragment")
	}
	f, err := oauth.DecodeForm(query, oauth.FormLimits{Body: 3 * maxOfferBytes})
	if err != nil {
		return OfferLink{}, fmt.Errorf("read offer link: %w", err)
	}
	uri, value := f.Get("credential_offer_uri"), f.Get("credential_offer")
	switch {
	case (uri == "") == (value == ""):
		return OfferLink{}, errors.New("oid4vci: offer link needs exactly one of credential_offer and credential_offer_uri")
	case uri != "" && (!isEndpoint(uri) || !isAllowed(uri, allowHTTP)):
		return OfferLink{}, errors.New("oid4vci: credential_offer_uri is not an https URL")
	case uri != "":
		return OfferLink{URI: uri}, nil
	}
	o, err := DecodeOffer([]byte(value), allowHTTP)
	if err != nil {
		return OfferLink{}, err
	}
	return OfferLink{Offer: &o}, nil
}

// DecodeOffer reads the offer object (application/json, at most 32 KiB): issuer identifier syntax, configuration ids
// non-empty and unique, tx_code within its limits. Unknown members are ignored.
func DecodeOffer(data []byte, allowHTTP func(url string) bool) (Offer, error) {
	var o Offer
	if len(data) > maxOfferBytes || jsontext.Value(data).Kind() != '{' {
		return Offer{}, errors.New("oid4vci: offer is not an object, or too large")
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return Offer{}, fmt.Errorf("decode offer: %w", err)
	}
	if err := o.Validate(); err != nil {
		return Offer{}, err
	}
	if !isAllowed(o.CredentialIssuer, allowHTTP) {
		return Offer{}, errors.New("oid4vci: credential issuer does not use https")
	}
	return o, nil
}

// Validate checks the rules of 4.1.1; issuers call it on what they are about to publish.
func (o Offer) Validate() error {
	if !isIdentifier(o.CredentialIssuer) {
		return errors.New("oid4vci: credential_issuer is not an identifier")
	}
	ids := o.CredentialConfigurationIDs
	if len(ids) == 0 || len(ids) > maxConfigIDs {
		return errors.New("oid4vci: no or too many credential_configuration_ids")
	}
	for i, id := range ids {
		if id == "" || len(id) > maxWord || slices.Contains(ids[:i], id) {
			return errors.New("oid4vci: credential configuration id is empty, too long or repeated")
		}
	}
	if g := o.Grants.AuthorizationCode; g != nil && len(g.IssuerState) > 4*maxWord {
		return errors.New("oid4vci: issuer_state is too long")
	}
	if g := o.Grants.PreAuthorizedCode; g != nil {
		if g.PreAuthorizedCode == "" || len(g.PreAuthorizedCode) > 4*maxWord {
			return errors.New("oid4vci: pre-authorized_code is missing or too long")
		}
		return g.TxCode.check()
	}
	return nil
}

func (t *TxCode) check() error {
	switch {
	case t == nil:
	case t.InputMode != "" && t.InputMode != InputNumeric && t.InputMode != InputText:
		return errors.New("oid4vci: input_mode of the transaction code is unknown")
	case t.Length < 0 || t.Length > 64:
		return errors.New("oid4vci: length of the transaction code is out of bounds")
	case utf8.RuneCountInString(t.Description) > 300:
		return errors.New("oid4vci: description of the transaction code is too long")
	}
	return nil
}
