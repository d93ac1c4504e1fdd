package drill

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
)

// A load submits operations at a steady rate, each to the gateway of a node chosen at random. Creates and updates: an update
// follows only an operation that was acknowledged, so that a history is known to its last step.
type load struct {
	d      *drill
	cancel context.CancelFunc
	wg     sync.WaitGroup
	gate   chan struct{} // operations on their way

	mu     sync.Mutex
	random *rand.Rand
	idle   []*subject // whose last operation was acknowledged
	dids   []registry.DID
	hashes []registry.Hash
}

// A subject is a DID of the load, in one goroutine at a time.
type subject struct {
	did  registry.DID
	key  registry.SigningKey
	seq  uint64
	prev registry.Hash
}

const (
	maxOnTheWay = 256
	maxUpdates  = 12 // of one DID
	patience    = 20 * time.Second
)

func newLoad(d *drill) (*load, error) {
	if d.cfg.Load <= 0 || d.cfg.Load > 10_000 {
		return nil, errors.New("drill: load is 1 to 10,000 operations a second")
	}
	return &load{d: d, gate: make(chan struct{}, maxOnTheWay), random: rand.New(rand.NewPCG(d.cfg.Seed, 2))}, nil
}

// start begins; the returned function ends the load and waits for answers.
func (l *load) start(ctx context.Context) (stop func()) {
	ticking, cancel := context.WithCancel(ctx)
	l.wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(l.d.cfg.Load))
		defer tick.Stop()
		for {
			select {
			case <-ticking.Done():
				return
			case <-tick.C:
			}
			select {
			case l.gate <- struct{}{}:
				l.wg.Go(func() {
					defer func() { <-l.gate }()
					l.one(ctx)
				})
			default: // everybody waits for a network that stands still: no use in more
			}
		}
	})
	return func() {
		cancel()
		l.wg.Wait()
	}
}

// next picks what to do: a new DID, or the next operation of an idle one.
func (l *load) next() (s *subject, node int, seed [32]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node = l.random.IntN(l.d.cfg.Network.Nodes())
	for i := range seed {
		seed[i] = byte(l.random.Uint32())
	}
	if n := len(l.idle); n > 0 && l.random.IntN(5) < 2 {
		i := l.random.IntN(n)
		s = l.idle[i]
		l.idle[i] = l.idle[n-1]
		l.idle = l.idle[:n-1]
	}
	return s, node, seed
}

func (l *load) one(ctx context.Context) {
	s, node, seed := l.next()
	raw, op, err := l.operation(&s, seed)
	if err != nil {
		return // a fault of the drill itself; nothing was sent
	}
	e := Entry{Kind: "op", At: l.d.since(), Hash: hashText(op.Hash), DID: string(s.did), Seq: s.seq, Node: node + 1}
	l.mu.Lock()
	l.hashes = append(l.hashes, op.Hash)
	if s.seq == 0 {
		l.dids = append(l.dids, s.did)
	}
	l.mu.Unlock()
	began := time.Now()
	outcome, result, err := l.submit(ctx, node, raw)
	e.Took = float64(time.Since(began).Microseconds()) / 1000
	e.Result = result
	if err != nil {
		e.Error = err.Error()
	}
	if result == Acknowledged {
		e.Code, e.Height = outcome.Code, outcome.Height
	}
	_ = l.d.cfg.History.Add(e)
	if result == Acknowledged && outcome.Code == string(registry.CodeOK) && s.seq < maxUpdates {
		s.seq, s.prev = s.seq+1, op.Hash
		l.mu.Lock()
		l.idle = append(l.idle, s)
		l.mu.Unlock()
	}
}

// operation signs a create for a new subject, otherwise its next update.
func (l *load) operation(s **subject, seed [32]byte) ([]byte, *registry.SignedOperation, error) {
	trust := l.d.cfg.Trust
	o := registry.Operation{Network: trust.Network, ChainID: trust.ChainID}
	if *s == nil {
		private := ed25519.NewKeyFromSeed(seed[:])
		public, err := registry.NewPublicKey(private.Public())
		if err != nil {
			return nil, nil, err
		}
		next := registry.HashOf(seed[:])
		*s = &subject{key: registry.SigningKey{Role: registry.RoleOp, Public: public, Signer: signer(private)}}
		o.Body = &registry.CreateBody{Op: public, Next: next, Recovery: registry.HashOf(next[:])}
		if (*s).did, err = o.CreatedDID(); err != nil {
			return nil, nil, err
		}
	} else {
		o.DID, o.Seq, o.Prev = (*s).did, (*s).seq, (*s).prev
		o.Body = &registry.UpdateBody{Services: []registry.Service{{ID: fmt.Sprintf("s%d", o.Seq), Type: "Drill", Endpoint: "https://drill.example/"}}}
	}
	raw, err := o.Sign((*s).key)
	if err != nil {
		return nil, nil, err
	}
	op, err := registry.ParseOperation(raw)
	return raw, op, err
}

type signer ed25519.PrivateKey

// Sign implements registry.Signer.
func (k signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(ed25519.PrivateKey(k), message), nil
}

// submit hands in one operation and says what its submitter may conclude.
func (l *load) submit(ctx context.Context, node int, raw []byte) (registry.Outcome, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := light.EncodeOperations([][]byte{raw})
	if err != nil {
		return registry.Outcome{}, Failed, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.d.cfg.Network.URL(node)+"/v1/operations", bytes.NewReader(body))
	if err != nil {
		return registry.Outcome{}, Failed, err
	}
	req.Header.Set("Content-Type", light.TypeOperations)
	res, err := l.d.cfg.HTTP.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return registry.Outcome{}, Failed, errors.New("connection refused")
	}
	if err != nil {
		return registry.Outcome{}, Unknown, errors.New("no answer")
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return registry.Outcome{}, Unknown, errors.New("half an answer")
	}
	switch code := problemCode(answer); {
	case res.StatusCode == http.StatusOK:
		outcomes, err := light.DecodeOutcomes(answer, 1)
		if err != nil {
			return registry.Outcome{}, Unknown, err
		}
		return outcomes[0], Acknowledged, nil
	case code == "not-admitting", code == "busy", code == "not-running", code == "sponsor-refused":
		return registry.Outcome{}, Failed, errors.New(code)
	default:
		return registry.Outcome{}, Unknown, fmt.Errorf("status %d %s", res.StatusCode, code)
	}
}
