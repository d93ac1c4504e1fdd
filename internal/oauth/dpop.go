package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
)

// HeaderDPoP carries a proof, HeaderDPoPNonce the server's next nonce.
const (
	HeaderDPoP      = "DPoP"
	HeaderDPoPNonce = "DPoP-Nonce"
)

// proofWindow is how far a proof's iat may lie from now, either way: clocks of phones differ by seconds.
const proofWindow = time.Minute

// maxProofBytes bounds a DPoP proof and an attestation's proof of possession; maxTokenID a jti, nonce or challenge in it.
const (
	maxProofBytes = 8 << 10
	maxTokenID    = 512
)

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

type dpopClaims struct {
	JTI   string         `json:"jti"`
	HTM   string         `json:"htm"`
	HTU   string         `json:"htu"`
	IAT   jsontext.Value `json:"iat"`
	ATH   string         `json:"ath,omitzero"`
	Nonce string         `json:"nonce,omitzero"`
}

// VerifyDPoP checks the DPoP header of a request: exactly one, typ dpop+jwt, key in the header, htm, htu (query and
// fragment ignored, host case-insensitive, default port dropped), iat within a minute, jti, ath, nonce, replay last.
// Errors: invalid_dpop_proof, use_dpop_nonce (add a fresh DPoP-Nonce header with WithHeader), server_error.
func VerifyDPoP(h http.Header, e DPoPExpect) (DPoP, error) {
	values := h.Values(HeaderDPoP)
	if len(values) != 1 {
		return DPoP{}, e.refuse("exactly one DPoP header is required", nil)
	}
	key, c, err := openDPoP(values[0])
	if err != nil {
		return DPoP{}, e.refuse("proof is not acceptable", err)
	}
	iat, err := keys.ParseNumericDate(c.IAT)
	if err != nil {
		return DPoP{}, e.refuse("iat is missing or malformed", err)
	}
	if err := e.checkClaims(c, iat); err != nil {
		return DPoP{}, err
	}
	if e.Thumbprint != "" && !sameText(e.Thumbprint, key.Thumbprint()) {
		return DPoP{}, e.refuse("proof is signed by another key", nil)
	}
	if e.CheckNonce != nil {
		if err := e.CheckNonce(c.Nonce); err != nil {
			return DPoP{}, e.at(NewError(UseDPoPNonce, "a fresh nonce is required").WithParent(err))
		}
	}
	fresh, err := e.FirstUse(replayID(key.Thumbprint(), c.JTI), iat.Add(2*proofWindow))
	if err != nil {
		return DPoP{}, NewError(ServerError, "internal error").WithParent(err)
	}
	if !fresh {
		return DPoP{}, e.refuse("proof was used before", nil)
	}
	return DPoP{Key: key, IssuedAt: iat}, nil
}

// openDPoP parses, takes the key from the header and verifies with it: possession, not identity.
func openDPoP(proof string) (*keys.PublicKey, dpopClaims, error) {
	var c dpopClaims
	j, err := keys.ParseJWS(proof, keys.Expect{Typ: keys.TypDPoP, MaxBytes: maxProofBytes})
	if err != nil {
		return nil, c, err
	}
	hd := j.Header()
	if hd.JWK == nil || hd.X5C != nil || hd.Kid != "" {
		return nil, c, errors.New("proof needs jwk and no other key reference")
	}
	payload, err := j.Verify(hd.JWK)
	if err != nil {
		return nil, c, err
	}
	return hd.JWK, c, json.Unmarshal(payload, &c)
}

func (e DPoPExpect) checkClaims(c dpopClaims, iat time.Time) error {
	switch {
	case c.JTI == "" || len(c.JTI) > maxTokenID:
		return e.refuse("jti is missing or too long", nil)
	case c.HTM != e.Method:
		return e.refuse("htm does not match", nil)
	case !sameTarget(c.HTU, e.URL):
		return e.refuse("htu does not match", nil)
	case iat.Before(e.Now.Add(-proofWindow)) || iat.After(e.Now.Add(proofWindow)):
		return e.refuse("iat is outside of the accepted window", nil)
	case e.AccessToken != "" && !sameText(c.ATH, tokenHash(e.AccessToken)):
		return e.refuse("ath does not match", nil)
	}
	return nil
}

func (e DPoPExpect) refuse(why string, parent error) error {
	return e.at(NewError(InvalidDPoPProof, why).WithParent(parent))
}

// at sets the status of the place: 401 at a resource, 400 at the token endpoint.
func (e DPoPExpect) at(err *Error) *Error {
	if e.AccessToken != "" {
		return err.WithStatus(http.StatusUnauthorized)
	}
	return err
}

// VerifyAccess checks a presented token against what it is bound to (jkt, "" for a bearer token): a bound token sent as
// Bearer or without a proof, or an unbound one sent as DPoP, is invalid_token; a bound one needs a good proof.
func VerifyAccess(h http.Header, t AccessToken, jkt string, e DPoPExpect) error {
	bound := jkt != ""
	if bound != (t.Scheme == SchemeDPoP) {
		return NewError(InvalidToken, "token is used with the wrong scheme")
	}
	if !bound {
		return nil
	}
	if len(h.Values(HeaderDPoP)) == 0 {
		return NewError(InvalidToken, "token needs a DPoP proof")
	}
	e.AccessToken, e.Thumbprint = t.Token, jkt
	_, err := VerifyDPoP(h, e)
	return err
}

// DPoPRequest is what a wallet proves.
type DPoPRequest struct {
	Method, URL string
	AccessToken string // "" at the token endpoint
	Nonce       string // the server's last DPoP-Nonce, "" at first
	JTI         string // 128 random bits or more, base64url
	Now         time.Time
}

// BuildDPoP makes the value of the DPoP header.
func BuildDPoP(s keys.Signer, r DPoPRequest) (string, error) {
	target, ok := normalTarget(r.URL)
	if !ok || r.JTI == "" {
		return "", errors.New("oauth: DPoP needs an absolute http URL and a jti")
	}
	c := dpopClaims{JTI: r.JTI, HTM: r.Method, HTU: target, IAT: numericDate(r.Now), Nonce: r.Nonce}
	if r.AccessToken != "" {
		c.ATH = tokenHash(r.AccessToken)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return keys.SignJWS(s, keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}, payload)
}

func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// replayID names a proof by key and decoded jti, so that a re-encoded copy is still a replay.
func replayID(thumbprint, jti string) string {
	sum := sha256.Sum256([]byte(thumbprint + "\x00" + jti))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func sameTarget(htu, want string) bool {
	a, okA := normalTarget(htu)
	b, okB := normalTarget(want)
	return okA && okB && a == b
}

// normalTarget applies RFC 3986 6.2.2 and 6.2.3 as far as RFC 9449 4.3 asks: case of scheme and host, default port,
// empty path; query and fragment are cut off.
func normalTarget(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}
