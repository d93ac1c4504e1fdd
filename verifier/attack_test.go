package verifier_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

// bentResolver bends single answers of a registry on their way to the verifier.
type bentResolver struct {
	registry.Resolver
	key   func(k registry.Key, c registry.Checked, err error) (registry.Key, registry.Checked, error)
	epoch func(e registry.StatusEpoch, c registry.Checked, err error) (registry.StatusEpoch, registry.Checked, error)
}

func (r bentResolver) Key(ctx context.Context, did registry.DID, id string, at time.Time) (registry.Key, registry.Checked, error) {
	k, c, err := r.Resolver.Key(ctx, did, id, at)
	if r.key != nil {
		return r.key(k, c, err)
	}
	return k, c, err
}

func (r bentResolver) StatusEpoch(ctx context.Context, did registry.DID) (registry.StatusEpoch, registry.Checked, error) {
	e, c, err := r.Resolver.StatusEpoch(ctx, did)
	if r.epoch != nil {
		return r.epoch(e, c, err)
	}
	return e, c, err
}

// An agency that will be accredited next month dates a credential into that time and hands it out today.
func TestIssuedInTheFuture(t *testing.T) {
	rows := []struct {
		name   string
		ahead  time.Duration
		code   verifier.Code
		reason verifier.Reason
	}{
		{"clocks apart by less than a minute", 50 * time.Second, verifier.Valid, ""},
		{"tomorrow", 24 * time.Hour, verifier.NotYetValid, verifier.ReasonNotYetValid},
		{"next month, when the accreditation begins", 31 * 24 * time.Hour, verifier.NotYetValid, verifier.ReasonNotYetValid},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			if row.ahead > 24*time.Hour {
				a, _, err := w.Registry.Accreditation(t.Context(), w.Gaon.DID, verifiertest.ResidentID, time.Time{})
				if err != nil {
					t.Fatal(err)
				}
				a.From = w.Clock.Now().Add(30 * 24 * time.Hour)
				w.Registry.PutAccreditation(a)
			}
			held := w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) {
				c.IssuedAt, c.NotBefore = w.Clock.Now().Add(row.ahead), time.Time{}
			})
			want(t, judge(t, newVerifier(t, w.Config()), w, resident(held.Present(audience, nonce, "age_over_19"))), row.code, row.reason)
		})
	}
}

