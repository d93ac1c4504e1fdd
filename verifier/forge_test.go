package verifier_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

const (
	audience = "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk"
	nonce    = "n-0S6_WzA2Mj"
)

var b64 = base64.RawURLEncoding

func policy(t testing.TB, name string) *verifier.Policy {
	t.Helper()
	all, err := verifier.BuiltinPolicies(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.Name() == name {
			return p
		}
	}
	t.Fatalf("no policy %s", name)
	return nil
}

func newVerifier(t testing.TB, cfg verifier.Config) *verifier.Verifier {
	t.Helper()
	v, err := verifier.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// judge runs one presentation of adult-check.
func judge(t testing.TB, v *verifier.Verifier, w *verifiertest.World, s verifier.Submission) verifier.Judgement {
	t.Helper()
	j, err := v.Judge(context.Background(), s, policy(t, "adult-check"), verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func resident(texts ...string) verifier.Submission {
	return verifier.Submission{Presentations: map[string][]string{"resident": texts}}
}

// want asserts a verdict; a refused or held one shows no claim.
func want(t testing.TB, j verifier.Judgement, code verifier.Code, reason verifier.Reason) {
	t.Helper()
	if j.Code != code || j.Reason != reason || j.Decision != code.Decision() {
		t.Fatalf("got %s %s (%s, %v), want %s (%s)", j.Decision, j.Code, j.Reason, j.Cause(), code, reason)
	}
	if (code == verifier.Valid) != (j.Claims != nil) {
		t.Fatalf("claims of %s: %v", code, j.Claims)
	}
}

// A kbClaims is the payload of a hand-made KB-JWT; nil values leave the member out.
type kbClaims map[string]any

func goodKB(w *verifiertest.World, body string) kbClaims {
	sum := sha256.Sum256([]byte(body))
	return kbClaims{"iat": w.Clock.Now().Unix(), "aud": audience, "nonce": nonce, "sd_hash": b64.EncodeToString(sum[:])}
}

func (k kbClaims) with(name string, value any) kbClaims {
	out := maps.Clone(k)
	out[name] = value
	return out
}

func (k kbClaims) without(name string) kbClaims {
	out := maps.Clone(k)
	delete(out, name)
	return out
}

// signKB attaches a hand-made KB-JWT to a body that ends with a tilde.
func signKB(t testing.TB, body string, k kbClaims, s keys.Signer) string {
	t.Helper()
	return body + signRaw(t, `{"alg":"ES256","typ":"kb+jwt"}`, k, s)
}

// signRaw signs any header and payload.
func signRaw(t testing.TB, header string, payload any, s keys.Signer) string {
	t.Helper()
	raw, err := json.Marshal(payload, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(raw)
	sig, err := s.Sign([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64.EncodeToString(sig)
}

// forged is an issuer-signed payload made by hand, with hand-made disclosures.
type forged struct {
	w           *verifiertest.World
	holder      keys.Signer
	payload     map[string]any
	disclosures []string
}

func forge(t testing.TB, w *verifiertest.World) *forged {
	t.Helper()
	holder, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal(holder.Public().JWK(), &jwk); err != nil {
		t.Fatal(err)
	}
	day := w.Clock.Now().Truncate(24 * time.Hour)
	f := &forged{w: w, holder: holder}
	f.payload = map[string]any{
		"iss": string(w.Gaon.DID), "vct": verifiertest.ResidentID, "iat": day.Unix(), "nbf": day.Unix(), "exp": day.AddDate(0, 0, 60).Unix(),
		"cnf": map[string]any{"jwk": jwk}, "_sd_alg": "sha-256",
		"status": map[string]any{"status_list": map[string]any{"uri": w.Gaon.URI(), "idx": 7}},
		"_sd":    []string{f.disclose(`["c2FsdHNhbHRzYWx0c2FsdA","age_over_19",true]`)},
	}
	return f
}

// disclose adds a disclosure and returns its digest.
func (f *forged) disclose(array string) string {
	text := b64.EncodeToString([]byte(array))
	f.disclosures = append(f.disclosures, text)
	return digest(text)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return b64.EncodeToString(sum[:])
}

// body signs as the issuer and appends the disclosures.
func (f *forged) body(t testing.TB) string {
	t.Helper()
	var chain []string
	for _, der := range f.w.Gaon.Chain {
		chain = append(chain, base64.StdEncoding.EncodeToString(der))
	}
	header, err := json.Marshal(map[string]any{
		"alg": "ES256", "typ": "dc+sd-jwt", "kid": f.w.Gaon.DID.URL(f.w.Gaon.KeyID), "x5c": chain,
	}, json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return signRaw(t, string(header), f.payload, f.w.Gaon.Key) + "~" + strings.Join(append(f.disclosures, ""), "~")
}

func (f *forged) present(t testing.TB) string {
	t.Helper()
	body := f.body(t)
	return signKB(t, body, goodKB(f.w, body), f.holder)
}
