package oid4vci

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/oauth"
)

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

const maxDetails = 16

// ParseTokenRequest reads the form. Errors: those of oauth.ParseTokenRequest; invalid_request when the pre-authorized
// code is missing or has company of another grant, or a tx_code comes with another grant; invalid_authorization_details.
func ParseTokenRequest(f oauth.Form, accepted ...string) (TokenRequest, error) {
	base, err := oauth.ParseTokenRequest(f, accepted...)
	if err != nil {
		return TokenRequest{}, err
	}
	t := TokenRequest{TokenRequest: base, PreAuthorizedCode: f.Get("pre-authorized_code"), TxCode: f.Get("tx_code")}
	preAuthorized := t.GrantType == oauth.GrantPreAuthorizedCode
	switch {
	case preAuthorized && t.PreAuthorizedCode == "":
		return TokenRequest{}, oauth.NewError(oauth.InvalidRequest, "pre-authorized_code is missing")
	case !preAuthorized && (t.TxCode != "" || t.PreAuthorizedCode != ""):
		return TokenRequest{}, oauth.NewError(oauth.InvalidRequest, "parameter belongs to another grant type")
	case len(t.PreAuthorizedCode) > 4*maxWord || len(t.TxCode) > maxWord:
		return TokenRequest{}, oauth.NewError(oauth.InvalidRequest, "parameter is too long")
	}
	if raw := f.Get("authorization_details"); raw != "" {
		if t.AuthorizationDetails, err = DecodeAuthorizationDetails([]byte(raw)); err != nil {
			return TokenRequest{}, err
		}
	}
	return t, nil
}

// DecodeAuthorizationDetails reads the JSON of the parameter (RFC 9396 2, 5.1.1): a non-empty array of objects of our
// type, each with a configuration id. Error: invalid_authorization_details.
func DecodeAuthorizationDetails(raw []byte) ([]AuthorizationDetail, error) {
	var details []AuthorizationDetail
	if err := json.Unmarshal(raw, &details); err != nil {
		return nil, oauth.NewError(oauth.InvalidAuthorizationDetails, "authorization_details is malformed").WithParent(err)
	}
	if len(details) == 0 || len(details) > maxDetails {
		return nil, oauth.NewError(oauth.InvalidAuthorizationDetails, "authorization_details is empty or too long")
	}
	for _, d := range details {
		if d.Type != AuthorizationDetailType || d.CredentialConfigurationID == "" || len(d.CredentialConfigurationID) > maxWord {
			return nil, oauth.NewError(oauth.InvalidAuthorizationDetails, "authorization detail is not a credential of ours")
		}
	}
	return details, nil
}

// CheckTxCode says whether a transaction code is present exactly when the offer demanded one: invalid_request otherwise
// (6.3). Whether it is the right one is for the caller to say (invalid_grant).
func (t TokenRequest) CheckTxCode(demanded bool) error {
	switch {
	case demanded && t.TxCode == "":
		return oauth.NewError(oauth.InvalidRequest, "tx_code is missing")
	case !demanded && t.TxCode != "":
		return oauth.NewError(oauth.InvalidRequest, "tx_code is not expected")
	}
	return nil
}

// Form encodes the request for a wallet.
func (t TokenRequest) Form() (string, error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"grant_type": t.GrantType, "client_id": t.ClientID, "scope": t.Scope, "code": t.Code, "redirect_uri": t.RedirectURI,
		"code_verifier": t.CodeVerifier, "refresh_token": t.RefreshToken,
		"pre-authorized_code": t.PreAuthorizedCode, "tx_code": t.TxCode,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if t.AuthorizationDetails != nil {
		raw, err := json.Marshal(t.AuthorizationDetails)
		if err != nil {
			return "", err
		}
		q.Set("authorization_details", string(raw))
	}
	return q.Encode(), nil
}

// A TokenResponse is RFC 6749 5.1 with the authorized credential datasets (6.2).
type TokenResponse struct {
	oauth.TokenResponse
	AuthorizationDetails []AuthorizationDetail `json:"authorization_details,omitzero"`
}

// DecodeTokenResponse reads what a token endpoint answered: token_type Bearer or DPoP in any case, token present,
// identifiers present in every detail. At most 64 KiB.
func DecodeTokenResponse(data []byte) (TokenResponse, error) {
	var t TokenResponse
	if len(data) > 64<<10 {
		return TokenResponse{}, errors.New("oid4vci: token response is too large")
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return TokenResponse{}, fmt.Errorf("decode token response: %w", err)
	}
	scheme, ok := oauth.ParseScheme(string(t.TokenType))
	if !ok || t.AccessToken == "" || t.ExpiresIn < 0 {
		return TokenResponse{}, errors.New("oid4vci: token response lacks a token or has an unknown type")
	}
	t.TokenType = scheme
	for _, d := range t.AuthorizationDetails {
		if d.Type == AuthorizationDetailType && len(d.CredentialIdentifiers) == 0 {
			return TokenResponse{}, errors.New("oid4vci: authorization detail without credential identifiers")
		}
	}
	return t, nil
}

// A NonceResponse is the answer of the nonce endpoint (7.2).
type NonceResponse struct {
	CNonce string `json:"c_nonce"`
}

// DecodeNonceResponse is the wallet's side: a non-empty nonce of at most 4 KiB.
func DecodeNonceResponse(data []byte) (NonceResponse, error) {
	var n NonceResponse
	if len(data) > 8<<10 || json.Unmarshal(data, &n) != nil || n.CNonce == "" || len(n.CNonce) > 4<<10 {
		return NonceResponse{}, errors.New("oid4vci: nonce response is malformed")
	}
	return n, nil
}
