package holder_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

func TestReceive(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		w := openWorld(t, url)
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		if o.Issuer != w.agency.url || o.NeedsTxCode || len(o.Types) != 1 || o.Types[0].Label != "Mobile resident ID" {
			t.Errorf("offer %+v", o)
		}
		received := must(w.Receive(t.Context(), o, "ignored: the offer needs none"))(t)
		if len(received) != 1 || received[0].Copies != 3 || len(received[0].Tokens) != 3 || received[0].Issuer != string(w.agency.did) {
			t.Fatalf("received %+v", received)
		}
		cards := must(w.List(t.Context()))(t)
		if len(cards) != 1 || cards[0].Status != "valid" || cards[0].CopiesLeft != 3 || cards[0].DaysLeft != 59 || cards[0].ID != received[0].ID {
			t.Errorf("cards %+v", cards)
		}
		if !slices.Equal(w.agency.notices, []string{"credential_accepted"}) {
			t.Errorf("the issuer heard %v", w.agency.notices)
		}
		if strings.Contains(w.rows(), "한가온") {
			t.Error("a name lies readable in the store")
		}
	})
}

// A wrong credential: how the agency goes wrong, and what the wallet says.
type wrong struct {
	name string
	do   func(w *world)
	want error // nil: ErrUntrusted
}

