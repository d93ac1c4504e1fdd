// Package light reads the registry chain over HTTP without believing any node of it.
//
// New makes a Client: a registry.Resolver, registry.StatusSource and registry.Submitter over the nodes' HTTP face
// (registry/web). Run Follow beside it: then a new epoch is known within two seconds, and what was asked for once is kept
// fresh and ready for an outage.
//
// Trusted are the trust file, the caller's clock and, for the choice between two valid histories, that not all nodes lie
// together: every fact is Evidence that registry/evidence has checked, and outside of development networks the header
// above it must also stand at a witness, another node than the one that answered (CometBFT light client: bisection, detector).
//
// When no node can be reached the facts that were checked before are returned with their old Checked.KnownAt: the caller
// decides by its policy's age. Nothing at hand is registry.ErrUnavailable; answers that do not hold are
// registry.ErrUntrusted. There is no other fallback.
package light

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Config of a Client.
type Config struct {
	// Nodes are base URLs of registry nodes, asked in order. Outside of development networks at least two.
	Nodes []string
	Trust evidence.Trust
	// Bundle is the trust bundle to follow from, already believed; Trust is its own then and need not be given, unless it is a later
	// one (a published head). nil: Trust alone.
	Bundle *evidence.Bundle
	// Head is a published head that may restore trust after it has expired; nil: only a newer bundle does.
	Head *evidence.Head
	HTTP *http.Client // nil: a plain one with a timeout of 3 s, which no node sends elsewhere
	// CacheTTL is how long an answer is given without asking a node whether there is a newer one; 0: 1 s. Not the age
	// that a policy allows: that is judged by Checked.KnownAt.
	CacheTTL time.Duration
	// Dir keeps the newest trusted header, Evidence and lists over a restart; "": nothing is kept.
	Dir string
	// Alarm is told when two nodes prove two histories (H12). The Client answers nothing afterwards.
	Alarm  func(error)
	Now    func() time.Time
	Logger *slog.Logger // nil: silent
}

// Why tracking stopped. All are also registry.ErrUntrusted.
var (
	// ErrNoWitness: nobody but the answering node confirms the header, and the network is no development network (H13).
	ErrNoWitness = errors.New("registry/light: no witness confirms the header")
	// ErrAttack: two nodes show two histories that validators signed. Stays until a new Client with a new trust file (H12).
	ErrAttack = errors.New("registry/light: conflicting histories")
	// ErrClock: the clock runs behind the newest header that was trusted (H15).
	ErrClock = errors.New("registry/light: clock is behind the chain")
)

const (
	clockDrift    = 10 * time.Second
	maxSubjects   = 1024
	maxLists      = 1024
	fetchTimeout  = 3 * time.Second
	submitTimeout = 30 * time.Second
)

// A Client tracks one network. Safe for concurrent use.
type Client struct {
	cfg   Config
	store *store // nil without Dir
	heads *heads
	track *tracker

	submitHTTP *http.Client

	trust    atomic.Pointer[evidence.Trust]  // moves forward while tracking
	bundle   atomic.Pointer[evidence.Bundle] // nil unless Config.Bundle
	floor    atomic.Uint64                   // own writes are provable from this header on
	followed atomic.Int32                    // calls of Follow that run
	attacked atomic.Bool

	renewMu sync.Mutex
	renewed time.Time // when a newer bundle was looked for

	mu       sync.Mutex
	subjects map[string]*subject // by DID; "type " + vct for type digests
	lists    map[string]*list    // by media type and URI
	follow   map[registry.DID]bool
	down     map[string]time.Time // nodes that gave no answer, when
}

var (
	_ registry.Resolver     = (*Client)(nil)
	_ registry.StatusSource = (*Client)(nil)
	_ registry.Submitter    = (*Client)(nil)
)

