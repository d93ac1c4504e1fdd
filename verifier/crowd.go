package verifier

import (
	"sync"

	"github.com/dojang-id/dojang/registry"
)

// crowds watch how many lists the credentials of an issuer come from: one list for nearly every credential would name the
// holder to whoever serves it, however long the lists are (THREATS C10). Nothing but counts and list URIs is kept.
type crowds struct {
	mu     sync.Mutex
	issuer map[registry.DID]*crowd
}

type crowd struct {
	lists  map[string]bool
	judged int
}

const (
	fewLists   = 8    // with fewer nothing is said
	maxLists   = 256  // of an issuer, then counting begins anew
	maxIssuers = 1024 // then all of it does
)

// see notes one judged credential and reports whether its issuer has more than half as many lists as credentials.
func (c *crowds) see(did registry.DID, uri string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.issuer[did]
	if x == nil {
		if c.issuer == nil || len(c.issuer) >= maxIssuers {
			c.issuer = map[registry.DID]*crowd{}
		}
		x = &crowd{lists: map[string]bool{}}
		c.issuer[did] = x
	}
	if len(x.lists) >= maxLists {
		x.lists, x.judged = map[string]bool{}, 0
	}
	x.lists[uri] = true
	x.judged++
	return len(x.lists) >= fewLists && 2*len(x.lists) > x.judged
}
