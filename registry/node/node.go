package node

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	mempl "github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// Config of a Node.
type Config struct {
	Home   string // made by Init and Genesis.Write
	Listen string // host:port of the peer protocol; default 127.0.0.1:0, enough for one validator
	// Peers are id@host:port of nodes to dial and keep. Of two nodes only one should dial the other: when both do at the same
	// moment, each may close the other's connection and wait for half a minute to notice.
	Peers   []string
	Allowed []string // ids of nodes that may connect, beside Peers; nobody else may
	// Allow is asked about ids that Allowed and Peers do not name, so that an operator can admit a node without a restart.
	Allow func(id string) bool
	// Sponsor signs envelopes as Member; nil: the plain key file in Home in a development network, otherwise nothing is
	// signed and the node is for readers only.
	Sponsor crypto.Signer
	Member  string // whose gateway this is; "": the founding member whose sponsor key Sponsor is
	// Statuses keeps published lists; nil: <Home>/status. Hand in one that a status host shares.
	Statuses *StatusStore
	// Fetch gets lists from issuers' publishers; nil: none are fetched.
	Fetch Fetch
	// Faces are URLs of other nodes' HTTP faces, asked for lists that their issuer does not give.
	Faces []string
	// Types are the type metadata documents to serve; a document that the chain's digest contradicts is never served.
	Types []TypeMetadata
	// DoubleSignBlocks refuses a start when one of that many newest blocks carries our signature (another copy of the key may
	// be running). 0: the sign state alone decides. A clean restart has to wait that many blocks, one validator for ever.
	DoubleSignBlocks int64
	// Metrics gets the node's collectors; nil: none.
	Metrics prometheus.Registerer
	// RetainBlocks is how many of the newest blocks stay; 0: all. History does not need them: leaves and the headers that
	// date them are never dropped.
	RetainBlocks uint64
	// SnapshotBlocks makes a snapshot for newcomers after at least so many blocks; 0: none.
	SnapshotBlocks uint64
	// Anchors makes this node's gateway an aggregator of time anchors; nil: it is none.
	Anchors *AnchorConfig
	Chain   chain.Config // of the state machine
	Now     func() time.Time
	Logger  *slog.Logger // nil: silent

	engineP2P bool // the engine's own intervals, for comparison
	// wrapSigner stands between the engine and the validator's key, in tests; nil: nothing.
	wrapSigner func(types.PrivValidator) types.PrivValidator
	// step is told where the application is with a block, in tests; nil: nobody.
	step func(name string, height int64)
}

// A Node is one node of the chain. Safe for concurrent use; Start and Stop may alternate.
type Node struct {
	cfg      Config
	genesis  *types.GenesisDoc
	chain    chain.Genesis
	signer   *privval.FilePV
	peer     *p2p.NodeKey
	sponsor  registry.SigningKey
	member   string // whose gateway this is; "" for none: reading only
	statuses *StatusStore
	metrics  *metrics
	// aggregates says who anchors; nil: nobody here.
	aggregates *anchorIdentity

	heartbeat atomic.Int64 // nanoseconds; Heartbeat

	// observe is told of every executed transaction; the benchmark's clock. Set before Start.
	observe func()

	mu  sync.Mutex // of Start and Stop
	run atomic.Pointer[running]
}

// running is what lives from Start to Stop.
type running struct {
	engine    *engine
	machine   *chain.Machine
	gateway   *gateway
	anchors   *aggregator // nil unless Config.Anchors
	follower  *follower
	links     *linkFollower // nil: no peers to ask
	archive   *archive
	filler    *filler // nil without Config.Fetch
	keeper    *keeper
	snapshots *snapshots
	proofs    *proofCache
	docs      documentCache
	newest    atomic.Uint64 // height of the newest decided header
	headerAt  atomic.Int64  // when it came, by Config.Now, Unix nanoseconds; 0: not since the start
	started   time.Time
	changed   sync.Map // DID of an issuer -> struct{}: epochs executed and not yet committed

	nonceMu sync.Mutex
	nonce   uint64 // the last one used

	watchMu sync.Mutex
	watch   chan struct{} // closed at the next header or commit
}

