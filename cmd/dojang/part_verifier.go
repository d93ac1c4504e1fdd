package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/store"
	"github.com/dojang-id/dojang/verifier/web"
)

// startVerifier knows URLs and a trust file, never another party.
func (eco *ecosystem) startVerifier(ctx context.Context) error {
	tracker, err := openLight(lightConfig{
		trust: eco.sub(trustFile), nodes: []string{local(eco.ports.Registry)}, dir: eco.sub("verifier", "registry"),
		now: eco.clock.Now, http: eco.dials, ttl: 200 * time.Millisecond, env: eco.e,
	})
	if err != nil {
		return err
	}
	eco.known = tracker
	var roots []*x509.Certificate
	var issuers []registry.DID
	for _, a := range eco.agencies {
		roots, issuers = append(roots, a.root), append(issuers, a.did)
	}
	tracker.Subscribe(issuers...)
	host, err := eco.statusHost()
	if err != nil {
		return err
	}
	v, err := verifier.New(verifier.Config{
		Network: demoNetwork.name, Registry: tracker, Status: tracker, StatusHost: host, Roots: roots,
		Staples: func(raw []byte, now time.Time) (verifier.Staple, error) { // under the newest trust: bundles are followed
			return verifier.Staples(evidence.Checker{Trust: tracker.Trust()})(raw, now)
		},
	})
	if err != nil {
		return err
	}
	eco.caughtUp = func(ctx context.Context) error { return v.Refresh(ctx, eco.clock.Now()) }
	desk, st, err := eco.desk(ctx, v, tracker)
	if err != nil {
		return err
	}
	token := httpd.NewToken()
	eco.tokens["verifier"] = token
	server, err := web.New(web.Config{
		Desk: desk, Registry: tracker, Ready: st.Ping, Log: eco.e.log, Now: eco.clock.Now,
		Tokens: []httpd.Token{{Name: "demo", Hash: httpd.HashToken(token), Tenant: eco.company.name}},
	})
	if err != nil {
		return err
	}
	eco.verifier = group{
		&loop{run: func(ctx context.Context) { _ = tracker.Follow(ctx) }}, //nolint:errcheck // ends with ctx; what fails is logged there
		&loop{run: func(ctx context.Context) { keepHouse(ctx, eco, v, desk) }},
		eco.keepers["verifier"],
		&service{port: eco.ports.Verifier, handler: eco.dials.mark(server.Public()), env: eco.e},
		&service{port: eco.ports.VerifierManagement, handler: server.Management(), env: eco.e},
	}
	return eco.verifier.Up(ctx)
}

// keepHouse prefetches lists, so that a presentation asks nobody, and ends what has expired.
func keepHouse(ctx context.Context, eco *ecosystem, v *verifier.Verifier, desk *verifier.Desk) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := v.Refresh(ctx, eco.clock.Now()); err != nil && ctx.Err() == nil {
			eco.e.log.Info("status lists not refreshed", "error", err)
		}
		if err := desk.Tick(ctx); err != nil && ctx.Err() == nil {
			eco.e.log.Error("verifier housekeeping", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (eco *ecosystem) desk(ctx context.Context, v *verifier.Verifier, tracker *light.Client) (*verifier.Desk, *store.Store, error) {
	db, log, secret, err := eco.open(ctx, "verifier")
	if err != nil {
		return nil, nil, err
	}
	st, err := store.Open(ctx, db, log)
	if err != nil {
		return nil, nil, err
	}
	round, _, _ := demoRound(eco.clock.Now())
	policies, err := verifier.BuiltinPolicies(map[string]map[string]string{"youth-support": {"round": round}})
	if err != nil {
		return nil, nil, err
	}
	signer, err := keys.CryptoSigner(eco.company.signer)
	if err != nil {
		return nil, nil, err
	}
	desk, err := verifier.NewDesk(verifier.DeskConfig{
		Verifier: v, Store: st, Alone: !db.Postgres(), Policies: policies, SealKey: secret, Network: demoNetwork.name,
		TrustedHeight: func() uint64 { return tracker.Trust().Height }, Now: eco.clock.Now, Step: failpoint(),
		Clients: []verifier.Client{{
			Tenant: eco.company.name, BaseURL: local(eco.ports.Verifier), Name: map[string]string{"ko": "별마루 편의점", "en": "Byeolmaru Store"},
			DID: eco.company.did, KeyID: eco.company.kid, Signer: signer, Chain: eco.company.chain, DNS: "localhost",
		}},
	})
	return desk, st, err
}

// statusHost is the last way to a list that no node gave: the consortium's host, once, with the hardened client.
func (eco *ecosystem) statusHost() (func(ctx context.Context, uri, mediaType string) ([]byte, error), error) {
	client, err := httpd.NewClient(httpd.ClientConfig{Origins: []string{local(eco.ports.Status)}, MaxBody: 16 << 20})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, uri, mediaType string) ([]byte, error) {
		if u, err := url.Parse(uri); err == nil {
			eco.dials.see(ctx, u)
		}
		res, err := client.Do(ctx, httpd.Request{URL: uri, Header: http.Header{"Accept": {mediaType}}})
		if err != nil {
			return nil, err
		}
		if res.Status != http.StatusOK || res.ContentType != mediaType {
			return nil, fmt.Errorf("status host answered %d", res.Status)
		}
		return res.Body, nil
	}, nil
}
