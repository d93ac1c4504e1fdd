package oauth

import (
	"net/http"
	"strings"
)

// A Scheme is the authentication scheme of an access token, and the value of token_type.
type Scheme string

// The two schemes; comparison on the wire is case-insensitive (RFC 9110 11.1), we keep these spellings.
const (
	SchemeBearer Scheme = "Bearer"
	SchemeDPoP   Scheme = "DPoP"
)

// An AccessToken as it came in the Authorization header.
type AccessToken struct {
	Scheme Scheme
	Token  string
}

// maxAuthorization bounds the Authorization header before anything looks at it.
const maxAuthorization = 8 << 10

// ParseAccessToken reads the Authorization header: exactly one, Bearer or DPoP, a b64token of at most 8 KiB.
// All failures are invalid_token (401); a token in the query is refused with invalid_request even beside a good header;
// the body is never read (RFC 6750 2, FAPI 2.0 5.3.4).
func ParseAccessToken(r *http.Request) (AccessToken, error) {
	if queryNames(r.URL.RawQuery, "access_token") {
		return AccessToken{}, NewError(InvalidRequest, "access token must not be in the query")
	}
	values := r.Header.Values("Authorization")
	if len(values) != 1 || len(values[0]) > maxAuthorization {
		return AccessToken{}, NewError(InvalidToken, "one Authorization header with an access token is required")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !ok || !isB64Token(token) {
		return AccessToken{}, NewError(InvalidToken, "Authorization header is malformed")
	}
	if known, ok := ParseScheme(scheme); ok {
		return AccessToken{Scheme: known, Token: token}, nil
	}
	return AccessToken{}, NewError(InvalidToken, "authorization scheme is not accepted")
}

// Header is the value of the Authorization header, for wallets.
func (t AccessToken) Header() string { return string(t.Scheme) + " " + t.Token }

// isB64Token checks 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" (RFC 6750 2.1).
func isB64Token(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for i := range len(body) {
		c := body[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return true
}

// queryNames reports whether the raw query uses name, in any percent-encoding, without building a map of it.
func queryNames(raw, name string) bool {
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if len(key) <= 3*len(name) && unescaped(key) == name {
			return true
		}
	}
	return false
}

// ParseScheme reads a token_type or an authorization scheme in any case.
func ParseScheme(s string) (Scheme, bool) {
	switch {
	case strings.EqualFold(s, string(SchemeBearer)):
		return SchemeBearer, true
	case strings.EqualFold(s, string(SchemeDPoP)):
		return SchemeDPoP, true
	}
	return "", false
}
