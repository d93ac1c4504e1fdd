package oauth

// ServerMetadata is RFC 8414 with the members that OpenID4VCI, DPoP, PAR and attestation-based authentication add.
type ServerMetadata struct {
	Issuer                                     string   `json:"issuer"`
	AuthorizationEndpoint                      string   `json:"authorization_endpoint,omitzero"`
	TokenEndpoint                              string   `json:"token_endpoint"`
	PushedAuthorizationRequestEndpoint         string   `json:"pushed_authorization_request_endpoint,omitzero"`
	RequirePushedAuthorizationRequests         bool     `json:"require_pushed_authorization_requests,omitzero"`
	ChallengeEndpoint                          string   `json:"challenge_endpoint,omitzero"`
	JWKSURI                                    string   `json:"jwks_uri,omitzero"`
	ScopesSupported                            []string `json:"scopes_supported,omitzero"`
	ResponseTypesSupported                     []string `json:"response_types_supported,omitzero"`
	ResponseModesSupported                     []string `json:"response_modes_supported,omitzero"`
	GrantTypesSupported                        []string `json:"grant_types_supported,omitzero"`
	TokenEndpointAuthMethodsSupported          []string `json:"token_endpoint_auth_methods_supported,omitzero"`
	CodeChallengeMethodsSupported              []string `json:"code_challenge_methods_supported,omitzero"`
	DPoPSigningAlgValuesSupported              []string `json:"dpop_signing_alg_values_supported,omitzero"`
	ClientAttestationSigningAlgValuesSupported []string `json:"client_attestation_signing_alg_values_supported,omitzero"`
	ClientAttestationPoPSigningAlgValues       []string `json:"client_attestation_pop_signing_alg_values_supported,omitzero"`
	AuthorizationDetailsTypesSupported         []string `json:"authorization_details_types_supported,omitzero"`
	AuthorizationResponseIssParameterSupported bool     `json:"authorization_response_iss_parameter_supported,omitzero"`
	PreAuthorizedGrantAnonymousAccessSupported bool     `json:"pre-authorized_grant_anonymous_access_supported,omitzero"`
}

// AuthMethodAttestation is the token endpoint authentication method of wallet attestations.
const AuthMethodAttestation = "attest_jwt_client_auth"
