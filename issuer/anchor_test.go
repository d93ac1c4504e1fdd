package issuer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// gateway answers with what it is told and keeps what it got.
type gateway struct {
	got     []byte
	outcome []registry.Outcome
	err     error
}

func (g *gateway) Submit(_ context.Context, ops ...[]byte) ([]registry.Outcome, error) {
	g.got = ops[0]
	return g.outcome, g.err
}

func TestRegistryAnchor(t *testing.T) {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	epoch := registry.StatusEpoch{Issuer: "did:dojang:test:zQm1", Sequence: 7, IssuedAt: at, NextUpdate: at.Add(time.Hour), Root: [32]byte{1}}
	g := &gateway{outcome: []registry.Outcome{{Height: 12, Code: "ok"}}}
	a := RegistryAnchor{Submitter: g, Network: "test", ChainID: "test-1", Signer: key, KeyID: "key-1"}
	h, err := a.Anchor(context.Background(), epoch)
	if err != nil || h != 12 {
		t.Fatal(h, err)
	}
	op, err := registry.ParseOperation(g.got)
	if err != nil {
		t.Fatal(err)
	}
	public, err := registry.NewPublicKey(key.Public().Crypto())
	if err != nil {
		t.Fatal(err)
	}
	body, ok := op.Body.(*registry.EpochBody)
	if !ok || op.Seq != 7 || op.DID != epoch.Issuer || body.Root != epoch.Root || body.IssuedAt != at.Unix() || body.NextUpdate != at.Add(time.Hour).Unix() {
		t.Errorf("%+v", op)
	}
	if err := op.Verify("did:dojang:test:zQm1#key-1", public); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]*gateway{
		"refused":     {outcome: []registry.Outcome{{Height: 12, Code: "too-soon"}}},
		"no outcome":  {},
		"no height":   {outcome: []registry.Outcome{{Code: "ok"}}},
		"unreachable": {err: registry.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			a.Submitter = bad
			if h, err := a.Anchor(context.Background(), epoch); err == nil || h != 0 || bad.err == nil && !errors.Is(err, errAnchor) {
				t.Error(h, err)
			}
		})
	}
}