func wrongCredentials() []wrong {
	bend := func(f func(n int, c *sdjwt.Credential)) func(*world) {
		return func(w *world) { w.agency.bend = f }
	}
	key := func(f func(k *registry.Key)) func(*world) {
		return func(w *world) {
			k := w.facts.keys[w.agency.organisation.url()]
			f(&k)
			w.facts.keys[w.agency.organisation.url()] = k
		}
	}
	accredited := func(f func(a *registry.Accreditation)) func(*world) {
		return func(w *world) {
			a := w.facts.accreditation[string(w.agency.did)+residentID]
			f(&a)
			w.facts.accreditation[string(w.agency.did)+residentID] = a
		}
	}
	answer := func(f func(r *oid4vci.CredentialResponse)) func(*world) {
		return func(w *world) { w.agency.answer = f }
	}
	chain := func(f func(w *world) [][]byte) func(*world) {
		return func(w *world) { w.agency.chain = f(w) }
	}
	claim := func(name string, v any) func(*world) {
		return func(w *world) { w.agency.claims[name] = v }
	}
	return []wrong{
		{name: "A01 alg none", do: func(w *world) {
			w.agency.sign = func(_ int, p *sdjwt.Prepared) string {
				_, payload, _ := strings.Cut(string(p.SigningInput()), ".")
				return "eyJhbGciOiJub25lIiwidHlwIjoiZGMrc2Qtand0In0." + payload + ".~" + strings.Join(p.Disclosures(), "~") + "~"
			}
		}},
		{name: "A06 signed by the key in its own header", do: func(w *world) {
			accredited(func(a *registry.Accreditation) { a.Roots = nil })(w) // so that no certificate is asked for
			w.agency.sign = func(_ int, p *sdjwt.Prepared) string {
				s := newSigner(w.t)
				_, payload, _ := strings.Cut(string(p.SigningInput()), ".")
				raw := must(keys.DecodeBase64URL(payload))(w.t)
				jws := must(keys.SignJWS(s, keys.Header{Typ: keys.TypSDJWTVC, Kid: w.agency.organisation.url(), JWK: s.Public()}, raw))(w.t)
				return jws + "~" + strings.Join(p.Disclosures(), "~") + "~"
			}
		}},
		{name: "signed by another key", do: func(w *world) {
			w.agency.sign = func(_ int, p *sdjwt.Prepared) string { return must(p.Sign(newSigner(w.t)))(w.t) }
		}},
		{name: "A22 another typ", do: bend(func(_ int, c *sdjwt.Credential) { c.Typ = "kb+jwt" })},
		{name: "A09 kid of another controller", do: bend(func(_ int, c *sdjwt.Credential) { c.Issuer = "did:dojang:demo:Another1" })},
		{name: "no kid", do: bend(func(_ int, c *sdjwt.Credential) { c.Kid = "" })},
		{name: "key is no key fact", do: func(w *world) { delete(w.facts.keys, w.agency.organisation.url()) }},
		{name: "key retired", do: key(func(k *registry.Key) { k.RetiredAt = start.Add(-time.Minute) })},
		{name: "key not active yet", do: key(func(k *registry.Key) { k.ActiveFrom = start.Add(time.Hour) })},
		{name: "key compromised", do: key(func(k *registry.Key) { k.CompromisedFrom = start.Add(-time.Minute) })},
		{name: "key of another use", do: key(func(k *registry.Key) { k.Use = registry.UseAttestation })},
		{name: "key fact of another DID", do: key(func(k *registry.Key) { k.DID = "did:dojang:demo:Another1" })},
		{name: "certificate for another key", do: chain(func(w *world) [][]byte {
			o := w.agency.organisation
			o.signer = newSigner(w.t)
			_, c := certify(w.t, o, start.Add(time.Hour))
			return c
		})},
		{name: "certificate for another DID", do: chain(func(w *world) [][]byte {
			o := w.agency.organisation
			o.did = "did:dojang:demo:Another1"
			_, c := certify(w.t, o, start.Add(time.Hour))
			return c
		})},
		{name: "certificate expired", do: chain(func(w *world) [][]byte {
			_, c := certify(w.t, w.agency.organisation, start.Add(-time.Minute))
			return c
		})},
		{name: "no certificate under recorded roots", do: chain(func(*world) [][]byte { return nil })},
		{name: "certificate without recorded roots", do: accredited(func(a *registry.Accreditation) { a.Roots = nil })},
		{name: "not accredited", do: func(w *world) { delete(w.facts.accreditation, string(w.agency.did)+residentID) }},
		{name: "accreditation suspended", do: accredited(func(a *registry.Accreditation) { a.Suspended = true })},
		{name: "accreditation ended", do: accredited(func(a *registry.Accreditation) { a.Until = start })},
		{name: "accreditation of another", do: accredited(func(a *registry.Accreditation) { a.DID = "did:dojang:demo:Another1" })},
		{name: "registry's proof is outside of its trusting period", do: func(w *world) { w.facts.err = evidence.ErrTooOld }, want: holder.ErrRegistry},
		{name: "registry unavailable", do: func(w *world) { w.facts.err = registry.ErrUnavailable }, want: holder.ErrUnreachable},
		{name: "registry answers do not hold", do: func(w *world) { w.facts.err = registry.ErrUntrusted }, want: holder.ErrRegistry},
		{name: "another vct", do: bend(func(_ int, c *sdjwt.Credential) { c.VCT = "urn:dojang:kr:customs-identity:1" })},
		{name: "expired", do: bend(func(_ int, c *sdjwt.Credential) { c.Expires = start })},
		{name: "without exp", do: bend(func(_ int, c *sdjwt.Credential) { c.Expires = time.Time{} })},
		{name: "not valid yet", do: bend(func(_ int, c *sdjwt.Credential) { c.NotBefore = start.Add(time.Hour) })},
		{name: "bound to another key", do: func(w *world) {
			w.agency.bend = func(n int, c *sdjwt.Credential) {
				if n == 2 {
					c.Holder = newSigner(w.t).Public()
				}
			}
		}},
		{name: "bound to no key", do: bend(func(_ int, c *sdjwt.Credential) { c.Holder = nil })},
		{name: "two copies on one key", do: func(w *world) {
			var first *keys.PublicKey
			w.agency.bend = func(n int, c *sdjwt.Credential) {
				if n == 0 {
					first = c.Holder
				}
				c.Holder = first
			}
		}},
		{name: "without status", do: bend(func(_ int, c *sdjwt.Credential) { c.Status = nil })},
		{name: "second and third copy share a status entry", do: bend(func(n int, c *sdjwt.Credential) {
			if n > 0 {
				c.Status.Index = 77
			}
		})},
		{name: "status list on another host", do: bend(func(_ int, c *sdjwt.Credential) { c.Status.URI = "https://tracker.example/GaonAgency1/1" })},
		{name: "a status list of its own below the issuer's", do: bend(func(n int, c *sdjwt.Credential) { c.Status.URI += fmt.Sprintf("/copy-%d", n) })},
		{name: "a query in the status URI", do: bend(func(n int, c *sdjwt.Credential) { c.Status.URI += fmt.Sprintf("?copy=%d", n) })},
		{name: "status list of another issuer", do: bend(func(_ int, c *sdjwt.Credential) { c.Status.URI = "https://status.example/Another1/1" })},
		{name: "accreditation names no status host", do: accredited(func(a *registry.Accreditation) { a.StatusHost = "" })},
		{name: "claims break the schema", do: claim("birthdate", "1998-02-30")},
		{name: "a claim that the type does not know", do: claim("loyalty_points", 7)},
		{name: "a reserved claim", do: bend(func(_ int, c *sdjwt.Credential) { c.Subject = "did:dojang:demo:Person1" })},
		{name: "a required claim is missing", do: func(w *world) { delete(w.agency.claims, "birthdate") }},
		{name: "a claim cannot be kept back", do: bend(func(_ int, c *sdjwt.Credential) {
			for i := range c.Claims {
				if c.Claims[i].Name == "birthdate" {
					c.Claims[i].SD = false
				}
			}
		})},
		{name: "copies say different things", do: bend(func(n int, c *sdjwt.Credential) {
			for i := range c.Claims {
				if n == 1 && c.Claims[i].Name == "name_latin" {
					c.Claims[i].Value = sdjwt.Text("HAN GARAM")
				}
			}
		})},
		{name: "copies expire at different times", do: bend(func(n int, c *sdjwt.Credential) { c.Expires = c.Expires.Add(time.Duration(n) * time.Second) })},
		{name: "fewer copies than keys", do: answer(func(r *oid4vci.CredentialResponse) { r.Credentials = r.Credentials[:2] })},
		{name: "one copy twice", do: answer(func(r *oid4vci.CredentialResponse) { r.Credentials[2] = r.Credentials[0] })},
		{name: "a copy is an object", do: answer(func(r *oid4vci.CredentialResponse) { r.Credentials[1].Credential = []byte(`{}`) })},
		{name: "a copy is not an SD-JWT", do: answer(func(r *oid4vci.CredentialResponse) { r.Credentials[1] = oid4vci.StringCredential("abc") })},
		{name: "a disclosure is changed", do: answer(func(r *oid4vci.CredentialResponse) {
			text, _ := r.Credentials[0].Text()
			parts := strings.Split(text, "~")
			parts[1] = parts[2]
			r.Credentials[0] = oid4vci.StringCredential(strings.Join(parts, "~"))
		})},
		{name: "with a key binding already", do: func(w *world) {
			w.agency.sign = func(_ int, p *sdjwt.Prepared) string {
				kb := must(keys.SignJWS(newSigner(w.t), keys.Header{Typ: keys.TypKeyBinding}, []byte(`{}`)))(w.t)
				return must(p.Sign(w.agency.signer))(w.t) + kb
			}
		}},
	}
}

