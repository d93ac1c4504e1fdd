package chain_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

var voucher = registry.RoundRef{Programme: "voucher", Round: "2026-2"}

// programme is an accredited agency with an open round whose retention is over after so many seconds.
func programme(t *testing.T, retention int64) (*chaintest.Chain, *chaintest.Agency) {
	t.Helper()
	c := chaintest.New(t, chaintest.Config{Members: 2})
	a := c.Agency("gaon")
	a.Accredit(vct)
	c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.RoundOpenBody{RoundRef: voucher, Via: registry.AccreditationRef{Type: vct, N: 1},
		Key: claimKey().Public, Until: c.Time.Unix() + retention}}, issuerKey(a)))
	return c, a
}

func claimKey() registry.SigningKey { return chaintest.NewKey("claims").As(registry.RoleClaim) }
func issuerKey(a *chaintest.Agency) registry.SigningKey {
	return a.Key("k1").As(a.DID.URL("k1"))
}

func tagOf(person uint64) [32]byte {
	return registry.ClaimTag([]byte("round key"), binary.BigEndian.AppendUint64(nil, person))
}

func claimOp(c *chaintest.Chain, a *chaintest.Agency, person, office uint64) []byte {
	b := &registry.ClaimBody{RoundRef: voucher, Tag: tagOf(person)}
	binary.BigEndian.PutUint64(b.Case[:], office)
	return c.Op(registry.Operation{DID: a.DID, Body: b}, claimKey())
}

