package holder_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// prefixes are the ways in which the shop may name itself.
func (s *shop) prefixes() map[string]string {
	return map[string]string{
		"x509_hash": s.clientID, "x509_san_dns": "x509_san_dns:localhost", "decentralized_identifier": "decentralized_identifier:" + string(s.did),
	}
}

func TestConsent(t *testing.T) {
	w := newWorld(t)
	w.receive()
	for prefix, id := range w.shop.prefixes() {
		for _, method := range []string{"", "get", "post"} {
			t.Run(prefix+" "+method, func(t *testing.T) {
				w.shop.clientID, w.shop.method = id, method
				before := w.rows()
				c := must(w.Consent(t.Context(), w.shop.link()))(t)
				if c.Verifier != string(w.shop.did) || c.Name != "Byeolmaru" || c.PurposeText != "Age check" || c.RetentionDays != 1 || !c.Registered {
					t.Errorf("consent %+v", c)
				}
				shown := map[bool][]string{}
				for _, i := range c.Items {
					shown[i.Always] = append(shown[i.Always], i.Path)
				}
				slices.Sort(shown[true])
				want := map[bool][]string{false: {"age_over_19"}, true: {"date_of_expiry", "date_of_issuance", "issuing_authority", "issuing_country", "schema_version"}}
				if d := cmp.Diff(want, shown); d != "" {
					t.Error(d)
				}
				if !c.Items[0].Derived || c.Items[0].Credential != "Mobile resident ID" {
					t.Errorf("item %+v", c.Items[0])
				}
				if (w.shop.nonce != "") != (method == "post") {
					t.Errorf("wallet nonce %q", w.shop.nonce)
				}
				w.unchanged(nil, nil, before)
				w.shop.silent(t)
			})
		}
	}
	t.Run("offline: facts that the resolver has are enough", func(t *testing.T) {
		w.facts.change(func() { w.facts.nodes, w.facts.asked = registry.ErrUnavailable, 0 })
		must(w.Consent(t.Context(), w.shop.link()))(t)
		if w.facts.asked != 0 {
			t.Errorf("%d questions went to nodes", w.facts.asked)
		}
	})
	t.Run("offline: without facts nothing is believed", func(t *testing.T) {
		w.facts.change(func() { w.facts.err = registry.ErrUnavailable })
		for prefix, id := range w.shop.prefixes() {
			w.shop.clientID = id
			if _, err := w.Consent(t.Context(), w.shop.link()); !errors.Is(err, holder.ErrUnreachable) {
				t.Errorf("%s: %v", prefix, err)
			}
		}
	})
}

// A refused request: how the verifier goes wrong, what the wallet says to its person, which code the protocol has for it.
type refusedRequest struct {
	name string
	do   func(w *world)
	link func(w *world) string // nil: the shop's
	want error
	code oauth.Code // of 8.5; "": not the protocol's affair
	told bool       // the verifier may be told, after the person
}

