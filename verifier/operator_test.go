package verifier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

// An operated world: the issuer is gone after its last list, in which entry 2 is suspended and entry 3 revoked; its operator
// goes on.
type operated struct {
	*verifiertest.World
	*verifiertest.Operator
	held [3]*verifiertest.Held // entries 1 to 3
}

func newOperated(t *testing.T) *operated {
	t.Helper()
	w := verifiertest.New()
	o := &operated{World: w}
	for i := range o.held {
		o.held[i] = w.Gaon.Issue(verifiertest.Resident(), nil)
	}
	w.Gaon.SetStatus(2, statuslist.Suspended)
	w.Gaon.SetStatus(3, statuslist.Revoked)
	o.Operator = w.Appoint(w.Gaon, "operator")
	w.Clock.Add(time.Hour)
	return o
}

// set writes an entry of the operator's copy.
func (o *operated) set(t *testing.T, index uint64, s statuslist.Status) {
	t.Helper()
	if err := o.Operator.List.Set(index, s); err != nil {
		t.Fatal(err)
	}
}

func (o *operated) judge(t *testing.T, v *verifier.Verifier, entry int) verifier.Judgement {
	t.Helper()
	s := resident(o.held[entry-1].Present(audience, nonce, "age_over_19"))
	s.Evidence = []byte("evidence")
	return judge(t, v, o.World, s)
}

// ways are how a verifier comes to the operator's list: from nodes, with or without an older list at hand, or from a staple
// with the network off.
var ways = []string{"from nodes", "from nodes, the issuer's list at hand", "stapled, no network"}

func (o *operated) verifier(t *testing.T, way string, bend func(), entry uint64) *verifier.Verifier {
	t.Helper()
	cfg := o.Config()
	if way == "stapled, no network" {
		bend()
		frozen, part := verifiertest.Snapshot(o.Registry), o.Staple(entry)
		cfg.Registry, cfg.Status = nil, nil
		cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return fakeStaple{frozen, part}, nil }
		return newVerifier(t, cfg)
	}
	v := newVerifier(t, cfg)
	if way == "from nodes, the issuer's list at hand" {
		want(t, o.judge(t, v, 1), verifier.Valid, "")
	}
	bend()
	return v
}

func TestStatusOperator(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bend  func(t *testing.T, o *operated) // before the operator publishes
		codes [3]verifier.Code                // of the three entries
	}{
		{"re-dated", func(*testing.T, *operated) {}, [3]verifier.Code{verifier.Valid, verifier.Suspended, verifier.Revoked}},
		{"an entry gets worse", func(t *testing.T, o *operated) { o.set(t, 1, statuslist.Revoked) }, [3]verifier.Code{verifier.Revoked, verifier.Suspended, verifier.Revoked}},
		{"the accreditation names nobody", func(_ *testing.T, o *operated) { o.names("") },
			[3]verifier.Code{verifier.StatusStale, verifier.StatusStale, verifier.StatusStale}},
		{"the accreditation names somebody else", func(_ *testing.T, o *operated) { o.names(o.Seoul.DID) },
			[3]verifier.Code{verifier.StatusStale, verifier.StatusStale, verifier.StatusStale}},
		{"the operator's key is compromised", func(_ *testing.T, o *operated) { o.key(func(k *registry.Key) { k.CompromisedFrom = o.Clock.Now() }) },
			[3]verifier.Code{verifier.StatusStale, verifier.StatusStale, verifier.StatusStale}},
		{"the issuer's key was compromised: nobody washes what it cleared", func(_ *testing.T, o *operated) {
			k, _, _ := o.Registry.Key(t.Context(), o.Gaon.DID, "key-1", time.Time{})
			k.CompromisedFrom = o.Clock.Now()
			o.Registry.PutKey(k)
		}, [3]verifier.Code{verifier.IssuerUntrusted, verifier.IssuerUntrusted, verifier.IssuerUntrusted}},
	} {
		for _, way := range ways {
			t.Run(tc.name+"/"+way, func(t *testing.T) {
				for entry := 1; entry <= 3; entry++ {
					o := newOperated(t)
					v := o.verifier(t, way, func() { tc.bend(t, o); o.Publish() }, uint64(entry))
					got, wanted := o.judge(t, v, entry), tc.codes[entry-1]
					// With the issuer's list at hand what it says is still young; only what is bad news or untrusted shows.
					if way == ways[1] && wanted == verifier.StatusStale {
						wanted = [3]verifier.Code{verifier.Valid, verifier.Suspended, verifier.Revoked}[entry-1]
						if strings.Contains(tc.name, "compromised") {
							wanted = verifier.StatusStale
						}
					}
					if got.Code != wanted {
						t.Errorf("entry %d: %s %s (%v), want %s", entry, got.Code, got.Reason, got.Cause(), wanted)
					}
					if wanted == verifier.Valid && way != ways[1] && !got.StatusAsOf.Equal(o.Clock.Now()) {
						t.Errorf("entry %d: status as of %v", entry, got.StatusAsOf)
					}
				}
			})
		}
	}
}

