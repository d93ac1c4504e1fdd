package verifier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// memory is a Resolver that remembers the last proven answers of another one, for when that one has nothing any more.
// A remembered answer keeps its old KnownAt: it can make a judgement stale, never fresh, and it lets a known revocation
// stay REVOKED in the longest outage. It also refuses epochs that go back (THREATS C07).
type memory struct {
	from registry.Resolver

	conflicts atomic.Uint64 // see Counters

	mu     sync.RWMutex
	keys   map[keyQuestion]answer[registry.Key]
	accrs  map[accrQuestion]answer[registry.Accreditation]
	regs   map[keyQuestion]answer[registry.Registration]
	epochs map[registry.DID]answer[registry.StatusEpoch]
}

type keyQuestion struct {
	did registry.DID
	id  string
}

type accrQuestion struct {
	did registry.DID
	vct string
}

// maxRemembered answers of a kind: issuers are few.
const maxRemembered = 4096

func newMemory(from registry.Resolver) *memory {
	return &memory{
		from: from, keys: map[keyQuestion]answer[registry.Key]{}, accrs: map[accrQuestion]answer[registry.Accreditation]{},
		regs: map[keyQuestion]answer[registry.Registration]{}, epochs: map[registry.DID]answer[registry.StatusEpoch]{},
	}
}

// recall answers from a table when fresh is "unavailable" or was known earlier than what is remembered (a node that lags
// must not take a compromise back), and writes newer proven answers into it. Absence is remembered only of what was once
// there: whoever makes up names must not fill the table. Questions about a moment in the past are not remembered.
func recall[Q comparable, T any](m *memory, table map[Q]answer[T], q Q, fresh answer[T]) (T, registry.Checked, error) {
	m.mu.RLock()
	old, known := table[q]
	m.mu.RUnlock()
	switch {
	case known && (errors.Is(fresh.err, registry.ErrUnavailable) || (fresh.proven() && fresh.known.KnownAt.Before(old.known.KnownAt))):
		return old.fact, old.known, old.err
	case fresh.err == nil && !known, fresh.proven() && known && fresh.known.KnownAt.After(old.known.KnownAt):
		remember(m, table, q, fresh)
	}
	return fresh.fact, fresh.known, fresh.err
}

func remember[Q comparable, T any](m *memory, table map[Q]answer[T], q Q, a answer[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, known := table[q]; known && old.known.KnownAt.After(a.known.KnownAt) {
		return // somebody was faster with a newer one
	}
	for other := range table {
		if len(table) < maxRemembered {
			break
		}
		delete(table, other)
	}
	table[q] = a
}

func (m *memory) Key(ctx context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	k, c, err := m.from.Key(ctx, did, id, at)
	if !at.IsZero() {
		return k, c, err
	}
	return recall(m, m.keys, keyQuestion{did, id}, answer[registry.Key]{k, c, err})
}

func (m *memory) Accreditation(ctx context.Context, did registry.DID, vct string, at time.Time) (registry.Accreditation, registry.Checked, error) {
	a, c, err := m.from.Accreditation(ctx, did, vct, at)
	if !at.IsZero() {
		return a, c, err
	}
	return recall(m, m.accrs, accrQuestion{did, vct}, answer[registry.Accreditation]{a, c, err})
}

func (m *memory) Registration(ctx context.Context, did registry.DID, purpose string, at time.Time) (registry.Registration, registry.Checked, error) {
	r, c, err := m.from.Registration(ctx, did, purpose, at)
	if !at.IsZero() {
		return r, c, err
	}
	return recall(m, m.regs, keyQuestion{did, purpose}, answer[registry.Registration]{r, c, err})
}

func (m *memory) TypeDigest(ctx context.Context, vct string) ([32]byte, registry.Checked, error) {
	return m.from.TypeDigest(ctx, vct)
}

var errContradiction = fmt.Errorf("%w: two status epochs under one number", registry.ErrUntrusted)

// StatusEpoch never answers with a lower sequence than before: the older statement is ignored for the remembered one. Two proven
// contents under one sequence are two chains: nothing of it is believed.
func (m *memory) StatusEpoch(ctx context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	e, c, err := m.from.StatusEpoch(ctx, did)
	m.mu.RLock()
	old, known := m.epochs[did]
	m.mu.RUnlock()
	if known && old.err == nil && err == nil && e.Sequence < old.fact.Sequence {
		return old.fact, old.known, nil
	}
	if known && old.err == nil && err == nil && e.Sequence == old.fact.Sequence && e.Root != old.fact.Root {
		m.conflicts.Add(1)
		return registry.StatusEpoch{}, registry.Checked{}, errContradiction
	}
	return recall(m, m.epochs, did, answer[registry.StatusEpoch]{e, c, err})
}
