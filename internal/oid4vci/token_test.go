package oid4vci

import (
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/oauth"
	"github.com/dojang-id/dojang/internal/oid4vp"
)

const preAuthorized = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Apre-authorized_code"

func TestParseTokenRequest(t *testing.T) {
	tests := []struct {
		name, form string
		demanded   bool // a transaction code
		want       oauth.Code
	}{
		{"without tx_code", preAuthorized + "&pre-authorized_code=c", false, ""},
		{"with tx_code", preAuthorized + "&pre-authorized_code=c&tx_code=493536", true, ""},
		{"unknown parameter", preAuthorized + "&pre-authorized_code=c&foo=bar", false, ""},
		{"B05 tx_code demanded but absent", preAuthorized + "&pre-authorized_code=c", true, oauth.InvalidRequest},
		{"B05 tx_code demanded but empty", preAuthorized + "&pre-authorized_code=c&tx_code=", true, oauth.InvalidRequest},
		{"B06 tx_code sent but not expected", preAuthorized + "&pre-authorized_code=c&tx_code=1", false, oauth.InvalidRequest},
		{"B10 unknown grant type", "grant_type=implicit", false, oauth.UnsupportedGrantType},
		{"B10 code twice", preAuthorized + "&pre-authorized_code=c&pre-authorized_code=d", false, oauth.InvalidRequest},
		{"no code", preAuthorized, false, oauth.InvalidRequest},
		{"tx_code with another grant", "grant_type=authorization_code&code=c&tx_code=1", false, oauth.InvalidRequest},
		{"pre-authorized code with another grant", "grant_type=authorization_code&code=c&pre-authorized_code=1", false, oauth.InvalidRequest},
		{"details", preAuthorized + "&pre-authorized_code=c&authorization_details=" + url.QueryEscape(`[{"type":"openid_credential","credential_configuration_id":"a"}]`), false, ""},
		{"details empty", preAuthorized + "&pre-authorized_code=c&authorization_details=%5B%5D", false, oauth.InvalidAuthorizationDetails},
		{"details of another type", preAuthorized + "&pre-authorized_code=c&authorization_details=" + url.QueryEscape(`[{"type":"payment","credential_configuration_id":"a"}]`), false, oauth.InvalidAuthorizationDetails},
		{"details without id", preAuthorized + "&pre-authorized_code=c&authorization_details=" + url.QueryEscape(`[{"type":"openid_credential"}]`), false, oauth.InvalidAuthorizationDetails},
		{"details as object", preAuthorized + "&pre-authorized_code=c&authorization_details=%7B%7D", false, oauth.InvalidAuthorizationDetails},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := oauth.DecodeForm(tt.form, oauth.FormLimits{})
			var r TokenRequest
			if err == nil {
				r, err = ParseTokenRequest(f, oauth.GrantPreAuthorizedCode, oauth.GrantAuthorizationCode)
			}
			if err == nil {
				err = r.CheckTxCode(tt.demanded)
			}
			if oauth.CodeOf(err) != tt.want {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if err != nil {
				w := httptest.NewRecorder()
				if oauth.WriteError(w, err); w.Code != 400 {
					t.Fatalf("status %d", w.Code)
				}
			}
		})
	}
}

func TestTokenRequestForm(t *testing.T) {
	want := TokenRequest{
		TokenRequest:      oauth.TokenRequest{GrantType: oauth.GrantPreAuthorizedCode, ClientID: "https://wallet.example"},
		PreAuthorizedCode: "a+b/c=", TxCode: "12 34",
		AuthorizationDetails: []AuthorizationDetail{{Type: AuthorizationDetailType, CredentialConfigurationID: "x"}},
	}
	raw, err := want.Form()
	if err != nil {
		t.Fatal(err)
	}
	f, err := oauth.DecodeForm(raw, oauth.FormLimits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTokenRequest(f, oauth.GrantPreAuthorizedCode)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(oid4vp.Step{})); diff != "" {
		t.Fatal(diff)
	}
}

func TestDecodeTokenResponse(t *testing.T) {
	good, err := DecodeTokenResponse([]byte(`{"access_token":"t","token_type":"bearer","expires_in":300,"x":1,
		"authorization_details":[{"type":"openid_credential","credential_configuration_id":"a","credential_identifiers":["s0"]}]}`))
	if err != nil || good.TokenType != oauth.SchemeBearer || good.ExpiresIn != 300 || good.AuthorizationDetails[0].CredentialIdentifiers[0] != "s0" {
		t.Fatalf("%+v, %v", good, err)
	}
	for _, bad := range []string{`{}`, `{"access_token":"t","token_type":"mac"}`, `{"token_type":"Bearer"}`, `{"access_token":1,"token_type":"Bearer"}`,
		`{"access_token":"t","token_type":"Bearer","expires_in":-1}`, `{"access_token":"t","access_token":"u","token_type":"Bearer"}`,
		`{"access_token":"t","token_type":"Bearer","authorization_details":[{"type":"openid_credential"}]}`, `[]`} {
		if r, err := DecodeTokenResponse([]byte(bad)); err == nil {
			t.Fatalf("%s gave %+v", bad, r)
		}
	}
	if n, err := DecodeNonceResponse([]byte(`{"c_nonce":"n"}`)); err != nil || n.CNonce != "n" {
		t.Fatal(err)
	}
	for _, bad := range []string{`{}`, `{"c_nonce":""}`, `{"c_nonce":null}`, `{"c_nonce":5}`, ``} {
		if _, err := DecodeNonceResponse([]byte(bad)); err == nil {
			t.Fatalf("%s accepted", bad)
		}
	}
}

func FuzzParseTokenRequest(f *testing.F) {
	f.Add(preAuthorized + "&pre-authorized_code=c&tx_code=1")
	f.Fuzz(func(t *testing.T, raw string) {
		form, err := oauth.DecodeForm(raw, oauth.FormLimits{})
		if err != nil {
			return
		}
		r, err := ParseTokenRequest(form, oauth.GrantPreAuthorizedCode)
		if (err == nil) != (r.PreAuthorizedCode != "") {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.CheckTxCode(true) == nil && r.CheckTxCode(false) == nil {
			t.Fatal("a transaction code is both there and not")
		}
	})
}