// names changes the accreditation's operator.
func (o *operated) names(did registry.DID) {
	a, _, _ := o.Registry.Accreditation(context.Background(), o.Gaon.DID, o.Gaon.VCT, time.Time{})
	a.Operator = did
	o.Registry.PutAccreditation(a)
}

func (o *operated) key(change func(*registry.Key)) {
	k, _, _ := o.Registry.Key(context.Background(), o.Operator.DID, o.Operator.KeyID, time.Time{})
	change(&k)
	o.Registry.PutKey(k)
}

// TestOperatorImproves: whatever an operator makes better is refused and raised, and the credential is not confirmed beyond
// what the issuer itself said.
func TestOperatorImproves(t *testing.T) {
	for _, tc := range []struct {
		name  string
		entry int
		to    statuslist.Status
	}{{"suspended to valid", 2, statuslist.Valid}, {"suspended to needs renewal", 2, statuslist.NeedsRenewal}, {"revoked to valid", 3, statuslist.Valid}, {"revoked to suspended", 3, statuslist.Suspended}} {
		for _, way := range ways {
			t.Run(tc.name+"/"+way, func(t *testing.T) {
				o := newOperated(t)
				v := o.verifier(t, way, func() { o.set(t, uint64(tc.entry), tc.to); o.Publish() }, uint64(tc.entry))
				got := o.judge(t, v, tc.entry)
				if got.Decision == verifier.Confirmed || got.Claims != nil {
					t.Fatalf("%s %s", got.Decision, got.Code)
				}
				if way == ways[0] && (got.Code != verifier.StatusStale || got.Reason != verifier.ReasonStatusInvalid) {
					t.Errorf("%s %s (%v)", got.Code, got.Reason, got.Cause())
				}
				if n := v.Counters().Refused; way != ways[2] && n == 0 {
					t.Error("it was not raised")
				}
				if way == ways[1] {
					err := v.Refresh(t.Context(), o.Clock.Now().Add(time.Minute))
					if !errors.Is(err, statuslist.ErrImproved) || v.Counters().Behind != 1 {
						t.Errorf("the schedule does not tell: %v, %+v", err, v.Counters())
					}
					// The list that it stays with gets old, and then nothing is confirmed on it.
					want(t, o.judge(t, v, 1), verifier.Valid, "")
					o.Clock.Add(73 * time.Hour)
					want(t, o.judge(t, v, 1), verifier.StatusStale, verifier.ReasonStatusUnavailable)
				}
			})
		}
	}
	t.Run("its own word, for who has seen it", func(t *testing.T) {
		o := newOperated(t)
		v := newVerifier(t, o.Config())
		o.set(t, 1, statuslist.Revoked)
		o.Publish()
		want(t, o.judge(t, v, 1), verifier.Revoked, verifier.ReasonRevoked)
		o.Clock.Add(time.Minute)
		o.set(t, 1, statuslist.Valid)
		o.Publish()
		want(t, o.judge(t, v, 1), verifier.Revoked, verifier.ReasonRevoked)
		if v.Counters().Refused == 0 {
			t.Error("it was not raised")
		}
	})
	t.Run("the issuer forgets a revocation", func(t *testing.T) {
		o := newOperated(t)
		v := newVerifier(t, o.Config())
		want(t, o.judge(t, v, 3), verifier.Revoked, verifier.ReasonRevoked)
		o.Clock.Add(time.Minute)
		o.Gaon.SetStatus(3, statuslist.Valid)
		want(t, o.judge(t, v, 3), verifier.Revoked, verifier.ReasonRevoked)
		if v.Counters().Refused == 0 {
			t.Error("it was not raised")
		}
	})
}

