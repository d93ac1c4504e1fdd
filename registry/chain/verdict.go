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
	ops    []parsed

	mu   sync.Mutex
	held []held // under mu
}

type parsed struct {
	op     *registry.SignedOperation // nil: refused
	refuse error
}

// held says: signature sig of operation op (-1: of the transaction) holds under key.
type held struct {
	op, sig int
	key     registry.PublicKey
}

func newVerdict(tx []byte, network string) *verdict {
	t, err := registry.ParseTransaction(tx, network)
	if err != nil {
		return &verdict{refuse: refusalOf(err)}
	}
	v := &verdict{tx: t, ops: make([]parsed, len(t.Operations))}
	for i, b := range t.Operations {
		op, err := registry.ParseOperation(b)
		if err != nil {
			v.ops[i].refuse = refusalOf(err)
			continue
		}
		v.ops[i].op = op
	}
	return v
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

// verify checks one signature once.
func (v *verdict) verify(op, sig int, key registry.PublicKey) error {
	v.mu.Lock()
	for _, h := range v.held {
		if h.op == op && h.sig == sig && bytes.Equal(h.key, key) {
			v.mu.Unlock()
			return nil
		}
	}
	v.mu.Unlock()
	var err error
	if op < 0 {
		err = v.tx.Verify(key)
	} else {
		err = v.ops[op].op.VerifyAt(sig, key)
	}
	if err != nil {
		return registry.Refuse(registry.CodeBadSignature, "a signature does not hold")
	}
	v.mu.Lock()
	v.held = append(v.held, held{op: op, sig: sig, key: key})
	v.mu.Unlock()
	return nil
}

// warm verifies, outside of any lock, the signatures whose keys are plain: the sponsor's, and those of creates. What it
// finds wrong is found again by the rules.
func (v *verdict) warm(committed reader) {
	if v.tx == nil {
		return
	}
	sponsor, err := readPlain[registry.SponsorFact](committed, registry.SponsorKey(v.tx.Sponsor))
	if err != nil || sponsor == nil || v.verify(-1, 0, sponsor.Key) != nil {
		return
	}
	for i, p := range v.ops {
		if p.op == nil {
			continue
		}
		if b, ok := p.op.Body.(*registry.CreateBody); ok && p.op.Signatures[0].Role == registry.RoleOp {
			if v.verify(i, 0, b.Op) != nil {
				return
			}
		}
	}
}

// verdicts remembers verdicts by the hash of the transaction, the oldest go first.
type verdicts struct {
	limit int // bytes of transactions

	mu    sync.Mutex
	size  int
	known map[[sha256.Size]byte]*verdict
	order []remembered
}

type remembered struct {
	hash [sha256.Size]byte
	size int
}

func newVerdicts(limit int) *verdicts {
	return &verdicts{limit: limit, known: map[[sha256.Size]byte]*verdict{}}
}

func (vs *verdicts) of(tx []byte, network string) *verdict {
	hash := sha256.Sum256(tx)
	vs.mu.Lock()
	v, ok := vs.known[hash]
	vs.mu.Unlock()
	if ok {
		return v
	}
	v = newVerdict(tx, network)
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if _, ok := vs.known[hash]; !ok {
		vs.known[hash] = v
		vs.order = append(vs.order, remembered{hash, len(tx)})
		vs.size += len(tx)
	}
	for vs.size > vs.limit && len(vs.order) > 1 {
		vs.size -= vs.order[0].size
		delete(vs.known, vs.order[0].hash)
		vs.order = vs.order[1:]
	}
	return v
}

// forget drops the verdict of an executed transaction.
func (vs *verdicts) forget(tx []byte) {
	hash := sha256.Sum256(tx)
	vs.mu.Lock()
	defer vs.mu.Unlock()
	delete(vs.known, hash) // its place in order counts until it is the oldest
}
