// Package issuer issues credentials for many agencies (tenants) in one process.
//
// A logical credential goes Offered → Authorized → Issued → Suspended | NeedsRenewal | Revoked; each use case is one
// file: offer.go, token.go, nonce.go, credential.go, status.go, publish.go. Start with New, then Recover, then let
// web.New serve it while Run publishes. The tenant is an argument of every call; nothing crosses.
//
// Trusted: the configuration, the store (it keeps what it acknowledged) and the record source. Not trusted: every
// request. What a wallet sends is verified before it is looked up by meaning, and nothing that it says about a person
// is believed: claims come from the agency's record, the holder key from the key proof.
//
// The record-then-sign pipeline, its step names and the invariants I1 to I6 are described in README.md.
package issuer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// Config of an issuer. Zero durations and sizes take the defaults named beside them.
type Config struct {
	// URL is the public base, e.g. "http://localhost:8081": the credential issuer of a tenant is URL + "/" + Tenant.ID.
	URL string
	// StatusHost is the consortium's base for status lists: the URI in credentials is StatusHost/<issuer id>/<list>.
	StatusHost string
	Tenants    []Tenant
	Store      Store
	Records    RecordSource // nil: the store's own table, which imports fill
	// Secret of 32 bytes keys the MACs of transaction codes and seals records and responses. Kept with the keys.
	Secret []byte

	Now    func() time.Time // default time.Now
	Random io.Reader        // default crypto/rand.Reader; must be safe for concurrent use
	Log    *slog.Logger
	// Step is called at every step boundary (README, "Steps"); a kill test ends the process there. nil: nothing.
	Step func(name string)

	OfferTTL   time.Duration // 10 min
	TokenTTL   time.Duration // 10 min
	NonceTTL   time.Duration // 5 min
	Redelivery time.Duration // 10 min: an identical request gets the recorded response so long
	// ExpDays is the technical life of a copy in days, at least 45: 60.
	ExpDays int
	// ListLength is the number of entries of a status list, a multiple of 4: 131072. Below 100,000 the crowd is too
	// small to hide in: only with Development.
	ListLength uint64
	// PublishEvery bounds publications on change: 1 min; 1 s is the least. The first change after a quiet time is
	// published at once.
	PublishEvery time.Duration
	// Heartbeat re-dates the lists when nothing changed: 10 min; next_update is promised 3 heartbeats ahead.
	Heartbeat time.Duration
	// ListLife is the exp of a list's token: 7 days. Verifiers go by status_as_of; exp must outlive their longest age.
	ListLife time.Duration
	// Development allows short lists.
	Development bool
}

// A Tenant is one agency. Keys are its own; nothing of it is shared with another.
type Tenant struct {
	ID           string // path segment, [a-z0-9-]{1,32}
	DID          registry.DID
	Name         schemas.Text
	Authority    string   // issuing_authority of its credentials
	Jurisdiction string   // issuing_jurisdiction, ISO 3166-2; "" leaves it out
	Types        []string // short names in schemas
	Key          keys.Signer
	KeyID        string   // fragment of the DID URL of Key
	X5C          [][]byte // DER, leaf first, without the root
	Anchor       Anchor
	// Chain shows what others published for this tenant: its second status operator, or itself before a database was restored.
	// nil: nobody ever does.
	Chain StatusChain
	// Attestation says what is asked of wallets at the token endpoint.
	Attestation AttestationPolicy
	// WalletKey answers which key may have signed a wallet attestation; nil trusts none.
	WalletKey func(h *keys.Header) (*keys.PublicKey, error)
	// WalletStatus checks the raw `status` claim of an attestation that has one; any error refuses the wallet. nil: an
	// attestation with a status is refused where one is required (fail closed), and proves nothing elsewhere.
	WalletStatus func(ctx context.Context, status []byte) error
}

// AttestationPolicy of a tenant: wallet attestations are verified whenever they are sent.
type AttestationPolicy int

// The policies.
const (
	AttestationOptional AttestationPolicy = iota // anonymous wallets may redeem a pre-authorized code
	AttestationRequired                          // a wallet without an attestation is invalid_client
)

// An Anchor puts a status epoch of one tenant on the chain and returns the height that proves it.
type Anchor interface {
	Anchor(ctx context.Context, epoch registry.StatusEpoch) (height uint64, err error)
}

// Issuer runs the use cases. Safe for concurrent use.
type Issuer struct {
	cfg     Config
	tenants map[string]*tenant
	secrets *secrets
	records RecordSource
	nonces  *nonceRing
	indices *indices
	boards  map[string]*board // by tenant: the status lists as published

	redeemed redeemed
	verdicts verdicts
	programs programKeys
	linkage  linkage

	mu       sync.Mutex                   // guards inflight
	inflight map[requestKey]chan struct{} // identical requests wait for each other
}

