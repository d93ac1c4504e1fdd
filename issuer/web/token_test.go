package web_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// code offers a resident-id and returns the offer with its pre-authorized code.
func code(t *testing.T, k *issuertest.Kit, txCode bool) (issuer.Offered, string) {
	t.Helper()
	o, err := k.Offer("gaon", "resident-id", "han-gaon", txCode)
	if err != nil {
		t.Fatal(err)
	}
	offer, err := k.Fetch(o)
	if err != nil {
		t.Fatal(err)
	}
	return o, offer.Grants.PreAuthorizedCode.PreAuthorizedCode
}

func wrong(tx string) string {
	if tx == "000000" {
		return "000001"
	}
	return "000000"
}

func TestToken(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		k := start(t, plenty(issuertest.KitConfig{DB: dbURL}))
		t.Run("B02 same code again after success", func(t *testing.T) {
			_, c := code(t, k, false)
			a, err := k.Token("gaon", c, "")
			want(t, a, err, 200, "")
			unchanged(t, k, func() {
				a, err := k.Token("gaon", c, "")
				want(t, a, err, 400, "invalid_grant")
			})
		})
		t.Run("B03 five wrong transaction codes", func(t *testing.T) {
			o, c := code(t, k, true)
			for range 5 {
				a, err := k.Token("gaon", c, wrong(o.TxCode))
				want(t, a, err, 400, "invalid_grant")
			}
			unchanged(t, k, func() {
				a, err := k.Token("gaon", c, o.TxCode)
				want(t, a, err, 400, "invalid_grant")
			})
			if _, err := k.Fetch(o); err == nil {
				t.Error("the offer is still served")
			}
		})
		t.Run("B04 one wrong transaction code, then the right one", func(t *testing.T) {
			o, c := code(t, k, true)
			a, err := k.Token("gaon", c, wrong(o.TxCode))
			want(t, a, err, 400, "invalid_grant")
			a, err = k.Token("gaon", c, o.TxCode)
			want(t, a, err, 200, "")
		})
		t.Run("B05 transaction code absent", func(t *testing.T) {
			_, c := code(t, k, true)
			unchanged(t, k, func() {
				a, err := k.Token("gaon", c, "")
				want(t, a, err, 400, "invalid_request")
			})
		})
		t.Run("B06 transaction code not expected", func(t *testing.T) {
			_, c := code(t, k, false)
			unchanged(t, k, func() {
				a, err := k.Token("gaon", c, "123456")
				want(t, a, err, 400, "invalid_request")
			})
		})
		t.Run("B07 fifty at once", func(t *testing.T) { race(t, k) })
		t.Run("B10 grant types and doubled parameters", func(t *testing.T) { grantTypes(t, k) })
		t.Run("B23 authorization details", func(t *testing.T) { authorizationDetails(t, k) })
		t.Run("B09 expired, and another tenant's", func(t *testing.T) {
			_, c := code(t, k, false)
			unchanged(t, k, func() {
				a, err := k.Token("seoul", c, "")
				want(t, a, err, 400, "invalid_grant")
				k.Clock.Advance(11 * time.Minute)
				a, err = k.Token("gaon", c, "")
				want(t, a, err, 400, "invalid_grant")
			})
		})
		fsck(t, k)
	})
}

func race(t *testing.T, k *issuertest.Kit) {
	_, c := code(t, k, false)
	var wg sync.WaitGroup
	codes := make([]string, 50)
	for i := range codes {
		wg.Go(func() {
			a, err := k.Token("gaon", c, "")
			if err != nil {
				codes[i] = err.Error()
				return
			}
			codes[i] = a.Code()
		})
	}
	wg.Wait()
	count := map[string]int{}
	for _, c := range codes {
		count[c]++
	}
	if count[""] != 1 || count["invalid_grant"] != 49 {
		t.Errorf("answers %v", count)
	}
}

