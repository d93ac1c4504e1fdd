package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
)

// TestAbuse is AC-19, abuse of requests and presentations, over one demo. Row (f), claims of two people in one answer, needs a
// policy of two credentials, which the demo has not; package verifier tests it (D28).
func TestAbuse(t *testing.T) {
	t.Parallel()
	r := startDemo(t, filepath.Join(t.TempDir(), "data"))
	r.told("refused")
	a := &abuse{running: r, wallet: filepath.Join(t.TempDir(), "lee")}
	a.hand(a.wallet, "resident-id", "lee-seori")
	_, a.copies = a.receive("resident-id", "han-gaon", 10)
	a.requests(t)
	a.replays(t)
	a.issuers(t)
	a.run(t, "AC-19 k: two verifiers compare what they got", a.compare)
	a.run(t, "AC-19 i: an answer after 3 minutes and 1 second", a.late) // the last: it moves the clock
	r.stop()
}

type abuse struct {
	*running
	wallet string   // of lee-seori, ours
	copies []copied // of han-gaon, in other hands
}

// take is a copy that nobody has seen.
func (a *abuse) take() copied {
	c := a.copies[0]
	a.copies = a.copies[1:]
	return c
}

// requests: (a) to (c). The wallet refuses and nothing leaves it.
func (a *abuse) requests(t *testing.T) {
	moa := a.open("Moa", map[string][]string{residentVCT: {"age_over_19"}, youthVCT: {"eligible", "program_nullifier"}}, "BANKING-ACT-1")
	lookalike := a.open("Moah", nil)
	no := []string{"error: access_denied"}
	for _, row := range []struct {
		name  string
		shop  *shop
		query string
		says  string
		hears []string // a registered verifier is told no, once the person has seen why
	}{
		{"AC-19 a: a number that nobody may ask for", moa, dcql(residentVCT, "rrn_full"), "OVERASK_REFUSED", no},
		{"AC-19 a: an item outside of the registration", moa, dcql(residentVCT, "age_over_19", "name"), "OVERASK_REFUSED", no},
		{"AC-19 a: a class X item", moa, dcql(youthVCT, "birthdate"), "OVERASK_REFUSED", no},
		{"AC-19 b: an item without its legal basis", moa, dcql(youthVCT, "program_nullifier"), "LEGAL_BASIS_REQUIRED", no},
		{"AC-19 c: an unregistered look-alike", lookalike, dcql(residentVCT, "age_over_19"), "not registered", nil},
	} {
		a.run(t, row.name, func(t *testing.T) {
			row.shop.r = a.running
			code, text := row.shop.show(t, a.wallet, row.query)
			if code != 1 || !strings.Contains(text, row.says) {
				t.Errorf("exit code %d: %s", code, text)
			}
			if got := row.shop.heard(); !slices.Equal(got, row.hears) {
				t.Errorf("left the wallet: %q", got)
			}
		})
	}
	a.run(t, "AC-19 a: what it is registered for it gets", func(t *testing.T) {
		if code, text := moa.show(t, a.wallet, dcql(residentVCT, "age_over_19")); code != 0 {
			t.Fatalf("exit code %d: %s", code, text)
		}
		if got := moa.heard(); len(got) != 1 || strings.Count(got[0], "~") != 2 {
			t.Errorf("one presentation with one disclosure is expected: %q", got)
		}
	})
}

