package verifier_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

// statusRow bends the world after one credential (index 1) was issued and before it is judged.
type statusRow struct {
	name    string
	bend    func(t *testing.T, w *verifiertest.World)
	code    verifier.Code
	reason  verifier.Reason
	fetches int // lists asked of nodes during the judgement
}

func TestStatusLists(t *testing.T) {
	stale, invalid, unavailable := verifier.StatusStale, verifier.ReasonStatusInvalid, verifier.ReasonStatusUnavailable
	setTo := func(s statuslist.Status) func(*testing.T, *verifiertest.World) {
		return func(_ *testing.T, w *verifiertest.World) { w.Gaon.SetStatus(1, s) }
	}
	rows := []statusRow{
		{"valid", func(*testing.T, *verifiertest.World) {}, verifier.Valid, "", 1},
		{"revoked", setTo(statuslist.Revoked), verifier.Revoked, verifier.ReasonRevoked, 1},
		{"suspended", setTo(statuslist.Suspended), verifier.Suspended, verifier.ReasonSuspended, 1},
		{"needs renewal, which this policy takes", setTo(statuslist.NeedsRenewal), verifier.Valid, "", 1},
		{"C05 list of the same issuer under another URI", func(_ *testing.T, w *verifiertest.World) {
			w.Gaon.PublishAs(w.Gaon.Token(strings.TrimSuffix(w.Gaon.URI(), "1")+"2", w.Gaon.Key))
		}, stale, invalid, 1},
		{"C06 signed by another key", func(t *testing.T, w *verifiertest.World) {
			w.Gaon.PublishAs(w.Gaon.Token(w.Gaon.URI(), generate(t)))
		}, stale, invalid, 1},
		{"C06 signed by another accredited agency", func(_ *testing.T, w *verifiertest.World) {
			other := *w.Gaon
			other.Key, other.Chain, other.DID = w.Seoul.Key, w.Seoul.Chain, w.Seoul.DID
			w.Gaon.PublishAs(other.Token(w.Gaon.URI(), w.Seoul.Key))
		}, stale, invalid, 1},
		{"C06 certificate of another agency over the issuer's kid", func(_ *testing.T, w *verifiertest.World) {
			other := *w.Gaon
			other.Chain = w.Seoul.Chain
			w.Gaon.PublishAs(other.Token(w.Gaon.URI(), w.Gaon.Key))
		}, stale, invalid, 1},
		{"C06 typ of a credential", func(t *testing.T, w *verifiertest.World) {
			token := signRaw(t, `{"alg":"ES256","typ":"dc+sd-jwt","kid":"`+w.Gaon.DID.URL("key-1")+`"}`, map[string]any{"sub": w.Gaon.URI()}, w.Gaon.Key)
			w.Gaon.PublishAs([]byte(token))
		}, stale, invalid, 1},
		{"C05 record of another URI over the right token", func(_ *testing.T, w *verifiertest.World) {
			uri := w.Gaon.URI()
			list := w.Gaon.PublishUnder(strings.TrimSuffix(uri, "1")+"2", w.Gaon.Token(uri, w.Gaon.Key))
			w.Registry.Bend(uri, func(l *registry.StatusList) { *l = list })
		}, stale, invalid, 1},
		{"values differ from the record's root", func(_ *testing.T, w *verifiertest.World) {
			clear := w.Gaon.Token(w.Gaon.URI(), w.Gaon.Key)
			if err := w.Gaon.List.Set(1, statuslist.Revoked); err != nil {
				panic(err)
			}
			w.Gaon.PublishAs(clear)
		}, stale, invalid, 1},
		{"same values, but not the token that is anchored", func(_ *testing.T, w *verifiertest.World) {
			w.Clock.Add(time.Second) // signatures are deterministic: the same words would be the same token
			again := w.Gaon.Token(w.Gaon.URI(), w.Gaon.Key)
			w.Registry.Bend(w.Gaon.URI(), func(l *registry.StatusList) { l.Token = again })
		}, stale, invalid, 1},
		{"C07 token is not the one that the epoch anchors", func(_ *testing.T, w *verifiertest.World) {
			old := w.Gaon.Publish()
			w.Clock.Add(time.Minute)
			w.Gaon.SetStatus(1, statuslist.Revoked)
			w.Registry.Bend(w.Gaon.URI(), func(l *registry.StatusList) { l.Token = old.Token })
		}, stale, invalid, 1},
		{"C07 whole list of an older epoch", func(_ *testing.T, w *verifiertest.World) {
			old := w.Gaon.Publish()
			w.Clock.Add(time.Minute)
			w.Gaon.SetStatus(1, statuslist.Revoked)
			w.Registry.Bend(w.Gaon.URI(), func(l *registry.StatusList) { *l = old })
		}, stale, invalid, 1},
		{"C08 token without exp", func(t *testing.T, w *verifiertest.World) {
			w.Gaon.PublishAs(bareToken(t, w, map[string]any{"iat": w.Clock.Now().Unix(), "ttl": 3600}))
		}, stale, invalid, 1},
		{"C08 expired token", func(t *testing.T, w *verifiertest.World) {
			w.Gaon.PublishAs(bareToken(t, w, map[string]any{"iat": w.Clock.Now().Add(-time.Hour).Unix(), "exp": w.Clock.Now().Unix(), "ttl": 3600}))
		}, stale, invalid, 1},
		{"C12 no node answers", func(_ *testing.T, w *verifiertest.World) { w.Registry.SetListDown(true) }, stale, unavailable, 1},
		{"C12 issuer has anchored nothing", func(_ *testing.T, w *verifiertest.World) {
			w.Registry.PutEpoch(registry.StatusEpoch{Issuer: w.Gaon.DID})
		}, stale, invalid, 1},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			v := newVerifier(t, w.Config())
			held := w.Gaon.Issue(verifiertest.Resident(), nil)
			row.bend(t, w)
			want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), row.code, row.reason)
			if w.Registry.Fetches() != row.fetches || v.Counters().NodeFetches != uint64(row.fetches) {
				t.Errorf("%d lists fetched, want %d", w.Registry.Fetches(), row.fetches)
			}
		})
	}
}

