package node

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// sealed is a gateway whose envelopes are a count, with the channel on which they go out.
func sealed(t *testing.T) (*gateway, chan []byte) {
	t.Helper()
	n, out := byte(0), make(chan []byte, 8)
	g := newGateway(gatewayConfig{
		Warm:   func([]byte) {},
		Seal:   func([][]byte, int) ([]byte, error) { n++; return []byte{n}, nil },
		Send:   func(envelope []byte) error { out <- envelope; return nil },
		Admits: func(context.Context) error { return nil },
		Now:    time.Now,
	})
	t.Cleanup(g.stop)
	return g, out
}

// TestDropped: what the mempool took and then dropped is settled at once, not by the wait for lost envelopes.
func TestDropped(t *testing.T) {
	submit := func(g *gateway) (chan []registry.Outcome, chan error) {
		outcomes, failed := make(chan []registry.Outcome, 1), make(chan error, 1)
		go func() {
			out, err := g.submit(t.Context(), [][]byte{[]byte("operation")})
			outcomes <- out
			failed <- err
		}()
		return outcomes, failed
	}
	t.Run("its nonce was used by a replayed block: sent again", func(t *testing.T) {
		g, sent := sealed(t)
		outcomes, failed := submit(g)
		first := <-sent
		g.onDropped(first)
		second := <-sent
		if bytes.Equal(first, second) {
			t.Fatal("the same envelope went out twice")
		}
		g.onExecuted(first, []registry.Outcome{{Code: "wrong"}}) // it is nobody's any more
		g.onExecuted(second, []registry.Outcome{{Code: string(registry.CodeOK)}})
		g.onHeader()
		if out, err := <-outcomes, <-failed; err != nil || out[0].Code != string(registry.CodeOK) {
			t.Fatalf("%v %v", out, err)
		}
	})
	t.Run("its quota is used up: another node may still have it", func(t *testing.T) {
		g, sent := sealed(t)
		outcomes, failed := submit(g)
		envelope := <-sent
		(&running{gateway: g}).dropped(envelope, registry.CodeQuota)
		g.onHeader()
		g.onExecuted(envelope, []registry.Outcome{{Code: string(registry.CodeOK), Height: 7}})
		g.onHeader()
		if out, err := <-outcomes, <-failed; err != nil || out[0].Height != 7 {
			t.Fatalf("%v %v", out, err)
		}
		if len(sent) != 0 {
			t.Fatal("sent again")
		}
	})
}
