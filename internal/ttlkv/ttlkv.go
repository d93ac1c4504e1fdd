// Package ttlkv keeps values that expire: rate counters, caches, fan-out, sessions before login. It is the only door
// to go-redis.
//
// Use [Open]: an empty URL gives the in-process twin, redis://… a server. One behaviour, one test suite.
//
// What is trusted: nothing is kept. A FLUSHALL, a restart or a failover may lose every key at any moment (THREATS K01,
// K02), so nothing that mints value may rest on it: one-time use is a unique row in SQL, and a lost key must mean a
// retry, never an acceptance. More than one replica of a party needs Redis; the twin is one process's memory.
// Every stored value carries its own key and is refused under another (K03: replies out of order).
package ttlkv

import (
	"context"
	"errors"
	"time"
)

var (
	// ErrNotFound: the key was never set, has expired, was taken, or was lost.
	ErrNotFound = errors.New("ttlkv: no such key")
	// ErrMismatch: the server answered with another key's value; the connection is not to be believed.
	ErrMismatch = errors.New("ttlkv: answer belongs to another key")
	// ErrFull: the twin's memory bound is reached by keys that have not expired.
	ErrFull = errors.New("ttlkv: store is full")
	// ErrUnavailable: the server cannot be reached. Callers fail closed or degrade as their doc says.
	ErrUnavailable = errors.New("ttlkv: store is unavailable")
)

var errTODO = errors.New("ttlkv: not built yet")

// Config of a store.
type Config struct {
	// URL is "" for the in-process twin, or redis://[user:password@]host:port[/db] (rediss:// for TLS).
	URL string
	// Now is the twin's clock; default time.Now. A server has its own.
	Now func() time.Time
	// MaxBytes bounds the twin's keys and values, default 64 MiB.
	MaxBytes int64
	// Prefix is put before every key and topic: party and tenant names share one server.
	Prefix string
}

// Store is one key space. Keys are 1 to 256 bytes, values at most 1 MiB, ttl at least 1 ms. Safe for concurrent use.
type Store struct{}

// Open connects and asks for one answer.
func Open(ctx context.Context, cfg Config) (*Store, error) { return nil, errTODO }

// SetNX stores only when the key is absent, and says whether it did.
func (s *Store) SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	return false, errTODO
}

// Set stores, replacing value and ttl.
func (s *Store) Set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	return errTODO
}

// Get returns the value or ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) { return nil, errTODO }

// Take returns the value and deletes it in one step: of many callers one gets it, the others ErrNotFound.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) { return nil, errTODO }

// Incr counts in a window that opens with its first count and returns the count and the time the window has left.
func (s *Store) Incr(ctx context.Context, key string, window time.Duration) (int64, time.Duration, error) {
	return 0, 0, errTODO
}

// Delete removes a key; an absent one is no error.
func (s *Store) Delete(ctx context.Context, key string) error { return errTODO }

// Publish sends to whoever listens now; nobody is no error. Delivery is at most once.
func (s *Store) Publish(ctx context.Context, topic string, msg []byte) error { return errTODO }

// Subscribe receives until ctx ends, then the channel closes. A slow reader loses messages, never blocks a publisher.
func (s *Store) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	return nil, errTODO
}

// Ping asks for one answer.
func (s *Store) Ping(ctx context.Context) error { return errTODO }

// Close ends subscriptions too.
func (s *Store) Close() error { return nil }

// Limiter allows Burst events at once and Rate a second for each key, counted over all replicas (GCRA).
// When the store is unavailable it counts in this process alone: an outage of Redis neither opens nor shuts the door.
type Limiter struct {
	Store *Store
	Name  string // part of the key: one limiter a purpose
	Rate  float64
	Burst int
}

// Allow takes one event of key. When refused, retry says how long until the next is allowed.
func (l *Limiter) Allow(ctx context.Context, key string, now time.Time) (ok bool, retry time.Duration) {
	return false, time.Second
}

// Epoch is a random word kept in the store that server nonces (DPoP) carry. When the store loses it, a new one is
// drawn, and every nonce of the old one is refused.
type Epoch struct {
	Store *Store
	Name  string
	TTL   time.Duration // life of an epoch, at least twice the nonces'
}

// Current returns the epoch, drawing one when it is gone. 22 characters, base64url.
func (e *Epoch) Current(ctx context.Context) (string, error) { return "", errTODO }

// Valid tells whether word is the current epoch; never draws a new one. Constant time.
func (e *Epoch) Valid(ctx context.Context, word string) (bool, error) { return false, errTODO }
