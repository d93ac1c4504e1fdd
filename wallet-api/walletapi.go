// Package walletapi is a wallet provider's backend, as far as wallet attestations need one: it enrols devices and attests
// wallet instances towards issuers. It is blind: it never sees a credential, an issuer's name or a person's.
//
// Use New, then Challenge, Enrol and Attest; web puts HTTP around them.
//
// Trusted: the configuration and the store. A device is trusted to hold the key it proves, nothing more: every key is
// attested as software, whatever a device says of itself.
package walletapi

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/sqldb"
)

// What a caller acts on.
var (
	// ErrProof: the proof is malformed, for somebody else, or not by the key that it names.
	ErrProof = errors.New("walletapi: the proof does not hold")
	// ErrChallenge: not ours, too old, or used before.
	ErrChallenge = errors.New("walletapi: the challenge is not good")
	// ErrUnknown: no such instance.
	ErrUnknown = errors.New("walletapi: no such instance")
	// ErrRevoked: the instance was revoked; it gets nothing any more.
	ErrRevoked = errors.New("walletapi: the instance is revoked")
	// ErrTooMany: the instance has had its attestations of the day.
	ErrTooMany = errors.New("walletapi: too many attestations today")
)

// The typ of what a wallet sends us.
const (
	TypEnrolment = "dojang-enrolment+jwt" // by the instance key, in jwk: {aud, challenge, iat, platform}
	TypRequest   = "dojang-attest+jwt"    // by the instance key, kid = its thumbprint: {aud, challenge, iat, key: <TypKey>}
	TypKey       = "dojang-key+jwt"       // by the fresh key, in jwk: {aud, challenge, iat}
)

