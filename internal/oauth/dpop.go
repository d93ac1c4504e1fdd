package oauth

import (
	"errors"
	"net/http"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

var errTODO = errors.New("oauth: not built yet")

// DPoPExpect says what a DPoP proof must match (RFC 9449 4.3).
type DPoPExpect struct {
	Method string // of the request
	URL    string // the endpoint's configured public URL, never taken from request headers
	Now    time.Time
	// AccessToken demands `ath` over it: set at resources, empty at the token endpoint. Failures are then 401 instead of 400.
	AccessToken string
	// Thumbprint is the key that the token or code is bound to (jkt); "" accepts any key.
	Thumbprint string
	// CheckNonce judges the server nonce; nil means that none is demanded. Any error becomes use_dpop_nonce.
	CheckNonce func(nonce string) error
	// FirstUse records the proof until its window ends and reports whether it was new. Required.
	FirstUse func(id string, until time.Time) (bool, error)
}

// A DPoP is a verified proof.
type DPoP struct {
	Key      *keys.PublicKey // its Thumbprint is the jkt that a token gets bound to
	IssuedAt time.Time
}

// VerifyDPoP checks the DPoP header of a request: exactly one, typ dpop+jwt, key in the header, htm, htu (query and
// fragment ignored, host case-insensitive, default port dropped), iat within a minute, jti, ath, nonce, replay last.
// Errors: invalid_dpop_proof, use_dpop_nonce (add a fresh DPoP-Nonce header with WithHeader), server_error.
func VerifyDPoP(h http.Header, e DPoPExpect) (DPoP, error) { return DPoP{}, errTODO }

// VerifyAccess checks a presented token against what it is bound to (jkt, "" for a bearer token): a bound token sent as
// Bearer, or an unbound one sent as DPoP, is invalid_token; a bound one needs a good proof.
func VerifyAccess(h http.Header, t AccessToken, jkt string, e DPoPExpect) error { return errTODO }

// DPoPRequest is what a wallet proves.
type DPoPRequest struct {
	Method, URL string
	AccessToken string // "" at the token endpoint
	Nonce       string // the server's last DPoP-Nonce, "" at first
	JTI         string // 128 random bits or more, base64url
	Now         time.Time
}

// BuildDPoP makes the value of the DPoP header.
func BuildDPoP(s keys.Signer, r DPoPRequest) (string, error) { return "", errTODO }
