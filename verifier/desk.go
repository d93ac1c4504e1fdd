package verifier

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// A Client is one company on a desk: a tenant. Nothing crosses from one to another.
type Client struct {
	Tenant      string            // [a-z0-9-]{1,32}
	BaseURL     string            // public, without a trailing slash; request and response URIs lie below it
	Name        map[string]string // language tag -> organisation
	DID         registry.DID
	KeyID       string        // fragment of the authentication key
	Signer      crypto.Signer // of request objects and receipts: P-256 or Ed25519
	Chain       [][]byte      // x5c: leaf first, without the root; nil: decentralized_identifier only
	DNS         string        // SAN DNS name for x509_san_dns; "": the host of BaseURL
	Policies    []string      // names it may use; nil: all
	RedirectURI []string      // exact URLs that a wallet may be sent back to
}

// DeskConfig of a Desk.
type DeskConfig struct {
	Verifier *Verifier
	Store    Store
	Clients  []Client
	Policies []*Policy
	Registry registry.Resolver // for the clients' own registrations; nil: the Verifier's
	// SealKey (32 bytes) encrypts transaction secrets and results at rest.
	SealKey []byte
	// Network and TrustedHeight go into dojang_evidence. Network "": no Evidence is asked for; TrustedHeight nil: 0.
	Network       string
	TrustedHeight func() uint64
	// Alone: no other process writes to Store, so what this desk remembers as pending is. The zero value asks the Store.
	Alone     bool
	Now       func() time.Time  // default time.Now
	Random    io.Reader         // default crypto/rand
	Step      func(name string) // kill tests; nil: nothing
	ResultTTL time.Duration     // of claims after the end, default 1 h
	Retention time.Duration     // of rows after the end, default 30 days
}

// The lives of a request (DOMAIN 4.5, THREATS D34).
const (
	RequestTTL     = 3 * time.Minute
	CrossDeviceTTL = 2 * time.Minute
)

// A Desk runs transactions for its clients. Safe for concurrent use.
type Desk struct {
	cfg      DeskConfig
	clients  map[string]*client
	policies map[string]*Policy
	seal     *sealer
	registry registry.Resolver
	under    *pending
}

// client is a Client with what is derived from it once.
type client struct {
	Client
	signer    keys.Signer       // of request objects: a faulty one is refused by the wallet
	record    keys.Signer       // of receipts: verified before they leave the house
	clientIDs map[string]string // prefix -> full client_id
}

// NewDesk checks the whole configuration and opens nothing.
func NewDesk(cfg DeskConfig) (*Desk, error) {
	if cfg.Verifier == nil || cfg.Store == nil {
		return nil, errors.New("verifier: DeskConfig needs Verifier and Store")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Step == nil {
		cfg.Step = func(string) {}
	}
	if cfg.ResultTTL == 0 {
		cfg.ResultTTL = time.Hour
	}
	if cfg.Retention == 0 {
		cfg.Retention = 30 * 24 * time.Hour
	}
	seal, err := newSealer(cfg.SealKey, cfg.Random)
	if err != nil {
		return nil, err
	}
	d := &Desk{cfg: cfg, clients: map[string]*client{}, policies: map[string]*Policy{}, seal: seal, under: newPending()}
	d.registry = cfg.Verifier.own
	if cfg.Registry != nil {
		d.registry = newMemory(cfg.Registry)
	}
	for _, p := range cfg.Policies {
		if d.policies[p.Name()] != nil {
			return nil, fmt.Errorf("verifier: policy %q twice", p.Name())
		}
		d.policies[p.Name()] = p
	}
	for _, c := range cfg.Clients {
		if d.clients[c.Tenant] != nil {
			return nil, fmt.Errorf("verifier: tenant %q twice", c.Tenant)
		}
		if d.clients[c.Tenant], err = newClient(c); err != nil {
			return nil, fmt.Errorf("verifier: tenant %q: %w", c.Tenant, err)
		}
	}
	return d, nil
}

func newClient(c Client) (*client, error) {
	base, err := url.Parse(c.BaseURL)
	switch {
	case !tenantName(c.Tenant):
		return nil, errors.New("tenant name is not [a-z0-9-]{1,32}")
	case err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || strings.HasSuffix(c.BaseURL, "/"):
		return nil, errors.New("BaseURL is not an absolute URL without a trailing slash")
	case c.Signer == nil:
		return nil, errors.New("a Signer is required")
	}
	if _, err := registry.ParseDID(string(c.DID)); err != nil {
		return nil, fmt.Errorf("DID: %w", err)
	}
	signer, err := keys.NewSigner(c.Signer)
	if err != nil {
		return nil, fmt.Errorf("open signer: %w", err)
	}
	if c.DNS == "" {
		c.DNS = base.Hostname()
	}
	out := &client{Client: c, signer: signer, record: keys.Checked(signer), clientIDs: map[string]string{
		"decentralized_identifier": "decentralized_identifier:" + string(c.DID),
	}}
	return out, out.certified()
}

// certified derives the X.509 client identifiers; a certificate that no wallet would take is refused at start.
func (c *client) certified() error {
	if len(c.Chain) == 0 {
		return nil
	}
	leaf, err := x509.ParseCertificate(c.Chain[0])
	if err != nil {
		return fmt.Errorf("read certificate: %w", err)
	}
	key, err := keys.NewPublicKey(leaf.PublicKey)
	if err != nil || !key.Equal(c.signer.Public()) {
		return errors.New("certificate is not that of the signer")
	}
	c.clientIDs["x509_hash"] = "x509_hash:" + keys.X509Hash(c.Chain[0])
	if slices.Contains(leaf.DNSNames, c.DNS) {
		c.clientIDs["x509_san_dns"] = "x509_san_dns:" + c.DNS
	}
	return nil
}

func tenantName(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// client finds a tenant; ErrNotFound for a stranger, like everything else that is not theirs.
func (d *Desk) client(tenant string) (*client, error) {
	c, ok := d.clients[tenant]
	if !ok {
		return nil, ErrNotFound
	}
	return c, nil
}

// Clients are the tenants in order of configuration.
func (d *Desk) Clients() []Client { return d.cfg.Clients }

// Policies are those that the tenant may use, by name in order of configuration.
func (d *Desk) Policies(tenant string) ([]*Policy, error) {
	c, err := d.client(tenant)
	if err != nil {
		return nil, err
	}
	var out []*Policy
	for _, p := range d.cfg.Policies {
		if c.may(p.Name()) {
			out = append(out, p)
		}
	}
	return out, nil
}

func (c *client) may(policy string) bool {
	return c.Policies == nil || slices.Contains(c.Policies, policy)
}
