package ttlkv

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"
)

// Epoch is a random word kept in the store that server nonces (DPoP) carry, so that they die with the store: whatever
// it knew of used ones is gone then too (DESIGN.md 7). When it is lost a new one is drawn, and every nonce of the old
// one is refused.
type Epoch struct {
	store *Store
	key   string
	ttl   time.Duration
	rand  io.Reader
}

// NewEpoch lives ttl, at least twice as long as the nonces that carry it. random: default crypto/rand.
func NewEpoch(store *Store, name string, ttl time.Duration, random io.Reader) (*Epoch, error) {
	if store == nil || name == "" || ttl < time.Second {
		return nil, errors.New("ttlkv: an epoch needs a store, a name and a ttl of at least 1 s")
	}
	if random == nil {
		random = rand.Reader
	}
	return &Epoch{store: store, key: "epoch:" + name, ttl: ttl, rand: random}, nil
}

// Current returns the epoch, drawing one when it is gone. 22 characters, base64url. All replicas get the same.
func (e *Epoch) Current(ctx context.Context) (string, error) {
	for range 3 {
		word, err := e.store.Get(ctx, e.key)
		if err == nil {
			return string(word), nil
		}
		if !errors.Is(err, ErrNotFound) {
			return "", err
		}
		raw := make([]byte, 16)
		if _, err := io.ReadFull(e.rand, raw); err != nil {
			return "", fmt.Errorf("draw epoch: %w", err)
		}
		fresh := base64.RawURLEncoding.EncodeToString(raw)
		won, err := e.store.SetNX(ctx, e.key, []byte(fresh), e.ttl)
		if err != nil {
			return "", err
		}
		if won {
			return fresh, nil
		}
	}
	return "", fmt.Errorf("%w: epoch is lost again and again", ErrUnavailable)
}

// Valid tells whether word is the current epoch; it never draws one. On an error callers refuse the nonce.
func (e *Epoch) Valid(ctx context.Context, word string) (bool, error) {
	current, err := e.store.Get(ctx, e.key)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	a, b := sha256.Sum256(current), sha256.Sum256([]byte(word))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1, nil
}
