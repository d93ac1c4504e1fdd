package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

func localnet(t *testing.T, validators int, heartbeat time.Duration) *Localnet {
	t.Helper()
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: validators, Heartbeat: heartbeat})
	if err != nil {
		t.Fatal(err)
	}
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	return l
}

func start(t *testing.T, l *Localnet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

type edSigner ed25519.PrivateKey

func (k edSigner) Sign(m []byte) ([]byte, error) { return ed25519.Sign(ed25519.PrivateKey(k), m), nil }

func newKey(tb testing.TB, role string) registry.SigningKey {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	key, err := registry.NewPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	return registry.SigningKey{Role: role, Public: key, Signer: edSigner(private)}
}

// create makes a signed create operation, and the key that controls the DID.
func create(tb testing.TB, n *Node) ([]byte, registry.DID, registry.SigningKey) {
	tb.Helper()
	op, next, recovery := newKey(tb, registry.RoleOp), newKey(tb, registry.RoleNext), newKey(tb, registry.RoleRecovery)
	o := registry.Operation{Network: n.Network(), ChainID: n.ChainID(),
		Body: &registry.CreateBody{Op: op.Public, Next: next.Public.Hash(), Recovery: recovery.Public.Hash()}}
	raw, err := o.Sign(op)
	if err != nil {
		tb.Fatal(err)
	}
	did, err := o.CreatedDID()
	if err != nil {
		tb.Fatal(err)
	}
	return raw, did, op
}

func submitOK(t *testing.T, n *Node, operations ...[]byte) []registry.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	outcomes, err := n.Submit(ctx, operations...)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range outcomes {
		if o.Code != string(registry.CodeOK) {
			t.Fatalf("operation %d: %s %s", i, o.Code, o.Detail)
		}
	}
	return outcomes
}

