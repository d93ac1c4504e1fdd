package evidence_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// bundleOf is an unsigned bundle of a chain's trust with n members of whom k decide.
func bundleOf(c *chaintest.Chain, number uint64, n, k int) *evidence.Bundle {
	b := &evidence.Bundle{Trust: c.Trust(), Threshold: uint64(k)}
	b.Number, b.Expires = number, c.Now().Add(90*24*time.Hour).Truncate(time.Second)
	for i := range n {
		b.Members = append(b.Members, evidence.BundleMember{ID: chaintest.MemberID(i), Key: chaintest.Member(i).Public})
	}
	return b
}

// link is the bundle after prev, changed before members sign it.
func link(t testing.TB, c *chaintest.Chain, prev *evidence.Bundle, change func(*evidence.Bundle), signers ...int) *evidence.Bundle {
	t.Helper()
	next := bundleOf(c, prev.Number+1, len(prev.Members), int(prev.Threshold))
	digest, err := prev.Digest()
	if err != nil {
		t.Fatal(err)
	}
	next.Prev = digest
	if change != nil {
		change(next)
	}
	for _, i := range signers {
		if err := next.Sign(chaintest.Member(i)); err != nil {
			t.Fatal(err)
		}
	}
	return next
}

func TestBundle(t *testing.T) {
	c, _, _ := world(t, 4)
	first := bundleOf(c, 1, 3, 2)
	file := func(b *evidence.Bundle) []byte {
		t.Helper()
		raw, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	t.Run("there and back", func(t *testing.T) {
		next := link(t, c, first, nil, 0, 2)
		parsed, err := evidence.ParseBundle(file(next))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(file(parsed), file(next)) {
			t.Fatal("another bundle came back")
		}
		a, _ := next.Digest()
		if b, err := parsed.Digest(); err != nil || a != b {
			t.Fatal("another digest came back")
		}
		if err := evidence.VerifyBundle(first, parsed, c.Now()); err != nil {
			t.Fatal(err)
		}
	})
	tests := []struct {
		name    string
		change  func(*evidence.Bundle)
		signers []int
		after   func(*evidence.Bundle)
		err     error
	}{
		{name: "H14 one of two", signers: []int{1}, err: evidence.ErrBundle},
		{name: "H14 nobody", err: evidence.ErrBundle},
		{name: "H14 a member of the new bundle only", signers: []int{1, 5}, err: evidence.ErrBundle,
			change: func(b *evidence.Bundle) {
				b.Members[0] = evidence.BundleMember{ID: chaintest.MemberID(5), Key: chaintest.Member(5).Public}
			}},
		{name: "H14 one signature twice", signers: []int{1}, err: evidence.ErrBundle,
			after: func(b *evidence.Bundle) { b.Signatures = append(b.Signatures, b.Signatures[0]) }},
		{name: "H14 a signature under another name", signers: []int{1}, err: evidence.ErrBundle,
			after: func(b *evidence.Bundle) {
				b.Signatures = append(b.Signatures, evidence.BundleSignature{Member: chaintest.MemberID(2), Value: b.Signatures[0].Value})
			}},
		{name: "H14 changed after it was signed", signers: []int{0, 1}, err: evidence.ErrBundle, after: func(b *evidence.Bundle) { b.Validators[0].Power++ }},
		{name: "H14 a number left out", signers: []int{0, 1}, err: evidence.ErrBundle, change: func(b *evidence.Bundle) { b.Number++ }},
		{name: "H14 after another bundle", signers: []int{0, 1}, err: evidence.ErrBundle, change: func(b *evidence.Bundle) { b.Prev[3] ^= 1 }},
		{name: "H14 of another chain", signers: []int{0, 1}, err: evidence.ErrBundle, change: func(b *evidence.Bundle) { b.ChainID = "other-1" }},
		{name: "H14 another header at the same height", signers: []int{0, 1}, err: evidence.ErrBundle, change: func(b *evidence.Bundle) { b.Hash[0] ^= 1 }},
		{name: "H14 an older header", signers: []int{0, 1}, err: evidence.ErrBundle, change: func(b *evidence.Bundle) { b.Time = b.Time.Add(-time.Second) }},
		{name: "H14 expired", signers: []int{0, 1}, err: evidence.ErrBundleExpired, change: func(b *evidence.Bundle) { b.Expires = c.Now().Truncate(time.Second) }},
		{name: "H15 from the future", signers: []int{0, 1}, err: evidence.ErrClock,
			change: func(b *evidence.Bundle) { b.Height++; b.Time = c.Now().Add(time.Minute) }},
		{name: "fewer than a majority decide next", signers: nil, err: registry.ErrMalformed, after: func(b *evidence.Bundle) { b.Threshold = 1 }},
		{name: "no members", err: registry.ErrMalformed, after: func(b *evidence.Bundle) { b.Members = nil }},
		{name: "enough", signers: []int{2, 0}},
		{name: "all, and other members next", signers: []int{0, 1, 2}, change: func(b *evidence.Bundle) {
			b.Members = append(b.Members, evidence.BundleMember{ID: chaintest.MemberID(5), Key: chaintest.Member(5).Public})
			b.Threshold = 3
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next := link(t, c, first, tt.change, tt.signers...)
			if tt.after != nil {
				tt.after(next)
			}
			if err := evidence.VerifyBundle(first, next, c.Now()); !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
		})
	}
	t.Run("a production network does not become a development network", func(t *testing.T) {
		real := bundleOf(c, 1, 3, 2)
		real.Development = false
		if err := evidence.VerifyBundle(real, link(t, c, real, nil, 0, 1), c.Now()); !errors.Is(err, evidence.ErrBundle) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestBundleChain(t *testing.T) {
	t.Run("H14 after expiry only a new bundle or a published head restores trust", func(t *testing.T) {
		c, a, _ := world(t, 4)
		first := bundleOf(c, 1, 3, 2)
		c.Time = c.Time.Add(100 * 24 * time.Hour) // the reader was offline
		c.Step = time.Second
		c.Block()
		raw := c.Evidence(chain.Query{Keys: []chain.KeyRef{{DID: a.DID, ID: "k1"}}})
		if err := first.Usable(c.Now()); !errors.Is(err, evidence.ErrBundleExpired) {
			t.Fatalf("got %v", err)
		}
		if _, err := evidence.Check(raw, first.Trust, c.Now()); !errors.Is(err, evidence.ErrTooOld) {
			t.Fatalf("expired trust: %v", err)
		}
		fresh := func(b *evidence.Bundle) {
			h := c.Headers[c.Height()-2]
			b.Height, b.Hash, b.Time = h.Height, h.Hash(), h.Time
		}
		second := link(t, c, first, func(b *evidence.Bundle) { b.Expires = b.Time.Add(50 * 24 * time.Hour) }, 0, 1) // it had expired as well
		third := link(t, c, second, fresh, 1, 2)
		if _, err := evidence.Advance(first, []*evidence.Bundle{second}, c.Now()); !errors.Is(err, evidence.ErrBundleExpired) {
			t.Fatalf("only an expired link: %v", err)
		}
		if _, err := evidence.Advance(first, []*evidence.Bundle{third}, c.Now()); !errors.Is(err, evidence.ErrBundle) {
			t.Fatalf("a link left out: %v", err)
		}
		newest, err := evidence.Advance(first, []*evidence.Bundle{second, third}, c.Now())
		if err != nil {
			t.Fatal(err)
		}
		f, err := evidence.Check(raw, newest.Trust, c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Key(t.Context(), a.DID, "k1", c.Now()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzLoadTrust(f *testing.F) {
	c, _, _ := world(f, 1)
	for _, marshal := range []func() ([]byte, error){bundleOf(c, 1, 3, 2).Marshal, c.Trust().Marshal} {
		raw, err := marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		trust, b, err := evidence.LoadTrust(raw)
		switch {
		case err != nil && (b != nil || trust.ChainID != ""):
			t.Fatal("an error and a trust")
		case err == nil && (trust.ChainID == "" || b != nil && b.ChainID != trust.ChainID):
			t.Fatalf("%+v", trust)
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	c, _, _ := world(f, 1)
	b := bundleOf(c, 1, 3, 2)
	raw, err := b.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"format":"dojang-trust-bundle/1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := evidence.ParseBundle(raw)
		if err != nil {
			if !errors.Is(err, registry.ErrMalformed) && !errors.Is(err, registry.ErrLimit) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		again, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := evidence.ParseBundle(again); err != nil {
			t.Fatal(err)
		} else if x, _ := back.Digest(); func() bool { y, _ := b.Digest(); return x != y }() {
			t.Fatal("another digest comes back")
		}
	})
}
