package node

import "sync"

// maxTokens bounds the memory of tokenMemory.
const maxTokens = 32 << 20

// tokenMemory holds tokens of status lists that were read and found whole, by digest: what has a digest never changes. When
// it is full it begins anew.
type tokenMemory struct {
	mu    sync.Mutex
	size  int
	known map[[32]byte]token
}

// A token of a status list, and the same for transfer.
type token struct{ plain, gzip []byte }

func (m *tokenMemory) get(digest [32]byte) (token, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.known[digest]
	return t, ok
}

func (m *tokenMemory) put(digest [32]byte, t token) {
	n := len(t.plain) + len(t.gzip)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.known[digest]; ok || n > maxTokens {
		return
	}
	if m.known == nil || m.size+n > maxTokens {
		m.known, m.size = map[[32]byte]token{}, 0
	}
	m.known[digest] = t
	m.size += n
}
