package httpd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrForbiddenTarget: the URL or the address behind it is not one we fetch (THREATS G06–G08); nothing was sent.
	ErrForbiddenTarget = errors.New("httpd: target is not allowed")
	// ErrTooLarge: the answer is longer than the caller's limit, after decompression.
	ErrTooLarge = errors.New("httpd: answer is too large")
	// ErrUnreachable: no complete answer in time.
	ErrUnreachable = errors.New("httpd: target is unreachable")
)

// ClientConfig of the hardened client.
type ClientConfig struct {
	// Origins are exact http origins on loopback ("http://localhost:8080") that may be fetched without TLS.
	Origins []string
	// Timeout of a whole request with its redirects and body, default 5 s.
	Timeout time.Duration
	// MaxBody after decompression, default 1 MiB.
	MaxBody int64
	// Redirects followed for GET and checked again, without the caller's headers; default 0, at most 3.
	Redirects int
	// Roots that TLS accepts; nil: the system's.
	Roots *x509.CertPool
	// Lookup resolves names; default net.DefaultResolver. Tests rebind with it.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Client fetches what others name: https on ports 443 and 8443, public addresses only, no proxies, no redirects unless
// asked, bounded in time and size. Safe for concurrent use.
type Client struct {
	cfg     ClientConfig
	origins map[string]bool
	public  *http.Transport
	local   *http.Transport
	// dial is net.Dialer's; tests watch it.
	dial func(ctx context.Context, d *net.Dialer, address string) (net.Conn, error)
}

// NewClient refuses origins that are not http on loopback.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = DefaultBody
	}
	if cfg.Timeout < 0 || cfg.MaxBody < 0 || cfg.Redirects < 0 || cfg.Redirects > 3 {
		return nil, errors.New("httpd: client limits are out of range")
	}
	if cfg.Lookup == nil {
		cfg.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	c := &Client{cfg: cfg, origins: map[string]bool{}}
	for _, o := range cfg.Origins {
		if err := loopbackOrigin(o); err != nil {
			return nil, err
		}
		c.origins[o] = true
	}
	c.dial = func(ctx context.Context, d *net.Dialer, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	}
	c.public = c.transport(c.dialPublic)
	c.local = c.transport(c.dialLocal)
	return c, nil
}

func (c *Client) transport(dial func(context.Context, string, string) (net.Conn, error)) *http.Transport {
	t := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.cfg.Roots},
		TLSHandshakeTimeout:    c.cfg.Timeout,
		ResponseHeaderTimeout:  c.cfg.Timeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConns:           64, MaxIdleConnsPerHost: 16, IdleConnTimeout: 30 * time.Second,
		Protocols: new(http.Protocols), // no HTTP/2: frame-level tricks buy us nothing (THREATS G09)
	}
	t.Protocols.SetHTTP1(true)
	return t // Proxy is nil: the environment names no proxy for us
}

// dialPublic resolves once and dials the addresses that it has checked: a second answer of the resolver has no effect
// (THREATS G07). One forbidden address spoils the name.
func (c *Client) dialPublic(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := splitTarget(address)
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else if addrs, err = c.cfg.Lookup(ctx, host); err != nil {
		return nil, err
	}
	for i := range addrs {
		if addrs[i].Is4In6() {
			addrs[i] = addrs[i].Unmap() // resolvers write IPv4 so
		}
		if !public(addrs[i]) {
			return nil, fmt.Errorf("%w: address", ErrForbiddenTarget)
		}
	}
	return c.dialAny(ctx, addrs, port, controlPublic)
}

func (c *Client) dialLocal(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := splitTarget(address)
	if err != nil {
		return nil, err
	}
	return c.dialAny(ctx, loopbackAddresses(host), port, controlLoopback)
}

