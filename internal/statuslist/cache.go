package statuslist

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// An Entry is a verified list with what the chain says about it.
type Entry struct {
	Token    *Token
	Sequence uint64    // of the status epoch that anchors it; 0: not anchored (fetched from the status host alone)
	Root     [32]byte  // of that epoch
	AsOf     time.Time // the moment for which the list is known to be the latest
}

// CacheConfig makes a Cache.
type CacheConfig struct {
	// Load fetches and verifies the list at uri. It runs at most once at a time for one URI, on a context that ends
	// when no caller waits any longer.
	Load func(ctx context.Context, uri string) (Entry, error)
	// Max is the number of lists kept, 0: 1024. When full, the list with the oldest AsOf goes; its high-water mark stays.
	Max int
}

// A Cache keeps verified lists by URI and never goes back. Safe for concurrent use; Lookup takes no lock.
type Cache struct {
	cfg     CacheConfig
	entries atomic.Pointer[map[string]Entry] // replaced as a whole under mu, read without

	mu    sync.Mutex
	marks map[string]Mark  // guarded by mu
	calls map[string]*call // :: URI -> load under way, guarded by mu
}

// A Mark is the highest (sequence, iat) seen for a URI: keep it in SQL, give it to Restore after a restart.
type Mark struct {
	URI      string
	Sequence uint64
	IssuedAt time.Time
}

type call struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int // guarded by Cache.mu
	entry   Entry
	err     error
}

// NewCache requires Load.
func NewCache(cfg CacheConfig) (*Cache, error) {
	if cfg.Load == nil {
		return nil, errors.New("statuslist: a cache needs Load")
	}
	if cfg.Max <= 0 {
		cfg.Max = 1024
	}
	c := &Cache{cfg: cfg, marks: make(map[string]Mark), calls: make(map[string]*call)}
	c.entries.Store(&map[string]Entry{})
	return c, nil
}

// Lookup is the cached list, if any: no load, no lock, no allocation. The caller judges its AsOf.
func (c *Cache) Lookup(uri string) (Entry, bool) {
	e, ok := (*c.entries.Load())[uri]
	return e, ok
}

// Get is the cached list when its AsOf is not before notBefore, otherwise a freshly loaded one. A load that fails or
// whose answer is older than notBefore is ErrUnavailable (wrapping the reason); one that goes back is ErrRollback.
// The cached list stays in both cases.
func (c *Cache) Get(ctx context.Context, uri string, notBefore time.Time) (Entry, error) {
	if e, ok := c.Lookup(uri); ok && !e.AsOf.Before(notBefore) {
		return e, nil
	}
	e, err := c.load(ctx, uri)
	switch {
	case errors.Is(err, ErrInvalid):
		return Entry{}, err
	case err != nil:
		return Entry{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case e.AsOf.Before(notBefore):
		return Entry{}, ErrUnavailable
	}
	return e, nil
}

// load joins a load under way or starts one. A caller that gives up leaves; the last one to leave ends the load.
func (c *Cache) load(ctx context.Context, uri string) (Entry, error) {
	c.mu.Lock()
	l, running := c.calls[uri]
	if !running {
		loadCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		l = &call{done: make(chan struct{}), cancel: cancel}
		c.calls[uri] = l
		go c.run(loadCtx, uri, l)
	}
	l.waiting++
	c.mu.Unlock()

	select {
	case <-l.done:
		return l.entry, l.err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.waiting--; l.waiting == 0 {
			l.cancel()
			c.forget(uri, l) // a later caller starts anew instead of joining a cancelled load
		}
		return Entry{}, ctx.Err()
	}
}

func (c *Cache) run(ctx context.Context, uri string, l *call) {
	defer l.cancel()
	e, err := c.cfg.Load(ctx, uri)
	if err == nil {
		if e.Token == nil || e.Token.URI != uri {
			err = ErrSubject
		} else {
			err = c.Put(e)
		}
	}
	if err == nil {
		e, _ = c.Lookup(uri) // Put may have kept a later AsOf
	} else {
		e = Entry{}
	}
	l.entry, l.err = e, err
	c.mu.Lock()
	c.forget(uri, l)
	c.mu.Unlock()
	close(l.done)
}

func (c *Cache) forget(uri string, l *call) {
	if c.calls[uri] == l {
		delete(c.calls, uri)
	}
}

// Put stores a verified list that was loaded elsewhere (prefetch). ErrRollback when its sequence or its iat is below
// what was seen for its URI; a list that is not anchored (sequence 0) is compared by iat alone. The same token
// again only moves AsOf forward.
func (c *Cache) Put(e Entry) error {
	if e.Token == nil {
		return ErrMalformed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	uri := e.Token.URI
	mark, seen := c.marks[uri]
	if seen && (e.Token.IssuedAt.Before(mark.IssuedAt) || e.Sequence != 0 && e.Sequence < mark.Sequence) {
		return ErrRollback
	}
	c.marks[uri] = Mark{URI: uri, Sequence: max(e.Sequence, mark.Sequence), IssuedAt: e.Token.IssuedAt}
	old := *c.entries.Load()
	if was, ok := old[uri]; ok && was.Token.Digest == e.Token.Digest {
		e.Token, e.Sequence = was.Token, max(e.Sequence, was.Sequence)
		if e.AsOf.Before(was.AsOf) {
			e.AsOf = was.AsOf
		}
	}
	next := maps.Clone(old)
	next[uri] = e
	for len(next) > c.cfg.Max {
		delete(next, oldest(next, uri))
	}
	c.entries.Store(&next)
	return nil
}

func oldest(entries map[string]Entry, keep string) string {
	var at string
	for uri, e := range entries {
		if uri != keep && (at == "" || e.AsOf.Before(entries[at].AsOf)) {
			at = uri
		}
	}
	return at
}

// Marks are all high-water marks, by URI.
func (c *Cache) Marks() []Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.marks), func(a, b Mark) int { return cmp.Compare(a.URI, b.URI) })
}

// Mark is the high-water mark of one URI: its IssuedAt is what Expect.Latest wants.
func (c *Cache) Mark(uri string) (Mark, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.marks[uri]
	return m, ok
}

// Restore raises high-water marks; it never lowers one.
func (c *Cache) Restore(marks []Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range marks {
		was := c.marks[m.URI]
		m.Sequence = max(m.Sequence, was.Sequence)
		if m.IssuedAt.Before(was.IssuedAt) {
			m.IssuedAt = was.IssuedAt
		}
		c.marks[m.URI] = m
	}
}
