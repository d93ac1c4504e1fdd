package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// An AnchorConfig makes a node an aggregator of time anchors: it joins the leaves of all who wait into one Merkle root,
// anchors that with one operation, and hands out receipts. Nothing of it is stored here: a caller has its receipt, or has nothing.
type AnchorConfig struct {
	Key registry.SigningKey // signs anchors; its Role is not looked at
	// The aggregator signs under a DID of its own, made of these keys with the first anchor. Op signs as registry.RoleOp.
	Op             registry.SigningKey
	Next, Recovery registry.Hash
	Window         time.Duration // how long a first caller waits for others; 0: 20 ms
	Waiting        int           // how many leaves may wait or be on their way; 0: 65,536. More is ErrBusy
}

// An anchorIdentity is who anchors.
type anchorIdentity struct {
	did    registry.DID
	key    registry.SigningKey
	create []byte // the operation that makes the DID
}

const anchorKeyID = "anchor"

func (n *Node) newAnchorIdentity(cfg AnchorConfig) (*anchorIdentity, error) {
	op := registry.Operation{Network: n.chain.Network, ChainID: n.chain.ChainID, Body: &registry.CreateBody{Op: cfg.Op.Public, Next: cfg.Next,
		Recovery: cfg.Recovery, Keys: []registry.NewKey{{ID: anchorKeyID, Use: registry.UseAssertion, Key: cfg.Key.Public}}}}
	did, err := op.CreatedDID()
	if err != nil {
		return nil, fmt.Errorf("anchors: DID of the aggregator: %w", err)
	}
	create, err := op.Sign(cfg.Op)
	if err != nil {
		return nil, fmt.Errorf("anchors: DID of the aggregator: %w", err)
	}
	key := cfg.Key
	key.Role = did.URL(anchorKeyID)
	return &anchorIdentity{did: did, key: key, create: create}, nil
}

const (
	// MaxLeaves of one call of Anchor.
	MaxLeaves      = 1000
	anchorWindow   = 20 * time.Millisecond
	anchorsWaiting = 1 << 16
)

var (
	// ErrNoAnchors: this node is no aggregator.
	ErrNoAnchors = errors.New("node: no time anchors are made here")
	// ErrAnchorRefused: the chain refused the anchor (the aggregator's DID or key is not in force). Nothing is anchored.
	ErrAnchorRefused = errors.New("node: the chain refused the anchor")
)

// An Anchored is what became of the leaves of one call: the receipts share the Evidence of their root.
type Anchored struct {
	Root     [32]byte
	Height   uint64 // of the block that anchored it
	Evidence []byte
	Receipts []*evidence.Receipt // in the order of the leaves; salts are empty
}

// Anchor returns when the root over the leaves, and over those of others, is anchored and provable. A caller that gets no
// answer may hand the same leaves in again. Errors: ErrNoAnchors, ErrDown, ErrTooMany, ErrBusy, ErrAnchorRefused, as Submit.
func (n *Node) Anchor(ctx context.Context, leaves ...[32]byte) (Anchored, error) {
	r := n.run.Load()
	switch {
	case n.aggregates == nil:
		return Anchored{}, ErrNoAnchors
	case r == nil:
		return Anchored{}, ErrDown
	}
	made, err := r.anchors.anchor(ctx, leaves)
	if err == nil {
		n.metrics.anchored.Add(float64(len(leaves)))
	}
	return made, err
}

// A root that is anchored, with what proves it.
type anchoredRoot struct {
	height   uint64
	evidence []byte
}

// anchorsConfig ties the aggregator to the gateway.
type anchorsConfig struct {
	Window  time.Duration
	Waiting int
	// Write anchors a root and returns when that is provable.
	Write func(ctx context.Context, root [32]byte) (anchoredRoot, error)
}

// An aggregator has one root on its way at a time; what comes meanwhile is the next one's. Under load that is one root every
// block or two, however many leaves there are.
type aggregator struct {
	cfg  anchorsConfig
	ctx  context.Context // ends with stop
	end  context.CancelFunc
	work chan struct{} // there are calls
	wg   sync.WaitGroup

	mu      sync.Mutex
	calls   []*anchorCall
	waiting int // leaves in calls and on their way
}

type anchorCall struct {
	leaves [][32]byte
	out    Anchored
	err    error
	ready  chan struct{}
}

func newAggregator(cfg anchorsConfig) *aggregator {
	if cfg.Window == 0 {
		cfg.Window = anchorWindow
	}
	if cfg.Waiting == 0 {
		cfg.Waiting = anchorsWaiting
	}
	cfg.Waiting = min(cfg.Waiting, evidence.MaxAggregation)
	a := &aggregator{cfg: cfg, work: make(chan struct{}, 1)}
	a.ctx, a.end = context.WithCancel(context.Background())
	a.wg.Go(a.run)
	return a
}

func (a *aggregator) anchor(ctx context.Context, leaves [][32]byte) (Anchored, error) {
	if len(leaves) == 0 || len(leaves) > MaxLeaves {
		return Anchored{}, ErrTooMany
	}
	call := &anchorCall{leaves: leaves, ready: make(chan struct{})}
	a.mu.Lock()
	if a.waiting+len(leaves) > a.cfg.Waiting {
		a.mu.Unlock()
		return Anchored{}, ErrBusy
	}
	a.waiting += len(leaves)
	a.calls = append(a.calls, call)
	a.mu.Unlock()
	select {
	case a.work <- struct{}{}:
	default:
	}
	select {
	case <-call.ready:
		return call.out, call.err
	case <-ctx.Done():
		return Anchored{}, ctx.Err()
	case <-a.ctx.Done():
		return Anchored{}, ErrStopped
	}
}

