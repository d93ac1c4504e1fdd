package oid4vp

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/oauth"
)

func loopback(u string) bool { return strings.HasPrefix(u, "http://localhost:4000/") }

func TestLink(t *testing.T) {
	links := []Link{
		{ClientID: "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk", RequestURI: "http://localhost:4000/request/1?x=1&y=2"},
		{ClientID: "x509_san_dns:localhost", RequestURI: "https://verifier.example/request/1", RequestURIMethod: MethodPost},
		{ClientID: "decentralized_identifier:did:dojang:demo:v", RequestObject: "a.b.c"},
	}
	for _, l := range links {
		for _, base := range []string{LinkScheme, "openid4vp://authorize", "https://wallet.example/present", "https://wallet.example/present?lang=ko", "haip-vp://?"} {
			text, err := l.URL(base)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseLink(text, loopback)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			if diff := cmp.Diff(l, got); diff != "" {
				t.Fatal(diff)
			}
		}
	}
	for _, l := range []Link{{}, {ClientID: "a"}, {ClientID: "a", RequestURI: "x", RequestObject: "y"}, {RequestURI: "x"}} {
		if _, err := l.URL(LinkScheme); err == nil {
			t.Fatalf("%+v was built", l)
		}
	}
	if _, err := links[0].URL("https://wallet.example/#x"); err == nil {
		t.Fatal("base with fragment accepted")
	}
}

func TestParseLinkRefused(t *testing.T) {
	tests := []struct {
		name, query string
		code        oauth.Code
	}{
		{"no client_id", "request_uri=https%3A%2F%2Fv.example", oauth.InvalidRequest},
		{"client_id twice", "client_id=a&client_id=b&request_uri=https%3A%2F%2Fv.example", oauth.InvalidRequest},
		{"unknown prefix", "client_id=https%3A%2F%2Fv.example&request_uri=https%3A%2F%2Fv.example", oauth.InvalidRequest},
		{"request and request_uri", "client_id=a&request=x&request_uri=https%3A%2F%2Fv.example", oauth.InvalidRequest},
		{"method without request_uri", "client_id=a&request=x&request_uri_method=post", oauth.InvalidRequest},
		{"http", "client_id=a&request_uri=http%3A%2F%2Fv.example", oauth.InvalidRequest},
		{"file", "client_id=a&request_uri=file%3A%2F%2F%2Fetc%2Fpasswd", oauth.InvalidRequest},
		{"user in request_uri", "client_id=a&request_uri=https%3A%2F%2Fa%40v.example", oauth.InvalidRequest},
		{"fragment in request_uri", "client_id=a&request_uri=https%3A%2F%2Fv.example%23x", oauth.InvalidRequest},
		{"fragment", "client_id=a&request_uri=https%3A%2F%2Fv.example#x", oauth.InvalidRequest},
		{"dcql_query is not JSON", "client_id=redirect_uri%3Ahttps%3A%2F%2Fv.example&dcql_query=x", oauth.InvalidRequest},
		{"transaction_data is not an array", "client_id=redirect_uri%3Ahttps%3A%2F%2Fv.example&transaction_data=%22x%22", oauth.InvalidRequest},
		{"too long", "client_id=a&request=" + strings.Repeat("x", maxLinkBytes), oauth.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := ParseLink(LinkScheme+"?"+tt.query, nil)
			if oauth.CodeOf(err) != tt.code || l != (Link{}) {
				t.Fatalf("%+v, %v", l, err)
			}
		})
	}
	if _, err := ParseLink("openid4vp://", nil); oauth.CodeOf(err) != oauth.InvalidRequest {
		t.Fatalf("no query: %v", err)
	}
}

