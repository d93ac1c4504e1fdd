package node

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// A skewed signer is a validator whose machine has the wrong time: all that the engine tells others of its clock is the time of
// its votes and proposals.
type skewed struct {
	types.PrivValidator
	clock *atomic.Pointer[func(time.Time) time.Time]
}

func (s skewed) SignVote(chainID string, vote *cmtproto.Vote) error {
	vote.Timestamp = (*s.clock.Load())(vote.Timestamp)
	return s.PrivValidator.SignVote(chainID, vote)
}

func (s skewed) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	proposal.Timestamp = (*s.clock.Load())(proposal.Timestamp)
	return s.PrivValidator.SignProposal(chainID, proposal)
}

// TestClockOfOneValidator: the time of a header is the median of votes, so that one of four clocks does not move it.
func TestClockOfOneValidator(t *testing.T) {
	t.Parallel()
	var clock atomic.Pointer[func(time.Time) time.Time]
	right := func(at time.Time) time.Time { return at }
	clock.Store(&right)
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond, Each: func(i int, cfg *Config) {
		if i == 3 {
			cfg.wrapSigner = func(v types.PrivValidator) types.PrivValidator { return skewed{v, &clock} }
		}
	}})
	began := time.Now()
	for _, c := range []struct {
		name  string
		wrong func(time.Time) time.Time
	}{
		{"K09 one validator's engine is an hour ahead", func(at time.Time) time.Time { return at.Add(time.Hour) }},
		{"K09 one validator's engine is ten years ahead", func(at time.Time) time.Time { return at.AddDate(10, 0, 0) }},
		{"K09 one validator's engine is an hour behind", func(at time.Time) time.Time { return at.Add(-time.Hour) }},
		{"K09 one validator's engine is frozen", func(time.Time) time.Time { return began }},
		{"K09 one validator's engine is 90 s ahead and behind by turns", func(at time.Time) time.Time {
			return at.Add(time.Duration(1-at.UnixNano()/1000%2*2) * 90 * time.Second)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock.Store(&c.wrong)
			defer clock.Store(&right)
			counted := false
			for k := 0; k < 40 && (k < 6 || !counted); k++ {
				n := l.Nodes[k%4]
				op, _, _ := create(t, n)
				submitted := time.Now()
				out := submitOK(t, n, op)
				at, ok := n.run.Load().engine.headerTime(out[0].Height + 1)
				if !ok || at.Before(submitted) || at.After(time.Now()) {
					t.Fatalf("submitted %v, dated %v, answered %v", submitted, at, time.Now())
				}
				// The skewed votes are in commits, or this would show nothing.
				lb, err := n.run.Load().engine.lightBlock(out[0].Height)
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range lb.Commit.Signatures {
					counted = counted || s.BlockIDFlag == types.BlockIDFlagCommit && s.Timestamp.Sub(lb.Time).Abs() > 30*time.Second ||
						s.Timestamp.Equal(began)
				}
			}
			if !counted {
				t.Error("no commit holds a vote of the wrong time")
			}
			for i, m := range l.Nodes {
				for end := time.Now().Add(30 * time.Second); m.Health().State != "ok"; time.Sleep(50 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("node %d is %s", i+1, m.Health().State)
					}
				}
			}
		})
	}
}

// TestTwoClocks: of four machines one is ahead and one is behind. Their votes cancel out, and their gateways take nothing. (Two on one
// side are more than a third, and the time is theirs; then nobody admits anything.)
func TestTwoClocks(t *testing.T) {
	t.Parallel()
	var wrong [4]atomic.Int64 // seconds
	frozen := make([]atomic.Pointer[time.Time], 4)
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 300 * time.Millisecond, Each: func(i int, cfg *Config) {
		skew := func(at time.Time) time.Time {
			if stop := frozen[i].Load(); stop != nil {
				return *stop
			}
			return at.Add(time.Duration(wrong[i].Load()) * time.Second)
		}
		var clock atomic.Pointer[func(time.Time) time.Time]
		clock.Store(&skew)
		cfg.Now = func() time.Time { return skew(time.Now()) }
		cfg.wrapSigner = func(v types.PrivValidator) types.PrivValidator { return skewed{v, &clock} }
	}})
	check := func(t *testing.T, admits [4]bool) {
		t.Helper()
		for round := range 3 {
			for i, n := range l.Nodes {
				op, _, _ := create(t, n)
				submitted := time.Now()
				patience := time.Minute
				if !admits[i] {
					patience = 300 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				out, err := n.Submit(ctx, op)
				cancel()
				if !admits[i] {
					if !errors.Is(err, ErrNotAdmitting) {
						t.Errorf("round %d: node %d takes an operation: %v", round, i+1, err)
					}
					if state := n.Health().State; state == "ok" {
						t.Errorf("node %d is %s", i+1, state)
					}
					continue
				}
				if err != nil || out[0].Code != "ok" {
					t.Fatalf("round %d: node %d: %v %v", round, i+1, out, err)
				}
				at, ok := n.run.Load().engine.headerTime(out[0].Height + 1)
				if !ok || at.Before(submitted) || at.After(time.Now()) {
					t.Fatalf("submitted %v, dated %v, answered %v", submitted, at, time.Now())
				}
			}
		}
	}
	t.Run("K09 two nodes 90 s ahead and behind", func(t *testing.T) {
		wrong[2].Store(90)
		wrong[3].Store(-90)
		check(t, [4]bool{true, true, false, false})
	})
	t.Run("K09 one frozen, one an hour ahead", func(t *testing.T) {
		stop := time.Now().Add(-2 * clockDrift) // since a while
		frozen[2].Store(&stop)
		wrong[3].Store(3600)
		check(t, [4]bool{true, true, false, false})
	})
	t.Run("K09 right again", func(t *testing.T) {
		frozen[2].Store(nil)
		wrong[2].Store(0)
		wrong[3].Store(0)
		for _, n := range l.Nodes {
			for end := time.Now().Add(30 * time.Second); n.Health().State != "ok"; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal(n.Health().State)
				}
			}
		}
		check(t, [4]bool{true, true, true, true})
	})
}