// Whatever is wrong with a credential: nothing is stored, not even its good copies, and the issuer is told.
func TestReceiveRefuses(t *testing.T) {
	for _, c := range wrongCredentials() {
		t.Run("I22 "+c.name, func(t *testing.T) { refuses(t, c) })
	}
}

func refuses(t *testing.T, c wrong) {
	w := newWorld(t)
	w.receive() // what is there stays
	w.agency.notices = nil
	before := w.rows()
	o := must(w.Offer(t.Context(), w.agency.offer()))(t)
	c.do(w)
	want := c.want
	if want == nil {
		want = holder.ErrUntrusted
	}
	got, err := w.Receive(t.Context(), o, "")
	w.unchanged(err, want, before)
	if got != nil {
		t.Error("a refused credential is returned")
	}
	if !slices.Equal(w.agency.notices, []string{"credential_failure"}) {
		t.Errorf("the issuer heard %v", w.agency.notices)
	}
}

func TestReceiveStatusEntryOfAnother(t *testing.T) {
	w := newWorld(t)
	w.receive()
	before := w.rows()
	w.agency.index = 0 // begins again
	o := must(w.Offer(t.Context(), w.agency.offer()))(t)
	_, err := w.Receive(t.Context(), o, "")
	w.unchanged(err, holder.ErrUntrusted, before)
}

