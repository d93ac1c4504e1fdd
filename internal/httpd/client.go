package httpd

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
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
	// Timeout of a whole request with its body, default 5 s.
	Timeout time.Duration
	// MaxBody after decompression, default 1 MiB.
	MaxBody int64
	// Redirects followed and checked again, without credentials; default 0, at most 3.
	Redirects int
	// Lookup resolves names; default net.DefaultResolver. Tests rebind with it.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Client fetches what others name: https only, public addresses only, no proxies, no redirects unless asked, bounded
// in time and size. Safe for concurrent use.
type Client struct{}

// NewClient refuses origins that are not http on loopback.
func NewClient(cfg ClientConfig) (*Client, error) { return nil, errTODO }

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

// Do sends req. Errors wrap ErrForbiddenTarget, ErrTooLarge or ErrUnreachable, and name the host at most.
func (c *Client) Do(ctx context.Context, req Request) (*Response, error) { return nil, errTODO }

// Get is Do for a plain fetch; a status other than 200 is ErrUnreachable.
func (c *Client) Get(ctx context.Context, url string) (*Response, error) { return nil, errTODO }

// Negative remembers failures for a while, so that a dead or hostile target costs one attempt a period. Bounded.
type Negative struct {
	TTL time.Duration // default 30 s
	Max int           // default 1024 keys
}

// Check returns the remembered failure of key at now, or nil.
func (n *Negative) Check(key string, now time.Time) error { return nil }

// Add remembers err; nil forgets the key.
func (n *Negative) Add(key string, err error, now time.Time) {}
