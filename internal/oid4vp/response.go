package oid4vp

import (
	"encoding/base64"
	"errors"
	"net/url"
	"slices"

	"github.com/go-json-experiment/json"
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

const (
	maxResponseBytes = 2 << 20
	maxPresentations = 16 // for one query id
	maxEvidence      = 32 << 10
	maxErrorCode     = 64
)

// ResponseLimits bound the body of a direct_post.
func ResponseLimits() oauth.FormLimits { return oauth.FormLimits{Body: maxResponseBytes, Fields: 64} }

// ResponseExpect is what a verifier knows when a response arrives.
type ResponseExpect struct {
	Mode  string              // ModeDirectPost or ModeDirectPostJWT, as requested
	Key   *keys.EncryptionKey // of the transaction; direct_post.jwt
	Encs  []string            // as requested; nil: A128GCM
	Query Query
}

// StateOf finds the transaction before anything is decrypted: the `state` field of the form, and the kid of the JWE.
// Both are hints by whoever sent them; either may be "".
func StateOf(f oauth.Form) (state, kid string) {
	if f.Has("response") {
		kid, _ = keys.PeekKid(f.Get("response"))
	}
	return f.Get("state"), kid
}

// wireResponse is the payload of the JWE; the form has the same members.
type wireResponse struct {
	VPToken          jsontext.Value `json:"vp_token,omitzero"`
	State            string         `json:"state,omitzero"`
	Evidence         string         `json:"dojang_evidence,omitzero"`
	Error            string         `json:"error,omitzero"`
	ErrorDescription string         `json:"error_description,omitzero"`
}

// DecodeResponse reads the form. Refused with invalid_request: a plain vp_token where direct_post.jwt was asked for
// (errors may be plain), a JWE where it was not, a JWE for another key, a vp_token that is not an object of non-empty
// arrays, unknown query ids, two presentations where `multiple` is false, two different states, our limits.
// The caller compares State with the transaction.
func DecodeResponse(f oauth.Form, e ResponseExpect) (Response, error) {
	w := wireResponse{
		VPToken: jsontext.Value(f.Get("vp_token")), State: f.Get("state"), Evidence: f.Get("dojang_evidence"),
		Error: f.Get("error"), ErrorDescription: f.Get("error_description"),
	}
	var r Response
	switch {
	case f.Has("response"):
		if e.Mode != ModeDirectPostJWT || len(w.VPToken) > 0 || w.Error != "" || w.Evidence != "" {
			return Response{}, invalid("encrypted response beside plain parameters, or not asked for")
		}
		inner, header, err := e.open(f.Get("response"))
		if err != nil {
			return Response{}, err
		}
		if w.State != "" && inner.State != "" && w.State != inner.State {
			return Response{}, invalid("two different states")
		}
		if inner.State == "" {
			inner.State = w.State
		}
		w, r.Encrypted, r.Header = inner, true, header
	case e.Mode == ModeDirectPostJWT && w.Error == "":
		return Response{}, invalid("response must be encrypted")
	}
	return r.fill(w, e.Query)
}

func (e ResponseExpect) open(jwe string) (wireResponse, keys.JWEHeader, error) {
	encs := e.Encs
	if encs == nil {
		encs = []string{keys.A128GCM} // 5.1: the default
	}
	payload, header, err := keys.Decrypt(e.Key, jwe, keys.ExpectJWE{Encs: encs, MaxBytes: maxResponseBytes})
	if err != nil {
		return wireResponse{}, header, invalid("encrypted response cannot be opened").WithParent(err)
	}
	var w wireResponse
	if err := json.Unmarshal(payload, &w); err != nil {
		return wireResponse{}, header, invalid("encrypted response is malformed").WithParent(err)
	}
	return w, header, nil
}

func (r Response) fill(w wireResponse, q Query) (Response, error) {
	r.State = w.State
	if len(w.State) > maxNonceBytes {
		return Response{}, invalid("state is too long")
	}
	if w.Error != "" {
		if len(w.VPToken) > 0 || len(w.Error) > maxErrorCode || !printable(w.Error) {
			return Response{}, invalid("error response is malformed")
		}
		r.Error = oauth.NewError(oauth.Code(w.Error), w.ErrorDescription[:min(len(w.ErrorDescription), maxNonceBytes)])
		return r, nil
	}
	var err error
	if r.VPToken, err = DecodeVPToken(w.VPToken, q); err != nil {
		return Response{}, err
	}
	if w.Evidence != "" {
		if base64.RawURLEncoding.DecodedLen(len(w.Evidence)) > maxEvidence {
			return Response{}, invalid("dojang_evidence is too large")
		}
		if r.Evidence, err = base64.RawURLEncoding.Strict().DecodeString(w.Evidence); err != nil {
			return Response{}, invalid("dojang_evidence is not base64url").WithParent(err)
		}
	}
	return r, nil
}

// DecodeVPToken reads the JSON of a vp_token: an object whose names are ids of the query and whose values are non-empty
// arrays of strings or objects, one element unless `multiple`. Error: invalid_request.
func DecodeVPToken(data []byte, q Query) (VPToken, error) {
	if len(data) > maxResponseBytes || jsontext.Value(data).Kind() != '{' {
		return nil, invalid("vp_token is not an object")
	}
	var t VPToken
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, invalid("vp_token is not an object of arrays").WithParent(err)
	}
	if len(t) == 0 {
		return nil, invalid("vp_token is empty")
	}
	for id, list := range t {
		c, ok := q.Find(id)
		if !ok || len(list) == 0 || len(list) > maxPresentations || len(list) > 1 && !c.Multiple {
			return nil, invalid("vp_token has an unknown id, or not one presentation for an id")
		}
		for _, p := range list {
			if s, isString := PresentationString(p); p.Kind() != '{' && (!isString || s == "") {
				return nil, invalid("presentation is neither a string nor an object")
			}
		}
	}
	return t, nil
}

