// Package holder is the wallet's engine: it receives credentials over OpenID4VCI 1.0 and presents them over OpenID4VP 1.0.
//
// Use New, then Offer and Receive, List, Consent and Present, and Refresh on a schedule. It is what `dojang wallet` runs; any other OpenID4VC wallet
// works as well.
//
// What is trusted: the registry's Evidence (checked by the Resolver that is passed in) and this machine. Not trusted: the
// issuer (everything is checked before it is stored), the verifier (who it is and what it may ask comes from the registry),
// the network. A copy is shown to one verifier only and is marked as used durably before anything leaves.
package holder

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/registry"
)

// What a person or a screen acts on.
var (
	// ErrOffer: the offer or the issuer's metadata cannot be used.
	ErrOffer = errors.New("holder: the offer cannot be used")
	// ErrTxCode: the issuer refused the code that came by the second channel, or one is missing.
	ErrTxCode = errors.New("holder: the transaction code is missing or wrong")
	// ErrRefused: the issuer or the verifier answered with an error.
	ErrRefused = errors.New("holder: the other side refused")
	// ErrGone: the offer or request is not there (any more): used, withdrawn, or its time is over. Also an ErrRefused.
	ErrGone = fmt.Errorf("%w: it was used, withdrawn, or its time is over", ErrRefused)
	// ErrUntrusted: what was received does not hold; nothing was stored.
	ErrUntrusted = errors.New("holder: the credential does not hold")
	// ErrRequest: the presentation request cannot be trusted; nothing was sent.
	ErrRequest = errors.New("holder: the request cannot be trusted")
	// ErrUnregistered: the verifier is not registered for this purpose; nothing was sent.
	ErrUnregistered = errors.New("holder: the verifier is not registered")
	// ErrRegistry: what is at hand of the registry proves nothing now (its trusting period is over, its proof does not
	// hold, the clock is wrong): who the other side is cannot be said, neither yes nor no. Nothing was sent or stored.
	ErrRegistry = errors.New("holder: the registry's proof cannot be trusted")
	// ErrOverask: the request names items outside of the registration, or items nobody may ask for; nothing was sent.
	ErrOverask = errors.New("holder: OVERASK_REFUSED")
	// ErrLegalBasis: an item needs a legal basis that the registration does not carry; nothing was sent.
	ErrLegalBasis = errors.New("holder: LEGAL_BASIS_REQUIRED")
	// ErrNothingFits: no stored credential answers the request.
	ErrNothingFits = errors.New("holder: no stored credential answers the request")
	// ErrNoCopies: every copy has been shown to another verifier; receive new ones.
	ErrNoCopies = errors.New("holder: no unused copy is left")
	// ErrUnreachable: the other side, or the registry where nothing of it is at hand, did not answer.
	ErrUnreachable = errors.New("holder: the other side cannot be reached")
)

// unknown is err when the registry did not answer the question; otherwise what its answer means.
func unknown(err, meaning error) error {
	switch {
	case errors.Is(err, registry.ErrUnavailable):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, registry.ErrUntrusted):
		return fmt.Errorf("%w: %w", ErrRegistry, err)
	}
	return fmt.Errorf("%w: %w", meaning, err)
}

//go:embed migrations/*.sql
var migrations embed.FS

// An EvidenceSource gives Evidence to staple: the issuer's key and accreditation, and its status epoch,
// all at one height. registry/light is one.
type EvidenceSource interface {
	StatusEvidence(ctx context.Context, did registry.DID, kid, vct string) ([]byte, error)
}

// Config of a wallet.
type Config struct {
	DB *sqldb.DB
	// Secret seals tokens, keys and history at rest: 32 bytes, kept outside of the database.
	Secret []byte
	// HTTP must follow no redirects (httpd.ClientConfig.Redirects 0, the default): a verifier could lead us elsewhere (D48).
	HTTP     *httpd.Client
	Registry registry.Resolver
	Status   registry.StatusSource
	// Evidence is needed to answer requests for stapled Evidence; nil: none is sent.
	Evidence EvidenceSource
	// Provider is the URL of the wallet provider that attests this wallet to issuers; "": none, issuers see an anonymous one.
	Provider string
	// AllowHTTP says which plain-http URLs are tolerated (exact loopback origins of the configuration); nil: none.
	AllowHTTP func(url string) bool
	// AllowUnregistered lets verifiers ask that the registry does not know. For conformance tools only.
	AllowUnregistered bool
	// Language of labels, "ko" or "en".
	Language string
	Now      func() time.Time
	Random   io.Reader
}

// A Holder is one person's wallet. Safe for concurrent use.
type Holder struct {
	cfg  Config
	db   *sqldb.DB
	seal sealer
}

// New opens the wallet and migrates its store.
func New(ctx context.Context, cfg Config) (*Holder, error) {
	if cfg.DB == nil || cfg.HTTP == nil || cfg.Registry == nil {
		return nil, errors.New("holder: a database, an HTTP client and a registry are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.AllowHTTP == nil {
		cfg.AllowHTTP = func(string) bool { return false }
	}
	seal, err := newSealer(cfg.Secret, cfg.Random)
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := cfg.DB.Migrate(ctx, "wallet", files); err != nil {
		return nil, err
	}
	return &Holder{cfg: cfg, db: cfg.DB, seal: seal}, nil
}
