package oid4vp

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

func twoQueries() Query {
	return Query{Credentials: []CredentialQuery{{ID: "one", Format: FormatSDJWTVC}, {ID: "many", Format: FormatSDJWTVC, Multiple: true}}}
}

func form(t testing.TB, raw string) oauth.Form {
	t.Helper()
	f, err := oauth.DecodeForm(raw, ResponseLimits())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestResponseRoundTrip(t *testing.T) {
	c := newCompany(t)
	sent := Response{
		VPToken:  VPToken{"one": {StringPresentation("a.b.c~d~e")}, "many": {StringPresentation("x"), jsontext.Value(`{"holder":1}`)}},
		Evidence: []byte{0xa1, 0x01, 0xff},
	}
	for _, mode := range []string{ModeDirectPost, ModeDirectPostJWT} {
		r := c.request(c.hashID())
		r.ResponseMode = mode
		body, err := sent.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(body, "vp_token") == (mode == ModeDirectPostJWT) {
			t.Fatalf("%s sent %s", mode, body)
		}
		got, err := DecodeResponse(form(t, body), ResponseExpect{Mode: mode, Key: c.enc, Encs: []string{keys.A256GCM}, Query: twoQueries()})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.VPToken, got.VPToken); diff != "" || !bytes.Equal(got.Evidence, sent.Evidence) || got.State != "s1" {
			t.Fatalf("%s %+v", diff, got)
		}
		if got.Encrypted != (mode == ModeDirectPostJWT) || got.Encrypted && (got.Header.Kid != "e1" || got.Header.Enc != keys.A256GCM) {
			t.Fatalf("%+v", got.Header)
		}
		refused := Response{Error: oauth.NewError(oauth.AccessDenied, "the person said no")}
		if body, err = refused.Encode(r); err != nil {
			t.Fatal(err)
		}
		got, err = DecodeResponse(form(t, body), ResponseExpect{Mode: mode, Key: c.enc, Encs: []string{keys.A256GCM}, Query: twoQueries()})
		if err != nil || got.Error.Code != oauth.AccessDenied || got.VPToken != nil || got.State != "s1" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	t.Run("an error goes out plain when there is no key", func(t *testing.T) {
		r := c.request(c.hashID())
		r.ClientMetadata = nil
		body, err := Response{Error: oauth.NewError(oauth.InvalidRequest, "")}.Encode(r)
		if err != nil || body != "error=invalid_request&state=s1" {
			t.Fatalf("%s, %v", body, err)
		}
		if _, err := sent.Encode(r); err == nil {
			t.Fatal("a vp_token went out plain")
		}
	})
}

func TestDecodeResponseRefused(t *testing.T) {
	c, other := newCompany(t), newCompany(t)
	token := url.QueryEscape(`{"one":["a"]}`)
	encrypt := func(to company, payload, enc string) string {
		r, err := keys.ParseRecipient(to.enc.JWK())
		if err != nil {
			t.Fatal(err)
		}
		jwe, err := keys.Encrypt([]byte(payload), keys.Encryption{To: r, Enc: enc})
		if err != nil {
			t.Fatal(err)
		}
		return "response=" + jwe
	}
	plain := func(vpToken string) string { return "state=s&vp_token=" + url.QueryEscape(vpToken) }
	tests := []struct{ name, mode, body string }{
		{"D26 two presentations where multiple is false", ModeDirectPost, plain(`{"one":["a","b"]}`)},
		{"D26 unknown query id", ModeDirectPost, plain(`{"one":["a"],"two":["b"]}`)},
		{"D26 vp_token is an array", ModeDirectPost, plain(`["a"]`)},
		{"D26 vp_token is a string", ModeDirectPost, plain(`"a"`)},
		{"D26 vp_token is a bare presentation", ModeDirectPost, plain(`a.b.c~`)},
		{"D26 vp_token is null", ModeDirectPost, plain(`null`)},
		{"D26 empty array", ModeDirectPost, plain(`{"one":[]}`)},
		{"D26 empty object", ModeDirectPost, plain(`{}`)},
		{"D26 presentation not in an array", ModeDirectPost, plain(`{"one":"a"}`)},
		{"D26 array in an array", ModeDirectPost, plain(`{"one":[["a"]]}`)},
		{"D26 null presentation", ModeDirectPost, plain(`{"one":[null]}`)},
		{"D26 empty presentation", ModeDirectPost, plain(`{"one":[""]}`)},
		{"D26 the same id twice", ModeDirectPost, plain(`{"one":["a"],"one":["b"]}`)},
		{"D26 inside the JWE", ModeDirectPostJWT, encrypt(c, `{"vp_token":{"one":["a","b"]}}`, keys.A128GCM)},
		{"D29 unencrypted vp_token", ModeDirectPostJWT, "state=s&vp_token=" + token},
		{"D29 unencrypted vp_token beside a JWE", ModeDirectPostJWT, encrypt(c, `{"vp_token":{"one":["a"]}}`, keys.A128GCM) + "&vp_token=" + token},
		{"D29 nothing at all", ModeDirectPostJWT, "state=s"},
		{"a JWE where none was asked for", ModeDirectPost, encrypt(c, `{"vp_token":{"one":["a"]}}`, keys.A128GCM)},
		{"a JWE for another transaction's key", ModeDirectPostJWT, encrypt(other, `{"vp_token":{"one":["a"]}}`, keys.A128GCM)},
		{"content encryption not asked for", ModeDirectPostJWT, encrypt(c, `{"vp_token":{"one":["a"]}}`, keys.A256GCM)},
		{"garbage JWE", ModeDirectPostJWT, "response=a.b.c.d.e"},
		{"JWE of an array", ModeDirectPostJWT, encrypt(c, `[]`, keys.A128GCM)},
		{"two states", ModeDirectPostJWT, encrypt(c, `{"state":"a","vp_token":{"one":["a"]}}`, keys.A128GCM) + "&state=b"},
		{"error and vp_token", ModeDirectPost, plain(`{"one":["a"]}`) + "&error=access_denied"},
		{"long error", ModeDirectPost, "error=" + strings.Repeat("e", 65)},
		{"neither", ModeDirectPost, "state=s"},
		{"long state", ModeDirectPost, "state=" + strings.Repeat("s", 513) + "&vp_token=" + token},
		{"evidence of 33 KiB", ModeDirectPost, plain(`{"one":["a"]}`) + "&dojang_evidence=" + strings.Repeat("A", 45<<10)},
		{"evidence in another alphabet", ModeDirectPost, plain(`{"one":["a"]}`) + "&dojang_evidence=a%2Fb%3D"},
		{"17 presentations", ModeDirectPost, plain(`{"many":["a"` + strings.Repeat(`,"a"`, 16) + `]}`)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := DecodeResponse(form(t, tt.body), ResponseExpect{Mode: tt.mode, Key: c.enc, Query: twoQueries()})
			if e := oauth.AsError(err); e.Code != oauth.InvalidRequest || e.Status() != 400 || !cmp.Equal(got, Response{}) {
				t.Fatalf("%+v, %v", got, err)
			}
		})
	}
	t.Run("D29 an error response may be plain", func(t *testing.T) {
		got, err := DecodeResponse(form(t, "error=access_denied&error_description=no%20%22thanks%22&state=s"), ResponseExpect{Mode: ModeDirectPostJWT, Key: c.enc, Query: twoQueries()})
		if err != nil || got.Error.Code != oauth.AccessDenied || got.Error.Description != "no thanks" || got.State != "s" || got.Encrypted {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("state beside a JWE without one", func(t *testing.T) {
		got, err := DecodeResponse(form(t, encrypt(c, `{"vp_token":{"one":["a"]}}`, keys.A128GCM)+"&state=b"), ResponseExpect{Mode: ModeDirectPostJWT, Key: c.enc, Query: twoQueries()})
		if err != nil || got.State != "b" {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

func TestEncryptionFor(t *testing.T) {
	c := newCompany(t)
	jwk := jsontext.Value(c.enc.JWK())
	signing := jsontext.Value(c.signer.Public().JWK())
	tests := []struct {
		name string
		m    *ClientMetadata
		enc  string
	}{
		{"default", &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{jwk}}}, keys.A128GCM},
		{"first that exists here", &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{jwk}}, EncryptedEncValues: []string{"A128CBC-HS256", keys.A256GCM, keys.A128GCM}}, keys.A256GCM},
		{"key after others", &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{jsontext.Value(`{"kty":"OKP","kid":"jc","use":"enc","crv":"X25519","alg":"ECDH-ES","x":"WPX7wnwq10hFNK9aDSyG1QlLswE_CJY14LdhcFUIVVc"}`), jwk}}}, keys.A128GCM},
		{"nothing", nil, ""},
		{"no keys", &ClientMetadata{}, ""},
		{"empty set", &ClientMetadata{JWKS: &JWKS{}}, ""},
		{"a key without alg", &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{signing}}}, ""},
		{"nothing in common", &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{jwk}}, EncryptedEncValues: []string{"A128CBC-HS256"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := EncryptionFor(tt.m)
			if (err == nil) != (tt.enc != "") || e.Enc != tt.enc || err == nil && e.To.Kid() != "e1" {
				t.Fatalf("%+v, %v", e, err)
			}
		})
	}
}

