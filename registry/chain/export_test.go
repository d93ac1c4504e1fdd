package chain

import (
	"testing"

	ics23 "github.com/cosmos/ics23/go"

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
	m.leaves.commit(o.writes) // CheckTx reads the committed state: let it see this one as well
}

// LibraryProof is the tree library's own ICS 23 proof of a key.
func LibraryProof(t *testing.T, m *Machine, key []byte) *ics23.CommitmentProof {
	t.Helper()
	tree, err := m.newest()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tree.GetProof(key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
