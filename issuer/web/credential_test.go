package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// begin is a flow with n proofs ready.
func begin(t *testing.T, k *issuertest.Kit, n int) issuertest.Flow {
	t.Helper()
	return must[issuertest.Flow](t)(k.Begin("gaon", "resident-id", "han-gaon", n))
}

// post sends any body under a flow's token.
func post(t *testing.T, k *issuertest.Kit, f issuertest.Flow, contentType, body string) issuertest.Answer {
	t.Helper()
	h := http.Header{"Content-Type": {contentType}, "Authorization": {"Bearer " + f.Access}}
	return must[issuertest.Answer](t)(k.Do("POST", k.URL+"/"+f.Tenant+"/credential", h, []byte(body)))
}

// jwt signs any header and claims: what a hostile wallet may send.
func jwt(t *testing.T, s keys.Signer, header, claims string) string {
	t.Helper()
	in := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return in + "." + base64.RawURLEncoding.EncodeToString(must[[]byte](t)(s.Sign([]byte(in))))
}

// A proofMaker builds proofs with parts replaced.
type proofMaker struct {
	aud, nonce, iat, iss, header string
}

func (m proofMaker) make(t *testing.T, k *issuertest.Kit) string {
	t.Helper()
	s := must[keys.Signer](t)(keys.Generate(keys.ES256))
	if m.aud == "" {
		m.aud = `"` + k.URL + `/gaon"`
	}
	if m.iat == "" {
		m.iat = jsonNumber(k.Clock.Now())
	}
	header := `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":` + string(s.Public().JWK()) + `}`
	if m.header != "" {
		header = strings.Replace(m.header, "JWK", string(s.Public().JWK()), 1)
	}
	claims := `{"aud":` + m.aud + `,"iat":` + m.iat
	if m.nonce != "" {
		claims += `,"nonce":"` + m.nonce + `"`
	}
	if m.iss != "" {
		claims += `,"iss":"` + m.iss + `"`
	}
	return jwt(t, s, header, claims+"}")
}

func jsonNumber(at time.Time) string {
	b, _ := json.Marshal(at.Unix())
	return string(b)
}

func TestCredential(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		k := start(t, plenty(issuertest.KitConfig{DB: dbURL}))
		t.Run("nonces", func(t *testing.T) { nonces(t, k) })
		t.Run("proofs", func(t *testing.T) { proofs(t, k) })
		t.Run("requests", func(t *testing.T) { requests(t, k) })
		t.Run("tokens", func(t *testing.T) { tokens(t, k) })
		t.Run("redelivery", func(t *testing.T) { redelivery(t, k) })
		fsck(t, k)
	})
}

func nonces(t *testing.T, k *issuertest.Kit) {
	refuse := func(t *testing.T, f issuertest.Flow, code string) {
		t.Helper()
		unchanged(t, k, func() {
			a, err := k.Credential(f)
			want(t, a, err, 400, code)
		})
	}
	t.Run("B39 not issued by us, made up, another tenant's", func(t *testing.T) {
		foreign := must[string](t)(k.Nonce("seoul"))
		for _, n := range []string{"client-made", strings.Repeat("A", 55), foreign} {
			f := begin(t, k, 1)
			f.Proofs = must[[]string](t)(k.Proofs("gaon", n, 1))
			refuse(t, f, "invalid_nonce")
		}
	})
	t.Run("B40 replayed with a fresh key", func(t *testing.T) {
		f := begin(t, k, 1)
		nonce := must[string](t)(k.Nonce("gaon"))
		f.Proofs = must[[]string](t)(k.Proofs("gaon", nonce, 1))
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
		f.Proofs = must[[]string](t)(k.Proofs("gaon", nonce, 1))
		refuse(t, f, "invalid_nonce")
		g := begin(t, k, 1)
		g.Proofs = must[[]string](t)(k.Proofs("gaon", nonce, 1))
		refuse(t, g, "invalid_nonce")
	})
	t.Run("B41 one nonce across a batch", func(t *testing.T) {
		f := begin(t, k, 10)
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
		if texts := must[[]string](t)(a.Credentials()); len(texts) != 10 {
			t.Errorf("%d copies", len(texts))
		}
	})
	t.Run("B42 one of a batch is stale or without", func(t *testing.T) {
		f := begin(t, k, 2)
		f.Proofs = append(f.Proofs, must[[]string](t)(k.Proofs("gaon", strings.Repeat("A", 55), 1))...)
		refuse(t, f, "invalid_nonce")
		f = begin(t, k, 2)
		f.Proofs = append(f.Proofs, proofMaker{}.make(t, k))
		refuse(t, f, "invalid_proof")
	})
	t.Run("B43 bad proofs do not burn the nonce", func(t *testing.T) {
		f := begin(t, k, 1)
		nonce := must[string](t)(k.Nonce("gaon"))
		good := must[[]string](t)(k.Proofs("gaon", nonce, 1))
		for range 3 {
			f.Proofs = []string{proofMaker{nonce: nonce, aud: `"https://other.example"`}.make(t, k)}
			refuse(t, f, "invalid_proof")
			f.Proofs = []string{good[0][:len(good[0])-4] + "AAAA"}
			refuse(t, f, "invalid_proof")
		}
		f.Proofs = good
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
	})
	t.Run("B43 spam is slowed down", func(t *testing.T) {
		slow := start(t, issuertest.KitConfig{})
		f := begin(t, slow, 1)
		f.Proofs = []string{"not.a.jwt"}
		limited := false
		for range 40 {
			a := must[issuertest.Answer](t)(slow.Credential(f))
			limited = limited || a.Status == 429
		}
		if !limited {
			t.Error("forty bad requests under one token, none refused")
		}
	})
	t.Run("stale", func(t *testing.T) {
		f := begin(t, k, 1)
		k.Clock.Advance(6 * time.Minute)
		refuse(t, f, "invalid_nonce")
		k.Clock.Advance(-6 * time.Minute)
	})
}

