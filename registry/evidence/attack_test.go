package evidence_test

import (
	"context"
	"errors"
	"testing"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// One dishonest validator of four makes a set in which its key stands many times: its one vote must not count as many.
func TestOneValidatorManyTimes(t *testing.T) {
	t.Run("H11 one key many times in a set of the attacker's own", func(t *testing.T) {
		c, _, q := world(t, 4)
		m := c.Material(q)
		head := &m.Headers[len(m.Headers)-1]
		mallory := c.Validators[0]
		for _, evil := range [][]chaintest.Key{
			{mallory, mallory, mallory, mallory},
			{mallory, mallory, chaintest.NewKey("x"), chaintest.NewKey("y")},
		} {
			set := (&chaintest.Chain{Validators: evil}).Set()
			h, sh := head.Header, set.Hash()
			h.Validators, h.NextValidators = sh[:], sh[:]
			m.Headers, m.Sets, m.Known = []evidence.SignedHeader{chaintest.SignWith(h, evil)}, []evidence.ValidatorSet{set}, nil
			untrusted(t, build(t, m), c.Trust(), c.Now())
		}
	})
}

// An old fact shown alone says nothing about the newest one, and certainly not that there is none.
func TestOldFactWithoutTheNewest(t *testing.T) {
	t.Run("H17 newest fact kept back behind its history", func(t *testing.T) {
		c, a, _ := world(t, 1)
		a.Epoch()
		family := registry.StatusFamily(a.DID)
		f, err := evidence.Check(c.Evidence(chain.Query{Status: []registry.DID{a.DID}}), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if e, _, err := f.StatusEpoch(context.Background(), a.DID); err != nil || e.Sequence != 2 {
			t.Fatalf("%+v %v", e, err)
		}
		shown, newest := 0, c.Height()
		for height := uint64(2); height <= newest; height++ { // the first epoch's height is one of them
			old := chain.Query{Raw: [][]byte{family.At(height), family.At(height - 1)}, Heights: []uint64{2}}
			f, err := evidence.Check(c.Evidence(old), c.Trust(), c.Now())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Get(family.At(height)); err == nil {
				shown++
			}
			if _, known, err := f.StatusEpoch(context.Background(), a.DID); !errors.Is(err, registry.ErrUnavailable) || !known.KnownAt.IsZero() {
				t.Fatalf("height %d: %v, want unknown", height, err)
			}
		}
		if shown != 1 {
			t.Fatalf("%d old facts shown", shown)
		}
	})
}
