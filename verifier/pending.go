package verifier

import (
	"context"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// A Name is one transaction of one tenant.
type Name struct{ Tenant, ID string }

// pending is what a desk remembers of transactions that are under way. It saves reads, unsealing and key parsing, and
// decides nothing: that a transaction is still open is decided by the Store's compare-and-set. All of it may be lost.
type pending struct {
	mu        sync.Mutex
	opened    map[[32]byte]opened   // by StateHash: those that this desk made itself
	handles   map[[32]byte][32]byte // Handle -> StateHash of the same
	retrieved map[Name]bool         // fetched by a wallet, not yet written down
}

// opened is a transaction with its secret in the clear.
type opened struct {
	t   Transaction
	s   secret
	key *keys.EncryptionKey // nil without direct_post.jwt
}

// maxPending of either kind; beyond it the Store is asked.
const maxPending = 8192

func newPending() *pending {
	return &pending{opened: map[[32]byte]opened{}, handles: map[[32]byte][32]byte{}, retrieved: map[Name]bool{}}
}

func (p *pending) put(o opened) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.opened) < maxPending {
		p.opened[o.t.StateHash] = o
		p.handles[o.t.Handle] = o.t.StateHash
	}
}

func (p *pending) get(tenant string, state [32]byte) (opened, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.opened[state]
	return o, ok && o.t.Tenant == tenant
}

// byHandle finds what get finds by state.
func (p *pending) byHandle(tenant string, handle [32]byte) (opened, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state, ok := p.handles[handle]
	o := p.opened[state]
	return o, ok && o.t.Tenant == tenant
}

// drop forgets a transaction that has ended.
func (p *pending) drop(t Transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.opened, t.StateHash)
	delete(p.handles, t.Handle)
	delete(p.retrieved, Name{t.Tenant, t.ID})
}

// sweep forgets what has timed out and takes the names that are to be written down.
func (p *pending) sweep(now time.Time) []Name {
	p.mu.Lock()
	defer p.mu.Unlock()
	for state, o := range p.opened {
		if !now.Before(o.t.ExpiresAt) {
			delete(p.opened, state)
			delete(p.handles, o.t.Handle)
		}
	}
	names := make([]Name, 0, len(p.retrieved))
	for name := range p.retrieved {
		names = append(names, name)
	}
	clear(p.retrieved)
	return names
}

// mark notes that a wallet has fetched the request; false: there is no room, write it down.
func (p *pending) mark(n Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.retrieved) >= maxPending {
		return false
	}
	p.retrieved[n] = true
	return true
}

func (p *pending) marked(n Name) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retrieved[n]
}

// open gives the secret of a transaction: remembered, or unsealed and parsed.
func (d *Desk) open(t Transaction) (opened, error) {
	if o, ok := d.under.get(t.Tenant, t.StateHash); ok && o.t.ID == t.ID {
		return o, nil
	}
	s, err := d.openSecret(t)
	if err != nil {
		return opened{}, err
	}
	o := opened{t: t, s: s}
	if s.Key != nil {
		if o.key, err = keys.ParseEncryptionKey(s.Key); err != nil {
			return opened{}, err
		}
	}
	return o, nil
}

// fetched notes that a wallet has the request object. It is told to companies at once and written down by Tick: a
// progress display is not worth a durable commit of its own.
func (d *Desk) fetched(ctx context.Context, t Transaction) error {
	name := Name{t.Tenant, t.ID}
	if t.State != StateRequested || d.under.mark(name) {
		return nil
	}
	return d.cfg.Store.MarkRetrieved(ctx, []Name{name})
}
