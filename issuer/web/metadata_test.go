package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

func TestMetadata(t *testing.T) {
	k := start(t, plenty(issuertest.KitConfig{}))
	get := func(path string, h http.Header) issuertest.Answer {
		return must[issuertest.Answer](t)(k.Do("GET", k.URL+path, h, nil))
	}
	t.Run("credential issuer", func(t *testing.T) {
		a := get("/.well-known/openid-credential-issuer/gaon", nil)
		m, err := oid4vci.DecodeMetadata(a.Body, k.URL+"/gaon", func(string) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		c, ok := m.Configurations["resident-id_dc+sd-jwt"]
		if !ok || c.VCT != "urn:dojang:kr:resident-id:1" || c.Format != "dc+sd-jwt" || m.BatchIssuance.BatchSize != 10 || m.NonceEndpoint != k.URL+"/gaon/nonce" || len(c.ProofTypes["jwt"].SigningAlgs) != 1 || c.SigningAlgs[0] != "ES256" {
			t.Errorf("%+v", m)
		}
		if issuer.ConfigurationID("resident-id", "dc+sd-jwt") != "resident-id_dc+sd-jwt" {
			t.Error("configuration id")
		}
		if strings.Contains(string(a.Body), "rrn") {
			t.Error("class X claims are described")
		}
	})
	t.Run("authorization server, in all forms", func(t *testing.T) {
		for _, path := range []string{"/.well-known/oauth-authorization-server/gaon", "/gaon/.well-known/openid-configuration", "/gaon/.well-known/oauth-authorization-server"} {
			var m map[string]any
			a := get(path, nil)
			if err := json.Unmarshal(a.Body, &m); err != nil || m["issuer"] != k.URL+"/gaon" || m["token_endpoint"] != k.URL+"/gaon/token" || m["pre-authorized_grant_anonymous_access_supported"] != true {
				t.Errorf("%s: %v %s", path, err, a.Body)
			}
			if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("ETag") == "" {
				t.Errorf("%s: %v", path, a.Header)
			}
			if b := get(path, http.Header{"If-None-Match": {a.Header.Get("ETag")}}); b.Status != 304 {
				t.Errorf("%s: %d with its tag", path, b.Status)
			}
		}
	})
	t.Run("DID configuration", func(t *testing.T) {
		var c struct {
			Context string   `json:"@context"`
			Linked  []string `json:"linked_dids"`
		}
		a := get("/.well-known/did-configuration.json", nil)
		if err := json.Unmarshal(a.Body, &c); err != nil || len(c.Linked) == 0 || c.Context != "https://identity.foundation/.well-known/did-configuration/v1" {
			t.Fatalf("%v %s", err, a.Body)
		}
		if a.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Error("closed to other origins")
		}
		if b := get("/.well-known/did-configuration.json", http.Header{"If-None-Match": {a.Header.Get("ETag")}}); b.Status != 304 {
			t.Errorf("%d with its tag", b.Status)
		}
		for i, jwt := range c.Linked {
			jws, err := keys.ParseJWS(jwt, keys.Expect{Typ: "JWT"})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := jws.Verify(k.Tenants[i].Key.Public())
			if err != nil {
				t.Fatal(err)
			}
			var link struct {
				Issuer  string `json:"iss"`
				Subject string `json:"sub"`
				From    int64  `json:"nbf"`
				Until   int64  `json:"exp"`
				VC      struct {
					Type    []string `json:"type"`
					Subject struct {
						ID     string `json:"id"`
						Origin string `json:"origin"`
					} `json:"credentialSubject"`
				} `json:"vc"`
			}
			if err := json.Unmarshal(payload, &link); err != nil {
				t.Fatal(err)
			}
			now, did := k.Clock.Now().Unix(), string(k.Tenants[i].DID)
			if jws.Header().Kid != did+"#"+k.Tenants[i].KeyID || link.Issuer != did || link.Subject != did || link.VC.Subject.ID != did ||
				link.VC.Subject.Origin != k.URL || link.VC.Type[1] != "DomainLinkageCredential" || link.From > now || link.Until <= now {
				t.Errorf("%s", payload)
			}
		}
	})
	t.Run("B73 host header, dot segments, case of the tenant", func(t *testing.T) {
		req, _ := http.NewRequestWithContext(ctx, "GET", k.URL+"/.well-known/openid-credential-issuer/gaon", nil)
		req.Host = "evil.example"
		req.Header.Set("X-Forwarded-Host", "evil.example")
		res, err := k.Client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var m struct {
			Issuer string `json:"credential_issuer"`
		}
		if err := json.NewDecoder(res.Body).Decode(&m); err != nil || m.Issuer != k.URL+"/gaon" {
			t.Errorf("%q %v", m.Issuer, err)
		}
		for _, path := range []string{"/.well-known/openid-credential-issuer/../admin", "/.well-known/openid-credential-issuer/%2e%2e/admin", "/.well-known/openid-credential-issuer/GAON", "/.well-known/openid-credential-issuer/gaon/", "/.well-known/openid-credential-issuer/nobody", "/.well-known/openid-credential-issuer", "/.well-known/oauth-authorization-server/Gaon"} {
			if a := get(path, nil); a.Status != 404 {
				t.Errorf("%s: %d", path, a.Status)
			}
		}
	})
	t.Run("type metadata and keys", func(t *testing.T) {
		a := get("/gaon/type-metadata/resident-id", nil)
		if a.Status != 200 || !strings.Contains(string(a.Body), `"urn:dojang:kr:resident-id:1"`) {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		if a := get("/gaon/type-metadata/customs-identity", nil); a.Status != 404 {
			t.Errorf("another agency's type: %d", a.Status)
		}
		var set struct {
			Keys []map[string]string `json:"keys"`
		}
		if a := get("/gaon/jwks", nil); json.Unmarshal(a.Body, &set) != nil || len(set.Keys) != 1 || set.Keys[0]["d"] != "" || set.Keys[0]["kid"] == "" {
			t.Errorf("jwks %s", a.Body)
		}
	})
	t.Run("browser wallets", func(t *testing.T) {
		for _, path := range []string{"/gaon/token", "/gaon/nonce", "/gaon/credential"} {
			a := must[issuertest.Answer](t)(k.Do("OPTIONS", k.URL+path, http.Header{"Origin": {"https://wallet.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,content-type,dpop"}}, nil))
			if a.Status/100 != 2 || a.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %d %v", path, a.Status, a.Header)
			}
		}
	})
	t.Run("unknown tenants", func(t *testing.T) {
		for _, path := range []string{"/nobody/token", "/nobody/nonce", "/nobody/challenge", "/nobody/credential"} {
			a := must[issuertest.Answer](t)(k.Do("POST", k.URL+path, nil, nil))
			want(t, a, nil, 404, "not-found")
		}
	})
}
