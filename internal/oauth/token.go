package oauth

// Grant types that our servers may be asked for.
const (
	GrantPreAuthorizedCode = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
	GrantAuthorizationCode = "authorization_code"
	GrantRefreshToken      = "refresh_token"
)

// A TokenRequest is the form of RFC 6749 4.1.3 and 6 with PKCE; the members of the pre-authorized flow are in oid4vci.
type TokenRequest struct {
	GrantType    string
	ClientID     string
	Scope        string
	Code         string
	RedirectURI  string
	CodeVerifier string
	RefreshToken string
}

// ParseTokenRequest reads the members; accepted lists the grant types that the server offers.
// Errors: invalid_request without a grant type, unsupported_grant_type for one not listed.
func ParseTokenRequest(f Form, accepted ...string) (TokenRequest, error) {
	t := TokenRequest{
		GrantType:    f.Get("grant_type"),
		ClientID:     f.Get("client_id"),
		Scope:        f.Get("scope"),
		Code:         f.Get("code"),
		RedirectURI:  f.Get("redirect_uri"),
		CodeVerifier: f.Get("code_verifier"),
		RefreshToken: f.Get("refresh_token"),
	}
	if t.GrantType == "" {
		return TokenRequest{}, NewError(InvalidRequest, "grant_type is missing")
	}
	for _, g := range accepted {
		if t.GrantType == g {
			return t, nil
		}
	}
	return TokenRequest{}, NewError(UnsupportedGrantType, "grant type is not offered here")
}

// A TokenResponse is RFC 6749 5.1; token_type is "Bearer" or "DPoP".
type TokenResponse struct {
	AccessToken  string `json:"access_token"`
	TokenType    Scheme `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in,omitzero"` // seconds
	RefreshToken string `json:"refresh_token,omitzero"`
	Scope        string `json:"scope,omitzero"`
}
