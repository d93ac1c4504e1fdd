package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
)

// Challenge is the S256 code_challenge of a verifier (RFC 7636 4.2). "plain" does not exist here.
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// CheckVerifier compares a code_verifier with the challenge of the authorization request, in constant time.
// invalid_grant for a wrong one or one outside of 43 to 128 unreserved characters.
func CheckVerifier(challenge, verifier string) error {
	if !isVerifier(verifier) || subtle.ConstantTimeCompare([]byte(Challenge(verifier)), []byte(challenge)) != 1 {
		return NewError(InvalidGrant, "code verifier does not match")
	}
	return nil
}

// CheckChallenge accepts S256 alone: invalid_request for a missing challenge, another method or a malformed value.
func CheckChallenge(challenge, method string) error {
	if method != "S256" || len(challenge) != 43 {
		return NewError(InvalidRequest, "code challenge with method S256 is required")
	}
	if _, err := base64.RawURLEncoding.Strict().DecodeString(challenge); err != nil {
		return NewError(InvalidRequest, "code challenge is malformed")
	}
	return nil
}

func isVerifier(s string) bool {
	if len(s) < 43 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if !unreserved(s[i]) {
			return false
		}
	}
	return true
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// unescaped is "" for a bad escape.
func unescaped(s string) string {
	out, err := url.QueryUnescape(s)
	if err != nil {
		return ""
	}
	return out
}