func TestPostAnswer(t *testing.T) {
	for _, ok := range []string{`{}`, `{"x":1}`, `{"redirect_uri":"https://v.example/cb#response_code=abc"}`, `{"redirect_uri":"http://localhost:4000/cb?response_code=abc"}`} {
		if _, err := DecodePostAnswer([]byte(ok), loopback); err != nil {
			t.Fatalf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{``, `[]`, `{"redirect_uri":"javascript:alert(1)"}`, `{"redirect_uri":"/cb"}`, `{"redirect_uri":"http://v.example/cb"}`,
		`{"redirect_uri":"https://a@v.example"}`, `{"redirect_uri":5}`, `{"redirect_uri":"https://v.example","redirect_uri":"https://e.example"}`} {
		if a, err := DecodePostAnswer([]byte(bad), loopback); err == nil || a != (PostAnswer{}) {
			t.Fatalf("%s gave %+v", bad, a)
		}
	}
	for target, want := range map[string]string{"https://v.example/cb": "https://v.example/cb?response_code=c1", "https://v.example/cb?a=b": "https://v.example/cb?a=b&response_code=c1"} {
		if got, err := ResponseCodeURL(target, "c1"); err != nil || got != want {
			t.Fatalf("%s, %v", got, err)
		}
	}
	for _, bad := range [][2]string{{"javascript:x", "c"}, {"https://v.example#x", "c"}, {"https://v.example", "a b"}, {"https://v.example", ""}} {
		if _, err := ResponseCodeURL(bad[0], bad[1]); err == nil {
			t.Fatalf("%v accepted", bad)
		}
	}
}

func FuzzDecodeResponse(f *testing.F) {
	c := newCompany(f)
	f.Add("state=s&vp_token=%7B%22one%22%3A%5B%22a%22%5D%7D&dojang_evidence=oQ", false)
	f.Add("response=a.b.c.d.e", true)
	f.Add("error=access_denied", true)
	f.Fuzz(func(t *testing.T, raw string, encrypted bool) {
		fields, err := oauth.DecodeForm(raw, ResponseLimits())
		if err != nil {
			return
		}
		_, _ = StateOf(fields)
		mode := ModeDirectPost
		if encrypted {
			mode = ModeDirectPostJWT
		}
		r, err := DecodeResponse(fields, ResponseExpect{Mode: mode, Key: c.enc, Query: twoQueries()})
		if err != nil {
			return
		}
		if (r.Error == nil) == (r.VPToken == nil) || encrypted && r.VPToken != nil && !r.Encrypted || len(r.Evidence) > maxEvidence {
			t.Fatalf("%+v", r)
		}
	})
}

func FuzzDecodeVPToken(f *testing.F) {
	f.Add([]byte(`{"one":["a"],"many":[{"b":1},"c"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		token, err := DecodeVPToken(data, twoQueries())
		if err != nil {
			return
		}
		if len(token) == 0 || len(token["one"]) > 1 {
			t.Fatalf("%v", token)
		}
	})
}

func FuzzDecodePostAnswer(f *testing.F) {
	f.Add([]byte(`{"redirect_uri":"https://v.example/cb#response_code=abc"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := DecodePostAnswer(data, nil); err == nil && a.RedirectURI != "" && !strings.HasPrefix(strings.ToLower(a.RedirectURI), "https:") {
			t.Fatalf("%q", a.RedirectURI)
		}
	})
}
