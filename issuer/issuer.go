// Package issuer issues credentials for many agencies (tenants) in one process.
//
// A logical credential goes Offered → Authorized → Issued → Suspended | NeedsRenewal | Revoked; each use case is one
// file: offer.go, token.go, nonce.go, credential.go, status.go, publish.go. Start with New, then Recover, then let
// web.New serve it. The tenant is an argument of every call; nothing crosses.
//
// Trusted: the configuration, the store (it keeps what it acknowledged) and the record source. Not trusted: every
// request. What a wallet sends is verified before it is looked up by meaning, and nothing that it says about a person
// is believed: claims come from the agency's record, the holder key from the key proof.
//
// The record-then-sign pipeline, its step names and the invariants I1 to I6 are described in README.md.
package issuer

import (
	"context"
	"errors"
	"io"
	"log/slog"
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
	Records    RecordSource
	// Secret of 32 bytes keys the MACs of transaction codes and seals recorded responses and records. Kept with the keys.
	Secret []byte

	Now    func() time.Time
	Random io.Reader // default crypto/rand.Reader
	Log    *slog.Logger
	// Step is called at every step boundary (README, "Steps"); a kill test ends the process there. nil: nothing.
	Step func(name string)

	OfferTTL   time.Duration // 10 min
	TokenTTL   time.Duration // 10 min
	NonceTTL   time.Duration // 5 min
	Redelivery time.Duration // 10 min: an identical request gets the recorded response so long
	// ExpDays is the technical life of a copy in days, at least 45: 60.
	ExpDays int
	// ListLength is the number of entries of a status list, at least 100,000 outside of tests: 131072.
	ListLength uint64
	// PublishEvery bounds publications on change: 1 min. The first change after a quiet time is published at once.
	PublishEvery time.Duration
	// Heartbeat re-dates the lists when nothing changed: 10 min. NextUpdate is promised 3 heartbeats ahead.
	Heartbeat time.Duration
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
	// Attestation says what is asked of wallets at the token endpoint.
	Attestation AttestationPolicy
	// WalletKey answers which key may have signed a wallet attestation; nil trusts none.
	WalletKey func(h *keys.Header) (*keys.PublicKey, error)
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
	cfg Config
}

var errTODO = errors.New("issuer: not built yet")

// New checks the configuration and refuses one that could issue something wrong.
func New(cfg Config) (*Issuer, error) { return nil, errTODO }

// Recover burns the indices of copies that were intended and never recorded, and resumes unfinished publications. Call
// it before serving.
func (is *Issuer) Recover(ctx context.Context) error { return errTODO }

// Run publishes status lists on change and as a heartbeat until ctx ends.
func (is *Issuer) Run(ctx context.Context) error { return errTODO }
