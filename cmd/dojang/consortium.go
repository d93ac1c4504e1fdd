package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// A consortium is the demo's only member, KR Trust Authority, threshold 1 of 1. It writes what is not on the chain yet and
// leaves what is: a second start changes nothing.
type consortium struct {
	governance keys.Signer
	resolver   registry.Resolver
	submitter  registry.Submitter
	now        func() time.Time
	// empty: the chain has just begun, so nothing is on it and nothing needs to be asked.
	empty bool
	// unfounded: the founding was never finished. A chain without a single fact proves nothing, not even absence.
	unfounded bool

	names   []string
	pending [][]byte
}

// memberID is the founding member of the demo.
const memberID = "kr-trust-authority"

// add signs an operation as the member and keeps it for flush.
func (c *consortium) add(what string, did registry.DID, body registry.Body) error {
	public, err := registry.NewPublicKey(c.governance.Public().Crypto())
	if err != nil {
		return err
	}
	signed, err := registry.Operation{Network: demoNetwork.name, ChainID: demoNetwork.chainID, DID: did, Body: body}.
		Sign(registry.SigningKey{Role: registry.RoleMember(memberID), Public: public, Signer: c.governance})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c.names, c.pending = append(c.names, what), append(c.pending, signed)
	return nil
}

// flush submits what is missing, in order and in one batch, and waits until every outcome is provable.
func (c *consortium) flush(ctx context.Context) error {
	if len(c.pending) == 0 {
		return nil
	}
	outcomes, err := c.submitter.Submit(ctx, c.pending...)
	if err != nil {
		return fmt.Errorf("write the organisations on the chain: %w", err)
	}
	for i, o := range outcomes {
		switch code := registry.Code(o.Code); code {
		case registry.CodeOK, registry.CodeExists, registry.CodeDuplicate:
		default:
			return fmt.Errorf("%s: the chain refused: %s", c.names[i], code)
		}
	}
	return nil
}

// present asks the chain whether a fact is there; absence is proven, not guessed.
func (c *consortium) present(ask func() (registry.Checked, error)) (bool, error) {
	if c.empty {
		return false, nil
	}
	_, err := ask()
	if errors.Is(err, registry.ErrNotFound) || c.unfounded && errors.Is(err, registry.ErrUnavailable) {
		return false, nil
	}
	return err == nil, err
}

// enrol writes an organisation's DID.
func (c *consortium) enrol(ctx context.Context, o *organisation) error {
	if present, err := c.present(func() (registry.Checked, error) {
		_, known, err := c.resolver.Key(ctx, o.did, o.kid, time.Time{})
		return known, err
	}); present || err != nil {
		return err
	}
	c.names, c.pending = append(c.names, "create the DID of "+o.name), append(c.pending, o.create)
	return nil
}

// accredit lets an agency issue a type.
func (c *consortium) accredit(ctx context.Context, o *organisation, t *schemas.Type, statusHost string) error {
	if present, err := c.present(func() (registry.Checked, error) {
		_, known, err := c.resolver.Accreditation(ctx, o.did, t.VCT, time.Time{})
		return known, err
	}); present || err != nil {
		return err
	}
	var basis []string
	for _, b := range t.LegalBases {
		basis = append(basis, b.Code)
	}
	return c.add("accredit "+o.name, o.did, &registry.AccreditBody{
		Type: t.VCT, N: 1, Basis: basis, Roots: [][32]byte{o.rootDigest()}, Host: statusHost, From: c.now().Unix(),
	})
}

// register lets a verifier ask for claims.
func (c *consortium) register(ctx context.Context, o *organisation, r registry.RegisterBody) error {
	if present, err := c.present(func() (registry.Checked, error) {
		_, known, err := c.resolver.Registration(ctx, o.did, r.Purpose, time.Time{})
		return known, err
	}); present || err != nil {
		return err
	}
	r.From = c.now().Unix()
	return c.add("register "+o.name, o.did, &r)
}

// fixType puts the digest of a type's metadata on the chain.
func (c *consortium) fixType(ctx context.Context, t *schemas.Type) error {
	if present, err := c.present(func() (registry.Checked, error) {
		_, known, err := c.resolver.TypeDigest(ctx, t.VCT)
		return known, err
	}); present || err != nil {
		return err
	}
	return c.add("fix type "+t.Name, "", &registry.TypeDigestBody{Type: t.VCT, Digest: t.Digest()})
}
