package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// Why the gateway takes nothing.
var (
	// ErrNotAdmitting: the newest header is older than two heartbeats (syncing, no quorum, just started): an operation
	// taken now would get a time before its submission. Ask another node, or again later.
	ErrNotAdmitting = errors.New("node: not admitting: the newest header is too old")
	// ErrStopped: the node stops before the outcome is provable. The operation may still execute: look it up by its hash.
	ErrStopped = errors.New("node: stopped before the outcome was provable")
	// ErrUnknown: no block took the operation for a minute, or for some blocks that all would have refused it. It may still
	// execute: look it up by its hash.
	ErrUnknown = errors.New("node: outcome unknown")
	// ErrTooMany: more operations in one call than an envelope holds.
	ErrTooMany = errors.New("node: too many operations in one submission")
	// ErrBusy: the queue or the mempool is full. Nothing was taken.
	ErrBusy = errors.New("node: too many operations are waiting")
	// ErrRefusedEnvelope: our own envelope was refused (member removed, quota used up); nothing executed.
	ErrRefusedEnvelope = errors.New("node: the chain refused this sponsor's envelope")
)

const (
	maxBatch   = 100                  // operations an envelope
	maxQueued  = 4096                 // operations waiting for an envelope
	maxTries   = 4                    // envelopes a batch, while the chain refuses them
	maxBytes   = MaxTx - 16<<10       // of operations an envelope
	joinWindow = 2 * time.Millisecond // how long a first caller waits for others
	// outcomeWait is when an envelope that no block took counts as lost: the mempool dropped it.
	outcomeWait = time.Minute
)

// gatewayConfig ties the gateway to the chain and the engine.
type gatewayConfig struct {
	Warm   func(operation []byte)                                          // verifies what can be, in the caller's goroutine; decides nothing
	Seal   func(operations [][]byte, try int) (envelope []byte, err error) // signs a sponsored envelope; try counts from 1
	Send   func(envelope []byte) error                                     // into the mempool; ErrBusy, ErrRefusedEnvelope
	Admits func(ctx context.Context) error                                 // ErrNotAdmitting
	Now    func() time.Time
}

// A gateway joins the operations of waiting callers into envelopes and tells each caller its outcome
// once the header that proves it exists (H27).
type gateway struct {
	cfg   gatewayConfig
	work  chan *submission
	again chan *batch   // refused with its envelope: a nonce that another gateway of this member has used
	done  chan struct{} // closed by stop
	wg    sync.WaitGroup

	mu       sync.Mutex
	sent     map[[32]byte]*batch // by SHA-256 of the envelope
	executed []*batch            // waiting for the next header
	queued   int
}

// A submission is what one caller handed in: its operations stay together and in order.
type submission struct {
	operations [][]byte
	size       int // bytes of operations
	outcomes   []registry.Outcome
	err        error
	ready      chan struct{}
}

// A batch is one envelope and whose operations it carries.
type batch struct {
	members  []*submission
	sentAt   time.Time
	tries    int
	outcomes []registry.Outcome // set when executed, or refused as a whole
}

func newGateway(cfg gatewayConfig) *gateway {
	g := &gateway{cfg: cfg, work: make(chan *submission, maxQueued), again: make(chan *batch, 64), done: make(chan struct{}), sent: map[[32]byte]*batch{}}
	g.wg.Add(1)
	go g.run()
	return g
}

// submit waits for the outcomes of operations, at most maxBatch, in order.
func (g *gateway) submit(ctx context.Context, operations [][]byte) ([]registry.Outcome, error) {
	if err := g.cfg.Admits(ctx); err != nil {
		return nil, err
	}
	s := &submission{operations: operations, ready: make(chan struct{})}
	for _, op := range operations {
		s.size += len(op)
	}
	if len(operations) > maxBatch || s.size > maxBytes {
		return nil, ErrTooMany
	}
	if g.full(len(operations)) {
		return nil, ErrBusy
	}
	for _, op := range operations {
		g.cfg.Warm(op)
	}
	if err := g.enqueue(s); err != nil {
		return nil, err
	}
	select {
	case <-s.ready:
		return s.outcomes, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-g.done:
		select { // an outcome that arrived with the stop still counts
		case <-s.ready:
			return s.outcomes, s.err
		default:
			return nil, ErrStopped
		}
	}
}

// full says so before anything is verified for nothing.
func (g *gateway) full(more int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.queued+more > maxQueued
}

func (g *gateway) enqueue(s *submission) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.queued+len(s.operations) > maxQueued {
		return ErrBusy
	}
	select {
	case g.work <- s:
		g.queued += len(s.operations)
		return nil
	default:
		return ErrBusy
	}
}

