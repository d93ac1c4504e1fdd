package httpd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
)

// watched is a client whose dialled addresses are counted instead of reached.
func watched(t *testing.T, answers ...[]netip.Addr) (c *Client, dialled *[]string, lookups *atomic.Int32) {
	t.Helper()
	lookups, dialled = &atomic.Int32{}, &[]string{}
	c, err := NewClient(ClientConfig{Origins: []string{"http://localhost:8080"},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			i := min(int(lookups.Add(1))-1, len(answers)-1)
			if i < 0 {
				return nil, &net.DNSError{IsNotFound: true}
			}
			return answers[i], nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	c.dial = func(_ context.Context, d *net.Dialer, address string) (net.Conn, error) {
		if err := d.Control("tcp", address, nil); err != nil {
			return nil, err
		}
		*dialled = append(*dialled, address)
		return nil, errors.New("watched")
	}
	return c, dialled, lookups
}

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// No URL or name leads to an address that is not public; nothing is dialled.
func TestForbiddenTargets(t *testing.T) {
	urls := []string{
		"https://127.0.0.1/", "https://[::1]/", "https://0.0.0.0/", "https://[::]/", "https://10.1.2.3/", "https://172.31.0.1/",
		"https://192.168.0.1/", "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://198.18.0.1/",
		"https://224.0.0.1/", "https://255.255.255.255/", "https://[fd00::1]/", "https://[fe80::1]/", "https://[fe80::1%25eth0]/",
		"https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:8.8.8.8]/",
		"https://[2002:7f00:1::]/", "https://[2001::1]/", "https://[ff02::1]/", "https://[::127.0.0.1]/",
		"https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://a.localhost/", "https://metadata.internal/",
		"https://2130706433/", "https://0177.0.0.1/", "https://0x7f.0.0.1/", "https://0x7f000001/", "https://127.1/", "https://127.0.0.1./",
		"https://example.com@127.0.0.1/", "https://user:pass@example.com/", "https://example.com:22/", "https://example.com:6379/",
		"https://example.com:5432/", "https://example.com:80/", "http://example.com/", "http://localhost:8081/", "http://127.0.0.1:8080/",
		"http://localhost.:8080/", "http://localhost:8080@example.com/", "http://user@localhost:8080/", "https://localhost:8080/",
		"gopher://example.com/", "file:///etc/passwd", "ftp://example.com/", "HTTPS:example.com", "//example.com/", "/etc/passwd", "",
		"https:///x", "https://exa mple.com/", "https://ex\u0430mple.com/", "https://intranet/", "https://example.com\r\nHost: x/", "https://%31%32%37.0.0.1/",
	}
	for _, u := range urls {
		t.Run("G06 "+u, func(t *testing.T) {
			c, dialled, lookups := watched(t, addrs("8.8.8.8"))
			res, err := c.Get(t.Context(), u)
			if !errors.Is(err, ErrForbiddenTarget) || res != nil {
				t.Errorf("got %v", err)
			}
			if len(*dialled) != 0 || lookups.Load() != 0 {
				t.Errorf("dialled %v, %d lookups", *dialled, lookups.Load())
			}
		})
	}
	for _, answer := range []string{"127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00::1", "0.0.0.0"} {
		t.Run("G06 name that resolves to "+answer, func(t *testing.T) {
			c, dialled, _ := watched(t, addrs(answer))
			if _, err := c.Get(t.Context(), "https://rebind.example/"); !errors.Is(err, ErrForbiddenTarget) {
				t.Errorf("got %v", err)
			}
			c2, dialled2, _ := watched(t, addrs("8.8.8.8", answer))
			if _, err := c2.Get(t.Context(), "https://rebind.example/"); !errors.Is(err, ErrForbiddenTarget) {
				t.Errorf("one of two: %v", err)
			}
			if len(*dialled)+len(*dialled2) != 0 {
				t.Errorf("dialled %v %v", *dialled, *dialled2)
			}
		})
	}
	t.Run("G07 public first, then loopback", func(t *testing.T) {
		c, dialled, lookups := watched(t, addrs("8.8.8.8"), addrs("127.0.0.1"))
		if _, err := c.Get(t.Context(), "https://rebind.example/"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("got %v", err)
		}
		if len(*dialled) != 1 || (*dialled)[0] != "8.8.8.8:443" || lookups.Load() != 1 {
			t.Errorf("dialled %v after %d lookups", *dialled, lookups.Load())
		}
		if _, err := c.Get(t.Context(), "https://rebind.example/"); !errors.Is(err, ErrForbiddenTarget) || len(*dialled) != 1 {
			t.Errorf("second time: %v, %v", err, *dialled)
		}
	})
	t.Run("G07 the dialled address is what counts", func(t *testing.T) {
		for _, a := range []string{"127.0.0.1:443", "[::ffff:10.0.0.1]:443", "8.8.8.8:22", "[fe80::1%eth0]:443"} {
			if controlPublic(netip.MustParseAddrPort(a)) {
				t.Errorf("%s is let through", a)
			}
		}
		for _, a := range []string{"8.8.8.8:443", "[2606:4700::1111]:443", "8.8.8.8:8443"} {
			if !controlPublic(netip.MustParseAddrPort(a)) {
				t.Errorf("%s is refused", a)
			}
		}
		for _, a := range []string{"8.8.8.8:80", "10.0.0.1:80"} {
			if controlLoopback(netip.MustParseAddrPort(a)) {
				t.Errorf("%s counts as loopback", a)
			}
		}
	})
}

func TestPublicTargets(t *testing.T) {
	for u, want := range map[string]string{"https://example.com/x?y#z": "8.8.8.8:443", "https://EXAMPLE.com:8443/": "8.8.8.8:8443",
		"https://9.9.9.9/": "9.9.9.9:443", "https://[2606:4700::1111]/": "[2606:4700::1111]:443", "https://xn--o39a.example/": "8.8.8.8:443"} {
		c, dialled, _ := watched(t, addrs("::ffff:8.8.8.8")) // resolvers write IPv4 so
		if _, err := c.Get(t.Context(), u); !errors.Is(err, ErrUnreachable) || len(*dialled) != 1 || (*dialled)[0] != want {
			t.Errorf("%s: %v, dialled %v", u, err, *dialled)
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, o := range []string{"http://example.com:80", "http://10.0.0.1:80", "https://localhost:8080", "http://localhost", "http://localhost:8080/",
		"http://user@localhost:8080", "localhost:8080", "http://localhost.:8080", ""} {
		if _, err := NewClient(ClientConfig{Origins: []string{o}}); err == nil {
			t.Errorf("%q accepted", o)
		}
	}
	for _, cfg := range []ClientConfig{{Timeout: -1}, {MaxBody: -1}, {Redirects: 4}, {Redirects: -1}} {
		if _, err := NewClient(cfg); err == nil {
			t.Errorf("%+v accepted", cfg)
		}
	}
}

// Whatever is accepted as a public host is never an address that is not public, for the strictest and the laxest reader.
func FuzzPublicHost(f *testing.F) {
	for _, s := range []string{"example.com", "127.0.0.1", "0x7f.1", "1.2.3.4.", "::1", "a..b", "-", "xn--a.b", "localhost"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !publicHost(host) {
			return
		}
		if a, err := netip.ParseAddr(host); err == nil {
			if !public(a) {
				t.Fatalf("%s is accepted", host)
			}
			return
		}
		if last := host[len(host)-1]; last == '.' {
			t.Fatalf("%q is accepted", host)
		}
	})
}
