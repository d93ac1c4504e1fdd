package keys

import "sync"

// A MemoryStore forgets its keys with the process: for tests and throw-away tools.
type MemoryStore struct {
	mu   sync.Mutex
	keys map[string]Signer // guarded by mu
}

// NewMemoryStore makes an empty one.
func NewMemoryStore() *MemoryStore { return &MemoryStore{keys: map[string]Signer{}} }

// Create implements Store.
func (s *MemoryStore) Create(name, alg string) (Signer, error) {
	key, err := Generate(alg)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.keys[name]; taken {
		return nil, ErrExists
	}
	s.keys[name] = key
	return key, nil
}

// Signer implements Store.
func (s *MemoryStore) Signer(name string) (Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[name]
	if !ok {
		return nil, ErrNotFound
	}
	return key, nil
}