func TestRequestRefused(t *testing.T) {
	set := func(name string, v any) func(*world) {
		return func(w *world) { w.shop.alter(func(r map[string]any) { r[name] = v }) }
	}
	drop := func(name string) func(*world) {
		return func(w *world) { w.shop.alter(func(r map[string]any) { delete(r, name) }) }
	}
	as := func(prefix string, then ...func(*world)) func(*world) {
		return func(w *world) {
			w.shop.clientID = w.shop.prefixes()[prefix]
			for _, f := range then {
				f(w)
			}
		}
	}
	header := func(f func(w *world, h *keys.Header)) func(*world) {
		return func(w *world) { w.shop.header = func(h *keys.Header) { f(w, h) } }
	}
	for _, c := range []refusedRequest{
		{name: "D44 x509_san_dns that is no name of the certificate", do: func(w *world) { w.shop.clientID = "x509_san_dns:shop.example" }, code: oauth.InvalidRequest},
		{name: "D44 x509_san_dns with the response elsewhere", do: as("x509_san_dns", set("response_uri", "https://elsewhere.example/response")), code: oauth.InvalidRequest},
		{name: "D44 x509_hash of another certificate", do: func(w *world) {
			_, other := certify(w.t, w.shop.organisation, start.Add(time.Hour))
			w.shop.clientID = "x509_hash:" + keys.X509Hash(other[0])
		}, code: oauth.InvalidRequest},
		{name: "D44 x509_hash without a certificate", do: header(func(_ *world, h *keys.Header) { h.X5C = nil }), code: oauth.InvalidRequest},
		{name: "D44 kid of another DID", do: as("decentralized_identifier", header(func(_ *world, h *keys.Header) { h.Kid = "did:dojang:demo:Another1#authentication-1" })), code: oauth.InvalidRequest},
		{name: "D44 kid of a longer DID", do: as("decentralized_identifier", header(func(w *world, h *keys.Header) { h.Kid = string(w.shop.did) + "x#authentication-1" })), code: oauth.InvalidRequest},
		{name: "D44 unknown prefix", do: func(w *world) { w.shop.clientID = "openid_federation:https://shop.example" }, code: oauth.InvalidRequest},
		{name: "D44 verifier_attestation prefix", do: func(w *world) { w.shop.clientID = "verifier_attestation:shop" }, code: oauth.InvalidRequest},
		{name: "D44 client_id of the link is not the request's", do: set("client_id", "x509_san_dns:localhost"), code: oauth.InvalidRequest},
		{name: "D44 dcql_query and scope", do: set("scope", "com.example.age"), code: oauth.InvalidRequest, told: true},
		{name: "D44 redirect_uri with direct_post", do: set("redirect_uri", "https://shop.example/cb"), code: oauth.InvalidRequest, told: true},
		{name: "D44 request_uri_method PUT", link: func(w *world) string { return w.shop.link() + "&request_uri_method=PUT" }, code: oauth.InvalidRequestURIMethod},
		{name: "D44 request and request_uri", link: func(w *world) string { return w.shop.link() + "&request=" + w.shop.object("") }, code: oauth.InvalidRequest},
		{name: "D44 redirect_uri client, signed", do: func(w *world) { w.shop.clientID = "redirect_uri:" + w.shop.origin + "/response" }, code: oauth.InvalidRequest},
		{name: "D44 unsigned request", link: func(w *world) string {
			return "openid4vp://?" + url.Values{
				"client_id": {"redirect_uri:" + w.shop.origin + "/response"}, "response_type": {"vp_token"}, "response_mode": {"direct_post"},
				"response_uri": {w.shop.origin + "/response"}, "nonce": {"n"}, "dcql_query": {adultCheck},
			}.Encode()
		}},
		{name: "a pre-registered client: there is none here", do: func(w *world) { w.shop.clientID = "nori-shop" }, code: oauth.InvalidRequest},
		{name: "D46 only formats that we lack", do: func(w *world) {
			w.shop.ask(`{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"org.iso.18013.5.1.mDL"},"claims":[{"path":["org.iso.18013.5.1","age_over_18"]}]}]}`)
		}, code: oauth.VPFormatsNotSupported, told: true},
		{name: "D46 a transaction type that we do not know", do: set("transaction_data", []string{oid4vp.EncodeTransactionData([]byte(`{"type":"payment","credential_ids":["resident"]}`))}),
			code: oauth.InvalidTransactionData, told: true},
		{name: "A01 alg none", do: func(w *world) {
			w.shop.instead["/request"] = func(rw http.ResponseWriter, _ *http.Request) {
				parts := strings.Split(w.shop.object(""), ".")
				fmt.Fprint(rw, "eyJhbGciOiJub25lIiwidHlwIjoib2F1dGgtYXV0aHotcmVxK2p3dCJ9."+parts[1]+".")
			}
		}, code: oauth.InvalidRequest},
		{name: "A06 signed by the key in its own header", do: func(w *world) {
			w.shop.signer2 = newSigner(w.t)
			w.shop.header = func(h *keys.Header) { h.JWK, h.X5C = w.shop.signer2.Public(), nil }
		}, code: oauth.InvalidRequest},
		{name: "signed by another key", do: func(w *world) { w.shop.signer2 = newSigner(w.t) }, code: oauth.InvalidRequest},
		{name: "A22 another typ", do: header(func(_ *world, h *keys.Header) { h.Typ = "JWT" }), code: oauth.InvalidRequest},
		{name: "no JWT at all", do: func(w *world) {
			w.shop.instead["/request"] = func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "<html>") }
		}, code: oauth.InvalidRequest},
		{name: "certificate expired", do: func(w *world) {
			_, w.shop.chain = certify(w.t, w.shop.organisation, start.Add(-time.Minute))
			w.shop.clientID = "x509_hash:" + keys.X509Hash(w.shop.chain[0])
		}, code: oauth.InvalidRequest},
		{name: "request object expired", do: set("exp", start.Unix()), code: oauth.InvalidRequest},
		{name: "request object from the future", do: set("iat", start.Add(time.Hour).Unix()), code: oauth.InvalidRequest},
		{name: "request object for another wallet", do: set("aud", "https://wallet.example"), code: oauth.InvalidRequest},
		{name: "wallet_nonce is not ours", do: func(w *world) {
			w.shop.method = "post"
			set("wallet_nonce", "another")(w)
		}, code: oauth.InvalidRequest},
		{name: "wallet_nonce missing", do: func(w *world) {
			w.shop.method = "post"
			drop("wallet_nonce")(w)
		}, code: oauth.InvalidRequest},
		{name: "wallet_nonce that nobody sent", do: set("wallet_nonce", "unasked"), code: oauth.InvalidRequest},
		{name: "response on plain http elsewhere", do: set("response_uri", "http://shop.example/response"), code: oauth.InvalidRequest},
		{name: "unknown response mode", do: set("response_mode", "fragment"), code: oauth.InvalidRequest},
		{name: "no nonce", do: drop("nonce"), code: oauth.InvalidRequest, told: true},
		{name: "no query", do: drop("dcql_query"), code: oauth.InvalidRequest, told: true},
		{name: "no key to encrypt to", do: drop("client_metadata"), code: oauth.InvalidRequest, told: true},
		{name: "the verifier answers with an error", want: holder.ErrRefused, do: func(w *world) { w.shop.instead["/request"] = http.NotFound }},
		{name: "D48 redirect of the request_uri", want: holder.ErrRefused, do: func(w *world) {
			w.shop.instead["/request"] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, w.shop.origin+"/elsewhere", http.StatusFound)
			}
		}},
		{name: "the verifier is gone", want: holder.ErrUnreachable, do: func(w *world) {
			w.shop.instead["/request"] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}},
	} {
		if c.want == nil {
			c.want = holder.ErrRequest
		}
		t.Run(c.name, func(t *testing.T) { requestRefused(t, c) })
	}
}

