package oid4vp

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/dojang-id/dojang/internal/oauth"
)

// A Prefix is a client identifier prefix (5.9.3).
type Prefix string

// The prefixes that exist here; any other is refused with invalid_request.
const (
	PrefixNone        Prefix = "" // pre-registered client
	PrefixRedirectURI Prefix = "redirect_uri"
	PrefixDID         Prefix = "decentralized_identifier"
	PrefixX509DNS     Prefix = "x509_san_dns"
	PrefixX509Hash    Prefix = "x509_hash"
)

// A ClientID is a client_id split at its first colon.
type ClientID struct {
	Prefix Prefix
	Value  string
}

const maxClientID = 512

// ParseClientID reads a full client_id: known prefixes only, the value well-formed for its prefix, at most 512 bytes.
// Without a colon it names a pre-registered client. Error: invalid_request.
func ParseClientID(s string) (ClientID, error) {
	if s == "" || len(s) > maxClientID || !printable(s) {
		return ClientID{}, oauth.NewError(oauth.InvalidRequest, "client_id is missing or malformed")
	}
	before, after, found := strings.Cut(s, ":")
	if !found {
		return ClientID{Value: s}, nil
	}
	c := ClientID{Prefix: Prefix(before), Value: after}
	ok := false
	switch c.Prefix {
	case PrefixRedirectURI:
		ok = isWebURL(after)
	case PrefixDID:
		ok = isDID(after)
	case PrefixX509DNS:
		ok = isDNSName(after)
	case PrefixX509Hash:
		raw, err := base64.RawURLEncoding.Strict().DecodeString(after)
		ok = err == nil && len(raw) == 32
	default:
		return ClientID{}, oauth.NewError(oauth.InvalidRequest, "client identifier prefix is not supported")
	}
	if !ok {
		return ClientID{}, oauth.NewError(oauth.InvalidRequest, "client identifier does not fit its prefix")
	}
	return c, nil
}

// String is the full client_id, as it stands in `aud` of a presentation.
func (c ClientID) String() string {
	if c.Prefix == PrefixNone {
		return c.Value
	}
	return string(c.Prefix) + ":" + c.Value
}

// checkAddress says whether the client may be answered at responseURI (5.9.3, 8.2).
func (c ClientID) checkAddress(responseURI string) error {
	switch c.Prefix {
	case PrefixRedirectURI:
		if responseURI != c.Value {
			return oauth.NewError(oauth.InvalidRequest, "response_uri is not the client identifier")
		}
	case PrefixX509DNS:
		u, err := url.Parse(responseURI)
		if err != nil || !strings.EqualFold(u.Hostname(), c.Value) {
			return oauth.NewError(oauth.InvalidRequest, "response_uri is on another host than the client identifier")
		}
	}
	return nil
}

// isWebURL wants an absolute http or https URL with a host and nothing that could mislead: no user, no fragment.
func isWebURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2048 && printable(s) && (u.Scheme == "https" || u.Scheme == "http") &&
		u.Host != "" && u.Hostname() != "" && u.User == nil && u.Opaque == "" && u.Fragment == "" && !strings.Contains(s, "#")
}

// isAllowedURL is isWebURL where plain http needs the caller's leave.
func isAllowedURL(s string, allowHTTP func(string) bool) bool {
	return isWebURL(s) && (strings.HasPrefix(s, "https:") || allowHTTP != nil && allowHTTP(s))
}

// isDID checks did:<method>:<id> without path, query or fragment (DID Core 3.1).
func isDID(s string) bool {
	parts := strings.SplitN(s, ":", 3)
	return len(parts) == 3 && parts[0] == "did" && onlyIn(parts[1], lower+digits) && onlyIn(parts[2], lower+upper+digits+".-_:%")
}

func isDNSName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !onlyIn(label, lower+upper+digits+"-") || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

func onlyIn(s, alphabet string) bool {
	return s != "" && strings.Trim(s, alphabet) == ""
}

// urlSafe is the alphabet of nonce and state (5.2).
func urlSafe(s string) bool { return onlyIn(s, lower+upper+digits+"-._~") }

// printable is visible ASCII without space.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
