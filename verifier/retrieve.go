package verifier

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vp"
)

// Retrieve signs the request object of a pending transaction, as often as a wallet asks and with the same nonce
// (THREATS D35). walletNonce comes back inside the signature; "" when the wallet sent none.
// Errors: ErrNotFound, ErrFinished, ErrTimedOut.
func (d *Desk) Retrieve(ctx context.Context, tenant, handle, walletNonce string) (string, error) {
	c, err := d.client(tenant)
	if err != nil {
		return "", err
	}
	o, err := d.asked(ctx, tenant, handle)
	if err != nil {
		return "", err
	}
	p, err := d.pending(o.t)
	if err != nil {
		return "", err
	}
	object, err := d.requestObject(c, p, o, walletNonce)
	if err != nil {
		return "", err
	}
	if err := d.fetched(ctx, o.t); err != nil {
		return "", fmt.Errorf("record retrieval: %w", err)
	}
	d.cfg.Step("retrieved")
	return object, nil
}

// asked finds the transaction of a request_uri. What this desk opened and has not ended is still pending, as far as no other
// process could have ended it.
func (d *Desk) asked(ctx context.Context, tenant, handle string) (opened, error) {
	key := nameKey(handle)
	if d.cfg.Alone {
		if o, ok := d.under.byHandle(tenant, key); ok {
			return o, nil
		}
	}
	t, err := d.cfg.Store.Find(ctx, Lookup{Tenant: tenant, By: ByHandle, Hash: key})
	if err != nil {
		return opened{}, err
	}
	if !t.State.Pending() { // its secret is of no use any more
		return opened{t: t}, nil
	}
	o, err := d.open(t)
	if err != nil {
		return opened{}, fmt.Errorf("open transaction: %w", err)
	}
	return o, nil
}

// pending finds the policy under which an open transaction is answered. A policy whose text changed since the request
// ends it: the wallet was asked something else.
func (d *Desk) pending(t Transaction) (*Policy, error) {
	if !t.State.Pending() {
		return nil, ErrFinished
	}
	p := d.policies[t.Policy]
	if !d.cfg.Now().Before(t.ExpiresAt) || p == nil || p.Digest() != t.PolicyDigest {
		return nil, ErrTimedOut
	}
	return p, nil
}

func (d *Desk) requestObject(c *client, p *Policy, o opened, walletNonce string) (string, error) {
	t, s := o.t, o.s
	r := oid4vp.Request{
		ClientID: t.ClientID, ResponseType: oid4vp.ResponseTypeVPToken, ResponseMode: t.ResponseMode,
		ResponseURI: c.BaseURL + "/response", Nonce: s.Nonce, State: s.State, DCQL: &p.query, WalletNonce: walletNonce,
		Audience: oid4vp.AudienceStatic, IssuedAt: t.CreatedAt.Unix(), Expires: t.ExpiresAt.Unix(),
		ClientMetadata: &oid4vp.ClientMetadata{
			VPFormats: map[string]jsontext.Value{
				"dc+sd-jwt": jsontext.Value(`{"sd-jwt_alg_values":["ES256","EdDSA"],"kb-jwt_alg_values":["ES256","EdDSA"]}`),
			},
			ClientName: c.Name["ko"],
		},
	}
	if t.ResponseMode == oid4vp.ModeDirectPostJWT {
		r.ClientMetadata.JWKS = &oid4vp.JWKS{Keys: []jsontext.Value{o.key.JWK()}}
		r.ClientMetadata.EncryptedEncValues = []string{keys.A128GCM, keys.A256GCM}
	}
	if t.Evidence {
		r.Evidence = &oid4vp.EvidenceRequest{Network: d.cfg.Network, MaxAge: int64(p.RegistryMaxAge().Seconds())}
		if d.cfg.TrustedHeight != nil {
			r.Evidence.TrustedHeight = int64(d.cfg.TrustedHeight())
		}
	}
	registered, err := c.registration(p.Purpose())
	if err != nil {
		return "", err
	}
	r.VerifierInfo = []oid4vp.VerifierInfo{registered}
	signer := oid4vp.RequestSigner{Signer: c.signer, X5C: c.Chain}
	if id, err := oid4vp.ParseClientID(t.ClientID); err == nil && id.Prefix == oid4vp.PrefixDID {
		signer = oid4vp.RequestSigner{Signer: c.signer, Kid: c.DID.URL(c.KeyID)}
	}
	object, err := r.Sign(signer)
	if err != nil {
		return "", fmt.Errorf("sign request object: %w", err)
	}
	return object, nil
}

// registrationFormat names the verifier_info element (OpenID4VP 5.11) that tells a wallet under which registration it is
// asked. It is a pointer: what the registration says, the wallet reads from the registry.
const registrationFormat = "dojang_registration"

func (c *client) registration(purpose string) (oid4vp.VerifierInfo, error) {
	data, err := json.Marshal(map[string]string{"kid": c.DID.URL(c.KeyID), "purpose": purpose}, json.Deterministic(true))
	if err != nil {
		return oid4vp.VerifierInfo{}, fmt.Errorf("encode registration: %w", err)
	}
	return oid4vp.VerifierInfo{Format: registrationFormat, Data: data}, nil
}
