package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	mempl "github.com/cometbft/cometbft/mempool"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dojang-id/dojang/registry/chain"
)

func faultnet(t *testing.T, cfg LocalnetConfig) *Localnet {
	t.Helper()
	cfg.Dir = t.TempDir()
	l, err := NewLocalnet(cfg)
	if err != nil {
		t.Fatal(err)
	}
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	return l
}

// TestTwins runs a second node with the key of the fourth validator, as after a failover that left the first one running.
func TestTwins(t *testing.T) {
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond, Each: func(_ int, cfg *Config) {
		cfg.Allow = func(string) bool { return true }
		cfg.Metrics = prometheus.NewRegistry()
	}})
	original := l.Nodes[3]
	home := t.TempDir()
	if _, err := Init(home); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(original.cfg.Home, "validator_key.json"), filepath.Join(home, "validator_key.json"))
	raw, err := original.Genesis()
	if err == nil {
		err = WriteGenesis(home, raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	var peers []string
	for _, n := range l.Nodes[:3] {
		peers = append(peers, n.ID()+"@"+n.cfg.Listen)
	}
	sponsor, err := loadSponsor(home)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := New(Config{Home: home, Peers: peers, Sponsor: sponsor})
	if err != nil {
		t.Fatal(err)
	}
	if err := twin.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = twin.Stop(context.Background()) }()
	t.Run("H20 a key in two places is proven on the chain within ten blocks", func(t *testing.T) {
		n := l.Nodes[0]
		op, _, _ := create(t, n)
		submitOK(t, n, op) // both copies are there
		h, ok := dialHostile(t, n, cmted25519.GenPrivKey())
		if !ok {
			t.Fatal("an admitted peer is not let in")
		}
		for end := time.Now().Add(time.Minute); counted(t, n, "dojang_registry_misbehaviours_total") == 0; time.Sleep(200 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("no proof after a minute")
			}
			_ = h.conn.SetDeadline(time.Now().Add(5 * time.Second))
			h.voteTwice(n, original.signer.Key.PrivKey)
		}
		store := n.run.Load().engine.node.BlockStore()
		for h := store.Height(); h > 0; h-- {
			block := store.LoadBlock(h)
			if block == nil {
				continue
			}
			for _, ev := range block.Evidence.Evidence {
				if age := h - ev.Height(); age > 10 {
					t.Errorf("proof of height %d stands in block %d", ev.Height(), h)
				}
				t.Logf("signed twice at %d, proven in block %d", ev.Height(), h)
				return
			}
		}
		t.Fatal("counted, but in no block")
	})
	t.Run("H20 it loses its power without a vote", func(t *testing.T) {
		public, err := original.signer.GetPubKey()
		if err != nil {
			t.Fatal(err)
		}
		key := [32]byte(public.Bytes())
		for end := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			validators, err := l.Nodes[0].Validators()
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(validators, func(v ValidatorState) bool { return v.PublicKey == key }); i < 0 || validators[i].Power == 1 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%+v", validators)
			}
		}
		set, err := l.Nodes[0].run.Load().machine.Validators()
		if err != nil || len(set) != 4 {
			t.Fatalf("%+v %v", set, err)
		}
		for _, v := range set {
			if (v.Key == key) != (v.Power == 1) {
				t.Errorf("%+v", v)
			}
		}
	})
	t.Run("the others go on, and agree", func(t *testing.T) {
		if err := twin.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		op, _, _ := create(t, l.Nodes[0])
		out := submitOK(t, l.Nodes[0], op)
		agree(t, l.Nodes[:3], out[0].Height+1)
	})
	t.Run("a replay takes its power at the same height", func(t *testing.T) {
		if err := l.Nodes[0].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := Replay(t.Context(), l.Nodes[0].cfg.Home, chain.Config{}); err != nil {
			t.Fatal(err)
		}
	})
}

// voteTwice sends two votes of a validator for two blocks of the height that a node is at. Two copies of a validator do
// it by themselves, when each proposes its own block, but only now and then.
func (h *hostile) voteTwice(n *Node, key crypto.PrivKey) {
	height := int64(n.run.Load().newest.Load()) + 1
	validators, err := n.run.Load().engine.states.LoadValidators(height)
	if err != nil {
		h.t.Fatal(err)
	}
	index, _ := validators.GetByAddress(key.PubKey().Address())
	for i := range byte(2) {
		block := cmtproto.BlockID{Hash: bytes.Repeat([]byte{i + 1}, 32), PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: bytes.Repeat([]byte{i + 1}, 32)}}
		vote := &cmtproto.Vote{Type: cmtproto.PrevoteType, Height: height, BlockID: block, Timestamp: time.Now().UTC(),
			ValidatorAddress: key.PubKey().Address(), ValidatorIndex: index}
		var err error
		if vote.Signature, err = key.Sign(types.VoteSignBytes(n.ChainID(), vote)); err != nil {
			h.t.Fatal(err)
		}
		const consensusVotes = 0x22
		h.say(consensusVotes, &cmtcons.Message{Sum: &cmtcons.Message_Vote{Vote: &cmtcons.Vote{Vote: vote}}})
	}
}