// ErrDown: the node is not started.
var ErrDown = errors.New("node: not running")

// New reads the home folder. Nothing runs before Start.
func New(cfg Config) (*Node, error) {
	if cfg.Home == "" {
		return nil, errors.New("node: Config.Home is required")
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{cfg: cfg}
	var err error
	if n.genesis, err = loadGenesis(cfg.Home); err != nil {
		return nil, err
	}
	if n.chain, err = chainGenesis(n.genesis); err != nil {
		return nil, err
	}
	n.heartbeat.Store(int64(time.Duration(n.chain.Heartbeat) * time.Millisecond))
	if n.peer, err = p2p.LoadNodeKey(filepath.Join(cfg.Home, "node_key.json")); err != nil {
		return nil, fmt.Errorf("read node key: %w", err)
	}
	if err := n.findSponsor(); err != nil {
		return nil, err
	}
	if cfg.Anchors != nil {
		if n.aggregates, err = n.newAnchorIdentity(*cfg.Anchors); err != nil {
			return nil, err
		}
	}
	if n.statuses = cfg.Statuses; n.statuses == nil {
		if n.statuses, err = OpenStatusStore(filepath.Join(cfg.Home, "status")); err != nil {
			return nil, err
		}
	}
	n.metrics, err = newMetrics(n)
	return n, err
}

// findSponsor looks up whose gateway this is by its key. A node of nobody can read, not sponsor.
func (n *Node) findSponsor() error {
	signer := n.cfg.Sponsor
	if signer == nil {
		if !n.chain.Development {
			return nil
		}
		key, err := loadSponsor(n.cfg.Home)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a newcomer for readers
		}
		if err != nil {
			return fmt.Errorf("read sponsor key: %w", err)
		}
		signer = key
	}
	public, err := registry.NewPublicKey(signer.Public())
	if err != nil {
		return fmt.Errorf("sponsor key: %w", err)
	}
	for _, m := range n.chain.Members {
		if key, err := registry.ParseJWK(m.SponsorKey); err == nil && bytes.Equal(key, public) {
			n.member = m.ID
		}
	}
	if n.cfg.Member != "" { // one that came later stands in the state, which the envelopes are checked against
		n.member = n.cfg.Member
	}
	n.sponsor = registry.SigningKey{Role: n.member, Public: public, Signer: rawSigner{signer}}
	return nil
}

// rawSigner makes the raw signatures that registry wants of an Ed25519 crypto.Signer.
type rawSigner struct{ key crypto.Signer }

func (s rawSigner) Sign(message []byte) ([]byte, error) {
	if _, ok := s.key.Public().(ed25519.PublicKey); !ok {
		return nil, errors.New("sponsor keys are Ed25519")
	}
	return s.key.Sign(nil, message, crypto.Hash(0))
}

