package oid4vp

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/oauth"
)

// WalletMetadata is what a wallet says of itself when it posts to a request_uri (5.10, section 10).
type WalletMetadata struct {
	Issuer                 string                    `json:"issuer,omitzero"`
	VPFormats              map[string]jsontext.Value `json:"vp_formats_supported,omitzero"`
	ClientIDPrefixes       []string                  `json:"client_id_prefixes_supported,omitzero"`
	RequestObjectAlgs      []string                  `json:"request_object_signing_alg_values_supported,omitzero"`
	AuthorizationEncAlgs   []string                  `json:"authorization_encryption_alg_values_supported,omitzero"`
	AuthorizationEncEncs   []string                  `json:"authorization_encryption_enc_values_supported,omitzero"`
	ResponseTypesSupported []string                  `json:"response_types_supported,omitzero"`
	ResponseModesSupported []string                  `json:"response_modes_supported,omitzero"`
	JWKS                   *JWKS                     `json:"jwks,omitzero"`
}

// A RequestURIPost is the body of the wallet's POST.
type RequestURIPost struct {
	Metadata    *WalletMetadata
	WalletNonce string
}

// RequestURILimits bound that body.
var RequestURILimits = oauth.FormLimits{Body: 64 << 10, Fields: 16}

// DecodeRequestURIPost reads the form: wallet_metadata an object of at most 48 KiB with lists of at most 64 short entries,
// wallet_nonce at most 512 printable ASCII characters. Error: invalid_request.
func DecodeRequestURIPost(f oauth.Form) (RequestURIPost, error) { return RequestURIPost{}, errTODO }

// Encode is the wallet's body.
func (p RequestURIPost) Encode() (string, error) { return "", errTODO }
