package chain

import "sync"

// A leafCache holds leaves of the newest committed state, absent ones too: what CheckTx has read, Execute does not read
// again. Two generations: what is not asked for while the younger fills up is dropped. Safe for concurrent use.
//
// It is never wrong: only Commit changes it, in the same moment as the state that CheckTx sees.
type leafCache struct {
	limit int // leaves in a generation

	mu         sync.Mutex
	young, old map[string][]byte // nil: absent from the state
}

func newLeafCache(limit int) *leafCache {
	return &leafCache{limit: limit, young: map[string][]byte{}}
}

func (c *leafCache) get(key []byte) (value []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if value, ok = c.young[string(key)]; ok {
		return value, true
	}
	if value, ok = c.old[string(key)]; ok {
		c.put(string(key), value)
	}
	return value, ok
}

func (c *leafCache) put(key string, value []byte) {
	if len(c.young) >= c.limit {
		c.old, c.young = c.young, make(map[string][]byte, c.limit)
	}
	c.young[key] = value
}

func (c *leafCache) add(key, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(string(key), value)
}

// commit takes the changes of a block. Their order does not matter: keys are distinct.
func (c *leafCache) commit(writes map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, v := range writes {
		delete(c.old, k)
		c.put(k, v)
	}
}

// cachedReader reads the newest committed state; below is that state.
type cachedReader struct {
	cache *leafCache
	below reader
}

func (r cachedReader) get(key []byte) ([]byte, error) {
	if v, ok := r.cache.get(key); ok {
		return v, nil
	}
	v, err := r.below.get(key)
	if err == nil {
		r.cache.add(key, v)
	}
	return v, err
}
