package sdjwt

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

const (
	testAudience = "x509_hash:abc"
	testNonce    = "n-0S6_WzA2Mj"
)

// A world has one issuer and one holder, and signs whatever a test wants.
type world struct {
	t              testing.TB
	issuer, holder keys.Signer
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t}
	var err1, err2 error
	w.issuer, err1 = keys.Generate(keys.ES256)
	w.holder, err2 = keys.Generate(keys.ES256)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) credential() Credential {
	return Credential{
		Alg: keys.ES256, Kid: "did:dojang:kr:zIssuer#a1", Issuer: "did:dojang:kr:zIssuer", VCT: "urn:dojang:kr:resident-id:1",
		IssuedAt: now.Add(-time.Hour), NotBefore: now.Add(-time.Hour), Expires: now.AddDate(0, 0, 45), Holder: w.holder.Public(),
		Status: &StatusRef{URI: "http://localhost:8080/zIssuer/3", Index: 4711},
		Claims: []Claim{
			{Name: "family_name", Value: Text("한"), SD: true},
			{Name: "given_name", Value: Text("가온"), SD: true},
			{Name: "issuing_country", Value: Text("KR")},
			{Name: "address", Value: ObjectOf(Claim{Name: "sido", Value: Text("11"), SD: true}, Claim{Name: "street", Value: Text("1-1"), SD: true}), SD: true},
			{Name: "nationalities", Value: ArrayOf(Element{Value: Text("KR"), SD: true}, Element{Value: Text("XA"), SD: true})},
		},
	}
}

