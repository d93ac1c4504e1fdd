package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"testing"
)

// every place of THREATS A22, and our own two.
var places = []string{
	TypProof, TypDPoP, TypClientAttestation, TypClientAttestPoP, TypKeyAttestation, TypKeyBinding, TypSDJWTVC,
	TypStatusList, TypRequestObject, TypIssuerMetadata, TypAccessToken, TypVerificationRecord,
}

func generateKey(t testing.TB, alg string) Signer {
	t.Helper()
	s, err := Generate(alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// craft signs whatever header an attacker writes.
func craft(t testing.TB, header, payload string, s Signer) string {
	t.Helper()
	input := EncodeBase64URL([]byte(header)) + "." + EncodeBase64URL([]byte(payload))
	sig, err := s.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + EncodeBase64URL(sig)
}

// open runs a token through parse and verify and checks that an error comes with nothing.
func open(t testing.TB, token string, e Expect, key *PublicKey) ([]byte, error) {
	t.Helper()
	j, err := ParseJWS(token, e)
	if err != nil {
		if j != nil {
			t.Error("an error came with a JWS")
		}
		return nil, err
	}
	payload, err := j.Verify(key)
	if err != nil && payload != nil {
		t.Error("an error came with a payload")
	}
	return payload, err
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestSignAndVerify(t *testing.T) {
	for _, alg := range []string{ES256, EdDSA} {
		s := Checked(generateKey(t, alg))
		h := Header{Typ: TypProof, Kid: `did:x#k"1`, JWK: s.Public(), X5C: [][]byte{{1, 2, 3}, {4}},
			Extra: []Member{{Name: "key_attestation", Value: "a.b.c"}, {Name: "trust_chain", Value: `["x"]`, IsJSON: true}}}
		token, err := SignJWS(s, h, []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWS(token, Expect{Typ: TypProof})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := j.Verify(s.Public())
		if err != nil || string(payload) != `{"a":1}` {
			t.Fatalf("payload %s, %v", payload, err)
		}
		got := j.Header()
		ka, ok := got.Get("key_attestation")
		if got.Alg != alg || got.Kid != h.Kid || !got.JWK.Equal(s.Public()) || len(got.X5C) != 2 || ka != "a.b.c" || !ok || !got.Has("trust_chain") {
			t.Errorf("header came back as %+v", got)
		}
		if _, ok := got.Get("trust_chain"); ok {
			t.Error("an array was read as a string")
		}
		_, err = j.Verify(generateKey(t, alg).Public())
		wantErr(t, err, ErrSignature)
		_, err = j.Verify(nil)
		wantErr(t, err, ErrKey)
	}
}

func TestSignRefusesReservedExtras(t *testing.T) {
	s := generateKey(t, ES256)
	for _, name := range []string{"alg", "typ", "kid", "jwk", "x5c", "crit", "b64", "jku", "zip"} {
		_, err := SignJWS(s, Header{Typ: TypProof, Extra: []Member{{Name: name, Value: "x"}}}, nil)
		wantErr(t, err, ErrMalformed)
	}
	_, err := SignJWS(s, Header{Typ: TypProof, Alg: EdDSA}, nil)
	wantErr(t, err, ErrAlg)
	_, err = ParseJWS("a.b.c", Expect{})
	wantErr(t, err, ErrType)
}

func TestAlgorithms(t *testing.T) {
	s := generateKey(t, ES256)
	t.Run("A01 alg none with empty signature at every place", func(t *testing.T) {
		for _, typ := range places {
			input := EncodeBase64URL([]byte(`{"alg":"none","typ":"`+typ+`"}`)) + "." + EncodeBase64URL([]byte(`{}`)) + "."
			_, err := open(t, input, Expect{Typ: typ}, s.Public())
			wantErr(t, err, ErrAlg)
			_, err = open(t, input, Expect{Typ: typ, Algs: []string{"none"}}, s.Public()) // even when configured
			wantErr(t, err, ErrAlg)
		}
	})
	t.Run("A02 alg in other spellings and types", func(t *testing.T) {
		for _, alg := range []string{`"None"`, `"nOnE"`, `""`, `"es256"`, `"ES256 "`, `"ES256\u0000"`, `256`, `["ES256"]`, `null`, `{"a":1}`} {
			_, err := open(t, craft(t, `{"alg":`+alg+`,"typ":"dpop+jwt"}`, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
			wantErr(t, err, ErrAlg)
		}
		_, err := open(t, craft(t, `{"typ":"dpop+jwt"}`, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
		wantErr(t, err, ErrAlg)
	})
	t.Run("A03 HS256 with the public key as secret", func(t *testing.T) {
		for _, secret := range [][]byte{s.Public().JWK(), s.Public().ec.X.Bytes()} {
			input := EncodeBase64URL([]byte(`{"alg":"HS256","typ":"dpop+jwt"}`)) + "." + EncodeBase64URL([]byte(`{}`))
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(input))
			_, err := open(t, input+"."+EncodeBase64URL(m.Sum(nil)), Expect{Typ: TypDPoP, Algs: []string{"HS256", ES256}}, s.Public())
			wantErr(t, err, ErrAlg)
		}
	})
	t.Run("A05 alg contradicts the key or the place", func(t *testing.T) {
		for _, alg := range []string{"ES384", "RS256", "PS256", "ES256K", "ES512"} {
			_, err := open(t, craft(t, `{"alg":"`+alg+`","typ":"dpop+jwt"}`, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
			wantErr(t, err, ErrAlg)
		}
		_, err := open(t, craft(t, `{"alg":"EdDSA","typ":"dpop+jwt"}`, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
		wantErr(t, err, ErrAlg) // P-256 key
		ed := generateKey(t, EdDSA)
		_, err = open(t, craft(t, `{"alg":"EdDSA","typ":"dpop+jwt"}`, `{}`, ed), Expect{Typ: TypDPoP, Algs: []string{ES256}}, ed.Public())
		wantErr(t, err, ErrAlg) // place takes ES256 only
		_, err = open(t, craft(t, `{"alg":"EdDSA","typ":"dpop+jwt","jwk":`+string(s.Public().JWK())+`}`, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
		wantErr(t, err, ErrAlg) // embedded key of the other kind
	})
}

func TestSignatureEdges(t *testing.T) {
	s := generateKey(t, ES256)
	good := craft(t, `{"alg":"ES256","typ":"dpop+jwt"}`, `{}`, s)
	input, sigText, _ := strings.Cut(good[strings.IndexByte(good, '.')+1:], ".")
	input = good[:strings.IndexByte(good, '.')+1] + input
	sig, err := DecodeBase64URL(sigText)
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N.Bytes()
	zero := make([]byte, 32)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		sig  []byte
	}{
		{"A04 r=s=0", make([]byte, 64)},
		{"A04 r=0", append(bytes.Clone(zero), sig[32:]...)},
		{"A04 s=0", append(bytes.Clone(sig[:32]), zero...)},
		{"A04 r=n", append(bytes.Clone(n), sig[32:]...)},
		{"A04 s=n", append(bytes.Clone(sig[:32]), n...)},
		{"A04 all ones", bytes.Repeat([]byte{0xff}, 64)},
		{"A04 DER instead of P1363", der},
		{"A04 63 bytes", sig[:63]},
		{"A04 65 bytes", append(bytes.Clone(sig), 0)},
		{"A04 empty", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(t, input+"."+EncodeBase64URL(c.sig), Expect{Typ: TypDPoP}, s.Public())
			wantErr(t, err, ErrSignature)
			wantErr(t, s.Public().Verify([]byte(input), c.sig), ErrSignature)
		})
	}
	if _, err := open(t, good, Expect{Typ: TypDPoP}, s.Public()); err != nil {
		t.Fatal(err)
	}
}

func TestHeaders(t *testing.T) {
	s := generateKey(t, ES256)
	attacker := generateKey(t, ES256)
	private, err := s.(*signer).key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk := string(s.Public().JWK())
	withD := strings.TrimSuffix(jwk, "}") + `,"d":"` + EncodeBase64URL(private) + `"}`
	pre := `{"alg":"ES256","typ":"dpop+jwt"`
	for _, c := range []struct {
		name, header string
		want         error
	}{
		{"A07 jwk with d", pre + `,"jwk":` + withD + `}`, ErrKey},
		{"A07 jwk with k", pre + `,"jwk":{"kty":"oct","k":"AAAA"}}`, ErrKey},
		{"A08 jku", pre + `,"jku":"http://169.254.169.254/keys"}`, ErrMalformed},
		{"A08 x5u", pre + `,"x5u":"http://attacker.example/cert"}`, ErrMalformed},
		{"A08 jku beside jwk", pre + `,"jwk":` + jwk + `,"jku":"https://attacker.example"}`, ErrMalformed},
		{"A09 kid of 1 MiB", pre + `,"kid":"` + strings.Repeat("k", 30<<10) + `"}`, ErrLimit},
		{"A09 kid of 257 bytes", pre + `,"kid":"` + strings.Repeat("k", 257) + `"}`, ErrLimit},
		{"A09 kid is a number", pre + `,"kid":7}`, ErrMalformed},
		{"A09 empty kid", pre + `,"kid":""}`, ErrMalformed},
		{"A11 crit unknown", pre + `,"crit":["x"],"x":1}`, ErrMalformed},
		{"A11 crit empty", pre + `,"crit":[]}`, ErrMalformed},
		{"A11 crit names alg", pre + `,"crit":["alg"]}`, ErrMalformed},
		{"A12 b64 false", pre + `,"b64":false,"crit":["b64"]}`, ErrMalformed},
		{"A12 b64 true", pre + `,"b64":true}`, ErrMalformed},
		{"A15 two alg", `{"alg":"none","alg":"ES256","typ":"dpop+jwt"}`, ErrMalformed},
		{"A15 two alg, good first", `{"alg":"ES256","alg":"none","typ":"dpop+jwt"}`, ErrMalformed},
		{"A15 two typ", pre + `,"typ":"dpop+jwt"}`, ErrMalformed},
		{"A15 escaped second alg", pre + `,"\u0061lg":"ES256"}`, ErrMalformed},
		{"A16 case variant of alg", `{"ALG":"ES256","typ":"dpop+jwt"}`, ErrAlg},
		{"A16 case variant of typ", `{"alg":"ES256","Typ":"dpop+jwt"}`, ErrType},
		{"A16 Unicode fold in typ", `{"alg":"ES256","typ":"dpop+ȷwt"}`, ErrType},
		{"A17 zip in a JWS", pre + `,"zip":"DEF"}`, ErrMalformed},
		{"A22 typ absent", `{"alg":"ES256"}`, ErrType},
		{"A22 typ is null", `{"alg":"ES256","typ":null}`, ErrType},
		{"A22 typ with application prefix", `{"alg":"ES256","typ":"application/dpop+jwt"}`, ErrType},
		{"A22 typ in capitals", `{"alg":"ES256","typ":"DPOP+JWT"}`, ErrType},
		{"A24 trailing bytes after the header", pre + `}{}`, ErrMalformed},
		{"A24 byte order mark", "\ufeff" + pre + `}`, ErrMalformed},
		{"A24 leading NUL", "\x00" + pre + `}`, ErrMalformed},
		{"A24 invalid UTF-8", pre + ",\"kid\":\"\xff\"}", ErrMalformed},
		{"header is an array", `["ES256"]`, ErrMalformed},
		{"x5c empty", pre + `,"x5c":[]}`, ErrMalformed},
		{"x5c as URL-safe base64", pre + `,"x5c":["__8"]}`, ErrMalformed},
		{"x5c with a newline", pre + `,"x5c":["AA\nAA"]}`, ErrMalformed},
		{"x5c of six", pre + `,"x5c":["AAAA","AAAA","AAAA","AAAA","AAAA","AAAA"]}`, ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(t, craft(t, c.header, `{}`, s), Expect{Typ: TypDPoP}, s.Public())
			wantErr(t, err, c.want)
		})
	}
	t.Run("A06 embedded key of the attacker never decides", func(t *testing.T) {
		token := craft(t, pre+`,"jwk":`+string(attacker.Public().JWK())+`}`, `{}`, attacker)
		_, err := open(t, token, Expect{Typ: TypDPoP}, s.Public())
		wantErr(t, err, ErrSignature)
	})
	t.Run("A09 kid is opaque", func(t *testing.T) {
		for _, kid := range []string{"../../etc/passwd", "' OR 1=1--", "http://x/", "did:dojang:kr:z#k"} {
			j, err := ParseJWS(craft(t, pre+`,"kid":"`+kid+`"}`, `{}`, s), Expect{Typ: TypDPoP})
			if err != nil || j.Header().Kid != kid {
				t.Errorf("kid came back changed: %v", err)
			}
		}
	})
}

func TestShapes(t *testing.T) {
	s := generateKey(t, ES256)
	good := craft(t, `{"alg":"ES256","typ":"dpop+jwt"}`, `{"a":1}`, s)
	parts := strings.Split(good, ".")
	sig := parts[2]
	last := sig[len(sig)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	loose := sig[:len(sig)-1] + string(alphabet[strings.IndexByte(alphabet, last)|1])
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"A12 detached payload", parts[0] + ".." + sig, ErrMalformed},
		{"A13 flattened JSON", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + sig + `"}`, ErrMalformed},
		{"A13 JSON without protected", `{"payload":"` + parts[1] + `","signature":"` + sig + `"}`, ErrMalformed},
		{"A13 general JSON with dots", `{"payload":"a.b.c","signatures":[{}]}`, ErrMalformed},
		{"A24 padding", good + "=", ErrMalformed},
		{"A24 newline", good + "\n", ErrMalformed},
		{"A24 newline in the payload", parts[0] + "." + parts[1] + "\r\n." + sig, ErrMalformed},
		{"A24 standard alphabet", parts[0] + "." + parts[1] + "." + "+/" + sig[2:], ErrMalformed},
		{"A24 trailing bits", parts[0] + "." + parts[1] + "." + loose, ErrMalformed},
		{"A24 blank before", " " + good, ErrMalformed},
		{"two parts", parts[0] + "." + parts[1], ErrMalformed},
		{"four parts", good + ".AAAA", ErrMalformed},
		{"empty", "", ErrMalformed},
		{"dots only", "..", ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := open(t, c.token, Expect{Typ: TypDPoP}, s.Public())
			wantErr(t, err, c.want)
		})
	}
	t.Run("A14 8 MiB of dots costs less than 1 MiB", func(t *testing.T) {
		token := strings.Repeat(".", 8<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseJWS(token, Expect{Typ: TypDPoP})
		runtime.ReadMemStats(&after)
		wantErr(t, err, ErrLimit)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("allocated %d bytes", got)
		}
	})
}

func TestTypeConfusion(t *testing.T) {
	s := generateKey(t, ES256)
	for _, is := range places {
		token, err := SignJWS(s, Header{Typ: is}, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range places {
			t.Run("A22 "+is+" at "+place, func(t *testing.T) {
				_, err := open(t, token, Expect{Typ: place}, s.Public())
				if is == place {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				wantErr(t, err, ErrType)
			})
		}
	}
}

func TestJWKs(t *testing.T) {
	s := generateKey(t, ES256).Public()
	x, y := strings.Split(string(s.JWK()), `"`)[11], strings.Split(string(s.JWK()), `"`)[15]
	ok := `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `"`
	ed := string(generateKey(t, EdDSA).Public().JWK())
	point, err := DecodeBase64URL(y)
	if err != nil {
		t.Fatal(err)
	}
	point[31] ^= 1
	for _, c := range []struct {
		name, jwk string
		want      error
	}{
		{"valid", ok + `}`, nil},
		{"valid Ed25519", ed, nil},
		{"unknown members are skipped", ok + `,"ext":true,"use":"sig","alg":"ES256","key_ops":["verify"],"kid":"a"}`, nil},
		{"off the curve", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + EncodeBase64URL(point) + `"}`, ErrKey},
		{"infinity", `{"kty":"EC","crv":"P-256","x":"` + EncodeBase64URL(make([]byte, 32)) + `","y":"` + EncodeBase64URL(make([]byte, 32)) + `"}`, ErrKey},
		{"short coordinate", `{"kty":"EC","crv":"P-256","x":"` + x + `","y":"AAAA"}`, ErrKey},
		{"A05 P-384", `{"kty":"EC","crv":"P-384","x":"` + x + `","y":"` + y + `"}`, ErrKey},
		{"A05 alg of another key", ok + `,"alg":"EdDSA"}`, ErrAlg},
		{"A05 alg in small letters", ok + `,"alg":"es256"}`, ErrAlg},
		{"A07 private", ok + `,"d":"AAAA"}`, ErrKey},
		{"A07 private as number", ok + `,"d":5}`, ErrMalformed},
		{"A15 duplicate member", ok + `,"kty":"EC"}`, ErrMalformed},
		{"A16 capital D is no member", ok + `,"D":"x"}`, nil},
		{"A24 trailing data", ok + `} x`, ErrMalformed},
		{"for encryption", ok + `,"use":"enc"}`, ErrKey},
		{"for signing", ok + `,"key_ops":["sign"]}`, ErrKey},
		{"RSA", `{"kty":"RSA","n":"AQAB","e":"AQAB"}`, ErrKey},
		{"X25519", `{"kty":"OKP","crv":"X25519","x":"` + x + `"}`, ErrKey},
		{"Ed25519 of small order", `{"kty":"OKP","crv":"Ed25519","x":"` + EncodeBase64URL(append([]byte{1}, make([]byte, 31)...)) + `"}`, ErrKey},
		{"Ed25519 with y", `{"kty":"OKP","crv":"Ed25519","x":"` + x + `","y":"` + y + `"}`, ErrKey},
		{"Ed25519 of 31 bytes", `{"kty":"OKP","crv":"Ed25519","x":"` + EncodeBase64URL(make([]byte, 31)) + `"}`, ErrKey},
		{"huge", `{"kty":"` + strings.Repeat("E", 9<<10) + `"}`, ErrLimit},
		{"array", `[]`, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := ParseJWK([]byte(c.jwk))
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				again, err := ParseJWK(key.JWK())
				if err != nil || !again.Equal(key) || again.Thumbprint() != key.Thumbprint() {
					t.Errorf("canonical form does not come back: %v", err)
				}
				return
			}
			wantErr(t, err, c.want)
			if key != nil {
				t.Error("an error came with a key")
			}
		})
	}
}

func TestThumbprintOfRFC8037(t *testing.T) {
	key, err := ParseJWK([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	if err != nil || key.Thumbprint() != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" { // RFC 8037 A.3
		t.Errorf("thumbprint %v", err)
	}
}

func TestKeySets(t *testing.T) {
	a, b := generateKey(t, ES256), generateKey(t, ES256)
	named := func(s Signer, kid string) string {
		return strings.TrimSuffix(string(s.Public().JWK()), "}") + `,"kid":"` + kid + `"}`
	}
	t.Run("A10 two keys share one kid, the second signed", func(t *testing.T) {
		set, err := ParseJWKS([]byte(`{"keys":[` + named(a, "k") + `,` + named(b, "k") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		j, err := ParseJWS(craft(t, `{"alg":"ES256","typ":"dpop+jwt","kid":"k"}`, `{"x":1}`, b), Expect{Typ: TypDPoP})
		if err != nil {
			t.Fatal(err)
		}
		payload, key, err := j.VerifyAny(set.Candidates("k"))
		if err != nil || string(payload) != `{"x":1}` || !key.Equal(b.Public()) {
			t.Fatalf("the second key was not tried: %v", err)
		}
		_, _, err = j.VerifyAny(set.Candidates("other"))
		wantErr(t, err, ErrKey)
		_, _, err = j.VerifyAny([]*PublicKey{a.Public()})
		wantErr(t, err, ErrSignature)
	})
	t.Run("A10 five keys share one kid", func(t *testing.T) {
		_, err := ParseJWKS([]byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat(named(a, "k")+",", 5), ",") + `]}`))
		wantErr(t, err, ErrLimit)
	})
	t.Run("A25 10 000 keys in a set", func(t *testing.T) {
		_, err := ParseJWKS([]byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"x"},`, 10000), ",") + `]}`))
		wantErr(t, err, ErrLimit)
		_, err = ParseJWKS(bytes.Repeat([]byte(" "), 1<<20+1))
		wantErr(t, err, ErrLimit)
	})
	t.Run("A07 private key in a public set", func(t *testing.T) {
		_, err := ParseJWKS([]byte(`{"keys":[` + strings.TrimSuffix(named(a, "k"), "}") + `,"d":"AAAA"}]}`))
		wantErr(t, err, ErrKey)
	})
	t.Run("foreign keys are skipped", func(t *testing.T) {
		enc, err := NewEphemeral("e1")
		if err != nil {
			t.Fatal(err)
		}
		set, err := ParseJWKS([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"r"},` + named(a, "k") + `,` + string(enc.JWK()) + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := set.Only(); !ok || len(set.Candidates("r")) != 0 || len(set.Recipients()) != 1 || set.Recipients()[0].Kid() != "e1" {
			t.Error("set was not sorted by use")
		}
	})
	for _, bad := range []string{`{}`, `{"keys":{}}`, `[]`, `{"keys":[1]}`, `{"keys":[]}x`, `{"keys":[],"keys":[]}`} {
		_, err := ParseJWKS([]byte(bad))
		wantErr(t, err, ErrMalformed)
	}
}

func TestCheckedSigner(t *testing.T) {
	s := generateKey(t, ES256)
	_, err := Checked(faulty{s}).Sign([]byte("x"))
	wantErr(t, err, ErrSignature)
	if _, err := CryptoSigner(Checked(s)); err != nil {
		t.Error(err)
	}
	_, err = CryptoSigner(faulty{s})
	wantErr(t, err, ErrKey)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewSigner(p384)
	wantErr(t, err, ErrKey)
	_, err = Generate("RS256")
	wantErr(t, err, ErrAlg)
}

// faulty flips one bit of every signature.
type faulty struct{ Signer }

func (f faulty) Sign(message []byte) ([]byte, error) {
	sig, err := f.Signer.Sign(message)
	sig[5] ^= 1
	return sig, err
}

func TestBase64HasOneSpelling(t *testing.T) {
	for n := range 64 {
		b := make([]byte, n)
		binary.BigEndian.AppendUint32(b, uint32(n))
		text := EncodeBase64URL(b)
		got, err := DecodeBase64URL(text)
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("round trip of %d bytes: %v", n, err)
		}
		for _, other := range []string{text + "=", text + "\n", base64.URLEncoding.EncodeToString(b)} {
			if other == text {
				continue
			}
			_, err := DecodeBase64URL(other)
			wantErr(t, err, ErrMalformed)
		}
	}
}