// TestOperatorTokens: the token of a re-dated list is the operator's, by its key for this use, under a root of the accreditation.
func TestOperatorTokens(t *testing.T) {
	token := func(o *operated, key keys.Signer, kid string, chain [][]byte) []byte {
		snap, err := o.Operator.List.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		now := o.Clock.Now()
		b, err := statuslist.SignJWT(key, keys.Header{Kid: kid, X5C: chain}, statuslist.Claims{
			URI: o.Gaon.URI(), IssuedAt: now, ExpiresAt: now.AddDate(0, 2, 0), TTL: time.Hour, Bits: snap.Bits, Compressed: snap.Compressed})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, tc := range []struct {
		name   string
		token  func(o *operated) []byte
		bend   func(o *operated)
		reason verifier.Reason
	}{
		{"C06 signed by the issuer's key", func(o *operated) []byte { return token(o, o.Gaon.Key, o.Gaon.DID.URL("key-1"), o.Gaon.Chain) }, nil, verifier.ReasonStatusInvalid},
		{"C06 the operator's kid, another key", func(o *operated) []byte {
			return token(o, o.Gaon.Key, o.Operator.DID.URL("status-1"), o.Operator.Chain)
		}, nil, verifier.ReasonStatusInvalid},
		{"C06 a leaf for credentials", func(o *operated) []byte {
			leaf := o.Leaf(o.Gaon.CA, verifiertest.LeafOf{DID: o.Operator.DID, Key: o.Operator.Key, EKU: keys.EKUDocumentSigner})
			return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), [][]byte{leaf})
		}, nil, verifier.ReasonStatusInvalid},
		{"C06 a leaf under another root", func(o *operated) []byte {
			leaf := o.Leaf(o.Authority("other"), verifiertest.LeafOf{DID: o.Operator.DID, Key: o.Operator.Key, EKU: keys.EKUStatusSigner})
			return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), [][]byte{leaf})
		}, nil, verifier.ReasonStatusInvalid},
		{"C06 no certificate where the accreditation records roots", func(o *operated) []byte { return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), nil) }, nil, verifier.ReasonStatusInvalid},
		{"C06 a key for another use", func(o *operated) []byte {
			return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), o.Operator.Chain)
		},
			func(o *operated) { o.key(func(k *registry.Key) { k.Use = registry.UseAssertion }) }, verifier.ReasonStatusInvalid},
		{"the issuer's list is not beside it", func(o *operated) []byte {
			return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), o.Operator.Chain)
		},
			func(o *operated) { o.Registry.Bend(o.Gaon.URI(), func(l *registry.StatusList) { l.Base = nil }) }, verifier.ReasonStatusUnavailable},
		{"another list is beside it", func(o *operated) []byte {
			return token(o, o.Operator.Key, o.Operator.DID.URL("status-1"), o.Operator.Chain)
		},
			func(o *operated) {
				o.Registry.Bend(o.Gaon.URI(), func(l *registry.StatusList) { b := *l; b.Base = nil; l.Base = &b })
			}, verifier.ReasonStatusInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOperated(t)
			o.PublishAs(tc.token(o))
			if tc.bend != nil {
				tc.bend(o)
			}
			want(t, o.judge(t, newVerifier(t, o.Config()), 1), verifier.StatusStale, tc.reason)
		})
	}
	t.Run("C06 the issuer's credential by the operator's key", func(t *testing.T) {
		o := newOperated(t)
		o.Publish()
		posing := *o.Gaon
		posing.Key = o.Operator.Key
		held := posing.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) { c.Kid = o.Operator.DID.URL("status-1") })
		want(t, judge(t, newVerifier(t, o.Config()), o.World, resident(held.Present(audience, nonce, "age_over_19"))), verifier.IssuerUntrusted, verifier.ReasonIssuer)
	})
	t.Run("from the status host alone", func(t *testing.T) {
		o := newOperated(t)
		list := o.Publish()
		cfg := o.Config()
		cfg.StatusHost = func(context.Context, string, string) ([]byte, error) { return list.Token, nil }
		v := newVerifier(t, cfg)
		o.Registry.SetListDown(true)
		want(t, o.judge(t, v, 1), verifier.StatusStale, verifier.ReasonStatusUnavailable) // nothing to compare it with
		o.Registry.SetListDown(false)
		o.Clock.Add(time.Minute)
		want(t, o.judge(t, v, 1), verifier.Valid, "")
	})
}