// counted reads a counter without labels.
func counted(t *testing.T, n *Node, name string) float64 {
	t.Helper()
	families, err := n.cfg.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// agree waits for a height and compares what it carries.
func agree(t *testing.T, nodes []*Node, height uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var first string
	for i, n := range nodes {
		if err := n.WaitHeight(ctx, height); err != nil {
			t.Fatal(err)
		}
		lb, err := n.run.Load().engine.lightBlock(height)
		if err != nil {
			t.Fatal(err)
		}
		if got := lb.Hash().String(); i == 0 {
			first = got
		} else if got != first {
			t.Fatalf("node %d has another header at %d", i+1, height)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, raw, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFlood has one member send as much as it can.
func TestFlood(t *testing.T) {
	const quota = 2000
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: time.Second, Genesis: func(g *chain.Genesis) {
		g.QuotaOps, g.QuotaBlocks = quota, 100_000
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var mu sync.Mutex
	taken, refusals := 0, 0
	for range 8 {
		flood.Go(func() {
			for ctx.Err() == nil {
				ops, err := signedCreates(l.Nodes[0], maxBatch)
				if err != nil {
					return
				}
				out, err := l.Nodes[0].Submit(ctx, ops...)
				mu.Lock()
				if errors.Is(err, ErrRefusedEnvelope) {
					refusals++
				}
				taken += len(out)
				mu.Unlock()
				if errors.Is(err, ErrRefusedEnvelope) {
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
	var took []time.Duration
	for len(took) < 40 {
		op, _, _ := create(t, l.Nodes[1])
		began := time.Now()
		submitOK(t, l.Nodes[1], op)
		took = append(took, time.Since(began))
	}
	cancel()
	flood.Wait()
	slices.Sort(took)
	p95 := took[len(took)*95/100]
	t.Logf("%d of the flood taken, %d envelopes refused; another member's p95 %v", taken, refusals, p95)
	t.Run("H28 a flooding member's quota holds, and the others go on", func(t *testing.T) {
		account, err := l.Nodes[0].run.Load().machine.Sponsor("member-1")
		if err != nil || account.Used > quota {
			t.Errorf("used %d of %d: %v", account.Used, quota, err)
		}
		if taken > quota || refusals == 0 {
			t.Errorf("%d operations taken, %d envelopes refused", taken, refusals)
		}
		if p95 > 3*time.Second && os.Getenv("CI") != "true" { // no time gates CI
			t.Errorf("another member waits %v", p95)
		}
	})
	t.Run("H28 an oversized transaction never waits for a block", func(t *testing.T) {
		e := l.Nodes[0].run.Load().engine
		if _, err := e.check(make([]byte, MaxTx+1)); !errors.As(err, new(mempl.ErrTxTooLarge)) {
			t.Fatalf("taken: %v", err)
		}
		if n := e.node.Mempool().Size(); n > mempoolTxs {
			t.Fatalf("%d transactions wait", n)
		}
	})
	t.Run("H28 ten thousand transactions of one sender are bounded", func(t *testing.T) {
		r := l.Nodes[2].run.Load()
		full := 0
		for i := range 10_000 {
			if _, err := r.engine.check([]byte("nonsense " + strconv.Itoa(i))); err != nil {
				full++
			}
		}
		if n := r.engine.node.Mempool().Size(); n != 0 {
			t.Fatalf("%d malformed transactions wait for a block", n)
		}
	})
}

// TestClocksOfGateways: what a node may take goes by its own clock and the newest header together.
func TestClocksOfGateways(t *testing.T) {
	t.Parallel()
	var offset time.Duration
	var mu sync.Mutex
	set := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		offset = d
	}
	l := faultnet(t, LocalnetConfig{Validators: 1, Heartbeat: 300 * time.Millisecond, Each: func(_ int, cfg *Config) {
		cfg.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return time.Now().Add(offset)
		}
	}})
	n := l.Nodes[0]
	submit := func(t *testing.T, patience time.Duration) error {
		op, _, _ := create(t, n)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := n.Submit(ctx, op)
		return err
	}
	for _, c := range []struct {
		name   string
		offset time.Duration
		want   error
	}{
		{"K09 the clock is right", 0, nil},
		{"K09 an hour ahead", time.Hour, ErrNotAdmitting},
		{"K09 ten years ahead", 10 * 365 * 24 * time.Hour, ErrNotAdmitting},
		{"K09 ninety seconds ahead", 90 * time.Second, ErrNotAdmitting},
		{"K09 ninety seconds behind", -90 * time.Second, ErrNotAdmitting},
		{"K09 an hour behind", -time.Hour, ErrNotAdmitting},
		{"K09 right again", 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			set(c.offset)
			patience := 30 * time.Second
			if c.want != nil { // nothing to wait for
				patience = 500 * time.Millisecond
			}
			if err := submit(t, patience); !errors.Is(err, c.want) {
				t.Fatalf("submission: %v", err)
			}
			if h := n.Health(); (h.State == "ok") != (c.want == nil) {
				t.Errorf("health is %s", h.State)
			}
		})
	}
}
