package statuslist

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// formats are the two token formats behind one face.
var formats = []struct {
	name  string
	sign  func(keys.Signer, keys.Header, Claims) ([]byte, error)
	parse func([]byte, Limits) (*Unverified, error)
}{{"jwt", SignJWT, ParseJWT}, {"cwt", SignCWT, ParseCWT}}

func TestRoundTrip(t *testing.T) {
	for _, f := range formats {
		for _, alg := range []string{keys.ES256, keys.EdDSA} {
			for _, bits := range []int{1, 2, 4, 8} {
				t.Run(fmt.Sprintf("%s %s %d bits", f.name, alg, bits), func(t *testing.T) {
					signer, err := keys.Generate(alg)
					if err != nil {
						t.Fatal(err)
					}
					v := random(t, bits, 4096, 10)
					token, err := f.sign(signer, keys.Header{Kid: "did:dojang:kr:x#k1"}, claimsFor(t, v))
					if err != nil {
						t.Fatal(err)
					}
					u, err := f.parse(token, Limits{})
					if err != nil {
						t.Fatal(err)
					}
					if u.Header().Kid != "did:dojang:kr:x#k1" || u.Header().Alg != alg {
						t.Errorf("header %+v", u.Header())
					}
					got, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(time.Minute)})
					if err != nil {
						t.Fatal(err)
					}
					if got.TTL != 5*time.Minute || !got.IssuedAt.Equal(signedAt) || !got.ExpiresAt.Equal(signedAt.Add(24*time.Hour)) {
						t.Errorf("token %+v", got)
					}
					if got.Values.Bits() != bits || !bytes.Equal(got.Values.Raw(), v.Raw()) {
						t.Error("values differ")
					}
					if _, err := u.Verify(newKey(t).Public(), Expect{URI: listURI, Now: signedAt}); !errors.Is(err, ErrSignature) {
						t.Errorf("another key: %v", err)
					}
				})
			}
		}
	}
}

func TestPublishedVectors(t *testing.T) {
	var cases []struct {
		Bits     int `json:"bits"`
		Size     uint64
		Nonzero  int `json:"nonzero_entries"`
		Statuses []struct {
			Index uint64
			Value Status
		}
		JSON struct {
			Bits int
			Lst  string
		}
		CBORHex string `json:"cbor_hex"`
	}
	if err := json.Unmarshal(vectors(t, "vectors.json"), &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%d bits", c.Bits), func(t *testing.T) {
			compressed, err := decodeList([]byte(`"` + c.JSON.Lst + `"`))
			if err != nil {
				t.Fatal(err)
			}
			var list cwtStatusList
			data, err := hex.DecodeString(c.CBORHex)
			if err != nil {
				t.Fatal(err)
			}
			if err := decodeCBOR(data, &list); err != nil || list.Bits != uint64(c.Bits) {
				t.Fatalf("CBOR list: %d bits, %v", list.Bits, err)
			}
			for name, lst := range map[string][]byte{"json": compressed, "cbor": list.Lst} {
				raw, err := Inflate(lst, Limits{})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				v, err := NewValues(c.Bits, raw)
				if err != nil || v.Len() != c.Size {
					t.Fatalf("%s: %d entries, %v", name, v.Len(), err)
				}
				want := make(map[uint64]Status)
				for _, s := range c.Statuses {
					want[s.Index] = s.Value
				}
				nonzero := 0
				for i := range c.Size {
					got, err := v.Status(i)
					if err != nil || got != want[i] {
						t.Fatalf("%s: [%d] = %v, %v, want %v", name, i, got, err, want[i])
					}
					if got != Valid {
						nonzero++
					}
				}
				if nonzero != c.Nonzero {
					t.Errorf("%s: %d entries set, want %d", name, nonzero, c.Nonzero)
				}
			}
		})
	}
}