// TestOperatorIsDismissed: what it published before is not kept young by it any more.
func TestOperatorIsDismissed(t *testing.T) {
	o := newOperated(t)
	v := newVerifier(t, o.Config())
	o.Publish()
	want(t, o.judge(t, v, 1), verifier.Valid, "")
	last := o.Clock.Now()
	o.names("")
	for range 2 {
		o.Clock.Add(35 * time.Hour)
		got := o.judge(t, v, 1)
		want(t, got, verifier.Valid, "")
		if !got.StatusAsOf.Equal(last) {
			t.Errorf("status as of %v, it was dismissed after %v", got.StatusAsOf, last)
		}
	}
	o.Clock.Add(3 * time.Hour)
	want(t, o.judge(t, v, 1), verifier.StatusStale, verifier.ReasonStatusUnavailable)
	if err := v.Refresh(t.Context(), o.Clock.Now()); err == nil || v.Counters().Behind != 1 {
		t.Errorf("not told: %v", err)
	}
}

// TestEpochsContradict: two proven contents under one number are two chains.
func TestEpochsContradict(t *testing.T) {
	o := newOperated(t)
	v := newVerifier(t, o.Config())
	want(t, o.judge(t, v, 1), verifier.Valid, "")
	e, _, err := o.Registry.StatusEpoch(t.Context(), o.Gaon.DID)
	if err != nil {
		t.Fatal(err)
	}
	e.Root[0]++
	o.Registry.PutEpoch(e)
	o.Clock.Add(time.Minute)
	if err := v.Refresh(t.Context(), o.Clock.Now()); !errors.Is(err, registry.ErrUntrusted) || v.Counters().Conflicts == 0 || v.Counters().Behind != 1 {
		t.Errorf("not raised: %v %+v", err, v.Counters())
	}
	o.Clock.Add(73 * time.Hour)
	if got := o.judge(t, v, 1); got.Decision == verifier.Confirmed {
		t.Errorf("%s %s", got.Decision, got.Code)
	}
	t.Run("our own against a staple", func(t *testing.T) {
		o := newOperated(t)
		o.Publish()
		cfg := o.Config()
		frozen := verifiertest.Snapshot(o.Registry)
		e, _, err := frozen.StatusEpoch(t.Context(), o.Gaon.DID)
		if err != nil {
			t.Fatal(err)
		}
		other := newOperated(t)
		other.set(t, 1, statuslist.NeedsRenewal)
		list := other.Publish()
		e.Root = statuslist.EpochRoot([][]byte{list.Record})
		e.Base = registry.EpochBase{}
		e.Signer = o.Gaon.DID.URL("key-1")
		frozen.PutEpoch(e)
		part := other.Staple(1)
		part.Base = nil
		cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return fakeStaple{frozen, part}, nil }
		v := newVerifier(t, cfg)
		if err := v.Refresh(t.Context(), o.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		plain := resident(o.held[0].Present(audience, nonce, "age_over_19"))
		want(t, judge(t, v, o.World, plain), verifier.Valid, "")
		if got := o.judge(t, v, 1); got.Decision == verifier.Confirmed || v.Counters().Conflicts == 0 {
			t.Errorf("%s %s (%v) %+v", got.Decision, got.Code, got.Cause(), v.Counters())
		}
	})
}
