package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/dojang-id/dojang/internal/aries"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/console"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/web"
	"github.com/dojang-id/dojang/schemas"
)

const trustFile = "trust.json"

// startRegistry makes the network at the first start: one validator, one member, marked development in its genesis.
func (eco *ecosystem) startRegistry(ctx context.Context) error {
	home := eco.sub("registry", "node")
	governance, err := eco.governance()
	if err != nil {
		return err
	}
	if err := eco.genesis(home, governance); err != nil {
		return err
	}
	client, err := httpd.NewClient(httpd.ClientConfig{Origins: eco.origins()})
	if err != nil {
		return err
	}
	var types []node.TypeMetadata
	for _, t := range schemas.All() {
		types = append(types, node.TypeMetadata{Name: t.Name, VCT: t.VCT, JSON: t.TypeMetadata()})
	}
	store, err := eco.keys("registry")
	if err != nil {
		return err
	}
	anchors, err := anchorKeys(store)
	if err != nil {
		return err
	}
	n, err := node.New(node.Config{Home: home, Fetch: fetchWith(client), Types: types, Anchors: anchors, Logger: eco.e.log})
	if err != nil {
		return err
	}
	token, tokens, err := managementToken()
	if err != nil {
		return err
	}
	eco.tokens["registry"] = token
	server, err := web.New(web.Config{
		Node: n, StatusURL: local(eco.ports.Status), Validate: aries.ValidateDocument, Tokens: tokens,
		Mux: httpd.MuxConfig{Log: eco.e.log}, Logger: eco.e.log,
	})
	if err != nil {
		return err
	}
	public, err := withExplorer(httpd.MuxConfig{Log: eco.e.log}, n, server.Public())
	if err != nil {
		return err
	}
	eco.registry = group{
		nodePart{n},
		&service{port: eco.ports.Registry, handler: public, env: eco.e},
		&service{port: eco.ports.RegistryManagement, handler: server.Management(), env: eco.e},
	}
	eco.status = &service{port: eco.ports.Status, handler: server.StatusHost(), env: eco.e}
	if err := (group{eco.registry, eco.status}).Up(ctx); err != nil {
		return err
	}
	return eco.trust(ctx, n)
}

// withExplorer puts the pages for people beside the node's HTTP for programs, under one URL.
func withExplorer(guard httpd.MuxConfig, n *node.Node, api http.Handler) (http.Handler, error) {
	cfg, err := console.FromNode(n, n)
	if err != nil {
		return nil, err
	}
	source, err := console.NewChainSource(cfg)
	if err != nil {
		return nil, err
	}
	guard.PerIP, guard.Burst = 50, 200
	pages, err := console.New(console.Config{Source: source, Mux: guard, Log: guard.Log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	for _, prefix := range []string{"/{$}", "/ko/", "/en/", "/evidence/", "/assets/"} {
		mux.Handle(prefix, pages.Handler())
	}
	return mux, nil
}

// nodePart starts and stops the engine with the listeners.
type nodePart struct{ *node.Node }

func (p nodePart) Up(ctx context.Context) error {
	if err := p.Start(ctx); err != nil {
		return err
	}
	return p.WaitHeight(ctx, 1) // a header to trust
}

func (p nodePart) Down(ctx context.Context) error {
	if err := p.Stop(ctx); !errors.Is(err, node.ErrDown) {
		return err
	}
	return nil
}

// governance is the member's offline key; here it lies in the data directory like everything else.
func (eco *ecosystem) governance() (keys.Signer, error) {
	store, err := eco.keys("registry")
	if err != nil {
		return nil, err
	}
	return keys.OpenOrCreate(store, "governance", keys.EdDSA)
}

func (eco *ecosystem) genesis(home string, governance keys.Signer) error {
	identity, err := node.Init(home)
	if err != nil {
		return err
	}
	jwk := func(k crypto.PublicKey) ([]byte, error) {
		public, err := registry.NewPublicKey(k)
		if err != nil {
			return nil, err
		}
		return public.JWK()
	}
	member := chain.GenesisMember{ID: memberID, Name: map[string]string{"ko": "한국신뢰기관", "en": "KR Trust Authority"}}
	if member.GovernanceKey, err = jwk(governance.Public().Crypto()); err != nil {
		return err
	}
	if member.SponsorKey, err = jwk(identity.Sponsor); err != nil {
		return err
	}
	err = node.Genesis{
		Chain: chain.Genesis{
			Format: "dojang-genesis/1", Network: demoNetwork.name, ChainID: demoNetwork.chainID, Development: true, Threshold: 1,
			QuotaOps: 100_000, QuotaBlocks: 1000, EpochInterval: 0, Heartbeat: 1000, Members: []chain.GenesisMember{member},
		},
		Time:       time.Now().UTC(),
		Validators: []node.Validator{{Name: memberID, Key: identity.Validator, Power: 10}},
	}.Write(home)
	if errors.Is(err, node.ErrExists) {
		return nil // the network goes on
	}
	return err
}

// trust writes the trust file at the first start and opens the demo's own tracker on it. Whoever made the network may take
// the trust file from its own node; everybody else gets the file by another way than the node.
func (eco *ecosystem) trust(ctx context.Context, n *node.Node) error {
	name := eco.sub(trustFile)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		eco.newborn = true
		t, err := n.Trust(time.Now().AddDate(1, 0, 0))
		if err != nil {
			return err
		}
		b, err := t.Marshal()
		if err != nil {
			return err
		}
		if err := writeFile(name, b); err != nil {
			return err
		}
	}
	return eco.track()
}

// track opens the demo's own view of the chain.
func (eco *ecosystem) track() error {
	var err error
	eco.light, err = openLight(lightConfig{trust: eco.sub(trustFile), nodes: []string{local(eco.ports.Registry)}, now: eco.clock.Now, env: eco.e})
	return err
}

// lightConfig says what a party knows of the registry: URLs and a trust file.
type lightConfig struct {
	trust string
	nodes []string
	dir   string // keeps Evidence over a restart; "": nowhere
	now   func() time.Time
	http  http.RoundTripper // nil: the plain one
	ttl   time.Duration     // how long an answer is given without asking for a newer one; 0: 1 s
	env   *env
}

func openLight(c lightConfig) (*light.Client, error) {
	trust, bundle, err := readTrust(c.trust)
	if err != nil {
		return nil, err
	}
	cfg := light.Config{Nodes: c.nodes, Trust: trust, Bundle: bundle, Dir: c.dir, Now: c.now, CacheTTL: c.ttl}
	if c.http != nil {
		cfg.HTTP = &http.Client{Timeout: 3 * time.Second, Transport: c.http}
	}
	if c.env != nil {
		cfg.Logger = c.env.log
	}
	return light.New(cfg)
}

// fetchWith gives the node the hardened client for issuers' lists.
func fetchWith(client *httpd.Client) node.Fetch {
	return func(ctx context.Context, url, accept string, limit int64) ([]byte, error) {
		res, err := client.Do(ctx, httpd.Request{URL: url, Header: http.Header{"Accept": {accept}}, MaxBody: limit})
		if err != nil {
			return nil, err
		}
		if res.Status != http.StatusOK {
			return nil, fmt.Errorf("status %d", res.Status)
		}
		return res.Body, nil
	}
}