// dialAny tries up to four addresses in order.
func (c *Client) dialAny(ctx context.Context, addrs []netip.Addr, port uint16, allowed func(netip.AddrPort) bool) (net.Conn, error) {
	d := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(address); err != nil || !allowed(a) {
			return fmt.Errorf("%w: address", ErrForbiddenTarget)
		}
		return nil
	}}
	var last error = &net.DNSError{Err: "no address", IsNotFound: true}
	for _, a := range addrs[:min(4, len(addrs))] {
		conn, err := c.dial(ctx, d, netip.AddrPortFrom(a, port).String())
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// Request to send. Method "" is GET.
type Request struct {
	Method  string
	URL     string
	Header  http.Header
	Body    []byte
	MaxBody int64 // of the answer; 0: the client's
}

// Response read to its end. Status is what the server said; no status is an error here.
type Response struct {
	Status      int
	Header      http.Header
	ContentType string // media type without parameters, lower case; "" if absent or malformed
	Body        []byte
}

// Do sends req. Errors wrap ErrForbiddenTarget, ErrTooLarge or ErrUnreachable; they name no URL.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if req.Method == "" {
		req.Method = http.MethodGet
	}
	if req.MaxBody <= 0 {
		req.MaxBody = c.cfg.MaxBody
	}
	for hop := 0; ; hop++ {
		res, next, err := c.once(ctx, req)
		if err != nil || next == "" || hop == c.cfg.Redirects || req.Method != http.MethodGet {
			return res, err
		}
		// Whatever authorised us at the first host is nobody else's business (THREATS G08).
		req.URL, req.Header = next, http.Header{"Accept": req.Header["Accept"]}
	}
}

// once sends one request and returns where a redirect leads.
func (c *Client) once(ctx context.Context, req Request) (res *Response, next string, err error) {
	u, local, err := c.checkURL(req.URL)
	if err != nil {
		return nil, "", err
	}
	u.Fragment = ""
	r, err := http.NewRequestWithContext(ctx, req.Method, u.String(), bytes.NewReader(req.Body))
	if err != nil {
		return nil, "", fmt.Errorf("%w: malformed request", ErrForbiddenTarget)
	}
	for name, values := range req.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set("User-Agent", "dojang")
	r.Header.Del("Accept-Encoding") // the transport asks for gzip, and undoes it before the limit below counts
	transport := c.public
	if local {
		transport = c.local
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, "", unreachable(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }() // read to its end, or given up
	body, err := io.ReadAll(io.LimitReader(answer.Body, req.MaxBody+1))
	switch {
	case int64(len(body)) > req.MaxBody:
		return nil, "", ErrTooLarge
	case err != nil:
		return nil, "", unreachable(ctx, err)
	}
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil {
		media = ""
	}
	return &Response{Status: answer.StatusCode, Header: answer.Header, ContentType: media, Body: body}, redirect(u, answer), nil
}

func redirect(from *url.URL, answer *http.Response) string {
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		if to, err := from.Parse(answer.Header.Get("Location")); err == nil {
			return to.String()
		}
	}
	return ""
}

// unreachable hides the library's text, which quotes the URL; the cause stays inspectable for ErrForbiddenTarget and
// the caller's own cancellation.
func unreachable(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrForbiddenTarget):
		return fmt.Errorf("%w: address", ErrForbiddenTarget)
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: timeout", ErrUnreachable)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: connection refused", ErrUnreachable)
	}
	return ErrUnreachable
}

// Get is Do for a plain fetch; a status other than 200 is ErrUnreachable.
func (c *Client) Get(ctx context.Context, url string) (*Response, error) {
	res, err := c.Do(ctx, Request{URL: url})
	if err == nil && res.Status != http.StatusOK {
		return nil, fmt.Errorf("%w: status %d", ErrUnreachable, res.Status)
	}
	return res, err
}

// CloseIdle gives back kept connections, for instance before a test counts them.
func (c *Client) CloseIdle() { c.public.CloseIdleConnections(); c.local.CloseIdleConnections() }

// Negative remembers failures for a while, so that a dead or hostile target costs one attempt a period (THREATS A25).
// The zero value is ready. Safe for concurrent use.
type Negative struct {
	TTL time.Duration // default 30 s
	Max int           // default 1024 keys

	mu     sync.Mutex
	failed map[string]failure // guarded by mu
}

type failure struct {
	err   error
	until time.Time
}

// Check returns the remembered failure of key at now, or nil.
func (n *Negative) Check(key string, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok := n.failed[key]
	if ok && !now.Before(f.until) {
		delete(n.failed, key)
		return nil
	}
	return f.err
}

// Add remembers err; nil forgets the key.
func (n *Negative) Add(key string, err error, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		delete(n.failed, key)
		return
	}
	ttl, limit := n.TTL, n.Max
	if ttl <= 0 {
		ttl = 30 * time.Second
	}
	if limit <= 0 {
		limit = 1024
	}
	if n.failed == nil {
		n.failed = map[string]failure{}
	}
	for k, f := range n.failed {
		if len(n.failed) < limit {
			break
		}
		if !now.Before(f.until) || len(n.failed) >= limit {
			delete(n.failed, k) // any one: forgetting costs one attempt
		}
	}
	n.failed[key] = failure{err, now.Add(ttl)}
}