// requestRefused: the person learns why, the verifier nothing, until the person has acted (D47).
func requestRefused(t *testing.T, c refusedRequest) {
	w := newWorld(t)
	w.receive()
	if c.do != nil {
		c.do(w)
	}
	link := ""
	if c.link != nil {
		link = c.link(w)
	} else {
		link = "openid4vp://?" + url.Values{"client_id": {w.shop.clientID}, "request_uri": {w.shop.origin + "/request"}, "request_uri_method": {methodOr(w.shop.method)}}.Encode()
	}
	before := w.rows()
	consent, err := w.Consent(t.Context(), link)
	w.unchanged(err, c.want, before)
	if consent != nil {
		t.Error("there is something to consent to")
	}
	if c.code != "" && oauth.CodeOf(err) != c.code {
		t.Errorf("code %q, want %q (%v)", oauth.CodeOf(err), c.code, err)
	}
	w.shop.silent(t)
	if w.shop.hits["/elsewhere"] != 0 {
		t.Error("a redirect was followed")
	}
	var refusal *holder.Refusal
	if errors.As(err, &refusal) != c.told {
		t.Errorf("may be told: %v", !c.told)
	}
	heardOnce(t, w, err, c.told, string(c.code))
}

func methodOr(m string) string {
	if m == "" {
		return "get"
	}
	return m
}

// heardOnce: Report sends what may be told, and nothing otherwise.
func heardOnce(t *testing.T, w *world, err error, told bool, code string) {
	t.Helper()
	var form url.Values
	w.shop.instead["/response"] = func(rw http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form = r.PostForm
		writeJSON(rw, map[string]string{})
	}
	if err := w.Report(t.Context(), err); err != nil {
		t.Errorf("report: %v", err)
	}
	if n, _ := w.shop.heard(); (n == 1) != told || n > 1 {
		t.Errorf("the verifier heard %d times", n)
	}
	if told && form.Get("response") == "" && form.Get("error") != code {
		t.Errorf("the verifier heard %v, want %s", form, code)
	}
}

