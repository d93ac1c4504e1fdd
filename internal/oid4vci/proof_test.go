package oid4vci

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

const (
	issuer = "https://issuer.example/gaon"
	didURL = "did:dojang:demo:holder#key-1"
)

func newSigner(t testing.TB, alg string) keys.Signer {
	t.Helper()
	s, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func proofFor(t testing.TB, s keys.Signer, h keys.Header, change map[string]any) string {
	t.Helper()
	c := map[string]any{"aud": issuer, "iat": now.Unix(), "nonce": "n1"}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	h.Typ = cmpOr(h.Typ, keys.TypProof)
	jwt, err := keys.SignJWS(s, h, payload)
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// rawProof signs a header that the signer of the keys room would not make.
func rawProof(t *testing.T, s keys.Signer, header string) string {
	t.Helper()
	payload := `{"aud":"` + issuer + `","iat":` + "1795251600" + `,"nonce":"n1"}`
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sig, err := s.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestVerifyProof(t *testing.T) {
	if now.Unix() != 1795251600 {
		t.Fatal("rawProof has another time")
	}
	s, other := newSigner(t, keys.ES256), newSigner(t, keys.ES256)
	byJWK, byKid, byX5C := keys.Header{JWK: s.Public()}, keys.Header{Kid: didURL}, keys.Header{X5C: [][]byte{{0x30}}}
	jwk := string(s.Public().JWK())
	with := func(change map[string]any) string { return proofFor(t, s, byJWK, change) }
	tests := []struct {
		name, jwt string
		client    string
		ok        bool
	}{
		{"jwk", with(nil), "", true},
		{"kid", proofFor(t, s, byKid, nil), "", true},
		{"x5c", proofFor(t, s, byX5C, nil), "", true},
		{"iss is the client", with(map[string]any{"iss": "wallet"}), "wallet", true},
		{"iss left out by a known client", with(nil), "wallet", true},
		{"no nonce: the caller decides", with(map[string]any{"nonce": nil}), "", true},
		{"iat 30 s ahead", with(map[string]any{"iat": now.Unix() + 30}), "", true},
		{"B44 host only", with(map[string]any{"aud": "https://issuer.example"}), "", false},
		{"B44 trailing slash", with(map[string]any{"aud": issuer + "/"}), "", false},
		{"B44 array", with(map[string]any{"aud": []string{issuer}}), "", false},
		{"B44 another tenant", with(map[string]any{"aud": "https://issuer.example/seoul"}), "", false},
		{"B44 absent", with(map[string]any{"aud": nil}), "", false},
		{"B45 iat 1 h old", with(map[string]any{"iat": now.Unix() - 3600}), "", false},
		{"B45 iat 1 h ahead", with(map[string]any{"iat": now.Unix() + 3600}), "", false},
		{"B45 iat 61 s ahead", with(map[string]any{"iat": now.Unix() + 61}), "", false},
		{"B45 iat absent", with(map[string]any{"iat": nil}), "", false},
		{"B45 iat as text", with(map[string]any{"iat": "1795251600"}), "", false},
		{"B46 kid and jwk", proofFor(t, s, keys.Header{Kid: didURL, JWK: s.Public()}, nil), "", false},
		{"B46 kid and x5c", proofFor(t, s, keys.Header{Kid: didURL, X5C: [][]byte{{0x30}}}, nil), "", false},
		{"B46 jwk and x5c", proofFor(t, s, keys.Header{JWK: s.Public(), X5C: [][]byte{{0x30}}}, nil), "", false},
		{"B46 none", proofFor(t, s, keys.Header{}, nil), "", false},
		{"B47 bad signature", flip(with(nil)), "", false},
		{"B47 signed by another key", proofFor(t, other, byJWK, nil), "", false},
		{"B47 kid resolves to another key", proofFor(t, other, byKid, nil), "", false},
		{"B47 kid that nobody knows", proofFor(t, s, keys.Header{Kid: "did:dojang:demo:x#1"}, nil), "", false},
		{"B47 trust_chain without kid", rawProof(t, s, `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":`+jwk+`,"trust_chain":["a"]}`), "", false},
		{"B48 iss after anonymous access", with(map[string]any{"iss": "wallet"}), "", false},
		{"B48 iss is another client", with(map[string]any{"iss": "evil"}), "wallet", false},
		{"typ of a DPoP proof", proofFor(t, s, keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}, nil), "", false},
		{"private key in jwk", rawProof(t, s, `{"alg":"ES256","typ":"openid4vci-proof+jwt","jwk":`+strings.Replace(jwk, "{", `{"d":"AQ",`, 1)+`}`), "", false},
		{"alg none", rawProof(t, s, `{"alg":"none","typ":"openid4vci-proof+jwt","jwk":`+jwk+`}`), "", false},
		{"not a JWT", "x", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := VerifyProof(tt.jwt, Expect{
				Audience: issuer, Now: now, ClientID: tt.client,
				ResolveKid: func(kid string) (*keys.PublicKey, error) {
					if kid != didURL {
						return nil, errors.New("no such key")
					}
					return s.Public(), nil
				},
				VerifyX5C: func([][]byte) (*keys.PublicKey, error) { return s.Public(), nil },
			})
			if tt.ok {
				if err != nil || !p.Key.Equal(s.Public()) || p.Thumbprint != s.Public().Thumbprint() {
					t.Fatalf("%+v, %v", p, err)
				}
				return
			}
			if e := oauth.AsError(err); e.Code != oauth.InvalidProof || e.Status() != 400 || p != (Proof{}) {
				t.Fatalf("got %v, %+v", err, p)
			}
		})
	}
	t.Run("kid and x5c are refused unless asked for", func(t *testing.T) {
		for _, h := range []keys.Header{byKid, byX5C} {
			if _, err := VerifyProof(proofFor(t, s, h, nil), Expect{Audience: issuer, Now: now}); oauth.CodeOf(err) != oauth.InvalidProof {
				t.Fatalf("got %v", err)
			}
		}
	})
	t.Run("algorithm not in the metadata", func(t *testing.T) {
		if _, err := VerifyProof(with(nil), Expect{Audience: issuer, Now: now, Algs: []string{keys.EdDSA}}); oauth.CodeOf(err) != oauth.InvalidProof {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("no audience configured", func(t *testing.T) {
		if _, err := VerifyProof(with(map[string]any{"aud": nil}), Expect{Now: now}); oauth.CodeOf(err) != oauth.InvalidProof {
			t.Fatalf("got %v", err)
		}
	})
}

func TestVerifyProofs(t *testing.T) {
	a, b := newSigner(t, keys.ES256), newSigner(t, keys.EdDSA)
	build := func(s keys.Signer) string {
		jwt, err := BuildProof(s, ProofRequest{Audience: issuer, Nonce: "n1", KeyAttestation: "a.b.c", Now: now})
		if err != nil {
			t.Fatal(err)
		}
		return jwt
	}
	e := Expect{Audience: issuer, Now: now}
	got, err := VerifyProofs([]string{build(a), build(b)}, e)
	if err != nil || len(got) != 2 || got[0].Thumbprint != a.Public().Thumbprint() || got[1].Nonce != "n1" || got[1].KeyAttestation != "a.b.c" {
		t.Fatalf("%+v, %v", got, err)
	}
	t.Run("B51 same key twice", func(t *testing.T) {
		got, err := VerifyProofs([]string{build(a), build(b), build(a)}, e)
		if oe := oauth.AsError(err); oe.Code != oauth.InvalidProof || oe.Status() != 400 || got != nil {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	if _, err := BuildProof(a, ProofRequest{Now: now}); err == nil {
		t.Fatal("a proof for nobody was built")
	}
}

func flip(jws string) string {
	i := strings.LastIndexByte(jws, '.') + 1
	c := byte('A')
	if jws[i] == 'A' {
		c = 'B'
	}
	return jws[:i] + string(c) + jws[i+1:]
}

func FuzzVerifyProof(f *testing.F) {
	s := newSigner(f, keys.ES256)
	f.Add(proofFor(f, s, keys.Header{JWK: s.Public()}, nil))
	f.Add("..")
	f.Fuzz(func(t *testing.T, jwt string) {
		p, err := VerifyProof(jwt, Expect{Audience: issuer, Now: now})
		if (err == nil) != (p.Key != nil) || err != nil && oauth.CodeOf(err) != oauth.InvalidProof {
			t.Fatalf("%+v, %v", p, err)
		}
	})
}
