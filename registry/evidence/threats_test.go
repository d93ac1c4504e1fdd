package evidence_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

const vct = "urn:dojang:kr:resident-id:1"

// world is a chain with one accredited agency.
func world(t testing.TB, validators int) (*chaintest.Chain, *chaintest.Agency, chain.Query) {
	t.Helper()
	c := chaintest.New(t, chaintest.Config{Validators: validators})
	a := c.Agency("gaon")
	for _, name := range []string{"seoul", "customs", "moa"} {
		c.Agency(name)
	}
	a.Accredit(vct)
	a.Epoch()
	return c, a, chain.Query{
		Keys:           []chain.KeyRef{{DID: a.DID, ID: "k1"}},
		Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: vct}},
		Status:         []registry.DID{a.DID},
	}
}

func build(t testing.TB, m evidence.Material) []byte {
	t.Helper()
	b, err := evidence.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// untrusted checks that an Evidence is refused as not holding, with no facts.
func untrusted(t *testing.T, b []byte, trust evidence.Trust, now time.Time) {
	t.Helper()
	f, err := evidence.Check(b, trust, now)
	if !errors.Is(err, registry.ErrUntrusted) || f != nil {
		t.Fatalf("got %v, %v; want untrusted", f, err)
	}
}

func TestThreatsHeaders(t *testing.T) {
	t.Run("H11 too few, doubled, foreign or changed votes", func(t *testing.T) {
		c, _, q := world(t, 4)
		m := c.Material(q)
		m.Known = nil // keep every vote
		if _, err := evidence.Check(build(t, m), c.Trust(), c.Now()); err != nil {
			t.Fatal(err)
		}
		head := &m.Headers[len(m.Headers)-1]
		whole := *head
		all := whole.Commit.Votes
		votes := func(v ...evidence.Vote) { head.Commit.Votes = v }
		restore := func() { *head = whole; head.Commit.Votes = all }

		votes(all[:2]...) // half; three of four are more than two thirds
		untrusted(t, build(t, m), c.Trust(), c.Now())
		votes()
		untrusted(t, build(t, m), c.Trust(), c.Now())
		votes(all[:3]...)
		if _, err := evidence.Check(build(t, m), c.Trust(), c.Now()); err != nil {
			t.Fatal(err)
		}

		votes(all[0], all[0], all[1]) // one validator twice: not even well formed
		if f, err := evidence.Check(build(t, m), c.Trust(), c.Now()); !errors.Is(err, registry.ErrMalformed) || f != nil {
			t.Fatalf("doubled vote: %v", err)
		}
		moved := all[1]
		moved.Index = 2
		votes(all[0], moved, all[3])
		untrusted(t, build(t, m), c.Trust(), c.Now())
		late := all[1]
		late.Time = late.Time.Add(time.Nanosecond)
		votes(all[0], late, all[2])
		untrusted(t, build(t, m), c.Trust(), c.Now())
		outside := all[3]
		outside.Index = 9
		votes(all[0], all[1], all[2], outside)
		untrusted(t, build(t, m), c.Trust(), c.Now())

		restore()
		head.Commit.Round++ // votes for another round
		untrusted(t, build(t, m), c.Trust(), c.Now())
		restore()
		head.Commit.PartsHash = make([]byte, 32) // votes for another block
		untrusted(t, build(t, m), c.Trust(), c.Now())
		restore()
		head.Header.Time = head.Header.Time.Add(-time.Millisecond)
		untrusted(t, build(t, m), c.Trust(), c.Now())
		restore()
		other := chaintest.SignWith(head.Header, []chaintest.Key{chaintest.NewKey("x"), chaintest.NewKey("y"), chaintest.NewKey("z"), chaintest.NewKey("w")})
		head.Commit = other.Commit
		untrusted(t, build(t, m), c.Trust(), c.Now())

		// A set of the attacker's own with its hash in the header.
		restore()
		evil := []chaintest.Key{chaintest.NewKey("x"), chaintest.NewKey("y")}
		set := (&chaintest.Chain{Validators: evil}).Set()
		h := head.Header
		sh := set.Hash()
		h.Validators, h.NextValidators = sh[:], sh[:]
		*head = chaintest.SignWith(h, evil)
		m.Sets = []evidence.ValidatorSet{set}
		untrusted(t, build(t, m), c.Trust(), c.Now())
		m.Sets = nil
		untrusted(t, build(t, m), c.Trust(), c.Now())
	})
	t.Run("H14 older than the trusting period", func(t *testing.T) {
		c, a, q := world(t, 4)
		b := c.Evidence(q)
		trust := c.Trust()
		late := trust.Time.Add(trust.TrustingPeriod + time.Second)
		if _, err := evidence.Check(b, trust, late); !errors.Is(err, evidence.ErrTooOld) || !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("long after: %v", err)
		}
		expired := trust
		expired.Expires = c.Now().Add(-time.Second)
		if _, err := evidence.Check(b, expired, c.Now()); !errors.Is(err, evidence.ErrTooOld) {
			t.Fatalf("expired trust file: %v", err)
		}
		// A fork signed by retired validators: the trust begins with other validators now.
		moved := trust
		moved.Validators = (&chaintest.Chain{Validators: []chaintest.Key{chaintest.NewKey("new")}}).Set()
		moved.Height, moved.Time, moved.Hash = c.Height()+100, c.Now().Add(time.Hour), [32]byte{1}
		untrusted(t, b, moved, c.Now().Add(2*time.Hour))
		// A published head restores trust without any validator: by hash alone.
		head := evidence.Trust{Network: trust.Network, ChainID: trust.ChainID, Height: c.Height(), Hash: c.Headers[c.Height()-1].Hash(), Time: c.Headers[c.Height()-1].Time}
		f, err := evidence.Check(b, head, late)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.StatusEpoch(context.Background(), a.DID); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("H15 clock set back, header from the future", func(t *testing.T) {
		c, _, q := world(t, 4)
		b := c.Evidence(q)
		trust, head := c.Trust(), c.Headers[c.Height()-1].Time
		if _, err := evidence.Check(b, trust, head.Add(-10*time.Second)); err != nil {
			t.Fatalf("drift of 10 s: %v", err)
		}
		if _, err := evidence.Check(b, trust, head.Add(-10*time.Second-time.Nanosecond)); !errors.Is(err, evidence.ErrClock) {
			t.Fatalf("beyond drift: %v", err)
		}
		// Trust that has long expired does not come back with an old clock.
		old := trust
		old.Time = head.Add(time.Minute)
		if _, err := evidence.Check(b, old, head); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("clock before the trusted header: %v", err)
		}
	})
	t.Run("H19 two heads of one height", func(t *testing.T) {
		c, _, q := world(t, 4)
		m := c.Material(q)
		cache := new(evidence.Headers)
		checker := evidence.Checker{Trust: c.Trust(), Headers: cache}
		if _, err := checker.Check(build(t, m), c.Now()); err != nil {
			t.Fatal(err)
		}
		head := m.Headers[len(m.Headers)-1]
		fork := head.Header
		fork.Data = make([]byte, 32)
		if cache.Known(fork.Height, fork.Hash()) || !cache.Known(fork.Height, head.Header.Hash()) {
			t.Fatal("the cache mixes two headers of one height")
		}
		// The second one gets nothing from the cache, and cannot take the place of the first.
		m.Headers[len(m.Headers)-1].Header = fork
		if _, err := checker.Check(build(t, m), c.Now()); !errors.Is(err, registry.ErrUntrusted) {
			t.Fatalf("a fork with the votes of the head: %v", err)
		}
		cache.Add(fork.Height, fork.Hash())
		if cache.Known(fork.Height, fork.Hash()) {
			t.Fatal("a fork took the place of the first header")
		}
	})
}

func TestThreatsProofs(t *testing.T) {
	t.Run("H16 proofs of something else", func(t *testing.T) {
		c, a, q := world(t, 1)
		m := c.Material(q)
		good := m.State.Tree
		check := func(name string, tree []byte) {
			t.Helper()
			m.State.Tree = tree
			b, err := evidence.Build(m)
			if errors.Is(err, registry.ErrLimit) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f, err := evidence.Check(b, c.Trust(), c.Now())
			if err == nil || f != nil {
				t.Fatalf("%s: accepted", name)
			}
			if !errors.Is(err, registry.ErrUntrusted) && !errors.Is(err, registry.ErrMalformed) && !errors.Is(err, registry.ErrLimit) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		check("empty", []byte{0})
		for i := range good { // every byte of it matters
			bad := append([]byte{}, good...)
			bad[i] ^= 1
			check("changed byte", bad)
		}
		check("something after the end", append(append([]byte{}, good...), 0))
		check("cut", good[:len(good)-1])
		// Another key under the same proof: what is shown is what is proven.
		m.State.Tree = good
		f, err := evidence.Check(build(t, m), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := f.Key(context.Background(), c.NewAgency("seoul").DID, "k1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("another DID: %v", err)
		}
		if _, _, err := f.Key(context.Background(), registry.DID("did:dojang:prod:"+a.DID.ID()), "k1", time.Time{}); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("another network: %v", err)
		}
		// The state of another height.
		old := m.State
		a.Epoch()
		m = c.Material(q)
		m.State = old
		m.Points = m.Points[:len(old.Points)]
		untrusted(t, build(t, m), c.Trust(), c.Now())
		// Depth 10,000: a tower of inner nodes.
		var deep []byte
		for range 500 {
			deep = append(deep, 3, 1, 1, 1)
		}
		check("tower", deep)
		// An inner node that passes for a leaf: height 0.
		leaf := append([]byte{3, 0, 1, 1, 0}, make([]byte, 32)...)
		check("inner node of height 0", append(append(leaf, 0), make([]byte, 32)...))
		// A number with a second encoding.
		check("long number", append([]byte{1, 0x81, 0, 1, 'k', 1, 'v'}, make([]byte, 0)...))
		check("keys out of order", []byte{3, 1, 2, 1, 1, 1, 1, 'b', 1, 'v', 1, 1, 1, 'a', 1, 'v'})
	})
	t.Run("H17 forged absence", func(t *testing.T) {
		c, a, _ := world(t, 1)
		// All leaves of the state around the status leaf, so that its absence can be forged in every way.
		status := registry.StatusFamily(a.DID).Latest()
		m := c.Material(chain.Query{Raw: [][]byte{status, registry.KeyFamily(a.DID, "k1").Latest()}})
		b := build(t, m)
		f, err := evidence.Check(b, c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if v, err := f.Get(status); err != nil || len(v) == 0 {
			t.Fatal(err)
		}
		// What is pruned is unknown, never absent.
		hidden := c.Material(chain.Query{Raw: [][]byte{registry.KeyFamily(a.DID, "k1").Latest()}})
		f, err = evidence.Check(build(t, hidden), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		for name, key := range map[string][]byte{
			"a leaf that exists": status, "first of all": {0}, "last of all": {0xff, 0xff},
			"a key that does not exist": registry.KeyFamily(a.DID, "k9").Latest(),
		} {
			if _, err := f.Get(key); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("%s: %v, want unknown", name, err)
			}
		}
		// Neighbours are shown with nothing in between: only then a key is absent.
		absent := registry.KeyFamily(a.DID, "k9").Latest()
		f, err = evidence.Check(build(t, c.Material(chain.Query{Raw: [][]byte{absent}})), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Get(absent); !errors.Is(err, registry.ErrNotFound) {
			t.Fatalf("proven absence: %v", err)
		}
		if _, err := f.Get(status); !errors.Is(err, registry.ErrUnavailable) {
			t.Fatalf("a leaf beside the neighbours: %v", err)
		}
		// A neighbour is shown without its value: nothing can be read from it.
		if v, err := f.Get(registry.KeyFamily(a.DID, "k1").Latest()); !errors.Is(err, registry.ErrUnavailable) || v != nil {
			t.Fatalf("value of a neighbour: %q, %v", v, err)
		}
	})
	t.Run("H18 genuine but stale proof shows its age", func(t *testing.T) {
		c, a, q := world(t, 1)
		b := c.Evidence(q)
		at := c.Headers[c.Height()-1]
		a.Do(&registry.RetireBody{ID: "k1"})
		for range 600 {
			c.Block()
		}
		f, err := evidence.Check(b, c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		key, known, err := f.Key(context.Background(), a.DID, "k1", c.Now())
		if err != nil || !key.InForce(c.Now()) {
			t.Fatalf("%+v, %v", key, err)
		}
		// It says "in force" only as known then: the caller's policy on known.KnownAt decides.
		if known.Height != at.Height || !known.KnownAt.Equal(at.Time) || c.Now().Sub(known.KnownAt) < 10*time.Minute {
			t.Fatalf("known %+v, want header %d of %v", known, at.Height, at.Time)
		}
		f, err = evidence.Check(c.Evidence(q), c.Trust(), c.Now())
		if err != nil {
			t.Fatal(err)
		}
		if key, _, err := f.Key(context.Background(), a.DID, "k1", time.Time{}); err != nil || key.RetiredAt.IsZero() || key.InForce(c.Now()) {
			t.Fatalf("%+v, %v", key, err)
		}
	})
}

// In ten years: every signature has expired; a published head proves the header tree, the tree an old header, the header
// the old facts.
func TestOldEvidenceUnderAPublishedHead(t *testing.T) {
	c, a, q := world(t, 4)
	old := c.Evidence(q)
	oldHeight := c.Height()
	for range 100 {
		c.Block()
	}
	c.Agency("later")
	link := c.Evidence(chain.Query{Heights: []uint64{oldHeight}})
	published := c.Headers[c.Height()-1]
	now := c.Now().AddDate(10, 0, 0)
	trust := evidence.Trust{Network: chaintest.Network, ChainID: chaintest.ChainID, Height: published.Height, Hash: published.Hash(), Time: published.Time}
	untrusted(t, old, trust, now)
	f, err := evidence.Check(link, trust, now)
	if err != nil {
		t.Fatal(err)
	}
	h, ok := f.HeaderHash(oldHeight)
	if !ok || h != c.Headers[oldHeight-1].Hash() {
		t.Fatal("the link does not hold the old header")
	}
	known := new(evidence.Headers)
	known.Add(oldHeight, h)
	f, err = evidence.Checker{Trust: trust, Headers: known}.Check(old, now)
	if err != nil {
		t.Fatal(err)
	}
	if key, k, err := f.Key(context.Background(), a.DID, "k1", time.Time{}); err != nil || key.ActiveFrom.IsZero() || k.Height != oldHeight {
		t.Fatalf("%+v %+v %v", key, k, err)
	}
}

// The validators change: hops lead from the trusted set to the newest.
func TestValidatorChanges(t *testing.T) {
	c, _, q := world(t, 4)
	trust := c.Trust()
	old := c.Validators
	m := c.Material(q)
	head := m.Headers[len(m.Headers)-1].Header
	next := []chaintest.Key{chaintest.NewKey("n1"), chaintest.NewKey("n2"), chaintest.NewKey("n3"), old[0]}
	set := (&chaintest.Chain{Validators: next}).Set()
	sh := set.Hash()
	h := head
	h.Validators, h.NextValidators, h.Height, h.Time = sh[:], sh[:], head.Height+1, head.Time.Add(time.Second)
	now := h.Time.Add(time.Second)

	// One of four old validators is not more than a third.
	m.Headers, m.Sets, m.Known = []evidence.SignedHeader{chaintest.SignWith(h, next)}, []evidence.ValidatorSet{set}, nil
	untrusted(t, build(t, m), trust, now)

	// The header before names the new set as its next.
	hop := head
	hop.NextValidators = sh[:]
	m.Headers = []evidence.SignedHeader{c.Sign(hop), chaintest.SignWith(h, next)}
	if _, err := evidence.Check(build(t, m), trust, now); err != nil {
		t.Fatal(err)
	}
	m.Sets = nil
	untrusted(t, build(t, m), trust, now)

	// Two of four stay: more than a third of the old, two thirds of the new.
	mixed := []chaintest.Key{old[0], old[1], chaintest.NewKey("n1")}
	set = (&chaintest.Chain{Validators: mixed}).Set()
	sh = set.Hash()
	h.Validators, h.NextValidators = sh[:], sh[:]
	m.Headers, m.Sets = []evidence.SignedHeader{chaintest.SignWith(h, mixed)}, []evidence.ValidatorSet{set}
	if _, err := evidence.Check(build(t, m), trust, now); err != nil {
		t.Fatal(err)
	}
}

func TestTrustFile(t *testing.T) {
	c, _, _ := world(t, 4)
	trust := c.Trust()
	trust.Expires = trust.Time.AddDate(1, 0, 0)
	b, err := trust.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := evidence.ParseTrust(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Validators.Hash() != trust.Validators.Hash() || got.Hash != trust.Hash || !got.Expires.Equal(trust.Expires) || got.TrustingPeriod != trust.TrustingPeriod {
		t.Fatalf("%+v", got)
	}
	for name, bad := range map[string]string{
		"empty": ``, "twice": `{"format":"dojang-trust/1","format":"dojang-trust/1"}`, "unknown": `{"format":"dojang-trust/1","x":1}`,
		"other format": `{"format":"dojang-trust/2"}`, "trailing": string(b) + "{}",
	} {
		if _, err := evidence.ParseTrust([]byte(bad)); !errors.Is(err, registry.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every bit of an Evidence is bound by hashes and signatures (the status part is bound by the epoch, statuslist).
func TestEveryByteMatters(t *testing.T) {
	c, _, q := world(t, 4)
	m := c.Material(q)
	m.Status = &evidence.Status{Record: []byte{1}, Index: 1, Size: 2, Path: [][]byte{make([]byte, 32)}, Chunk: []byte{2}}
	b := build(t, m)
	statusFrom := len(b) - len(m.Status.Record) - len(m.Status.Chunk) - 33 - 8
	for i := range b[:statusFrom] {
		bad := append([]byte{}, b...)
		bad[i] ^= 1 << (i % 8)
		if f, err := evidence.Check(bad, c.Trust(), c.Now()); err == nil {
			t.Fatalf("byte %d of %d: accepted: %+v", i, len(b), f)
		}
	}
	for i := range b {
		if _, err := evidence.Check(b[:i], c.Trust(), c.Now()); err == nil {
			t.Fatalf("cut at %d: accepted", i)
		}
	}
	if _, err := evidence.Check(append(b, 0), c.Trust(), c.Now()); !errors.Is(err, registry.ErrMalformed) {
		t.Fatalf("trailing byte: %v", err)
	}
	if _, err := evidence.Check(make([]byte, evidence.MaxSize+1), c.Trust(), c.Now()); !errors.Is(err, registry.ErrLimit) {
		t.Fatalf("too large: %v", err)
	}
}

// TestStatusPart: a base stands only beside a chunk and has none of its own, and what comes out is what went in.
func TestStatusPart(t *testing.T) {
	c, _, q := world(t, 4)
	base := evidence.Status{Record: []byte{3}, Index: 4, Size: 5, Path: [][]byte{make([]byte, 32)}, Chunk: []byte{6}}
	bare := base
	bare.Chunk = nil
	for name, s := range map[string]evidence.Status{
		"alone": base, "no chunk": bare, "with a base": {Record: []byte{1}, Size: 2, Chunk: []byte{2}, Base: &base},
		"with a base of the same values": {Record: []byte{1}, Size: 2, Chunk: []byte{2}, Base: &bare},
	} {
		m := c.Material(q)
		m.Status = &s
		f, err := evidence.Check(build(t, m), c.Trust(), c.Now())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(f.Status(), &s); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	deep := base
	deep.Base = &bare
	m := c.Material(q)
	m.Status = &evidence.Status{Record: []byte{1}, Size: 2, Chunk: []byte{2}, Base: &deep}
	if f, err := evidence.Check(build(t, m), c.Trust(), c.Now()); err != nil || f.Status().Base.Base != nil {
		t.Errorf("a base of a base: %v", err)
	}
	// The same by hand: an array of six where five are most.
	b := build(t, m)
	at := bytes.LastIndex(b, []byte{0x85, 0x41, 0x03})
	b[at] = 0x86
	b = append(b, 0x84, 0x41, 1, 0, 1, 0x80)
	if _, err := evidence.Check(b, c.Trust(), c.Now()); !errors.Is(err, registry.ErrMalformed) {
		t.Errorf("a base of a base: %v", err)
	}
}

func FuzzCheck(f *testing.F) {
	c, _, q := world(f, 4)
	m := c.Material(q)
	f.Add(build(f, m))
	m.Sets = []evidence.ValidatorSet{c.Set()}
	m.Status = &evidence.Status{Record: []byte{1}, Index: 1, Size: 2, Path: [][]byte{make([]byte, 32)}}
	f.Add(build(f, m))
	f.Add([]byte{0x85, 1, 0x61, 'x', 0x80, 0x80, 0x41, 0})
	f.Add(binary.BigEndian.AppendUint64([]byte{0x9b}, 1<<40))
	trust, now := c.Trust(), c.Now()
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := evidence.Check(b, trust, now)
		if (err == nil) != (facts != nil) {
			t.Fatal("facts and an error, or neither")
		}
	})
}

func FuzzParseTrust(f *testing.F) {
	c, _, _ := world(f, 1)
	if b, err := c.Trust().Marshal(); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`{"format":"dojang-trust/1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		trust, err := evidence.ParseTrust(b)
		if err != nil {
			return
		}
		again, err := trust.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.ParseTrust(again); err != nil {
			t.Fatalf("a trust file that cannot be written again: %v", err)
		}
	})
}