func TestClaims(t *testing.T) {
	t.Run("the first wins, whoever sponsors, in whatever block", func(t *testing.T) {
		c, a := programme(t, 1000)
		one, two := claimOp(c, a, 1, 1), claimOp(c, a, 1, 2)
		first, second := c.TxOf(0, 50, one), c.TxOf(1, 50, two)
		for _, tx := range [][]byte{first, second} { // both wait at a node: neither has claimed
			want(t, "check", c.Machine.CheckTx(tx).Code, registry.CodeOK)
		}
		res := c.Block(second, first)
		want(t, "in the block first", res[0].Operations[0].Code, string(registry.CodeOK))
		want(t, "in the block later", res[1].Operations[0].Code, string(registry.CodeDuplicateClaim))
		want(t, "in a later block", code(c, claimOp(c, a, 1, 3)), registry.CodeDuplicateClaim)
		want(t, "sent again", code(c, two), registry.CodeDuplicate)
		want(t, "at the gateway", c.Machine.CheckTx(c.TxOf(0, 51, claimOp(c, a, 1, 4))).Code, registry.CodeDuplicateClaim)
		want(t, "another person", code(c, claimOp(c, a, 2, 1)), registry.CodeOK)
		_, tree, err := c.Machine.Round(a.DID, voucher)
		if err != nil || tree.Size != 2 {
			t.Fatalf("%+v %v", tree, err)
		}
	})
	t.Run("nothing about the person but the tag", func(t *testing.T) {
		c, a := programme(t, 1000)
		op := claimOp(c, a, 7, 1)
		c.Must(op)
		parsed, err := registry.ParseOperation(op)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Machine.Outcome(parsed.Hash); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("an outcome with a height: %v", err)
		}
		tag := tagOf(7)
		if err := c.Machine.Iterate(nil, func(k, v []byte) bool {
			if bytes.Contains(v, tag[:]) || (bytes.Contains(k, tag[:]) && len(v) > 40) {
				t.Errorf("leaf %q", k)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("proven, present and absent", func(t *testing.T) {
		c, a := programme(t, 1000)
		c.Must(claimOp(c, a, 1, 1))
		keys := [][]byte{registry.ClaimKey(a.DID, voucher, tagOf(1)), registry.ClaimKey(a.DID, voucher, tagOf(2)),
			registry.RoundFamily(a.DID, voucher).Latest(), registry.RoundTreeKey(a.DID, voucher)}
		f, err := evidence.Check(c.Evidence(chain.Query{Raw: keys}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		for person, is := range map[uint64]bool{1: true, 2: false} {
			got, err := f.Claimed(a.DID, voucher, tagOf(person))
			if err != nil || got != is {
				t.Fatalf("person %d: %v %v", person, got, err)
			}
		}
		if _, err := f.Claimed(a.DID, voucher, tagOf(3)); err != nil && !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("not asked for: %v", err)
		}
		if _, tree, err := f.Round(a.DID, voucher); err != nil || tree.Size != 1 {
			t.Fatalf("%+v %v", tree, err)
		}
	})
	t.Run("H07 refused", func(t *testing.T) {
		c, a := programme(t, 1000)
		b := c.Agency("busan")
		open := func(a *chaintest.Agency, ref registry.RoundRef, until int64, key registry.SigningKey) []byte {
			return c.Op(registry.Operation{DID: a.DID, Body: &registry.RoundOpenBody{RoundRef: ref, Via: registry.AccreditationRef{Type: vct, N: 1},
				Key: claimKey().Public, Until: until}}, key)
		}
		later := c.Time.Unix() + 1000
		other := registry.RoundRef{Programme: "voucher", Round: "2027-1"}
		body := &registry.ClaimBody{RoundRef: voucher, Tag: tagOf(1)}
		for name, tc := range map[string]struct {
			op   []byte
			code registry.Code
		}{
			"open twice":               {open(a, voucher, later, issuerKey(a)), registry.CodeExists},
			"open without accredition": {open(b, voucher, later, issuerKey(b)), registry.CodeNotAllowed},
			"open by another":          {open(a, other, later, issuerKey(b)), registry.CodeBadSignature},
			"retention over":           {open(a, other, c.Time.Unix()-1, issuerKey(a)), registry.CodeBadTime},
			"claim with another key":   {c.Op(registry.Operation{DID: a.DID, Body: body}, chaintest.NewKey("x").As(registry.RoleClaim)), registry.CodeBadSignature},
			"claim by the issuer":      {c.Op(registry.Operation{DID: a.DID, Body: body}, issuerKey(a)), registry.CodeBadSignature},
			"claim in another's round": {c.Op(registry.Operation{DID: b.DID, Body: body}, claimKey()), registry.CodeNotFound},
			"close by another":         {c.Op(registry.Operation{DID: a.DID, Body: &registry.RoundCloseBody{RoundRef: voucher}}, issuerKey(b)), registry.CodeBadSignature},
			"prune while open":         {c.Op(registry.Operation{DID: a.DID, Body: &registry.RoundPruneBody{RoundRef: voucher}}, issuerKey(a)), registry.CodeNotAllowed},
		} {
			want(t, name, code(c, tc.op), tc.code)
		}
		if _, tree, err := c.Machine.Round(a.DID, voucher); err != nil || tree.Size != 0 {
			t.Fatalf("%+v %v", tree, err)
		}
	})
}

func TestRetention(t *testing.T) {
	const people = 2300
	c, a := programme(t, 60)
	var tags [][32]byte
	for person := uint64(0); person < people; {
		var ops [][]byte
		for range 575 {
			ops = append(ops, claimOp(c, a, person, 1))
			tags = append(tags, tagOf(person))
			person++
		}
		c.Must(ops...)
	}
	grown := (&compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}).NewEmptyRange(0)
	for _, tag := range tags {
		if err := grown.Append(rfc6962.DefaultHasher.HashLeaf(tag[:]), nil); err != nil {
			t.Fatal(err)
		}
	}
	root, err := grown.GetRootHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	step := uint64(0)
	prune := func(destroyed int64) []byte {
		step++
		return c.Op(registry.Operation{DID: a.DID, Seq: step, Body: &registry.RoundPruneBody{RoundRef: voucher, Destroyed: destroyed}}, issuerKey(a))
	}
	c.Must(c.Op(registry.Operation{DID: a.DID, Body: &registry.RoundCloseBody{RoundRef: voucher}}, issuerKey(a)))
	want(t, "a claim after the end", code(c, claimOp(c, a, 9999, 1)), registry.CodeNotAllowed)
	want(t, "before retention is over", code(c, prune(0)), registry.CodeTooSoon)
	c.Pass(60)
	s, chunks := export(t, c.Machine) // a node that joins in the middle
	res := c.Do(prune(0), prune(0))
	want(t, "first step", res[0].Code, string(registry.CodeOK))
	want(t, "a second in the same block", res[1].Code, string(registry.CodeTooSoon))
	for left := range 2 {
		c.Must(prune(int64(left) * c.Time.Unix()))
	}
	want(t, "when it is over", code(c, prune(0)), registry.CodeNotAllowed)
	fact, tree, err := c.Machine.Round(a.DID, voucher)
	if err != nil || fact.Pruned != people || fact.Ended == 0 || fact.Destroyed == 0 || tree.Size != people || !bytes.Equal(tree.Root[:], root) {
		t.Fatalf("%+v %+v %v", fact, tree, err)
	}
	if err := c.Machine.Iterate(nil, func(k, v []byte) bool {
		if strings.Contains(string(k), "/tag/") || bytes.Contains(v, tags[999][:]) {
			t.Errorf("left: %q", k)
		}
		return !t.Failed()
	}); err != nil {
		t.Fatal(err)
	}
	f, err := evidence.Check(c.Evidence(chain.Query{Raw: [][]byte{registry.ClaimKey(a.DID, voucher, tags[5]), registry.RoundFamily(a.DID, voucher).Latest(),
		registry.RoundTreeKey(a.DID, voucher)}}), c.Trust(), c.Now())
	if err != nil {
		t.Fatal(err)
	}
	if claimed, err := f.Claimed(a.DID, voucher, tags[5]); err != nil || claimed {
		t.Fatalf("after the end: %v %v", claimed, err)
	}
	// What the joiner holds from before goes the same way.
	m := emptyMachine(t)
	if err := restore(m, s, chunks); err != nil {
		t.Fatal(err)
	}
	for _, h := range c.Headers[s.Version:] {
		b := chain.Block{Height: h.Height, Time: h.Time, Hash: h.Hash(), Point: h.Point().Nodes, Txs: c.Blocks[h.Height]}
		if _, _, err := m.Execute(b); err != nil {
			t.Fatal(err)
		}
		if err := m.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(m.Info().AppHash, c.Machine.Info().AppHash) {
		t.Fatal("app hashes differ after leaves were removed")
	}
}
