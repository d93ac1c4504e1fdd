package ttlkv

import (
	"context"
	"errors"
	"time"
)

// gcra is the generic cell rate algorithm in microseconds: each event moves a key's theoretical arrival time by one
// interval; an event that would move it more than burst ahead of now is refused. No event leaves it further ahead than
// that: one that is comes from a clock that went back since, and counts as a used-up burst, not as a lock-out (K09).
type gcra struct {
	interval int64 // between events at the steady rate
	burst    int64 // interval × burst
}

// take returns the arrival time to keep, and how long to wait when the event is refused.
func (g gcra) take(now, at int64) (next int64, retry time.Duration) {
	at = min(max(at, now), now+g.burst)
	next = at + g.interval
	if early := next - g.burst - now; early > 0 {
		return at, time.Duration(early) * time.Microsecond
	}
	return next, 0
}

// Limiter allows a burst of events at once and a rate a second for each key, counted over all replicas that share the
// store. When the store is unavailable or lost it counts in this process alone: an outage of Redis neither opens nor
// shuts the door.
type Limiter struct {
	store *Store
	local *Store
	name  string
	gcra  gcra
}

// LimiterConfig: Rate and Burst must be positive.
type LimiterConfig struct {
	Store *Store
	Name  string // part of the key: one a purpose
	Rate  float64
	Burst int
	Now   func() time.Time // of the local fallback; default time.Now
}

// NewLimiter refuses limits that a mistyped configuration would turn into none (THREATS K15).
func NewLimiter(cfg LimiterConfig) (*Limiter, error) {
	if cfg.Store == nil || cfg.Name == "" || !(cfg.Rate > 0 && cfg.Rate <= 1e6) || cfg.Burst < 1 {
		return nil, errors.New("ttlkv: a limiter needs a store, a name, a rate and a burst")
	}
	interval := max(int64(1e6/cfg.Rate), 1)
	return &Limiter{store: cfg.Store, name: cfg.Name, gcra: gcra{interval: interval, burst: interval * int64(cfg.Burst)},
		local: &Store{backend: newMemory(Config{Now: cfg.Now, MaxBytes: 4 << 20})}}, nil
}

// Allow takes one event of key. When refused, retry says how long until the next is allowed.
func (l *Limiter) Allow(ctx context.Context, key string) (ok bool, retry time.Duration) {
	key = "limit:" + l.name + ":" + key
	if len(key) > maxKey {
		key = key[:maxKey]
	}
	echo, retry, err := l.store.backend.reserve(ctx, l.store.prefix+key, l.gcra)
	if err == nil && echo != l.store.prefix+key {
		err = ErrMismatch
	}
	if err != nil {
		if _, retry, err = l.local.backend.reserve(ctx, key, l.gcra); err != nil {
			return false, time.Second // even our own memory is full: shut
		}
	}
	return retry == 0, retry
}
