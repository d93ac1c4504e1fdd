// Package verifier judges presentations and keeps the transactions in which they arrive.
//
// Two faces. A library: New, then (*Verifier).Judge with a Submission, a Policy and what is expected of it; no store, no
// HTTP. A desk: NewDesk, then Request → Retrieve → Submit → Result over a Store, one use case a file; verifier/web puts
// HTTP around it.
//
// Trusted: the Config (registry resolver, roots, policies, clock). Everything of a presentation, the wallet's Evidence
// included, is untrusted until a check named in DESIGN 6 has passed. Claims are readable on a Judgement only, and there
// only when the decision is Confirmed.
package verifier

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Config of a Verifier.
type Config struct {
	// Network whose DIDs this verifier knows, e.g. Trust.Network: a credential of any other is ISSUER_UNTRUSTED, since its
	// issuer is named by nothing here. "": Registry tells (offline: on hold, nobody has denied it).
	Network string
	// Registry answers who is who from Evidence that it has checked itself; nil: nothing is known but what wallets staple
	// (an offline check), and Staples is required.
	Registry registry.Resolver
	// Status fetches status lists from registry nodes. nil: stapled Evidence and the status host only.
	Status registry.StatusSource
	// StatusHost fetches a list once from the consortium's host that the accreditation names, when no node answers;
	// nil: never. It must be a hardened client (https or listed loopback origins, no redirects elsewhere, limits).
	StatusHost func(ctx context.Context, uri, mediaType string) ([]byte, error)
	// Staples checks Evidence that a wallet stapled; nil ignores what wallets staple.
	Staples func(evidence []byte, now time.Time) (Staple, error)
	// Roots are the X.509 roots that may certify issuers; only those that an accreditation records count.
	Roots []*x509.Certificate
	// FetchTimeout of one status list at presentation, default 3 s.
	FetchTimeout time.Duration
	// MaxLists kept in memory, default 1024.
	MaxLists int
}

// A Staple is Evidence that was checked, as the facts it proves; *evidence.Facts is one.
type Staple interface {
	registry.Resolver
	// Status is the holder's own chunk of a status list, not yet held against an epoch; nil: there is none.
	Status() *evidence.Status
}

// Staples makes Config.Staples of a Checker.
func Staples(c evidence.Checker) func(evidence []byte, now time.Time) (Staple, error) {
	return func(data []byte, now time.Time) (Staple, error) { return c.Check(data, now) }
}

// A Verifier judges. Safe for concurrent use.
type Verifier struct {
	cfg   Config
	roots map[[32]byte]*x509.Certificate // by SHA-256 of the DER, as accreditations record them
	own   *memory
	keys  *keyCache
	lists *lists
}

// New refuses a Config with neither a registry nor staples.
func New(cfg Config) (*Verifier, error) {
	if cfg.Registry == nil {
		if cfg.Staples == nil {
			return nil, errors.New("verifier: Config.Registry or Config.Staples is required")
		}
		cfg.Registry = nowhere{}
	}
	if cfg.FetchTimeout == 0 {
		cfg.FetchTimeout = 3 * time.Second
	}
	if cfg.MaxLists == 0 {
		cfg.MaxLists = 1024
	}
	v := &Verifier{cfg: cfg, roots: make(map[[32]byte]*x509.Certificate), keys: newKeyCache(), own: newMemory(cfg.Registry)}
	for _, root := range cfg.Roots {
		v.roots[sha256.Sum256(root.Raw)] = root
	}
	var err error
	if v.lists, err = newLists(v); err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return v, nil
}
