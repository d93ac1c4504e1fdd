package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
)

// mempool is the application of one node with what waits there, as the engine has it.
type mempool struct {
	t   *testing.T
	app *application
	txs [][]byte
	out chan []registry.Outcome
	err chan error
	g   *gateway
}

// waitsFor has the gateway of the node send one envelope that the test has sealed.
func waitsFor(t *testing.T, c *chaintest.Chain, envelope []byte, before ...[]byte) *mempool {
	t.Helper()
	sent := make(chan struct{})
	m := &mempool{t: t, app: &application{machine: c.Machine}, out: make(chan []registry.Outcome, 1), err: make(chan error, 1)}
	m.g = newGateway(gatewayConfig{
		Warm:   func([]byte) {},
		Seal:   func([][]byte, int) ([]byte, error) { return envelope, nil },
		Send:   func(tx []byte) error { defer close(sent); return m.first(tx) },
		Admits: func(context.Context) error { return nil },
		Now:    time.Now,
	})
	t.Cleanup(m.g.stop)
	m.app.onDropped = (&running{gateway: m.g}).dropped
	for _, tx := range before {
		if err := m.first(tx); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		out, err := m.g.submit(t.Context(), [][]byte{[]byte("operation")})
		m.out <- out
		m.err <- err
	}()
	<-sent
	return m
}

func (m *mempool) first(tx []byte) error {
	res, err := m.app.CheckTx(m.t.Context(), &abci.RequestCheckTx{Tx: tx})
	if err == nil && res.Code != 0 {
		err = errors.New(res.Codespace)
	}
	if err == nil {
		m.txs = append(m.txs, tx)
	}
	return err
}

// recheck is what the engine does after a block.
func (m *mempool) recheck() {
	m.t.Helper()
	var kept [][]byte
	for _, tx := range m.txs {
		res, err := m.app.CheckTx(m.t.Context(), &abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_Recheck})
		if err != nil {
			m.t.Fatal(err)
		}
		if res.Code == 0 {
			kept = append(kept, tx)
		}
	}
	m.txs = kept
}

// TestOnlyABlockRefuses: what waits at one node may come into a block in another order, or without what it was judged after.
func TestOnlyABlockRefuses(t *testing.T) {
	// One after the other: a rotation in one member's envelope, in another's what only the new key may do.
	scene := func(t *testing.T) (c *chaintest.Chain, rotation, update []byte) {
		c = chaintest.New(t, chaintest.Config{Members: 2, Genesis: func(g *chain.Genesis) { g.QuotaOps, g.QuotaBlocks = 3, 1000 }})
		a := c.Agency("gaon")
		rotate := a.Next(&registry.RotateBody{Key: a.Op(1).Public(), Next: a.Op(2).Public().Hash()})
		rotation = c.Op(rotate, a.Op(0).As(registry.RoleOp), a.Op(1).As(registry.RoleNext))
		a.Took(rotate)
		next := a.Next(&registry.UpdateBody{Services: service("web")})
		return c, rotation, c.Op(next, a.Op(1).As(registry.RoleOp))
	}
	other := func(c *chaintest.Chain, name string) []byte {
		a := c.NewAgency(name)
		return c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))
	}
	t.Run("dropped with what it followed at this node, executed by a block of another", func(t *testing.T) {
		c, rotation, update := scene(t)
		before := c.TxOf(1, 2, rotation)
		envelope := c.TxOf(0, 7, update)
		m := waitsFor(t, c, envelope, c.TxOf(1, 1, other(c, "one")), before)
		c.Block(c.TxOf(1, 3, other(c, "two"), other(c, "three"))) // one more of that member fits into its quota
		m.recheck()                                               // the first; so the rotation goes, and the update has no key
		m.g.onHeader()
		select {
		case out := <-m.out:
			t.Fatalf("told before any block has it: %+v %v", out, <-m.err)
		default:
		}
		res := c.Block(before, envelope) // at another node the rotation came first
		m.g.onExecuted(envelope, res[1].Operations)
		m.g.onHeader()
		if out, err := <-m.out, <-m.err; err != nil || out[0].Code != string(registry.CodeOK) || out[0].Height != c.Height() {
			t.Fatalf("%+v %v", out, err)
		}
	})
	t.Run("a block refuses: told with its height", func(t *testing.T) {
		c, rotation, _ := scene(t)
		envelope := c.TxOf(0, 7, rotation)
		m := waitsFor(t, c, envelope)
		c.Block(c.TxOf(1, 1, rotation))
		m.recheck()
		if len(m.txs) != 1 {
			t.Fatal("dropped")
		}
		res := c.Block(envelope)
		m.g.onExecuted(envelope, res[0].Operations)
		m.g.onHeader()
		if out, err := <-m.out, <-m.err; err != nil || out[0].Code != string(registry.CodeDuplicate) || out[0].Height != c.Height()-1 {
			t.Fatalf("%+v %v", out, err)
		}
	})
	t.Run("no block takes it: unknown after a while, and out of the mempool", func(t *testing.T) {
		c, rotation, _ := scene(t)
		m := waitsFor(t, c, c.TxOf(0, 7, rotation))
		c.Block(c.TxOf(1, 1, rotation))
		for i := range patience {
			m.recheck()
			if len(m.txs) != 1 {
				t.Fatalf("given up after %d blocks", i)
			}
			c.Block()
		}
		m.recheck()
		if len(m.txs) != 0 || len(m.app.refused.since) != 0 {
			t.Fatal("still there")
		}
		if out, err := <-m.out, <-m.err; !errors.Is(err, ErrUnknown) {
			t.Fatalf("%+v %v", out, err)
		}
	})
}