func TestReceiveProtocol(t *testing.T) {
	answers := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, c := range []struct {
		name   string
		path   string
		answer http.HandlerFunc
		want   error
		proofs int // credential requests that were sent
	}{
		{name: "I23 the nonce endpoint fails", path: "/gaon/nonce", answer: answers(500, `{}`), want: holder.ErrRefused},
		{name: "I23 the nonce endpoint answers without a nonce", path: "/gaon/nonce", answer: answers(200, `{}`), want: holder.ErrRefused},
		{name: "I23 the nonce is empty", path: "/gaon/nonce", answer: answers(200, `{"c_nonce":""}`), want: holder.ErrRefused},
		{name: "I23 the nonce endpoint answers with HTML", path: "/gaon/nonce", answer: answers(200, `<html>`), want: holder.ErrRefused},
		{name: "A15 two nonces", path: "/gaon/nonce", answer: answers(200, `{"c_nonce":"a","c_nonce":"b"}`), want: holder.ErrRefused},
		{name: "A16 nonce in another case", path: "/gaon/nonce", answer: answers(200, `{"C_NONCE":"a"}`), want: holder.ErrRefused},
		{name: "the token response is no JSON", path: "/gaon/token", answer: answers(200, `token`), want: holder.ErrRefused},
		{name: "the token response holds no token", path: "/gaon/token", answer: answers(200, `{"token_type":"Bearer"}`), want: holder.ErrRefused},
		{name: "the token is bound to something", path: "/gaon/token", answer: answers(200, `{"access_token":"a","token_type":"DPoP"}`), want: holder.ErrRefused},
		{name: "the code is refused", path: "/gaon/token", answer: answers(400, `{"error":"invalid_grant"}`), want: holder.ErrRefused},
		{name: "the credential is refused", path: "/gaon/credential", answer: answers(400, `{"error":"credential_request_denied"}`), want: holder.ErrRefused, proofs: 1},
		{name: "the issuer wants to be asked later", path: "/gaon/credential", answer: answers(200, `{"transaction_id":"t","interval":5}`), want: holder.ErrRefused, proofs: 1},
		{name: "the credential response is no JSON", path: "/gaon/credential", answer: answers(200, `[]`), want: holder.ErrUntrusted, proofs: 1},
		{name: "the credential response is too long", path: "/gaon/credential", answer: answers(200, strings.Repeat(" ", 2<<20)), want: holder.ErrOffer, proofs: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			before := w.rows()
			o := must(w.Offer(t.Context(), w.agency.offer()))(t)
			w.agency.instead[c.path] = c.answer
			_, err := w.Receive(t.Context(), o, "")
			w.unchanged(err, c.want, before)
			if n := w.agency.requests("/gaon/credential"); n != c.proofs {
				t.Errorf("%d credential requests were sent", n)
			}
		})
	}
	t.Run("errors repeat no text of the other side", func(t *testing.T) {
		w := newWorld(t)
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		w.agency.instead["/gaon/token"] = answers(400, `{"error":"\u001b[31mcall 010-0000-0000"}`)
		_, err := w.Receive(t.Context(), o, "")
		if !errors.Is(err, holder.ErrRefused) || strings.Contains(err.Error(), "call") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("got %q", err)
		}
	})
	t.Run("D48 redirects are not followed", func(t *testing.T) {
		for _, path := range []string{"/gaon/token", "/gaon/nonce", "/gaon/credential"} {
			w := newWorld(t)
			before := w.rows()
			o := must(w.Offer(t.Context(), w.agency.offer()))(t)
			w.agency.instead[path] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, w.agency.url+"/elsewhere", http.StatusTemporaryRedirect)
			}
			_, err := w.Receive(t.Context(), o, "")
			w.unchanged(err, holder.ErrRefused, before)
			if w.agency.requests("/gaon/elsewhere") != 0 {
				t.Errorf("%s was followed", path)
			}
		}
	})
	t.Run("the issuer is gone", func(t *testing.T) {
		w := newWorld(t)
		before := w.rows()
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		w.agency.instead["/gaon/token"] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		_, err := w.Receive(t.Context(), o, "")
		w.unchanged(err, holder.ErrUnreachable, before)
	})
}