// StringPresentation wraps a presentation that is a string.
func StringPresentation(s string) jsontext.Value {
	v, _ := jsontext.AppendQuote(nil, s) // fails for invalid UTF-8 only: the presentation is ASCII
	return v
}

// PresentationString is the presentation when it is a JSON string.
func PresentationString(v jsontext.Value) (string, bool) {
	var s string
	if v.Kind() != '"' || json.Unmarshal(v, &s) != nil {
		return "", false
	}
	return s, true
}

// Encode makes the form body for a request's response mode, encrypted to one of its keys where asked for. The state is
// the request's. An error goes out plain when it cannot be encrypted (8.3.1).
func (r Response) Encode(req Request) (string, error) {
	w := wireResponse{State: req.State}
	if r.Error != nil {
		w.Error, w.ErrorDescription = string(r.Error.Code), r.Error.Description
	} else {
		token, err := json.Marshal(r.VPToken, json.Deterministic(true))
		if err != nil {
			return "", err
		}
		w.VPToken = token
		if r.Evidence != nil {
			w.Evidence = base64.RawURLEncoding.EncodeToString(r.Evidence)
		}
	}
	if req.ResponseMode != ModeDirectPostJWT {
		return w.form(), nil
	}
	enc, err := EncryptionFor(req.ClientMetadata)
	if err != nil && r.Error != nil {
		return w.form(), nil
	}
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	jwe, err := keys.Encrypt(payload, enc)
	if err != nil {
		return "", err
	}
	return url.Values{"response": {jwe}}.Encode(), nil
}

func (w wireResponse) form() string {
	q := url.Values{}
	for name, value := range map[string]string{
		"vp_token": string(w.VPToken), "state": w.State, "dojang_evidence": w.Evidence,
		"error": w.Error, "error_description": w.ErrorDescription,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q.Encode()
}

// EncryptionFor picks recipient and content encryption of a request (8.3): its first key for ECDH-ES on P-256, and the
// first listed enc that exists here; A128GCM when none is listed.
func EncryptionFor(m *ClientMetadata) (keys.Encryption, error) {
	if m == nil || m.JWKS == nil {
		return keys.Encryption{}, errors.New("oid4vp: no encryption key in the request")
	}
	enc := keys.A128GCM
	if m.EncryptedEncValues != nil {
		i := slices.IndexFunc(m.EncryptedEncValues, func(e string) bool { return e == keys.A128GCM || e == keys.A256GCM })
		if i < 0 {
			return keys.Encryption{}, errors.New("oid4vp: no content encryption in common")
		}
		enc = m.EncryptedEncValues[i]
	}
	set, err := json.Marshal(m.JWKS)
	if err != nil {
		return keys.Encryption{}, err
	}
	parsed, err := keys.ParseJWKS(set)
	if err != nil {
		return keys.Encryption{}, err
	}
	recipients := parsed.Recipients()
	if len(recipients) == 0 {
		return keys.Encryption{}, errors.New("oid4vp: no usable encryption key in the request")
	}
	return keys.Encryption{To: recipients[0], Enc: enc}, nil
}

// A PostAnswer is what the verifier's response endpoint returns to the wallet (8.2).
type PostAnswer struct {
	RedirectURI string `json:"redirect_uri,omitzero"` // with a fresh response_code
}

const maxPostAnswer = 16 << 10

// DecodePostAnswer is the wallet's side: an absolute https (or allowed) URL or nothing. At most 16 KiB.
func DecodePostAnswer(body []byte, allowHTTP func(url string) bool) (PostAnswer, error) {
	var a PostAnswer
	if len(body) > maxPostAnswer || json.Unmarshal(body, &a) != nil {
		return PostAnswer{}, errors.New("oid4vp: answer to the response is malformed")
	}
	if a.RedirectURI == "" {
		return a, nil
	}
	u, err := url.Parse(a.RedirectURI) // unlike response_uri this one may carry its secret in the fragment
	if err != nil {
		return PostAnswer{}, errors.New("oid4vp: redirect_uri is malformed")
	}
	u.Fragment, u.RawFragment = "", ""
	if !isAllowedURL(u.String(), allowHTTP) {
		return PostAnswer{}, errors.New("oid4vp: redirect_uri is not an https URL")
	}
	return a, nil
}

// ResponseCodeURL adds a response_code to the query of a redirect target (13.3).
func ResponseCodeURL(target, code string) (string, error) {
	if !isWebURL(target) || !urlSafe(code) {
		return "", errors.New("oid4vp: redirect target is not a web URL, or the code is malformed")
	}
	return joinQuery(target, "response_code="+code)
}