func grantTypes(t *testing.T, k *issuertest.Kit) {
	_, c := code(t, k, false)
	form := func(pairs ...string) url.Values {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v
	}
	for _, tc := range []struct {
		name, code string
		form       url.Values
	}{
		{"unknown", "unsupported_grant_type", form("grant_type", "urn:example", "pre-authorized_code", c)},
		{"password", "unsupported_grant_type", form("grant_type", "password", "username", "a", "password", "b")},
		{"authorization code", "unsupported_grant_type", form("grant_type", "authorization_code", "code", c)},
		{"missing", "invalid_request", form("pre-authorized_code", c)},
		{"code missing", "invalid_request", form("grant_type", oauth.GrantPreAuthorizedCode)},
		{"doubled code", "invalid_request", form("grant_type", oauth.GrantPreAuthorizedCode, "pre-authorized_code", c, "pre-authorized_code", c)},
		{"doubled grant type", "invalid_request", form("grant_type", oauth.GrantPreAuthorizedCode, "grant_type", "password", "pre-authorized_code", c)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			unchanged(t, k, func() {
				a, err := k.Form("/gaon/token", tc.form, nil)
				want(t, a, err, 400, tc.code)
			})
		})
	}
}

func authorizationDetails(t *testing.T, k *issuertest.Kit) {
	ask := func(details string) url.Values {
		_, c := code(t, k, false)
		return url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {c}, "authorization_details": {details}}
	}
	for _, bad := range []string{
		`[{"type":"payment","credential_configuration_id":"resident-id_dc+sd-jwt"}]`,
		`[{"type":"openid_credential","credential_configuration_id":"customs-identity_dc+sd-jwt"}]`,
		`[{"type":"openid_credential","credential_configuration_id":"resident-id_dc+sd-jwt","locations":["https://other.example"]}]`,
		`{"type":"openid_credential"}`, `[1]`, `[`,
	} {
		form := ask(bad)
		unchanged(t, k, func() {
			a, err := k.Form("/gaon/token", form, nil)
			want(t, a, err, 400, "invalid_authorization_details")
		})
	}
	a, err := k.Form("/gaon/token", ask(`[{"type":"openid_credential","credential_configuration_id":"resident-id_dc+sd-jwt"}]`), nil)
	want(t, a, err, 200, "")
	var out struct {
		Details []struct {
			IDs []string `json:"credential_identifiers"`
		} `json:"authorization_details"`
	}
	if err := json.Unmarshal(a.Body, &out); err != nil || len(out.Details) != 1 || len(out.Details[0].IDs) != 17 {
		t.Errorf("credential identifiers: %s", a.Body)
	}
}

func TestTokenGuessing(t *testing.T) {
	t.Run("B01 ten thousand guesses", func(t *testing.T) {
		k := start(t, issuertest.KitConfig{})
		_, c := code(t, k, false)
		if len(c) < 22 { // 128 bits
			t.Fatalf("code of %d characters", len(c))
		}
		count := map[string]int{}
		unchanged(t, k, func() {
			for range 10_000 {
				a, err := k.Token("gaon", base64.RawURLEncoding.EncodeToString([]byte("guess guess guess guess guess 32"))[:43], "")
				if err != nil {
					t.Fatal(err)
				}
				count[a.Code()]++
				if a.Code() == "slow_down" && (a.Status != 429 || a.Header.Get("Retry-After") == "") {
					t.Fatalf("%d without Retry-After", a.Status)
				}
			}
		})
		if count["slow_down"] < 9000 || count["invalid_grant"] < 10 || count["slow_down"]+count["invalid_grant"] != 10_000 {
			t.Errorf("answers %v", count)
		}
	})
	t.Run("B01 one IPv6 subscriber has a /64 to guess from", func(t *testing.T) {
		k := start(t, issuertest.KitConfig{})
		limited := 0
		for i := range 100 {
			r := httptest.NewRequest("POST", "/gaon/token", nil)
			r.RemoteAddr = fmt.Sprintf("[2001:db8:1:2::%x]:5", i+1)
			w := httptest.NewRecorder()
			k.Web.Public().ServeHTTP(w, r)
			if w.Code == http.StatusTooManyRequests {
				limited++
			}
		}
		if limited < 40 {
			t.Errorf("%d of 100 refused", limited)
		}
	})
	t.Run("B01 codes and tokens are stored hashed", func(t *testing.T) {
		dir := t.TempDir()
		k := start(t, plenty(issuertest.KitConfig{DB: "sqlite://" + filepath.Join(dir, "issuer.db")}))
		o, c := code(t, k, true)
		a, err := k.Token("gaon", c, o.TxCode)
		want(t, a, err, 200, "")
		var tok struct {
			Access string `json:"access_token"`
		}
		if err := json.Unmarshal(a.Body, &tok); err != nil {
			t.Fatal(err)
		}
		ref := o.URI[strings.LastIndex(o.URI, "%2F")+3:]
		for _, secret := range []string{c, tok.Access, ref, o.TxCode, "가온", "새빛로"} {
			if found(t, dir, secret) {
				t.Errorf("a secret of %d bytes lies in the database", len(secret))
			}
		}
	})
}

