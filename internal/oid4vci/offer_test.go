package oid4vci

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loopback(u string) bool { return strings.HasPrefix(u, "http://localhost:4000") }

func TestWellKnown(t *testing.T) {
	tests := []struct{ name, issuer, credential, server string }{
		{"host only", "https://issuer.example", "https://issuer.example/.well-known/openid-credential-issuer",
			"https://issuer.example/.well-known/oauth-authorization-server"},
		{"tenant", "http://localhost:4000/gaon", "http://localhost:4000/.well-known/openid-credential-issuer/gaon",
			"http://localhost:4000/.well-known/oauth-authorization-server/gaon"},
		{"two levels", "https://a.example/b/c", "https://a.example/.well-known/openid-credential-issuer/b/c",
			"https://a.example/.well-known/oauth-authorization-server/b/c"},
		{"trailing slash", "https://a.example/b/", "https://a.example/.well-known/openid-credential-issuer/b",
			"https://a.example/.well-known/oauth-authorization-server/b"},
		{"query", "https://a.example/b?c", "", ""},
		{"fragment", "https://a.example/b#c", "", ""},
		{"user", "https://u@a.example", "", ""},
		{"other scheme", "file:///etc/passwd", "", ""},
		{"no host", "https:///x", "", ""},
		{"space", "https://a.example/ b", "", ""},
		{"backslash", `https://a.example\@evil.example`, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := []string{CredentialIssuerURL(tt.issuer), AuthorizationServerURL(tt.issuer)}
			if diff := cmp.Diff([]string{tt.credential, tt.server}, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestOfferLink(t *testing.T) {
	offer := Offer{
		CredentialIssuer: "http://localhost:4000/gaon", CredentialConfigurationIDs: []string{"resident-id_dc+sd-jwt"},
		Grants: Grants{PreAuthorizedCode: &PreAuthorizedCodeGrant{PreAuthorizedCode: "code", TxCode: &TxCode{Length: 6, Description: "문자로 보낸 번호"}}},
	}
	for _, base := range []string{OfferScheme, "https://wallet.example/offer", "https://wallet.example/offer?lang=ko", "haip://?"} {
		for _, l := range []OfferLink{{Offer: &offer}, {URI: "http://localhost:4000/gaon/offers/abc"}} {
			link, err := l.URL(base)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseOfferLink(link, loopback)
			if err != nil {
				t.Fatalf("%s: %v", link, err)
			}
			if diff := cmp.Diff(l, got); diff != "" {
				t.Fatal(diff)
			}
			if _, err := ParseOfferLink(link, nil); err == nil {
				t.Fatal("plain http accepted without leave")
			}
		}
	}
	for _, l := range []OfferLink{{}, {Offer: &offer, URI: "https://x.example"}} {
		if _, err := l.URL(OfferScheme); err == nil {
			t.Fatalf("%+v was built", l)
		}
	}
}

func TestOfferRefused(t *testing.T) {
	const ok = `"credential_issuer":"https://i.example","credential_configuration_ids":["a"]`
	tests := []struct{ name, json string }{
		{"not an object", `["a"]`},
		{"null", `null`},
		{"trailing data", `{` + ok + `}{}`},
		{"duplicate member", `{` + ok + `,"credential_issuer":"https://evil.example"}`},
		{"another case", `{"Credential_Issuer":"https://i.example","credential_configuration_ids":["a"]}`},
		{"http", `{"credential_issuer":"http://i.example","credential_configuration_ids":["a"]}`},
		{"issuer with query", `{"credential_issuer":"https://i.example?x","credential_configuration_ids":["a"]}`},
		{"issuer with user", `{"credential_issuer":"https://i.example@evil.example","credential_configuration_ids":["a"]}`},
		{"no ids", `{"credential_issuer":"https://i.example"}`},
		{"empty ids", `{"credential_issuer":"https://i.example","credential_configuration_ids":[]}`},
		{"repeated id", `{"credential_issuer":"https://i.example","credential_configuration_ids":["a","a"]}`},
		{"empty id", `{"credential_issuer":"https://i.example","credential_configuration_ids":[""]}`},
		{"ids as string", `{"credential_issuer":"https://i.example","credential_configuration_ids":"a"}`},
		{"no code", `{` + ok + `,"grants":{"urn:ietf:params:oauth:grant-type:pre-authorized_code":{}}}`},
		{"input mode", `{` + ok + `,"grants":{"urn:ietf:params:oauth:grant-type:pre-authorized_code":{"pre-authorized_code":"c","tx_code":{"input_mode":"voice"}}}}`},
		{"negative length", `{` + ok + `,"grants":{"urn:ietf:params:oauth:grant-type:pre-authorized_code":{"pre-authorized_code":"c","tx_code":{"length":-1}}}}`},
		{"301 characters", `{` + ok + `,"grants":{"urn:ietf:params:oauth:grant-type:pre-authorized_code":{"pre-authorized_code":"c","tx_code":{"description":"` + strings.Repeat("가", 301) + `"}}}}`},
		{"too large", `{` + ok + `,"x":"` + strings.Repeat("x", maxOfferBytes) + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if o, err := DecodeOffer([]byte(tt.json), nil); err == nil || !cmp.Equal(o, Offer{}) {
				t.Fatalf("%+v, %v", o, err)
			}
			link := OfferScheme + "?credential_offer=" + url.QueryEscape(tt.json)
			if l, err := ParseOfferLink(link, nil); err == nil || l.Offer != nil {
				t.Fatalf("%+v, %v", l, err)
			}
		})
	}
	links := []struct{ name, link string }{
		{"no query", "openid-credential-offer://"},
		{"neither", "openid-credential-offer://?x=1"},
		{"both", "openid-credential-offer://?credential_offer=%7B%7D&credential_offer_uri=https%3A%2F%2Fi.example"},
		{"twice", "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fi.example&credential_offer_uri=https%3A%2F%2Fevil.example"},
		{"file", "openid-credential-offer://?credential_offer_uri=file%3A%2F%2F%2Fetc%2Fpasswd"},
		{"javascript", "openid-credential-offer://?credential_offer_uri=javascript%3Aalert(1)"},
		{"uri with user", "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fa%40i.example"},
		{"fragment", "openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fi.example#x"},
	}
	for _, tt := range links {
		t.Run(tt.name, func(t *testing.T) {
			if l, err := ParseOfferLink(tt.link, nil); err == nil || l != (OfferLink{}) {
				t.Fatalf("%+v, %v", l, err)
			}
		})
	}
}

func FuzzParseOfferLink(f *testing.F) {
	f.Add("openid-credential-offer://?credential_offer_uri=https%3A%2F%2Fi.example%2Fo")
	f.Add("openid-credential-offer://?credential_offer=" + url.QueryEscape(`{"credential_issuer":"https://i.example","credential_configuration_ids":["a"]}`))
	f.Fuzz(func(t *testing.T, link string) {
		l, err := ParseOfferLink(link, nil)
		if err != nil {
			if l != (OfferLink{}) {
				t.Fatal("a value beside an error")
			}
			return
		}
		again, err := l.URL(OfferScheme)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseOfferLink(again, nil)
		if err != nil {
			t.Fatalf("%q: %v", again, err)
		}
		if diff := cmp.Diff(l, back); diff != "" {
			t.Fatal(diff)
		}
		if l.Offer != nil && CredentialIssuerURL(l.Offer.CredentialIssuer) == "" {
			t.Fatal("accepted issuer has no metadata URL")
		}
	})
}
