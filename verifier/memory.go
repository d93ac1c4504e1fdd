package verifier

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// memory is a Resolver that remembers the last proven answers of another one, for when that one has nothing any more.
// A remembered answer keeps its old KnownAt: it can make a judgement stale, never fresh, and it lets a known revocation
// stay REVOKED in the longest outage. It also refuses epochs that go back (THREATS C07).
type memory struct {
	from registry.Resolver

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

// recall answers from a table when fresh is "unavailable", and writes newer proven answers into it.
// Questions about a moment in the past are not remembered.
func recall[Q comparable, T any](m *memory, table map[Q]answer[T], q Q, fresh answer[T]) (T, registry.Checked, error) {
	m.mu.RLock()
	old, known := table[q]
	m.mu.RUnlock()
	switch {
	case errors.Is(fresh.err, registry.ErrUnavailable) && known:
		return old.fact, old.known, old.err
	case fresh.proven() && (!known || fresh.known.KnownAt.After(old.known.KnownAt)):
		m.mu.Lock()
		if len(table) >= maxRemembered {
			clear(table)
		}
		table[q] = fresh
		m.mu.Unlock()
	}
	return fresh.fact, fresh.known, fresh.err
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

// StatusEpoch never answers with a lower sequence than before: the older statement is ignored for the remembered one.
func (m *memory) StatusEpoch(ctx context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	e, c, err := m.from.StatusEpoch(ctx, did)
	m.mu.RLock()
	old, known := m.epochs[did]
	m.mu.RUnlock()
	if known && old.err == nil && err == nil && e.Sequence < old.fact.Sequence {
		return old.fact, old.known, nil
	}
	return recall(m, m.epochs, did, answer[registry.StatusEpoch]{e, c, err})
}