// Start replays what a crash left and joins the network. It returns when the node runs, which is before it admits
// operations after a pause (see Health).
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run.Load() != nil {
		return errors.New("node: already running")
	}
	signer, err := loadSigner(n.cfg.Home, false)
	if err != nil {
		return err
	}
	n.signer = signer
	db, err := chain.Open(filepath.Join(n.cfg.Home, dataDir, "chain"))
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	machine, err := chain.New(growingBatches{db}, n.cfg.Chain)
	if err != nil {
		return errors.Join(fmt.Errorf("open state: %w", err), db.Close())
	}
	if err := n.notOutdated(machine); err != nil {
		return errors.Join(err, machine.Close())
	}
	stores := &databases{dir: filepath.Join(n.cfg.Home, dataDir)}
	headers, err := stores.headers()
	if err != nil {
		return errors.Join(err, stores.close(), machine.Close())
	}
	lists, err := openArchive(n.statuses.dir, n.cfg.Logger)
	if err != nil {
		return errors.Join(err, stores.close(), machine.Close())
	}
	r := &running{archive: lists, machine: machine, started: n.cfg.Now(), proofs: newProofCache(), watch: make(chan struct{})}
	if r.snapshots, err = openSnapshots(filepath.Join(n.cfg.Home, "snapshots"), n.cfg.SnapshotBlocks, n.cfg.Logger); err != nil {
		return errors.Join(err, stores.close(), machine.Close(), lists.close())
	}
	n.statuses.archiveTo(lists, r.accredited)
	app := &application{machine: machine, genesis: n.chain, step: n.cfg.step, onMisbehaviour: func(m Misbehaviour) { n.misbehaved(r, m) }, onOutdated: func(err error) { n.outdated(r, err) }, retain: func(h uint64) uint64 { return r.retain(h, n.cfg.RetainBlocks) }, header: headers.LoadBlockMeta, chainID: n.chain.ChainID, peers: append(peerIDs(n.cfg.Peers), n.cfg.Allowed...), allow: n.cfg.Allow,
		onExecuted: func(tx []byte, res chain.Result) { n.executed(r, tx, res) },
		onDropped:  r.dropped,
		onHeader:   func(h uint64) { r.header(h, n.cfg.Now()) },
		onCommit: func(height uint64, changed bool) {
			if changed {
				n.beat(r)
			}
			r.committed(height, changed)
		}}
	r.gateway = newGateway(gatewayConfig{Now: n.cfg.Now,
		Warm:   machine.WarmOperation,
		Seal:   func(ops [][]byte, try int) ([]byte, error) { return n.seal(r, ops, try) },
		Send:   func(tx []byte) error { return r.send(tx) },
		Admits: func(ctx context.Context) error { return n.admits(ctx, r) }})
	if n.cfg.Fetch != nil {
		r.follower = newFollower(followerConfig{Store: n.statuses, Fetch: n.cfg.Fetch, Epoch: r.statusEpoch,
			Endpoint: r.publisher, Peers: n.cfg.Faces, Conflict: n.conflict, Log: n.cfg.Logger})
		r.filler = newFiller(fillerConfig{Archive: lists, Network: n.chain.Network, Stored: n.statuses.archiveAll, Replaced: machine.ReplacedStatus, Since: machine.AccreditedSince,
			Fetch: n.cfg.Fetch, Peers: n.cfg.Faces, Log: n.cfg.Logger})
	}
	n.beat(r)
	r.engine, err = openEngine(engineConfig{Home: n.cfg.Home, Stores: stores, App: app, Genesis: n.genesis, Signer: signer, NodeKey: n.peer,
		Listen: n.cfg.Listen, Peers: n.cfg.Peers, Heartbeat: n.Heartbeat(), Alone: n.alone(), DoubleSignBlocks: n.cfg.DoubleSignBlocks, DefaultP2P: n.cfg.engineP2P, WrapSigner: n.cfg.wrapSigner, Logger: n.cfg.Logger})
	if err == nil {
		n.beat(r) // blocks that the state lacked have been executed
		r.newest.Store(uint64(max(0, r.engine.node.BlockStore().Height())))
		err = r.engine.start()
	}
	if err == nil {
		r.keeper = &keeper{sw: r.engine.node.Switch(), peers: n.cfg.Peers, silent: func() time.Duration { return n.Heartbeat() + silentMargin }, log: n.cfg.Logger}
		if err = r.keeper.start(); err != nil {
			err = errors.Join(err, r.engine.stop(ctx))
		}
	}
	if err != nil {
		r.gateway.stop()
		if r.follower != nil {
			r.follower.stop()
		}
		n.statuses.archiveTo(nil, nil)
		return errors.Join(err, machine.Close(), lists.close())
	}
	if a := n.cfg.Anchors; a != nil {
		r.anchors = newAggregator(anchorsConfig{Window: a.Window, Waiting: a.Waiting,
			Write: func(ctx context.Context, root [32]byte) (anchoredRoot, error) { return n.writeAnchor(ctx, r, root) }})
	}
	if n.cfg.Fetch != nil && len(n.cfg.Faces) > 0 {
		r.links = newLinkFollower(n.bringBundles)
	}
	if r.filler != nil {
		r.filler.start()
	}
	n.run.Store(r)
	n.follow(r)
	return nil
}