// run forms batches: the first caller waits joinWindow for others, or until the envelope is full.
func (g *gateway) run() {
	defer g.wg.Done()
	var held *submission // did not fit into the last batch
	for {
		if held == nil {
			select {
			case held = <-g.work:
			case b := <-g.again:
				g.send(b)
				continue
			case <-g.done:
				return
			}
		}
		b, size, bytes := &batch{members: []*submission{held}}, len(held.operations), held.size
		held = nil
		window := time.NewTimer(joinWindow)
		for size < maxBatch && held == nil {
			select {
			case s := <-g.work:
				if size+len(s.operations) > maxBatch || bytes+s.size > maxBytes {
					held = s
					continue
				}
				b.members = append(b.members, s)
				size += len(s.operations)
				bytes += s.size
				continue
			case <-window.C:
			case <-g.done:
				window.Stop()
				return
			}
			break
		}
		window.Stop()
		g.mu.Lock()
		g.queued -= size
		g.mu.Unlock()
		g.send(b)
	}
}

// send seals and sends; an envelope that the mempool refuses is sealed again with another nonce.
func (g *gateway) send(b *batch) {
	for b.tries++; ; b.tries++ {
		err := g.trySend(b)
		if err == nil {
			return
		}
		if no := (*refused)(nil); errors.As(err, &no) {
			b.outcomes = no.outcomes
			b.answer(nil)
			return
		}
		if b.tries >= maxTries || !errors.Is(err, ErrRefusedEnvelope) {
			b.answer(err)
			return
		}
	}
}

func (g *gateway) trySend(b *batch) error {
	var operations [][]byte
	for _, s := range b.members {
		operations = append(operations, s.operations...)
	}
	envelope, err := g.cfg.Seal(operations, b.tries)
	if err != nil {
		return err
	}
	key := sha256.Sum256(envelope)
	g.mu.Lock()
	b.sentAt = g.cfg.Now()
	g.sent[key] = b // before Send: it may execute at once
	g.mu.Unlock()
	if err := g.cfg.Send(envelope); err != nil {
		g.mu.Lock()
		delete(g.sent, key)
		g.mu.Unlock()
		return err
	}
	return nil
}

// onExecuted takes what a block made of one envelope; no outcomes: the block refused the envelope itself, and nothing in
// it ran. Never blocks.
func (g *gateway) onExecuted(envelope []byte, outcomes []registry.Outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(envelope, outcomes)
}

// onDropped takes an envelope that the mempool had taken and whose nonce is used by now, so that no block will take it: by
// another gateway of this member, or by what this one sent before a crash and replays after it. Never blocks.
func (g *gateway) onDropped(envelope []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle(envelope, nil)
}

// onGivenUp takes an envelope that no block took while all its operations would have been refused. Another node may still have
// it, so nobody is told a refusal. Never blocks.
func (g *gateway) onGivenUp(envelope []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := sha256.Sum256(envelope)
	if b, ok := g.sent[key]; ok {
		delete(g.sent, key)
		go b.answer(ErrUnknown)
	}
}

// settle ends one sending of an envelope; without outcomes its operations go into another one. Under mu.
func (g *gateway) settle(envelope []byte, outcomes []registry.Outcome) {
	if len(g.sent) == 0 { // replay, or another node's traffic
		return
	}
	key := sha256.Sum256(envelope)
	b, ok := g.sent[key]
	if !ok {
		return
	}
	delete(g.sent, key)
	if b.outcomes = outcomes; len(outcomes) > 0 {
		g.executed = append(g.executed, b)
		return
	}
	select {
	case g.again <- b:
	default:
		go b.answer(ErrRefusedEnvelope)
	}
}

// onHeader tells that the next header exists: what was executed before it is provable.
func (g *gateway) onHeader() {
	g.mu.Lock()
	ready := g.executed
	g.executed = nil
	var lost []*batch
	for key, b := range g.sent {
		if g.cfg.Now().Sub(b.sentAt) > outcomeWait {
			delete(g.sent, key)
			lost = append(lost, b)
		}
	}
	g.mu.Unlock()
	for _, b := range ready {
		b.answer(nil)
	}
	for _, b := range lost {
		b.answer(ErrUnknown)
	}
}

func (b *batch) answer(err error) {
	at := 0
	for _, s := range b.members {
		n := len(s.operations)
		switch {
		case err != nil:
			s.err = err
		case at+n > len(b.outcomes): // the envelope as a whole was refused in its block
			s.err = ErrRefusedEnvelope
		default:
			s.outcomes = b.outcomes[at : at+n : at+n]
		}
		at += n
		close(s.ready)
	}
}

// waiting counts operations that are queued or on their way.
func (g *gateway) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.queued
	for _, b := range g.sent {
		for _, s := range b.members {
			n += len(s.operations)
		}
	}
	return n
}

// stop answers whoever still waits with ErrStopped.
func (g *gateway) stop() {
	close(g.done)
	g.wg.Wait()
}
