package light

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/dojang-id/dojang/registry"
)

// ErrNotAdmitting: no node takes operations at the moment. Nothing was taken; try again later.
var ErrNotAdmitting = errors.New("registry/light: no node admits operations")

// Submit implements registry.Submitter: the first node that admits takes the operations, in order, and every outcome "ok"
// is checked by its proof before it is returned. After an error in the middle an operation may have executed all the same:
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
	for i, raw := range operations {
		op, err := registry.ParseOperation(raw)
		if err != nil {
			continue // a refusal then, and nobody's word is needed for it
		}
		if !bytes.Equal(outcomes[i].Hash, op.Hash[:]) {
			return nil, untrusted(errors.New("registry/light: outcome of another operation"))
		}
	}
	return outcomes, c.prove(ctx, outcomes)
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

// prove checks the outcomes that say "ok" against Evidence.
func (c *Client) prove(ctx context.Context, outcomes []registry.Outcome) error {
	var hashes []registry.Hash
	for _, o := range outcomes {
		if o.Code == string(registry.CodeOK) {
			hash, err := registry.ParseHash(o.Hash)
			if err != nil {
				return untrusted(err)
			}
			hashes = append(hashes, hash)
		}
	}
	for len(hashes) > 0 {
		n := min(len(hashes), MaxQueryKeys)
		facts, _, err := c.fetch(ctx, Query{Operations: hashes[:n]}, nil)
		if err != nil {
			return fmt.Errorf("prove outcomes: %w", err)
		}
		for _, hash := range hashes[:n] {
			got, err := facts.Outcome(hash)
			if err != nil || got.Code != string(registry.CodeOK) {
				return untrusted(errors.New("registry/light: node acknowledged what the chain does not show"))
			}
			c.written(got.Height + 1)
		}
		hashes = hashes[n:]
	}
	return nil
}