// replays: (d) and (e).
func (a *abuse) replays(t *testing.T) {
	a.run(t, "AC-19 d: the same answer twice", func(t *testing.T) {
		q := a.ask("adult-check", "x509_hash", 0)
		status, body := a.answer(q, "resident", a.take().present(t, sdjwt.KeyBinding{Audience: q.ClientID, Nonce: q.Nonce}, "age_over_19"))
		first := a.result(q.id)
		if status != http.StatusOK || first.Code != "VALID" {
			t.Fatalf("%d %+v", status, first)
		}
		for range 3 {
			if status := a.send(q.ResponseURI, body); status != http.StatusBadRequest {
				t.Errorf("a replay is answered %d", status)
			}
		}
		if again := a.result(q.id); fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("the stored result changed: %+v, before %+v", again, first)
		}
	})
	a.run(t, "AC-19 d: the same presentation for another request", func(t *testing.T) {
		one, two := a.ask("adult-check", "x509_hash", 0), a.ask("adult-check", "x509_hash", 0)
		text := a.take().present(t, sdjwt.KeyBinding{Audience: one.ClientID, Nonce: one.Nonce}, "age_over_19")
		if status, _ := a.answer(one, "resident", text); status != http.StatusOK {
			t.Fatalf("the first answer: %d", status)
		}
		a.refused(t, two, text, "NONCE_REPLAY")
	})
	a.run(t, "AC-19 e: a presentation that another verifier forwards", func(t *testing.T) {
		naru := a.open("Naru", map[string][]string{residentVCT: {"age_over_19"}}, "INSURANCE-ACT-1")
		q := a.ask("adult-check", "x509_hash", 0)
		naru.nonce = q.Nonce // the man in the middle asks with the nonce that he was given
		if code, text := naru.show(t, a.wallet, dcql(residentVCT, "age_over_19")); code != 0 {
			t.Fatalf("exit code %d: %s", code, text)
		}
		got := naru.heard()
		if len(got) != 1 {
			t.Fatalf("the wallet sent %q", got)
		}
		a.refused(t, q, got[0], "HOLDER_BINDING_FAILED")
	})
	a.run(t, "AC-19 e: a presentation under another name of the same verifier", func(t *testing.T) {
		q := a.ask("adult-check", "x509_hash", 0)
		other := a.ask("adult-check", "decentralized_identifier", 0)
		a.refused(t, q, a.take().present(t, sdjwt.KeyBinding{Audience: other.ClientID, Nonce: q.Nonce}, "age_over_19"), "HOLDER_BINDING_FAILED")
	})
	a.run(t, "AC-19 e: without the holder's key", func(t *testing.T) {
		q := a.ask("adult-check", "x509_hash", 0)
		bare := must(must(sdjwt.Open(a.take().text))(t).Select([]sdjwt.Path{{"age_over_19"}}))(t)
		a.refused(t, q, bare, "HOLDER_BINDING_FAILED")
	})
}

// refused posts a presentation that must be refused with a code, at once and for good.
func (a *abuse) refused(t *testing.T, q asked, presentation, code string) {
	t.Helper()
	status, body := a.answer(q, "resident", presentation)
	got := a.result(q.id)
	if status != http.StatusBadRequest || got.Decision != "not confirmed" || got.Code != code || got.Claims != nil {
		t.Errorf("%d %+v, want %s", status, got, code)
	}
	if again := a.send(q.ResponseURI, body); again != http.StatusBadRequest {
		t.Errorf("a second try is answered %d", again)
	}
}

// issuers: (g), (h) and (j), by credentials that are signed with the agencies' own keys out of the data directory.
func (a *abuse) issuers(t *testing.T) {
	real := claimsOf(t, a.copies[0].text)
	adult := func(f forged) forged {
		f.vct, f.claim, f.status = residentVCT, "age_over_19", real["status"]
		return f
	}
	for _, row := range []struct {
		name string
		f    forged
		code string
	}{
		{"AC-19 g: control, an agency signs what it may", adult(forged{agency: "gaon"}), "VALID"},
		{"AC-19 g: an agency that is accredited for another type", adult(forged{agency: "seoul"}), "ISSUER_UNTRUSTED"},
		{"AC-19 g: one agency in the name of another", adult(forged{agency: "gaon", key: "seoul"}), "SIGNATURE_INVALID"},
		{"AC-19 g: an agency that the chain does not know", adult(forged{agency: "gaon", did: "did:dojang:demo:QmUnknownUnknownUnknownUnknownUnknownUnknown"}), "ISSUER_UNTRUSTED"},
		{"AC-19 j: valid from tomorrow on", adult(forged{agency: "gaon", notBefore: time.Now().Add(24 * time.Hour)}), "NOT_YET_VALID"},
		{"AC-19 j: dated into tomorrow", adult(forged{agency: "gaon", issued: time.Now().Add(24 * time.Hour)}), "NOT_YET_VALID"},
		{"AC-19 j: expired yesterday", adult(forged{agency: "gaon", expires: time.Now().Add(-24 * time.Hour)}), "EXPIRED"},
	} {
		a.run(t, row.name, func(t *testing.T) {
			q := a.ask("adult-check", "x509_hash", 0)
			text := a.forge(t, row.f).present(t, sdjwt.KeyBinding{Audience: q.ClientID, Nonce: q.Nonce}, row.f.claim)
			if row.code != "VALID" {
				a.refused(t, q, text, row.code)
				return
			}
			if status, _ := a.answer(q, "resident", text); status != http.StatusOK || a.result(q.id).Code != "VALID" {
				t.Errorf("%d %+v", status, a.result(q.id))
			}
		})
	}
	a.run(t, "AC-19 h: an accreditation that has ended", a.ended)
}

