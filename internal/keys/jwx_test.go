package keys

import (
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// Our codec and the library read each other's tokens and keys.
func TestJWSWithTheLibrary(t *testing.T) {
	for _, alg := range []string{ES256, EdDSA} {
		s := generateKey(t, alg)
		token, err := SignJWS(s, Header{Typ: TypProof, Kid: "k1", JWK: s.Public()}, []byte(`{"aud":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		lib, err := jwk.ParseKey(s.Public().JWK())
		if err != nil {
			t.Fatal(err)
		}
		payload, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(alg), lib))
		if err != nil || string(payload) != `{"aud":"x"}` {
			t.Fatalf("%s: the library refuses ours: %v", alg, err)
		}

		private, err := CryptoSigner(s)
		if err != nil {
			t.Fatal(err)
		}
		h := jws.NewHeaders()
		for name, value := range map[string]any{jws.TypeKey: TypProof, jws.KeyIDKey: "k1", jws.JWKKey: lib} {
			if err := h.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		theirs, err := jws.Sign([]byte(`{"aud":"y"}`), jws.WithKey(jwa.SignatureAlgorithm(alg), private, jws.WithProtectedHeaders(h)))
		if err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWS(theirs, Expect{Typ: TypProof, Algs: []string{alg}})
		if err != nil {
			t.Fatalf("%s: we refuse theirs: %v", alg, err)
		}
		if payload, err = j.Verify(s.Public()); err != nil || string(payload) != `{"aud":"y"}` || j.Header().Kid != "k1" || !j.Header().JWK.Equal(s.Public()) {
			t.Fatalf("%s: %q, %v", alg, payload, err)
		}
	}
}
