package chain_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// council is a chain of n members that decide by votes, with n validators.
func council(t *testing.T, n, k int) *chaintest.Chain {
	return chaintest.New(t, chaintest.Config{Members: n, Threshold: k, Genesis: func(g *chain.Genesis) {
		g.Development, g.Governance, g.Validators = false, chaintest.ByVote(), chaintest.GenesisValidators(n)
	}})
}

// code is the outcome of one operation.
func code(c *chaintest.Chain, op []byte) registry.Code { return registry.Code(c.Do(op)[0].Code) }

func state(t *testing.T, c *chaintest.Chain, n uint64) registry.ProposalFact {
	t.Helper()
	p, _, err := c.Machine.Proposal(n)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func newMember(i int) *registry.MemberAddBody {
	return &registry.MemberAddBody{ID: chaintest.MemberID(i), Name: map[string]string{"en": "New"},
		Key: chaintest.Member(i).Public, Sponsor: chaintest.Sponsor(i).Public}
}

func agency(c *chaintest.Chain, name string) *chaintest.Agency {
	a := c.NewAgency(name)
	op := a.CreateOperation()
	op.Body.(*registry.CreateBody).Services = nil
	c.Must(c.Op(op, a.Op(0).As(registry.RoleOp)))
	return a.Created(op)
}

func accreditOf(a *chaintest.Agency) registry.Operation {
	op := a.AccreditOperation(vct, 1)
	op.Body.(*registry.AccreditBody).Host = ""
	return op
}

func TestProposals(t *testing.T) {
	t.Run("H08 k of n and a time lock", func(t *testing.T) {
		c := council(t, 4, 3)
		a := agency(c, "gaon")
		op := accreditOf(a)
		want(t, "all members sign without a proposal", code(c, c.Op(op, chaintest.Member(0), chaintest.Member(1), chaintest.Member(2), chaintest.Member(3))), registry.CodeThreshold)
		want(t, "propose", code(c, c.Proposal(0, op)), registry.CodeOK)
		want(t, "one vote", state(t, c, 1).State, registry.ProposalVoting)
		want(t, "the proposer again", code(c, c.Vote(0, 1, true)), registry.CodeExists)
		want(t, "second vote", code(c, c.Vote(1, 1, true)), registry.CodeOK)
		c.Pass(20)
		if _, _, err := c.Machine.Accreditation(a.DID, vct, 1); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("two of three decided: %v", err)
		}
		want(t, "third vote", code(c, c.Vote(3, 1, true)), registry.CodeOK)
		p := state(t, c, 1)
		want(t, "three votes", p.State, registry.ProposalApproved)
		want(t, "time lock", p.Due, c.Headers[c.Height()-1].Time.Unix()+10)
		c.Pass(8)
		want(t, "a vote against, too late to stop it", code(c, c.Vote(2, 1, false)), registry.CodeOK)
		if _, _, err := c.Machine.Accreditation(a.DID, vct, 1); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("before the time lock was over: %v", err)
		}
		c.Block()
		p = state(t, c, 1)
		want(t, "executed", p.State, registry.ProposalExecuted)
		_, height, err := c.Machine.Accreditation(a.DID, vct, 1)
		if err != nil || height != p.Closed {
			t.Fatalf("accreditation of height %d, %v", height, err)
		}
		parsed, err := registry.ParseOperation(c.Op(op, chaintest.Member(0)))
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Machine.Outcome(parsed.Hash)
		if err != nil || out.Code != string(registry.CodeOK) {
			t.Fatalf("outcome of what was proposed: %+v %v", out, err)
		}
		want(t, "a vote when it is over", code(c, c.Vote(2, 1, true)), registry.CodeNotAllowed)
	})
	t.Run("visible history with proof", func(t *testing.T) {
		c := council(t, 3, 2)
		c.Must(c.Proposal(0, registry.Operation{Body: &registry.ThresholdBody{K: 3}}))
		c.Must(c.Vote(1, 1, false))
		c.Must(c.Vote(2, 1, true))
		raw := c.Evidence(chain.Query{Raw: [][]byte{registry.ProposalFamily(1).Latest(), registry.ProposalContentKey(1), registry.VoteKey(1, chaintest.MemberID(1)),
			registry.VoteKey(1, "nobody"), registry.ProposalFamily(2).Latest(), registry.ProposalsKey()}})
		f, err := evidence.Check(raw, c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.Get(registry.VoteKey(1, chaintest.MemberID(1)))
		if err != nil {
			t.Fatal(err)
		}
		var vote registry.VoteFact
		if err := registry.Decode(b, &vote); err != nil || vote.Approve || vote.Height == 0 {
			t.Fatalf("%+v %v", vote, err)
		}
		for _, absent := range [][]byte{registry.VoteKey(1, "nobody"), registry.ProposalFamily(2).Latest()} {
			if _, err := f.Get(absent); !errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("%q: %v", absent, err)
			}
		}
	})
	t.Run("H09 allowed when proposed, not when executed", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		c.Must(c.Proposal(0, accreditOf(a)), c.Proposal(1, registry.Operation{Body: &registry.ThresholdBody{K: 3}}))
		c.Must(c.Vote(1, 1, true))
		c.Must(c.Op(a.Next(&registry.DeactivateBody{}), a.Op(0).As(registry.RoleOp)))
		c.Pass(15)
		p := state(t, c, 1)
		want(t, "state", p.State, registry.ProposalFailed)
		want(t, "code", p.Code, registry.CodeDeactivated)
		if _, _, err := c.Machine.Accreditation(a.DID, vct, 1); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("it has an effect: %v", err)
		}
		want(t, "what is not allowed now cannot be proposed", code(c, c.Proposal(0, accreditOf(a))), registry.CodeDeactivated)
	})
	t.Run("H09 the threshold rises in the time lock", func(t *testing.T) {
		c := council(t, 5, 3)
		a := agency(c, "gaon")
		c.Must(c.Proposal(0, registry.Operation{Body: &registry.ThresholdBody{K: 4}}), c.Proposal(0, accreditOf(a)))
		c.Must(c.Vote(1, 1, true), c.Vote(2, 1, true))
		c.Must(c.Vote(1, 2, true), c.Vote(2, 2, true))
		c.Pass(12)
		want(t, "threshold", c.Machine.Info().Params.Threshold, 4)
		want(t, "three are not enough any more", state(t, c, 2).State, registry.ProposalVoting)
		c.Must(c.Vote(3, 2, true))
		c.Pass(12)
		want(t, "with the fourth", state(t, c, 2).State, registry.ProposalExecuted)
	})
	t.Run("expiry and rejection", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		c.Must(c.Proposal(0, accreditOf(a)))
		c.Pass(101)
		want(t, "after its time", state(t, c, 1).State, registry.ProposalExpired)
		want(t, "a vote after its time", code(c, c.Vote(1, 1, true)), registry.CodeNotAllowed)
		c.Must(c.Proposal(0, accreditOf(a)))
		c.Must(c.Vote(1, 2, false), c.Vote(2, 2, false))
		want(t, "two of three against", state(t, c, 2).State, registry.ProposalRejected)
		all, err := c.Machine.Proposals()
		if err != nil || all.Count != 2 || len(all.Open) != 0 {
			t.Fatalf("%+v %v", all, err)
		}
		app := c.Machine.Info().AppHash
		c.Pass(3)
		if string(app) != string(c.Machine.Info().AppHash) {
			t.Fatal("closed proposals change the state")
		}
	})
	t.Run("H07 not a member, in another's name, for something else", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		c.Must(c.Proposal(0, accreditOf(a)))
		p := state(t, c, 1)
		vote := func(member string, hash [32]byte, keys ...registry.SigningKey) []byte {
			return c.Op(registry.Operation{Body: &registry.VoteBody{Member: member, N: 1, Proposal: hash, Approve: true}}, keys...)
		}
		one := chaintest.MemberID(1)
		other := p.Hash
		other[0] ^= 1
		stranger := chaintest.Member(7)
		impostor := chaintest.Member(2)
		impostor.Role = registry.RoleMember(one)
		for name, tc := range map[string]struct {
			op   []byte
			code registry.Code
		}{
			"a stranger":                     {vote(chaintest.MemberID(7), p.Hash, stranger), registry.CodeThreshold},
			"another member's key":           {vote(one, p.Hash, impostor), registry.CodeBadSignature},
			"signed by another":              {vote(one, p.Hash, chaintest.Member(2)), registry.CodeBadSignature},
			"signed by another as well":      {vote(one, p.Hash, chaintest.Member(1), chaintest.Member(2)), registry.CodeMalformed},
			"for something else":             {vote(one, other, chaintest.Member(1)), registry.CodeVersionConflict},
			"a stranger proposes":            {c.Proposal(7, accreditOf(a)), registry.CodeThreshold},
			"a proposal that does not exist": {c.Op(registry.Operation{Body: &registry.VoteBody{Member: one, N: 9, Proposal: p.Hash}}, chaintest.Member(1)), registry.CodeNotFound},
		} {
			want(t, name, code(c, tc.op), tc.code)
		}
		if len(state(t, c, 1).Yes) != 1 {
			t.Fatal("a refused vote counts")
		}
	})
	t.Run("H28 open proposals are bounded", func(t *testing.T) {
		c := council(t, 3, 2)
		for i := range 8 {
			c.Must(c.Proposal(0, registry.Operation{Seq: uint64(i), Body: newMember(10 + i)}))
		}
		want(t, "the ninth", code(c, c.Proposal(0, registry.Operation{Body: newMember(30)})), registry.CodeLimit)
		want(t, "another member's first", code(c, c.Proposal(1, registry.Operation{Body: newMember(30)})), registry.CodeOK)
	})
	t.Run("H28 eight members that fill every place stop nobody else", func(t *testing.T) {
		c := council(t, 10, 6)
		for m := range 8 {
			for i := range 8 {
				c.Must(c.Proposal(m, registry.Operation{Seq: uint64(8*m + i), Body: newMember(100 + 8*m + i)}))
			}
		}
		want(t, "another member's first", code(c, c.Proposal(8, registry.Operation{Body: &registry.MemberRemoveBody{ID: chaintest.MemberID(0)}})), registry.CodeOK)
		want(t, "its second", code(c, c.Proposal(8, registry.Operation{Body: newMember(30)})), registry.CodeLimit)
	})
	t.Run("recover by the members", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		body := &registry.RecoverBody{Op: chaintest.NewKey("n0").Public(), Next: chaintest.NewKey("n1").Public().Hash(), Recovery: chaintest.NewKey("n2").Public().Hash()}
		op := a.Next(body)
		want(t, "without the new key", code(c, c.Proposal(0, op)), registry.CodeBadSignature)
		c.Must(c.Proposal(0, op, chaintest.NewKey("n0").As(registry.RoleOp)))
		c.Must(c.Vote(2, 1, true))
		c.Pass(12)
		want(t, "state", state(t, c, 1).State, registry.ProposalExecuted)
		a.Took(op)
		next := a.Next(&registry.RetireBody{ID: "auth"})
		want(t, "the old key", code(c, c.Op(next, a.Op(0).As(registry.RoleOp))), registry.CodeBadSignature)
		want(t, "the new key", code(c, c.Op(next, chaintest.NewKey("n0").As(registry.RoleOp))), registry.CodeOK)
	})
	t.Run("H08 who holds the operation key does not outrun a decision", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		thief := func() {
			op := a.Next(&registry.UpdateBody{Keys: []registry.NewKey{{ID: fmt.Sprint("more", c.Height()), Use: registry.UseAssertion, Key: chaintest.NewKey(fmt.Sprint(c.Height())).Public()}}})
			c.Must(c.Op(op, a.Op(0).As(registry.RoleOp)))
			a.Took(op)
		}
		from := c.Headers[0].Time.Unix() + 1
		compromise := a.Next(&registry.CompromiseBody{ID: "k1", From: from})
		c.Must(c.Proposal(0, compromise))
		thief()
		c.Must(c.Vote(1, 1, true))
		thief()
		c.Pass(12)
		want(t, "decided", state(t, c, 1).State, registry.ProposalExecuted)
		record, err := c.Machine.DID(a.DID, 0)
		if err != nil || record.DID.Seq != 3 || slices.Contains(record.DID.Keys, "k1") || len(record.Keys) != len(record.DID.Keys) {
			t.Fatalf("%+v %v", record.DID, err)
		}
		want(t, "a proposal that is behind from the start", code(c, c.Proposal(0, compromise)), registry.CodeVersionConflict)
		stale := a.Next(&registry.RetireBody{ID: "auth"})
		want(t, "the controller still needs the newest", code(c, c.Op(stale, a.Op(0).As(registry.RoleOp))), registry.CodeVersionConflict)
		stale.Seq, stale.Prev = 4, registry.HashOfDigest(record.DID.Head)
		want(t, "and goes on after it", code(c, c.Op(stale, a.Op(0).As(registry.RoleOp))), registry.CodeOK)
	})
	t.Run("a decision does not weaken what was declared meanwhile", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		early := c.Headers[0].Time.Unix() + 1
		c.Must(c.Proposal(0, a.Next(&registry.CompromiseBody{ID: "k1", From: early + 1})))
		op := a.Next(&registry.CompromiseBody{ID: "k1", From: early})
		c.Must(c.Op(op, a.Op(0).As(registry.RoleOp)))
		c.Must(c.Vote(1, 1, true))
		c.Pass(12)
		p := state(t, c, 1)
		want(t, "state", p.State, registry.ProposalFailed)
		want(t, "code", p.Code, registry.CodeVersionConflict)
	})
	t.Run("what members do not decide cannot be proposed", func(t *testing.T) {
		c := council(t, 3, 2)
		a := agency(c, "gaon")
		op := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, DID: a.DID, Body: &registry.AnchorBody{}}
		body, err := registry.Propose(chaintest.MemberID(0), op)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (registry.Operation{Network: op.Network, ChainID: op.ChainID, Body: body}).Payload(); !errors.Is(err, registry.ErrMalformed) {
			t.Fatalf("got %v", err)
		}
	})
}