func TestTxCode(t *testing.T) {
	w := newWorld(t)
	w.agency.txCode = "493536"
	before := w.rows()
	o := must(w.Offer(t.Context(), w.agency.offer()))(t)
	if !o.NeedsTxCode || o.TxCodeLength != 6 || o.TxCodeHint != "문자로 보냈습니다[2J" {
		t.Errorf("offer %+v", o)
	}
	_, err := w.Receive(t.Context(), o, "")
	w.unchanged(err, holder.ErrTxCode, before)
	if w.agency.requests("/gaon/token") != 0 {
		t.Error("the issuer was asked without a code")
	}
	_, err = w.Receive(t.Context(), o, "000000")
	w.unchanged(err, holder.ErrTxCode, before)
	if got := must(w.Receive(t.Context(), o, "493536"))(t); got[0].Copies != 3 {
		t.Errorf("received %+v", got)
	}
}

func TestDPoP(t *testing.T) {
	w := newWorld(t)
	w.agency.dpop = true
	if r := w.receive(); r.Copies != 3 {
		t.Errorf("received %+v", r)
	}
	if n := w.agency.requests("/gaon/token"); n != 2 { // the first learns the nonce
		t.Errorf("%d token requests", n)
	}
	if n := w.agency.requests("/gaon/credential"); n != 1 {
		t.Errorf("%d credential requests", n)
	}
	t.Run("a bearer token where a bound one was asked for", func(t *testing.T) {
		before := w.rows()
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		w.agency.instead["/gaon/token"] = func(rw http.ResponseWriter, _ *http.Request) {
			writeJSON(rw, map[string]any{"access_token": "access-1", "token_type": "Bearer"})
		}
		_, err := w.Receive(t.Context(), o, "")
		w.unchanged(err, holder.ErrRefused, before)
	})
}

func TestBatch(t *testing.T) {
	for size, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 100000: 10} {
		w := newWorld(t)
		w.agency.meta = func(m map[string]any) { m["batch_credential_issuance"] = map[string]any{"batch_size": size} }
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		got := must(w.Receive(t.Context(), o, ""))(t)
		if got[0].Copies != want {
			t.Errorf("batch size %d: %d copies, want %d", size, got[0].Copies, want)
		}
	}
}

func TestCredentialIdentifiers(t *testing.T) {
	w := newWorld(t)
	o := must(w.Offer(t.Context(), w.agency.offer()))(t)
	w.agency.instead["/gaon/token"] = func(rw http.ResponseWriter, _ *http.Request) {
		writeJSON(rw, map[string]any{"access_token": "access-1", "token_type": "Bearer", "authorization_details": []any{
			map[string]any{"type": "openid_credential", "credential_configuration_id": "document", "credential_identifiers": []any{"slot-0", "slot-1"}},
		}})
	}
	var asked oid4vci.CredentialRequest
	w.agency.instead["/gaon/credential"] = func(rw http.ResponseWriter, r *http.Request) {
		asked = must(oid4vci.ReadCredentialRequest(r, oid4vci.RequestLimits{BatchSize: 10}))(t)
		rw.WriteHeader(http.StatusBadRequest)
	}
	if _, err := w.Receive(t.Context(), o, ""); !errors.Is(err, holder.ErrRefused) {
		t.Error(err)
	}
	if asked.CredentialIdentifier != "slot-0" || asked.CredentialConfigurationID != "" {
		t.Errorf("asked for %q, %q", asked.CredentialIdentifier, asked.CredentialConfigurationID)
	}
}