const (
	challengeTTL   = 5 * time.Minute
	attestationTTL = 24 * time.Hour // the most that THREATS I07 leaves
	maxPerDay      = 200
	clockSkew      = time.Minute
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config of a provider.
type Config struct {
	URL        string // public base: the audience of proofs
	ClientID   string // of the wallet product: one for all instances, so that it links nobody
	WalletName string
	Signer     keys.Signer // attestation key
	Kid        string      // DID URL of Signer
	X5C        [][]byte    // leaf first, without the root
	DB         *sqldb.DB
	Secret     []byte // 32 bytes: challenges
	Now        func() time.Time
	Random     io.Reader
}

// A Provider enrols and attests. Safe for concurrent use.
type Provider struct{ cfg Config }

// New migrates the store.
func New(ctx context.Context, cfg Config) (*Provider, error) {
	if cfg.DB == nil || cfg.Signer == nil || cfg.URL == "" || cfg.ClientID == "" || len(cfg.Secret) < 32 {
		return nil, errors.New("walletapi: URL, client id, signer, secret and database are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := cfg.DB.Migrate(ctx, "wallet-api", files); err != nil {
		return nil, err
	}
	return &Provider{cfg}, nil
}

// ClientID is the product's client identifier, the same for every instance.
func (p *Provider) ClientID() string { return p.cfg.ClientID }

func (p *Provider) nonceKey() keys.NonceKey { return keys.NonceKey{ID: 1, Secret: p.cfg.Secret} }

var challengeScope = keys.NonceScope{Tenant: "wallet-api", Purpose: "challenge"}

// Challenge makes a value that one proof may carry within five minutes. Nothing is stored before it is used.
func (p *Provider) Challenge() (string, error) {
	return keys.MintNonce(p.nonceKey(), challengeScope, p.cfg.Now(), p.cfg.Random)
}

// useChallenge burns a challenge; two callers never both succeed (I04).
func (p *Provider) useChallenge(tx *sqldb.Tx, id []byte) error {
	now := p.cfg.Now()
	if _, err := tx.Exec(`DELETE FROM challenge_used WHERE expires < ?`, now); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO challenge_used (id, expires) VALUES (?, ?) ON CONFLICT (id) DO NOTHING`, id, now.Add(challengeTTL+clockSkew))
	if err == nil && n != 1 {
		return ErrChallenge
	}
	return err
}

// claims of every proof.
type claims struct {
	Audience  string `json:"aud"`
	Challenge string `json:"challenge"`
	IssuedAt  int64  `json:"iat"`
	Platform  string `json:"platform"`
	Key       string `json:"key"`
}

// open verifies a proof's signature and what it says; id is the challenge's, not yet burnt.
func (p *Provider) open(jwt, typ string, key func(h *keys.Header) (*keys.PublicKey, error)) (c claims, id []byte, signer *keys.PublicKey, err error) {
	jws, err := keys.ParseJWS(jwt, keys.Expect{Typ: typ, Algs: []string{keys.ES256}, MaxBytes: 8 << 10})
	if err != nil {
		return c, nil, nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if signer, err = key(jws.Header()); err != nil {
		return c, nil, nil, err
	}
	payload, err := jws.Verify(signer)
	if err != nil {
		return c, nil, nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	now := p.cfg.Now()
	if err := json.Unmarshal(payload, &c); err != nil || c.Audience != p.cfg.URL || len(c.Platform) > 64 ||
		time.Unix(c.IssuedAt, 0).Sub(now).Abs() > challengeTTL+clockSkew {
		return c, nil, nil, ErrProof
	}
	id, err = keys.CheckNonce([]keys.NonceKey{p.nonceKey()}, challengeScope, c.Challenge, keys.NonceWindow{Now: now, MaxAge: challengeTTL})
	if err != nil {
		return c, nil, nil, ErrChallenge
	}
	return c, id, signer, nil
}

// ownKey takes the key out of the header that it signs: proof of possession, no trust.
func ownKey(h *keys.Header) (*keys.PublicKey, error) {
	if h.JWK == nil {
		return nil, ErrProof
	}
	return h.JWK, nil
}

// Enrol registers a device key. The same key enrolled again is the same instance.
func (p *Provider) Enrol(ctx context.Context, proof string) (instance string, err error) {
	c, challenge, key, err := p.open(proof, TypEnrolment, ownKey)
	if err != nil {
		return "", err
	}
	instance = key.Thumbprint()
	return instance, p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := p.useChallenge(tx, challenge); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO instance (id, jwk, platform, enrolled) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
			instance, key.JWK(), c.Platform, p.cfg.Now())
		return err
	})
}

// Attest makes a wallet attestation (OpenID4VCI appendix E) for a fresh key that both it and the instance key vouch for.
// A fresh key for every issuer means that issuers cannot link a wallet by it. The level is software, whatever is claimed.
func (p *Provider) Attest(ctx context.Context, proof string) (string, error) {
	var instance string
	c, challenge, _, err := p.open(proof, TypRequest, func(h *keys.Header) (*keys.PublicKey, error) {
		instance = h.Kid
		return p.instanceKey(ctx, h.Kid)
	})
	if err != nil {
		return "", err
	}
	inner, _, fresh, err := p.open(c.Key, TypKey, ownKey)
	if err != nil {
		return "", err
	}
	if inner.Challenge != c.Challenge || fresh.Thumbprint() == instance {
		return "", ErrProof
	}
	now := p.cfg.Now()
	err = p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		if err := p.useChallenge(tx, challenge); err != nil {
			return err
		}
		if err := alive(tx, instance); err != nil {
			return err
		}
		return countToday(tx, instance, now)
	})
	if err != nil {
		return "", err
	}
	day := now.UTC().Truncate(time.Hour) // coarse times link nobody
	return oauth.BuildAttestation(p.cfg.Signer, oauth.AttestationHeader{Kid: p.cfg.Kid, X5C: p.cfg.X5C}, oauth.Attestation{
		Issuer: p.cfg.URL, ClientID: p.cfg.ClientID, Key: fresh, IssuedAt: day, Expires: day.Add(attestationTTL), WalletName: p.cfg.WalletName,
	})
}

func (p *Provider) instanceKey(ctx context.Context, id string) (*keys.PublicKey, error) {
	var jwk []byte
	err := p.cfg.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT jwk FROM instance WHERE id = ?`, id).Scan(&jwk)
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return keys.ParseJWK(jwk)
}

// alive is asked in the transaction that counts, so that a revocation is not overtaken.
func alive(tx *sqldb.Tx, instance string) error {
	var revoked time.Time
	if err := tx.LockRow(`SELECT revoked FROM instance WHERE id = ?`, instance).Scan(&revoked); err != nil {
		return err
	}
	if !revoked.IsZero() {
		return ErrRevoked
	}
	return nil
}

func countToday(tx *sqldb.Tx, instance string, now time.Time) error {
	var n int64
	day := now.Unix() / 86400
	err := tx.QueryRow(`INSERT INTO attested (instance, day, n) VALUES (?, ?, 1)
		ON CONFLICT (instance, day) DO UPDATE SET n = attested.n + 1 RETURNING n`, instance, day).Scan(&n)
	if err == nil && n > maxPerDay {
		return ErrTooMany
	}
	return err
}

// Revoke ends an instance: from the answer on it gets no attestation. Revoking twice is no error.
func (p *Provider) Revoke(ctx context.Context, instance string) error {
	return p.cfg.DB.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(`UPDATE instance SET revoked = COALESCE(revoked, ?) WHERE id = ?`, p.cfg.Now(), instance)
		if err == nil && n == 0 {
			return ErrUnknown
		}
		return err
	})
}