// proven checks by Evidence, with nothing but a trust point, that an operation has succeeded.
func proven(t *testing.T, n *Node, trust evidence.Trust, hash []byte) *evidence.Facts {
	t.Helper()
	h, err := registry.ParseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := n.Evidence(Query{Query: chain.Query{Operations: []registry.Hash{h}}}, "")
	if err != nil {
		t.Fatal(err)
	}
	facts, err := evidence.Check(raw, trust, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if o, err := facts.Outcome(h); err != nil || o.Code != string(registry.CodeOK) {
		t.Fatalf("outcome %+v: %v", o, err)
	}
	return facts
}

func TestOneValidator(t *testing.T) {
	l := localnet(t, 1, 300*time.Millisecond)
	n := l.Nodes[0]
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	raw, did, _ := create(t, n)

	t.Run("H27 acknowledged means provable", func(t *testing.T) {
		out := submitOK(t, n, raw)
		if r := n.run.Load(); r.newest.Load() < out[0].Height+1 {
			t.Fatalf("acknowledged at header %d, executed at %d", r.newest.Load(), out[0].Height)
		}
		proven(t, n, trust, out[0].Hash)
	})
	t.Run("H01 a committed operation again", func(t *testing.T) {
		before := n.run.Load().machine.Info().AppHash
		r := n.run.Load()
		envelope, err := n.seal(r, [][]byte{raw}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if res := r.machine.CheckTx(envelope); res.Code == registry.CodeOK {
			t.Fatal("CheckTx took it")
		}
		if out, err := n.Submit(t.Context(), raw); err != nil || out[0].Code != string(registry.CodeDuplicate) || out[0].Height != 0 {
			t.Fatalf("the gateway took it: %+v %v", out, err)
		}
		if !bytes.Equal(before, n.run.Load().machine.Info().AppHash) {
			t.Fatal("state changed")
		}
	})
	t.Run("restart in the same process keeps everything", func(t *testing.T) {
		if err := l.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Submit(t.Context(), raw); !errors.Is(err, ErrDown) {
			t.Fatalf("a stopped node took an operation: %v", err)
		}
		start(t, l)
		if doc, err := n.Document(did, Version{}); err != nil || !bytes.Contains(doc.JSON, []byte(did)) {
			t.Fatalf("document after restart: %v", err)
		}
		more, _, _ := create(t, n)
		proven(t, n, trust, submitOK(t, n, more)[0].Hash)
	})
	t.Run("an operation after a pause is never dated before its submission", func(t *testing.T) {
		if err := l.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond) // four heartbeats
		start(t, l)
		more, _, _ := create(t, n)
		submitted := time.Now()
		out := submitOK(t, n, more)
		at, ok := n.run.Load().engine.headerTime(out[0].Height + 1)
		if !ok || at.Before(submitted) {
			t.Fatalf("submitted %v, dated %v", submitted, at)
		}
		own, _ := n.run.Load().engine.headerTime(out[0].Height)
		if submitted.Sub(own) > 2*n.Heartbeat()+time.Second {
			t.Fatalf("taken into a block whose own header is %v old", submitted.Sub(own))
		}
	})
	t.Run("a stale newest header admits nothing", func(t *testing.T) {
		r := n.run.Load()
		late := &Node{cfg: n.cfg, chain: n.chain, member: n.member}
		late.cfg.Now = func() time.Time { return time.Now().Add(time.Hour) }
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := late.admits(ctx, r); !errors.Is(err, ErrNotAdmitting) {
			t.Fatalf("admitted: %v", err)
		}
	})
	t.Run("H25 nothing but the peer protocol listens", func(t *testing.T) {
		cfg := engineConfig{Home: "x", Listen: "127.0.0.1:1", Genesis: n.genesis}.settings()
		if cfg.RPC.ListenAddress != "" || cfg.RPC.GRPCListenAddress != "" || cfg.RPC.Unsafe || cfg.P2P.PexReactor {
			t.Fatal("the engine would open more than the peer protocol")
		}
	})
}

func TestWaitingCallersShareEnvelopes(t *testing.T) {
	l := localnet(t, 1, time.Second)
	n := l.Nodes[0]
	const callers = 200
	operations := make([][]byte, callers)
	for i := range operations {
		operations[i], _, _ = create(t, n)
	}
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for i, op := range operations {
		wg.Go(func() {
			out, err := n.Submit(t.Context(), op)
			if err == nil && (len(out) != 1 || out[0].Code != "ok") {
				err = fmt.Errorf("outcome %+v", out)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	account, err := n.run.Load().machine.Sponsor("member-1")
	if err != nil || account.Highest > callers/4 {
		t.Fatalf("%d envelopes for %d callers (%v)", account.Highest, callers, err)
	}
}

func TestGatewayLimits(t *testing.T) {
	l := localnet(t, 1, time.Second)
	n := l.Nodes[0]
	op, _, _ := create(t, n)
	many := make([][]byte, maxBatch+1)
	for i := range many {
		many[i] = op
	}
	if _, err := n.Submit(t.Context(), many...); !errors.Is(err, ErrTooMany) {
		t.Fatalf("more than an envelope holds: %v", err)
	}
	if out, err := n.Submit(t.Context()); out != nil || err != nil {
		t.Fatalf("nothing submitted: %v %v", out, err)
	}
	t.Run("one bad operation does not spoil its neighbours", func(t *testing.T) {
		good, _, _ := create(t, n)
		bad, _, _ := create(t, n)
		bad[len(bad)-1] ^= 1 // the signature
		out, err := n.Submit(t.Context(), good, bad)
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Code != string(registry.CodeOK) || out[1].Code != string(registry.CodeBadSignature) {
			t.Fatalf("outcomes %+v", out)
		}
	})
}

func TestFourValidators(t *testing.T) {
	t.Parallel()
	l := localnet(t, 4, 500*time.Millisecond)
	trust, err := l.Nodes[0].Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("every node is a gateway and proves the others' operations", func(t *testing.T) {
		for i, n := range l.Nodes {
			raw, did, _ := create(t, n)
			out := submitOK(t, n, raw)
			other := l.Nodes[(i+1)%4]
			if err := other.WaitHeight(t.Context(), out[0].Height+1); err != nil {
				t.Fatal(err)
			}
			proven(t, other, trust, out[0].Hash)
			if _, err := other.Document(did, Version{}); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("same app hash on all nodes", func(t *testing.T) {
		height := l.Nodes[0].run.Load().newest.Load()
		var hashes []string
		for _, n := range l.Nodes {
			if err := n.WaitHeight(t.Context(), height); err != nil {
				t.Fatal(err)
			}
			lb, err := n.run.Load().engine.lightBlock(height)
			if err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, lb.AppHash.String())
		}
		for _, h := range hashes {
			if h != hashes[0] {
				t.Fatalf("app hashes differ: %s", strings.Join(hashes, " "))
			}
		}
	})
	t.Run("H22 more than a third of the power lost, then returned", func(t *testing.T) {
		for _, n := range l.Nodes[2:] {
			if err := n.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n := l.Nodes[0]
		time.Sleep(2 * n.Heartbeat())
		stopped := n.run.Load().newest.Load()
		time.Sleep(2 * n.Heartbeat())
		if now := n.run.Load().newest.Load(); now > stopped+1 {
			t.Fatalf("two of four made %d blocks", now-stopped)
		}
		saysStuck(t, n)
		if _, err := n.Evidence(Query{Query: chain.Query{Types: []string{"urn:x:y"}}}, ""); err != nil {
			t.Fatalf("reads are not served: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		raw, _, _ := create(t, n)
		_, err := n.Submit(ctx, raw)
		cancel()
		if !errors.Is(err, ErrNotAdmitting) {
			t.Fatalf("submission while stuck: %v", err)
		}
		back := time.Now()
		for _, n := range l.Nodes[2:] {
			if err := n.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel = context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := n.WaitHeight(ctx, stopped+2); err != nil {
			t.Fatalf("no block %v after the quorum was back: %v", time.Since(back), err)
		}
	})
}

func TestPeersAreAllowListed(t *testing.T) {
	app := &application{peers: []string{"friend"}}
	for path, want := range map[string]bool{"/p2p/filter/id/friend": true, "/p2p/filter/id/stranger": false,
		"/p2p/filter/id/": false, "/p2p/filter/addr/10.0.0.1:1": true, "/store": false} {
		res, err := app.Query(t.Context(), queryPath(path))
		if err != nil || (res.Code == 0) != want {
			t.Errorf("%s: code %d, %v", path, res.Code, err)
		}
	}
}

func TestBlockOfTooMany(t *testing.T) {
	app := &application{}
	for n, want := range map[int]abci.ResponseProcessProposal_ProposalStatus{mempoolTxs: abci.ResponseProcessProposal_ACCEPT, mempoolTxs + 1: abci.ResponseProcessProposal_REJECT} {
		res, err := app.ProcessProposal(t.Context(), &abci.RequestProcessProposal{Txs: make([][]byte, n)})
		if err != nil || res.Status != want {
			t.Errorf("H28 %d transactions: %v %v", n, res.GetStatus(), err)
		}
	}
}

func TestSignState(t *testing.T) {
	l := localnet(t, 1, time.Second)
	n := l.Nodes[0]
	old, err := os.ReadFile(filepath.Join(n.cfg.Home, "validator_state.json"))
	if err != nil {
		t.Fatal(err)
	}
	raw, _, _ := create(t, n)
	submitOK(t, n, raw)
	if err := l.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("H21 sign state restored from a backup", func(t *testing.T) {
		path := filepath.Join(n.cfg.Home, "validator_state.json")
		now, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, old, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Start(t.Context()); !errors.Is(err, ErrSignState) {
			t.Fatalf("started: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := n.Start(t.Context()); err == nil {
			t.Fatal("started without a sign state")
		}
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestGenesis(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1})
	if err != nil {
		t.Fatal(err)
	}
	g := Genesis{Chain: l.Nodes[0].chain, Time: time.Now(), Validators: []Validator{{Key: make(ed25519.PublicKey, 32), Power: 1}}}
	if err := g.Write(l.Nodes[0].cfg.Home); !errors.Is(err, ErrExists) {
		t.Fatalf("a second genesis: %v", err)
	}
	g.Chain.Development = false
	if err := g.Write(t.TempDir()); !errors.Is(err, ErrGenesis) {
		t.Fatalf("one validator that is no development network: %v", err)
	}
	for _, name := range []string{"sponsor.pem", "validator_key.json", "node_key.json", "genesis.json"} {
		info, err := os.Stat(filepath.Join(l.Nodes[0].cfg.Home, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}