// ended: what the agency issued while it was accredited stays good, what it signs afterwards never is.
func (a *abuse) ended(t *testing.T) {
	_, before := a.receive("youth-eligibility", "han-gaon", 2)
	claims := claimsOf(t, before[0].text)
	did := registry.DID(claims["iss"].(string))
	show := func(c copied) result {
		q := a.ask("youth-support", "x509_hash", 0)
		a.answer(q, "youth", c.present(t, sdjwt.KeyBinding{Audience: q.ClientID, Nonce: q.Nonce}, "eligible", "round", "resident_sido_code"))
		return a.result(q.id)
	}
	if got := show(before[0]); got.Code != "VALID" {
		t.Fatalf("before the end: %+v", got)
	}
	accredited, _, err := a.chain(nil).Accreditation(t.Context(), did, youthVCT, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	body := &registry.AccreditBody{Type: youthVCT, N: 1, Basis: accredited.LegalBasis, Host: accredited.StatusHost, From: accredited.From.Unix()}
	for _, root := range accredited.Roots {
		body.Roots = append(body.Roots, [32]byte(root))
	}
	first := registry.Operation{Network: "demo", ChainID: "dojang-demo-1", DID: did, Body: body}
	end := time.Now().Truncate(time.Second)
	a.govern(registry.Operation{
		Network: "demo", ChainID: "dojang-demo-1", DID: did, Seq: 1, Prev: registry.HashOf(must(first.Payload())(t)),
		Body: &registry.EndBody{Type: youthVCT, N: 1, Until: end.Unix()},
	})
	time.Sleep(time.Until(end.Add(2 * time.Second))) // now it has ended
	if got := show(before[1]); got.Code != "VALID" {
		t.Errorf("issued before the end: %+v", got)
	}
	after := a.forge(t, forged{agency: "seoul", vct: youthVCT, claim: "eligible", issued: end.Add(time.Second), status: claims["status"]})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) { // until the verifier has heard of it
		q := a.ask("youth-support", "x509_hash", 0)
		status, _ := a.answer(q, "youth", after.present(t, sdjwt.KeyBinding{Audience: q.ClientID, Nonce: q.Nonce}, "eligible"))
		got := a.result(q.id)
		if status == http.StatusBadRequest && got.Code == "ISSUER_UNTRUSTED" && got.Claims == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("signed after the end: %d %+v", status, got)
		}
	}
}

// A forged credential is signed by a real key of an agency.
type forged struct {
	agency                     string // whose key and certificate
	key                        string // another agency whose key signs instead
	did                        string // another issuer than the agency
	vct, claim                 string
	issued, notBefore, expires time.Time // zero: today, today, in 50 days
	status                     any       // of a real credential
}

func (a *abuse) forge(t *testing.T, f forged) copied {
	t.Helper()
	if f.key == "" {
		f.key = f.agency
	}
	leaf := must(keys.ReadPEM(must(os.ReadFile(filepath.Join(a.data, "issuer", f.agency+"-leaf.pem")))(t)))(t)[0]
	if f.did == "" {
		f.did = leaf.URIs[0].String()
	}
	now := time.Now().UTC()
	for _, d := range []struct {
		at  *time.Time
		def time.Time
	}{{&f.issued, now.Truncate(24 * time.Hour)}, {&f.notBefore, now.Truncate(24 * time.Hour)}, {&f.expires, now.AddDate(0, 0, 50)}} {
		if d.at.IsZero() {
			*d.at = d.def
		}
	}
	list := f.status.(map[string]any)["status_list"].(map[string]any)
	index := must(json.Number(fmt.Sprint(list["idx"])).Int64())(t)
	c := copied{key: must(keys.Generate(keys.ES256))(t)}
	prepared := must(sdjwt.Prepare(sdjwt.Credential{
		Alg: keys.ES256, Kid: f.did + "#assertion-1", X5C: [][]byte{leaf.Raw}, Issuer: f.did, VCT: f.vct,
		IssuedAt: f.issued, NotBefore: f.notBefore, Expires: f.expires, Holder: c.key.Public(),
		Status: &sdjwt.StatusRef{URI: list["uri"].(string), Index: uint64(index)},
		Claims: []sdjwt.Claim{{Name: f.claim, Value: sdjwt.Flag(true), SD: true}},
	}, rand.Reader))(t)
	c.text = must(prepared.Sign(must(a.vault("issuer").Signer(f.key + ".assertion-1"))(t)))(t)
	return c
}

