package oid4vp

import (
	"net/url"

	"github.com/go-json-experiment/json"
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

const (
	maxWalletMetadata = 48 << 10
	maxMetadataList   = 64
	maxMetadataWord   = 128
	maxFormats        = 32
	maxFormatBytes    = 4 << 10
)

// RequestURILimits bound that body.
func RequestURILimits() oauth.FormLimits { return oauth.FormLimits{Body: 64 << 10, Fields: 16} }

// DecodeRequestURIPost reads the form: wallet_metadata an object of at most 48 KiB with lists of at most 64 short entries,
// wallet_nonce at most 512 visible ASCII characters, to be echoed inside the signed request object and nowhere else.
// Error: invalid_request.
func DecodeRequestURIPost(f oauth.Form) (RequestURIPost, error) {
	p := RequestURIPost{WalletNonce: f.Get("wallet_nonce")}
	if len(p.WalletNonce) > maxNonceBytes || !printable(p.WalletNonce) {
		return RequestURIPost{}, invalid("wallet_nonce is too long or not printable")
	}
	raw := f.Get("wallet_metadata")
	if raw == "" {
		return p, nil
	}
	if len(raw) > maxWalletMetadata {
		return RequestURIPost{}, invalid("wallet_metadata is too large")
	}
	p.Metadata = new(WalletMetadata)
	if err := json.Unmarshal([]byte(raw), p.Metadata); err != nil || raw[0] != '{' {
		return RequestURIPost{}, invalid("wallet_metadata is malformed").WithParent(err)
	}
	if !p.Metadata.plausible() {
		return RequestURIPost{}, invalid("wallet_metadata is out of bounds")
	}
	return p, nil
}

func (m *WalletMetadata) plausible() bool {
	for _, list := range [][]string{m.ClientIDPrefixes, m.RequestObjectAlgs, m.AuthorizationEncAlgs,
		m.AuthorizationEncEncs, m.ResponseTypesSupported, m.ResponseModesSupported} {
		if outside(list, maxMetadataList) || tooLong(list, maxMetadataList, maxMetadataWord) {
			return false
		}
	}
	if len(m.VPFormats) > maxFormats || len(m.Issuer) > 2048 || m.JWKS != nil && len(m.JWKS.Keys) > maxFormats {
		return false
	}
	for name, value := range m.VPFormats {
		if name == "" || len(name) > maxMetadataWord || len(value) > maxFormatBytes || value.Kind() != '{' {
			return false
		}
	}
	return true
}

// Encode is the wallet's body.
func (p RequestURIPost) Encode() (string, error) {
	q := url.Values{}
	if p.Metadata != nil {
		raw, err := json.Marshal(p.Metadata)
		if err != nil {
			return "", err
		}
		q.Set("wallet_metadata", string(raw))
	}
	if p.WalletNonce != "" {
		q.Set("wallet_nonce", p.WalletNonce)
	}
	return q.Encode(), nil
}
