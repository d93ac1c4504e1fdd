package did

import (
	"net/url"
)

// AllowedURI reports whether a service endpoint or the origin of a status host may stand on the chain: https with a
// host, no credentials, no fragment; in a development network also http on loopback.
func AllowedURI(s string, development bool) bool {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Hostname() == "" || u.String() != s {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		switch u.Hostname() {
		case "localhost", "127.0.0.1", "::1":
			return development
		}
	}
	return false
}