func decide(t *testing.T, c *chaintest.Chain, op registry.Operation, voters ...int) registry.ProposalFact {
	t.Helper()
	c.Must(c.Proposal(voters[0], op))
	all, err := c.Machine.Proposals()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range voters[1:] {
		c.Must(c.Vote(v, all.Count, true))
	}
	c.Pass(12)
	return state(t, c, all.Count)
}

func TestMembers(t *testing.T) {
	t.Run("a new member raises the majority, votes and sponsors", func(t *testing.T) {
		c := council(t, 3, 2)
		want(t, "added", decide(t, c, registry.Operation{Body: newMember(3)}, 0, 1).State, registry.ProposalExecuted)
		p := c.Machine.Info().Params
		want(t, "members", p.Members, 4)
		want(t, "threshold", p.Threshold, 3)
		res := c.Block(c.TxOf(3, 1, c.Proposal(3, registry.Operation{Body: &registry.ThresholdBody{K: 4}})))
		want(t, "its gateway", res[0].Code, registry.CodeOK)
		want(t, "its proposal", res[0].Operations[0].Code, string(registry.CodeOK))
		want(t, "the same id again", code(c, c.Proposal(0, registry.Operation{Seq: 5, Body: newMember(3)})), registry.CodeExists)
		again := newMember(4)
		again.Key = chaintest.Member(3).Public
		want(t, "a key twice", code(c, c.Proposal(0, registry.Operation{Body: again})), registry.CodeExists)
	})
	t.Run("votes of a removed member do not count", func(t *testing.T) {
		c := council(t, 5, 3)
		a := agency(c, "gaon")
		c.Must(c.Proposal(4, accreditOf(a)))
		c.Must(c.Vote(0, 1, true))
		want(t, "removed", decide(t, c, registry.Operation{Body: &registry.MemberRemoveBody{ID: chaintest.MemberID(4)}}, 0, 1, 2).State, registry.ProposalExecuted)
		c.Must(c.Vote(1, 1, true))
		want(t, "two present, one gone", state(t, c, 1).State, registry.ProposalVoting)
		c.Must(c.Vote(2, 1, true))
		want(t, "three present", state(t, c, 1).State, registry.ProposalApproved)
		want(t, "its vote", code(c, c.Vote(4, 1, true)), registry.CodeThreshold)
		want(t, "its gateway", c.Block(c.TxOf(4, 1, c.Vote(3, 1, true)))[0].Code, registry.CodeNotASponsor)
		want(t, "it never comes back", code(c, c.Proposal(0, registry.Operation{Body: newMember(4)})), registry.CodeExists)
	})
	t.Run("a lost key of n of n can be removed, the last two stay", func(t *testing.T) {
		c := council(t, 3, 3)
		want(t, "two of three", decide(t, c, registry.Operation{Body: &registry.MemberRemoveBody{ID: chaintest.MemberID(2)}}, 0, 1).State, registry.ProposalExecuted)
		want(t, "threshold", c.Machine.Info().Params.Threshold, 2)
		want(t, "one against the other", decide(t, c, registry.Operation{Body: &registry.MemberRemoveBody{ID: chaintest.MemberID(1)}}, 0).State, registry.ProposalVoting)
	})
	t.Run("new keys of a member: the old ones are nothing any more, its votes and nonces stay", func(t *testing.T) {
		c := council(t, 3, 3)
		c.Must(c.Proposal(2, registry.Operation{Body: newMember(3)})) // its vote for it
		res := c.Block(c.TxOf(2, 7, c.Vote(0, 1, true)))
		want(t, "its gateway", res[0].Code, registry.CodeOK)
		lost := registry.Operation{Seq: 1, Body: &registry.MemberKeysBody{ID: chaintest.MemberID(2), Key: chaintest.Member(8).Public, Sponsor: chaintest.Sponsor(8).Public}}
		want(t, "two of three are enough where one key is lost", decide(t, c, lost, 0, 1).State, registry.ProposalExecuted)
		threshold := registry.Operation{Seq: 2, Body: &registry.ThresholdBody{K: 2}}
		want(t, "the old governance key", code(c, c.Proposal(2, threshold)), registry.CodeBadSignature)
		want(t, "the old gateway key", c.Block(c.TxOf(2, 8, c.Vote(1, 1, true)))[0].Code, registry.CodeBadSignature)
		body, err := registry.Propose(chaintest.MemberID(2), registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, Seq: 2, Body: threshold.Body})
		if err != nil {
			t.Fatal(err)
		}
		as := registry.SigningKey{Role: registry.RoleMember(chaintest.MemberID(2)), Public: chaintest.Member(8).Public, Signer: chaintest.Member(8).Signer}
		want(t, "the new governance key", code(c, c.Op(registry.Operation{Seq: 9, Body: body}, as)), registry.CodeOK)
		account, err := c.Machine.Sponsor(chaintest.MemberID(2))
		if err != nil || account.Highest != 7 || string(account.Key) != string(chaintest.Sponsor(8).Public) {
			t.Fatalf("%+v %v", account, err)
		}
		c.Must(c.Vote(1, 1, true))
		want(t, "the vote of before counts", state(t, c, 1).State, registry.ProposalApproved)
		for name, b := range map[string]registry.MemberKeysBody{
			"a key that a member has":    {ID: chaintest.MemberID(0), Key: chaintest.Member(1).Public},
			"one's own":                  {ID: chaintest.MemberID(0), Key: chaintest.Member(0).Public},
			"one that a member once had": {ID: chaintest.MemberID(0), Sponsor: chaintest.Sponsor(2).Public},
		} {
			want(t, name, code(c, c.Proposal(0, registry.Operation{Body: &b})), registry.CodeExists)
		}
		nobody := &registry.MemberKeysBody{ID: "nobody", Key: chaintest.Member(9).Public}
		want(t, "nobody's", code(c, c.Proposal(0, registry.Operation{Body: nobody})), registry.CodeNotFound)
	})
	t.Run("thresholds never fall below a majority", func(t *testing.T) {
		c := council(t, 5, 4)
		for _, k := range []uint64{1, 2, 4, 6} {
			want(t, fmt.Sprint(k), code(c, c.Proposal(0, registry.Operation{Body: &registry.ThresholdBody{K: k}})), registry.CodeNotAllowed)
		}
		want(t, "a majority", decide(t, c, registry.Operation{Body: &registry.ThresholdBody{K: 3}}, 0, 1, 2, 3).State, registry.ProposalExecuted)
	})
}