// late: the answer to a request comes a second after its time.
func (a *abuse) late(t *testing.T) {
	a.act("down", "issuer") // or it would publish at a time that the chain refuses
	q := a.ask("adult-check", "x509_hash", 0)
	text := a.take().present(t, sdjwt.KeyBinding{Audience: q.ClientID, Nonce: q.Nonce}, "age_over_19")
	a.act("clock", "3m1s")
	status, _ := a.answer(q, "resident", text)
	if got := a.result(q.id); status != http.StatusBadRequest || got.State != "expired" || got.Code != "REQUEST_EXPIRED" || got.Decision != "not confirmed" || got.Claims != nil {
		t.Errorf("%d %+v", status, got)
	}
	a.act("clock", "0s")
	if status, _ := a.answer(q, "resident", text); status != http.StatusBadRequest || a.result(q.id).Code != "REQUEST_EXPIRED" {
		t.Errorf("it lives again: %d %+v", status, a.result(q.id))
	}
	a.act("up", "issuer")
}

// compare: what two verifiers hold of one person has no value in common that another person's presentation has not as well.
func (a *abuse) compare(t *testing.T) {
	moa := a.open("Moa-2", map[string][]string{residentVCT: {"age_over_19"}}, "BANKING-ACT-1")
	naru := a.open("Naru-2", map[string][]string{residentVCT: {"age_over_19"}}, "INSURANCE-ACT-1")
	park := filepath.Join(t.TempDir(), "park")
	a.hand(park, "resident-id", "park-nuri")
	got := func(s *shop, wallet string) map[string]bool {
		if code, text := s.show(t, wallet, dcql(residentVCT, "age_over_19")); code != 0 {
			t.Fatalf("exit code %d: %s", code, text)
		}
		texts := s.heard()
		if len(texts) != 1 {
			t.Fatalf("%s heard %q", s.name, texts)
		}
		return values(t, texts[0])
	}
	one, two, somebody := got(moa, a.wallet), got(naru, a.wallet), got(moa, park)
	if len(one) < 12 {
		t.Fatalf("only %d values are compared", len(one))
	}
	for v := range one {
		if two[v] && !somebody[v] {
			t.Errorf("both hold %q", v)
		}
	}
}

// values are all parts of a presentation, however small: parts as they came, and every member of what is inside; without
// the time and the audience of the presentation itself, which every verifier knows of its own visit.
func values(t *testing.T, presentation string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	var walk func(name string, v any)
	walk = func(name string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(name+"."+k, x)
			}
		case []any:
			for _, x := range v {
				walk(name, x)
			}
		default:
			out[fmt.Sprintf("%s=%v", name, v)] = true
		}
	}
	parts := strings.Split(presentation, "~")
	for i, part := range parts {
		kb := i == len(parts)-1
		for n, segment := range strings.Split(part, ".") {
			raw, err := base64.RawURLEncoding.DecodeString(segment)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if json.Unmarshal(raw, &v) != nil { // a signature
				out[segment] = true
				continue
			}
			if m, ok := v.(map[string]any); kb && ok {
				delete(m, "iat")
				delete(m, "aud")
				delete(m, "nonce")
			}
			walk(fmt.Sprintf("%t.%d", kb, n), v)
		}
	}
	return out
}

// TestValues: the comparison sees what is equal.
func TestValues(t *testing.T) {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	made := func(idx, salt string) map[string]bool {
		return values(t, strings.Join([]string{encode(`{"alg":"x"}`) + "." + encode(`{"idx":`+idx+`,"_sd":["`+salt+`"]}`) + "." + encode("sig"+salt),
			encode(`["` + salt + `","age_over_19",true]`), encode(`{}`) + "." + encode(`{"iat":1}`) + "." + encode("kb"+salt)}, "~"))
	}
	a, b := made("7", "s1"), made("7", "s2")
	var common []string
	for v := range a {
		if b[v] {
			common = append(common, v)
		}
	}
	slices.Sort(common)
	if want := []string{"false.0.alg=x", "false.0=age_over_19", "false.0=true", "false.1.idx=7"}; !slices.Equal(common, want) {
		t.Errorf("common: %q, want %q", common, want)
	}
}
