package verifier_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func TestJudgeValid(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	held := w.Gaon.Issue(verifiertest.Resident(), nil)
	j := judge(t, v, w, resident(held.Present(audience, nonce, "age_over_19")))
	want(t, j, verifier.Valid, "")
	if got := fmt.Sprint(j.Claims); got != "map[resident:map[age_over_19:true]]" {
		t.Errorf("claims %s", got)
	}
	if !j.StatusAsOf.Equal(w.Clock.Now()) {
		t.Errorf("status as of %v", j.StatusAsOf)
	}
	c := j.Basis.Credentials[0]
	if c.Issuer != w.Gaon.DID || c.Key != "key-1" || c.Status != "valid" || c.Epoch != 1 || c.Height == 0 {
		t.Errorf("basis %+v", c)
	}
}

// A row of the presentation corpus: make bends, the verdict is exact.
type attack struct {
	name   string
	make   func(t *testing.T, w *verifiertest.World) string
	code   verifier.Code
	reason verifier.Reason
}

func runAttacks(t *testing.T, rows []attack) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			v := newVerifier(t, w.Config())
			want(t, judge(t, v, w, resident(row.make(t, w))), row.code, row.reason)
			// Whatever came, the next honest holder is served.
			honest := w.Gaon.Issue(verifiertest.Resident(), nil)
			want(t, judge(t, v, w, resident(honest.Present(audience, nonce, "age_over_19"))), verifier.Valid, "")
		})
	}
}

// kb makes a row whose KB-JWT is bent.
func kb(bend func(kbClaims) kbClaims) func(*testing.T, *verifiertest.World) string {
	return func(t *testing.T, w *verifiertest.World) string {
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		body := held.Bare("age_over_19")
		return signKB(t, body, bend(goodKB(w, body)), held.Holder)
	}
}

func set(name string, value any) func(*testing.T, *verifiertest.World) string {
	return kb(func(k kbClaims) kbClaims { return k.with(name, value) })
}

func TestHolderBinding(t *testing.T) {
	year := 365 * 24 * time.Hour
	runAttacks(t, []attack{
		{"hand-made but right", kb(func(k kbClaims) kbClaims { return k }), verifier.Valid, ""},
		{"D04 nonce missing", kb(func(k kbClaims) kbClaims { return k.without("nonce") }), verifier.HolderBindingFailed, verifier.ReasonNonce},
		{"D04 nonce empty", set("nonce", ""), verifier.HolderBindingFailed, verifier.ReasonNonce},
		{"D04 nonce null", set("nonce", nil), verifier.HolderBindingFailed, verifier.ReasonNonce},
		{"D04 nonce of another transaction", set("nonce", "n-other-transaction"), verifier.HolderBindingFailed, verifier.ReasonNonce},
		{"D05 aud is the response_uri", set("aud", "https://verifier.example/response"), verifier.HolderBindingFailed, verifier.ReasonAudience},
		{"D05 aud is the host", set("aud", "verifier.example"), verifier.HolderBindingFailed, verifier.ReasonAudience},
		{"D05 aud without the prefix", set("aud", strings.TrimPrefix(audience, "x509_hash:")), verifier.HolderBindingFailed, verifier.ReasonAudience},
		{"D05 aud is an array that contains us", set("aud", []string{"x", audience}), verifier.HolderBindingFailed, verifier.ReasonAudience},
		{"D05 aud is an array of us", set("aud", []string{audience}), verifier.HolderBindingFailed, verifier.ReasonAudience},
		{"D06 no KB-JWT", func(_ *testing.T, w *verifiertest.World) string {
			return w.Gaon.Issue(verifiertest.Resident(), nil).Bare("age_over_19")
		}, verifier.HolderBindingFailed, verifier.ReasonBindingMissing},
		{"D07 wrong sd_hash", set("sd_hash", digest("x")), verifier.HolderBindingFailed, verifier.ReasonSDHash},
		{"D07 legacy _sd_hash", kb(func(k kbClaims) kbClaims { return k.without("sd_hash").with("_sd_hash", k["sd_hash"]) }), verifier.HolderBindingFailed, verifier.ReasonSDHash},
		{"D07 disclosure added after signing", swapBody("age_over_19", "age_over_19,birthdate"), verifier.HolderBindingFailed, verifier.ReasonSDHash},
		{"D07 disclosure removed after signing", swapBody("age_over_19,birthdate", "age_over_19"), verifier.HolderBindingFailed, verifier.ReasonSDHash},
		{"D07 disclosures reordered", func(t *testing.T, w *verifiertest.World) string {
			held := w.Gaon.Issue(verifiertest.Resident(), nil)
			text := held.Present(audience, nonce, "age_over_19", "birthdate")
			p := strings.Split(text, "~")
			p[1], p[2] = p[2], p[1]
			return strings.Join(p, "~")
		}, verifier.HolderBindingFailed, verifier.ReasonSDHash},
		{"D08 other key", func(t *testing.T, w *verifiertest.World) string {
			body := w.Gaon.Issue(verifiertest.Resident(), nil).Bare("age_over_19")
			return signKB(t, body, goodKB(w, body), generate(t))
		}, verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D08 no cnf", func(t *testing.T, w *verifiertest.World) string {
			f := forge(t, w)
			delete(f.payload, "cnf")
			return f.present(t)
		}, verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D08 cnf with kid only", func(t *testing.T, w *verifiertest.World) string {
			f := forge(t, w)
			f.payload["cnf"] = map[string]any{"kid": "key-1"}
			return f.present(t)
		}, verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D09 iat a year ago", func(t *testing.T, w *verifiertest.World) string {
			return set("iat", w.Clock.Now().Add(-year).Unix())(t, w)
		}, verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D09 iat in a year", func(t *testing.T, w *verifiertest.World) string {
			return set("iat", w.Clock.Now().Add(year).Unix())(t, w)
		}, verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D09 iat a string", set("iat", "1790000000"), verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"transaction data that nobody asked for (a part of D41)", set("transaction_data_hashes", []string{digest("x")}), verifier.HolderBindingFailed, verifier.ReasonTransactionData},
		{"D09 typ absent", rawKB(`{"alg":"ES256"}`), verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D09 typ of a key proof", rawKB(`{"alg":"ES256","typ":"openid4vci-proof+jwt"}`), verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
		{"D09 alg none", rawKB(`{"alg":"none","typ":"kb+jwt"}`), verifier.HolderBindingFailed, verifier.ReasonBindingInvalid},
	})
}

