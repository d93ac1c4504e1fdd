package holder_test

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/wallet-api/holder"
)

// One policy for every entry: what is refused by reference is refused by value, whatever the scheme.
func TestEntryPoints(t *testing.T) {
	t.Run("I21 every way in meets the same check", func(t *testing.T) {
		w := newWorld(t)
		delete(w.facts.accreditation, string(w.agency.did)+residentID)
		before := w.rows()
		byValue := w.agency.offerByValue()
		_, query, _ := strings.Cut(byValue, "?")
		for _, link := range []string{w.agency.offer(), byValue, "openid-credential-offer://?" + query, "haip-vci://?" + query} {
			o := must(w.Offer(t.Context(), link))(t)
			_, err := w.Receive(t.Context(), o, "")
			w.unchanged(err, holder.ErrUntrusted, before)
		}
	})
	t.Run("I20 links lead to public hosts or listed origins only", func(t *testing.T) {
		w := newWorld(t)
		forbidden := must(net.Listen("tcp", "127.0.0.1:0"))(t)
		defer forbidden.Close()
		go func() {
			if c, err := forbidden.Accept(); err == nil {
				c.Close()
				t.Error("a connection was made to an address that is not listed")
			}
		}()
		for _, target := range []string{
			"https://" + forbidden.Addr().String() + "/offer", "https://169.254.169.254/latest/meta-data/", "https://10.0.0.1/", "https://localhost/offer",
			"https://[::1]:8443/", "https://2130706433/",
		} {
			link := must(oid4vci.OfferLink{URI: target}.URL(oid4vci.OfferScheme))(t)
			if _, err := w.Offer(t.Context(), link); !errors.Is(err, holder.ErrOffer) {
				t.Errorf("offer at %s: %v", target, err)
			}
			link = "openid4vp://?client_id=" + url.QueryEscape(w.shop.clientID) + "&request_uri=" + url.QueryEscape(target)
			if _, err := w.Consent(t.Context(), link); !errors.Is(err, holder.ErrRequest) {
				t.Errorf("request at %s: %v", target, err)
			}
		}
		for _, target := range []string{"http://" + forbidden.Addr().String() + "/offer", "file:///etc/passwd"} {
			if _, err := w.Offer(t.Context(), "openid-credential-offer://?credential_offer_uri="+url.QueryEscape(target)); !errors.Is(err, holder.ErrOffer) {
				t.Errorf("offer at %s: %v", target, err)
			}
		}
	})
}

// What the wallet cannot do is refused before the code is burned.
func TestOfferRefused(t *testing.T) {
	configuration := func(f func(c map[string]any)) func(w *world) {
		return func(w *world) {
			w.agency.meta = func(m map[string]any) {
				f(m["credential_configurations_supported"].(map[string]any)["document"].(map[string]any))
			}
		}
	}
	for _, c := range []struct {
		name string
		do   func(w *world)
		want error
	}{
		{name: "another credential issuer in the metadata", do: func(w *world) {
			w.agency.meta = func(m map[string]any) { m["credential_issuer"] = w.agency.url + "/" }
		}},
		{name: "no nonce endpoint", do: func(w *world) { w.agency.meta = func(m map[string]any) { delete(m, "nonce_endpoint") } }},
		{name: "encrypted responses demanded", do: func(w *world) {
			w.agency.meta = func(m map[string]any) {
				m["credential_response_encryption"] = map[string]any{"alg_values_supported": []any{"ECDH-ES"}, "enc_values_supported": []any{"A128GCM"}, "encryption_required": true}
			}
		}},
		{name: "endpoint on plain http elsewhere", do: func(w *world) {
			w.agency.meta = func(m map[string]any) { m["credential_endpoint"] = "http://agency.example/credential" }
		}},
		{name: "unknown configuration", do: func(w *world) {
			w.agency.meta = func(m map[string]any) {
				m["credential_configurations_supported"] = map[string]any{"another": map[string]any{"format": "dc+sd-jwt"}}
			}
		}},
		{name: "another format", do: configuration(func(c map[string]any) { c["format"] = "jwt_vc_json" })},
		{name: "a type that nobody here knows", do: configuration(func(c map[string]any) { c["vct"] = "urn:example:loyalty:1" })},
		{name: "a type by its short name", do: configuration(func(c map[string]any) { c["vct"] = "resident-id" })},
		{name: "no proof type that we have", do: configuration(func(c map[string]any) { c["proof_types_supported"] = map[string]any{"ldp_vp": map[string]any{}} })},
		{name: "key attestations demanded", do: configuration(func(c map[string]any) {
			c["proof_types_supported"].(map[string]any)["jwt"].(map[string]any)["key_attestations_required"] = map[string]any{}
		})},
		{name: "authorization server that the issuer does not name", do: func(w *world) {
			w.agency.grant = func(g *oid4vci.PreAuthorizedCodeGrant) { g.AuthorizationServer = "https://evil.example" }
		}},
		{name: "authorization server that calls itself otherwise", do: func(w *world) {
			w.agency.as = func(m map[string]any) { m["issuer"] = "https://evil.example" }
		}},
		{name: "authorization server without a token endpoint", do: func(w *world) {
			w.agency.as = func(m map[string]any) { delete(m, "token_endpoint") }
		}},
		{name: "metadata missing", want: holder.ErrRefused, do: func(w *world) {
			w.agency.instead["/.well-known/openid-credential-issuer/gaon"] = http.NotFound
		}},
		{name: "D48 a redirect to metadata", want: holder.ErrRefused, do: func(w *world) {
			w.agency.instead["/.well-known/openid-credential-issuer/gaon"] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, w.agency.url+"/elsewhere", http.StatusFound)
			}
		}},
		{name: "no pre-authorized code", do: func(w *world) {
			w.agency.instead["/gaon/offer"] = func(rw http.ResponseWriter, _ *http.Request) {
				writeJSON(rw, map[string]any{"credential_issuer": w.agency.url, "credential_configuration_ids": []any{"document"}, "grants": map[string]any{"authorization_code": map[string]any{}}})
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			c.do(w)
			want := c.want
			if want == nil {
				want = holder.ErrOffer
			}
			before := w.rows()
			o, err := w.Offer(t.Context(), w.agency.offer())
			w.unchanged(err, want, before)
			if o != nil || w.agency.requests("/gaon/token") != 0 || w.agency.requests("/gaon/elsewhere") != 0 {
				t.Error("the wallet went on")
			}
		})
	}
}

func TestOfferShown(t *testing.T) {
	t.Run("J02 names cannot rewrite the screen", func(t *testing.T) {
		w := newWorld(t)
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		if o.IssuerName != "Gaon[31m-gu" {
			t.Errorf("the issuer is shown as %q", o.IssuerName)
		}
	})
	t.Run("in Korean", func(t *testing.T) {
		w := newWorld(t, func(c *holder.Config) { c.Language = "ko" })
		o := must(w.Offer(t.Context(), w.agency.offer()))(t)
		if o.IssuerName != "가온구청" || o.Types[0].Label != "모바일 주민등록증" {
			t.Errorf("offer %+v", o)
		}
	})
}
