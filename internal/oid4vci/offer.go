package oid4vci

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

// An OfferLink is what a QR code or a link carries: exactly one of both.
type OfferLink struct {
	Offer *Offer // by value
	URI   string // by reference: fetch it, then DecodeOffer
}

// URL is the complete link under base, usually OfferScheme, or the https offer endpoint of a web wallet.
func (l OfferLink) URL(base string) (string, error) { return "", errTODO }

// ParseOfferLink reads a link of any scheme and the offer in it, when it is there by value. allowHTTP says which plain-http
// URLs are tolerated (configured loopback origins); nil: none.
func ParseOfferLink(link string, allowHTTP func(url string) bool) (OfferLink, error) {
	return OfferLink{}, errTODO
}

// DecodeOffer reads the offer object (application/json, at most 32 KiB): issuer identifier syntax, configuration ids
// non-empty and unique, tx_code within its limits. Unknown members are ignored.
func DecodeOffer(data []byte, allowHTTP func(url string) bool) (Offer, error) {
	return Offer{}, errTODO
}