// New checks the configuration and refuses one that could issue something wrong.
func New(cfg Config) (*Issuer, error) {
	cfg.setDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	secrets, err := newSecrets(cfg.Secret, cfg.Random)
	if err != nil {
		return nil, err
	}
	is := &Issuer{
		cfg: cfg, tenants: map[string]*tenant{}, secrets: secrets, records: cfg.Records,
		boards: map[string]*board{}, inflight: map[requestKey]chan struct{}{},
	}
	if is.records == nil {
		is.records = tableRecords{store: cfg.Store, secrets: secrets}
	}
	is.nonces = &nonceRing{store: cfg.Store, secrets: secrets, ttl: cfg.NonceTTL, random: cfg.Random}
	is.indices = newIndices(cfg)
	for _, t := range cfg.Tenants {
		x, err := newTenant(t, cfg)
		if err != nil {
			return nil, fmt.Errorf("issuer: tenant %q: %w", t.ID, err)
		}
		if is.tenants[t.ID] != nil {
			return nil, fmt.Errorf("issuer: tenant %q is configured twice", t.ID)
		}
		is.tenants[t.ID], is.boards[t.ID] = x, newBoard()
	}
	return is, nil
}

func (c *Config) setDefaults() {
	c.URL, c.StatusHost = strings.TrimSuffix(c.URL, "/"), strings.TrimSuffix(c.StatusHost, "/")
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Step == nil {
		c.Step = func(string) {}
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&c.OfferTTL, 10 * time.Minute}, {&c.TokenTTL, 10 * time.Minute}, {&c.NonceTTL, 5 * time.Minute}, {&c.Redelivery, 10 * time.Minute},
		{&c.PublishEvery, time.Minute}, {&c.Heartbeat, 10 * time.Minute}, {&c.ListLife, 7 * 24 * time.Hour},
	} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if c.ExpDays == 0 {
		c.ExpDays = 60
	}
	if c.ListLength == 0 {
		c.ListLength = 131072
	}
}

func (c *Config) check() error {
	switch {
	case !isBaseURL(c.URL) || !isBaseURL(c.StatusHost):
		return errors.New("issuer: URL and StatusHost must be absolute http(s) URLs without query")
	case c.Store == nil:
		return errors.New("issuer: Store is required")
	case len(c.Tenants) == 0:
		return errors.New("issuer: at least one tenant is required")
	case c.ExpDays < 45:
		return errors.New("issuer: ExpDays must be at least 45: freshness comes from the status list")
	case c.ListLength%4 != 0 || c.ListLength < 100_000 && !c.Development:
		return errors.New("issuer: ListLength must be a multiple of 4 and at least 100,000")
	case c.OfferTTL < 0 || c.TokenTTL < 0 || c.NonceTTL < 0 || c.Redelivery < 0 || c.PublishEvery < 0 || c.Heartbeat < 0 || c.ListLife < 3*c.Heartbeat:
		return errors.New("issuer: durations must be positive, ListLife at least 3 heartbeats")
	}
	return nil
}

func isBaseURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// step marks a boundary.
func (is *Issuer) step(name string) { is.cfg.Step(name) }

// Answered marks that a credential response was written to the wire: the last boundary of the pipeline.
func (is *Issuer) Answered() { is.step("credential.answered") }

func (is *Issuer) now() time.Time { return is.cfg.Now().UTC() }

// tenant finds a tenant by its exact id.
func (is *Issuer) tenant(id string) (*tenant, error) {
	if t := is.tenants[id]; t != nil {
		return t, nil
	}
	return nil, ErrUnknownTenant
}

// Recover burns the indices of copies that were intended and never recorded, and opens the first status list of each
// tenant. Call it before serving.
func (is *Issuer) Recover(ctx context.Context) error {
	n, err := is.cfg.Store.BurnIntended(ctx)
	if err != nil {
		return fmt.Errorf("burn unfinished copies: %w", err)
	}
	if n > 0 {
		is.cfg.Log.Warn("burned unfinished issuances", "count", n)
	}
	if _, err := is.nonces.keys(ctx, is.now()); err != nil {
		return fmt.Errorf("prepare nonce keys: %w", err)
	}
	if err := is.adoptAll(ctx); err != nil {
		return err
	}
	for id := range is.tenants {
		if err := is.indices.open(ctx, id, is.now()); err != nil {
			return fmt.Errorf("open status list: %w", err)
		}
	}
	return nil
}