// bareToken signs a status list token with hand-made times.
func bareToken(t *testing.T, w *verifiertest.World, claims map[string]any) []byte {
	t.Helper()
	snap, err := w.Gaon.List.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	claims["sub"] = w.Gaon.URI()
	claims["status_list"] = map[string]any{"bits": snap.Bits, "lst": b64.EncodeToString(snap.Compressed)}
	return []byte(signRaw(t, `{"alg":"ES256","typ":"statuslist+jwt","kid":"`+w.Gaon.DID.URL("key-1")+`"}`, claims, w.Gaon.Key))
}

func TestStatusReferences(t *testing.T) {
	rows := []struct {
		name    string
		bend    verifiertest.Spec
		code    verifier.Code
		reason  verifier.Reason
		fetches int
	}{
		{"C02 index beyond the list", func(c *sdjwt.Credential) { c.Status.Index = verifiertest.ListSize }, verifier.StatusStale, verifier.ReasonStatusInvalid, 1},
		{"C09 plain http", uriOf(func(s string) string { return strings.Replace(s, "https:", "http:", 1) }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C09 other host", uriOf(func(s string) string { return strings.Replace(s, "status.dojang.example", "evil.example", 1) }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C09 host as a prefix", uriOf(func(s string) string { return strings.Replace(s, ".example/", ".example.evil.example/", 1) }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C09 private address", uriOf(func(string) string { return "https://169.254.169.254/1" }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C09 list of another issuer", uriOf(func(string) string { return verifiertest.New().Seoul.URI() }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C10 path of its own", uriOf(func(s string) string { return s + "/person-4711" }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C10 query of its own", uriOf(func(s string) string { return s + "?c=4711" }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C18 question about the past", uriOf(func(s string) string { return s + "?time=1790000000" }), verifier.StatusStale, verifier.ReasonStatusUnavailable, 0},
		{"C13 expired and revoked: the list is not fetched", func(c *sdjwt.Credential) { c.Expires = c.IssuedAt }, verifier.Expired, verifier.ReasonExpired, 0},
		{"C19 no status where the policy wants one", func(c *sdjwt.Credential) { c.Status = nil }, verifier.StatusStale, verifier.ReasonStatusInvalid, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			v := newVerifier(t, w.Config())
			held := w.Gaon.Issue(verifiertest.Resident(), row.bend)
			want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), row.code, row.reason)
			if w.Registry.Fetches() != row.fetches {
				t.Errorf("%d lists fetched, want %d", w.Registry.Fetches(), row.fetches)
			}
		})
	}
	for name, idx := range map[string]any{"C02 idx -1": -1, "C02 idx 2^31": 1 << 31, "C02 idx 2^63": uint64(1) << 63, "C02 idx a string": "5", "C02 idx 5.5": 5.5} {
		t.Run(name, func(t *testing.T) {
			w := verifiertest.New()
			f := forge(t, w)
			f.payload["status"] = map[string]any{"status_list": map[string]any{"uri": w.Gaon.URI(), "idx": idx}}
			want(t, judge(t, newVerifier(t, w.Config()), w, resident(f.present(t))), verifier.StatusStale, verifier.ReasonStatusInvalid)
			if w.Registry.Fetches() != 0 {
				t.Errorf("%d lists fetched", w.Registry.Fetches())
			}
		})
	}
	t.Run("C10 list of a thousand entries: warning and metric", func(t *testing.T) {
		w := verifiertest.New()
		w.Gaon.Shrink(1000)
		v := newVerifier(t, w.Config())
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		j := judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
		want(t, j, verifier.Valid, "")
		if len(j.Warnings) != 1 || j.Warnings[0] != "status_list_small" || v.Counters().SmallLists != 1 {
			t.Errorf("warnings %v, counters %+v", j.Warnings, v.Counters())
		}
	})
	t.Run("C13 invalid signature: the list is not fetched", func(t *testing.T) {
		w := verifiertest.New()
		v := newVerifier(t, w.Config())
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		want(t, judge(t, v, w, resident(corrupt(held.Present(audience, nonce, "age_over_19")))), verifier.SignatureInvalid, verifier.ReasonSignature)
		if w.Registry.Fetches() != 0 {
			t.Errorf("%d lists fetched", w.Registry.Fetches())
		}
	})
	t.Run("C19 no status where the policy does without", func(t *testing.T) {
		w := verifiertest.New()
		v := newVerifier(t, w.Config())
		p := bentPolicy(t, "adult-check", "required: true", "required: false")
		held := w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) { c.Status = nil })
		j, err := v.Judge(context.Background(), resident(held.Present(audience, nonce, "age_over_19")), p, verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
		if err != nil {
			t.Fatal(err)
		}
		want(t, j, verifier.Valid, "")
		if j.Basis.Credentials[0].Status != "none" || !j.StatusAsOf.IsZero() {
			t.Errorf("basis %+v", j.Basis.Credentials[0])
		}
	})
}

