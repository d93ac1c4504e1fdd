package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

// What parses has one spelling: header and payload written again give the same token.
func FuzzParseJWS(f *testing.F) {
	s := generateKey(f, ES256)
	token, err := SignJWS(s, Header{Typ: TypProof, Kid: "k", JWK: s.Public(), X5C: [][]byte{{1}}}, []byte(`{}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{token, "", "..", "a.b.c", `{"payload":"a.b.c"}`, token + "=", token[:len(token)-1]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		j, err := ParseJWS(text, Expect{Typ: TypProof})
		if err != nil {
			if j != nil {
				t.Fatal("an error came with a JWS")
			}
			return
		}
		h := j.Header()
		if h.Typ != TypProof || (h.Alg != ES256 && h.Alg != EdDSA) || len(h.Kid) > maxKid || len(h.X5C) > maxChain {
			t.Fatalf("header out of bounds: %+v", h)
		}
		if text != string(j.input)+"."+EncodeBase64URL(j.signature) {
			t.Fatal("two spellings of one token")
		}
		if payload, err := j.Verify(s.Public()); err == nil && text != token && string(payload) != "{}" {
			t.Fatal("a forged token verified")
		}
	})
}

func FuzzParseJWK(f *testing.F) {
	for _, alg := range []string{ES256, EdDSA} {
		f.Add(generateKey(f, alg).Public().JWK())
	}
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"","y":"","d":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseJWK(data)
		if err != nil {
			return
		}
		again, err := ParseJWK(key.JWK())
		if err != nil || !again.Equal(key) {
			t.Fatalf("canonical form does not come back: %v", err)
		}
		if _, err := NewPublicKey(key.Crypto()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	k := encryptionKey(f)
	good, err := Encrypt([]byte("x"), Encryption{To: k.Recipient(), Enc: A128GCM, APU: []byte("u")})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, good[:len(good)-1], "....", "a.b.c.d.e", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		payload, _, err := Decrypt(k, text, ExpectJWE{})
		if err != nil && payload != nil {
			t.Fatal("an error came with a payload")
		}
		if err == nil && string(payload) != "x" {
			t.Fatal("a forged token decrypted")
		}
	})
}

func FuzzParseNumericDate(f *testing.F) {
	for _, seed := range []string{"0", "1790000000", "1.5", "-1", "1e400", "9223372036854775808", "NaN", "01", ".", "1."} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		at, err := ParseNumericDate(raw)
		if err == nil && (at.Unix() < 0 || at.Year() > 9999 || at.Location() != time.UTC) {
			t.Fatalf("out of range: %v", at)
		}
	})
}

func FuzzAppendEncodeURL(f *testing.F) {
	for n := range 100 {
		f.Add(bytes.Repeat([]byte{0xfb, byte(n)}, n), n%7)
	}
	f.Fuzz(func(t *testing.T, data []byte, room int) {
		dst := append(make([]byte, 0, 8+room&0xff), "x"...)
		if got := AppendEncodeURL(dst, data); string(got) != "x"+base64.RawURLEncoding.EncodeToString(data) {
			t.Fatal("not what the standard library writes")
		}
	})
}

// TestNewlines: wherever newlines stand in whatever text, it is refused (A24 is in the tables; this is every place).
func TestNewlines(t *testing.T) {
	for n := range 14 {
		for at := range n + 1 {
			for count := 1; count <= 5; count++ {
				for _, newline := range []string{"\n", "\r"} {
					text := strings.Repeat("A", at) + strings.Repeat(newline, count) + strings.Repeat("A", n-at)
					if _, err := DecodeBase64URL(text); !errors.Is(err, ErrMalformed) {
						t.Errorf("%q: %v", text, err)
					}
				}
			}
		}
	}
}

func FuzzDecodeBase64URL(f *testing.F) {
	for _, seed := range []string{"", "QQ", "QR", "QUI", "QUJD", "Q", "QQ==", "QU\nI", "\r\n\r\n", "QUJD\n", "-_-_", "+/+/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := DecodeBase64URL(text); err == nil && base64.RawURLEncoding.EncodeToString(got) != text {
			t.Fatal("two spellings")
		}
	})
}

func FuzzVerifyChain(f *testing.F) {
	ca, leaf := newChain(f)
	f.Add(leaf)
	f.Add(ca.Root().Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		l, err := VerifyChain([][]byte{der}, chainPolicy(ca))
		if err == nil && X509Hash(l.Certificate.Raw) != X509Hash(leaf) {
			t.Fatal("a forged leaf holds")
		}
	})
}
