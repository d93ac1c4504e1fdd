package oid4vci

import "github.com/dojang-id/dojang/internal/oauth"

// A TokenRequest is the token request with the members of the pre-authorized code flow (6.1).
type TokenRequest struct {
	oauth.TokenRequest
	PreAuthorizedCode    string
	TxCode               string
	AuthorizationDetails []AuthorizationDetail
}

// AuthorizationDetailType is the `type` of RFC 9396 objects that ask for a credential.
const AuthorizationDetailType = "openid_credential"

// An AuthorizationDetail names one credential configuration, in the response with the datasets that may be asked for.
type AuthorizationDetail struct {
	Type                      string             `json:"type"`
	Locations                 []string           `json:"locations,omitzero"`
	CredentialConfigurationID string             `json:"credential_configuration_id"`
	Claims                    []ClaimDescription `json:"claims,omitzero"`
	CredentialIdentifiers     []string           `json:"credential_identifiers,omitzero"`
}

// ParseTokenRequest reads the form. Errors: those of oauth.ParseTokenRequest; invalid_request when the pre-authorized
// code is missing, or a tx_code comes with another grant; invalid_authorization_details.
func ParseTokenRequest(f oauth.Form, accepted ...string) (TokenRequest, error) {
	return TokenRequest{}, errTODO
}

// CheckTxCode says whether a transaction code is present exactly when the offer demanded one: invalid_request otherwise.
// Whether it is the right one is for the caller to say (invalid_grant).
func (t TokenRequest) CheckTxCode(demanded bool) error { return errTODO }

// A TokenResponse is RFC 6749 5.1 with the authorized credential datasets (6.2).
type TokenResponse struct {
	oauth.TokenResponse
	AuthorizationDetails []AuthorizationDetail `json:"authorization_details,omitzero"`
}

// Form encodes the request for a wallet.
func (t TokenRequest) Form() string { return "" }

// DecodeTokenResponse reads what a token endpoint answered: token_type Bearer or DPoP, token present. At most 64 KiB.
func DecodeTokenResponse(data []byte) (TokenResponse, error) { return TokenResponse{}, errTODO }

// A NonceResponse is the answer of the nonce endpoint (7.2).
type NonceResponse struct {
	CNonce string `json:"c_nonce"`
}
