package oid4vp

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
)

// Response modes, response type and audience that our parties use.
const (
	ModeDirectPost    = "direct_post"
	ModeDirectPostJWT = "direct_post.jwt"
	ModeFragment      = "fragment"

	ResponseTypeVPToken = "vp_token"
	AudienceStatic      = "https://self-issued.me/v2"
	RequestMediaType    = "application/oauth-authz-req+jwt"
)

// A Request is the set of authorization request parameters (section 5), from a request object or an unsigned link.
type Request struct {
	ClientID        string           `json:"client_id"`
	ResponseType    string           `json:"response_type"`
	ResponseMode    string           `json:"response_mode,omitzero"`
	ResponseURI     string           `json:"response_uri,omitzero"`
	RedirectURI     string           `json:"redirect_uri,omitzero"`
	Nonce           string           `json:"nonce"`
	State           string           `json:"state,omitzero"`
	Scope           string           `json:"scope,omitzero"`
	DCQL            *Query           `json:"dcql_query,omitzero"`
	ClientMetadata  *ClientMetadata  `json:"client_metadata,omitzero"`
	TransactionData []string         `json:"transaction_data,omitzero"`
	VerifierInfo    []VerifierInfo   `json:"verifier_info,omitzero"`
	WalletNonce     string           `json:"wallet_nonce,omitzero"`
	Evidence        *EvidenceRequest `json:"dojang_evidence,omitzero"`
	ExpectedOrigins []string         `json:"expected_origins,omitzero"`
	Audience        string           `json:"aud,omitzero"`
	IssuedAt        int64            `json:"iat,omitzero"` // seconds
	Expires         int64            `json:"exp,omitzero"` // seconds
}

// ClientMetadata is what a verifier says of itself in a request (5.1, section 11).
type ClientMetadata struct {
	JWKS               *JWKS                     `json:"jwks,omitzero"`
	EncryptedEncValues []string                  `json:"encrypted_response_enc_values_supported,omitzero"`
	VPFormats          map[string]jsontext.Value `json:"vp_formats_supported,omitzero"`
	ClientName         string                    `json:"client_name,omitzero"` // shown as unverified
	LogoURI            string                    `json:"logo_uri,omitzero"`
}

// JWKS is a JWK set as raw JSON objects; internal/keys reads them.
type JWKS struct {
	Keys []jsontext.Value `json:"keys"`
}

// VerifierInfo is an attestation about the verifier (5.11).
type VerifierInfo struct {
	Format        string         `json:"format"`
	Data          jsontext.Value `json:"data"`
	CredentialIDs []string       `json:"credential_ids,omitzero"`
}

// EvidenceRequest is our request parameter `dojang_evidence`: the wallet staples registry evidence to its response.
type EvidenceRequest struct {
	Network       string `json:"network"`
	TrustedHeight int64  `json:"trusted_height"`
	MaxAge        int64  `json:"max_age"` // seconds
}

// A RequestSigner signs request objects for one client identifier.
type RequestSigner struct {
	Signer keys.Signer
	Kid    string   // DID URL, for decentralized_identifier
	X5C    [][]byte // leaf first without the anchor, for x509_san_dns and x509_hash
}

// Sign makes an oauth-authz-req+jwt of a request that Validate accepts. aud defaults to AudienceStatic.
func (r Request) Sign(s RequestSigner) (string, error) { return "", errTODO }

// Validate checks the rules of section 5 that both sides share. Errors: the codes a wallet answers with (8.5).
func (r Request) Validate() error { return errTODO }

// RequestExpect says what a wallet knows before it opens a request object.
type RequestExpect struct {
	ClientID    string // of the link, must equal the one inside
	WalletNonce string // "" when none was sent
	Audience    string // the wallet's issuer identifier when it was discovered; "": AudienceStatic
	Now         time.Time
	// ResolveDID finds the authentication key of a DID URL; nil refuses decentralized_identifier.
	ResolveDID func(didURL string) (*keys.PublicKey, error)
	// VerifyChain checks an x5c chain; nil refuses the x509 prefixes.
	VerifyChain func(chain [][]byte) (*keys.Leaf, error)
	// Preregistered finds the key of a client without a prefix; nil refuses them.
	Preregistered func(clientID, kid string) (*keys.PublicKey, error)
	// AllowHTTP says which plain-http URLs are tolerated (configured loopback origins); nil: none.
	AllowHTTP        func(url string) bool
	Formats          []string // the wallet's; nil: not checked
	TransactionTypes []string // the wallet's; nil: any transaction data is refused
	Algs             []string // nil: ES256 and EdDSA
}

// A VerifiedRequest was signed by the client it names, or (Signed false) came unsigned under redirect_uri.
type VerifiedRequest struct {
	Request
	Client ClientID
	Signed bool
	Leaf   *keys.Leaf      // x509 prefixes
	Kid    string          // decentralized_identifier
	Key    *keys.PublicKey // nil when unsigned
}

// VerifyRequest opens a request object. Errors are *oauth.Error with the code that a wallet answers with (8.5);
// ErrTerminate when the wallet must stop without answering anybody.
func VerifyRequest(jwt string, e RequestExpect) (VerifiedRequest, error) {
	return VerifiedRequest{}, errTODO
}
