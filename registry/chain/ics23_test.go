package chain_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	ics23 "github.com/cosmos/ics23/go"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// What Evidence says and what ICS 23 says about the same state is the same, for leaves that are there and for keys that
// are not, in proofs of one and of many keys.
func TestEvidenceAgreesWithICS23(t *testing.T) {
	c := chaintest.New(t, chaintest.Config{})
	for i := range 40 {
		a := c.Agency(fmt.Sprint("agency ", i))
		if i%3 == 0 {
			a.Accredit(vct)
			a.Epoch()
		}
	}
	var keys [][]byte
	if err := c.Machine.Iterate(nil, func(k, _ []byte) bool {
		keys = append(keys, append([]byte{}, k...))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if len(keys) < 200 {
		t.Fatalf("only %d leaves", len(keys))
	}
	r := rand.New(rand.NewPCG(5, 6))
	root := c.Machine.Info().AppHash
	for round := range 300 {
		var asked [][]byte
		for range r.IntN(6) + 1 {
			k := append([]byte{}, keys[r.IntN(len(keys))]...)
			if r.IntN(2) == 0 {
				k[r.IntN(len(k))] ^= byte(r.IntN(255) + 1)
			}
			asked = append(asked, k)
		}
		p, err := c.Machine.Prove(0, chain.Query{Raw: asked})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := evidence.Root(p.Tree); err != nil || string(got[:]) != string(root) {
			t.Fatalf("round %d: root %x, %v", round, got, err)
		}
		f := chaintest.Shown(t, c, p)
		for _, k := range asked {
			library := chain.LibraryProof(t, c.Machine, k)
			value, err := f.Get(k)
			if library.GetExist() != nil {
				if !ics23.VerifyMembership(ics23.IavlSpec, root, library, k, value) || err != nil {
					t.Fatalf("round %d: %q: %v", round, k, err)
				}
				ours, err := chain.ICS23(p.Tree, k)
				if err != nil || !ics23.VerifyMembership(ics23.IavlSpec, root, ours, k, value) {
					t.Fatalf("round %d: the expanded proof does not hold: %v", round, err)
				}
				continue
			}
			if !ics23.VerifyNonMembership(ics23.IavlSpec, root, library, k) || !errors.Is(err, registry.ErrNotFound) {
				t.Fatalf("round %d: %q is absent, Evidence says %q, %v", round, k, value, err)
			}
		}
		// Of a key that was not asked for nothing false is said.
		k := keys[r.IntN(len(keys))]
		if v, err := f.Get(k); errors.Is(err, registry.ErrNotFound) || (err == nil && len(v) == 0) {
			t.Fatalf("round %d: %q exists, Evidence says %q, %v", round, k, v, err)
		}
	}
}

func FuzzDecodeTree(f *testing.F) {
	c := chaintest.New(f, chaintest.Config{})
	a := c.Agency("gaon")
	p, err := c.Machine.Prove(0, agencyQuery(a))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p.Tree)
	f.Add([]byte{3, 1, 2, 1, 1, 1, 1, 'a', 1, 'v', 2, 1, 1, 'b'})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := evidence.DecodeTree(b)
		root, err2 := evidence.Root(b)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%v and %v", err, err2)
		}
		if err != nil {
			return
		}
		if n.Digest() != root {
			t.Fatal("two roots")
		}
		again, err := evidence.EncodeTree(n)
		if err != nil || string(again) != string(b) {
			t.Fatalf("two encodings: %v", err)
		}
	})
}
