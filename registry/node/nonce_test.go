package node

import (
	"context"
	"crypto"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// TestTwoGatewaysOfOneMember: both take nonces of the same account, and neither tells its callers of it.
func TestTwoGatewaysOfOneMember(t *testing.T) {
	var sponsor crypto.Signer
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 500 * time.Millisecond, Each: func(i int, cfg *Config) {
		if i == 0 {
			sponsor = cfg.Sponsor
		}
		cfg.Sponsor = sponsor
	}})
	const callers, each = 24, 12
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes, refused := map[string]int{}, 0
	for caller := range callers {
		wg.Go(func() {
			n := l.Nodes[caller%4]
			for range each {
				op, _, _ := create(t, n)
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				out, err := n.Submit(ctx, op)
				cancel()
				mu.Lock()
				switch {
				case errors.Is(err, ErrRefusedEnvelope):
					refused++
				case err != nil:
					t.Error(err)
				default:
					codes[out[0].Code]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if codes[string(registry.CodeOK)] != callers*each {
		t.Errorf("of %d operations: %v, %d refused with their envelope", callers*each, codes, refused)
	}
}

// TestNoncesAfterRefusals: a member over its quota sends as before when the next window has begun, however much was refused.
func TestNoncesAfterRefusals(t *testing.T) {
	r := &running{}
	highest := uint64(5000)
	for i := range 10_000 {
		if n := r.nextNonce(highest, 1+i%maxTries); n <= highest-registry.NonceWindow || n > highest+registry.NonceWindow {
			t.Fatalf("after %d refusals: nonce %d, the highest used is %d", i, n, highest)
		}
	}
	t.Run("each one once while they are taken", func(t *testing.T) {
		r, seen := &running{}, map[uint64]bool{}
		for i := range uint64(500) { // in flight at once
			if n := r.nextNonce(i/2, 1); seen[n] {
				t.Fatalf("nonce %d twice", n)
			} else {
				seen[n] = true
			}
		}
	})
}