func TestValidators(t *testing.T) {
	body := func(v registry.ValidatorFact) registry.Operation {
		b := registry.ValidatorBody{Key: v.Key, Power: v.Power, Operator: v.Operator, Site: v.Site}
		if v.Power == 0 {
			b.Operator, b.Site = "", ""
		}
		return registry.Operation{Body: &b}
	}
	t.Run("added, reweighted, removed", func(t *testing.T) {
		c := council(t, 4, 3)
		var updates []chain.ValidatorUpdate
		c.Executed = func(m *chain.Machine) { updates = append(updates, m.ValidatorUpdates()...) }
		fifth := chaintest.Validator(4, 10)
		for _, v := range []registry.ValidatorFact{fifth, chaintest.Validator(4, 12), chaintest.Validator(0, 0)} {
			updates = nil
			want(t, "decided", decide(t, c, body(v), 0, 1, 2).State, registry.ProposalExecuted)
			if len(updates) != 1 || updates[0] != (chain.ValidatorUpdate{Key: v.Key, Power: v.Power}) {
				t.Fatalf("updates %+v", updates)
			}
		}
		set, err := c.Machine.Validators()
		if err != nil || len(set) != 4 {
			t.Fatalf("%+v %v", set, err)
		}
		updates = nil
		c.Pass(5)
		if len(updates) != 0 {
			t.Fatal("updates without a decision")
		}
	})
	t.Run("H08 refused", func(t *testing.T) {
		c := council(t, 4, 3)
		same := chaintest.Validator(9, 10)
		same.Operator = chaintest.MemberID(0)
		site := chaintest.Validator(9, 10)
		site.Site = chaintest.Validator(0, 1).Site
		for name, tc := range map[string]struct {
			v    registry.ValidatorFact
			code registry.Code
		}{
			"three would be left":              {chaintest.Validator(0, 0), registry.CodeNotAllowed},
			"an operator with two of five":     {same, registry.CodeNotAllowed},
			"two of five at one site":          {site, registry.CodeNotAllowed},
			"a third":                          {chaintest.Validator(4, 20), registry.CodeNotAllowed},
			"too much at once":                 {chaintest.Validator(4, 14), registry.CodeTooSoon},
			"one that does not exist":          {chaintest.Validator(9, 0), registry.CodeNotFound},
			"nothing changes":                  {chaintest.Validator(0, 10), registry.CodeExists},
			"a founding one grows by too much": {chaintest.Validator(0, 15), registry.CodeNotAllowed},
		} {
			want(t, name, code(c, c.Proposal(0, body(tc.v))), tc.code)
		}
	})
	t.Run("H09 two decisions that are too much together", func(t *testing.T) {
		c := council(t, 4, 3)
		c.Must(c.Proposal(0, body(chaintest.Validator(4, 10))), c.Proposal(0, body(chaintest.Validator(5, 10))))
		c.Must(c.Vote(1, 1, true), c.Vote(2, 1, true), c.Vote(1, 2, true), c.Vote(2, 2, true))
		c.Pass(12)
		want(t, "first", state(t, c, 1).State, registry.ProposalExecuted)
		second := state(t, c, 2)
		want(t, "second", second.State, registry.ProposalFailed)
		want(t, "code", second.Code, registry.CodeTooSoon)
	})
	t.Run("a development network keeps its one", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Genesis: func(g *chain.Genesis) { g.Validators = chaintest.GenesisValidators(1) }})
		want(t, "add", code(c, c.Op(body(chaintest.Validator(4, 3)), chaintest.Member(0))), registry.CodeNotAllowed)
	})
}