// The draft's example tokens are signed with a key that it does not publish: everything but the signature is read.
func TestPublishedTokens(t *testing.T) {
	const uri = "https://example.com/statuslists/1"
	jwt := bytes.ReplaceAll(vectors(t, "examples", "status_list_jwt_raw.md"), []byte("\n"), nil)
	cwt, err := hex.DecodeString(string(bytes.ReplaceAll(vectors(t, "examples", "status_list_cwt.md"), []byte("\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, u *Unverified, err error, payload []byte) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if u.Header().Kid != "12" || u.Header().Alg != keys.ES256 {
			t.Errorf("%s: header %+v", name, u.Header())
		}
		c, err := u.decode(payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		raw, err := Inflate(c.compressed, Limits{})
		if err != nil || c.bits != 1 || hex.EncodeToString(raw) != "b9a3" {
			t.Errorf("%s: %d bits, %x, %v", name, c.bits, raw, err)
		}
		if c.sub != uri || c.iat.Unix() != 1686920170 || c.exp.Unix() != 2291720170 || c.ttl != 12*time.Hour {
			t.Errorf("%s: claims %+v", name, c)
		}
		if _, err := u.Verify(newKey(t).Public(), Expect{URI: uri, Now: time.Unix(1686920171, 0)}); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: another key: %v", name, err)
		}
	}
	parts := strings.Split(string(jwt), ".")
	u, err := ParseJWT(jwt, Limits{})
	payload, _ := decodeList([]byte(`"` + parts[1] + `"`))
	check("jwt", u, err, payload)
	u, err = ParseCWT(cwt, Limits{})
	var message []any
	if decErr := decodeTagged(cwt, &message); decErr != nil || len(message) != 4 {
		t.Fatalf("cwt: %v", decErr)
	}
	check("cwt", u, err, message[2].([]byte))
}

func TestJWTRefused(t *testing.T) {
	signer := newKey(t)
	compressed, err := Deflate(make([]byte, 64))
	if err != nil {
		t.Fatal(err)
	}
	lst := b64(compressed)
	iat, exp := signedAt.Unix(), signedAt.Add(time.Hour).Unix()
	full := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d,"ttl":300,"status_list":{"bits":2,"lst":%q}}`, listURI, iat, exp, lst)
	with := func(old, new string) string {
		t.Helper()
		if !strings.Contains(full, old) {
			t.Fatalf("%q is not in the payload", old)
		}
		return strings.Replace(full, old, new, 1)
	}
	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	if _, err := gz.Write(make([]byte, 64)); err != nil || gz.Close() != nil {
		t.Fatal(err)
	}
	expOld, iatOld := fmt.Sprintf(`"exp":%d`, exp), fmt.Sprintf(`"iat":%d`, iat)
	tests := []struct {
		name, payload string
		want          error
	}{
		{"C03 bits 3", with(`"bits":2`, `"bits":3`), ErrBits},
		{"C03 bits 16", with(`"bits":2`, `"bits":16`), ErrBits},
		{"C03 bits 0", with(`"bits":2`, `"bits":0`), ErrBits},
		{"C03 bits as text", with(`"bits":2`, `"bits":"2"`), ErrBits},
		{"C03 bits 2.0", with(`"bits":2`, `"bits":2.0`), ErrBits},
		{"C03 no bits", with(`"bits":2,`, ``), ErrBits},
		{"C04 gzip of a Bitstring list", with(lst, b64(zipped.Bytes())), ErrMalformed},
		{"C04 multibase u of a Bitstring list", with(lst, "u"+b64(zipped.Bytes())), ErrMalformed},
		{"C05 another list of the same issuer", with(listURI, listURI+"1"), ErrSubject},
		{"C05 trailing slash", with(listURI, listURI+"/"), ErrSubject},
		{"C05 no sub", with(fmt.Sprintf(`"sub":%q,`, listURI), ``), ErrMalformed},
		{"C08 no exp", with(expOld+",", ``), ErrTime},
		{"C08 exp reached", with(expOld, fmt.Sprintf(`"exp":%d`, iat+60)), ErrTime},
		{"C08 exp before iat", with(iatOld, fmt.Sprintf(`"iat":%d`, exp+1)), ErrTime},
		{"C08 exp as text", with(expOld, `"exp":"1790000000"`), ErrMalformed},
		{"C08 no iat", with(iatOld+",", ``), ErrTime},
		{"C08 iat tomorrow", with(iatOld, fmt.Sprintf(`"iat":%d`, iat+1800)), ErrTime},
		{"C08 ttl as text", with(`"ttl":300`, `"ttl":"300"`), ErrMalformed},
		{"C08 ttl null", with(`"ttl":300`, `"ttl":null`), ErrMalformed},
		{"duplicate member", with(`"ttl":300`, `"ttl":300,"ttl":300`), ErrMalformed},
		{"case variant", with(`"sub"`, `"Sub"`), ErrMalformed},
		{"trailing data", full + "{}", ErrMalformed},
		{"lst with padding", with(lst, lst+"="), ErrMalformed},
		{"lst with a line end", with(lst, lst[:4]+`\n`+lst[4:]), ErrMalformed},
		{"lst escaped", with(`"lst":"`+lst[:1], `"lst":"\u0065`), ErrMalformed},
		{"lst empty", with(lst, ""), ErrMalformed},
		{"lst a number", with(`"`+lst+`"`, "5"), ErrMalformed},
		{"no status_list", `{"sub":"x","iat":1,"exp":2}`, ErrMalformed},
		{"not an object", `[]`, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := ParseJWT(rawJWT(t, signer, keys.TypStatusList, tt.payload), Limits{})
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			got, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(2 * time.Minute)})
			if !errors.Is(err, tt.want) || !errors.Is(err, ErrInvalid) || got != nil {
				t.Errorf("Verify = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
	t.Run("unchanged, it holds", func(t *testing.T) {
		u, err := ParseJWT(rawJWT(t, signer, keys.TypStatusList, full), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(2 * time.Minute)}); err != nil {
			t.Error(err)
		}
		if _, err := u.Verify(signer.Public(), Expect{Now: signedAt}); !errors.Is(err, ErrSubject) {
			t.Errorf("no expectation about the URI: %v", err)
		}
		if _, err := u.Verify(nil, Expect{URI: listURI, Now: signedAt}); !errors.Is(err, ErrSignature) {
			t.Errorf("no key: %v", err)
		}
	})
	for name, ttl := range map[string]struct {
		json string
		want time.Duration
	}{
		"C08 ttl 0": {"0", MinTTL}, "C08 ttl -1": {"-1", MinTTL}, "C08 ttl 10^12": {"1000000000000", MaxTTL}, "C08 ttl 1e999": {"1e999", MaxTTL},
		"C08 ttl 59": {"59", MinTTL}, "C08 ttl 300": {"300", 5 * time.Minute}, "C08 ttl of a week": {"604800", MaxTTL},
	} {
		t.Run(name+" is brought within bounds", func(t *testing.T) {
			u, err := ParseJWT(rawJWT(t, signer, keys.TypStatusList, with(`"ttl":300`, `"ttl":`+ttl.json)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt})
			if err != nil || got.TTL != ttl.want {
				t.Errorf("ttl %v, %v, want %v", got, err, ttl.want)
			}
		})
	}
	t.Run("C08 exp in 2099 is cut", func(t *testing.T) {
		u, err := ParseJWT(rawJWT(t, signer, keys.TypStatusList, with(expOld, `"exp":4070908800`)), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt})
		if err != nil || !got.ExpiresAt.Equal(signedAt.Add(MaxLife)) || !got.FreshUntil(signedAt).Equal(signedAt.Add(5*time.Minute)) {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(MaxLife)}); !errors.Is(err, ErrTime) {
			t.Errorf("at the cut: %v", err)
		}
	})
}

func TestTypeRefused(t *testing.T) {
	signer := newKey(t)
	token, err := SignJWT(signer, keys.Header{Kid: "k"}, claimsFor(t, random(t, 1, 64, 4)))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(token), ".")
	for _, typ := range []string{"JWT", "dc+sd-jwt", "statuslist+cwt", "StatusList+JWT", "application/statuslist+jwt"} {
		t.Run("C06 typ "+typ, func(t *testing.T) {
			if _, err := ParseJWT(rawJWT(t, signer, typ, `{}`), Limits{}); !errors.Is(err, ErrType) {
				t.Errorf("ParseJWT: %v", err)
			}
		})
	}
	for name, header := range map[string]string{
		"C06 alg none": `{"alg":"none","typ":"statuslist+jwt"}`, "C06 alg HS256": `{"alg":"HS256","typ":"statuslist+jwt"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, signature := range []string{"", parts[2]} {
				if u, err := ParseJWT([]byte(b64([]byte(header))+"."+parts[1]+"."+signature), Limits{}); !errors.Is(err, ErrInvalid) || u != nil {
					t.Errorf("ParseJWT: %v, %v", u, err)
				}
			}
		})
	}
	t.Run("C06 signed by another key than the one we trust", func(t *testing.T) {
		attacker := newKey(t)
		for _, f := range formats {
			token, err := f.sign(attacker, keys.Header{Kid: "k"}, claimsFor(t, random(t, 1, 64, 4)))
			if err != nil {
				t.Fatal(err)
			}
			u, err := f.parse(token, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt}); !errors.Is(err, ErrSignature) {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	})
	t.Run("C04 a JWT is no CWT and the other way round", func(t *testing.T) {
		cwt, err := SignCWT(signer, keys.Header{}, claimsFor(t, random(t, 1, 64, 4)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseCWT(token, Limits{}); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParseCWT(jwt): %v", err)
		}
		if _, err := ParseJWT(cwt, Limits{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("ParseJWT(cwt): %v", err)
		}
	})
	t.Run("every flipped bit of a token is refused", func(t *testing.T) {
		for _, f := range formats {
			token, err := f.sign(signer, keys.Header{Kid: "k"}, claimsFor(t, random(t, 1, 64, 4)))
			if err != nil {
				t.Fatal(err)
			}
			for i := range token {
				changed := bytes.Clone(token)
				changed[i] ^= 1 << (i % 8)
				u, err := f.parse(changed, Limits{})
				if err != nil {
					continue
				}
				if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt}); err == nil {
					t.Fatalf("%s: byte %d changed and accepted", f.name, i)
				}
			}
		}
	})
}

