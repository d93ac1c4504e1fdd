package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// Purposes of a nonce. DPoP and attestation challenges are web's, under the same keys.
const (
	purposeProof = "c_nonce"
)

// rotateNonceKeys is the life of a nonce key as the newest.
const rotateNonceKeys = 24 * time.Hour

// Replicas look for new keys so often; nonces are made with one only when it is older than the look-up and the clocks'
// difference together.
const (
	loadNonceKeys   = time.Minute
	settleNonceKeys = 5 * time.Minute
)

// nonceRing holds the rotating keys of nonces: made in SQL, so that every replica knows them and a restart forgets none.
type nonceRing struct {
	store   KeyStore
	secrets *secrets
	ttl     time.Duration
	random  io.Reader

	mu     sync.Mutex // guards the rest
	ring   []keys.NonceKey
	newest time.Time
	loaded time.Time
}

// minting is the key for new nonces: the newest that every replica has had the time to load.
func (r *nonceRing) minting(ctx context.Context, now time.Time) (keys.NonceKey, error) {
	ring, err := r.keys(ctx, now)
	if err != nil {
		return keys.NonceKey{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.newest); len(ring) > 1 && age < settleNonceKeys {
		return ring[1], nil
	}
	return ring[0], nil
}

// keys are the ring, newest first; loaded anew each minute, rotated when due.
func (r *nonceRing) keys(ctx context.Context, now time.Time) ([]keys.NonceKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	age := now.Sub(r.loaded)
	if len(r.ring) > 0 && age >= 0 && age < loadNonceKeys {
		return r.ring, nil
	}
	if err := r.load(ctx, now); err != nil {
		return nil, err
	}
	if len(r.ring) == 0 || now.Sub(r.newest) >= rotateNonceKeys {
		if err := r.rotate(ctx, now); err != nil {
			return nil, err
		}
	}
	return r.ring, nil
}

// load keeps the keys whose nonces can still be good; the newest is always one of them.
func (r *nonceRing) load(ctx context.Context, now time.Time) error {
	rows, err := r.store.NonceKeys(ctx)
	if err != nil {
		return fmt.Errorf("read nonce keys: %w", err)
	}
	var ring []keys.NonceKey
	for i, row := range rows {
		if i > 0 && now.Sub(row.MadeAt) > 2*rotateNonceKeys+2*r.ttl {
			break
		}
		secret, err := r.secrets.open(row.Sealed, nonceKeyPlace(row.ID))
		if err != nil {
			return err
		}
		ring = append(ring, keys.NonceKey{ID: row.ID, Secret: secret})
	}
	r.ring, r.loaded = ring, now
	if len(rows) > 0 {
		r.newest = rows[0].MadeAt
	}
	return nil
}

func (r *nonceRing) rotate(ctx context.Context, now time.Time) error {
	var id byte
	if len(r.ring) > 0 {
		id = r.ring[0].ID + 1
	}
	secret := make([]byte, 32)
	if _, err := io.ReadFull(r.random, secret); err != nil {
		return fmt.Errorf("draw nonce key: %w", err)
	}
	sealed, err := r.secrets.seal(secret, nonceKeyPlace(id))
	if err != nil {
		return err
	}
	err = r.store.AddNonceKey(ctx, SealedKey{ID: id, Sealed: sealed, MadeAt: now})
	if err != nil && !errors.Is(err, ErrNotCurrent) { // another replica rotated: its key is loaded now
		return fmt.Errorf("store nonce key: %w", err)
	}
	if err := r.load(ctx, now); err != nil {
		return err
	}
	if len(r.ring) == 0 {
		return errors.New("issuer: no nonce key")
	}
	return nil
}

func nonceKeyPlace(id byte) string { return "nonce key/" + strconv.Itoa(int(id)) }

// CNonce mints a nonce for key proofs. It costs no write: consumption is a unique insert of Issue.
func (is *Issuer) CNonce(ctx context.Context, tenant string) (string, error) {
	return is.Nonce(ctx, tenant, purposeProof)
}

// Nonce mints a nonce for a purpose of the web layer.
func (is *Issuer) Nonce(ctx context.Context, tenant, purpose string) (string, error) {
	if _, err := is.tenant(tenant); err != nil {
		return "", err
	}
	now := is.now()
	key, err := is.nonces.minting(ctx, now)
	if err != nil {
		return "", err
	}
	return keys.MintNonce(key, keys.NonceScope{Tenant: tenant, Purpose: purpose}, now, is.cfg.Random)
}

// CheckNonce says whether we minted the nonce for that tenant and purpose not too long ago. It consumes nothing.
func (is *Issuer) CheckNonce(ctx context.Context, tenant, purpose, nonce string) (id []byte, err error) {
	now := is.now()
	ring, err := is.nonces.keys(ctx, now)
	if err != nil {
		return nil, err
	}
	return keys.CheckNonce(ring, keys.NonceScope{Tenant: tenant, Purpose: purpose}, nonce, keys.NonceWindow{Now: now, MaxAge: is.cfg.NonceTTL})
}

// checkProofNonce is CheckNonce with the wallet's error.
func (is *Issuer) checkProofNonce(ctx context.Context, t *tenant, nonce string) (Nonce, error) {
	if nonce == "" {
		return Nonce{}, oauth.NewError(oauth.InvalidProof, "proof has no nonce")
	}
	id, err := is.CheckNonce(ctx, t.ID, purposeProof, nonce)
	if errors.Is(err, keys.ErrNonce) || errors.Is(err, keys.ErrStale) {
		return Nonce{}, oauth.NewError(oauth.InvalidNonce, "nonce is not ours or too old").WithParent(err)
	}
	if err != nil {
		return Nonce{}, err
	}
	return Nonce{ID: id, Expires: is.now().Add(is.cfg.NonceTTL + time.Minute)}, nil
}
