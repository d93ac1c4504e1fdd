package verifiertest

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Registry is a registry.Resolver and registry.StatusSource that answers from memory. Facts are proven as of the clock,
// unless frozen.
type Registry struct {
	clock *Clock

	mu     sync.Mutex
	keys   map[string]registry.Key // DID URL
	accrs  map[string]registry.Accreditation
	regs   map[string]registry.Registration
	epochs map[registry.DID]registry.StatusEpoch
	lists  map[string]registry.StatusList
	halted map[string]time.Time // accreditation -> suspended since

	down     bool      // facts: nothing reachable, nothing cached
	listDown bool      // lists: no node reachable
	frozen   time.Time // facts are known as of then; zero: now
	fetches  int       // lists asked for
	broken   error     // every fact answers with it
}

// NewRegistry is empty.
func NewRegistry(clock *Clock) *Registry {
	return &Registry{
		clock: clock, keys: map[string]registry.Key{}, accrs: map[string]registry.Accreditation{}, regs: map[string]registry.Registration{},
		epochs: map[registry.DID]registry.StatusEpoch{}, lists: map[string]registry.StatusList{}, halted: map[string]time.Time{},
	}
}

// Change runs f under the lock: tests bend facts with it.
func (r *Registry) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// PutKey, PutAccreditation, PutRegistration and PutEpoch set facts.
func (r *Registry) PutKey(k registry.Key) { r.change(func() { r.keys[k.DID.URL(k.ID)] = k }) }

// PutAccreditation sets the fact of an issuer and type.
func (r *Registry) PutAccreditation(a registry.Accreditation) {
	r.change(func() { r.accrs[string(a.DID)+" "+a.Type] = a })
}

// Suspend suspends an accreditation from now on; asked for an earlier moment it was not.
func (r *Registry) Suspend(did registry.DID, vct string) {
	since := r.clock.Now()
	r.change(func() { r.halted[string(did)+" "+vct] = since })
}

// DropAccreditation makes it proven absent.
func (r *Registry) DropAccreditation(did registry.DID, vct string) {
	r.change(func() { delete(r.accrs, string(did)+" "+vct) })
}

// PutRegistration sets the fact of a verifier and purpose.
func (r *Registry) PutRegistration(g registry.Registration) {
	r.change(func() { r.regs[string(g.DID)+" "+g.Purpose] = g })
}

// PutEpoch anchors an issuer's lists.
func (r *Registry) PutEpoch(e registry.StatusEpoch, lists ...registry.StatusList) {
	r.change(func() {
		r.epochs[e.Issuer] = e
		for _, l := range lists {
			r.lists[l.URI] = l
		}
	})
}

// Bend changes a served list.
func (r *Registry) Bend(uri string, f func(*registry.StatusList)) {
	r.change(func() { l := r.lists[uri]; f(&l); r.lists[uri] = l })
}

// SetDown makes facts unavailable; SetListDown makes lists unavailable.
func (r *Registry) SetDown(down bool) { r.change(func() { r.down = down }) }

// SetListDown makes lists unavailable.
func (r *Registry) SetListDown(down bool) { r.change(func() { r.listDown = down }) }

// SetBroken makes every fact answer with err; nil ends it.
func (r *Registry) SetBroken(err error) { r.change(func() { r.broken = err }) }

// Freeze keeps facts as known at that time, as a cache does in an outage; the zero time ends it.
func (r *Registry) Freeze(at time.Time) { r.change(func() { r.frozen = at }) }

// Fetches is how many lists were asked for.
func (r *Registry) Fetches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fetches
}

func fact[T any](r *Registry, table map[string]T, name string) (T, registry.Checked, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var none T
	if r.down {
		return none, registry.Checked{}, registry.ErrUnavailable
	}
	if r.broken != nil {
		return none, registry.Checked{}, r.broken
	}
	known := r.clock.Now()
	if !r.frozen.IsZero() {
		known = r.frozen
	}
	c := registry.Checked{Height: uint64(known.Unix()), KnownAt: known}
	if v, ok := table[name]; ok {
		return v, c, nil
	}
	return none, c, registry.ErrNotFound
}

// Key implements registry.Resolver.
func (r *Registry) Key(_ context.Context, did registry.DID, id string, _ time.Time) (registry.Key, registry.Checked, error) {
	return fact(r, r.keys, did.URL(id))
}

// Accreditation implements registry.Resolver.
func (r *Registry) Accreditation(_ context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	a, c, err := fact(r, r.accrs, string(did)+" "+vct)
	r.mu.Lock()
	defer r.mu.Unlock()
	if since, ok := r.halted[string(did)+" "+vct]; ok && err == nil && (at.IsZero() || !at.Before(since)) {
		a.Suspended = true
	}
	return a, c, err
}

// Registration implements registry.Resolver.
func (r *Registry) Registration(_ context.Context, did registry.DID, purpose string, _ time.Time) (registry.Registration, registry.Checked, error) {
	return fact(r, r.regs, string(did)+" "+purpose)
}

// TypeDigest implements registry.Resolver: no types here.
func (r *Registry) TypeDigest(context.Context, string) ([32]byte, registry.Checked, error) {
	return [32]byte{}, registry.Checked{}, registry.ErrNotFound
}

// StatusEpoch implements registry.Resolver.
func (r *Registry) StatusEpoch(_ context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	byName := func() map[string]registry.StatusEpoch {
		r.mu.Lock()
		defer r.mu.Unlock()
		e, ok := r.epochs[did]
		if !ok {
			return nil
		}
		return map[string]registry.StatusEpoch{string(did): e}
	}()
	return fact(r, byName, string(did))
}

// StatusList implements registry.StatusSource.
func (r *Registry) StatusList(_ context.Context, uri, _ string) (registry.StatusList, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetches++
	if l, ok := r.lists[uri]; ok && !r.listDown {
		return l, nil
	}
	return registry.StatusList{}, registry.ErrUnavailable
}

// Snapshot copies a registry as it is now, frozen at this moment: what Evidence would prove.
func Snapshot(r *Registry) *Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &Registry{
		clock: r.clock, keys: maps.Clone(r.keys), accrs: maps.Clone(r.accrs), regs: maps.Clone(r.regs),
		epochs: maps.Clone(r.epochs), lists: maps.Clone(r.lists), halted: maps.Clone(r.halted), frozen: r.clock.Now(),
	}
}
