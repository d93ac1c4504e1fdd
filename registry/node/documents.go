package node

import (
	"sync"

	"github.com/dojang-id/dojang/registry"
)

// documentCache keeps encoded newest documents while the state stands still: readers ask for the same few agencies.
// The zero value is ready.
type documentCache struct {
	mu      sync.RWMutex
	byDID   map[registry.DID]Document
	changed uint64 // height of the newest block that changed the state
	version uint64 // grows with every clearing; an answer made before one is not kept
}

const maxDocuments = 4096

func (c *documentCache) get(d registry.DID, make func() (Document, error)) (Document, error) {
	c.mu.RLock()
	doc, ok := c.byDID[d]
	version := c.version
	c.mu.RUnlock()
	if ok {
		return doc, nil
	}
	doc, err := make()
	if err != nil {
		return Document{}, err // absent ones are not kept: anybody can invent them
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.version == version && len(c.byDID) < maxDocuments {
		if c.byDID == nil {
			c.byDID = map[registry.DID]Document{}
		}
		c.byDID[d] = doc
	}
	return doc, nil
}

// moved clears the cache after a change, and once more after the block that dates it.
func (c *documentCache) moved(height uint64, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if changed {
		c.changed = height
	}
	if changed || height == c.changed+1 {
		c.version++
		clear(c.byDID)
	}
}