func (w *world) issue(c Credential) string {
	w.t.Helper()
	p, err := Prepare(c, rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := p.Sign(w.issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func (w *world) present(text string, paths ...Path) string {
	w.t.Helper()
	h, err := Open(text)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := h.Present(paths, KeyBinding{Audience: testAudience, Nonce: testNonce, IssuedAt: now}, w.holder)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func bound() Options {
	return Options{Now: now, RequireKeyBinding: true, Audience: testAudience, Nonce: testNonce}
}

// forge signs any header and payload as the issuer and appends any disclosures.
func (w *world) forge(header, payload string, disclosures ...string) string {
	w.t.Helper()
	input := keys.EncodeBase64URL([]byte(header)) + "." + keys.EncodeBase64URL([]byte(payload))
	sig, err := w.issuer.Sign([]byte(input))
	if err != nil {
		w.t.Fatal(err)
	}
	out := input + "." + keys.EncodeBase64URL(sig) + "~"
	for _, d := range disclosures {
		out += d + "~"
	}
	return out
}

const vcHeader = `{"alg":"ES256","typ":"dc+sd-jwt"}`

func disclose(json string) string { return keys.EncodeBase64URL([]byte(json)) }

func digestOf(disclosure string) string { return hashText("sha-256", []byte(disclosure)) }

// kb signs any KB-JWT over an SD-JWT; claims without sd_hash get the right one.
func (w *world) kb(sdjwt, header, claims string, s keys.Signer) string {
	w.t.Helper()
	if !strings.Contains(claims, "sd_hash") {
		claims = strings.TrimSuffix(claims, "}") + `,"sd_hash":"` + digestOf(sdjwt) + `"}`
	}
	input := keys.EncodeBase64URL([]byte(header)) + "." + keys.EncodeBase64URL([]byte(claims))
	sig, err := s.Sign([]byte(input))
	if err != nil {
		w.t.Fatal(err)
	}
	return sdjwt + input + "." + keys.EncodeBase64URL(sig)
}

func TestKeyBindingThreats(t *testing.T) {
	w := newWorld(t)
	stranger := newWorld(t).holder
	text := w.issue(w.credential())
	bare := text[:strings.IndexByte(text, '~')+1]
	h := `{"alg":"ES256","typ":"kb+jwt"}`
	c := func(nonce, aud, iat string) string {
		return `{"nonce":` + nonce + `,"aud":` + aud + `,"iat":` + iat + `}`
	}
	n, a, i := `"`+testNonce+`"`, `"`+testAudience+`"`, fmt.Sprint(now.Unix())
	at := func(d time.Duration) string { return fmt.Sprint(now.Add(d).Unix()) }
	good := w.kb(bare, h, c(n, a, i), w.holder)
	if err := verifyText(good, w.issuer.Public(), bound()); err != nil {
		t.Fatal(err)
	}
	noCnf := w.credential()
	noCnf.Holder = nil
	noCnfText := w.issue(noCnf)
	envelope := `{"iss":"x","vct":"y","cnf":`
	kidOnly := w.forge(vcHeader, envelope+`{"kid":"did:x#1"}}`)
	jkuOnly := w.forge(vcHeader, envelope+`{"jku":"http://169.254.169.254/"}}`)
	private := w.forge(vcHeader, envelope+`{"jwk":`+strings.TrimSuffix(string(w.holder.Public().JWK()), "}")+`,"d":"AAAA"}}}`)
	two := w.present(text, Path{"family_name"}, Path{"given_name"})
	parts := strings.Split(two, "~")
	third := slices.Clone(strings.Split(w.present(text, Path{"nationalities", 0}), "~"))[1]
	for _, x := range []struct {
		name, token string
		want        Reason
	}{
		{"D04 nonce missing", w.kb(bare, h, `{"aud":`+a+`,"iat":`+i+`}`, w.holder), NonceMismatch},
		{"D04 nonce empty", w.kb(bare, h, c(`""`, a, i), w.holder), NonceMismatch},
		{"D04 nonce wrong", w.kb(bare, h, c(`"other"`, a, i), w.holder), NonceMismatch},
		{"D04 nonce null", w.kb(bare, h, c(`null`, a, i), w.holder), NonceMismatch},
		{"D04 nonce is a number", w.kb(bare, h, c(`1`, a, i), w.holder), NonceMismatch},
		{"A15 two nonces", w.kb(bare, h, `{"nonce":"x",`+c(n, a, i)[1:], w.holder), HolderBindingInvalid},
		{"A16 Nonce in capitals", w.kb(bare, h, strings.Replace(c(n, a, i), "nonce", "Nonce", 1), w.holder), NonceMismatch},
		{"D05 aud is the response_uri", w.kb(bare, h, c(n, `"https://verifier.example/response"`, i), w.holder), AudienceMismatch},
		{"D05 aud without its prefix", w.kb(bare, h, c(n, `"abc"`, i), w.holder), AudienceMismatch},
		{"D05 aud is an array with ours", w.kb(bare, h, c(n, `[`+a+`]`, i), w.holder), AudienceMismatch},
		{"D05 aud missing", w.kb(bare, h, `{"nonce":`+n+`,"iat":`+i+`}`, w.holder), AudienceMismatch},
		{"D06 stripped", text, HolderBindingMissing},
		{"D07 sd_hash wrong", w.kb(bare, h, strings.TrimSuffix(c(n, a, i), "}")+`,"sd_hash":"`+digestOf("x")+`"}`, w.holder), SDHashMismatch},
		{"D07 legacy _sd_hash", w.kb(bare, h, strings.TrimSuffix(c(n, a, i), "}")+`,"_sd_hash":"`+digestOf(bare)+`"}`, w.holder), SDHashMismatch},
		{"D07 disclosure removed", strings.Join(slices.Delete(slices.Clone(parts), 1, 2), "~"), SDHashMismatch},
		{"D07 disclosure added", strings.Join(slices.Insert(slices.Clone(parts), 1, third), "~"), SDHashMismatch},
		{"D07 disclosures reordered", strings.Join([]string{parts[0], parts[2], parts[1], parts[3]}, "~"), SDHashMismatch},
		{"D08 signed by another key", w.kb(bare, h, c(n, a, i), stranger), HolderBindingInvalid},
		{"D08 no cnf", w.kb(noCnfText, h, c(n, a, i), w.holder), HolderBindingInvalid},
		{"D08 cnf.kid only", w.kb(kidOnly, h, c(n, a, i), w.holder), HolderBindingInvalid},
		{"D08 cnf.jku only", w.kb(jkuOnly, h, c(n, a, i), w.holder), HolderBindingInvalid},
		{"A07 cnf.jwk with d", w.kb(private, h, c(n, a, i), w.holder), HolderBindingInvalid},
		{"D09 iat a year ago", w.kb(bare, h, c(n, a, at(-365*24*time.Hour)), w.holder), HolderBindingInvalid},
		{"D09 iat in a year", w.kb(bare, h, c(n, a, at(365*24*time.Hour)), w.holder), HolderBindingInvalid},
		{"D09 iat 301 s ago", w.kb(bare, h, c(n, a, at(-301*time.Second)), w.holder), HolderBindingInvalid},
		{"D09 iat in 301 s", w.kb(bare, h, c(n, a, at(301*time.Second)), w.holder), HolderBindingInvalid},
		{"A23 iat is a text", w.kb(bare, h, c(n, a, `"`+i+`"`), w.holder), HolderBindingInvalid},
		{"D09 iat missing", w.kb(bare, h, `{"nonce":`+n+`,"aud":`+a+`}`, w.holder), HolderBindingInvalid},
		{"D09 typ absent", w.kb(bare, `{"alg":"ES256"}`, c(n, a, i), w.holder), HolderBindingInvalid},
		{"A22 key proof as KB-JWT", w.kb(bare, `{"alg":"ES256","typ":"openid4vci-proof+jwt"}`, c(n, a, i), w.holder), HolderBindingInvalid},
		{"A01 KB-JWT with alg none", w.kb(bare, `{"alg":"none","typ":"kb+jwt"}`, c(n, a, i), w.holder), HolderBindingInvalid},
		{"D09 alg of another kind of key", w.kb(bare, `{"alg":"EdDSA","typ":"kb+jwt"}`, c(n, a, i), w.holder), HolderBindingInvalid},
		{"D41 hashes that were not asked for", w.kb(bare, h, strings.TrimSuffix(c(n, a, i), "}")+`,"transaction_data_hashes":["x"]}`, w.holder), TransactionDataMismatch},
		{"KB-JWT payload is no object", w.kb(bare, h, `["sd_hash"]`, w.holder), HolderBindingInvalid},
	} {
		t.Run(x.name, func(t *testing.T) { checkReason(t, verifyText(x.token, w.issuer.Public(), bound()), x.want) })
	}
	for name, o := range map[string]Options{
		"D04 options without nonce":    {Now: now, RequireKeyBinding: true, Audience: testAudience},
		"D05 options without audience": {Now: now, RequireKeyBinding: true, Nonce: testNonce},
		"options without time":         {RequireKeyBinding: true, Nonce: testNonce, Audience: testAudience},
	} {
		t.Run(name, func(t *testing.T) { checkReason(t, verifyText(good, w.issuer.Public(), o), Malformed) })
	}
	t.Run("D06 a KB-JWT nobody asked for is never ignored", func(t *testing.T) {
		checkReason(t, verifyText(good, w.issuer.Public(), Options{Now: now}), NonceMismatch)
	})
	t.Run("D09 iat at the edge of the window", func(t *testing.T) {
		for _, d := range []time.Duration{-300 * time.Second, 300 * time.Second} {
			if err := verifyText(w.kb(bare, h, c(n, a, at(d)), w.holder), w.issuer.Public(), bound()); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestTransactionData(t *testing.T) {
	w := newWorld(t)
	held, err := Open(w.issue(w.credential()))
	if err != nil {
		t.Fatal(err)
	}
	data := []string{disclose(`{"type":"payment"}`), disclose(`{"type":"consent"}`)}
	for _, c := range []struct {
		name     string
		sent     []string
		alg      string
		asked    []string
		allowed  []string
		want     Reason
		accepted bool
	}{
		{"right", data, "", data, nil, "", true},
		{"sha-512 when the request lists it", data, "sha-512", data, []string{"sha-512"}, "", true},
		{"D41 hash missing", nil, "", data, nil, TransactionDataMismatch, false},
		{"D41 hash of other data", []string{data[0], data[0]}, "", data, nil, TransactionDataMismatch, false},
		{"D41 order", []string{data[1], data[0]}, "", data, nil, TransactionDataMismatch, false},
		{"D41 one too few", data[:1], "", data, nil, TransactionDataMismatch, false},
		{"D41 algorithm chosen by the wallet", data, "sha-384", data, nil, TransactionDataMismatch, false},
		{"D41 hash over the decoded bytes", []string{`{"type":"payment"}`, `{"type":"consent"}`}, "", data, nil, TransactionDataMismatch, false},
		{"D41 not asked for", data, "", nil, nil, TransactionDataMismatch, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := held.Present(nil, KeyBinding{Audience: testAudience, Nonce: testNonce, IssuedAt: now, TransactionData: c.sent, TransactionDataAlg: c.alg}, w.holder)
			if err != nil {
				t.Fatal(err)
			}
			o := bound()
			o.TransactionData, o.TransactionDataAlgs = c.asked, c.allowed
			err = verifyText(text, w.issuer.Public(), o)
			if c.accepted {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			checkReason(t, err, c.want)
		})
	}
	t.Run("D41 asked for, and no KB-JWT", func(t *testing.T) {
		checkReason(t, verifyText(held.Text(), w.issuer.Public(), Options{Now: now, TransactionData: data}), HolderBindingMissing)
	})
}

func TestDisclosureThreats(t *testing.T) {
	w := newWorld(t)
	a, b := disclose(`["salt1","age",20]`), disclose(`["salt2","name","x"]`)
	el := disclose(`["salt3","KR"]`)
	nested := disclose(`["salt4","obj",{"_sd":["` + digestOf(a) + `"]}]`)
	p := func(rest string) string { return `{"vct":"t",` + rest + `}` }
	sd := func(ds ...string) string {
		q := make([]string, len(ds))
		for i, d := range ds {
			q[i] = `"` + digestOf(d) + `"`
		}
		return `"_sd":[` + strings.Join(q, ",") + `]`
	}
	one := func(json string) string { d := disclose(json); return w.forge(vcHeader, p(sd(d)), d) }
	array := func(element string, ds ...string) string { return w.forge(vcHeader, p(`"n":[`+element+`]`), ds...) }
	deep := strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)
	for _, c := range []struct {
		name, token string
		want        Reason
	}{
		{"D10 disclosure named _sd", one(`["s","_sd",[]]`), DisclosureInvalid},
		{"D10 disclosure named ...", one(`["s","...","x"]`), DisclosureInvalid},
		{"D10 disclosure named _sd by escapes", one(`["s","\u005fsd",[]]`), DisclosureInvalid},
		{"D11 digest repeated in the payload", w.forge(vcHeader, p(sd(a, a)), a), DisclosureInvalid},
		{"D11 digest repeated, nothing disclosed", w.forge(vcHeader, p(sd(a, a))), DisclosureInvalid},
		{"D11 digest repeated in a nested object", w.forge(vcHeader, p(sd(a)+`,"o":{`+sd(a)+`}`), a), DisclosureInvalid},
		{"D11 digest repeated in an array", array(`{"...":"`+digestOf(el)+`"},{"...":"`+digestOf(el)+`"}`, el), DisclosureInvalid},
		{"D11 digest repeated inside a disclosure", w.forge(vcHeader, p(sd(a, nested)), a, nested), DisclosureInvalid},
		{"D11 the same disclosure twice", w.forge(vcHeader, p(sd(a)), a, a), DisclosureInvalid},
		{"D12 disclosure without a digest", w.forge(vcHeader, p(sd(a)), a, b), DisclosureInvalid},
		{"D12 child without its parent", w.forge(vcHeader, p(sd(nested)), a), DisclosureInvalid},
		{"D13 claim is there already", w.forge(vcHeader, p(sd(a)+`,"age":5`), a), DisclosureInvalid},
		{"D13 two disclosures of one name", w.forge(vcHeader, p(sd(a, disclose(`["s","age",3]`))), a, disclose(`["s","age",3]`)), DisclosureInvalid},
		{"D13 overwrite vct", one(`["s","vct","other"]`), DisclosureInvalid},
		{"D14 two elements under _sd", w.forge(vcHeader, p(sd(el)), el), DisclosureInvalid},
		{"D14 three elements under ...", array(`{"...":"`+digestOf(a)+`"}`, a), DisclosureInvalid},
		{"D14 ... with company", array(`{"...":"`+digestOf(el)+`","y":1}`, el), DisclosureInvalid},
		{"D14 ... is a number", array(`{"...":1}`), DisclosureInvalid},
		{"D14 ... outside of an array", w.forge(vcHeader, p(`"o":{"...":"x"}`)), DisclosureInvalid},
		{"D14 _sd is a text", w.forge(vcHeader, p(`"_sd":"x"`)), DisclosureInvalid},
		{"D14 _sd with a number", w.forge(vcHeader, p(`"_sd":[1]`)), DisclosureInvalid},
		{"D14 _sd is null", w.forge(vcHeader, p(`"_sd":null`)), DisclosureInvalid},
		{"D14 one element", one(`["s"]`), DisclosureInvalid},
		{"D14 four elements", one(`["s","a","b","c"]`), DisclosureInvalid},
		{"D14 salt is a number", one(`[1,"a","b"]`), DisclosureInvalid},
		{"D14 name is a number", one(`["s",1,"b"]`), DisclosureInvalid},
		{"D14 disclosure is an object", one(`{"a":1}`), DisclosureInvalid},
		{"D14 disclosure is not JSON", one(`["s","a",`), DisclosureInvalid},
		{"A24 data after a disclosure", one(`["s","a","b"] x`), DisclosureInvalid},
		{"D15 sha-256-32", w.forge(vcHeader, p(`"_sd_alg":"sha-256-32"`)), AlgNotAllowed},
		{"D15 md5", w.forge(vcHeader, p(`"_sd_alg":"md5"`)), AlgNotAllowed},
		{"D15 SHA-256 in capitals", w.forge(vcHeader, p(`"_sd_alg":"SHA-256"`)), AlgNotAllowed},
		{"D15 a number", w.forge(vcHeader, p(`"_sd_alg":256`)), AlgNotAllowed},
		{"D15 inside an object", w.forge(vcHeader, p(`"o":{"_sd_alg":"sha-256"}`)), AlgNotAllowed},
		{"D15 by disclosure", one(`["s","_sd_alg","sha-256"]`), DisclosureInvalid},
		{"D16 5 000 disclosures", w.forge(vcHeader, p(`"a":1`)) + strings.Repeat("YQ~", 5000), LimitExceeded},
		{"D16 257 disclosures", w.forge(vcHeader, p(`"a":1`)) + strings.Repeat("YQ~", 257), LimitExceeded},
		{"D16 4 MB token", strings.Repeat("A", 4<<20), LimitExceeded},
		{"D16 payload too deep", w.forge(vcHeader, p(`"a":`+deep)), LimitExceeded},
		{"D16 disclosure too deep", one(`["s","a",` + deep + `]`), LimitExceeded},
		{"D16 payload of 100 000 brackets", w.forge(vcHeader, p(`"a":`+strings.Repeat("[", 100000))), LimitExceeded},
		{"D17 exp made selectively disclosable", one(`["s","exp",1900000000]`), Malformed},
		{"D17 cnf made selectively disclosable", one(`["s","cnf",{}]`), Malformed},
		{"D17 status made selectively disclosable", one(`["s","status",{}]`), Malformed},
		{"D17 iss made selectively disclosable", one(`["s","iss","x"]`), Malformed},
		{"D17 nbf made selectively disclosable", one(`["s","nbf",1]`), Malformed},
		{"D17 vct withheld", w.forge(vcHeader, `{"iss":"x",`+sd(a)+`}`), Malformed},
		{"D18 duplicate names inside a disclosed value", one(`["s","a",{"x":1,"x":2}]`), DisclosureInvalid},
		{"D20 empty disclosure", w.forge(vcHeader, p(sd(a)), a, ""), Malformed},
		{"D20 final tilde missing", strings.TrimSuffix(w.forge(vcHeader, p(sd(a)), a), "~"), Malformed},
		{"D20 no tilde at all", strings.TrimSuffix(w.forge(vcHeader, p(`"a":1`)), "~"), Malformed},
		{"D20 tildes only", "~~", Malformed},
		{"D20 JSON serialization", `{"payload":"a","signature":"b","header":{"disclosures":["~"]}}`, Malformed},
		{"A01 issuer-signed with alg none", w.forge(`{"alg":"none","typ":"dc+sd-jwt"}`, p(`"a":1`)), AlgNotAllowed},
		{"A03 issuer-signed with HS256", w.forge(`{"alg":"HS256","typ":"dc+sd-jwt"}`, p(`"a":1`)), AlgNotAllowed},
		{"A08 jku", w.forge(`{"alg":"ES256","typ":"dc+sd-jwt","jku":"https://x"}`, p(`"a":1`)), Malformed},
		{"A15 payload with two vct", w.forge(vcHeader, `{"vct":"t","vct":"u"}`), Malformed},
		{"A22 status token as credential", w.forge(`{"alg":"ES256","typ":"statuslist+jwt"}`, p(`"a":1`)), Malformed},
		{"A22 KB-JWT as credential", w.forge(`{"alg":"ES256","typ":"kb+jwt"}`, p(`"a":1`)), Malformed},
		{"A23 exp is a text", w.forge(vcHeader, p(`"exp":"1900000000"`)), Malformed},
		{"A23 exp is 1e400", w.forge(vcHeader, p(`"exp":1e400`)), Malformed},
		{"A23 exp is -1", w.forge(vcHeader, p(`"exp":-1`)), Malformed},
		{"A23 exp is 2^63", w.forge(vcHeader, p(`"exp":9223372036854775808`)), Malformed},
		{"A23 exp is now", w.forge(vcHeader, p(`"exp":`+fmt.Sprint(now.Unix()))), Expired},
		{"nbf in a second", w.forge(vcHeader, p(`"nbf":`+fmt.Sprint(now.Unix()+1))), NotYetValid},
		{"A24 padding in a disclosure", w.forge(vcHeader, p(sd(a)), a+"="), Malformed},
		{"A24 newline in a disclosure", w.forge(vcHeader, p(sd(a)), a+"\n"), Malformed},
		{"A24 payload with data behind", w.forge(vcHeader, p(`"a":1`)+"{}"), Malformed},
		{"C02 idx -1", w.forge(vcHeader, p(`"status":{"status_list":{"idx":-1,"uri":"u"}}`)), StatusInvalid},
		{"C02 idx 2^31", w.forge(vcHeader, p(`"status":{"status_list":{"idx":2147483648,"uri":"u"}}`)), StatusInvalid},
		{"C02 idx 2^63", w.forge(vcHeader, p(`"status":{"status_list":{"idx":9223372036854775808,"uri":"u"}}`)), StatusInvalid},
		{"C02 idx is a text", w.forge(vcHeader, p(`"status":{"status_list":{"idx":"5","uri":"u"}}`)), StatusInvalid},
		{"C02 idx 5.0", w.forge(vcHeader, p(`"status":{"status_list":{"idx":5.0,"uri":"u"}}`)), StatusInvalid},
		{"status of another mechanism", w.forge(vcHeader, p(`"status":{"other":1}`)), StatusInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkReason(t, verifyText(c.token, w.issuer.Public(), Options{Now: now}), c.want)
		})
	}
}

func TestRequiredClaims(t *testing.T) {
	w := newWorld(t)
	text := w.forge(vcHeader, `{"vct":"t","iss":"x"}`)
	for _, name := range []string{"exp", "nbf", "cnf", "status"} {
		t.Run("D17 "+name+" withheld where the policy requires it", func(t *testing.T) {
			checkReason(t, verifyText(text, w.issuer.Public(), Options{Now: now, Required: []string{"iss", name}}), Malformed)
		})
	}
	if err := verifyText(text, w.issuer.Public(), Options{Now: now, Required: []string{"iss", "vct"}}); err != nil {
		t.Fatal(err)
	}
}

// The first failing code of the closed list is the one that is reported: issuer's signature, binding, interval, status.
func TestOrderOfReasons(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	c := w.credential()
	c.Expires = now.Add(-time.Minute)
	text := w.issue(c)
	wrong := bound()
	wrong.Nonce = "other"
	presented := w.present(text, Path{"family_name"})
	checkReason(t, verifyText(presented, other.issuer.Public(), wrong), SignatureInvalid)
	checkReason(t, verifyText(presented, w.issuer.Public(), wrong), NonceMismatch)
	checkReason(t, verifyText(presented, w.issuer.Public(), bound()), Expired)
	checkReason(t, verifyText(text, w.issuer.Public(), bound()), HolderBindingMissing)
	checkReason(t, verifyText(text, other.issuer.Public(), bound()), SignatureInvalid)
	checkReason(t, verifyText(presented, nil, bound()), AlgNotAllowed)
	ed, err := keys.Generate(keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("A05 alg contradicts the issuer's key", func(t *testing.T) {
		checkReason(t, verifyText(presented, ed.Public(), bound()), AlgNotAllowed)
	})
	t.Run("A04 issuer's signature r=s=0", func(t *testing.T) {
		parts := strings.SplitN(presented, "~", 2)
		jwt := parts[0][:strings.LastIndexByte(parts[0], '.')+1]
		checkReason(t, verifyText(jwt+keys.EncodeBase64URL(make([]byte, 64))+"~"+parts[1], w.issuer.Public(), bound()), SignatureInvalid)
	})
	t.Run("A06 key in the issuer's header is never used", func(t *testing.T) {
		forged := other.forge(`{"alg":"ES256","typ":"dc+sd-jwt","jwk":`+string(other.issuer.Public().JWK())+`}`, `{"vct":"t"}`)
		checkReason(t, verifyText(forged, w.issuer.Public(), Options{Now: now}), SignatureInvalid)
	})
}

func TestAccepted(t *testing.T) {
	w := newWorld(t)
	t.Run("D18 prototype names stay plain data", func(t *testing.T) {
		d := disclose(`["s","__proto__",{"constructor":{"x":1}}]`)
		u, err := Parse(w.forge(vcHeader, `{"vct":"t","_sd":["`+digestOf(d)+`"]}`, d))
		if err != nil {
			t.Fatal(err)
		}
		v, err := u.Verify(w.issuer.Public(), Options{Now: now})
		if err != nil || string(v.Claims().JSON()) != `{"vct":"t","__proto__":{"constructor":{"x":1}}}` {
			t.Errorf("%v", err)
		}
	})
	t.Run("D19 decoys are ignored up to the limit", func(t *testing.T) {
		c := w.credential()
		c.Claims, c.Decoys = c.Claims[:1], 1000
		text := w.issue(c)
		if err := verifyText(text, w.issuer.Public(), Options{Now: now}); err != nil {
			t.Fatal(err)
		}
		many := make([]string, 10000)
		for i := range many {
			many[i] = fmt.Sprintf(`"%d"`, i)
		}
		checkReason(t, verifyText(w.forge(vcHeader, `{"vct":"t","_sd":[`+strings.Join(many, ",")+`]}`), w.issuer.Public(), Options{Now: now}), LimitExceeded)
		if err := verifyText(w.forge(vcHeader, `{"vct":"t","_sd":[`+strings.Join(many[:MaxDigests], ",")+`]}`), w.issuer.Public(), Options{Now: now}); err != nil {
			t.Error(err)
		}
	})
	t.Run("D16 256 disclosures in 16 levels", func(t *testing.T) {
		c := w.credential()
		c.Claims = nil
		for i := range MaxDisclosures {
			c.Claims = append(c.Claims, Claim{Name: fmt.Sprint("c", i), Value: Int(int64(i)), SD: true})
		}
		if err := verifyText(w.issue(c), w.issuer.Public(), Options{Now: now}); err != nil {
			t.Error(err)
		}
	})
	t.Run("sha-384 and sha-512", func(t *testing.T) {
		for _, alg := range []string{"sha-384", "sha-512"} {
			d := disclose(`["s","age",20]`)
			text := w.forge(vcHeader, `{"vct":"t","_sd_alg":"`+alg+`","cnf":{"jwk":`+string(w.holder.Public().JWK())+`},"_sd":["`+hashText(alg, []byte(d))+`"]}`, d)
			u, err := Parse(w.present(text, Path{"age"}))
			if err != nil {
				t.Fatal(err)
			}
			v, err := u.Verify(w.issuer.Public(), bound())
			if err != nil {
				t.Fatal(err)
			}
			if n, ok := v.Claims().Select(Path{"age"})[0].Int64(); !ok || n != 20 {
				t.Error("claim is missing")
			}
		}
	})
}

func TestIssueRefusals(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"_sd", "...", "_sd_alg", "cnf", "status", "iss", "vct", "exp", "nbf", "iat", "sub", "vct#integrity"} {
		t.Run("B69 "+name+" among the issuer's claims", func(t *testing.T) {
			for _, sd := range []bool{false, true} {
				c := w.credential()
				c.Claims = []Claim{{Name: name, Value: Text("x"), SD: sd}}
				p, err := Prepare(c, rand.Reader)
				if !errors.Is(err, ErrReserved) || p != nil {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	for _, name := range []string{"_sd", "...", "_sd_alg"} {
		t.Run("B69 "+name+" below the top level", func(t *testing.T) {
			c := w.credential()
			c.Claims = []Claim{{Name: "o", Value: ArrayOf(Element{Value: ObjectOf(Claim{Name: name, Value: Text("x")})})}}
			if _, err := Prepare(c, rand.Reader); !errors.Is(err, ErrReserved) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("B69 _sd in imported JSON", func(t *testing.T) {
		for _, object := range []string{`{"_sd":"x"}`, `{"a":{"_sd":[1]}}`} {
			if _, err := ParseClaims([]byte(object), nil); !errors.Is(err, ErrReserved) {
				t.Errorf("got %v", err)
			}
		}
		claims, err := ParseClaims([]byte(`{"_sd":["x"]}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		c := w.credential()
		c.Claims = claims
		if _, err = Prepare(c, rand.Reader); !errors.Is(err, ErrReserved) {
			t.Errorf("got %v", err)
		}
	})
	deep := Int(1)
	for range MaxDepth {
		deep = ObjectOf(Claim{Name: "a", Value: deep})
	}
	null, err := ParseClaims([]byte(`{"a":null,"b":[null]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]Claim, MaxDisclosures+1)
	for i := range many {
		many[i] = Claim{Name: fmt.Sprint(i), Value: Int(1), SD: true}
	}
	for _, c := range []struct {
		name   string
		claims []Claim
	}{
		{"B70 null", null[:1]},
		{"B70 null in an array", null[1:]},
		{"B70 no value", []Claim{{Name: "a"}}},
		{"the same name twice", []Claim{{Name: "a", Value: Int(1)}, {Name: "a", Value: Int(2), SD: true}}},
		{"no name", []Claim{{Value: Int(1)}}},
		{"not UTF-8", []Claim{{Name: "a", Value: Text("\xff")}}},
		{"too deep", []Claim{{Name: "a", Value: deep}}},
		{"too many", many},
	} {
		t.Run(c.name, func(t *testing.T) {
			cred := w.credential()
			cred.Claims = c.claims
			p, err := Prepare(cred, rand.Reader)
			if !errors.Is(err, ErrClaims) || p != nil {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("alg of no key", func(t *testing.T) {
		c := w.credential()
		c.Alg = "HS256"
		if _, err := Prepare(c, rand.Reader); !errors.Is(err, ErrClaims) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("signer of another algorithm", func(t *testing.T) {
		p, err := Prepare(w.credential(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		ed, err := keys.Generate(keys.EdDSA)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Sign(ed); !errors.Is(err, keys.ErrAlg) {
			t.Errorf("got %v", err)
		}
	})
}

// repeating gives the same block for ever.
type repeating []byte

func (r repeating) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r[i%len(r)]
	}
	return len(p), nil
}

func TestBrokenRandomness(t *testing.T) {
	w := newWorld(t)
	block := make([]byte, saltLen)
	rand.Read(block)
	twelve := bytes.Repeat([]byte{7}, 0)
	for range 12 {
		b := make([]byte, saltLen)
		rand.Read(b)
		twelve = append(twelve, b...)
	}
	copy(twelve[5*saltLen:], twelve[:saltLen])
	for _, c := range []struct {
		name   string
		random io.Reader
		want   error
	}{
		{"B71 one block again and again", repeating(block), ErrRandomness},
		{"B71 all zero", repeating{0}, ErrRandomness},
		{"B71 one salt stands twice", bytes.NewReader(twelve), ErrRandomness},
		{"B71 the generator ends early", bytes.NewReader(block), io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Prepare(w.credential(), c.random)
			if !errors.Is(err, c.want) || p != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("B71 one claim, constant generator", func(t *testing.T) {
		c := w.credential()
		c.Claims = c.Claims[:1]
		if _, err := Prepare(c, repeating{9}); !errors.Is(err, ErrRandomness) {
			t.Errorf("got %v", err)
		}
	})
}