func generate(t *testing.T) keys.Signer {
	t.Helper()
	s, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rawKB(header string) func(*testing.T, *verifiertest.World) string {
	return func(t *testing.T, w *verifiertest.World) string {
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		body := held.Bare("age_over_19")
		return body + signRaw(t, header, goodKB(w, body), held.Holder)
	}
}

// swapBody signs one selection and sends another.
func swapBody(signed, sent string) func(*testing.T, *verifiertest.World) string {
	return func(_ *testing.T, w *verifiertest.World) string {
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		text := held.Present(audience, nonce, strings.Split(signed, ",")...)
		return held.Bare(strings.Split(sent, ",")...) + text[strings.LastIndexByte(text, '~')+1:]
	}
}

// disclosed makes a row with a bent hand-made credential.
func disclosed(bend func(f *forged)) func(*testing.T, *verifiertest.World) string {
	return func(t *testing.T, w *verifiertest.World) string {
		f := forge(t, w)
		bend(f)
		return f.present(t)
	}
}

func (f *forged) addDigest(d string) { f.payload["_sd"] = append(f.payload["_sd"].([]string), d) }

func TestDisclosures(t *testing.T) {
	const salt = `c2FsdHNhbHRzYWx0c2FsdB`
	bad, none := verifier.SignatureInvalid, verifier.Reason("")
	invalid, malformed, limit := verifier.ReasonDisclosure, verifier.ReasonMalformed, verifier.ReasonLimit
	runAttacks(t, []attack{
		{"hand-made but right", disclosed(func(*forged) {}), verifier.Valid, none},
		{"D10 disclosure named _sd", disclosed(func(f *forged) { f.addDigest(f.disclose(`["` + salt + `","_sd",[]]`)) }), bad, invalid},
		{"D10 disclosure named ...", disclosed(func(f *forged) { f.addDigest(f.disclose(`["` + salt + `","...",1]`)) }), bad, invalid},
		{"D11 digest repeated", disclosed(func(f *forged) { f.addDigest(f.payload["_sd"].([]string)[0]) }), bad, invalid},
		{"D11 same disclosure twice", disclosed(func(f *forged) { f.disclosures = append(f.disclosures, f.disclosures[0]) }), bad, invalid},
		{"D12 unreferenced disclosure", disclosed(func(f *forged) { f.disclose(`["` + salt + `","age_over_65",true]`) }), bad, invalid},
		{"D13 disclosed name is there already", disclosed(func(f *forged) { f.payload["age_over_19"] = false }), bad, invalid},
		{"D14 two elements under _sd", disclosed(func(f *forged) { f.addDigest(f.disclose(`["` + salt + `",1]`)) }), bad, invalid},
		{"D14 three elements in an array", disclosed(func(f *forged) {
			f.payload["list"] = []any{map[string]any{"...": f.disclose(`["` + salt + `","x",1]`)}}
		}), bad, invalid},
		{"D14 _sd is no array of strings", disclosed(func(f *forged) { f.payload["_sd"] = []any{1} }), bad, invalid},
		{"D15 _sd_alg md5", disclosed(func(f *forged) { f.payload["_sd_alg"] = "md5" }), bad, verifier.ReasonAlg},
		{"D15 _sd_alg sha-256-32", disclosed(func(f *forged) { f.payload["_sd_alg"] = "sha-256-32" }), bad, verifier.ReasonAlg},
		{"D16 5,000 disclosures", disclosed(func(f *forged) {
			for i := range 5000 {
				f.addDigest(f.disclose(fmt.Sprintf(`["%s","c%d",1]`, salt, i)))
			}
		}), bad, limit},
		{"D16 500 levels", disclosed(func(f *forged) { f.payload["deep"] = nested(500) }), bad, limit},
		{"D16 four megabytes", func(_ *testing.T, _ *verifiertest.World) string { return strings.Repeat("a", 4<<20) + "~" }, bad, limit},
		{"D17 iss withheld", disclosed(func(f *forged) { delete(f.payload, "iss") }), bad, malformed},
		{"D17 vct withheld", disclosed(func(f *forged) { delete(f.payload, "vct") }), bad, malformed},
		{"D17 exp withheld", disclosed(func(f *forged) { delete(f.payload, "exp") }), bad, malformed},
		{"D17 exp disclosed selectively", disclosed(func(f *forged) {
			delete(f.payload, "exp")
			f.addDigest(f.disclose(`["` + salt + `","exp",1999999999]`))
		}), bad, malformed},
		{"D18 prototype names are data and dropped", disclosed(func(f *forged) { f.addDigest(f.disclose(`["` + salt + `","__proto__",{"constructor":1}]`)) }), verifier.Valid, none},
		{"D18 duplicate names inside a value", disclosed(func(f *forged) { f.addDigest(f.disclose(`["` + salt + `","x",{"a":1,"a":2}]`)) }), bad, invalid},
		{"D19 a thousand decoys", decoys(1000), verifier.Valid, none},
		{"D19 ten thousand decoys", decoys(10000), bad, limit},
		{"D20 doubled tilde", func(_ *testing.T, w *verifiertest.World) string {
			return strings.Replace(w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19"), "~", "~~", 1)
		}, bad, malformed},
		{"D20 final tilde missing", func(_ *testing.T, w *verifiertest.World) string {
			return strings.TrimSuffix(w.Gaon.Issue(verifiertest.Resident(), nil).Bare("age_over_19"), "~")
		}, bad, malformed},
		{"D20 JSON serialisation", func(*testing.T, *verifiertest.World) string { return `{"payload":"e30","signature":"AA"}` }, bad, malformed},
	})
}

func nested(depth int) any {
	var v any = 1
	for range depth {
		v = []any{v}
	}
	return v
}

func decoys(n int) func(*testing.T, *verifiertest.World) string {
	return disclosed(func(f *forged) {
		for i := range n {
			f.addDigest(digest(fmt.Sprint("decoy", i)))
		}
	})
}

func issue(bend verifiertest.Spec) func(*testing.T, *verifiertest.World) string {
	return func(_ *testing.T, w *verifiertest.World) string {
		return w.Gaon.Issue(verifiertest.Resident(), bend).Present(audience, nonce, "age_over_19")
	}
}

func TestIssuer(t *testing.T) {
	untrusted := verifier.IssuerUntrusted
	reason := verifier.ReasonIssuer
	runAttacks(t, []attack{
		{"D21 certificate of another accredited agency", issue(func(c *sdjwt.Credential) { c.X5C = otherChain }), untrusted, reason},
		{"D21 kid of another agency", func(_ *testing.T, w *verifiertest.World) string {
			return w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) { c.Kid = w.Seoul.DID.URL("key-1") }).Present(audience, nonce, "age_over_19")
		}, untrusted, reason},
		{"D21 no kid", issue(func(c *sdjwt.Credential) { c.Kid = "" }), untrusted, reason},
		{"D21 X.509 alone", issue(func(c *sdjwt.Credential) { c.Issuer = "https://gaon.dojang.example" }), untrusted, reason},
		{"D22 no certificate though roots are recorded", issue(func(c *sdjwt.Credential) { c.X5C = nil }), untrusted, reason},
		{"D22 chain with its anchor", func(_ *testing.T, w *verifiertest.World) string {
			return w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) {
				c.X5C = append(append([][]byte(nil), w.Gaon.Chain...), w.Gaon.Root.Raw)
			}).Present(audience, nonce, "age_over_19")
		}, untrusted, reason},
		{"D22 leaf of an unrecorded root", certified(func(w *verifiertest.World) [][]byte {
			return [][]byte{w.Leaf(w.Authority("stranger"), verifiertest.LeafOf{DID: w.Gaon.DID, Key: w.Gaon.Key, EKU: keys.EKUDocumentSigner})}
		}), untrusted, reason},
		{"D22 leaf of another known root", certified(func(w *verifiertest.World) [][]byte {
			return [][]byte{w.Leaf(w.Seoul.CA, verifiertest.LeafOf{DID: w.Gaon.DID, Key: w.Gaon.Key, EKU: keys.EKUDocumentSigner})}
		}), untrusted, reason},
		{"D22 leaf of another use", certified(func(w *verifiertest.World) [][]byte {
			return [][]byte{w.Leaf(w.Gaon.CA, verifiertest.LeafOf{DID: w.Gaon.DID, Key: w.Gaon.Key, EKU: keys.EKUReaderAuth})}
		}), untrusted, reason},
		{"D22 leaf of another DID", certified(func(w *verifiertest.World) [][]byte {
			return [][]byte{w.Leaf(w.Gaon.CA, verifiertest.LeafOf{DID: w.Seoul.DID, Key: w.Gaon.Key, EKU: keys.EKUDocumentSigner})}
		}), untrusted, reason},
		{"D22 leaf of another key", certified(func(w *verifiertest.World) [][]byte {
			return [][]byte{w.Leaf(w.Gaon.CA, verifiertest.LeafOf{DID: w.Gaon.DID, Key: w.Seoul.Key, EKU: keys.EKUDocumentSigner})}
		}), untrusted, reason},
		{"D22 self-signed", certified(func(w *verifiertest.World) [][]byte { return [][]byte{w.Gaon.Root.Raw} }), untrusted, reason},
		{"D22 expired leaf", issue(func(c *sdjwt.Credential) {
			c.IssuedAt, c.NotBefore, c.Expires = c.IssuedAt.AddDate(-2, 0, 0), time.Time{}, c.Expires.AddDate(3, 0, 0)
		}), untrusted, reason},
		{"D24 type that the policy does not take", func(_ *testing.T, w *verifiertest.World) string {
			return w.Seoul.Issue(verifiertest.Youth(), nil).Present(audience, nonce, "resident_sido_code")
		}, verifier.TypeNotAccepted, verifier.ReasonType},
		{"D24 issuer not accredited for the type", func(_ *testing.T, w *verifiertest.World) string {
			return w.Seoul.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) { c.VCT = verifiertest.ResidentID }).Present(audience, nonce, "age_over_19")
		}, untrusted, reason},
		{"D24 claim missing", func(_ *testing.T, w *verifiertest.World) string {
			return w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "birthdate")
		}, verifier.PolicyFailed, verifier.ReasonQuery},
		{"D24 value that the policy does not take", func(_ *testing.T, w *verifiertest.World) string {
			young := verifiertest.With(verifiertest.Resident(), sdjwt.Claim{Name: "age_over_19", Value: sdjwt.Flag(false), SD: true})
			return w.Gaon.Issue(young, nil).Present(audience, nonce, "age_over_19")
		}, verifier.PolicyFailed, verifier.ReasonQuery},
		{"H30 did:web alias of a registered DID", func(_ *testing.T, w *verifiertest.World) string {
			return w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) {
				c.Issuer, c.Kid = "did:web:gaon.dojang.example", "did:web:gaon.dojang.example#key-1"
			}).Present(audience, nonce, "age_over_19")
		}, untrusted, reason},
		{"signature of another key", func(t *testing.T, w *verifiertest.World) string {
			text := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19")
			return corrupt(text)
		}, verifier.SignatureInvalid, verifier.ReasonSignature},
		{"not yet valid", issue(func(c *sdjwt.Credential) { c.NotBefore = c.NotBefore.AddDate(0, 0, 2) }), verifier.NotYetValid, verifier.ReasonNotYetValid},
		{"expired", issue(func(c *sdjwt.Credential) { c.Expires = c.IssuedAt }), verifier.Expired, verifier.ReasonExpired},
		{"last valid day is over in Korea", func(_ *testing.T, w *verifiertest.World) string {
			old := verifiertest.With(verifiertest.Resident(), sdjwt.Claim{Name: "date_of_expiry", Value: sdjwt.Text("2026-11-20")})
			return w.Gaon.Issue(old, nil).Present(audience, nonce, "age_over_19")
		}, verifier.Expired, verifier.ReasonExpired},
		{"last valid day is today", func(_ *testing.T, w *verifiertest.World) string {
			old := verifiertest.With(verifiertest.Resident(), sdjwt.Claim{Name: "date_of_expiry", Value: sdjwt.Text("2026-11-21")})
			return w.Gaon.Issue(old, nil).Present(audience, nonce, "age_over_19")
		}, verifier.Valid, ""},
	})
}

