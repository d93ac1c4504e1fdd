package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// LocalnetConfig of a Localnet.
type LocalnetConfig struct {
	Dir        string
	Validators int           // 1: a development network
	Heartbeat  time.Duration // 0: 1 s
	Chain      chain.Config
	Fetch      Fetch
	Types      []TypeMetadata
	Logger     *slog.Logger

	RetainBlocks, SnapshotBlocks uint64 // as of Config
	// Genesis may change the chain's half of the genesis; nil: nothing.
	Genesis func(*chain.Genesis)
	// Each may change the Config of a node, counted from 0, before it is used; nil: nothing.
	Each func(i int, cfg *Config)

	engineP2P bool // the engine's own intervals, for comparison
}

// A Localnet is a whole network in one process, for tests and benchmarks: node i listens on 127.0.0.(i+1) and is the
// gateway of member i; the threshold is a majority of the members.
type Localnet struct {
	Nodes []*Node
	// Governance are the members' offline keys, by member id ("member-1" …).
	Governance map[string]ed25519.PrivateKey
}

// NewLocalnet writes the homes and reads them; nothing runs yet.
func NewLocalnet(cfg LocalnetConfig) (*Localnet, error) {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = time.Second
	}
	n := cfg.Validators
	net := &Localnet{Governance: map[string]ed25519.PrivateKey{}}
	g := Genesis{Time: time.Now(), Chain: chain.Genesis{Format: chain.GenesisFormat, Network: "local", ChainID: "dojang-local-1",
		Development: n == 1, Threshold: uint64(n/2 + 1), QuotaOps: 1 << 40, QuotaBlocks: 1000, Heartbeat: uint64(cfg.Heartbeat.Milliseconds())}}
	ids := make([]Identity, n)
	for i := range n {
		var err error
		if ids[i], err = Init(cfg.home(i)); err != nil {
			return nil, err
		}
		id := "member-" + strconv.Itoa(i+1)
		_, governance, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		net.Governance[id] = governance
		g.Validators = append(g.Validators, Validator{Name: id, Key: ids[i].Validator, Power: 10})
		member := chain.GenesisMember{ID: id, Name: map[string]string{"en": id}}
		if member.GovernanceKey, err = jwk(governance.Public()); err != nil {
			return nil, err
		}
		if member.SponsorKey, err = jwk(ids[i].Sponsor); err != nil {
			return nil, err
		}
		g.Chain.Members = append(g.Chain.Members, member)
	}
	if cfg.Genesis != nil {
		cfg.Genesis(&g.Chain)
	}
	return net, net.open(cfg, g, ids)
}

func (cfg LocalnetConfig) home(i int) string {
	return filepath.Join(cfg.Dir, "node-"+strconv.Itoa(i+1))
}

func jwk(key any) (jsontext.Value, error) {
	public, err := registry.NewPublicKey(key)
	if err != nil {
		return nil, err
	}
	return public.JWK()
}

func (l *Localnet) open(cfg LocalnetConfig, g Genesis, ids []Identity) error {
	listen := make([]string, len(ids))
	for i := range ids {
		var err error
		if listen[i], err = freePort("127.0.0." + strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	for i := range ids {
		if err := g.Write(cfg.home(i)); err != nil {
			return err
		}
		var peers, allowed []string
		for j := range ids {
			if j < i {
				peers = append(peers, ids[j].PeerID+"@"+listen[j])
			} else if j > i {
				allowed = append(allowed, ids[j].PeerID)
			}
		}
		sponsor, err := loadSponsor(cfg.home(i))
		if err != nil {
			return err
		}
		nodeCfg := Config{Home: cfg.home(i), Listen: listen[i], Peers: peers, Allowed: allowed, Sponsor: sponsor, Chain: cfg.Chain,
			RetainBlocks: cfg.RetainBlocks, SnapshotBlocks: cfg.SnapshotBlocks,
			Fetch: cfg.Fetch, Types: cfg.Types, Logger: cfg.Logger, engineP2P: cfg.engineP2P}
		if cfg.Each != nil {
			cfg.Each(i, &nodeCfg)
		}
		node, err := New(nodeCfg)
		if err != nil {
			return err
		}
		l.Nodes = append(l.Nodes, node)
	}
	return nil
}

// freePort asks the kernel; another process may take the port before the node does, and its start fails then.
func freePort(host string) (string, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", fmt.Errorf("find a port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// Start starts all nodes and returns when they have made their first header together.
func (l *Localnet) Start(ctx context.Context) error {
	if err := l.each(func(n *Node) error { return n.Start(ctx) }); err != nil {
		return errors.Join(err, l.Stop(ctx))
	}
	return l.each(func(n *Node) error { return n.WaitHeight(ctx, 1) })
}

// Stop stops the nodes that run.
func (l *Localnet) Stop(ctx context.Context) error {
	return l.each(func(n *Node) error {
		if err := n.Stop(ctx); !errors.Is(err, ErrDown) {
			return err
		}
		return nil
	})
}

func (l *Localnet) each(f func(*Node) error) error {
	errs := make([]error, len(l.Nodes))
	var wg sync.WaitGroup
	for i, n := range l.Nodes {
		wg.Go(func() { errs[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
