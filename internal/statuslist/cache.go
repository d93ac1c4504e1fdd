package statuslist

import (
	"context"
	"time"
)

// An Entry is a verified list with what the chain says about it.
type Entry struct {
	Token    *Token
	Sequence uint64    // of the status epoch that anchors it; 0: not anchored
	AsOf     time.Time // the moment for which the list is known to be the latest
}

// CacheConfig makes a Cache.
type CacheConfig struct {
	// Load fetches and verifies the list at uri. It runs at most once at a time for one URI, on a context of its own
	// that ends when no caller waits any longer.
	Load func(ctx context.Context, uri string) (Entry, error)
	// Max is the number of lists kept, 0: 1024. When full, the list with the oldest AsOf goes; its high-water mark stays.
	Max int
}

// A Cache keeps verified lists by URI. Safe for concurrent use; reading takes no lock.
type Cache struct{}

// NewCache requires Load.
func NewCache(cfg CacheConfig) (*Cache, error) { return nil, errTODO }

// Lookup is the cached list, if any: no load, no lock, no allocation. The caller judges its AsOf.
func (c *Cache) Lookup(uri string) (Entry, bool) { return Entry{}, false }

// Get is the cached list when its AsOf is not before notBefore, otherwise a freshly loaded one. A load that fails or
// that is too old is ErrUnavailable (wrapping the reason); one that goes back is ErrRollback. The cached list stays.
func (c *Cache) Get(ctx context.Context, uri string, notBefore time.Time) (Entry, error) {
	return Entry{}, errTODO
}

// Put stores a list that was loaded elsewhere (prefetch). ErrRollback when (Sequence, IssuedAt) is below what was seen
// for its URI; an equal pair must carry the same token, or is moved to a later AsOf.
func (c *Cache) Put(e Entry) error { return errTODO }

// Mark is the highest (sequence, iat) seen for a URI: keep it in SQL, give it to Restore after a restart.
type Mark struct {
	URI      string
	Sequence uint64
	IssuedAt time.Time
}

// Marks are all high-water marks, by URI.
func (c *Cache) Marks() []Mark { return nil }

// Restore raises high-water marks.
func (c *Cache) Restore(marks []Mark) {}
