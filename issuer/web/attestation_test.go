package web_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// attested is a wallet with an attestation, and what can be bent about it.
type attested struct {
	k        *issuertest.Kit
	provider keys.Signer
	instance keys.Signer
	n        int
}

func (w *attested) headers(t *testing.T, change func(*oauth.Attestation, *oauth.AttestationPoP)) http.Header {
	t.Helper()
	w.n++
	now := w.k.Clock.Now()
	a := oauth.Attestation{ClientID: "https://wallet.example/app", Key: w.instance.Public(), IssuedAt: now, Expires: now.Add(time.Hour)}
	p := oauth.AttestationPoP{Audience: w.k.URL + "/gaon", Challenge: w.challenge(t), JTI: base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf("jti-%012d", w.n))), Now: now}
	if change != nil {
		change(&a, &p)
	}
	return w.sign(t, w.provider, w.instance, a, p)
}

func (w *attested) sign(t *testing.T, provider, instance keys.Signer, a oauth.Attestation, p oauth.AttestationPoP) http.Header {
	t.Helper()
	wia := must[string](t)(oauth.BuildAttestation(provider, oauth.AttestationHeader{Kid: "provider-1"}, a))
	pop := must[string](t)(oauth.BuildAttestationPoP(instance, p))
	return http.Header{http.CanonicalHeaderKey(oauth.HeaderAttestation): {wia}, http.CanonicalHeaderKey(oauth.HeaderAttestationPoP): {pop}}
}

func (w *attested) challenge(t *testing.T) string {
	t.Helper()
	a := must[issuertest.Answer](t)(w.k.Do("POST", w.k.URL+"/gaon/challenge", nil, nil))
	return field(t, a.Body, "attestation_challenge")
}

func TestAttestation(t *testing.T) {
	provider, instance := must[keys.Signer](t)(keys.Generate(keys.ES256)), must[keys.Signer](t)(keys.Generate(keys.ES256))
	other := must[keys.Signer](t)(keys.Generate(keys.ES256))
	var status error
	k := start(t, plenty(issuertest.KitConfig{Tune: func(c *issuer.Config) {
		c.Tenants[0].Attestation = issuer.AttestationRequired
		c.Tenants[0].WalletKey = func(h *keys.Header) (*keys.PublicKey, error) {
			if h.Kid != "provider-1" {
				return nil, errors.New("unknown provider")
			}
			return provider.Public(), nil
		}
		c.Tenants[0].WalletStatus = func(context.Context, []byte) error { return status }
	}}))
	w := &attested{k: k, provider: provider, instance: instance}
	o, c := code(t, k, false)
	form := url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {c}}
	refuse := func(t *testing.T, h http.Header, code string) issuertest.Answer {
		t.Helper()
		var a issuertest.Answer
		unchanged(t, k, func() {
			a = must[issuertest.Answer](t)(k.Form("/gaon/token", form, h))
			if a.Status != 400 && a.Status != 401 || a.Code() != code {
				t.Fatalf("%d %s, want %s", a.Status, a.Code(), code)
			}
		})
		return a
	}
	t.Run("B08 no attestation where one is required", func(t *testing.T) { refuse(t, nil, "invalid_client") })
	for _, tc := range []struct {
		name   string
		change func(*oauth.Attestation, *oauth.AttestationPoP)
	}{
		{"B24 expired", func(a *oauth.Attestation, _ *oauth.AttestationPoP) { a.Expires = k.Clock.Now().Add(-time.Minute) }},
		{"B24 proof for another server", func(_ *oauth.Attestation, p *oauth.AttestationPoP) { p.Audience = k.URL + "/seoul" }},
		{"B24 proof of another key", func(a *oauth.Attestation, _ *oauth.AttestationPoP) { a.Key = other.Public() }},
		{"B29 proof for the token endpoint's URL", func(_ *oauth.Attestation, p *oauth.AttestationPoP) { p.Audience = k.URL + "/gaon/token" }},
	} {
		t.Run(tc.name, func(t *testing.T) { refuse(t, w.headers(t, tc.change), "invalid_client") })
	}
	t.Run("B25 signed by somebody else", func(t *testing.T) {
		fake := &attested{k: k, provider: other, instance: instance, n: 100}
		refuse(t, fake.headers(t, nil), "invalid_client")
	})
	t.Run("B26 no challenge, an old one, one from elsewhere", func(t *testing.T) {
		for _, c := range []string{"", "made-up", must[string](t)(k.Nonce("gaon"))} {
			a := refuse(t, w.headers(t, func(_ *oauth.Attestation, p *oauth.AttestationPoP) { p.Challenge = c }), "use_attestation_challenge")
			if a.Header.Get(oauth.HeaderChallenge) == "" {
				t.Error("no fresh challenge")
			}
		}
	})
	t.Run("B27 revoked, or its status out of reach", func(t *testing.T) {
		status = errors.New("revoked")
		refuse(t, w.headers(t, func(a *oauth.Attestation, _ *oauth.AttestationPoP) {
			a.Status = []byte(`{"status_list":{"idx":1,"uri":"https://wallet.example/s/1"}}`)
		}), "invalid_client")
		status = nil
	})
	t.Run("B28 client_id is another", func(t *testing.T) {
		form.Set("client_id", "https://other.example")
		refuse(t, w.headers(t, nil), "invalid_client")
		form.Set("client_id", "https://wallet.example/app")
	})
	h := w.headers(t, nil)
	a, err := k.Form("/gaon/token", form, h)
	want(t, a, err, 200, "")
	t.Run("B26 the same proof again", func(t *testing.T) {
		_, c := code(t, k, false)
		form.Set("pre-authorized_code", c)
		refuse(t, h, "invalid_client")
	})
	t.Run("B48 iss must be the attested client", func(t *testing.T) {
		f := issuertest.Flow{Tenant: "gaon", Config: "resident-id_dc+sd-jwt", Offered: o, Access: field0(t, a.Body, "access_token")}
		nonce := must[string](t)(k.Nonce("gaon"))
		f.Proofs = []string{proofMaker{nonce: nonce, iss: "https://other.example"}.make(t, k)}
		unchanged(t, k, func() {
			a, err := k.Credential(f)
			want(t, a, err, 400, "invalid_proof")
		})
		f.Proofs = []string{proofMaker{nonce: nonce, iss: "https://wallet.example/app"}.make(t, k)}
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
	})
	t.Run("B24 a tenant that trusts no provider", func(t *testing.T) {
		o := must[issuer.Offered](t)(k.Offer("customs", "customs-identity", "han-gaon", false))
		offer, err := k.Fetch(o)
		if err != nil {
			t.Fatal(err)
		}
		unchanged(t, k, func() {
			v := url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {offer.Grants.PreAuthorizedCode.PreAuthorizedCode}}
			a, err := k.Form("/customs/token", v, w.headers(t, nil))
			want(t, a, err, 401, "invalid_client")
		})
	})
}