// otherChain is any certificate that is not the issuer's.
var otherChain = [][]byte{verifiertest.New().Seoul.Chain[0]}

func certified(chain func(w *verifiertest.World) [][]byte) func(*testing.T, *verifiertest.World) string {
	return func(_ *testing.T, w *verifiertest.World) string {
		return w.Gaon.Issue(verifiertest.Resident(), func(c *sdjwt.Credential) { c.X5C = chain(w) }).Present(audience, nonce, "age_over_19")
	}
}

// corrupt flips one character of the issuer's signature.
func corrupt(text string) string {
	i := strings.IndexByte(text, '~') - 10
	c := byte('A')
	if text[i] == c {
		c = 'B'
	}
	return text[:i] + string(c) + text[i+1:]
}

func TestKeyIntervals(t *testing.T) {
	key := func(w *verifiertest.World) registry.Key {
		return registry.Key{DID: w.Gaon.DID, ID: "key-1", Use: registry.UseAssertion, JWK: w.Gaon.Key.Public().JWK(), ActiveFrom: w.Clock.Now().Add(-48 * time.Hour)}
	}
	rows := []struct {
		name   string
		bend   func(w *verifiertest.World)
		code   verifier.Code
		reason verifier.Reason
	}{
		{"H29 retired before the credential's day", func(w *verifiertest.World) {
			k := key(w)
			k.RetiredAt = w.Clock.Now().Add(-24 * time.Hour)
			w.Registry.PutKey(k)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"H29 dated back: retired since, no status epoch after the rotation", func(w *verifiertest.World) {
			k := key(w)
			k.RetiredAt = w.Clock.Now().Add(time.Minute)
			w.Registry.PutKey(k)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"H29 retired since, lists anchored again after the rotation", func(w *verifiertest.World) {
			k := key(w)
			k.RetiredAt = w.Clock.Now().Add(time.Minute)
			w.Registry.PutKey(k)
			w.Clock.Add(2 * time.Minute)
			w.Gaon.Publish()
		}, verifier.Valid, ""},
		{"H29 compromised", func(w *verifiertest.World) {
			k := key(w)
			k.CompromisedFrom = w.Clock.Now().Add(time.Hour)
			w.Registry.PutKey(k)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"not active yet", func(w *verifiertest.World) {
			k := key(w)
			k.ActiveFrom = w.Clock.Now().Add(time.Hour)
			w.Registry.PutKey(k)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"active since this morning, credential dated with the day", func(w *verifiertest.World) {
			k := key(w)
			k.ActiveFrom = w.Clock.Now().Add(-time.Minute)
			w.Registry.PutKey(k)
		}, verifier.Valid, ""},
		{"key for another use", func(w *verifiertest.World) {
			k := key(w)
			k.Use = registry.UseAuthentication
			w.Registry.PutKey(k)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"accreditation suspended", func(w *verifiertest.World) {
			a, _, _ := w.Registry.Accreditation(t.Context(), w.Gaon.DID, verifiertest.ResidentID, time.Time{})
			a.Suspended = true
			w.Registry.PutAccreditation(a)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"accreditation proven absent", func(w *verifiertest.World) {
			w.Registry.DropAccreditation(w.Gaon.DID, verifiertest.ResidentID)
		}, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"D23 registry unreachable", func(w *verifiertest.World) { w.Registry.SetDown(true) }, verifier.StatusStale, verifier.ReasonTrust},
		{"D23 registry evidence does not hold", func(w *verifiertest.World) { w.Registry.SetBroken(registry.ErrUntrusted) }, verifier.StatusStale, verifier.ReasonTrust},
		{"D23 registry answers with garbage", func(w *verifiertest.World) { w.Registry.SetBroken(fmt.Errorf("parse error")) }, verifier.StatusStale, verifier.ReasonTrust},
		{"H18 genuine proof, older than the policy allows", func(w *verifiertest.World) {
			w.Registry.Freeze(w.Clock.Now().Add(-73 * time.Hour))
		}, verifier.StatusStale, verifier.ReasonTrust},
		{"H18 genuine proof, young enough", func(w *verifiertest.World) {
			w.Registry.Freeze(w.Clock.Now().Add(-71 * time.Hour))
		}, verifier.Valid, ""},
		{"proof from the future", func(w *verifiertest.World) {
			w.Registry.Freeze(w.Clock.Now().Add(2 * time.Minute))
		}, verifier.StatusStale, verifier.ReasonTrust},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			v := newVerifier(t, w.Config())
			text := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19")
			row.bend(w)
			want(t, judge(t, v, w, resident(text)), row.code, row.reason)
		})
	}
}

func TestRootThatIsNotKnownHere(t *testing.T) {
	t.Run("D22 recorded root is not configured", func(t *testing.T) {
		w := verifiertest.New()
		cfg := w.Config()
		cfg.Roots = w.Roots[1:]
		text := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19")
		want(t, judge(t, newVerifier(t, cfg), w, resident(text)), verifier.IssuerUntrusted, verifier.ReasonIssuer)
	})
}

func TestMinimisation(t *testing.T) {
	t.Run("D25 extra claims are dropped", func(t *testing.T) {
		w := verifiertest.New()
		v := newVerifier(t, w.Config())
		text := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19", "birthdate", "family_name")
		j := judge(t, v, w, resident(text))
		want(t, j, verifier.Valid, "")
		if got := fmt.Sprint(j.Claims); got != "map[resident:map[age_over_19:true]]" {
			t.Errorf("claims %s", got)
		}
	})
	t.Run("D26 two presentations for one query", func(t *testing.T) {
		w := verifiertest.New()
		v := newVerifier(t, w.Config())
		held := w.Gaon.Issue(verifiertest.Resident(), nil)
		text := held.Present(audience, nonce, "age_over_19")
		want(t, judge(t, v, w, resident(text, text)), verifier.SignatureInvalid, verifier.ReasonMalformed)
	})
	t.Run("D26 unknown query id", func(t *testing.T) {
		w := verifiertest.New()
		v := newVerifier(t, w.Config())
		text := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19")
		s := verifier.Submission{Presentations: map[string][]string{"resident": {text}, "other": {text}}}
		want(t, judge(t, v, w, s), verifier.SignatureInvalid, verifier.ReasonMalformed)
	})
	t.Run("no presentation at all", func(t *testing.T) {
		w := verifiertest.New()
		want(t, judge(t, newVerifier(t, w.Config()), w, verifier.Submission{}), verifier.PolicyFailed, verifier.ReasonQuery)
	})
}

// FuzzJudge: no bytes but an honest wallet's are ever confirmed, and nothing of them can be read.
func FuzzJudge(f *testing.F) {
	w := verifiertest.New()
	v := newVerifier(f, w.Config())
	p := policy(f, "adult-check")
	good := w.Gaon.Issue(verifiertest.Resident(), nil).Present(audience, nonce, "age_over_19")
	f.Add(corrupt(good))
	f.Add(w.Gaon.Issue(verifiertest.Resident(), nil).Bare("age_over_19"))
	f.Add("a.b.c~d~e.f.g")
	f.Add("~")
	f.Fuzz(func(t *testing.T, text string) {
		j, err := v.Judge(t.Context(), resident(text), p, verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
		if err != nil || j.Decision == verifier.Confirmed || j.Claims != nil || j.Code.Order() == 0 {
			t.Fatalf("%+v %v", j, err)
		}
	})
}