// New checks the configuration and loads what Dir keeps, checking it again. It asks no node.
func New(cfg Config) (*Client, error) {
	if len(cfg.Nodes) == 0 {
		return nil, errors.New("registry/light: Config.Nodes is required")
	}
	cfg.Nodes = slices.Clone(cfg.Nodes)
	for i, node := range cfg.Nodes {
		cfg.Nodes[i] = strings.TrimSuffix(node, "/")
		if slices.Contains(cfg.Nodes[:i], cfg.Nodes[i]) {
			return nil, errors.New("registry/light: a node is listed twice; it cannot be its own witness")
		}
	}
	if b := cfg.Bundle; b != nil {
		if cfg.Trust.Height <= b.Height {
			cfg.Trust = b.Trust
		}
		if cfg.Trust.ChainID != b.ChainID || cfg.Trust.Network != b.Network || cfg.Trust.Number != b.Number {
			return nil, errors.New("registry/light: Config.Trust and Config.Bundle are not of one chain")
		}
	}
	if cfg.Trust.ChainID == "" || len(cfg.Trust.Validators) == 0 {
		return nil, errors.New("registry/light: Config.Trust is required")
	}
	if !cfg.Trust.Development && len(cfg.Nodes) < 2 {
		return nil, ErrNoWitness
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Timeout: fetchTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.CacheTTL == 0 {
		cfg.CacheTTL = time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{cfg: cfg, heads: newHeads(), subjects: map[string]*subject{}, lists: map[string]*list{},
		follow: map[registry.DID]bool{}, down: map[string]time.Time{}}
	patient := *cfg.HTTP // an outcome takes as long as two blocks and a queue
	patient.Timeout = submitTimeout
	c.submitHTTP = &patient
	c.trust.Store(&cfg.Trust)
	c.bundle.Store(cfg.Bundle)
	c.track = newTracker(c)
	if cfg.Dir != "" {
		var err error
		if c.store, err = openStore(cfg.Dir); err != nil {
			return nil, err
		}
		c.restore()
	}
	return c, nil
}

// Subscribe names issuers whose Evidence and lists Follow keeps fresh, before anybody asks for them.
func (c *Client) Subscribe(issuers ...registry.DID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range issuers {
		c.follow[d] = true
	}
}

// Trust is the newest trust point: the configured one, moved forward by tracking.
func (c *Client) Trust() evidence.Trust { return *c.trust.Load() }

// check is the one place where an answer of a node becomes facts.
func (c *Client) check(ctx context.Context, raw []byte) (*evidence.Facts, error) {
	facts, err := c.checkBytes(raw)
	if errors.Is(err, evidence.ErrTooOld) && c.renew(ctx) || c.unknownValidators(err) && c.track.advance(ctx) == nil {
		facts, err = c.checkBytes(raw)
	}
	if err != nil {
		return nil, err
	}
	return facts, c.track.confirm(ctx, facts.Head(), facts.HeadHash())
}

// unknownValidators: more of them may have changed since the trust point than one Evidence bridges; tracking goes step by step. Liars
// make callers look for that once in CacheTTL.
func (c *Client) unknownValidators(err error) bool {
	return evidence.FailedStep(err) == evidence.StepSet && c.track.due()
}

func (c *Client) checkBytes(raw []byte) (*evidence.Facts, error) {
	now := c.cfg.Now()
	if c.attacked.Load() {
		return nil, untrusted(ErrAttack)
	}
	trust := c.trust.Load()
	if now.Add(clockDrift).Before(trust.Time) {
		return nil, untrusted(ErrClock)
	}
	facts, err := evidence.Checker{Trust: *trust, Headers: c.heads, MaxSize: MaxEvidence}.Check(raw, now)
	if err != nil {
		if errors.Is(err, registry.ErrUntrusted) {
			return nil, err
		}
		return nil, untrusted(err)
	}
	return facts, nil
}

// untrusted makes err also a registry.ErrUntrusted.
func untrusted(err error) error { return fmt.Errorf("%w: %w", registry.ErrUntrusted, err) }

// ask asks the nodes in order until one gives an answer that accept takes. The error is registry.ErrUntrusted when any
// answer did not hold, otherwise registry.ErrUnavailable.
func (c *Client) ask(ctx context.Context, accept func(ctx context.Context, node string) error) error {
	if c.attacked.Load() {
		return untrusted(ErrAttack)
	}
	var refused, absent error
	for _, node := range c.cfg.Nodes {
		if c.restsFrom(node) {
			absent = errors.New("registry node was down a moment ago")
			continue
		}
		err := c.askOne(ctx, node, accept)
		switch {
		case err == nil:
			c.isUp(node)
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", registry.ErrUnavailable, ctx.Err())
		case errors.Is(err, registry.ErrUntrusted):
			c.cfg.Logger.Warn("a registry node's answer does not hold", "node", node, "err", err)
			refused = err
		default:
			absent = err
		}
	}
	if refused != nil {
		return refused
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, absent)
}

func (c *Client) askOne(ctx context.Context, node string, accept func(ctx context.Context, node string) error) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout+trackTimeout)
	defer cancel()
	err := accept(ctx, node)
	if err != nil && errors.As(err, new(*url.Error)) { // no HTTP answer at all
		c.mu.Lock()
		c.down[node] = c.cfg.Now()
		c.mu.Unlock()
	}
	return err
}

// restsFrom reports whether a node gave no answer a moment ago: not every caller shall wait for a dead one. While Follow runs,
// it alone looks whether the node is back.
func (c *Client) restsFrom(node string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, isDown := c.down[node]
	return isDown && (c.followed.Load() > 0 || young(c.cfg.Now(), at, c.cfg.CacheTTL/2))
}

func (c *Client) isUp(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.down, node)
}
