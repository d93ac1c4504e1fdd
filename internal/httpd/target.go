package httpd

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Ranges of IPv4 that are not the public internet (IANA special-purpose registry), and of the global unicast space of
// IPv6 that lead into IPv4 or to nobody. All of IPv6 outside of 2000::/3 is refused: loopback, ULA, link-local,
// v4-mapped, NAT64, multicast.
var (
	deniedIPv4 = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")
	globalIPv6 = netip.MustParsePrefix("2000::/3")
	deniedIPv6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// public tells whether an address is one that strangers may name to us (THREATS G06).
func public(a netip.Addr) bool {
	denied := deniedIPv6
	switch {
	case !a.IsValid() || a.Zone() != "":
		return false
	case a.Is4():
		denied = deniedIPv4
	case !globalIPv6.Contains(a): // v4-mapped addresses too: nobody needs them on the wire
		return false
	}
	for _, p := range denied {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// checkURL accepts https URLs of public names or addresses on port 443 or 8443, and URLs of the listed origins.
// local tells which.
func (c *Client) checkURL(raw string) (u *url.URL, local bool, err error) {
	if len(raw) > 2048 {
		return nil, false, fmt.Errorf("%w: URL is too long", ErrForbiddenTarget)
	}
	u, err = url.Parse(raw)
	switch {
	case err != nil:
		return nil, false, fmt.Errorf("%w: malformed URL", ErrForbiddenTarget)
	case u.User != nil || u.Opaque != "" || u.Host == "":
		return nil, false, fmt.Errorf("%w: URL with user, without host, or opaque", ErrForbiddenTarget)
	case c.origins[u.Scheme+"://"+u.Host]:
		return u, true, nil
	case u.Scheme != "https":
		return nil, false, fmt.Errorf("%w: not https", ErrForbiddenTarget)
	case u.Port() != "" && u.Port() != "443" && u.Port() != "8443":
		return nil, false, fmt.Errorf("%w: port", ErrForbiddenTarget)
	case !publicHost(u.Hostname()):
		return nil, false, fmt.Errorf("%w: host", ErrForbiddenTarget)
	}
	return u, false, nil
}

// publicHost accepts canonical addresses that are public and names of at least two labels in ASCII, the last of which is
// not numeric: resolvers read "2130706433", "0177.0.0.1" and "0x7f.1" as addresses.
func publicHost(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return public(a)
	}
	labels := strings.Split(host, ".")
	if len(host) > 253 || len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.ContainsFunc(l, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	switch {
	case last[0] >= '0' && last[0] <= '9':
		return false
	case last == "localhost" || last == "local" || last == "internal":
		return false
	}
	return true
}

// loopbackOrigin checks an entry of ClientConfig.Origins: http, loopback, a port, nothing else.
func loopbackOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" || u.Port() == "" || u.Scheme+"://"+u.Host != origin || u.User != nil {
		return fmt.Errorf("httpd: origin must be http://host:port")
	}
	if u.Hostname() == "localhost" {
		return nil
	}
	if a, err := netip.ParseAddr(u.Hostname()); err != nil || !a.IsLoopback() {
		return fmt.Errorf("httpd: plain http is for loopback origins only")
	}
	return nil
}

// loopbackAddresses of a listed origin's host, without asking a resolver.
func loopbackAddresses(host string) []netip.Addr {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
}

// controlPublic and controlLoopback look at the address that is really dialled, whatever led to it.
func controlPublic(a netip.AddrPort) bool   { return public(a.Addr()) && allowedPort(a.Port()) }
func controlLoopback(a netip.AddrPort) bool { return a.Addr().Unmap().IsLoopback() }

func allowedPort(p uint16) bool { return p == 443 || p == 8443 }

func splitTarget(address string) (host string, port uint16, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := net.LookupPort("tcp", p)
	return host, uint16(n), err
}
