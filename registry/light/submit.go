package light

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// ErrNotAdmitting: no node takes operations at the moment. Nothing was taken; try again later.
var ErrNotAdmitting = errors.New("registry/light: no node admits operations")

// Submit implements registry.Submitter: the first node that admits takes the operations, in order, and every outcome "ok", of a
// claim also "duplicate" and "duplicate-claim", is checked by its proof before it is returned. After an error in the middle an operation may have executed all the same:
// submitting it again is safe, its outcome is then "duplicate". What is asked of this Client afterwards shows what was written.
func (c *Client) Submit(ctx context.Context, operations ...[]byte) ([]registry.Outcome, error) {
	var out []registry.Outcome
	for len(operations) > 0 {
		n, size := 0, 0
		for n < len(operations) && n < MaxOperations && size+len(operations[n]) <= MaxSubmission {
			size += len(operations[n]) + 3
			n++
		}
		if n == 0 {
			return out, registry.ErrLimit
		}
		outcomes, err := c.submit(ctx, operations[:n])
		if err != nil {
			return out, err
		}
		out = append(out, outcomes...)
		operations = operations[n:]
	}
	return out, nil
}

func (c *Client) submit(ctx context.Context, operations [][]byte) ([]registry.Outcome, error) {
	body, err := EncodeOperations(operations)
	if err != nil {
		return nil, err
	}
	outcomes, err := c.post(ctx, body, len(operations))
	if err != nil {
		return nil, err
	}
	var promises []promise
	for i, raw := range operations {
		op, err := registry.ParseOperation(raw)
		if err != nil {
			continue // a refusal then, and nobody's word is needed for it
		}
		if !bytes.Equal(outcomes[i].Hash, op.Hash[:]) {
			return nil, untrusted(errors.New("registry/light: outcome of another operation"))
		}
		if p, ok := promiseOf(op, outcomes[i]); ok {
			promises = append(promises, p)
		}
	}
	return outcomes, c.prove(ctx, promises)
}

// A promise is what a node says that the chain shows of an operation.
type promise struct {
	hash  registry.Hash
	claim *registry.ClaimBody // of a claim; otherwise nil
	leaf  []byte              // its tag
	code  string
}

// promiseOf an outcome; false for one that nobody proves: a refusal may be the gateway's own.
func promiseOf(op *registry.SignedOperation, o registry.Outcome) (promise, bool) {
	p := promise{hash: op.Hash, code: o.Code}
	claim, ok := op.Body.(*registry.ClaimBody)
	if !ok {
		return p, o.Code == string(registry.CodeOK)
	}
	p.claim, p.leaf = claim, registry.ClaimKey(op.DID, claim.RoundRef, claim.Tag)
	switch registry.Code(o.Code) {
	case registry.CodeOK, registry.CodeDuplicate, registry.CodeDuplicateClaim:
		return p, true
	}
	return p, false
}

// kept reports whether facts show what was promised, and from which header on. Of a claim the tag is the record: it has the
// case that won.
func (p promise) kept(f *evidence.Facts) (from uint64, ok bool) {
	if p.claim == nil {
		got, err := f.Outcome(p.hash)
		return got.Height + 1, err == nil && got.Code == p.code
	}
	var fact registry.ClaimFact
	if raw, err := f.Get(p.leaf); err != nil || registry.Decode(raw, &fact) != nil {
		return 0, false
	}
	return f.Head().Height, (fact.Case == p.claim.Case) != (p.code == string(registry.CodeDuplicateClaim))
}

// written raises the floor: answers under older headers lack what was just written. Heights come from checked Evidence only.
func (c *Client) written(header uint64) {
	for {
		old := c.floor.Load()
		if header <= old || c.floor.CompareAndSwap(old, header) {
			return
		}
	}
}

func (c *Client) post(ctx context.Context, body []byte, n int) ([]registry.Outcome, error) {
	last := ErrNotAdmitting
	for _, node := range c.cfg.Nodes {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, node+"/v1/operations", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", TypeOperations)
		raw, status, err := do(c.submitHTTP, req, maxStatus)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			last = fmt.Errorf("%w: %w", ErrNotAdmitting, err)
		case status == http.StatusOK:
			return DecodeOutcomes(raw, n)
		case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
			last = ErrNotAdmitting
		default:
			return nil, fmt.Errorf("submit operations: registry node answered %d", status)
		}
	}
	return nil, last
}

// prove checks promises against Evidence. A node that does not show them may lag behind the one that promised: the next is asked.
func (c *Client) prove(ctx context.Context, promises []promise) error {
	for len(promises) > 0 {
		some := promises[:min(len(promises), MaxQueryKeys)]
		var q Query
		for _, p := range some {
			if p.claim != nil {
				q.Leaves = append(q.Leaves, p.leaf)
			} else {
				q.Operations = append(q.Operations, p.hash)
			}
		}
		if err := c.ask(ctx, func(ctx context.Context, node string) error {
			facts, _, err := c.fetchFrom(ctx, node, q)
			if err != nil {
				return err
			}
			for _, p := range some {
				from, ok := p.kept(facts)
				if !ok {
					return untrusted(errors.New("registry/light: node acknowledged what the chain does not show"))
				}
				c.written(from)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("prove outcomes: %w", err)
		}
		promises = promises[len(some):]
	}
	return nil
}
