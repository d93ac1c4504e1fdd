package statuslist

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/dojang-id/dojang/internal/keys"
)

// published is a list as somebody publishes it: token, record, and the root of an epoch that holds it beside another list.
type published struct {
	values Values
	token  []byte
	record Record
	proof  RecordProof
	root   [32]byte
}

func publish(t *testing.T, media string, v Values, change func(*Record)) published {
	t.Helper()
	sign, digest := SignJWT, func(r *Record, d [32]byte) { r.Tokens.JWT = d }
	if media == MediaTypeCWT {
		sign, digest = SignCWT, func(r *Record, d [32]byte) { r.Tokens.CWT = d }
	}
	token, err := sign(newKey(t), keys.Header{Kid: "k"}, claimsFor(t, v))
	if err != nil {
		t.Fatal(err)
	}
	p := published{values: v, token: token, record: Record{URI: listURI, Bits: v.Bits(), Length: v.Len(), Root: v.Root()}}
	digest(&p.record, sha256.Sum256(token))
	if change != nil {
		change(&p.record)
	}
	raw, err := p.record.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	records := [][]byte{raw, {1}}
	path, err := ProveRecord(records, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.root, p.proof = EpochRoot(records), RecordProof{Record: raw, Path: path, Size: 2}
	return p
}

func with(t *testing.T, v Values, idx uint64, s Status) Values {
	t.Helper()
	v.raw = append([]byte(nil), v.raw...)
	if err := v.set(idx, s); err != nil {
		t.Fatal(err)
	}
	return v
}

func redated(media string, base, now published) Redated {
	return Redated{MediaType: media, Record: now.record, Token: now.token, BaseRoot: base.root, Base: base.proof, BaseToken: base.token}
}

// TestWorse: every change of one entry, by an operator and by anybody, in every width of a list.
func TestWorse(t *testing.T) {
	allowed := map[[2]Status]bool{ // by an operator, besides no change at all
		{Valid, NeedsRenewal}: true, {Valid, Suspended}: true, {Valid, Revoked}: true,
		{NeedsRenewal, Suspended}: true, {NeedsRenewal, Revoked}: true, {Suspended, Revoked}: true,
	}
	for _, bits := range []int{2, 4, 8} {
		base := random(t, bits, 1<<14, 1<<14) // all but one entry valid
		for b := range Status(min(1<<bits, 16)) {
			for a := range Status(min(1<<bits, 16)) {
				before, after := with(t, base, 7001, b), with(t, base, 7001, a)
				known := b <= NeedsRenewal && a <= NeedsRenewal
				want := a == b || allowed[[2]Status{b, a}]
				if !known && a != b { // a value that nobody defined is as bad as suspended
					want = a == Revoked && b != Revoked || a > NeedsRenewal && (b == Valid || b == NeedsRenewal)
				}
				if err := CheckWorse(before, after); (err == nil) != want || err != nil && !errors.Is(err, ErrImproved) {
					t.Errorf("%d bits, operator %v to %v: %v", bits, b, a, err)
				}
				if err := CheckFinal(before, after); (err == nil) != (b != Revoked || a == Revoked) {
					t.Errorf("%d bits, anybody %v to %v: %v", bits, b, a, err)
				}
			}
		}
	}
	short, err := NewValues(2, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	long := random(t, 2, 128, 1<<20)
	for name, err := range map[string]error{
		"a shorter list": CheckWorse(long, short), "a longer list": CheckWorse(short, long),
		"other bits": CheckWorse(short, random(t, 1, 128, 1<<20)), "a revoked one behind the end": CheckFinal(with(t, long, 100, Revoked), short),
	} {
		if !errors.Is(err, ErrImproved) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckFinal(with(t, long, 100, Suspended), short); err != nil {
		t.Errorf("a shorter list without a revoked one lost: %v", err)
	}
}

// TestRedated: an operator's list, whole and by the chunk, against the issuer's own last one.
func TestRedated(t *testing.T) {
	for _, media := range []string{MediaTypeJWT, MediaTypeCWT} {
		before := with(t, random(t, 2, 10_000, 3), 4711, Suspended)
		base := publish(t, media, before, nil)
		for _, tc := range []struct {
			name  string
			now   published
			bend  func(*Redated)
			whole error // of Check
			entry error // of CheckEntry at 4711
		}{
			{"re-dated", publish(t, media, before, nil), func(r *Redated) { r.BaseToken, r.Token = nil, nil }, nil, nil},
			{"one entry worse", publish(t, media, with(t, before, 4711, Revoked), nil), nil, nil, nil},
			{"one entry better", publish(t, media, with(t, before, 4711, Valid), nil), nil, ErrImproved, ErrImproved},
			{"one worse, one better", publish(t, media, with(t, with(t, before, 4711, Revoked), revoked(t, before), Valid), nil), nil, ErrImproved, nil},
			{"the base under another root", publish(t, media, before, nil), func(r *Redated) { r.BaseRoot[0]++ }, ErrProof, ErrProof},
			{"no base", publish(t, media, before, nil), func(r *Redated) { r.Base = RecordProof{} }, ErrProof, ErrProof},
			{"the base's token is missing", publish(t, media, with(t, before, 4711, Revoked), nil), func(r *Redated) { r.BaseToken = nil }, ErrProof, nil},
			{"another base token", publish(t, media, with(t, before, 4711, Valid), nil), func(r *Redated) { r.BaseToken = r.Token }, ErrProof, ErrImproved},
			{"another token", publish(t, media, with(t, before, 4711, Valid), nil), func(r *Redated) { r.Token = r.BaseToken }, ErrProof, ErrImproved},
			{"another list", publish(t, media, before, func(r *Record) { r.URI += "1" }), nil, ErrSubject, ErrSubject},
			{"another length", publish(t, media, before, func(r *Record) { r.Length += 4 }), nil, ErrImproved, ErrImproved},
			{"a record of other values than its token", publish(t, media, before, func(r *Record) { r.Root[0]++ }), nil, ErrProof, nil},
		} {
			t.Run(tc.name, func(t *testing.T) {
				r := redated(media, base, tc.now)
				if tc.bend != nil {
					tc.bend(&r)
				}
				if err := r.Check(); !errors.Is(err, tc.whole) || tc.whole == nil && err != nil {
					t.Errorf("whole list: %v, want %v", err, tc.whole)
				}
				if tc.name == "a record of other values than its token" {
					return // a chunk of it cannot be made
				}
				value, err := tc.now.values.Status(4711)
				if err != nil {
					t.Fatal(err)
				}
				chunk, err := before.CutChunk(4711)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.CheckEntry(4711, value, chunk); !errors.Is(err, tc.entry) || tc.entry == nil && err != nil {
					t.Errorf("entry: %v, want %v", err, tc.entry)
				}
			})
		}
		t.Run("the issuer's chunk is missing or another one", func(t *testing.T) {
			now := publish(t, media, with(t, before, 4711, Revoked), nil)
			other, err := before.CutChunk(1)
			if err != nil {
				t.Fatal(err)
			}
			lifted, err := with(t, before, 4711, Revoked).CutChunk(4711)
			if err != nil {
				t.Fatal(err)
			}
			for i, chunk := range [][]byte{nil, other, lifted} {
				if err := redated(media, base, now).CheckEntry(4711, Revoked, chunk); err == nil || !errors.Is(err, ErrInvalid) {
					t.Errorf("%d: %v", i, err)
				}
			}
		})
	}
	t.Run("lists left out, added, or in another order", func(t *testing.T) {
		lists := func(names ...string) (out []Record) {
			for _, n := range names {
				out = append(out, Record{URI: n, Bits: 2, Length: 64})
			}
			return out
		}
		if !SameLists(lists("1", "2"), lists("1", "2")) {
			t.Error("the same lists are not the same")
		}
		for _, now := range [][]string{{"1"}, {"1", "2", "3"}, {"2", "1"}, {}} {
			if SameLists(lists("1", "2"), lists(now...)) {
				t.Error(fmt.Sprint(now))
			}
		}
	})
}

// revoked is some revoked entry.
func revoked(t *testing.T, v Values) uint64 {
	t.Helper()
	for idx := range v.Len() {
		if s, err := v.Status(idx); err == nil && s == Revoked {
			return idx
		}
	}
	t.Fatal("nothing is revoked")
	return 0
}
