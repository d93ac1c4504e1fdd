package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/dojang-id/dojang/internal/aries"
	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/web"
	"github.com/dojang-id/dojang/schemas"
)

// registryStartCmd runs a node until it is told to stop. Its logs are JSON lines on standard error.
type registryStartCmd struct {
	Home    string `arg:"" help:"Home of the node." type:"existingdir"`
	Network string `help:"Network file; needed at the first start." type:"existingfile" placeholder:"FILE"`
	JSON    bool   `help:"Print JSON lines only."`
	// WithParent is for whoever starts nodes as children: no node outlives it.
	WithParent bool `help:"Stop when standard input ends." hidden:""`
	passphraseFlags
}

func (c *registryStartCmd) Run(e *env) error {
	home := nodeHome(c.Home)
	unlock, err := lockDir(c.Home)
	if err != nil {
		return err
	}
	defer unlock()
	if c.Network != "" {
		if err := home.adopt(c.Network); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewJSONHandler(e.stderr, nil))
	d, err := c.daemon(home, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	if c.WithParent {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	if err := d.up(ctx); err != nil {
		return errors.Join(err, d.down())
	}
	if c.JSON {
		err = e.print(map[string]any{"ready": true, "url": d.config.URL, "management": "http://" + d.config.Management, "node": d.node.ID()})
	} else {
		_, err = fmt.Fprintf(e.stdout, "node %s: %s, status host %s, management http://%s\n", d.node.ID(), d.config.URL, d.config.Status, d.config.Management)
	}
	if err == nil {
		err = d.wait(ctx)
	}
	return errors.Join(err, d.down())
}

// A daemon is a node with its three listeners.
type daemon struct {
	config  nodeConfig
	node    *node.Node
	web     *web.Server
	public  http.Handler // the face for programs and the explorer for people
	log     *slog.Logger
	metrics *httpd.Metrics
	servers []*httpd.Server
}

func (c *registryStartCmd) daemon(home nodeHome, log *slog.Logger) (*daemon, error) {
	config, err := home.readConfig()
	if err != nil {
		return nil, err
	}
	network, err := home.readNetwork()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("this home belongs to no network yet: --network FILE")
	}
	if err != nil {
		return nil, err
	}
	own, err := readCard(home.path("card.json"))
	if err != nil {
		return nil, err
	}
	client, err := httpd.NewClient(httpd.ClientConfig{Origins: append(config.Origins, network.loopbackOrigins()...)})
	if err != nil {
		return nil, err
	}
	nodeCfg := node.Config{Home: string(home), Listen: config.Peer, Allow: home.admitted, Fetch: fetchWith(client), Logger: log,
		DoubleSignBlocks: config.DoubleSignBlocks, RetainBlocks: config.RetainBlocks, SnapshotBlocks: config.SnapshotBlocks, Member: config.Member}
	nodeCfg.Peers, nodeCfg.Allowed = network.dialling(own.peerID())
	for _, t := range schemas.All() {
		nodeCfg.Types = append(nodeCfg.Types, node.TypeMetadata{Name: t.Name, VCT: t.VCT, JSON: t.TypeMetadata()})
	}
	if config.Member != "" {
		store, err := c.store(home, "keys")
		if err != nil {
			return nil, err
		}
		signer, err := store.Signer(sponsorKey)
		if err != nil {
			return nil, fmt.Errorf("sponsor key: %w", err)
		}
		if nodeCfg.Sponsor, err = keys.CryptoSigner(signer); err != nil {
			return nil, err
		}
		if config.Anchors {
			if nodeCfg.Anchors, err = anchorKeys(store); err != nil {
				return nil, err
			}
		}
	}
	for _, other := range network.Cards {
		if other.peerID() != own.peerID() {
			nodeCfg.Faces = append(nodeCfg.Faces, other.URL)
		}
	}
	d := &daemon{config: config, log: log, metrics: httpd.NewMetrics()}
	nodeCfg.Metrics = d.metrics.Registry()
	if d.node, err = node.New(nodeCfg); err != nil {
		return nil, err
	}
	return d, d.face(home, network.StatusURL)
}

// face makes the handlers, and a new token for the operator.
func (d *daemon) face(home nodeHome, statusURL string) error {
	token := httpd.NewToken()
	tokens, err := httpd.NewTokens(httpd.Token{Name: "operator", Hash: httpd.HashToken(token)})
	if err != nil {
		return err
	}
	if err := writeFile(home.path("management.token"), []byte(token)); err != nil {
		return err
	}
	guard := httpd.MuxConfig{Name: "registry", Log: d.log, Metrics: d.metrics, TrustedProxies: d.config.Proxies}
	d.web, err = web.New(web.Config{Node: d.node, StatusURL: statusURL, Validate: aries.ValidateDocument, Tokens: tokens,
		Metrics: d.metrics, Mux: guard, Logger: d.log})
	if err != nil {
		return err
	}
	d.public, err = withExplorer(httpd.MuxConfig{Log: d.log, TrustedProxies: d.config.Proxies}, d.node, d.web.Public())
	return err
}

// up starts the node and its listeners. It does not wait for a block: the others may come later.
func (d *daemon) up(ctx context.Context) error {
	if err := d.node.Start(ctx); err != nil {
		return err
	}
	for _, l := range []httpd.ServeConfig{
		{Listen: d.config.Public, Handler: d.public},
		{Listen: d.config.Status, Handler: d.web.StatusHost()},
		{Listen: d.config.Management, Handler: d.web.Management()},
	} {
		l.Log = d.log
		server, err := httpd.Serve(ctx, l)
		if err != nil {
			return err
		}
		d.servers = append(d.servers, server)
	}
	return nil
}

func (d *daemon) wait(ctx context.Context) error {
	failed := make(chan error, len(d.servers))
	for _, s := range d.servers {
		go func() { failed <- <-s.Err() }()
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

func (d *daemon) down() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var err error
	for _, s := range d.servers {
		short, done := context.WithTimeout(ctx, 2*time.Second)
		if stop := s.Stop(short); !errors.Is(stop, context.DeadlineExceeded) { // running requests were cut then
			err = errors.Join(err, stop)
		}
		done()
	}
	if stop := d.node.Stop(ctx); !errors.Is(stop, node.ErrDown) {
		err = errors.Join(err, stop)
	}
	return err
}

// loopbackOrigins are where nodes of a network on one machine reach each other without TLS.
func (n networkFile) loopbackOrigins() []string {
	origins := []string{}
	for _, c := range n.Cards {
		if len(c.URL) > 5 && c.URL[:5] == "http:" {
			origins = append(origins, c.URL)
		}
	}
	return origins
}

// admitted reports whether a card of that id lies in the home's folder; the newcomer's connection asks it, so that no
// restart is needed. ids are hexadecimal, which the engine has checked: no path.
func (h nodeHome) admitted(id string) bool {
	for _, c := range id {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return false
		}
	}
	_, err := os.Stat(h.path("admitted", id+".json"))
	return err == nil
}

// registryAdmitCmd lets a newcomer's node connect. The operators of the nodes it calls each decide.
type registryAdmitCmd struct {
	Home string `arg:"" help:"Home of the own node." type:"existingdir"`
	Card string `arg:"" help:"Card of the newcomer." type:"existingfile"`
}

func (c *registryAdmitCmd) Run(e *env) error {
	home := nodeHome(c.Home)
	newcomer, err := readCard(c.Card)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(c.Card)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(home.path("admitted"), 0o700); err != nil {
		return err
	}
	if err := writeFile(home.path("admitted", newcomer.peerID()+".json"), raw); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s may connect\n  fingerprint %s\n", newcomer.peerID(), fingerprint(raw))
	return err
}
