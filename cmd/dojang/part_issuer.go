package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/ttlkv"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/store"
	"github.com/dojang-id/dojang/issuer/web"
	"github.com/dojang-id/dojang/registry"
)

// startIssuer hosts the three agencies as tenants of one process.
func (eco *ecosystem) startIssuer(ctx context.Context) error {
	is, st, err := eco.openIssuer(ctx)
	if err != nil {
		return err
	}
	if err := is.Recover(ctx); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	kv, err := ttlkv.Open(ctx, ttlkv.Config{})
	if err != nil {
		return err
	}
	eco.onClose(func() { kv.Close() })
	token, tokens, err := managementToken()
	if err != nil {
		return err
	}
	eco.tokens["issuer"] = token
	server, err := web.New(web.Config{Issuer: is, KV: kv, Tokens: tokens, Log: eco.e.log, Now: eco.clock.Now, Ready: st.Ping})
	if err != nil {
		return err
	}
	eco.issuer = group{
		&service{port: eco.ports.Issuer, handler: server.Public(), env: eco.e},
		&service{port: eco.ports.IssuerManagement, handler: server.Management(), env: eco.e},
		&loop{run: func(ctx context.Context) {
			if err := is.Run(ctx); err != nil && ctx.Err() == nil {
				eco.e.log.Error("issuer stopped publishing", "error", err)
			}
		}},
		eco.keepers["issuer"],
	}
	return eco.issuer.Up(ctx)
}

func (eco *ecosystem) openIssuer(ctx context.Context) (*issuer.Issuer, *store.Store, error) {
	db, log, secret, err := eco.open(ctx, "issuer")
	if err != nil {
		return nil, nil, err
	}
	step := failpoint()
	st, err := store.New(ctx, store.Config{DB: db, Audit: log, Step: step})
	if err != nil {
		return nil, nil, err
	}
	tracker, err := openLight(lightConfig{trust: eco.sub(trustFile), nodes: []string{local(eco.ports.Registry)}, now: eco.clock.Now, env: eco.e})
	if err != nil {
		return nil, nil, err
	}
	cfg := issuer.Config{
		URL: local(eco.ports.Issuer), StatusHost: local(eco.ports.Status), Store: st, Secret: secret, Now: eco.clock.Now, Log: eco.e.log, Step: step,
		PublishEvery: time.Second, // a demo publishes at once; in production at most once a minute
	}
	for _, a := range eco.agencies {
		t := issuer.Tenant{
			ID: a.organisation.name, DID: a.did, Name: a.name, Authority: a.authority, Jurisdiction: a.jurisdiction,
			Key: a.signer, KeyID: a.kid, X5C: a.chain, WalletKey: eco.walletKey(ctx, tracker), Chain: tracker,
			Anchor: issuer.RegistryAnchor{Submitter: tracker, Network: demoNetwork.name, ChainID: demoNetwork.chainID, Signer: a.signer, KeyID: a.kid},
		}
		for _, typ := range a.types {
			t.Types = append(t.Types, typ.Name)
		}
		cfg.Tenants = append(cfg.Tenants, t)
	}
	is, err := issuer.New(cfg)
	return is, st, err
}

// walletKey trusts the wallet providers that the registry knows: by DID URL, for this use, now.
func (eco *ecosystem) walletKey(ctx context.Context, r registry.Resolver) func(h *keys.Header) (*keys.PublicKey, error) {
	return func(h *keys.Header) (*keys.PublicKey, error) {
		did, fragment, err := registry.ParseDIDURL(h.Kid)
		if err != nil {
			return nil, err
		}
		if did != eco.provider.did {
			return nil, registry.ErrNotFound
		}
		key, _, err := r.Key(ctx, did, fragment, time.Time{})
		if err != nil {
			return nil, err
		}
		if key.Use != registry.UseAttestation || !key.InForce(eco.clock.Now()) {
			return nil, registry.ErrNotFound
		}
		return keys.ParseJWK(key.JWK)
	}
}

// failpoint ends the process without any goodbye at the step that DOJANG_FAILPOINT names (kill tests).
func failpoint() func(string) {
	at := os.Getenv("DOJANG_FAILPOINT")
	if at == "" {
		return nil
	}
	return func(name string) {
		if name == at {
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				_ = p.Kill() //nolint:errcheck // nobody is left to hear of it
				select {}
			}
		}
	}
}
