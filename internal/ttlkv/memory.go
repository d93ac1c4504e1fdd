package ttlkv

import (
	"context"
	"hash/maphash"
	"sync"
	"time"
)

const (
	shards = 32
	// overhead of one key in a map, roughly.
	overhead = 128
	backlog  = 64 // messages a slow subscriber may lag behind
)

// memory is the in-process twin: real expiry by the injected clock, bounded bytes. It forgets everything with the
// process, as Redis may at any moment.
type memory struct {
	now   func() time.Time
	limit int64 // bytes of one shard
	seed  maphash.Seed
	parts [shards]part

	mu     sync.Mutex // guards topics, closed
	topics map[string]map[chan []byte]struct{}
	closed bool
}

type part struct {
	mu    sync.Mutex
	items map[string]item
	bytes int64
	swept time.Time
}

type item struct {
	val     []byte
	n       int64 // of a counter; the theoretical arrival of a limiter
	expires time.Time
}

func newMemory(cfg Config) *memory {
	m := &memory{now: cfg.Now, limit: cfg.MaxBytes, seed: maphash.MakeSeed(), topics: map[string]map[chan []byte]struct{}{}}
	if m.now == nil {
		m.now = time.Now
	}
	if m.limit <= 0 {
		m.limit = 64 << 20
	}
	m.limit /= shards
	for i := range m.parts {
		m.parts[i].items = map[string]item{}
	}
	return m
}

// lock returns key's part, locked.
func (m *memory) lock(key string) *part {
	p := &m.parts[maphash.String(m.seed, key)%shards]
	p.mu.Lock()
	return p
}

func cost(key string, i item) int64 { return int64(len(key)+len(i.val)) + overhead }

// live returns an item that has not expired; an expired one is dropped.
func (p *part) live(key string, now time.Time) (item, bool) {
	i, ok := p.items[key]
	if ok && !now.Before(i.expires) {
		p.drop(key)
		return item{}, false
	}
	return i, ok
}

func (p *part) drop(key string) {
	if i, ok := p.items[key]; ok {
		p.bytes -= cost(key, i)
		delete(p.items, key)
	}
}

// put replaces key's item. When full, expired items go first; live ones are never pushed out by an attacker's.
func (p *part) put(key string, i item, now time.Time, limit int64) error {
	p.drop(key)
	if p.bytes+cost(key, i) > limit || now.Sub(p.swept) > time.Minute || now.Before(p.swept) {
		for k := range p.items {
			p.live(k, now)
		}
		p.swept = now
	}
	if p.bytes+cost(key, i) > limit {
		return ErrFull
	}
	p.items[key] = i
	p.bytes += cost(key, i)
	return nil
}

func (m *memory) setNX(_ context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	now := m.now()
	p := m.lock(key)
	defer p.mu.Unlock()
	if _, ok := p.live(key, now); ok {
		return false, nil
	}
	err := p.put(key, item{val: val, expires: now.Add(ttl)}, now, m.limit)
	return err == nil, err
}

func (m *memory) set(_ context.Context, key string, val []byte, ttl time.Duration) error {
	now := m.now()
	p := m.lock(key)
	defer p.mu.Unlock()
	return p.put(key, item{val: val, expires: now.Add(ttl)}, now, m.limit)
}

func (m *memory) get(_ context.Context, key string) ([]byte, error) {
	p := m.lock(key)
	defer p.mu.Unlock()
	i, ok := p.live(key, m.now())
	if !ok {
		return nil, ErrNotFound
	}
	return append([]byte(nil), i.val...), nil
}

func (m *memory) take(_ context.Context, key string) ([]byte, error) {
	p := m.lock(key)
	defer p.mu.Unlock()
	i, ok := p.live(key, m.now())
	if !ok {
		return nil, ErrNotFound
	}
	p.drop(key)
	return i.val, nil
}

func (m *memory) incr(_ context.Context, key string, window time.Duration) (string, int64, time.Duration, error) {
	now := m.now()
	p := m.lock(key)
	defer p.mu.Unlock()
	i, ok := p.live(key, now)
	if !ok {
		i = item{expires: now.Add(window)}
	}
	i.n++
	return key, i.n, i.expires.Sub(now), p.put(key, i, now, m.limit)
}

func (m *memory) reserve(_ context.Context, key string, g gcra) (string, time.Duration, error) {
	now := m.now()
	p := m.lock(key)
	defer p.mu.Unlock()
	i, _ := p.live(key, now)
	next, retry := g.take(now.UnixMicro(), i.n)
	if retry > 0 && next == i.n {
		return key, retry, nil
	}
	return key, retry, p.put(key, item{n: next, expires: time.UnixMicro(next)}, now, m.limit)
}

func (m *memory) del(_ context.Context, key string) error {
	p := m.lock(key)
	defer p.mu.Unlock()
	p.drop(key)
	return nil
}

func (m *memory) publish(_ context.Context, topic string, msg []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.topics[topic] {
		select {
		case c <- append([]byte(nil), msg...):
		default: // a slow reader loses it
		}
	}
	return nil
}

func (m *memory) subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	c := make(chan []byte, backlog)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrUnavailable
	}
	if m.topics[topic] == nil {
		m.topics[topic] = map[chan []byte]struct{}{}
	}
	m.topics[topic][c] = struct{}{}
	context.AfterFunc(ctx, func() { m.leave(topic, c) })
	return c, nil
}

// leave closes c once.
func (m *memory) leave(topic string, c chan []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.topics[topic][c]; !ok {
		return
	}
	close(c)
	delete(m.topics[topic], c)
	if len(m.topics[topic]) == 0 {
		delete(m.topics, topic)
	}
}

func (m *memory) ping(context.Context) error { return nil }

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for topic, listeners := range m.topics {
		for c := range listeners {
			close(c)
		}
		delete(m.topics, topic)
	}
	return nil
}