// alone reports whether no other node may connect.
func (n *Node) alone() bool {
	return len(n.cfg.Peers) == 0 && len(n.cfg.Allowed) == 0 && n.cfg.Allow == nil
}

// Stop ends the node and closes its stores; callers that wait for outcomes get ErrStopped. Start may follow.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.run.Swap(nil)
	if r == nil {
		return ErrDown
	}
	if r.anchors != nil {
		r.anchors.stop()
	}
	if r.follower != nil {
		r.follower.stop()
		r.filler.stop()
	}
	if r.links != nil {
		r.links.stop()
	}
	n.statuses.archiveTo(nil, nil)
	r.keeper.stop()
	err := r.engine.stop(ctx)
	r.gateway.stop()
	r.wake()
	r.snapshots.stop()
	return errors.Join(err, r.machine.Close(), r.archive.close())
}

// executed runs inside the engine's lock.
func (n *Node) executed(r *running, tx []byte, res chain.Result) {
	r.gateway.onExecuted(tx, res.Operations)
	n.metrics.executed(res)
	if n.observe != nil {
		n.observe()
	}
	// Parsing twice would cost every transaction; the name of the kind stands in the bytes of those that matter.
	if res.Code != registry.CodeOK || !bytes.Contains(tx, []byte(registry.KindStatusEpoch)) {
		return
	}
	parsed, err := registry.ParseTransaction(tx, n.chain.Network)
	if err != nil {
		return
	}
	for i, raw := range parsed.Operations {
		if op, err := registry.ParseOperation(raw); err == nil && op.Kind() == registry.KindStatusEpoch &&
			i < len(res.Operations) && res.Operations[i].Code == string(registry.CodeOK) {
			r.changed.Store(op.DID, struct{}{})
		}
	}
}

func (r *running) header(height uint64, now time.Time) {
	r.newest.Store(height)
	r.headerAt.Store(now.UnixNano())
	r.wake()
	r.gateway.onHeader()
}

// wake lets everybody who waits look again.
func (r *running) wake() {
	r.watchMu.Lock()
	close(r.watch)
	r.watch = make(chan struct{})
	r.watchMu.Unlock()
}

func (r *running) committed(height uint64, changed bool) {
	r.wake()
	r.docs.moved(height, changed)
	r.snapshots.committed(r.machine, height, changed)
	r.changed.Range(func(issuer, _ any) bool {
		r.changed.Delete(issuer)
		if r.follower != nil {
			r.follower.wake(issuer.(registry.DID))
			r.filler.wake(issuer.(registry.DID))
		}
		return true
	})
}

// conflict raises what no honest issuer does: an epoch that goes back, or two contents under one sequence.
func (n *Node) conflict(issuer registry.DID, err error) {
	n.metrics.conflicts.Inc()
	n.cfg.Logger.Error("ALARM: status epochs of an issuer contradict each other; the older lists are served", "issuer", string(issuer), "err", err)
}

// misbehaved raises what a block holds against a validator: proof that its key has signed two things. The chain has taken its
// power; whether it gets it back the members decide.
func (n *Node) misbehaved(r *running, m Misbehaviour) {
	n.metrics.misbehaviours.Inc()
	n.cfg.Logger.Error("ALARM: proof on the chain that a validator's key was used twice", "validator", hex.EncodeToString(m.Validator), "at_height", m.Height,
		"operator", n.validatorNames(r)[string(m.Validator)])
}

// seal signs an envelope; try counts from 1, and grows when the nonce was refused.
func (n *Node) seal(r *running, operations [][]byte, try int) ([]byte, error) {
	account, err := r.machine.Sponsor(n.member)
	if err != nil {
		return nil, fmt.Errorf("read sponsor account: %w", err)
	}
	return registry.Transaction{Network: n.chain.Network, ChainID: n.chain.ChainID, Sponsor: n.member, Nonce: r.nextNonce(account.Highest, try),
		Operations: operations}.Sign(n.sponsor)
}