func (a *aggregator) run() {
	for {
		select {
		case <-a.work:
		case <-a.ctx.Done():
			return
		}
		window := time.NewTimer(a.cfg.Window)
		select {
		case <-window.C:
		case <-a.ctx.Done():
			window.Stop()
			return
		}
		a.mu.Lock()
		calls := a.calls
		a.calls = nil
		a.mu.Unlock()
		if len(calls) > 0 {
			a.batch(calls)
		}
	}
}

// batch anchors one root and answers everybody who is in it.
func (a *aggregator) batch(calls []*anchorCall) {
	var leaves [][32]byte
	for _, c := range calls {
		leaves = append(leaves, c.leaves...)
	}
	tree, err := evidence.Aggregate(leaves)
	var written anchoredRoot
	if err == nil {
		written, err = a.cfg.Write(a.ctx, tree.Root())
	}
	a.mu.Lock()
	a.waiting -= len(leaves)
	a.mu.Unlock()
	at := 0
	for _, c := range calls {
		if c.err = err; err == nil {
			c.out, c.err = receipts(tree, at, len(c.leaves), written)
		}
		at += len(c.leaves)
		close(c.ready)
	}
}

func receipts(tree *evidence.Aggregation, from, n int, written anchoredRoot) (Anchored, error) {
	out := Anchored{Root: tree.Root(), Height: written.height, Evidence: written.evidence}
	for i := from; i < from+n; i++ {
		r, err := tree.Receipt(i, [32]byte{})
		if err != nil {
			return Anchored{}, err
		}
		r.Evidence = written.evidence
		out.Receipts = append(out.Receipts, r)
	}
	return out, nil
}

// pending leaves: waiting, or on their way.
func (a *aggregator) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waiting
}

func (a *aggregator) stop() {
	a.end()
	a.wg.Wait()
}

// writeAnchor anchors a root through this node's own gateway.
func (n *Node) writeAnchor(ctx context.Context, r *running, root [32]byte) (anchoredRoot, error) {
	who := n.aggregates
	op, err := registry.Operation{Network: n.chain.Network, ChainID: n.chain.ChainID, DID: who.did, Body: &registry.AnchorBody{Root: root}}.Sign(who.key)
	if err != nil {
		return anchoredRoot{}, fmt.Errorf("sign anchor: %w", err)
	}
	operations := [][]byte{op}
	if _, err := r.machine.DID(who.did, 0); errors.Is(err, registry.ErrNotFound) {
		operations = [][]byte{who.create, op}
	}
	outcomes, err := r.gateway.submit(ctx, operations)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return anchoredRoot{}, ErrStopped
	}
	if err != nil {
		return anchoredRoot{}, err
	}
	out := outcomes[len(outcomes)-1]
	switch registry.Code(out.Code) {
	case registry.CodeOK:
	case registry.CodeDuplicate, registry.CodeExists: // the same leaves again: they are older than now
		if out.Height, err = r.machine.Anchor(root); err != nil {
			return anchoredRoot{}, err
		}
	default:
		return anchoredRoot{}, fmt.Errorf("%w: %s", ErrAnchorRefused, out.Code)
	}
	proof, err := r.proveAnchor(root, out.Height)
	return anchoredRoot{height: out.Height, evidence: proof}, err
}

// proveAnchor proves an anchor under the very header that dates it: then no other header needs to be signed or shown. When
// that state is gone, under the newest one.
func (r *running) proveAnchor(root [32]byte, height uint64) ([]byte, error) {
	q := Query{Query: chain.Query{Anchors: [][32]byte{root}}, Height: height + 1}
	proof, err := r.prove(q, r.newest.Load())
	if errors.Is(err, chain.ErrVersion) || errors.Is(err, registry.ErrNotFound) {
		q.Height = 0
		proof, err = r.prove(q, r.newest.Load())
	}
	return proof, err
}

// HeadProof is the newest header with the root of the header tree under it (evidence.Bridge). Where anchors are made, one is
// made first, so that every header that dates an earlier one stands in that tree. Errors: ErrDown, as Anchor.
func (n *Node) HeadProof(ctx context.Context) ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	height := uint64(0)
	if n.aggregates != nil {
		made, err := n.Anchor(ctx, evidence.AnchorLeaf([32]byte(r.machine.Info().AppHash), []byte("head")))
		if err != nil {
			return nil, err
		}
		height = made.Height + 1
	}
	return r.prove(Query{Query: chain.Query{Raw: [][]byte{registry.HeaderRootKey()}}, Height: height}, r.newest.Load())
}

// HeaderPath shows the header of a height under the header tree of size leaves (evidence.EncodePoints), however old both are.
// Errors: ErrDown, registry.ErrNotFound.
func (n *Node) HeaderPath(size, height uint64) ([]byte, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	point, path, err := r.machine.HeaderPath(size, height)
	if err != nil {
		return nil, err
	}
	return evidence.EncodePoints(point, path), nil
}
