package statuslist

import (
	"bytes"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

var small = Limits{MaxToken: 1 << 16, MaxRaw: 1 << 16}

func FuzzParseJWT(f *testing.F) {
	signer := newKey(f)
	token, err := SignJWT(signer, keys.Header{Kid: "k"}, claimsFor(f, random(f, 2, 64, 4)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add([]byte("e30.e30.e30"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := ParseJWT(data, small)
		if (err != nil) != (u == nil) {
			t.Fatal("an error and a token")
		}
		if u == nil {
			return
		}
		if got, err := u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt}); err == nil && (!bytes.Equal(data, token) || got.URI != listURI) {
			t.Fatal("accepted what was not signed")
		}
	})
}

func FuzzParseCWT(f *testing.F) {
	signer := newKey(f)
	token, err := SignCWT(signer, keys.Header{Kid: "k"}, claimsFor(f, random(f, 2, 64, 4)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		u, err := ParseCWT(data, small)
		if (err != nil) != (u == nil) {
			t.Fatal("an error and a token")
		}
		if u != nil {
			_, _ = u.Verify(signer.Public(), Expect{URI: listURI, Now: signedAt}) // must not panic
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"sub":"x","iat":1,"exp":2,"ttl":1e9,"status_list":{"bits":1,"lst":"eNrbuRgAAhcBXQ"}}`))
	f.Add([]byte{0xa1, 0x02, 0x61, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, decode := range []func([]byte) (wireClaims, error){decodeJSON, decodeCWT} {
			if c, err := decode(data); err == nil && (c.ttl < MinTTL || c.ttl > MaxTTL || c.iat.After(time.Unix(253402300800, 0))) {
				t.Fatalf("out of bounds: %+v", c)
			}
		}
	})
}

func FuzzInflate(f *testing.F) {
	good, err := Deflate([]byte("some values, some values"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		if raw, err := Inflate(data, small); err == nil && len(raw) > small.MaxRaw {
			t.Fatal("larger than the cap")
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	data, err := Record{URI: listURI, Bits: 2, Length: 64, Tokens: TokenDigests{JWT: [32]byte{1}}}.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecord(data)
		if err != nil {
			return
		}
		if again, err := r.Marshal(); err != nil || !bytes.Equal(again, data) {
			t.Fatal("two encodings of one record")
		}
	})
}

func FuzzVerifyChunk(f *testing.F) {
	v := random(f, 2, 8192, 3)
	r := Record{URI: listURI, Bits: 2, Length: 8192, Root: v.Root()}
	proof, err := v.CutChunk(5000)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(proof, uint64(5000))
	f.Fuzz(func(t *testing.T, data []byte, idx uint64) {
		got, err := VerifyChunk(r, data, idx)
		if err != nil {
			return
		}
		if want, err := v.Status(idx); err != nil || got != want {
			t.Fatal("a proof of what is not so")
		}
	})
}

func FuzzParseReference(f *testing.F) {
	f.Add([]byte(`{"status_list":{"idx":5,"uri":"https://x/1"}}`))
	f.Add([]byte{0xa1, 0x6b})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := ParseReference(data); err == nil && (r.URI == "" || r.Index >= MaxLength) {
			t.Fatalf("%+v", r)
		}
		if r, err := ParseReferenceCBOR(data); err == nil && (r.URI == "" || r.Index >= MaxLength) {
			t.Fatalf("%+v", r)
		}
	})
}
