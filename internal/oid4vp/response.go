package oid4vp

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// A VPToken maps query ids to presentations: strings (SD-JWT, base64url DeviceResponse, JWT) or objects (ldp_vc).
type VPToken map[string][]jsontext.Value

// A Response is what a wallet answers: a VP token or an error.
type Response struct {
	VPToken  VPToken
	State    string
	Evidence []byte       // `dojang_evidence`, CBOR; nil: absent
	Error    *oauth.Error // error response; VPToken is nil then
	// Encrypted reports whether it came inside a JWE, Header which one.
	Encrypted bool
	Header    keys.JWEHeader
}

// ResponseLimits bound the body of a direct_post.
var ResponseLimits = oauth.FormLimits{Body: 2 << 20, Fields: 64}

// ResponseExpect is what a verifier knows when a response arrives.
type ResponseExpect struct {
	Mode  string              // ModeDirectPost or ModeDirectPostJWT, as requested
	Key   *keys.EncryptionKey // of the transaction; direct_post.jwt
	Encs  []string            // as requested; nil: A128GCM
	Query Query
}

// StateOf finds the transaction before anything is decrypted: the `state` field of the form, or the kid of the JWE.
func StateOf(f oauth.Form) (state, kid string) { return "", "" }

// DecodeResponse reads the form. Refused with invalid_request: a plain vp_token where direct_post.jwt was asked for
// (errors may be plain), a JWE for another key, a vp_token that is not an object of non-empty arrays, unknown query ids,
// two presentations where `multiple` is false, our limits.
func DecodeResponse(f oauth.Form, e ResponseExpect) (Response, error) { return Response{}, errTODO }

// DecodeVPToken reads the JSON of a vp_token by the same rules.
func DecodeVPToken(data []byte, q Query) (VPToken, error) { return nil, errTODO }

// StringPresentation wraps a presentation that is a string.
func StringPresentation(s string) jsontext.Value { return nil }

// PresentationString is the presentation when it is a JSON string.
func PresentationString(v jsontext.Value) (string, bool) { return "", false }

// Encode makes the form body for a request's response mode, encrypted to one of its keys where asked for.
func (r Response) Encode(req Request) (string, error) { return "", errTODO }

// EncryptionFor picks the recipient and content encryption of a request: the first usable key with alg ECDH-ES.
func EncryptionFor(m *ClientMetadata) (keys.Encryption, error) { return keys.Encryption{}, errTODO }

// A PostAnswer is what the verifier's response endpoint returns to the wallet (8.2).
type PostAnswer struct {
	RedirectURI string `json:"redirect_uri,omitzero"` // with a fresh response_code
}

// DecodePostAnswer is the wallet's side: an absolute https (or allowed) URL or nothing. At most 16 KiB.
func DecodePostAnswer(body []byte, allowHTTP func(url string) bool) (PostAnswer, error) {
	return PostAnswer{}, errTODO
}

// ResponseCodeURL adds a response_code to a redirect target.
func ResponseCodeURL(target, code string) (string, error) { return "", errTODO }