func TestOfferByReference(t *testing.T) {
	t.Run("B12 unknown, used and expired look alike", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		fetch := func(o issuer.Offered) issuertest.Answer {
			u := must[*url.URL](t)(url.Parse(o.URI))
			return must[issuertest.Answer](t)(k.Do("GET", u.Query().Get("credential_offer_uri"), nil, nil))
		}
		o, _ := code(t, k, true)
		a := fetch(o)
		if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("offer: %d %v", a.Status, a.Header)
		}
		for _, personal := range []string{"가온", "han-gaon", o.ID, o.TxCode, "1998"} {
			if strings.Contains(string(a.Body), personal) {
				t.Errorf("the offer holds something personal")
			}
		}
		unknown := must[issuertest.Answer](t)(k.Do("GET", k.URL+"/gaon/offers/AAAAAAAAAAAAAAAAAAAAAA", nil, nil))
		want(t, unknown, nil, 404, "not-found")
		used, c := code(t, k, false)
		if a, err := k.Token("gaon", c, ""); err != nil || a.Status != 200 {
			t.Fatal(a.Status, err)
		}
		expired, _ := code(t, k, false)
		withdrawn, _ := code(t, k, false)
		if _, err := k.Issuer.SetStatus(t.Context(), issuer.StatusChange{Tenant: "gaon", Credential: withdrawn.ID, To: issuer.StatusRevoked, Actor: "t", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
		other := strings.Replace(expired.URI, "gaon", "seoul", 1)
		answers := map[string]issuertest.Answer{"used": fetch(used), "withdrawn": fetch(withdrawn), "other tenant": fetch(issuer.Offered{URI: other})}
		k.Clock.Advance(11 * time.Minute)
		answers["expired"] = fetch(expired)
		for name, a := range answers {
			if a.Status != 404 || string(a.Body) != string(unknown.Body) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	})
	t.Run("B11 short-lived, with a transaction code by default", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		o, err := k.Issuer.Offer(t.Context(), issuer.OfferRequest{Tenant: "gaon", Type: "resident-id", Person: "han-gaon", Actor: "t"})
		if err != nil || len(o.TxCode) != 6 {
			t.Fatalf("%v, transaction code of %d digits", err, len(o.TxCode))
		}
		offer, err := k.Fetch(o)
		if err != nil || offer.Grants.PreAuthorizedCode.TxCode == nil {
			t.Fatal("the offer does not ask for the code", err)
		}
		k.Clock.Advance(10*time.Minute + time.Second)
		if _, err := k.Fetch(o); err == nil {
			t.Error("still served after ten minutes")
		}
		a, err := k.Token("gaon", offer.Grants.PreAuthorizedCode.PreAuthorizedCode, o.TxCode)
		want(t, a, err, 400, "invalid_grant")
	})
}

