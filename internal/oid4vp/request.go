package oid4vp

import (
	"errors"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// Response modes, response type and audience that our parties use.
const (
	ModeDirectPost    = "direct_post"
	ModeDirectPostJWT = "direct_post.jwt"

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
	RedirectURI     string           `json:"redirect_uri,omitzero"` // never beside direct_post; kept so that it is seen
	Nonce           string           `json:"nonce"`
	State           string           `json:"state,omitzero"`
	Scope           string           `json:"scope,omitzero"`
	DCQL            *Query           `json:"dcql_query,omitzero"`
	ClientMetadata  *ClientMetadata  `json:"client_metadata,omitzero"`
	TransactionData []string         `json:"transaction_data,omitzero"`
	VerifierInfo    []VerifierInfo   `json:"verifier_info,omitzero"`
	WalletNonce     string           `json:"wallet_nonce,omitzero"`
	Evidence        *EvidenceRequest `json:"dojang_evidence,omitzero"`
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
	Network       string `json:"network"`        // [a-z0-9-]{1,32}
	TrustedHeight int64  `json:"trusted_height"` // the verifier already trusts this header; 0: none
	MaxAge        int64  `json:"max_age"`        // seconds
}

const (
	maxRequestBytes = 256 << 10
	maxNonceBytes   = 512
	maxInfo         = 16
)

// A RequestSigner signs request objects for one client identifier.
type RequestSigner struct {
	Signer keys.Signer
	Kid    string   // DID URL; required for decentralized_identifier
	X5C    [][]byte // leaf first without the anchor, for x509_san_dns and x509_hash
}

// Sign makes an oauth-authz-req+jwt of a request that Validate accepts. aud defaults to AudienceStatic. A client
// identifier that does not belong to the signer's certificate or DID is refused: wallets would terminate.
func (r Request) Sign(s RequestSigner) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	c, err := ParseClientID(r.ClientID)
	if err != nil {
		return "", err
	}
	switch c.Prefix {
	case PrefixX509Hash:
		if len(s.X5C) == 0 || keys.X509Hash(s.X5C[0]) != c.Value {
			return "", errors.New("oid4vp: client identifier is not the hash of the signer's certificate")
		}
	case PrefixX509DNS:
		if len(s.X5C) == 0 {
			return "", errors.New("oid4vp: x509_san_dns needs a certificate chain")
		}
	case PrefixDID:
		if !keyOf(s.Kid, c.Value) {
			return "", errors.New("oid4vp: kid is not a key of the client identifier's DID")
		}
	case PrefixRedirectURI:
		return "", errors.New("oid4vp: a request of a redirect_uri client cannot be signed")
	}
	if r.Audience == "" {
		r.Audience = AudienceStatic
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	return keys.SignJWS(s.Signer, keys.Header{Typ: keys.TypRequestObject, Kid: s.Kid, X5C: s.X5C}, payload)
}

// keyOf reports whether kid is a DID URL of did with a fragment and nothing between.
func keyOf(kid, did string) bool {
	rest, ok := strings.CutPrefix(kid, did+"#")
	return ok && rest != "" && printable(rest)
}

// Validate checks the rules of section 5 that both sides share. Errors: the codes a wallet answers with (8.5).
func (r Request) Validate() error {
	c, err := ParseClientID(r.ClientID)
	if err != nil {
		return err
	}
	if err := r.checkAddress(c); err != nil {
		return err
	}
	return r.checkContent()
}

// checkAddress settles where the answer goes; only then may the wallet answer with an error at all.
func (r Request) checkAddress(c ClientID) error {
	switch {
	case r.ResponseMode != ModeDirectPost && r.ResponseMode != ModeDirectPostJWT:
		return invalid("response_mode is not supported")
	case !isWebURL(r.ResponseURI):
		return invalid("response_uri is missing or malformed")
	}
	return c.checkAddress(r.ResponseURI)
}

func (r Request) checkContent() error {
	switch {
	case r.RedirectURI != "":
		return invalid("redirect_uri must not be used with this response_mode")
	case r.ResponseType == "":
		return invalid("response_type is missing")
	case r.ResponseType != ResponseTypeVPToken:
		return oauth.NewError(oauth.UnsupportedResponseType, "response_type must be vp_token")
	case len(r.Nonce) > maxNonceBytes || !urlSafe(r.Nonce):
		return invalid("nonce is missing or malformed")
	case r.State != "" && (len(r.State) > maxNonceBytes || !urlSafe(r.State)):
		return invalid("state is malformed")
	case len(r.WalletNonce) > maxNonceBytes:
		return invalid("wallet_nonce is too long")
	case r.DCQL != nil && r.Scope != "":
		return invalid("dcql_query and scope exclude each other")
	case r.DCQL == nil && r.Scope != "":
		return oauth.NewError(oauth.InvalidScope, "no scope stands for a query here")
	case r.DCQL == nil:
		return invalid("dcql_query is missing")
	}
	if err := r.DCQL.check(); err != nil {
		return invalid("dcql_query is malformed").WithParent(err)
	}
	unbound := slices.ContainsFunc(r.DCQL.Credentials, func(c CredentialQuery) bool { return !c.HolderBinding() })
	if unbound && r.State == "" {
		return invalid("state is required without holder binding")
	}
	if r.ResponseMode == ModeDirectPostJWT {
		if _, err := EncryptionFor(r.ClientMetadata); err != nil {
			return invalid("client_metadata has no usable encryption key").WithParent(err)
		}
	}
	if err := r.checkInfo(); err != nil {
		return err
	}
	return r.Evidence.check()
}

func (r Request) checkInfo() error {
	if outside(r.VerifierInfo, maxInfo) {
		return invalid("verifier_info is empty or too long")
	}
	for _, v := range r.VerifierInfo {
		if v.Format == "" || len(v.Data) == 0 || outside(v.CredentialIDs, maxCredentials) {
			return invalid("verifier_info is malformed")
		}
		for _, id := range v.CredentialIDs {
			if _, ok := r.DCQL.Find(id); !ok {
				return invalid("verifier_info names an unknown credential")
			}
		}
	}
	return nil
}

func (e *EvidenceRequest) check() error {
	if e != nil && (len(e.Network) > 32 || !onlyIn(e.Network, lower+digits+"-") || e.TrustedHeight < 0 || e.MaxAge <= 0) {
		return invalid("dojang_evidence is malformed")
	}
	return nil
}

func invalid(why string) *oauth.Error { return oauth.NewError(oauth.InvalidRequest, why) }
