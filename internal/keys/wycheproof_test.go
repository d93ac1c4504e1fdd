package keys

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

type wycheproofFile struct {
	NumberOfTests int
	TestGroups    []struct {
		PublicKeyJwk    json.RawMessage
		PublicKey       struct{ Pk, Uncompressed string }
		Public, Private json.RawMessage
		Tests           []wycheproofTest
	}
}

type wycheproofTest struct {
	TcID                          int
	Comment, Msg, Sig, Result, PT string
	JWS, JWE                      token
}

// A token is a compact text, or the JSON of a serialization that we refuse.
type token string

func (t *token) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		s = string(b)
	}
	*t = token(s)
	return nil
}

func wycheproofVectors(t *testing.T, name string) wycheproofFile {
	t.Helper()
	data, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var f wycheproofFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestWycheproofSignatures(t *testing.T) {
	for _, name := range []string{"ecdsa_secp256r1_sha256_p1363_test.json", "ed25519_test.json"} {
		f := wycheproofVectors(t, name)
		n := 0
		for _, g := range f.TestGroups {
			key, err := wycheproofKey(g.PublicKeyJwk, g.PublicKey.Pk+g.PublicKey.Uncompressed)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, c := range g.Tests {
				n++
				msg, err1 := hex.DecodeString(c.Msg)
				sig, err2 := hex.DecodeString(c.Sig)
				if err := errors.Join(err1, err2); err != nil {
					t.Fatal(err)
				}
				err := key.Verify(msg, sig)
				if (err == nil) != (c.Result == "valid") {
					t.Errorf("%s %d (%s): %v, want %s", name, c.TcID, c.Comment, err, c.Result)
				}
				if err != nil && !errors.Is(err, ErrSignature) {
					t.Errorf("%s %d: %v", name, c.TcID, err)
				}
			}
		}
		if n != f.NumberOfTests {
			t.Errorf("%s: ran %d of %d", name, n, f.NumberOfTests)
		}
	}
}

// wycheproofKey strips the alg that Wycheproof writes into Ed25519 JWKs; groups without a JWK have the point.
func wycheproofKey(jwk json.RawMessage, pk string) (*PublicKey, error) {
	if len(jwk) > 0 && string(jwk) != "null" {
		var m map[string]any
		if err := json.Unmarshal(jwk, &m); err != nil {
			return nil, err
		}
		delete(m, "alg")
		delete(m, "kid")
		b, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		return ParseJWK(b)
	}
	raw, err := hex.DecodeString(pk)
	if err != nil {
		return nil, err
	}
	if len(raw) == 32 {
		return newEd25519(raw)
	}
	return newP256(raw)
}

// Every JWS vector: what Wycheproof calls invalid is refused; what it calls valid is accepted when its key is one of
// ours, and refused otherwise.
func TestWycheproofJWS(t *testing.T) {
	accepted := 0
	for _, name := range []string{"json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"} {
		for _, g := range wycheproofVectors(t, name).TestGroups {
			candidates := wycheproofCandidates(g.Public, g.Private)
			for _, c := range g.Tests {
				if c.JWS == "" {
					continue
				}
				ok := false
				if j, err := parseJWS([]byte(c.JWS), Expect{}); err == nil {
					_, _, err = j.VerifyAny(candidates)
					ok = err == nil
				}
				if ok {
					accepted++
				}
				if ok && c.Result == "invalid" {
					t.Errorf("%s %d (%s) accepted", name, c.TcID, c.Comment)
				}
				if !ok && c.Result == "valid" && len(candidates) > 0 {
					t.Errorf("%s %d (%s) refused", name, c.TcID, c.Comment)
				}
			}
		}
	}
	if accepted < 3 {
		t.Errorf("only %d vectors were accepted", accepted)
	}
}

func wycheproofCandidates(public, private json.RawMessage) []*PublicKey {
	if len(public) == 0 || string(public) == "null" {
		return nil
	}
	if set, err := ParseJWKS(public); err == nil {
		var out []*PublicKey
		for _, k := range set.signing {
			out = append(out, k.key)
		}
		return out
	}
	if key, err := ParseJWK(public); err == nil {
		return []*PublicKey{key}
	}
	return nil
}

func TestWycheproofJWE(t *testing.T) {
	accepted := 0
	for _, name := range []string{"json_web_encryption_test.json", "json_web_crypto_test.json"} {
		for _, g := range wycheproofVectors(t, name).TestGroups {
			key, keyErr := ParseEncryptionKey(g.Private)
			for _, c := range g.Tests {
				if c.JWE == "" {
					continue
				}
				if h, err := readJWEHeader([]byte(c.JWE)); err == nil && keyErr == nil && h.Kid == "" {
					same := *key // the vectors leave kid out, which a place of ours never does
					same.kid, key = "", &same
				}
				pt, _, err := Decrypt(key, c.JWE, ExpectJWE{})
				if err == nil {
					accepted++
					if c.Result == "invalid" || hex.EncodeToString(pt) != c.PT && c.PT != "" {
						t.Errorf("%s %d (%s) accepted", name, c.TcID, c.Comment)
					}
					continue
				}
				if !errors.Is(err, ErrDecrypt) {
					t.Errorf("%s %d: %v", name, c.TcID, err)
				}
				h, herr := readJWEHeader([]byte(c.JWE))
				if c.Result == "valid" && keyErr == nil && herr == nil && h.fits(key, ExpectJWE{}) {
					t.Errorf("%s %d (%s) refused", name, c.TcID, c.Comment)
				}
			}
		}
	}
	if accepted < 2 { // ECDH-ES with A128GCM and A256GCM
		t.Errorf("only %d vectors were accepted", accepted)
	}
}
