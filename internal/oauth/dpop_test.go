package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// memory is a replay store that a test owns.
func memory() func(string, time.Time) (bool, error) {
	seen := map[string]bool{}
	return func(id string, _ time.Time) (bool, error) {
		fresh := !seen[id]
		seen[id] = true
		return fresh, nil
	}
}

func newSigner(t testing.TB, alg string) keys.Signer {
	t.Helper()
	s, err := keys.Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign makes a JWS of arbitrary claims, for what the builders refuse to build.
func sign(t testing.TB, s keys.Signer, h keys.Header, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := keys.SignJWS(s, h, payload)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

const tokenURL = "https://issuer.example/gaon/token"

func dpopClaimsFor(change map[string]any) map[string]any {
	c := map[string]any{"jti": "j-1", "htm": "POST", "htu": tokenURL, "iat": now.Unix(), "ath": tokenHash("tok"), "nonce": "n1"}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func TestVerifyDPoP(t *testing.T) {
	s, other := newSigner(t, keys.ES256), newSigner(t, keys.ES256)
	header := keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}
	proof := func(change map[string]any) []string { return []string{sign(t, s, header, dpopClaimsFor(change))} }
	tests := []struct {
		name   string
		values []string
		want   Code
	}{
		{"good", proof(nil), ""},
		{"B33 accepted: htu with query and fragment", proof(map[string]any{"htu": tokenURL + "?a=b#c"}), ""},
		{"B33 accepted: host in upper case", proof(map[string]any{"htu": "https://ISSUER.example/gaon/token"}), ""},
		{"B33 accepted: default port", proof(map[string]any{"htu": "https://issuer.example:443/gaon/token"}), ""},
		{"B33 accepted: iat 10 s early", proof(map[string]any{"iat": now.Unix() - 10}), ""},
		{"B33 accepted: iat 10 s late", proof(map[string]any{"iat": now.Unix() + 10}), ""},
		{"B33 no header", nil, InvalidDPoPProof},
		{"B33 two headers", append(proof(nil), proof(map[string]any{"jti": "j-2"})...), InvalidDPoPProof},
		{"B33 two proofs in one header", []string{proof(nil)[0] + ", " + proof(nil)[0]}, InvalidDPoPProof},
		{"B33 htm", proof(map[string]any{"htm": "GET"}), InvalidDPoPProof},
		{"B33 htm in lower case", proof(map[string]any{"htm": "post"}), InvalidDPoPProof},
		{"B33 htu path", proof(map[string]any{"htu": "https://issuer.example/gaon/credential"}), InvalidDPoPProof},
		{"B33 htu host", proof(map[string]any{"htu": "https://evil.example/gaon/token"}), InvalidDPoPProof},
		{"B33 htu scheme", proof(map[string]any{"htu": "http://issuer.example/gaon/token"}), InvalidDPoPProof},
		{"B33 htu port", proof(map[string]any{"htu": "https://issuer.example:8443/gaon/token"}), InvalidDPoPProof},
		{"B33 htu with user", proof(map[string]any{"htu": "https://a@issuer.example/gaon/token"}), InvalidDPoPProof},
		{"B33 ath", proof(map[string]any{"ath": tokenHash("another")}), InvalidDPoPProof},
		{"B33 key", []string{sign(t, other, keys.Header{Typ: keys.TypDPoP, JWK: other.Public()}, dpopClaimsFor(nil))}, InvalidDPoPProof},
		{"B33 signed by another key than jwk", []string{sign(t, other, header, dpopClaimsFor(nil))}, InvalidDPoPProof},
		{"B33 no jti", proof(map[string]any{"jti": nil}), InvalidDPoPProof},
		{"B33 no iat", proof(map[string]any{"iat": nil}), InvalidDPoPProof},
		{"B33 no htm", proof(map[string]any{"htm": nil}), InvalidDPoPProof},
		{"B33 no htu", proof(map[string]any{"htu": nil}), InvalidDPoPProof},
		{"B33 no ath", proof(map[string]any{"ath": nil}), InvalidDPoPProof},
		{"B33 iat 1 h early", proof(map[string]any{"iat": now.Unix() - 3600}), InvalidDPoPProof},
		{"B33 iat 1 h late", proof(map[string]any{"iat": now.Unix() + 3600}), InvalidDPoPProof},
		{"B33 upper-cased", []string{strings.ToUpper(proof(nil)[0])}, InvalidDPoPProof},
		{"B33 not a JWT", []string{"hello"}, InvalidDPoPProof},
		{"iat as text", proof(map[string]any{"iat": "1"}), InvalidDPoPProof},
		{"jti as number", proof(map[string]any{"jti": 5}), InvalidDPoPProof},
		{"long jti", proof(map[string]any{"jti": strings.Repeat("j", 513)}), InvalidDPoPProof},
		{"another typ", []string{sign(t, s, keys.Header{Typ: keys.TypProof, JWK: s.Public()}, dpopClaimsFor(nil))}, InvalidDPoPProof},
		{"kid instead of jwk", []string{sign(t, s, keys.Header{Typ: keys.TypDPoP, Kid: "k"}, dpopClaimsFor(nil))}, InvalidDPoPProof},
		{"kid beside jwk", []string{sign(t, s, keys.Header{Typ: keys.TypDPoP, Kid: "k", JWK: s.Public()}, dpopClaimsFor(nil))}, InvalidDPoPProof},
		{"B31 no nonce", proof(map[string]any{"nonce": nil}), UseDPoPNonce},
		{"B31 stale nonce", proof(map[string]any{"nonce": "n0"}), UseDPoPNonce},
	}
	for _, tt := range tests {
		for _, place := range []struct {
			token  string
			status int
		}{{"", 400}, {"tok", 401}} {
			if place.token == "" && strings.Contains(tt.name, "ath") && !strings.Contains(tt.name, "path") {
				continue // there is no token yet
			}
			t.Run(tt.name, func(t *testing.T) {
				uses := 0
				e := DPoPExpect{
					Method: "POST", URL: tokenURL, Now: now, AccessToken: place.token, Thumbprint: s.Public().Thumbprint(),
					CheckNonce: func(n string) error {
						if n != "n1" {
							return errors.New("stale")
						}
						return nil
					},
					FirstUse: func(string, time.Time) (bool, error) { uses++; return true, nil },
				}
				h := http.Header{}
				for _, v := range tt.values {
					h.Add(HeaderDPoP, v)
				}
				d, err := VerifyDPoP(h, e)
				if tt.want == "" {
					if err != nil || !d.Key.Equal(s.Public()) || uses != 1 {
						t.Fatalf("%v, %d uses", err, uses)
					}
					return
				}
				if CodeOf(err) != tt.want || AsError(err).Status() != place.status || uses != 0 || d.Key != nil {
					t.Fatalf("got %v (%d), %d uses", err, AsError(err).Status(), uses)
				}
				if tt.want == UseDPoPNonce {
					w := httptest.NewRecorder()
					WriteResourceError(w, AsError(err).WithHeader(HeaderDPoPNonce, "n1"), SchemeDPoP)
					if w.Code != place.status || w.Header().Get(HeaderDPoPNonce) != "n1" {
						t.Fatalf("%d %v", w.Code, w.Header())
					}
				}
			})
		}
	}
}

func TestVerifyDPoPReplay(t *testing.T) {
	s := newSigner(t, keys.ES256)
	e := DPoPExpect{Method: "POST", URL: tokenURL, Now: now, FirstUse: memory()}
	h := http.Header{}
	h.Set(HeaderDPoP, sign(t, s, keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}, dpopClaimsFor(nil)))
	if _, err := VerifyDPoP(h, e); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyDPoP(h, e); CodeOf(err) != InvalidDPoPProof {
		t.Fatalf("same proof: %v", err)
	}
	// Another signature over the same jti, spelled differently in JSON, is the same proof.
	raw := []byte(`{"jti":"\u006a-1","htm":"POST","htu":"` + tokenURL + `","iat":` + string(numericDate(now)) + `}`)
	again, err := keys.SignJWS(s, keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}, raw)
	if err != nil {
		t.Fatal(err)
	}
	h.Set(HeaderDPoP, again)
	if _, err := VerifyDPoP(h, e); CodeOf(err) != InvalidDPoPProof {
		t.Fatalf("re-encoded jti: %v", err)
	}
	e.FirstUse = func(string, time.Time) (bool, error) { return false, errors.New("store is down") }
	if _, err := VerifyDPoP(h, e); CodeOf(err) != ServerError {
		t.Fatalf("store down: %v", err)
	}
}

