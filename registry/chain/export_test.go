package chain

import (
	"testing"

	"github.com/dojang-id/dojang/registry"
)

// RemoveMember marks a member as removed in the committed state, as a governance operation will one day, by hand.
func RemoveMember(t *testing.T, m *Machine, id string) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	o := newOverlay(m.committed())
	fact, _, err := readFact[registry.MemberFact](o, registry.MemberFamily(id))
	if err != nil || fact == nil {
		t.Fatal("no such member")
	}
	fact.Removed = m.height
	w := writer{overlay: o, height: m.height}
	w.fact(registry.MemberFamily(id), *fact)
	if w.err != nil {
		t.Fatal(w.err)
	}
	if err := m.apply(o); err != nil {
		t.Fatal(err)
	}
	// CheckTx reads the committed state: let it see this one as well.
	m.check = newOverlay(m.committed())
	o.mergeInto(m.check)
}
