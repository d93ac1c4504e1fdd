package keys

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/jwk"
)

func encryptionKey(t testing.TB) *EncryptionKey {
	t.Helper()
	k, err := NewEphemeral("tx-1")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// refused checks the one error and that nothing comes with it.
func refused(t testing.TB, k *EncryptionKey, compact string, e ExpectJWE) {
	t.Helper()
	payload, _, err := Decrypt(k, compact, e)
	if err != ErrDecrypt { //nolint:errorlint // uniform: not even wrapped
		t.Errorf("got %v, want exactly ErrDecrypt", err)
	}
	if payload != nil {
		t.Error("an error came with a payload")
	}
}

func TestEncryptDecrypt(t *testing.T) {
	k := encryptionKey(t)
	for _, enc := range []string{A128GCM, A256GCM} {
		for _, party := range [][]byte{nil, []byte("nonce")} {
			compact, err := Encrypt([]byte(`{"vp_token":{}}`), Encryption{To: k.Recipient(), Enc: enc, APU: party, APV: party, Typ: "JWT", Cty: "json"})
			if err != nil {
				t.Fatal(err)
			}
			payload, h, err := Decrypt(k, compact, ExpectJWE{Encs: []string{enc}})
			if err != nil || string(payload) != `{"vp_token":{}}` {
				t.Fatalf("%s: %v", enc, err)
			}
			if h.Kid != "tx-1" || h.Enc != enc || !bytes.Equal(h.APU, party) || !bytes.Equal(h.APV, party) || h.Typ != "JWT" || h.Cty != "json" {
				t.Errorf("header came back as %+v", h)
			}
			if kid, err := PeekKid(compact); err != nil || kid != "tx-1" {
				t.Errorf("peeked %q, %v", kid, err)
			}
		}
	}
}

func TestEncryptionKeyForms(t *testing.T) {
	k := encryptionKey(t)
	private, err := k.Private()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseEncryptionKey(private)
	if err != nil || again.Kid() != k.Kid() || again.Thumbprint() != k.Thumbprint() {
		t.Fatalf("private key does not come back: %v", err)
	}
	r, err := ParseRecipient(k.JWK())
	if err != nil || r.Thumbprint() != k.Thumbprint() || r.Kid() != "tx-1" || !bytes.Equal(r.JWK(), k.JWK()) {
		t.Fatalf("public key does not come back: %v", err)
	}
	_, err = ParseRecipient(private)
	wantErr(t, err, ErrKey)
	_, err = ParseRecipient(bytes.Replace(k.JWK(), []byte(`"alg":"ECDH-ES"`), []byte(`"alg":"RSA1_5"`), 1))
	wantErr(t, err, ErrAlg)
	_, err = ParseRecipient(generateKey(t, ES256).Public().JWK())
	wantErr(t, err, ErrAlg) // no alg: VP 8.3 takes alg from the JWK
	_, err = ParseEncryptionKey(k.JWK())
	wantErr(t, err, ErrKey)
	other, err := encryptionKey(t).Private()
	if err != nil {
		t.Fatal(err)
	}
	d := strings.Split(string(other), `"d":"`)[1]
	_, err = ParseEncryptionKey([]byte(strings.Split(string(private), `"d":"`)[0] + `"d":"` + d))
	wantErr(t, err, ErrKey) // d of another key
	_, err = NewEphemeral("")
	wantErr(t, err, ErrLimit)
	_, err = Encrypt(nil, Encryption{To: r, Enc: "A128CBC-HS256"})
	wantErr(t, err, ErrAlg)
	_, err = Encrypt(nil, Encryption{Enc: A128GCM})
	wantErr(t, err, ErrKey)
	_, err = Encrypt(nil, Encryption{To: r, Enc: A128GCM, APU: make([]byte, 513)})
	wantErr(t, err, ErrLimit)
}

// respell replaces members of the protected header; the tag no longer fits, which must not matter for the outcome.
func respell(t testing.TB, compact string, changes map[string]any) string {
	t.Helper()
	head, rest, _ := strings.Cut(compact, ".")
	b, err := DecodeBase64URL(head)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	maps.Copy(m, changes)
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return EncodeBase64URL(b) + "." + rest
}

func TestJWERefusals(t *testing.T) {
	k := encryptionKey(t)
	good, err := Encrypt([]byte("x"), Encryption{To: k.Recipient(), Enc: A128GCM})
	if err != nil {
		t.Fatal(err)
	}
	epk := map[string]any{"kty": "EC", "crv": "P-256", "x": EncodeBase64URL(make([]byte, 32)), "y": EncodeBase64URL(bytes.Repeat([]byte{1}, 32))}
	zero := map[string]any{"kty": "EC", "crv": "P-256", "x": EncodeBase64URL(make([]byte, 32)), "y": EncodeBase64URL(make([]byte, 32))}
	parts := strings.Split(good, ".")
	join := func(i int, s string) string {
		p := append([]string(nil), parts...)
		p[i] = s
		return strings.Join(p, ".")
	}
	for _, c := range []struct{ name, compact string }{
		{"A17 zip", respell(t, good, map[string]any{"zip": "DEF"})},
		{"A18 PBES2 with a huge count", respell(t, good, map[string]any{"alg": "PBES2-HS512+A256KW", "p2c": 1<<31 - 1, "p2s": "AAAA"})},
		{"A19 RSA1_5", respell(t, good, map[string]any{"alg": "RSA1_5"})},
		{"A19 CBC", respell(t, good, map[string]any{"enc": "A128CBC-HS256"})},
		{"A19 altered tag", join(4, EncodeBase64URL(make([]byte, 16)))},
		{"A19 altered ciphertext", join(3, "AAAA")},
		{"A20 epk off the curve", respell(t, good, map[string]any{"epk": epk})},
		{"A20 epk at infinity", respell(t, good, map[string]any{"epk": zero})},
		{"A20 epk on another curve", respell(t, good, map[string]any{"epk": map[string]any{"kty": "OKP", "crv": "X25519", "x": epk["x"]}})},
		{"A20 epk missing", respell(t, good, map[string]any{"epk": nil})},
		{"A20 epk is a text", respell(t, good, map[string]any{"epk": "x"})},
		{"A20 encrypted key where none belongs", join(1, "AAAA")},
		{"A20 truncated tag", join(4, EncodeBase64URL(make([]byte, 12)))},
		{"A20 empty tag", join(4, "")},
		{"A20 empty IV", join(2, "")},
		{"A20 four parts", strings.Join(parts[:4], ".")},
		{"A20 six parts", good + ".AAAA"},
		{"A21 unknown kid", respell(t, good, map[string]any{"kid": "tx-2"})},
		{"A21 kid missing", respell(t, good, map[string]any{"kid": nil})},
		{"A21 enc not advertised", respell(t, good, map[string]any{"enc": "A192GCM"})},
		{"A21 alg of another JWK", respell(t, good, map[string]any{"alg": "ECDH-ES+A128KW"})},
		{"A21 apu of 1 MiB", respell(t, good, map[string]any{"apu": strings.Repeat("A", 700<<10)})},
		{"A21 apv above its limit", respell(t, good, map[string]any{"apv": strings.Repeat("A", 1000)})},
		{"A11 crit", respell(t, good, map[string]any{"crit": []string{"exp"}})},
		{"A08 jku", respell(t, good, map[string]any{"jku": "http://169.254.169.254/"})},
		{"A24 padding", good + "="},
		{"A24 newline", parts[0] + "\n" + good[len(parts[0]):]},
		{"A13 JSON serialization", `{"protected":"` + parts[0] + `","ciphertext":"AAAA"}`},
		{"empty", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			refused(t, k, c.compact, ExpectJWE{})
			if d := time.Since(start); d > time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("A21 enc not among those of the place", func(t *testing.T) { refused(t, k, good, ExpectJWE{Encs: []string{A256GCM}}) })
	t.Run("A17 text above the limit", func(t *testing.T) {
		_, _, err := Decrypt(k, strings.Repeat("A", 1<<20+1), ExpectJWE{})
		wantErr(t, err, ErrLimit)
		_, _, err = Decrypt(k, good, ExpectJWE{MaxBytes: 10})
		wantErr(t, err, ErrLimit)
	})
	t.Run("D30 key of another transaction under the same kid", func(t *testing.T) { refused(t, encryptionKey(t), good, ExpectJWE{}) })
	if _, _, err := Decrypt(k, good, ExpectJWE{}); err != nil {
		t.Fatal(err)
	}
}

// A17: a real compressed token, correctly made for our key, is refused as well.
func TestCompressedJWE(t *testing.T) {
	k := encryptionKey(t)
	h := jwe.NewHeaders()
	if err := h.Set(jwe.KeyIDKey, "tx-1"); err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Repeat([]byte{0}, 8<<20)
	compact, err := jwe.Encrypt(bomb, jwe.WithKey(jwa.ECDH_ES, k.Recipient().key, jwe.WithPerRecipientHeaders(h)),
		jwe.WithContentEncryption(jwa.A128GCM), jwe.WithCompress(jwa.Deflate))
	if err != nil {
		t.Fatal(err)
	}
	if len(compact) > 64<<10 {
		t.Fatalf("not compressed: %d bytes (flate level %d)", len(compact), flate.BestCompression)
	}
	t.Run("A17 8 MiB in a small text", func(t *testing.T) { refused(t, k, string(compact), ExpectJWE{}) })
}

func TestJWEWithTheLibrary(t *testing.T) {
	k := encryptionKey(t)
	t.Run("the library opens ours", func(t *testing.T) {
		compact, err := Encrypt([]byte("hello"), Encryption{To: k.Recipient(), Enc: A256GCM, APU: []byte("u"), APV: []byte("v")})
		if err != nil {
			t.Fatal(err)
		}
		private, err := k.Private()
		if err != nil {
			t.Fatal(err)
		}
		lib, err := jwk.ParseKey(private)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jwe.Decrypt([]byte(compact), jwe.WithKey(jwa.ECDH_ES, lib))
		if err != nil || string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	})
	t.Run("A19 RSA recipient", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := jwe.Encrypt([]byte("x"), jwe.WithKey(jwa.RSA1_5, &key.PublicKey), jwe.WithContentEncryption(jwa.A128CBC_HS256))
		if err != nil {
			t.Fatal(err)
		}
		refused(t, k, string(compact), ExpectJWE{})
	})
}