// The first failing code of DOMAIN 4.5 is that of the whole answer, whichever credential it comes from.
func TestFirstFailingCodeOfSeveral(t *testing.T) {
	w := verifiertest.New()
	p, err := verifier.ParsePolicy([]byte(strings.Replace(twoCredentials, "SAME", "{by: key}", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.Config()
	cfg.Registry = bentResolver{Resolver: w.Registry, key: func(k registry.Key, c registry.Checked, err error) (registry.Key, registry.Checked, error) {
		if k.DID == w.Seoul.DID && w.Seoul.KeyID == "unreachable" {
			return registry.Key{}, registry.Checked{}, registry.ErrUnavailable
		}
		return k, c, err
	}}
	show := func(i *verifiertest.Issuer, claims []sdjwt.Claim, bend verifiertest.Spec) string {
		return i.Issue(claims, bend).Present(audience, nonce, "resident_sido_code")
	}
	good := func() string { return show(w.Gaon, verifiertest.Resident(), nil) }
	stranger := func() string {
		return show(w.Seoul, verifiertest.Youth(), func(c *sdjwt.Credential) { c.Issuer = "did:web:seoul.example" })
	}
	silent := show(w.Seoul, verifiertest.Youth(), nil)
	w.Registry.PutKey(registry.Key{DID: w.Seoul.DID, ID: "key-1", Use: registry.UseAssertion, JWK: w.Seoul.Key.Public().JWK(), ActiveFrom: w.Clock.Now().Add(-time.Hour)})
	w.Seoul.KeyID = "unreachable"
	rows := []struct {
		name, resident, youth string
		code                  verifier.Code
		reason                verifier.Reason
	}{
		{"one malformed, the other of a stranger", "x~", stranger(), verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"one forged, the other of a stranger", corrupt(good()), stranger(), verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"one forged, the other's issuer cannot be asked", corrupt(good()), silent, verifier.SignatureInvalid, verifier.ReasonSignature},
		{"one expired, the other's issuer cannot be asked", show(w.Gaon, verifiertest.Resident(), func(c *sdjwt.Credential) { c.Expires = c.IssuedAt }), silent, verifier.Expired, verifier.ReasonExpired},
		{"one good, the other's issuer cannot be asked", good(), silent, verifier.StatusStale, verifier.ReasonTrust},
		{"one of another type, the other of a stranger", stranger(), stranger(), verifier.TypeNotAccepted, verifier.ReasonType},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := verifier.Submission{Presentations: map[string][]string{"resident": {row.resident}, "youth": {row.youth}}}
			j, err := newVerifier(t, cfg).Judge(t.Context(), s, p, verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
			if err != nil {
				t.Fatal(err)
			}
			want(t, j, row.code, row.reason)
		})
	}
}

// A suspended agency: what it issued before still counts, what it signs since does not, with or without a memory.
func TestSuspendedAgency(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	before := w.Gaon.Issue(verifiertest.Resident(), nil)
	w.Clock.Add(48 * time.Hour)
	w.Registry.Suspend(w.Gaon.DID, verifiertest.ResidentID)
	w.Clock.Add(24 * time.Hour)
	since := w.Gaon.Issue(verifiertest.Resident(), nil)
	want(t, judge(t, v, w, resident(before.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
	want(t, judge(t, v, w, resident(since.Present(audience, nonce, "age_over_19"))), verifier.IssuerUntrusted, verifier.ReasonIssuer)
}

// A node that lags, or lies by lagging, does not take back what is known of a key.
func TestLaggingNodeDoesNotHealAKey(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	show := func() verifier.Judgement {
		return judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
	}
	want(t, show(), verifier.Valid, "")
	healthy, _, err := w.Registry.Key(t.Context(), w.Gaon.DID, "key-1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	earlier := w.Clock.Now()
	w.Clock.Add(time.Hour)
	lost := healthy
	lost.CompromisedFrom = earlier
	w.Registry.PutKey(lost)
	want(t, show(), verifier.IssuerUntrusted, verifier.ReasonIssuer)
	w.Registry.PutKey(healthy)
	w.Registry.Freeze(earlier)
	want(t, show(), verifier.IssuerUntrusted, verifier.ReasonIssuer)
}

// Whoever presents names that nobody has heard of does not push real issuers out of the verifier's memory.
func TestMadeUpNamesDoNotFillTheMemory(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	good := held.Present(audience, nonce, "age_over_19")
	want(t, judge(t, v, w, resident(good)), verifier.Valid, "")
	p := policy(t, "adult-check")
	header := `{"alg":"ES256","typ":"dc+sd-jwt","kid":"` + string(w.Gaon.DID) + "#made-up-%d" + `"}`
	payload := map[string]any{"iss": string(w.Gaon.DID), "vct": verifiertest.ResidentID, "iat": w.Clock.Now().Unix(), "exp": w.Clock.Now().Unix() + 60}
	tail := strings.SplitN(signRaw(t, header, payload, w.Gaon.Key), ".", 2)[1]
	for i := range 5000 {
		text := b64.EncodeToString(fmt.Appendf(nil, header, i)) + "." + tail + "~"
		j, err := v.Judge(t.Context(), resident(text), p, verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
		if err != nil || j.Code != verifier.IssuerUntrusted {
			t.Fatalf("%s %v", j.Code, err)
		}
	}
	w.Registry.SetDown(true)
	w.Registry.SetListDown(true)
	want(t, judge(t, v, w, resident(good)), verifier.Valid, "")
}

// A wallet has shown us a newer epoch than our own nodes; later presentations do not wait for nodes that cannot help.
func TestNewerListThanOurOwnEpochCostsNoRequest(t *testing.T) {
	w := verifiertest.New()
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	var young verifier.Staple
	cfg := w.Config()
	cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return young, nil }
	first, known, _ := w.Registry.StatusEpoch(t.Context(), w.Gaon.DID)
	cfg.Registry = bentResolver{Resolver: w.Registry, epoch: func(registry.StatusEpoch, registry.Checked, error) (registry.StatusEpoch, registry.Checked, error) {
		return first, known, nil // our own nodes never hear of another
	}}
	v := newVerifier(t, cfg)
	show := func(evidence []byte) verifier.Judgement {
		s := resident(held.Present(audience, nonce, "age_over_19"))
		s.Evidence = evidence
		return judge(t, v, w, s)
	}
	want(t, show(nil), verifier.Valid, "")
	w.Clock.Add(time.Hour)
	w.Gaon.Publish()
	shown := w.Clock.Now()
	young = staple(t, w, held.Index, false)
	want(t, show([]byte("evidence")), verifier.Valid, "")
	w.Registry.SetListDown(true)
	before := w.Registry.Fetches()
	w.Clock.Add(time.Minute)
	j := show(nil)
	want(t, j, verifier.Valid, "")
	if w.Registry.Fetches() != before {
		t.Errorf("%d requests", w.Registry.Fetches()-before)
	}
	if j.Basis.Credentials[0].Epoch != 2 || !j.StatusAsOf.Equal(shown) {
		t.Errorf("basis %+v", j.Basis.Credentials[0])
	}
}

// A list that came from the status host alone rests on its signer's key only: a key fact that is too old is not enough.
func TestUnanchoredListUnderAnOldKeyFact(t *testing.T) {
	w := verifiertest.New()
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	second := generate(t)
	w.Registry.PutKey(registry.Key{DID: w.Gaon.DID, ID: "key-2", Use: registry.UseAssertion, JWK: second.Public().JWK(), ActiveFrom: w.Clock.Now().Add(-100 * time.Hour)})
	w.Registry.SetListDown(true)
	for age, code := range map[time.Duration]verifier.Code{time.Hour: verifier.Valid, 80 * time.Hour: verifier.StatusStale} {
		cfg := w.Config()
		cfg.Registry = bentResolver{Resolver: w.Registry, key: func(k registry.Key, c registry.Checked, err error) (registry.Key, registry.Checked, error) {
			if k.ID == "key-2" {
				c.KnownAt = c.KnownAt.Add(-age)
			}
			return k, c, err
		}}
		cfg.StatusHost = func(_ context.Context, uri, _ string) ([]byte, error) {
			other := *w.Gaon
			other.KeyID = "key-2"
			other.Chain = [][]byte{w.Leaf(w.Gaon.CA, verifiertest.LeafOf{DID: w.Gaon.DID, Key: second, EKU: keys.EKUDocumentSigner})}
			return other.Token(uri, second), nil
		}
		j := judge(t, newVerifier(t, cfg), w, resident(held.Present(audience, nonce, "age_over_19")))
		if j.Code != code {
			t.Errorf("key known %v ago: %s (%v), want %s", age, j.Code, j.Cause(), code)
		}
	}
}

// A status that is known as of the future is no status.
func TestEpochFromTheFuture(t *testing.T) {
	w := verifiertest.New()
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	cfg := w.Config()
	cfg.Registry = bentResolver{Resolver: w.Registry, epoch: func(e registry.StatusEpoch, c registry.Checked, err error) (registry.StatusEpoch, registry.Checked, error) {
		c.KnownAt = c.KnownAt.Add(48 * time.Hour)
		return e, c, err
	}}
	want(t, judge(t, newVerifier(t, cfg), w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.StatusStale, verifier.ReasonStatusUnavailable)
}

// slowSource answers for one list only after another one was asked for.
type slowSource struct {
	registry.StatusSource
	last string
	once sync.Once
	done chan struct{}
}

func (s *slowSource) StatusList(ctx context.Context, uri, media string) (registry.StatusList, error) {
	if uri == s.last {
		s.once.Do(func() { close(s.done) })
		return s.StatusSource.StatusList(ctx, uri, media)
	}
	select {
	case <-s.done:
		return s.StatusSource.StatusList(ctx, uri, media)
	case <-ctx.Done():
		return registry.StatusList{}, ctx.Err()
	}
}

// One list that hangs does not make the others late.
func TestRefreshIsNotHeldUp(t *testing.T) {
	w := verifiertest.New()
	source := &slowSource{StatusSource: w.Registry, done: make(chan struct{})}
	cfg := w.Config()
	cfg.Status, cfg.FetchTimeout = source, 2*time.Second
	close(source.done)
	source.once.Do(func() {})
	issuers := []*verifiertest.Issuer{w.Gaon}
	for i := range 8 {
		issuers = append(issuers, w.NewIssuer(fmt.Sprint("agency ", i), verifiertest.ResidentID))
		w.Roots = append(w.Roots, issuers[i+1].Root)
	}
	cfg.Roots = w.Roots
	v := newVerifier(t, cfg)
	for _, i := range issuers {
		held := i.Issue(verifiertest.Resident(), nil)
		want(t, judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
	}
	source.done, source.last, source.once = make(chan struct{}), issuers[4].URI(), sync.Once{} //nolint:govet // nobody uses it now
	w.Clock.Add(time.Minute)
	for _, i := range issuers {
		i.Publish()
	}
	if err := v.Refresh(t.Context(), w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	before := v.Counters().NodeFetches
	for _, i := range issuers {
		held := i.Issue(verifiertest.Resident(), nil)
		j := judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
		want(t, j, verifier.Valid, "")
		if j.Basis.Credentials[0].Epoch != 2 {
			t.Errorf("%+v is behind", j.Basis.Credentials[0])
		}
	}
	if got := v.Counters().NodeFetches; got != before {
		t.Errorf("%d requests at presentations", got-before)
	}
}

// Receipts: years later, keys retired, nobody of the verifier left.
func TestReceiptKeys(t *testing.T) {
	w := verifiertest.New()
	made := w.Clock.Now()
	payload := map[string]any{
		"iss": string(w.Company.DID), "iat": made.Unix(), "jti": "t", "client_id": "c", "policy": map[string]any{"name": "p", "version": 1, "digest": "d"},
		"decision": "confirmed", "code": "VALID", "presentation": "x",
	}
	text := signRaw(t, `{"alg":"ES256","typ":"dojang-receipt+jwt","kid":"`+w.Company.DID.URL("key-1")+`"}`, payload, w.Company.Key)
	fact, _, err := w.Registry.Key(t.Context(), w.Company.DID, "key-1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		name string
		bend func(k *registry.Key)
		want error
	}{
		{"in force", func(*registry.Key) {}, nil},
		{"active since the same second", func(k *registry.Key) { k.ActiveFrom = made.Add(900 * time.Millisecond) }, nil},
		{"active since later", func(k *registry.Key) { k.ActiveFrom = made.Add(time.Second) }, verifier.ErrReceipt},
		{"retired since", func(k *registry.Key) { k.RetiredAt = made.AddDate(1, 0, 0) }, nil},
		{"retired before", func(k *registry.Key) { k.RetiredAt = made.Add(-time.Second) }, verifier.ErrReceipt},
		{"compromised since: it may have been dated back", func(k *registry.Key) { k.CompromisedFrom = made.AddDate(1, 0, 0) }, verifier.ErrReceipt},
		{"another key's", func(k *registry.Key) { k.JWK = w.Gaon.Key.Public().JWK() }, verifier.ErrReceipt},
		{"a key of credentials", func(k *registry.Key) { k.Use = registry.UseAssertion }, verifier.ErrReceipt},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			k := fact
			row.bend(&k)
			w.Registry.PutKey(k)
			r, err := verifier.CheckReceipt(t.Context(), text, w.Registry, made.AddDate(10, 0, 0))
			if !errors.Is(err, row.want) || (err == nil) != (r.Code == verifier.Valid) {
				t.Errorf("%+v %v, want %v", r, err, row.want)
			}
		})
	}
	w.Registry.PutKey(fact)
	if _, err := verifier.CheckReceipt(t.Context(), text, w.Registry, made.Add(-2*time.Minute)); !errors.Is(err, verifier.ErrReceipt) {
		t.Errorf("from the future: %v", err)
	}
}

// A revocation that was seen once stays, whatever order knowledge comes in: older staple, younger staple, own list.
func TestRevocationInEveryOrder(t *testing.T) {
	for _, order := range []string{"own", "older staple", "younger staple"} {
		t.Run(order, func(t *testing.T) {
			w := verifiertest.New()
			held := w.Gaon.Issue(verifiertest.Resident(), nil)
			clear := staple(t, w, held.Index, true)
			w.Clock.Add(time.Hour)
			w.Gaon.SetStatus(held.Index, statuslist.Revoked)
			revoked := staple(t, w, held.Index, true)
			cfg := w.Config()
			use := clear
			cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return use, nil }
			v := newVerifier(t, cfg)
			s := resident(held.Present(audience, nonce, "age_over_19"))
			if order != "own" {
				s.Evidence = []byte("evidence")
			}
			if order == "younger staple" {
				use = revoked
				w.Registry.SetDown(true)
				w.Registry.SetListDown(true)
			}
			want(t, judge(t, v, w, s), verifier.Revoked, verifier.ReasonRevoked)
		})
	}
}

// lost is a world in which one key signs credentials and another one the status epoch.
type lost struct {
	*verifiertest.World
	cfg    verifier.Config
	second keys.Signer
	shown  verifier.Submission
}

func lostKeyWorld(t *testing.T) *lost {
	t.Helper()
	l := &lost{World: verifiertest.New(), second: generate(t)}
	held := l.Gaon.Issue(verifiertest.Resident(), nil)
	l.Registry.PutKey(registry.Key{DID: l.Gaon.DID, ID: "key-2", Use: registry.UseAssertion, JWK: l.second.Public().JWK(), ActiveFrom: l.Clock.Now().Add(-time.Hour)})
	e, _, err := l.Registry.StatusEpoch(t.Context(), l.Gaon.DID)
	if err != nil {
		t.Fatal(err)
	}
	e.Signer = l.Gaon.DID.URL("key-2")
	l.Registry.PutEpoch(e)
	l.shown = resident(held.Present(audience, nonce, "age_over_19"))
	l.cfg = l.Config()
	young := staple(t, l.World, held.Index, true)
	l.cfg.Staples = func([]byte, time.Time) (verifier.Staple, error) { return young, nil }
	return l
}

// pemOf is a root that nobody has recorded.
func pemOf(t *testing.T) []byte {
	t.Helper()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: verifiertest.New().Gaon.Root.Raw})
}
