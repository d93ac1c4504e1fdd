package drill

import (
	"bufio"
	"fmt"
	"os"
	"sync"

	"github.com/go-json-experiment/json"
)

// Results of a submission, as the one who submitted sees them.
const (
	Acknowledged = "acknowledged" // the gateway said what became of it
	Unknown      = "unknown"      // no answer: it may have executed
	Failed       = "failed"       // nothing was taken
)

// An Entry is one line of the history file.
type Entry struct {
	Kind string  `json:"kind"` // "op", "fault", "healed"
	At   float64 `json:"at_s"` // when it began
	// Of an operation:
	Hash   string  `json:"hash,omitempty"`
	DID    string  `json:"did,omitempty"`
	Seq    uint64  `json:"seq,omitempty"`
	Result string  `json:"result,omitempty"`
	Code   string  `json:"code,omitempty"`
	Height uint64  `json:"height,omitempty"`
	Took   float64 `json:"took_ms,omitempty"`
	Error  string  `json:"error,omitempty"`
	// Of an operation: whose gateway; of a fault: whom it hit. From 1.
	Node  int    `json:"node,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// A History is the file of one drill: a failure can be looked at, and replayed by its seed. Safe for concurrent use.
type History struct {
	path string

	mu      sync.Mutex
	file    *os.File
	out     *bufio.Writer
	entries []Entry
}

// NewHistory makes the file.
func NewHistory(path string) (*History, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("drill history: %w", err)
	}
	return &History{path: path, file: f, out: bufio.NewWriter(f)}, nil
}

// Path of the file.
func (h *History) Path() string { return h.path }

// Add appends an entry.
func (h *History) Add(e Entry) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries = append(h.entries, e)
	_, err = h.out.Write(append(raw, '\n'))
	return err
}

// Entries so far.
func (h *History) Entries() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Entry(nil), h.entries...)
}

// Close writes what is left.
func (h *History) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); err != nil {
		return err
	}
	return h.file.Close()
}
