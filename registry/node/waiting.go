package node

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/dojang-id/dojang/registry"
)

const (
	// patience is how many blocks an envelope waits on while each of its operations would be refused. Where it got into the
	// mempools of validators, the next block has it: its callers then hear what that block decided, with a proof. Where it did
	// not, because the block that decided against it was faster, nobody would ever propose it.
	patience = 8
	// codeGivenUp is no refusal: whether another node still brings the envelope into a block is not known.
	codeGivenUp registry.Code = "given-up"
)

// refusedWaiting remembers since when envelopes in the mempool have nothing but operations that would be refused.
type refusedWaiting struct {
	mu    sync.Mutex
	since map[[sha256.Size]byte]uint64 // height
}

// over reports whether the patience with an envelope is over, whose operations would come to these outcomes at a height.
func (w *refusedWaiting) over(tx []byte, outcomes []registry.Outcome, height uint64) bool {
	if slices.ContainsFunc(outcomes, func(o registry.Outcome) bool { return o.Code == string(registry.CodeOK) }) {
		w.forget(tx)
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since == nil {
		w.since = map[[sha256.Size]byte]uint64{}
	}
	key := sha256.Sum256(tx)
	since, ok := w.since[key]
	if !ok {
		since = height
		w.since[key] = since
	}
	return height >= since+patience
}

func (w *refusedWaiting) forget(tx []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.since) > 0 {
		delete(w.since, sha256.Sum256(tx))
	}
}
