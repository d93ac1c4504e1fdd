package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/evidence"
)

// direct lets the members sign together what else takes a proposal.
func direct(g *chain.Genesis) {
	g.Governance = &chain.GenesisGovernance{Direct: true, Voting: 3600, EmergencyThreshold: 2, EmergencyHold: 3600}
}

// members are the governance keys of a network.
func members(t *testing.T, l *Localnet) []registry.SigningKey {
	t.Helper()
	var keys []registry.SigningKey
	for id, private := range l.Governance {
		public, err := registry.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, registry.SigningKey{Role: registry.RoleMember(id), Public: public, Signer: edSigner(private)})
	}
	return keys
}

// A programme is an accredited agency with an open round.
type programme struct {
	n      *Node
	did    registry.DID
	round  registry.RoundRef
	claims registry.SigningKey

	mu               sync.Mutex
	won              map[int]registry.ClaimBody // by person
	earlier, inBlock int                        // won by the one handed in first; refused by a block, not by a gateway that knew already
}

func (p *programme) sign(t *testing.T, did registry.DID, body registry.Body, keys ...registry.SigningKey) []byte {
	t.Helper()
	raw, err := registry.Operation{Network: p.n.Network(), ChainID: p.n.ChainID(), DID: did, Body: body}.Sign(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newProgramme(t *testing.T, l *Localnet) *programme {
	t.Helper()
	const vct = "urn:dojang:kr:youth-eligibility:1"
	p := &programme{n: l.Nodes[0], round: registry.RoundRef{Programme: "voucher", Round: "2026-2"}, claims: newKey(t, registry.RoleClaim), won: map[int]registry.ClaimBody{}}
	op, key := newKey(t, registry.RoleOp), newKey(t, "")
	body := &registry.CreateBody{Op: op.Public, Next: newKey(t, "").Public.Hash(), Recovery: newKey(t, "").Public.Hash(),
		Keys: []registry.NewKey{{ID: "k1", Use: registry.UseAssertion, Key: key.Public}}}
	var err error
	if p.did, err = (registry.Operation{Network: p.n.Network(), ChainID: p.n.ChainID(), Body: body}).CreatedDID(); err != nil {
		t.Fatal(err)
	}
	key.Role = p.did.URL("k1")
	submitOK(t, p.n, p.sign(t, "", body, op))
	submitOK(t, p.n, p.sign(t, p.did, &registry.AccreditBody{Type: vct, N: 1, Basis: []string{"test"}, Host: "https://status.example",
		From: time.Now().Add(-time.Hour).Unix()}, members(t, l)...))
	out := submitOK(t, p.n, p.sign(t, p.did, &registry.RoundOpenBody{RoundRef: p.round, Via: registry.AccreditationRef{Type: vct, N: 1},
		Key: p.claims.Public, Until: time.Now().Add(time.Hour).Unix()}, key))
	for _, n := range l.Nodes {
		if err := n.WaitHeight(t.Context(), out[0].Height+1); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// submitted hands a claim in at a node; while that node is down or does not know what became of it, at the next one.
func submitted(t *testing.T, l *Localnet, at int, raw []byte) (out registry.Outcome, again bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); ; at, again = at+1, true {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		outs, err := l.Nodes[at%len(l.Nodes)].Submit(ctx, raw)
		cancel()
		if err == nil {
			return outs[0], again
		}
		if time.Now().After(end) {
			t.Errorf("no outcome of a claim: %v", err)
			return registry.Outcome{}, again
		}
		if errors.Is(err, ErrDown) || errors.Is(err, ErrNotAdmitting) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// TestClaimsAtTwoOffices has one person claim twice, ten milliseconds apart, at the gateways of two agencies.
func TestClaimsAtTwoOffices(t *testing.T) {
	t.Parallel()
	l := faultnet(t, LocalnetConfig{Validators: 4, Heartbeat: 500 * time.Millisecond, Genesis: direct})
	p := newProgramme(t, l)
	trust, err := l.Nodes[0].Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	const people, together = 200, 25
	first := 0
	for _, c := range []struct {
		name string
		hurt func(ctx context.Context)
	}{
		{"all validators run", func(context.Context) {}},
		{"a validator restarts all the while", func(ctx context.Context) {
			for n := l.Nodes[3]; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
				if err := errors.Join(n.Stop(t.Context()), n.Start(t.Context())); err != nil {
					t.Error(err)
					return
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var hurt sync.WaitGroup
			hurt.Go(func() { c.hurt(ctx) })
			var wg sync.WaitGroup
			gate := make(chan struct{}, together)
			for person := first; person < first+people; person++ {
				gate <- struct{}{}
				wg.Go(func() {
					defer func() { <-gate }()
					p.twice(t, l, person)
				})
			}
			wg.Wait()
			cancel()
			hurt.Wait()
			first += people
			p.agree(t, l, trust, first)
		})
	}
}

func (p *programme) claim(t *testing.T, person, office int) (raw []byte, body *registry.ClaimBody) {
	body = &registry.ClaimBody{RoundRef: p.round, Tag: registry.ClaimTag([]byte("round"), fmt.Append(nil, person)),
		Case: registry.HashOf(fmt.Append(nil, person, office)).Digest()}
	return p.sign(t, p.did, body, p.claims), body
}

// agree looks that every node proves the claims that stand, and no others.
func (p *programme) agree(t *testing.T, l *Localnet, trust evidence.Trust, people int) {
	if t.Failed() {
		return
	}
	height := l.Nodes[0].run.Load().newest.Load() + 1
	for i, n := range l.Nodes {
		if err := n.WaitHeight(t.Context(), height); err != nil {
			t.Fatal(err)
		}
		if _, tree, err := n.run.Load().machine.Round(p.did, p.round); err != nil || tree.Size != uint64(people) {
			t.Fatalf("node %d has %d claims of %d people: %v", i+1, tree.Size, people, err)
		}
		for person := 0; person < people; person += 20 {
			var q Query
			for k := person; k < person+20; k++ {
				q.Raw = append(q.Raw, registry.ClaimKey(p.did, p.round, p.won[k].Tag))
			}
			raw, err := n.Evidence(q, "")
			if err != nil {
				t.Fatal(err)
			}
			facts, err := evidence.Checker{Trust: trust, MaxSize: 256 << 10}.Check(raw, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for k, key := range q.Raw {
				var fact registry.ClaimFact
				if leaf, err := facts.Get(key); err != nil || registry.Decode(leaf, &fact) != nil || fact.Case != p.won[person+k].Case {
					t.Fatalf("node %d: another claim of person %d stands than the one that was acknowledged: %v", i+1, person+k, err)
				}
			}
		}
	}
	t.Logf("of %d people one claim each; %d times the earlier one won, %d refusals came from a block", people, p.earlier, p.inBlock)
}

// twice claims at two nodes, and looks that one of the claims stands and the other is told so.
func (p *programme) twice(t *testing.T, l *Localnet, person int) {
	var outs [2]registry.Outcome
	var again [2]bool
	var bodies [2]*registry.ClaimBody
	var wg sync.WaitGroup
	for office := range 2 {
		raw, body := p.claim(t, person, office)
		bodies[office] = body
		wg.Go(func() {
			time.Sleep(time.Duration(office) * 10 * time.Millisecond)
			outs[office], again[office] = submitted(t, l, person+office*(1+person/4%3), raw)
		})
	}
	wg.Wait()
	stands := -1
	for office, out := range outs {
		switch {
		case out.Code == string(registry.CodeOK), out.Code == string(registry.CodeDuplicate) && again[office]:
			if stands >= 0 {
				t.Errorf("person %d: both claims stand: %+v", person, outs)
				return
			}
			stands = office
		case out.Code != string(registry.CodeDuplicateClaim):
			t.Errorf("person %d: %+v", person, outs)
			return
		}
	}
	if stands < 0 {
		t.Errorf("person %d: no claim stands: %+v", person, outs)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.won[person] = *bodies[stands]
	p.earlier += 1 - stands
	if outs[1-stands].Height > 0 {
		p.inBlock++
	}
}
