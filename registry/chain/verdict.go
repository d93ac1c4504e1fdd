package chain

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync"

	"github.com/dojang-id/dojang/registry"
)

// A verdict is what is known of a transaction's bytes alone: its parts, and which of its signatures held under which
// keys. It never depends on state: which key a signature must be made with is asked anew each time.
type verdict struct {
	tx     *registry.SignedTransaction // nil: refused
	refuse error                       // *registry.Refusal
	ops    []*parsed
	held   heldKeys
}

// parsed is the same of one operation.
type parsed struct {
	op     *registry.SignedOperation // nil: refused
	refuse error
	held   heldKeys
}

// heldKeys says which signature, by its place, holds under which key.
type heldKeys struct {
	mu   sync.Mutex
	held []held
}

type held struct {
	sig int
	key registry.PublicKey
}

// verify checks one signature once.
func (h *heldKeys) verify(sig int, key registry.PublicKey, verify func() error) error {
	h.mu.Lock()
	for _, k := range h.held {
		if k.sig == sig && bytes.Equal(k.key, key) {
			h.mu.Unlock()
			return nil
		}
	}
	h.mu.Unlock()
	if verify() != nil {
		return registry.Refuse(registry.CodeBadSignature, "a signature does not hold")
	}
	h.mu.Lock()
	h.held = append(h.held, held{sig: sig, key: key})
	h.mu.Unlock()
	return nil
}

func (v *verdict) verify(key registry.PublicKey) error {
	return v.held.verify(0, key, func() error { return v.tx.Verify(key) })
}

func (p *parsed) verify(sig int, key registry.PublicKey) error {
	return p.held.verify(sig, key, func() error { return p.op.VerifyAt(sig, key) })
}

func parseOperation(b []byte) *parsed {
	op, err := registry.ParseOperation(b)
	if err != nil {
		return &parsed{refuse: refusalOf(err)}
	}
	return &parsed{op: op}
}

// warm verifies the signature of a create, whose key stands in it. What it finds wrong is found again by the rules.
func (p *parsed) warm() bool {
	if p.op == nil {
		return true
	}
	b, ok := p.op.Body.(*registry.CreateBody)
	return !ok || p.op.Signatures[0].Role != registry.RoleOp || p.verify(0, b.Op) == nil
}

// refusalOf maps what parsers say to the closed list.
func refusalOf(err error) error {
	switch {
	case errors.Is(err, registry.ErrLimit):
		return registry.Refuse(registry.CodeLimit, "larger than allowed")
	case errors.Is(err, registry.ErrSignature):
		return registry.Refuse(registry.CodeBadSignature, "a signature does not hold")
	default:
		return registry.Refuse(registry.CodeMalformed, "not the canonical encoding of something allowed")
	}
}

// warm verifies, outside of any lock, the signatures whose keys are plain: the sponsor's, and those of creates.
func (v *verdict) warm(committed *leafCache) {
	if v.tx == nil {
		return
	}
	leaf, _ := committed.get(registry.SponsorKey(v.tx.Sponsor))
	var sponsor registry.SponsorFact
	if leaf == nil || registry.Decode(leaf, &sponsor) != nil || v.verify(sponsor.Key) != nil {
		return
	}
	for _, p := range v.ops {
		if !p.warm() {
			return
		}
	}
}

// verdicts remembers verdicts by the hash of the transaction, and what is known of operations that are in no transaction
// yet; the oldest go first.
type verdicts struct {
	mu  sync.Mutex
	txs remembered[*verdict]
	ops remembered[*parsed]
}

// remembered is a bounded memory by hash; under verdicts.mu.
type remembered[T any] struct {
	limit int // bytes of what the hashes name
	size  int
	known map[[sha256.Size]byte]T
	order []sized
}

type sized struct {
	hash [sha256.Size]byte
	size int
}

func (r *remembered[T]) add(hash [sha256.Size]byte, size int, v T) {
	if _, ok := r.known[hash]; ok {
		return
	}
	r.known[hash] = v
	r.order = append(r.order, sized{hash, size})
	r.size += size
	for r.size > r.limit && len(r.order) > 1 {
		r.size -= r.order[0].size
		delete(r.known, r.order[0].hash)
		r.order = r.order[1:]
	}
}

// forget drops one; its place in order counts until it is the oldest.
func (r *remembered[T]) forget(hash [sha256.Size]byte) { delete(r.known, hash) }

func newVerdicts(limit int) *verdicts {
	return &verdicts{
		txs: remembered[*verdict]{limit: limit, known: map[[sha256.Size]byte]*verdict{}},
		ops: remembered[*parsed]{limit: limit, known: map[[sha256.Size]byte]*parsed{}},
	}
}

func (vs *verdicts) of(tx []byte, network string) *verdict {
	hash := sha256.Sum256(tx)
	vs.mu.Lock()
	v, ok := vs.txs.known[hash]
	vs.mu.Unlock()
	if ok {
		return v
	}
	v = vs.parse(tx, network)
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.txs.add(hash, len(tx), v)
	return v
}

func (vs *verdicts) parse(tx []byte, network string) *verdict {
	t, err := registry.ParseTransaction(tx, network)
	if err != nil {
		return &verdict{refuse: refusalOf(err)}
	}
	v := &verdict{tx: t, ops: make([]*parsed, len(t.Operations))}
	for i, b := range t.Operations {
		if v.ops[i] = vs.take(b); v.ops[i] == nil {
			v.ops[i] = parseOperation(b)
		}
	}
	return v
}

// take gives what is known of an operation and forgets it: from now on its transaction remembers.
func (vs *verdicts) take(operation []byte) *parsed {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if len(vs.ops.known) == 0 {
		return nil
	}
	hash := sha256.Sum256(operation)
	p := vs.ops.known[hash]
	vs.ops.forget(hash)
	return p
}

// warm parses an operation and verifies what needs no state.
func (vs *verdicts) warm(operation []byte) {
	p := parseOperation(operation)
	if p.op == nil || !p.warm() {
		return
	}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.ops.add(sha256.Sum256(operation), len(operation), p)
}

// forget drops the verdict of an executed transaction.
func (vs *verdicts) forget(tx []byte) {
	hash := sha256.Sum256(tx)
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.txs.forget(hash)
}