func proofs(t *testing.T, k *issuertest.Kit) {
	f := begin(t, k, 1)
	nonce := must[string](t)(k.Nonce("gaon"))
	other := must[keys.Signer](t)(keys.Generate(keys.ES256))
	iat := func(d time.Duration) string { return jsonNumber(k.Clock.Now().Add(d)) }
	for _, tc := range []struct {
		name  string
		proof proofMaker
	}{
		{"B44 aud is the host only", proofMaker{aud: `"` + k.URL + `"`}},
		{"B44 aud has a trailing slash", proofMaker{aud: `"` + k.URL + `/gaon/"`}},
		{"B44 aud is an array", proofMaker{aud: `["` + k.URL + `/gaon"]`}},
		{"B44 aud is another tenant", proofMaker{aud: `"` + k.URL + `/seoul"`}},
		{"B45 iat an hour old", proofMaker{iat: iat(-time.Hour)}},
		{"B45 iat an hour ahead", proofMaker{iat: iat(time.Hour)}},
		{"B45 iat two minutes ahead", proofMaker{iat: iat(2 * time.Minute)}},
		{"B45 iat absent", proofMaker{iat: "null"}},
		{"B46 jwk and kid", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt","kid":"a","jwk":JWK}`}},
		{"B46 neither", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt"}`}},
		{"B47 kid of a DID", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt","kid":"did:example:a#1"}`}},
		{"B47 trust_chain without kid", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt","trust_chain":["a"],"jwk":JWK}`}},
		{"B47 signed by another key", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":` + string(other.Public().JWK()) + `}`}},
		{"B48 iss after anonymous access", proofMaker{iss: "wallet.example"}},
		{"A01 alg none", proofMaker{header: `{"alg":"none","typ":"openid4vci-proof+jwt","jwk":JWK}`}},
		{"A03 HS256", proofMaker{header: `{"alg":"HS256","typ":"openid4vci-proof+jwt","jwk":JWK}`}},
		{"A07 private key in jwk", proofMaker{header: `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}}`}},
		{"A22 a DPoP proof as key proof", proofMaker{header: `{"alg":"ES256","typ":"dpop+jwt","jwk":JWK}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.proof.nonce = nonce
			f.Proofs = []string{tc.proof.make(t, k)}
			unchanged(t, k, func() {
				a, err := k.Credential(f)
				want(t, a, err, 400, "invalid_proof")
			})
		})
	}
	t.Run("B51 one key twice", func(t *testing.T) {
		p := must[[]string](t)(k.Proofs("gaon", nonce, 1))
		f.Proofs = append(p, p...)
		unchanged(t, k, func() {
			a, err := k.Credential(f)
			want(t, a, err, 400, "invalid_proof")
		})
	})
	t.Run("B49 the proving key alone is bound", func(t *testing.T) {
		key := must[keys.Signer](t)(keys.Generate(keys.ES256))
		claims := `{"aud":"` + k.URL + `/gaon","iat":` + iat(0) + `,"nonce":"` + nonce + `","sub":"did:example:victim","cnf":{"jwk":` + string(other.Public().JWK()) + `}}`
		f.Proofs = []string{jwt(t, key, `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":`+string(key.Public().JWK())+`}`, claims)}
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
		p := payload(t, must[[]string](t)(a.Credentials())[0])
		cnf, _ := json.Marshal(p["cnf"])
		if !strings.Contains(string(cnf), field(t, key.Public().JWK(), "x")) || p["sub"] != nil {
			t.Errorf("cnf %s sub %v", cnf, p["sub"])
		}
	})
}

// field reads a member of a JSON object.
func field(t *testing.T, object []byte, name string) string {
	t.Helper()
	var m map[string]string
	if err := json.Unmarshal(object, &m); err != nil {
		t.Fatal(err)
	}
	return m[name]
}

// payload of the issuer-signed part.
func payload(t *testing.T, text string) map[string]any {
	t.Helper()
	issuerJWT, _, _ := strings.Cut(text, "~")
	raw := must[[]byte](t)(base64.RawURLEncoding.DecodeString(strings.Split(issuerJWT, ".")[1]))
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func requests(t *testing.T, k *issuertest.Kit) {
	f := begin(t, k, 1)
	p := f.Proofs[0]
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	many := strings.TrimSuffix(strings.Repeat(`"`+p+`",`, 10000), ",")
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		code                    string
	}{
		{"B38 proofs missing", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt"}`, 400, "invalid_proof"},
		{"B50 two proof types", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + p + `"],"attestation":["a"]}}`, 400, "invalid_credential_request"},
		{"B50 empty array", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":[]}}`, 400, "invalid_credential_request"},
		{"B50 more than the batch size", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + strings.Repeat(p+`","`, 10) + p + `"]}}`, 400, "invalid_credential_request"},
		{"B50 ten thousand proofs", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":[` + many + `]}}`, 413, ""},
		{"B55 another proof type", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"attestation":["` + p + `"]}}`, 400, "invalid_proof"},
		{"B56 unknown configuration", "", `{"credential_configuration_id":"other","proofs":{"jwt":["` + p + `"]}}`, 400, "unknown_credential_configuration"},
		{"B56 unknown identifier", "", `{"credential_identifier":"other","proofs":{"jwt":["` + p + `"]}}`, 400, "unknown_credential_identifier"},
		{"B56 identifier that was not handed out", "", `{"credential_identifier":"resident-id_dc+sd-jwt/3","proofs":{"jwt":["` + p + `"]}}`, 400, "unknown_credential_identifier"},
		{"B56 both", "", `{"credential_identifier":"a","credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + p + `"]}}`, 400, "invalid_credential_request"},
		{"B56 neither", "", `{"proofs":{"jwt":["` + p + `"]}}`, 400, "invalid_credential_request"},
		{"B57 encryption that is not offered", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + p + `"]},"credential_response_encryption":{"jwk":{},"enc":"A256GCM"}}`, 400, "invalid_encryption_parameters"},
		{"B58 response encryption in a plain request", "", `{"credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + p + `"]},"credential_response_encryption":{"jwk":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","alg":"ECDH-ES","kid":"a"},"enc":"A256GCM"}}`, 400, "invalid_encryption_parameters"},
		{"B59 application/jwt", "application/jwt", "garbage", 415, "invalid_credential_request"},
		{"B60 wrong content type", "text/plain", `{}`, 415, "invalid_credential_request"},
		{"B60 invalid UTF-8", "", "{\"credential_configuration_id\":\"\xff\"}", 400, "invalid_credential_request"},
		{"B60 array", "", `[]`, 400, "invalid_credential_request"},
		{"B60 null fields", "", `{"credential_configuration_id":null,"proofs":null}`, 400, "invalid_credential_request"},
		{"B60 200 levels", "", `{"credential_configuration_id":` + deep + `}`, 400, "invalid_credential_request"},
		{"A15 doubled member", "", `{"credential_configuration_id":"a","credential_configuration_id":"resident-id_dc+sd-jwt","proofs":{"jwt":["` + p + `"]}}`, 400, "invalid_credential_request"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.contentType == "" {
				tc.contentType = "application/json"
			}
			unchanged(t, k, func() {
				a := post(t, k, f, tc.contentType, tc.body)
				if a.Status != tc.status || tc.code != "" && a.Code() != tc.code {
					t.Errorf("answer %d %q, want %d %q", a.Status, a.Code(), tc.status, tc.code)
				}
			})
		})
	}
}

func tokens(t *testing.T, k *issuertest.Kit) {
	f := begin(t, k, 1)
	refuse := func(t *testing.T, f issuertest.Flow, status int, code string) {
		t.Helper()
		unchanged(t, k, func() {
			a, err := k.Credential(f)
			want(t, a, err, status, code)
			if status == 401 && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer error=") {
				t.Errorf("WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
			}
		})
	}
	t.Run("B36 token in query or body", func(t *testing.T) {
		unchanged(t, k, func() {
			h := http.Header{"Content-Type": {"application/json"}}
			a := must[issuertest.Answer](t)(k.Do("POST", k.URL+"/gaon/credential?access_token="+f.Access, h, f.Body()))
			if a.Status != 400 && a.Status != 401 {
				t.Errorf("query: %d", a.Status)
			}
			h = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			a = must[issuertest.Answer](t)(k.Do("POST", k.URL+"/gaon/credential", h, []byte("access_token="+f.Access)))
			if a.Status != 401 {
				t.Errorf("body: %d", a.Status)
			}
		})
	})
	t.Run("B37 unknown, another tenant's, expired, for another configuration", func(t *testing.T) {
		unknown := f
		unknown.Access = strings.Repeat("A", 43)
		refuse(t, unknown, 401, "invalid_token")
		foreign := must[issuertest.Flow](t)(k.Begin("customs", "customs-identity", "han-gaon", 1))
		foreign.Tenant = "gaon"
		refuse(t, foreign, 401, "invalid_token")
		k.Clock.Advance(10 * time.Minute)
		refuse(t, f, 401, "invalid_token")
		k.Clock.Advance(-10 * time.Minute)
	})
	t.Run("tokens differing in one character look alike", func(t *testing.T) {
		near := f
		near.Access = f.Access[:42] + map[bool]string{true: "A", false: "B"}[f.Access[42] != 'A']
		refuse(t, near, 401, "invalid_token")
	})
	t.Run("allowance of one offer", func(t *testing.T) {
		g := begin(t, k, 10)
		a, err := k.Credential(g)
		want(t, a, err, 200, "")
		g.Proofs = must[[]string](t)(k.Proofs("gaon", must[string](t)(k.Nonce("gaon")), 1))
		refuse(t, g, 400, "credential_request_denied")
	})
	t.Run("B67 withdrawn between token and credential", func(t *testing.T) {
		g := begin(t, k, 1)
		if _, err := k.Issuer.SetStatus(t.Context(), issuer.StatusChange{Tenant: "gaon", Credential: g.Offered.ID, To: issuer.StatusRevoked, Actor: "t", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
		refuse(t, g, 400, "credential_request_denied")
	})
}

func redelivery(t *testing.T, k *issuertest.Kit) {
	t.Run("B68 the same bytes again", func(t *testing.T) {
		f := begin(t, k, 3)
		first, err := k.Credential(f)
		want(t, first, err, 200, "")
		g := begin(t, k, 3)
		g.Proofs = f.Proofs
		unchanged(t, k, func() {
			again, err := k.Credential(f)
			want(t, again, err, 200, "")
			if string(again.Body) != string(first.Body) {
				t.Error("another response")
			}
			a, err := k.Credential(g) // the same proofs under another grant
			want(t, a, err, 400, "invalid_nonce")
			f2 := f
			f2.Proofs = f.Proofs[:2]
			a, err = k.Credential(f2)
			want(t, a, err, 400, "invalid_nonce")
		})
	})
	t.Run("B68 after the window", func(t *testing.T) {
		f := begin(t, k, 1)
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
		if err := k.Store.Forget(t.Context(), k.Clock.Now().Add(11*time.Minute)); err != nil {
			t.Fatal(err)
		}
		a, err = k.Credential(f)
		want(t, a, err, 400, "invalid_nonce")
	})
	t.Run("B68 a revoked credential is not handed out again", func(t *testing.T) {
		f := begin(t, k, 1)
		a, err := k.Credential(f)
		want(t, a, err, 200, "")
		if _, err := k.Issuer.SetStatus(t.Context(), issuer.StatusChange{Tenant: "gaon", Credential: f.Offered.ID, To: issuer.StatusRevoked, Actor: "t", Reason: "x"}); err != nil {
			t.Fatal(err)
		}
		a, err = k.Credential(f)
		want(t, a, err, 400, "credential_request_denied")
	})
}
