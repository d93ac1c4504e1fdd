package bench

import (
	"sync"
	"time"
)

// Latencies collects those of callers who run at once. The zero value is ready.
type Latencies struct {
	mu sync.Mutex
	ms []float64
}

// Add one.
func (l *Latencies) Add(d time.Duration) {
	l.mu.Lock()
	l.ms = append(l.ms, float64(d)/1e6)
	l.mu.Unlock()
}

// Ms are those so far, in milliseconds.
func (l *Latencies) Ms() []float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ms
}
