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
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound: the key was never set, has expired, was taken, or was lost.
	ErrNotFound = errors.New("ttlkv: no such key")
	// ErrMismatch: the server answered with another key's value; the connection is not to be believed.
	ErrMismatch = errors.New("ttlkv: answer belongs to another key")
	// ErrFull: the memory bound is reached by keys that have not expired.
	ErrFull = errors.New("ttlkv: store is full")
	// ErrUnavailable: the server cannot be reached. Callers fail closed or degrade as their doc says.
	ErrUnavailable = errors.New("ttlkv: store is unavailable")
	// ErrMisuse: a key, value or duration out of bounds.
	ErrMisuse = errors.New("ttlkv: misuse")
)

const (
	maxKey   = 256
	maxValue = 1 << 20
)

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

// A backend stores bytes under full keys. The Store has checked bounds, and checks answers.
type backend interface {
	setNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error)
	set(ctx context.Context, key string, val []byte, ttl time.Duration) error
	get(ctx context.Context, key string) ([]byte, error)
	take(ctx context.Context, key string) ([]byte, error)
	// incr also returns the key that the server says it counted.
	incr(ctx context.Context, key string, window time.Duration) (echo string, n int64, left time.Duration, err error)
	// reserve is GCRA: see Limiter. Also echoes the key.
	reserve(ctx context.Context, key string, g gcra) (echo string, retry time.Duration, err error)
	del(ctx context.Context, key string) error
	publish(ctx context.Context, topic string, msg []byte) error
	subscribe(ctx context.Context, topic string) (<-chan []byte, error)
	ping(ctx context.Context) error
	close() error
}

// Store is one key space. Keys are 1 to 256 bytes, values at most 1 MiB, ttl at least 1 ms. Safe for concurrent use.
type Store struct {
	backend backend
	prefix  string
	shared  bool
}

// Open connects and asks for one answer.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if len(cfg.Prefix) > maxKey {
		return nil, fmt.Errorf("%w: prefix is too long", ErrMisuse)
	}
	s := &Store{prefix: cfg.Prefix, shared: cfg.URL != ""}
	var err error
	if s.shared {
		s.backend, err = openRedis(ctx, cfg.URL)
	} else {
		s.backend = newMemory(cfg)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Shared tells whether other replicas see the same keys.
func (s *Store) Shared() bool { return s.shared }

// SetNX stores only when the key is absent, and says whether it did.
func (s *Store) SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	if err := check(key, val, ttl); err != nil {
		return false, err
	}
	return s.backend.setNX(ctx, s.prefix+key, seal(s.prefix+key, val), ttl)
}

// Set stores, replacing value and ttl.
func (s *Store) Set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	if err := check(key, val, ttl); err != nil {
		return err
	}
	return s.backend.set(ctx, s.prefix+key, seal(s.prefix+key, val), ttl)
}

// Get returns the value or ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	if err := check(key, nil, time.Second); err != nil {
		return nil, err
	}
	raw, err := s.backend.get(ctx, s.prefix+key)
	if err != nil {
		return nil, err
	}
	return unseal(s.prefix+key, raw)
}

// Take returns the value and deletes it in one step: of many callers one gets it, the others ErrNotFound.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	if err := check(key, nil, time.Second); err != nil {
		return nil, err
	}
	raw, err := s.backend.take(ctx, s.prefix+key)
	if err != nil {
		return nil, err
	}
	return unseal(s.prefix+key, raw)
}

// Incr counts in a window that opens with its first count and returns the count and the time the window has left.
func (s *Store) Incr(ctx context.Context, key string, window time.Duration) (int64, time.Duration, error) {
	if err := check(key, nil, window); err != nil {
		return 0, 0, err
	}
	echo, n, left, err := s.backend.incr(ctx, s.prefix+key, window)
	if err != nil {
		return 0, 0, err
	}
	if echo != s.prefix+key {
		return 0, 0, ErrMismatch
	}
	return n, left, nil
}

// Delete removes a key; an absent one is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := check(key, nil, time.Second); err != nil {
		return err
	}
	return s.backend.del(ctx, s.prefix+key)
}

// Publish sends to whoever listens now; nobody is no error. Delivery is at most once.
func (s *Store) Publish(ctx context.Context, topic string, msg []byte) error {
	if err := check(topic, msg, time.Second); err != nil {
		return err
	}
	return s.backend.publish(ctx, s.prefix+topic, msg)
}

// Subscribe receives until ctx ends, then the channel closes. Messages published after it returned arrive; a slow
// reader loses some, and never blocks a publisher.
func (s *Store) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := check(topic, nil, time.Second); err != nil {
		return nil, err
	}
	return s.backend.subscribe(ctx, s.prefix+topic)
}

// Ping asks for one answer.
func (s *Store) Ping(ctx context.Context) error { return s.backend.ping(ctx) }

// Close ends subscriptions too.
func (s *Store) Close() error { return s.backend.close() }

func check(key string, val []byte, ttl time.Duration) error {
	switch {
	case key == "" || len(key) > maxKey:
		return fmt.Errorf("%w: key of %d bytes", ErrMisuse, len(key))
	case len(val) > maxValue:
		return fmt.Errorf("%w: value of %d bytes", ErrMisuse, len(val))
	case ttl < time.Millisecond:
		return fmt.Errorf("%w: ttl below 1 ms", ErrMisuse)
	}
	return nil
}

// A stored value is be16(length of the full key) ‖ full key ‖ value.
func seal(key string, val []byte) []byte {
	b := make([]byte, 0, 2+len(key)+len(val))
	b = binary.BigEndian.AppendUint16(b, uint16(len(key)))
	return append(append(b, key...), val...)
}

func unseal(key string, raw []byte) ([]byte, error) {
	if len(raw) < 2+len(key) || int(binary.BigEndian.Uint16(raw)) != len(key) || !bytes.Equal(raw[2:2+len(key)], []byte(key)) {
		return nil, ErrMismatch
	}
	return raw[2+len(key):], nil
}