func TestEmergency(t *testing.T) {
	emergency := func(c *chaintest.Chain, a *chaintest.Agency, b registry.EmergencyBody, members ...int) []byte {
		b.At = c.Time.Unix()
		var keys []registry.SigningKey
		for _, m := range members {
			keys = append(keys, chaintest.Member(m))
		}
		return c.Op(registry.Operation{DID: a.DID, Body: &b}, keys...)
	}
	accreditation := registry.EmergencyBody{Type: vct, N: 1}
	begin := func(t *testing.T) (*chaintest.Chain, *chaintest.Agency) {
		c := chaintest.New(t, chaintest.Config{Members: 5, Threshold: 3, Genesis: func(g *chain.Genesis) {
			g.Development, g.Governance = false, chaintest.ByVote()
			g.Governance.EmergencyThreshold = 2
		}})
		a := agency(c, "gaon")
		want(t, "accredited", decide(t, c, accreditOf(a), 0, 1, 2).State, registry.ProposalExecuted)
		return c, a
	}
	suspended := func(t *testing.T, c *chaintest.Chain, a *chaintest.Agency) bool {
		t.Helper()
		f, err := evidence.Check(c.Evidence(chain.Query{Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}}}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := f.Accreditation(t.Context(), a.DID, vct, c.Headers[c.Height()-1].Time)
		if err != nil {
			t.Fatal(err)
		}
		return got.Suspended
	}
	t.Run("of an accreditation, lapses, and not twice", func(t *testing.T) {
		c, a := begin(t)
		want(t, "one of two", code(c, emergency(c, a, accreditation, 1)), registry.CodeThreshold)
		want(t, "two", code(c, emergency(c, a, accreditation, 1, 3)), registry.CodeOK)
		want(t, "suspended", suspended(t, c, a), true)
		c.Pass(48)
		want(t, "lapsed", suspended(t, c, a), false)
		want(t, "the same again", code(c, emergency(c, a, accreditation, 0, 2)), registry.CodeNotAllowed)
	})
	t.Run("confirmed by a proposal, then resumed", func(t *testing.T) {
		c, a := begin(t)
		c.Must(emergency(c, a, accreditation, 1, 3))
		payload, err := (registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, DID: a.DID, Body: accreditOf(a).Body}).Payload()
		if err != nil {
			t.Fatal(err)
		}
		suspend := registry.Operation{Network: chaintest.Network, ChainID: chaintest.ChainID, DID: a.DID, Seq: 1, Prev: registry.HashOf(payload), Body: &registry.SuspendBody{Type: vct, N: 1}}
		want(t, "confirmed", decide(t, c, suspend, 0, 1, 2).State, registry.ProposalExecuted)
		c.Pass(60)
		want(t, "still suspended", suspended(t, c, a), true)
		if payload, err = suspend.Payload(); err != nil {
			t.Fatal(err)
		}
		resume := registry.Operation{DID: a.DID, Seq: 2, Prev: registry.HashOf(payload), Body: &registry.ResumeBody{Type: vct, N: 1}}
		want(t, "resumed", decide(t, c, resume, 0, 1, 2).State, registry.ProposalExecuted)
		want(t, "not suspended", suspended(t, c, a), false)
		want(t, "a new emergency", code(c, emergency(c, a, accreditation, 0, 2)), registry.CodeOK)
	})
	t.Run("of a key", func(t *testing.T) {
		c, a := begin(t)
		key := func() registry.Key {
			t.Helper()
			f, err := evidence.Check(c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: "k1"}}}), c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			k, _, err := f.Key(t.Context(), a.DID, "k1", c.Now())
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		c.Must(emergency(c, a, registry.EmergencyBody{Key: "k1"}, 0, 4))
		k := key()
		if k.InForce(c.Now()) || k.CompromisedFrom.IsZero() || !k.CompromisedFrom.Equal(k.SuspendedFrom) {
			t.Fatalf("a suspended key counts: %+v", k)
		}
		want(t, "its epoch", code(c, c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1")))), registry.CodeNotAllowed)
		if rec, err := c.Machine.DID(a.DID, 0); err != nil || len(rec.Keys) != 1 {
			t.Fatalf("the document shows it: %+v %v", rec.Keys, err)
		}
		c.Pass(50)
		k = key()
		if !k.InForce(c.Now()) || k.InForce(k.SuspendedFrom) || !k.CompromisedFrom.IsZero() {
			t.Fatalf("after it lapsed: %+v", k)
		}
		want(t, "its epoch", code(c, c.Op(a.EpochOperation(), a.Key("k1").As(a.DID.URL("k1")))), registry.CodeOK)
		want(t, "again", code(c, emergency(c, a, registry.EmergencyBody{Key: "k1"}, 0, 4)), registry.CodeNotAllowed)
	})
	t.Run("refused", func(t *testing.T) {
		c, a := begin(t)
		old := registry.EmergencyBody{Type: vct, N: 1, At: c.Time.Unix() - 90_000}
		want(t, "signed yesterday", code(c, c.Op(registry.Operation{DID: a.DID, Body: &old}, chaintest.Member(0), chaintest.Member(1))), registry.CodeBadTime)
		want(t, "no such accreditation", code(c, emergency(c, a, registry.EmergencyBody{Type: vct, N: 2}, 0, 1)), registry.CodeNotFound)
		want(t, "no such key", code(c, emergency(c, a, registry.EmergencyBody{Key: "none"}, 0, 1)), registry.CodeNotFound)
		want(t, "the same member twice is one", code(c, emergency(c, a, accreditation, 1)), registry.CodeThreshold)
	})
}