func TestVerifierRefused(t *testing.T) {
	registration := func(f func(r *registry.Registration)) func(*world) {
		return func(w *world) { w.shop.register(f) }
	}
	pointer := func(v ...any) func(*world) {
		return func(w *world) { w.shop.alter(func(r map[string]any) { r["verifier_info"] = v }) }
	}
	element := func(kid, purpose string) map[string]any {
		return map[string]any{"format": "dojang_registration", "data": map[string]any{"kid": kid, "purpose": purpose}}
	}
	key := func(f func(k *registry.Key)) func(*world) {
		return func(w *world) {
			k := w.facts.keys[w.shop.url()]
			f(&k)
			w.facts.keys[w.shop.url()] = k
		}
	}
	ask := func(dcql string) func(*world) { return func(w *world) { w.shop.ask(dcql) } }
	query := func(vct, claims string) string {
		return fmt.Sprintf(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":[%q]},"claims":[%s]}]}`, vct, claims)
	}
	const youth = "urn:dojang:kr:youth-eligibility:1"
	const shop = "did:dojang:demo:NoriShop1#authentication-1"
	all := func(r *registry.Registration) {
		r.Claims = map[string][]string{residentID: {"age_over_19", "address", "rrn"}, youth: {"eligible", "program_nullifier", "name"}}
	}
	for _, c := range []struct {
		name string
		do   func(w *world)
		want error
	}{
		{name: "no pointer to a registration", do: func(w *world) { w.shop.alter(func(r map[string]any) { delete(r, "verifier_info") }) }, want: holder.ErrUnregistered},
		{name: "verifier_info of another format", do: pointer(map[string]any{"format": "jwt", "data": "e30.e30.e30"}), want: holder.ErrUnregistered},
		{name: "two pointers", do: pointer(element(shop, "adult-check"), element(shop, "marketing")), want: holder.ErrUnregistered},
		{name: "pointer malformed", do: pointer(map[string]any{"format": "dojang_registration", "data": "adult-check"}), want: holder.ErrUnregistered},
		{name: "pointer without a purpose", do: pointer(element(shop, "")), want: holder.ErrUnregistered},
		{name: "pointer to another organisation", do: func(w *world) {
			other := newOrganisation(w.t, "BigBank1", registry.UseAuthentication, w.facts)
			r := w.facts.registration[string(w.shop.did)+"adult-check"]
			r.DID = other.did
			w.facts.registration[string(other.did)+"adult-check"] = r
			pointer(element(other.url(), "adult-check"))(w)
		}, want: holder.ErrUnregistered},
		{name: "pointer to an unknown purpose", do: pointer(element(shop, "marketing")), want: holder.ErrUnregistered},
		{name: "pointer for another credential only", do: func(w *world) {
			w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["age_over_19"]}]},
				{"id":"b","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["age_over_19"]}]}]}`)
			e := element(shop, "adult-check")
			e["credential_ids"] = []string{"b"}
			pointer(e)(w)
		}, want: holder.ErrUnregistered},
		{name: "self-signed: a certificate that names somebody else's DID", do: func(w *world) {
			w.shop.signer = newSigner(w.t)
			_, w.shop.chain = certify(w.t, w.shop.organisation, start.Add(time.Hour))
			w.shop.clientID = "x509_hash:" + keys.X509Hash(w.shop.chain[0])
		}, want: holder.ErrUnregistered},
		{name: "key is no key fact", do: func(w *world) { delete(w.facts.keys, w.shop.url()) }, want: holder.ErrUnregistered},
		{name: "key retired", do: key(func(k *registry.Key) { k.RetiredAt = start }), want: holder.ErrUnregistered},
		{name: "key compromised", do: key(func(k *registry.Key) { k.CompromisedFrom = start.Add(-time.Hour) }), want: holder.ErrUnregistered},
		{name: "key of another use", do: key(func(k *registry.Key) { k.Use = registry.UseAssertion }), want: holder.ErrUnregistered},
		{name: "not registered", do: func(w *world) { delete(w.facts.registration, string(w.shop.did)+"adult-check") }, want: holder.ErrUnregistered},
		{name: "registration begins later", do: registration(func(r *registry.Registration) { r.From = start.Add(time.Second) }), want: holder.ErrUnregistered},
		{name: "registration ended", do: registration(func(r *registry.Registration) { r.Until = start }), want: holder.ErrUnregistered},
		{name: "registration of another", do: registration(func(r *registry.Registration) { r.DID = "did:dojang:demo:Another1" }), want: holder.ErrUnregistered},
		{name: "registry answers do not hold", do: func(w *world) { w.facts.err = registry.ErrUntrusted }, want: holder.ErrRegistry},
		{name: "registry's proof is outside of its trusting period", do: func(w *world) { w.facts.err = evidence.ErrTooOld }, want: holder.ErrRegistry},
		{name: "registry's proof is too old for a client named by its DID", do: func(w *world) {
			w.shop.clientID = "decentralized_identifier:" + string(w.shop.did)
			w.shop.header = func(h *keys.Header) { h.X5C, h.Kid = nil, w.shop.url() }
			w.facts.err = evidence.ErrTooOld
		}, want: holder.ErrRegistry},

		{name: "an item outside of the registration", do: ask(query(residentID, `{"path":["age_over_19"]},{"path":["birthdate"]}`)), want: holder.ErrOverask},
		{name: "more than the registered part", do: ask(query(residentID, `{"path":["address"]}`)), want: holder.ErrOverask},
		{name: "a type outside of the registration", do: ask(query("urn:dojang:kr:customs-identity:1", `{"path":["pccc"]}`)), want: holder.ErrOverask},
		{name: "a type outside of the registration, without items", do: ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:customs-identity:1"]}}]}`), want: holder.ErrOverask},
		{name: "one registered type beside one that is not", do: ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1","urn:example:other"]},"claims":[{"path":["age_over_19"]}]}]}`), want: holder.ErrOverask},
		{name: "any type at all", do: ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{},"claims":[{"path":["age_over_19"]}]}]}`), want: holder.ErrOverask},
		{name: "registered for nothing", do: registration(func(r *registry.Registration) { r.Claims = nil }), want: holder.ErrOverask},
		{name: "an element by its index", do: ask(query(residentID, `{"path":["nationalities",0]}`)), want: holder.ErrOverask},
		{name: "a name that looks like a path", do: ask(query(residentID, `{"path":["address.region"]}`)), want: holder.ErrOverask},
		{name: "hidden in a second claim set", do: ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},
			"claims":[{"id":"x","path":["age_over_19"]},{"id":"y","path":["name"]}],"claim_sets":[["x"],["y"]]}]}`), want: holder.ErrOverask},
		{name: "class X, although registered", do: func(w *world) {
			w.shop.register(all)
			w.shop.ask(query(residentID, `{"path":["rrn"]}`))
		}, want: holder.ErrOverask},
		{name: "class X of one type only", do: func(w *world) {
			w.shop.register(all)
			w.shop.ask(query(youth, `{"path":["name"]}`))
		}, want: holder.ErrOverask},
		{name: "legal basis missing", do: func(w *world) {
			w.shop.register(all)
			w.shop.ask(query(youth, `{"path":["program_nullifier"]}`))
		}, want: holder.ErrLegalBasis},
		{name: "overask is reported before a missing legal basis", do: func(w *world) {
			w.shop.register(all)
			w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:youth-eligibility:1"]},"claims":[{"path":["program_nullifier"]}]},
				{"id":"b","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["rrn"]}]}]}`)
		}, want: holder.ErrOverask},
		{name: "nothing fits: another value", do: ask(query(residentID, `{"path":["age_over_19"],"values":[false]}`)), want: holder.ErrNothingFits},
		{name: "nothing fits: expired", do: func(w *world) { w.wait(61 * 24 * time.Hour); w.facts.knownAt = w.now(); renew(w) }, want: holder.ErrNothingFits},
		{name: "nothing fits: not held", do: func(w *world) {
			w.shop.register(all)
			w.shop.ask(query(youth, `{"path":["eligible"]}`))
		}, want: holder.ErrNothingFits},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.receive()
			c.do(w)
			before := w.rows()
			consent, err := w.Consent(t.Context(), w.shop.link())
			w.unchanged(err, c.want, before)
			if consent != nil {
				t.Error("there is something to consent to")
			}
			w.shop.silent(t)
			known := !errors.Is(c.want, holder.ErrUnregistered) && !errors.Is(c.want, holder.ErrRegistry)
			heardOnce(t, w, err, known, "")
		})
	}
}