func TestBomb(t *testing.T) {
	t.Run("C01 100 KB that inflate to what a cap forbids", func(t *testing.T) {
		var bomb bytes.Buffer
		w, err := zlib.NewWriterLevel(&bomb, zlib.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		zero := make([]byte, 1<<20)
		for bomb.Len() < 100<<10 {
			if _, err := w.Write(zero); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := Inflate(bomb.Bytes(), Limits{})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrLimit) || out != nil {
			t.Fatalf("Inflate = %d bytes, %v", len(out), err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 50<<20 {
			t.Errorf("allocated %d MiB", grown>>20)
		}
	})
	t.Run("C01 ratio cap", func(t *testing.T) {
		small, err := Deflate(make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Inflate(small, Limits{MaxRatio: 100}); !errors.Is(err, ErrLimit) {
			t.Errorf("ratio of 800: %v", err)
		}
		if raw, err := Inflate(small, Limits{}); err != nil || len(raw) != 1<<20 {
			t.Errorf("an all-valid list of the default limits: %d, %v", len(raw), err)
		}
	})
	t.Run("C01 token larger than allowed", func(t *testing.T) {
		for _, f := range formats {
			if _, err := f.parse(make([]byte, 2000), Limits{MaxToken: 1000}); !errors.Is(err, ErrLimit) {
				t.Errorf("%s: %v", f.name, err)
			}
		}
	})
	t.Run("trailing bytes, truncation, wrong checksum, dictionary", func(t *testing.T) {
		good, err := Deflate([]byte("some values"))
		if err != nil {
			t.Fatal(err)
		}
		flipped := bytes.Clone(good)
		flipped[len(flipped)-1] ^= 1
		for name, bad := range map[string][]byte{"trailing": append(bytes.Clone(good), 0), "truncated": good[:len(good)-1], "checksum": flipped, "empty": {}, "dictionary": {0x78, 0xbb, 1, 2, 3, 4, 3, 0}} {
			if _, err := Inflate(bad, Limits{}); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRollbackOfToken(t *testing.T) {
	signer := newKey(t)
	token, err := SignJWT(signer, keys.Header{}, claimsFor(t, random(t, 2, 64, 4)))
	if err != nil {
		t.Fatal(err)
	}
	u, err := ParseJWT(token, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("C07 an older, still unexpired token", func(t *testing.T) {
		if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(time.Minute), Latest: signedAt.Add(time.Second)}); !errors.Is(err, ErrRollback) {
			t.Errorf("Verify: %v", err)
		}
		if _, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt.Add(time.Minute), Latest: signedAt}); err != nil {
			t.Errorf("the same token again: %v", err)
		}
	})
}

func TestSignRefuses(t *testing.T) {
	good := claimsFor(t, random(t, 2, 64, 4))
	tests := []struct {
		name   string
		change func(*Claims)
		want   error
	}{
		{"C08 our tokens always expire", func(c *Claims) { c.ExpiresAt = time.Time{} }, ErrTime},
		{"C08 our tokens expire in bounds", func(c *Claims) { c.ExpiresAt = c.IssuedAt.Add(MaxLife + time.Second) }, ErrTime},
		{"no iat", func(c *Claims) { c.IssuedAt = time.Time{} }, ErrTime},
		{"ttl below the bound", func(c *Claims) { c.TTL = time.Second }, ErrTime},
		{"ttl above the bound", func(c *Claims) { c.TTL = MaxTTL + 1 }, ErrTime},
		{"bits", func(c *Claims) { c.Bits = 3 }, ErrBits},
		{"no URI", func(c *Claims) { c.URI = "" }, ErrMalformed},
		{"no list", func(c *Claims) { c.Compressed = nil }, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.change(&c)
			for _, f := range formats {
				if token, err := f.sign(newKey(t), keys.Header{}, c); !errors.Is(err, tt.want) || token != nil {
					t.Errorf("%s: %v", f.name, err)
				}
			}
		})
	}
}