func dpop(t *testing.T, k *issuertest.Kit) {
	key := must[keys.Signer](t)(keys.Generate(keys.ES256))
	n := 0
	proof := func(r oauth.DPoPRequest) string {
		n++
		r.JTI, r.Now = base64.RawURLEncoding.EncodeToString([]byte{byte(n), byte(n >> 8), 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7}), k.Clock.Now()
		return must[string](t)(oauth.BuildDPoP(key, r))
	}
	form := func(c string) url.Values {
		return url.Values{"grant_type": {oauth.GrantPreAuthorizedCode}, "pre-authorized_code": {c}}
	}
	_, c := code(t, k, false)
	var nonce string
	t.Run("B31 no nonce yet", func(t *testing.T) {
		unchanged(t, k, func() {
			a, err := k.Form("/gaon/token", form(c), http.Header{"Dpop": {proof(oauth.DPoPRequest{Method: "POST", URL: k.URL + "/gaon/token"})}})
			want(t, a, err, 400, "use_dpop_nonce")
			if nonce = a.Header.Get("DPoP-Nonce"); nonce == "" {
				t.Fatal("no DPoP-Nonce")
			}
		})
	})
	t.Run("B34 forwarded headers change nothing", func(t *testing.T) {
		unchanged(t, k, func() {
			h := http.Header{"Dpop": {proof(oauth.DPoPRequest{Method: "POST", URL: "https://evil.example/gaon/token", Nonce: nonce})}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example;proto=https"}}
			a, err := k.Form("/gaon/token", form(c), h)
			want(t, a, err, 400, "invalid_dpop_proof")
		})
	})
	once := proof(oauth.DPoPRequest{Method: "POST", URL: k.URL + "/gaon/token", Nonce: nonce})
	a, err := k.Form("/gaon/token", form(c), http.Header{"Dpop": {once}})
	want(t, a, err, 200, "")
	var tok struct {
		Access string `json:"access_token"`
		Type   string `json:"token_type"`
	}
	if err := json.Unmarshal(a.Body, &tok); err != nil || tok.Type != "DPoP" {
		t.Fatalf("%v %s", err, a.Body)
	}
	t.Run("B32 the same proof twice", func(t *testing.T) {
		_, c := code(t, k, false)
		unchanged(t, k, func() {
			a, err := k.Form("/gaon/token", form(c), http.Header{"Dpop": {once}})
			want(t, a, err, 400, "invalid_dpop_proof")
		})
	})
	t.Run("B30 bound token without proof", func(t *testing.T) {
		for _, scheme := range []string{"Bearer ", "DPoP "} {
			unchanged(t, k, func() {
				a, err := k.Do("POST", k.URL+"/gaon/credential", http.Header{"Authorization": {scheme + tok.Access}, "Content-Type": {"application/json"}}, []byte(`{}`))
				if err != nil || a.Status != 401 || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "DPoP error=") {
					t.Errorf("%s: %d %q %v", scheme, a.Status, a.Header.Get("WWW-Authenticate"), err)
				}
			})
		}
	})
	t.Run("B33 proof of another request", func(t *testing.T) {
		other := must[keys.Signer](t)(keys.Generate(keys.ES256))
		bad := func(s keys.Signer, r oauth.DPoPRequest) string {
			r.JTI, r.Now, r.Nonce = base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef"+r.URL+r.Method)), k.Clock.Now(), nonce
			return must[string](t)(oauth.BuildDPoP(s, r))
		}
		target := k.URL + "/gaon/credential"
		for name, p := range map[string]string{
			"method": bad(key, oauth.DPoPRequest{Method: "GET", URL: target, AccessToken: tok.Access}),
			"url":    bad(key, oauth.DPoPRequest{Method: "POST", URL: k.URL + "/gaon/token", AccessToken: tok.Access}),
			"ath":    bad(key, oauth.DPoPRequest{Method: "POST", URL: target, AccessToken: "other"}),
			"no ath": bad(key, oauth.DPoPRequest{Method: "POST", URL: target + "?a"}),
			"key":    bad(other, oauth.DPoPRequest{Method: "POST", URL: target, AccessToken: tok.Access}),
		} {
			unchanged(t, k, func() {
				a, err := k.Do("POST", target, http.Header{"Authorization": {"DPoP " + tok.Access}, "Dpop": {p}, "Content-Type": {"application/json"}}, []byte(`{}`))
				want(t, a, err, 401, "invalid_dpop_proof")
				_ = name
			})
		}
	})
	t.Run("K01 a flushed store refuses every earlier nonce", func(t *testing.T) {
		_, c := code(t, k, false)
		unchanged(t, k, func() {
			flush(t, k)
			p := proof(oauth.DPoPRequest{Method: "POST", URL: k.URL + "/gaon/token", Nonce: nonce})
			a, err := k.Form("/gaon/token", form(c), http.Header{"Dpop": {p}})
			want(t, a, err, 400, "use_dpop_nonce")
		})
	})
}

func TestDPoP(t *testing.T) {
	t.Run("twin", func(t *testing.T) { dpop(t, start(t, plenty(issuertest.KitConfig{}))) })
	if redis := redisURL(t); redis != "" {
		t.Run("redis", func(t *testing.T) { dpop(t, start(t, plenty(issuertest.KitConfig{Redis: redis}))) })
	}
}