func TestFlood(t *testing.T) {
	t.Run("H28 a member that floods stops itself alone", func(t *testing.T) {
		c := chaintest.New(t, chaintest.Config{Members: 2, Genesis: func(g *chain.Genesis) { g.QuotaOps, g.QuotaBlocks = 50, 10 }})
		create := func(name string) []byte {
			a := c.NewAgency(name)
			return c.Op(a.CreateOperation(), a.Op(0).As(registry.RoleOp))
		}
		for c.Height()%10 != 9 { // the next block begins a window
			c.Block()
		}
		junk := c.Op(registry.Operation{Body: &registry.ThresholdBody{K: 9}}, chaintest.Member(0)) // refused, and counts
		var flood [][]byte
		var taken, executed int
		for nonce := uint64(100); nonce < 160; nonce++ {
			tx := c.TxOf(1, nonce, create(fmt.Sprint("flood ", nonce)), junk)
			if c.Machine.CheckTx(tx).Code == registry.CodeOK {
				taken++
			}
			flood = append(flood, tx)
		}
		want(t, "let into the mempool", taken, 25)
		honest := c.TxOf(0, 100, create("honest"))
		want(t, "another member at the gateway", c.Machine.CheckTx(honest).Code, registry.CodeOK)
		res := c.Block(append(flood, honest)...) // a validator that proposes them all the same
		for _, r := range res[:60] {
			switch r.Code {
			case registry.CodeOK:
				executed++
			case registry.CodeQuota:
			default:
				t.Fatalf("%+v", r)
			}
		}
		want(t, "executed", executed, 25)
		want(t, "another member in the block", res[60].Operations[0].Code, string(registry.CodeOK))
		c.Pass(8)
		want(t, "in the same window", c.Block(c.TxOf(1, 200, create("early")))[0].Code, registry.CodeQuota)
		want(t, "in the next window", c.Block(c.TxOf(1, 201, create("late")))[0].Code, registry.CodeOK)
	})
}
