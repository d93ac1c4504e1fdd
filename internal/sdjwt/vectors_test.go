package sdjwt

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
)

// An example is one entry of a published examples.json.
type example struct {
	ID, Section, Context, Kind, Serialized string
	Payload, Value                         json.RawMessage
}

func examples(t testing.TB, folder string) []example {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	data, err := os.ReadFile(filepath.Join(dir, "../shared/vectors", folder, "examples.json"))
	if errors.Is(err, os.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatal("published vectors are missing")
		}
		t.Skip("published vectors are not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []example
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// publishedKey signs the examples of both documents (RFC 9901 A.5).
func publishedKey(t testing.TB) *keys.PublicKey {
	t.Helper()
	for _, e := range examples(t, "sd-jwt-rfc9901") {
		if e.Kind == "jwk" {
			key, err := keys.ParseJWK(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
	}
	t.Fatal("no key among the examples")
	return nil
}

// kbClaims reads what the example's KB-JWT says, so that the options can insist on it.
func kbClaims(t testing.TB, token string) (aud, nonce string, iat time.Time) {
	t.Helper()
	kb := token[strings.LastIndexByte(token, '~')+1:]
	payload, err := keys.DecodeBase64URL(strings.Split(kb, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Aud, Nonce string
		Iat        int64
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c.Aud, c.Nonce, time.Unix(c.Iat, 0)
}

func exampleOptions(t testing.TB, e example) Options {
	t.Helper()
	o := Options{
		Now:             time.Unix(1750000000, 0),
		Typs:            []string{"example+sd-jwt", keys.TypSDJWTVC},
		AllowMissingVCT: true,
	}
	if e.Kind == "sd-jwt+kb" {
		o.RequireKeyBinding = true
		o.Audience, o.Nonce, o.Now = kbClaims(t, e.Serialized)
	}
	return o
}

func serialized(t testing.TB) (out []example) {
	for _, folder := range []string{"sd-jwt-rfc9901", "sd-jwt-vc-draft"} {
		for _, e := range examples(t, folder) {
			if e.Kind == "sd-jwt" || e.Kind == "sd-jwt+kb" {
				e.ID = folder + "/" + e.ID
				out = append(out, e)
			}
		}
	}
	if len(out) < 10 {
		t.Fatalf("only %d serialized examples", len(out))
	}
	return out
}

func TestPublishedExamplesVerify(t *testing.T) {
	key := publishedKey(t)
	for _, e := range serialized(t) {
		t.Run(e.ID, func(t *testing.T) {
			u, err := Parse(e.Serialized)
			if err != nil {
				t.Fatal(err)
			}
			v, err := u.Verify(key, exampleOptions(t, e))
			if err != nil {
				t.Fatal(err)
			}
			if v.HolderProven() != (e.Kind == "sd-jwt+kb") {
				t.Errorf("HolderProven = %v", v.HolderProven())
			}
			want := strings.Count(e.Serialized, "~") - 1
			if got := len(v.Disclosed()); got != want {
				t.Errorf("disclosed %d paths, sent %d disclosures", got, want)
			}
		})
	}
}

// The drafts print the payload that a verifier must end up with after some of the presentations.
func TestPublishedProcessedPayloads(t *testing.T) {
	key := publishedKey(t)
	for _, folder := range []string{"sd-jwt-rfc9901", "sd-jwt-vc-draft"} {
		compared := 0
		var token example
		for _, e := range examples(t, folder) {
			if e.Serialized != "" {
				token = e
				continue
			}
			if e.Kind != "json" || !strings.Contains(e.Context, "after validation") && !strings.Contains(e.Context, "After validation") {
				continue
			}
			u, err := Parse(token.Serialized)
			if err != nil {
				t.Fatal(err)
			}
			v, err := u.Verify(key, exampleOptions(t, token))
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := errors.Join(json.Unmarshal(v.Claims().JSON(), &got), json.Unmarshal(e.Value, &want)); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s/%s: processed payload differs (-want +got):\n%s", folder, token.ID, d)
			}
			compared++
		}
		if folder == "sd-jwt-vc-draft" && compared < 3 {
			t.Errorf("%s: compared %d processed payloads", folder, compared)
		}
	}
}

// Negatives derived from every published example: each change has one reason.
func TestPublishedExamplesSpoiled(t *testing.T) {
	key := publishedKey(t)
	for _, e := range serialized(t) {
		parts := strings.Split(e.Serialized, "~")
		bound := e.Kind == "sd-jwt+kb"
		join := func(p []string) string { return strings.Join(p, "~") }
		disclosures := parts[1 : len(parts)-1]
		cases := []struct {
			name  string
			spoil func() string
			need  int // disclosures
			want  Reason
			bound Reason // when a KB-JWT covers it
		}{
			{"drop a disclosure", func() string { return join(slices.Delete(slices.Clone(parts), len(parts)-2, len(parts)-1)) }, 1, "", SDHashMismatch},
			{"repeat a disclosure", func() string { return join(slices.Insert(slices.Clone(parts), 1, disclosures[0])) }, 1, DisclosureInvalid, DisclosureInvalid},
			{"alter a disclosure", func() string {
				p := slices.Clone(parts)
				p[1] = spoilDisclosure(t, p[1])
				return join(p)
			}, 1, DisclosureInvalid, DisclosureInvalid},
			{"reorder disclosures", func() string {
				p := slices.Clone(parts)
				p[1], p[2] = p[2], p[1]
				return join(p)
			}, 2, "", SDHashMismatch},
			{"alter the issuer's signature", func() string {
				p := slices.Clone(parts)
				p[0] = spoilSignature(p[0])
				return join(p)
			}, 0, SignatureInvalid, SignatureInvalid},
			{"empty disclosure", func() string { return join(slices.Insert(slices.Clone(parts), 1, "")) }, 0, Malformed, Malformed},
		}
		for _, c := range cases {
			if len(disclosures) < c.need {
				continue
			}
			want := c.want
			if bound {
				want = c.bound
			}
			t.Run(e.ID+"/"+c.name, func(t *testing.T) {
				token := c.spoil()
				if c.name == "drop a disclosure" && !bound {
					// a parent that goes takes its children's place with it; both outcomes follow from the structure
					u, err := Parse(token)
					if err != nil {
						checkReason(t, err, DisclosureInvalid)
						return
					}
					if _, err = u.Verify(key, exampleOptions(t, e)); err != nil {
						t.Fatal(err)
					}
					return
				}
				err := verifyText(token, key, exampleOptions(t, e))
				if want == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				// dropping a parent orphans its children first
				if c.name == "drop a disclosure" && errors.Is(err, DisclosureInvalid) {
					return
				}
				checkReason(t, err, want)
			})
		}
	}
}

func TestPublishedJSONSerializationIsRefused(t *testing.T) {
	n := 0
	for _, e := range examples(t, "sd-jwt-rfc9901") {
		if e.Kind == "json-serialization" {
			n++
			_, err := Parse(string(e.Value))
			checkReason(t, err, Malformed)
		}
	}
	if n == 0 {
		t.Fatal("no JSON serialization among the examples")
	}
}

func spoilDisclosure(t testing.TB, text string) string {
	t.Helper()
	b, err := keys.DecodeBase64URL(text)
	if err != nil {
		t.Fatal(err)
	}
	b[3] ^= 1 // inside the salt
	return keys.EncodeBase64URL(b)
}

func spoilSignature(jwt string) string {
	dot := strings.LastIndexByte(jwt, '.')
	sig, err := keys.DecodeBase64URL(jwt[dot+1:])
	if err != nil {
		panic(err)
	}
	sig[10] ^= 1
	return jwt[:dot+1] + keys.EncodeBase64URL(sig)
}

func verifyText(token string, key *keys.PublicKey, o Options) error {
	u, err := Parse(token)
	if err != nil {
		return err
	}
	v, err := u.Verify(key, o)
	if err != nil && v != nil {
		return errors.New("an error came with a verified token")
	}
	return err
}

func checkReason(t testing.TB, err error, want Reason) {
	t.Helper()
	got, _ := ReasonOf(err)
	if got != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}
