package sdjwt

import "hash/maphash"

// A textTable is a set of digests in order of arrival: open addressing over a seeded hash, so that a sender cannot
// choose collisions. Two allocations whatever the size; a map of the same texts needs one a bucket.
type textTable struct {
	seed  maphash.Seed
	slots []uint32 // 1 + index into texts
	texts []string
}

// newTextTable has room for n texts before it grows.
func newTextTable(n int) *textTable {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return &textTable{seed: maphash.MakeSeed(), slots: make([]uint32, size), texts: make([]string, 0, n)}
}

// add appends s unless it is there; fresh false then.
func (t *textTable) add(s string) (fresh bool) {
	at, index := t.find(s)
	if index >= 0 {
		return false
	}
	t.texts = append(t.texts, s)
	t.slots[at] = uint32(len(t.texts))
	if 2*len(t.texts) > len(t.slots) {
		t.grow()
	}
	return true
}

// index of s in order of arrival, -1 when it is not there.
func (t *textTable) index(s string) int {
	_, index := t.find(s)
	return index
}

func (t *textTable) find(s string) (at, index int) {
	mask := len(t.slots) - 1
	for at = int(maphash.String(t.seed, s)) & mask; ; at = (at + 1) & mask {
		switch i := int(t.slots[at]) - 1; {
		case i < 0:
			return at, -1
		case t.texts[i] == s:
			return at, i
		}
	}
}

func (t *textTable) grow() {
	t.slots = make([]uint32, 2*len(t.slots))
	for i, s := range t.texts {
		at, _ := t.find(s)
		t.slots[at] = uint32(i + 1)
	}
}
