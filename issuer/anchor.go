package issuer

import (
	"context"
	"fmt"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// A RegistryAnchor is the Anchor of a tenant on a registry chain: it signs the epoch with the tenant's assertion key and
// hands it to a sponsor's gateway.
type RegistryAnchor struct {
	Submitter registry.Submitter
	Network   string
	ChainID   string
	Signer    keys.Signer
	KeyID     string // fragment of the DID URL
}

// Anchor implements issuer.Anchor. The epoch's number only grows, so a lost answer is followed by the next epoch, never
// by the same one again.
func (a RegistryAnchor) Anchor(ctx context.Context, e registry.StatusEpoch) (uint64, error) {
	public, err := registry.NewPublicKey(a.Signer.Public().Crypto())
	if err != nil {
		return 0, fmt.Errorf("encode key: %w", err)
	}
	op := registry.Operation{
		Network: a.Network, ChainID: a.ChainID, DID: e.Issuer, Seq: e.Sequence,
		Body: &registry.EpochBody{IssuedAt: e.IssuedAt.Unix(), NextUpdate: e.NextUpdate.Unix(), Root: e.Root},
	}
	signed, err := op.Sign(registry.SigningKey{Role: e.Issuer.URL(a.KeyID), Public: public, Signer: a.Signer})
	if err != nil {
		return 0, fmt.Errorf("sign epoch: %w", err)
	}
	outcomes, err := a.Submitter.Submit(ctx, signed)
	if err != nil {
		return 0, fmt.Errorf("submit epoch: %w", err)
	}
	if len(outcomes) != 1 || outcomes[0].Code != string(registry.CodeOK) || outcomes[0].Height == 0 {
		code := "no outcome"
		if len(outcomes) == 1 {
			code = outcomes[0].Code
		}
		return 0, fmt.Errorf("%w: %s", errAnchor, code)
	}
	return outcomes[0].Height, nil
}
