package oid4vci

import (
	"net/url"
	"strings"
)

// CredentialIssuerURL is where the metadata of a credential issuer lies: `/.well-known/openid-credential-issuer` between
// host and path (12.2.2). "" for a malformed identifier.
func CredentialIssuerURL(issuer string) string {
	return wellKnown(issuer, "openid-credential-issuer")
}

// AuthorizationServerURL is RFC 8414 3.1: `/.well-known/oauth-authorization-server` between host and path.
func AuthorizationServerURL(issuer string) string {
	return wellKnown(issuer, "oauth-authorization-server")
}

// wellKnown inserts the suffix; a terminating slash of the path is dropped (RFC 8414 3.1).
func wellKnown(issuer, name string) string {
	if !isIdentifier(issuer) {
		return ""
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return u.Scheme + "://" + u.Host + "/.well-known/" + name + path
}

// isIdentifier is the syntax of 12.2.1: scheme, host, port and path, nothing else. Whether plain http is fine is for
// isAllowed.
func isIdentifier(s string) bool {
	u, err := url.Parse(s)
	return err == nil && plain(s) && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil &&
		u.Opaque == "" && !strings.ContainsAny(s, "?#")
}

// isEndpoint may have a query as well.
func isEndpoint(s string) bool {
	base, _, _ := strings.Cut(s, "?")
	return plain(s) && isIdentifier(base)
}

// isAllowed wants https, or leave for plain http.
func isAllowed(s string, allowHTTP func(string) bool) bool {
	return strings.HasPrefix(s, "https://") || allowHTTP != nil && allowHTTP(s)
}

// plain is visible ASCII of at most 2 KiB, without characters that parsers disagree about.
func plain(s string) bool {
	if len(s) > 2048 || strings.ContainsAny(s, "\\\"<>#") {
		return false
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