// renew gives the shop a certificate that is still valid.
func renew(w *world) {
	_, w.shop.chain = certify(w.t, w.shop.organisation, w.now().Add(time.Hour))
	w.shop.clientID = "x509_hash:" + keys.X509Hash(w.shop.chain[0])
}

// What a verifier hears of a person who says no, of one who has nothing, and of one whom it asks too much.
func TestExistenceOracle(t *testing.T) {
	t.Run("D47 no answer before the person, and the same shape whatever the wallet holds", func(t *testing.T) {
		heard := map[string]oid4vp.Response{}
		for name, holds := range map[string]bool{"declined": true, "nothing held": false} {
			w := newWorld(t)
			if holds {
				w.receive()
			}
			c, err := w.Consent(t.Context(), w.shop.link())
			w.shop.silent(t)
			if holds {
				err = w.Decline(t.Context(), c)
			} else {
				if !errors.Is(err, holder.ErrNothingFits) {
					t.Fatal(err)
				}
				err = w.Report(t.Context(), err)
			}
			if err != nil {
				t.Fatal(err)
			}
			n, answers := w.shop.heard()
			if n != 1 || len(answers) != 1 {
				t.Fatalf("%s: heard %d times (%v)", name, n, w.shop.failed)
			}
			answers[0].Header = keys.JWEHeader{}
			heard[name] = answers[0]
			if answers[0].Error == nil || answers[0].Error.Code != oauth.AccessDenied || !answers[0].Encrypted {
				t.Errorf("%s: heard %+v", name, answers[0])
			}
		}
		if a, b := heard["declined"], heard["nothing held"]; a.Error.Description != b.Error.Description || a.State != b.State {
			t.Errorf("the verifier can tell %+v from %+v", a, b)
		}
	})
	t.Run("overask carries the house's code", func(t *testing.T) {
		w := newWorld(t)
		w.receive()
		w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["rrn"]}]}]}`)
		_, err := w.Consent(t.Context(), w.shop.link())
		if err := w.Report(t.Context(), err); err != nil {
			t.Fatal(err)
		}
		if _, answers := w.shop.heard(); answers[0].Error.Code != oauth.AccessDenied || answers[0].Error.Description != "OVERASK_REFUSED" {
			t.Errorf("heard %+v", answers[0].Error)
		}
	})
}

func TestItemsInUnits(t *testing.T) {
	w := newWorld(t)
	w.agency.vct, w.agency.claims = "urn:dojang:kr:youth-eligibility:1", specimen(t, "youth-eligibility/specimens/valid-han-gaon.json")
	w.receive()
	w.shop.register(func(r *registry.Registration) {
		r.Claims = map[string][]string{w.agency.vct: {"criteria", "eligible", "program_nullifier"}}
		r.LegalBasis = []string{"KR-SEOUL-YA-ONCE"}
	})
	w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:youth-eligibility:1"]},
		"claims":[{"path":["criteria",1,"result"]},{"path":["eligible"]},{"path":["program_nullifier"]}]}]}`)
	c := must(w.Consent(t.Context(), w.shop.link()))(t)
	var asked []string
	for _, i := range c.Items {
		if !i.Always {
			asked = append(asked, i.Path)
		}
	}
	// One criterion leaves whole, whatever part of it was asked for; eligible is in clear anyway.
	if want := []string{"criteria[]", "eligible", "program_nullifier"}; !slices.Equal(asked, want) {
		t.Errorf("items %v, want %v", asked, want)
	}
	must(w.Present(t.Context(), c))(t)
	criteria, _ := w.shop.shown[0]["criteria"].([]any)
	if len(criteria) != 1 || w.shop.shown[0]["employment_state"] != nil || w.shop.shown[0]["program_nullifier"] == nil {
		t.Errorf("shown %v (%v)", w.shop.shown[0], w.shop.failed)
	}
}

func TestUnregisteredOnlyWhenAllowed(t *testing.T) {
	w := newWorld(t, func(c *holder.Config) { c.AllowUnregistered = true })
	w.receive()
	w.shop.alter(func(r map[string]any) { delete(r, "verifier_info") })
	c := must(w.Consent(t.Context(), w.shop.link()))(t)
	if c.Registered || c.Verifier != w.shop.clientID || c.Name != w.shop.clientID {
		t.Errorf("consent %+v", c)
	}
	w.shop.ask(`{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},"claims":[{"path":["rrn"]}]}]}`)
	if _, err := w.Consent(t.Context(), w.shop.link()); !errors.Is(err, holder.ErrOverask) {
		t.Errorf("class X: %v", err)
	}
}