// field0 reads a text member of an object with members of other kinds.
func field0(t *testing.T, body []byte, name string) string {
	t.Helper()
	m := map[string]any{}
	if err := (issuertest.Answer{Body: body}).Decode(&m); err != nil {
		t.Fatal(err)
	}
	s, _ := m[name].(string)
	return s
}

func TestFlushed(t *testing.T) {
	run := func(t *testing.T, k *issuertest.Kit) {
		t.Run("K01 between nonce and credential", func(t *testing.T) {
			f := begin(t, k, 2)
			flush(t, k)
			a, err := k.Credential(f)
			want(t, a, err, 200, "") // nonces live in SQL
			used := f
			unchanged(t, k, func() {
				for range 50 {
					flush(t, k)
					b, err := k.Credential(used)
					want(t, b, err, 200, "")
					if string(b.Body) != string(a.Body) {
						t.Fatal("a replay was answered with something new")
					}
				}
			})
			g := begin(t, k, 2)
			g.Proofs = f.Proofs
			unchanged(t, k, func() {
				for range 50 {
					flush(t, k)
					b, err := k.Credential(g)
					want(t, b, err, 400, "invalid_nonce")
				}
			})
		})
		t.Run("K02 a used code stays used", func(t *testing.T) {
			_, c := code(t, k, false)
			a, err := k.Token("gaon", c, "")
			want(t, a, err, 200, "")
			flush(t, k)
			unchanged(t, k, func() {
				a, err := k.Token("gaon", c, "")
				want(t, a, err, 400, "invalid_grant")
			})
		})
		t.Run("K01 revocations are unaffected", func(t *testing.T) {
			f, texts, err := k.Receive("gaon", "resident-id", "lee-seori", 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := set(k, f.Offered.ID, issuer.StatusRevoked); err != nil {
				t.Fatal(err)
			}
			flush(t, k)
			_, idx := reference(t, texts[0])
			if got, _ := list(t, k, "gaon", 1).Status(idx); got != 1 {
				t.Errorf("status %v", got)
			}
			fsck(t, k)
		})
	}
	t.Run("twin", func(t *testing.T) { run(t, start(t, plenty(issuertest.KitConfig{}))) })
	if redis := redisURL(t); redis != "" {
		t.Run("redis", func(t *testing.T) { run(t, start(t, plenty(issuertest.KitConfig{Redis: redis}))) })
	}
}