// TestRacesAreToldAsTheChainHasThem lets gateways of different members race for the next place in the history of one DID. Each
// caller must hear what the chain shows of its own operation: exactly one has won.
func TestRacesAreToldAsTheChainHasThem(t *testing.T) {
	t.Parallel()
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 500 * time.Millisecond})
	refusals := 0
	for round := range 20 {
		raw, id, key := create(t, l.Nodes[0])
		op, err := registry.ParseOperation(raw)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, l.Nodes, submitOK(t, l.Nodes[0], raw)[0].Height+1)
		type told struct {
			hash registry.Hash
			out  registry.Outcome
			err  error
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []told
		for i, n := range l.Nodes {
			body := &registry.UpdateBody{Services: service(fmt.Sprint("s", i))}
			raw, err := registry.Operation{Network: n.Network(), ChainID: n.ChainID(), DID: id, Seq: 1, Prev: op.Hash, Body: body}.Sign(key)
			if err != nil {
				t.Fatal(err)
			}
			update, err := registry.ParseOperation(raw)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out, err := n.Submit(ctx, raw)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, told{hash: update.Hash, err: err})
				if err == nil {
					all[len(all)-1].out = out[0]
				}
			})
		}
		wg.Wait()
		agree(t, l.Nodes, heights(l.Nodes)[0])
		won := 0
		for _, x := range all {
			fact, err := l.Nodes[0].run.Load().machine.Outcome(x.hash)
			switch {
			case x.err != nil:
				t.Errorf("round %d: %v", round, x.err)
			case x.out.Code == string(registry.CodeOK):
				won++
				if err != nil || fact.Code != string(registry.CodeOK) || fact.Height != x.out.Height {
					t.Errorf("round %d: told %+v, the chain has %+v %v", round, x.out, fact, err)
				}
			case x.out.Height != 0 && (err != nil || fact.Code != x.out.Code || fact.Height != x.out.Height):
				t.Errorf("round %d: told %+v, the chain has %+v %v", round, x.out, fact, err)
			case x.out.Height == 0 && err == nil && fact.Code == string(registry.CodeOK):
				t.Errorf("round %d: told that nothing came of it, the chain has %+v", round, fact)
			default:
				refusals++
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d winners: %+v", round, won, all)
		}
	}
	t.Logf("%d refusals", refusals)
}

func service(id string) []registry.Service {
	return []registry.Service{{ID: id, Type: "LinkedDomains", Endpoint: "https://gaon.example"}}
}