func uriOf(f func(string) string) verifiertest.Spec {
	return func(c *sdjwt.Credential) { c.Status.URI = f(c.Status.URI) }
}

// bentPolicy replaces one text in a built-in policy.
func bentPolicy(t testing.TB, name, from, to string) *verifier.Policy {
	t.Helper()
	text := strings.Replace(string(policy(t, name).Source()), from, to, 1)
	p, err := verifier.ParsePolicy([]byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNoPhoneHome(t *testing.T) {
	w := verifiertest.New()
	host := 0
	cfg := w.Config()
	cfg.StatusHost = func(context.Context, string, string) ([]byte, error) { host++; return nil, errors.New("down") }
	v := newVerifier(t, cfg)
	show := func() verifier.Judgement {
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		return judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
	}
	t.Run("C11 unknown list is fetched once, then never at a presentation", func(t *testing.T) {
		for range 5 {
			want(t, show(), verifier.Valid, "")
		}
		if w.Registry.Fetches() != 1 || host != 0 {
			t.Errorf("%d lists from nodes, %d from the host", w.Registry.Fetches(), host)
		}
	})
	t.Run("C11 a new epoch is prefetched by Refresh", func(t *testing.T) {
		w.Clock.Add(time.Minute)
		w.Gaon.SetStatus(3, statuslist.Revoked)
		if err := v.Refresh(context.Background(), w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		before := w.Registry.Fetches()
		want(t, show(), verifier.Valid, "")
		if before != 2 || w.Registry.Fetches() != before {
			t.Errorf("%d before, %d after the presentation", before, w.Registry.Fetches())
		}
	})
}

func TestStatusHostIsTheLastResort(t *testing.T) {
	w := verifiertest.New()
	asked := []string{}
	cfg := w.Config()
	cfg.StatusHost = func(_ context.Context, uri, _ string) ([]byte, error) {
		asked = append(asked, uri)
		return w.Gaon.Token(uri, w.Gaon.Key), nil
	}
	v := newVerifier(t, cfg)
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	w.Registry.SetListDown(true)
	for range 3 {
		want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
	}
	if len(asked) != 1 || asked[0] != w.Gaon.URI() {
		t.Errorf("host was asked %q", asked)
	}
	t.Run("C07 an older token from the host is refused", func(t *testing.T) {
		w := verifiertest.New()
		old := w.Gaon.Token(w.Gaon.URI(), w.Gaon.Key)
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		w.Clock.Add(time.Hour)
		w.Gaon.SetStatus(1, statuslist.Revoked)
		w.Registry.SetListDown(true)
		cfg := w.Config()
		cfg.StatusHost = func(context.Context, string, string) ([]byte, error) { return old, nil }
		want(t, judge(t, newVerifier(t, cfg), w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.StatusStale, verifier.ReasonStatusInvalid)
	})
}

// TestOutage: issuer, status publisher and nodes are gone; the verifier goes on as long as the policy allows.
func TestOutage(t *testing.T) {
	for _, mode := range []struct {
		name string
		stop func(w *verifiertest.World)
	}{
		{"resolver keeps what it knew", func(w *verifiertest.World) { w.Registry.Freeze(w.Clock.Now()); w.Registry.SetListDown(true) }},
		{"resolver has nothing any more", func(w *verifiertest.World) { w.Registry.SetDown(true); w.Registry.SetListDown(true) }},
	} {
		t.Run(mode.name, func(t *testing.T) {
			w := verifiertest.New()
			v := newVerifier(t, w.Config())
			good, bad := w.Gaon.Issue(verifiertest.Resident(), nil), w.Gaon.Issue(verifiertest.Resident(), nil)
			w.Gaon.SetStatus(bad.Index, statuslist.Revoked)
			warm := w.Gaon.Issue(verifiertest.Resident(), nil)
			want(t, judge(t, v, w, resident(warm.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
			since := w.Clock.Now()
			mode.stop(w)
			fetched := w.Registry.Fetches()

			w.Clock.Add(40 * time.Hour)
			j := judge(t, v, w, resident(good.Present(audience, nonce, "age_over_19")))
			want(t, j, verifier.Valid, "")
			if !j.StatusAsOf.Equal(since) {
				t.Errorf("status as of %v, want %v", j.StatusAsOf, since)
			}
			w.Clock.Add(33 * time.Hour)
			want(t, judge(t, v, w, resident(good.Present(audience, nonce, "age_over_19"))), verifier.StatusStale, verifier.ReasonTrust)
			// Revocation is final: known once, refused for ever.
			want(t, judge(t, v, w, resident(bad.Present(audience, nonce, "age_over_19"))), verifier.Revoked, verifier.ReasonRevoked)
			if w.Registry.Fetches() != fetched {
				t.Errorf("%d requests during the outage", w.Registry.Fetches()-fetched)
			}
		})
	}
}

// TestStatusOfASuspendedAgency: what it issued while accredited is judged by its own list.
func TestStatusOfASuspendedAgency(t *testing.T) {
	w := verifiertest.New()
	held, revoked := w.Gaon.Issue(verifiertest.Resident(), nil), w.Gaon.Issue(verifiertest.Resident(), nil)
	w.Gaon.SetStatus(revoked.Index, statuslist.Revoked)
	a, _, _ := w.Registry.Accreditation(t.Context(), w.Gaon.DID, verifiertest.ResidentID, time.Time{})
	a.Until = w.Clock.Now().Add(time.Hour)
	w.Registry.PutAccreditation(a)
	w.Clock.Add(48 * time.Hour)
	v := newVerifier(t, w.Config())
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
	want(t, judge(t, v, w, resident(revoked.Present(audience, nonce, "age_over_19"))), verifier.Revoked, verifier.ReasonRevoked)
	late := w.Gaon.Issue(verifiertest.Resident(), nil)
	want(t, judge(t, v, w, resident(late.Present(audience, nonce, "age_over_19"))), verifier.IssuerUntrusted, verifier.ReasonIssuer)
}

func TestAsOfIsCappedByNextUpdate(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	next := w.Clock.Now().AddDate(0, 0, 40)
	w.Clock.Add(41 * 24 * time.Hour)
	j := judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
	want(t, j, verifier.Valid, "")
	if !j.StatusAsOf.Equal(next) {
		t.Errorf("status as of %v, want next_update %v", j.StatusAsOf, next)
	}
	w.Clock.Add(3 * 24 * time.Hour)
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.StatusStale, verifier.ReasonStatusUnavailable)
}

func TestEpochDoesNotGoBack(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	before, _, _ := w.Registry.StatusEpoch(t.Context(), w.Gaon.DID)
	w.Clock.Add(time.Minute)
	w.Gaon.SetStatus(held.Index, statuslist.Revoked)
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Revoked, verifier.ReasonRevoked)
	w.Clock.Add(time.Minute)
	w.Registry.PutEpoch(before)
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Revoked, verifier.ReasonRevoked)
}

func TestEpochBeforeRotationIsNotBelievedAgain(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	before, _, _ := w.Registry.StatusEpoch(t.Context(), w.Gaon.DID)
	k, _, _ := w.Registry.Key(t.Context(), w.Gaon.DID, "key-1", time.Time{})
	k.RetiredAt = w.Clock.Now().Add(time.Minute)
	w.Registry.PutKey(k)
	w.Clock.Add(2 * time.Minute)
	w.Gaon.Publish()
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
	w.Registry.PutEpoch(before)
	want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
}

// fakeStaple is checked Evidence: the facts of a registry at one moment, with or without the holder's chunk.
type fakeStaple struct {
	registry.Resolver
	status *evidence.Status
}

func (f fakeStaple) Status() *evidence.Status { return f.status }

// staple makes what a wallet would staple now.
func staple(t *testing.T, w *verifiertest.World, index uint64, withChunk bool) verifier.Staple {
	t.Helper()
	list, err := w.Registry.StatusList(t.Context(), w.Gaon.URI(), statuslist.MediaTypeJWT)
	if err != nil {
		t.Fatal(err)
	}
	frozen := verifiertest.Snapshot(w.Registry)
	s := &evidence.Status{Record: list.Record, Index: list.Index, Size: list.Size, Path: list.Path}
	if withChunk {
		if s.Chunk, err = w.Gaon.List.Values().CutChunk(index); err != nil {
			t.Fatal(err)
		}
	}
	return fakeStaple{Resolver: frozen, status: s}
}

func TestStaples(t *testing.T) {
	world := func() (*verifiertest.World, *verifiertest.Held) {
		w := verifiertest.New()
		return w, w.Gaon.Issue(verifiertest.Resident(), nil)
	}
	run := func(t *testing.T, w *verifiertest.World, v *verifier.Verifier, held *verifiertest.Held) verifier.Judgement {
		t.Helper()
		s := resident(held.Present(audience, nonce, "age_over_19"))
		s.Evidence = []byte("evidence")
		return judge(t, v, w, s)
	}
	with := func(w *verifiertest.World, s verifier.Staple, err error) verifier.Config {
		cfg := w.Config()
		cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return s, err }
		return cfg
	}
	t.Run("a staple alone is enough", func(t *testing.T) {
		w, held := world()
		v := newVerifier(t, with(w, staple(t, w, held.Index, true), nil))
		w.Registry.SetDown(true)
		w.Registry.SetListDown(true)
		before := w.Registry.Fetches()
		j := run(t, w, v, held)
		want(t, j, verifier.Valid, "")
		if j.Basis.Evidence == [32]byte{} || w.Registry.Fetches()-before > 1 {
			t.Errorf("evidence %x, %d fetches", j.Basis.Evidence, w.Registry.Fetches()-before)
		}
	})
	t.Run("without the chunk the status is unknown", func(t *testing.T) {
		w, held := world()
		v := newVerifier(t, with(w, staple(t, w, held.Index, false), nil))
		w.Registry.SetDown(true)
		w.Registry.SetListDown(true)
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonStatusUnavailable)
	})
	t.Run("a chunk of another entry proves nothing", func(t *testing.T) {
		w, held := world()
		v := newVerifier(t, with(w, staple(t, w, held.Index+8000, true), nil))
		w.Registry.SetDown(true)
		w.Registry.SetListDown(true)
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonStatusUnavailable)
	})
	t.Run("a chunk out of another list of the issuer proves nothing", func(t *testing.T) {
		w, held := world()
		uri := w.Gaon.URI()
		list := w.Gaon.PublishUnder(strings.TrimSuffix(uri, "1")+"2", w.Gaon.Token(uri, w.Gaon.Key))
		w.Registry.Bend(uri, func(l *registry.StatusList) { *l = list })
		v := newVerifier(t, with(w, staple(t, w, held.Index, true), nil))
		w.Registry.SetDown(true)
		w.Registry.SetListDown(true)
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonStatusUnavailable)
	})
	t.Run("our own registry does not hold: a staple does not heal it", func(t *testing.T) {
		w, held := world()
		v := newVerifier(t, with(w, staple(t, w, held.Index, true), nil))
		w.Registry.SetBroken(registry.ErrUntrusted)
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonTrust)
	})
	t.Run("a revocation in an older staple is not taken back by a younger list", func(t *testing.T) {
		w, held := world()
		w.Gaon.SetStatus(held.Index, statuslist.Revoked)
		old := staple(t, w, held.Index, true)
		w.Clock.Add(time.Hour)
		w.Gaon.SetStatus(held.Index, statuslist.Valid)
		want(t, run(t, w, newVerifier(t, with(w, old, nil)), held), verifier.Revoked, verifier.ReasonRevoked)
	})
	t.Run("a revocation in our list is not taken back by a younger staple", func(t *testing.T) {
		w, held := world()
		var young verifier.Staple
		cfg := w.Config()
		cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) {
			if young == nil {
				return nil, registry.ErrUntrusted
			}
			return young, nil
		}
		v := newVerifier(t, cfg)
		w.Gaon.SetStatus(held.Index, statuslist.Revoked)
		want(t, run(t, w, v, held), verifier.Revoked, verifier.ReasonRevoked)
		w.Clock.Add(time.Hour)
		w.Gaon.SetStatus(held.Index, statuslist.Valid)
		young = staple(t, w, held.Index, true)
		w.Registry.SetListDown(true)
		want(t, run(t, w, v, held), verifier.Revoked, verifier.ReasonRevoked)
	})
	t.Run("an older staple does not hide our own revocation", func(t *testing.T) {
		w, held := world()
		old := staple(t, w, held.Index, true)
		v := newVerifier(t, with(w, old, nil))
		w.Clock.Add(time.Hour)
		w.Gaon.SetStatus(held.Index, statuslist.Revoked)
		want(t, run(t, w, v, held), verifier.Revoked, verifier.ReasonRevoked)
	})
	t.Run("a younger staple beats our old cache", func(t *testing.T) {
		w, held := world()
		var young verifier.Staple
		cfg := w.Config()
		cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) {
			if young == nil {
				return nil, registry.ErrUntrusted
			}
			return young, nil
		}
		v := newVerifier(t, cfg)
		want(t, run(t, w, v, held), verifier.Valid, "")
		w.Registry.Freeze(w.Clock.Now())
		w.Clock.Add(100 * time.Hour)
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonTrust)
		w.Registry.Freeze(time.Time{})
		w.Gaon.Publish()
		young = staple(t, w, held.Index, true)
		w.Registry.SetDown(true)
		w.Registry.SetListDown(true)
		j := run(t, w, v, held)
		want(t, j, verifier.Valid, "")
		if !j.StatusAsOf.Equal(w.Clock.Now()) {
			t.Errorf("status as of %v", j.StatusAsOf)
		}
	})
	t.Run("evidence that does not hold is left aside", func(t *testing.T) {
		w, held := world()
		v := newVerifier(t, with(w, nil, registry.ErrUntrusted))
		j := run(t, w, v, held)
		want(t, j, verifier.Valid, "")
		if len(j.Warnings) != 1 || j.Warnings[0] != "evidence_invalid" || j.Basis.Evidence != [32]byte{} {
			t.Errorf("warnings %v, evidence %x", j.Warnings, j.Basis.Evidence)
		}
		w.Registry.SetDown(true)
		v = newVerifier(t, with(w, nil, registry.ErrUntrusted))
		want(t, run(t, w, v, held), verifier.StatusStale, verifier.ReasonTrust)
	})
}
