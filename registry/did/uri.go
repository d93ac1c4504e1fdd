package did

import (
	"strconv"
	"strings"
)

// AllowedURI reports whether a service endpoint or the origin of a status host may stand on the chain: https with a
// host, no credentials, no fragment; in a development network also http on loopback.
//
// It is a grammar of its own and not net/url's, which every release of Go may change: two validators built with two of them
// would disagree on an operation, and the chain would stand.
func AllowedURI(s string, development bool) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return false
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	host, ok := cutPort(rest[:end])
	if !ok || !allowedHost(host) || !allowedPath(rest[end:]) {
		return false
	}
	switch host {
	case "localhost", "127.0.0.1", "[::1]":
		return scheme == "https" || development
	}
	return scheme == "https"
}

func cutPort(authority string) (host string, ok bool) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, true
	}
	_, err := strconv.ParseUint(authority[i+1:], 10, 16)
	return authority[:i], err == nil
}

// allowedHost: a name or an IPv4 address; of IPv6 this machine only, services have names.
func allowedHost(host string) bool {
	return host == "[::1]" || len(host) <= 253 && only(host, alphanumeric+"-.")
}

// allowedPath: of RFC 3986 section 3.3 and 3.4, percent-encoding whole.
func allowedPath(path string) bool {
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '%':
			if len(path) < i+3 || !only(path[i+1:i+3], "0123456789abcdefABCDEF") {
				return false
			}
		case !only(path[i:i+1], alphanumeric+"-._~!$&'()*+,;=:@/?"):
			return false
		}
	}
	return true
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func only(s, alphabet string) bool { return s != "" && strings.Trim(s, alphabet) == "" }