func TestUnsigned(t *testing.T) {
	c := newCompany(t)
	dcql := `{"credentials":[{"id":"id","format":"dc+sd-jwt","meta":{}}]}`
	link := func(change url.Values) string {
		q := url.Values{"client_id": {"redirect_uri:" + responseURI}, "response_type": {"vp_token"}, "response_mode": {"direct_post"},
			"nonce": {"n"}, "state": {"s"}, "dcql_query": {dcql}}
		for k, v := range change {
			q[k] = v
		}
		return LinkScheme + "?" + q.Encode()
	}
	open := func(text string) (VerifiedRequest, error) {
		l, err := ParseLink(text, nil)
		if err != nil || l.Unsigned == nil {
			t.Fatalf("%+v, %v", l, err)
		}
		return VerifyUnsigned(*l.Unsigned, c.expect(l.ClientID))
	}
	v, err := open(link(nil))
	if err != nil || v.Signed || v.ResponseURI != responseURI || v.Key != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	for name, change := range map[string]url.Values{
		"another response_uri":             {"response_uri": {"https://evil.example/r"}},
		"a client that must sign":          {"client_id": {"x509_san_dns:verifier.example"}, "response_uri": {responseURI}},
		"a registered client, not signing": {"client_id": {"known-client"}, "response_uri": {responseURI}},
	} {
		if _, err := open(link(change)); !errors.Is(err, ErrTerminate) || oauth.CodeOf(err) != oauth.InvalidRequest {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestRequestURIPost(t *testing.T) {
	decode := func(body string) (RequestURIPost, error) {
		r := httptest.NewRequest("POST", "/request/1", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		f, err := oauth.ParseForm(r, RequestURILimits())
		if err != nil {
			return RequestURIPost{}, err
		}
		return DecodeRequestURIPost(f)
	}
	want := RequestURIPost{WalletNonce: "qPmxiNFCR3QTm19POc8u", Metadata: &WalletMetadata{RequestObjectAlgs: []string{"ES256"}, ClientIDPrefixes: []string{"x509_hash"}}}
	body, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(body)
	if err != nil || !cmp.Equal(want, got) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := decode(""); err != nil || got != (RequestURIPost{}) {
		t.Fatalf("%+v, %v", got, err)
	}
	list := func(n int, word string) string {
		return url.QueryEscape(`{"request_object_signing_alg_values_supported":["` + strings.Repeat(word+`","`, n-1) + word + `"]}`)
	}
	tests := []struct {
		name, body string
		status     int
	}{
		{"D36 wallet_metadata of 5 MB", "wallet_metadata=" + strings.Repeat("x", 5<<20), 413},
		{"D36 wallet_metadata of 60 KB", "wallet_metadata=" + strings.Repeat("x", 60<<10), 400},
		{"D36 list of 65 algorithms", "wallet_metadata=" + list(65, "ES256"), 400},
		{"D36 empty algorithm", "wallet_metadata=" + list(1, ""), 400},
		{"D36 long algorithm", "wallet_metadata=" + list(1, strings.Repeat("a", 129)), 400},
		{"D36 algorithms as object", "wallet_metadata=" + url.QueryEscape(`{"request_object_signing_alg_values_supported":{}}`), 400},
		{"D36 formats as list", "wallet_metadata=" + url.QueryEscape(`{"vp_formats_supported":{"dc+sd-jwt":[]}}`), 400},
		{"D36 wallet_metadata is a list", "wallet_metadata=%5B%5D", 400},
		{"D36 wallet_metadata is null", "wallet_metadata=null", 400},
		{"D36 wallet_nonce of 1 MB", "wallet_nonce=" + strings.Repeat("n", 1<<20), 413},
		{"D36 wallet_nonce of 513 bytes", "wallet_nonce=" + strings.Repeat("n", 513), 400},
		{"D36 wallet_nonce with control characters", "wallet_nonce=a%0d%0ab", 400},
		{"D36 wallet_nonce beyond ASCII", "wallet_nonce=%ED%95%9C", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode(tt.body)
			if e := oauth.AsError(err); e.Code != oauth.InvalidRequest || e.Status() != tt.status || got != (RequestURIPost{}) {
				t.Fatalf("%+v, %v", got, err)
			}
			rec := httptest.NewRecorder()
			if oauth.WriteError(rec, err); strings.Contains(rec.Body.String(), "nnn") || len(rec.Body.String()) > 200 {
				t.Fatalf("echoed: %s", rec.Body)
			}
		})
	}
	t.Run("D36 wallet_nonce is echoed inside the signed request object", func(t *testing.T) {
		c := newCompany(t)
		r := c.request(c.hashID())
		r.WalletNonce = want.WalletNonce
		jwt, err := r.Sign(RequestSigner{Signer: c.signer, X5C: c.x5c})
		if err != nil {
			t.Fatal(err)
		}
		e := c.expect(c.hashID())
		e.WalletNonce = want.WalletNonce
		if v, err := VerifyRequest(jwt, e); err != nil || v.WalletNonce != want.WalletNonce {
			t.Fatalf("%+v, %v", v, err)
		}
		e.WalletNonce = "another"
		if _, err := VerifyRequest(jwt, e); !errors.Is(err, ErrTerminate) {
			t.Fatalf("another nonce: %v", err)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	f.Add("openid4vp://?client_id=x509_san_dns%3Alocalhost&request_uri=https%3A%2F%2Fv.example%2F1&request_uri_method=post")
	f.Add("https://w.example/?client_id=redirect_uri%3Ahttps%3A%2F%2Fv.example&dcql_query=%7B%7D")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLink(text, nil)
		if err != nil {
			if l != (Link{}) {
				t.Fatal("a value beside an error")
			}
			return
		}
		if l.Unsigned != nil {
			return
		}
		again, err := l.URL(LinkScheme)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseLink(again, nil); err != nil || back != l {
			t.Fatalf("%+v became %+v, %v", l, back, err)
		}
	})
}

func FuzzDecodeRequestURIPost(f *testing.F) {
	f.Add("wallet_metadata=%7B%22vp_formats_supported%22%3A%7B%22dc%2Bsd-jwt%22%3A%7B%7D%7D%7D&wallet_nonce=n")
	f.Fuzz(func(t *testing.T, raw string) {
		form, err := oauth.DecodeForm(raw, RequestURILimits())
		if err != nil {
			return
		}
		p, err := DecodeRequestURIPost(form)
		if err != nil {
			return
		}
		body, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		form, err = oauth.DecodeForm(body, oauth.FormLimits{Body: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if q, err := DecodeRequestURIPost(form); err == nil && q.WalletNonce != p.WalletNonce {
			t.Fatalf("%+v became %+v", p, q)
		}
	})
}