func TestVerifyAccess(t *testing.T) {
	s := newSigner(t, keys.EdDSA)
	jkt := s.Public().Thumbprint()
	built, err := BuildDPoP(s, DPoPRequest{Method: "POST", URL: tokenURL + "?x=1", AccessToken: "tok", JTI: "j", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	with := http.Header{}
	with.Set(HeaderDPoP, built)
	tests := []struct {
		name   string
		header http.Header
		token  AccessToken
		jkt    string
		want   Code
	}{
		{"bearer", http.Header{}, AccessToken{SchemeBearer, "tok"}, "", ""},
		{"bound with proof", with, AccessToken{SchemeDPoP, "tok"}, jkt, ""},
		{"B30 bound token without proof", http.Header{}, AccessToken{SchemeDPoP, "tok"}, jkt, InvalidToken},
		{"B30 bound token downgraded to Bearer", with, AccessToken{SchemeBearer, "tok"}, jkt, InvalidToken},
		{"bearer token upgraded", with, AccessToken{SchemeDPoP, "tok"}, "", InvalidToken},
		{"another token", with, AccessToken{SchemeDPoP, "tok2"}, jkt, InvalidDPoPProof},
		{"another key", with, AccessToken{SchemeDPoP, "tok"}, newSigner(t, keys.EdDSA).Public().Thumbprint(), InvalidDPoPProof},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := VerifyAccess(tt.header, tt.token, tt.jkt, DPoPExpect{Method: "POST", URL: tokenURL, Now: now, FirstUse: memory()})
			if CodeOf(err) != tt.want {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if tt.want != "" {
				w := httptest.NewRecorder()
				WriteResourceError(w, err, SchemeDPoP)
				if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || !strings.HasPrefix(got, `DPoP error="`+string(tt.want)+`"`) {
					t.Fatalf("%d %q", w.Code, got)
				}
			}
		})
	}
	t.Run("B30 no proof at the token endpoint", func(t *testing.T) {
		_, err := VerifyDPoP(http.Header{}, DPoPExpect{Method: "POST", URL: tokenURL, Now: now, FirstUse: memory()})
		if e := AsError(err); e.Code != InvalidDPoPProof || e.Status() != 400 {
			t.Fatalf("got %v", err)
		}
	})
}

func FuzzVerifyDPoP(f *testing.F) {
	s := newSigner(f, keys.ES256)
	good := sign(f, s, keys.Header{Typ: keys.TypDPoP, JWK: s.Public()}, dpopClaimsFor(nil))
	f.Add(good)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, proof string) {
		d, err := VerifyDPoP(http.Header{"Dpop": {proof}}, DPoPExpect{Method: "POST", URL: tokenURL, Now: now, FirstUse: memory()})
		if (err == nil) != (d.Key != nil) {
			t.Fatalf("%+v, %v", d, err)
		}
	})
}