// nextNonce goes on from the last one, also below the highest that is used: two gateways of one member that both took the next
// above it would always take the same. After a refusal it leaps ahead, past what the other one uses, or what this one has
// sent before a restart and what may still come into a block.
func (r *running) nextNonce(highest uint64, try int) uint64 {
	const window = registry.NonceWindow
	r.nonceMu.Lock()
	defer r.nonceMu.Unlock()
	switch {
	case try > 1:
		r.nonce = max(r.nonce, highest) + 1 + uint64(rand.IntN(min(16<<(2*try), window/4)))
	case r.nonce+window/2 <= highest || r.nonce == 0:
		r.nonce = highest + 1
	default:
		r.nonce++
	}
	if r.nonce > highest+window*3/4 { // so many were refused, for a quota perhaps: none of them has come into a block
		r.nonce = highest + 1
	}
	return r.nonce
}

// A refused batch: the committed state refuses every operation of it, and it was sent nowhere, so that no block will hold it.
type refused struct{ outcomes []registry.Outcome }

func (*refused) Error() string { return "node: every operation is refused" }

// send puts an envelope into the mempool.
func (r *running) send(envelope []byte) error {
	res, err := r.engine.check(envelope)
	switch {
	case errors.As(err, new(mempl.ErrMempoolIsFull)), errors.Is(err, mempl.ErrRecheckFull):
		return ErrBusy
	case err != nil:
		return fmt.Errorf("submit envelope: %w", err)
	case res.Code == 0:
		return nil
	case len(res.Data) == 0:
		return ErrRefusedEnvelope
	}
	out := &refused{}
	if err := registry.Decode(res.Data, &out.outcomes); err != nil {
		return err
	}
	inNoBlock(out.outcomes)
	return out
}

// dropped settles what the mempool gives up, unless another node may still bring it into a block: a quota begins anew, a used
// nonce stays used.
func (r *running) dropped(tx []byte, code registry.Code) {
	switch code {
	case registry.CodeNonce:
		r.gateway.onDropped(tx)
	case codeGivenUp:
		r.gateway.onGivenUp(tx)
	}
}

func inNoBlock(outcomes []registry.Outcome) []registry.Outcome {
	for i := range outcomes {
		outcomes[i].Height = 0
	}
	return outcomes
}

// admits waits a little for the first fresh header after a start, then refuses.
func (n *Node) admits(ctx context.Context, r *running) error {
	if n.member == "" {
		return ErrNotAdmitting
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		r.watchMu.Lock()
		next := r.watch
		r.watchMu.Unlock()
		if at, ok := r.engine.headerTime(r.newest.Load()); ok && n.fresh(at) && r.machine.Info().Height > 0 {
			return nil
		}
		wait := time.NewTimer(time.Until(deadline))
		select {
		case <-next:
			wait.Stop()
		case <-wait.C:
			return ErrNotAdmitting
		case <-ctx.Done():
			wait.Stop()
			return ErrNotAdmitting
		case <-r.gateway.done:
			wait.Stop()
			return ErrStopped
		}
	}
}

// clockDrift is how far a header may be ahead of this node's clock; more, and the clock is wrong (K09).
const clockDrift = 10 * time.Second

// fresh reports whether an operation that is taken now gets a time after its submission.
func (n *Node) fresh(header time.Time) bool {
	age := n.cfg.Now().Sub(header)
	return age <= max(2*n.Heartbeat(), time.Second) && age > -clockDrift // below a second a busy machine is no pause
}

func peerIDs(peers []string) []string {
	ids := make([]string, 0, len(peers))
	for _, p := range peers {
		id, _, _ := bytes.Cut([]byte(p), []byte("@"))
		ids = append(ids, string(id))
	}
	return ids
}
