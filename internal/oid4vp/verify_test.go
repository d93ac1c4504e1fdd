package oid4vp

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

const (
	verifierDID = "did:dojang:demo:verifier"
	responseURI = "https://verifier.example/response/1"
)

// A company is a verifier with a certificate and a DID.
type company struct {
	signer keys.Signer
	x5c    [][]byte
	roots  []*x509.Certificate
	enc    *keys.EncryptionKey
}

func newCompany(t testing.TB) company {
	t.Helper()
	signer, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	rootKey, err := keys.Generate(keys.ES256)
	if err != nil {
		t.Fatal(err)
	}
	root, err := keys.NewRoot(keys.RootConfig{CommonName: "Test Root", Organization: "Test", PermittedDNS: []string{"example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), Key: rootKey})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue(keys.LeafConfig{CommonName: "Verifier", Organization: "Test", DNS: []string{"verifier.example"}, Key: signer.Public(),
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	enc, err := keys.NewEphemeral("e1")
	if err != nil {
		t.Fatal(err)
	}
	return company{signer: signer, x5c: [][]byte{leaf}, roots: []*x509.Certificate{root.Root()}, enc: enc}
}

func (c company) hashID() string { return "x509_hash:" + keys.X509Hash(c.x5c[0]) }

func (c company) request(clientID string) Request {
	return Request{
		ClientID: clientID, ResponseType: ResponseTypeVPToken, ResponseMode: ModeDirectPostJWT, ResponseURI: responseURI,
		Nonce: "n-0S6_WzA2Mj", State: "s1",
		DCQL: &Query{Credentials: []CredentialQuery{{ID: "id", Format: FormatSDJWTVC, Meta: Meta{VCTValues: []string{"v"}}, Claims: []ClaimsQuery{{Path: Names("a")}}}}},
		ClientMetadata: &ClientMetadata{JWKS: &JWKS{Keys: []jsontext.Value{c.enc.JWK()}}, EncryptedEncValues: []string{keys.A256GCM, keys.A128GCM},
			VPFormats: map[string]jsontext.Value{FormatSDJWTVC: jsontext.Value(`{"sd-jwt_alg_values":["ES256"]}`)}},
		Evidence: &EvidenceRequest{Network: "demo", TrustedHeight: 7, MaxAge: 259200},
		IssuedAt: now.Unix(), Expires: now.Add(2 * time.Minute).Unix(),
	}
}

func (c company) expect(clientID string) RequestExpect {
	return RequestExpect{
		ClientID: clientID, Now: now, Formats: []string{FormatSDJWTVC, FormatMdoc},
		ResolveDID: func(u string) (*keys.PublicKey, error) { // any DID resolves: a key of another one proves nothing
			if !strings.HasSuffix(u, "#auth") {
				return nil, errors.New("no such key")
			}
			return c.signer.Public(), nil
		},
		VerifyChain: func(chain [][]byte) (*keys.Leaf, error) {
			return keys.VerifyChain(chain, keys.ChainPolicy{Roots: c.roots, Now: now})
		},
		Preregistered: func(id, _ string) (*keys.PublicKey, error) {
			if id != "known-client" {
				return nil, errors.New("unknown client")
			}
			return c.signer.Public(), nil
		},
	}
}

// seal signs any claims, also those that Sign refuses.
func (c company) seal(t testing.TB, h keys.Header, claims any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if h.Typ == "" {
		h.Typ = keys.TypRequestObject
	}
	jwt, err := keys.SignJWS(c.signer, h, payload)
	if err != nil {
		t.Fatal(err)
	}
	return jwt
}

func TestSignAndVerify(t *testing.T) {
	c := newCompany(t)
	tests := []struct {
		name, clientID string
		signer         RequestSigner
	}{
		{"x509_hash", c.hashID(), RequestSigner{Signer: c.signer, X5C: c.x5c}},
		{"x509_san_dns", "x509_san_dns:verifier.example", RequestSigner{Signer: c.signer, X5C: c.x5c}},
		{"decentralized_identifier", "decentralized_identifier:" + verifierDID, RequestSigner{Signer: c.signer, Kid: verifierDID + "#auth"}},
		{"x509_hash with a kid beside", c.hashID(), RequestSigner{Signer: c.signer, X5C: c.x5c, Kid: verifierDID + "#auth"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := c.request(tt.clientID)
			jwt, err := r.Sign(tt.signer)
			if err != nil {
				t.Fatal(err)
			}
			v, err := VerifyRequest(jwt, c.expect(tt.clientID))
			if err != nil {
				t.Fatal(err)
			}
			r.Audience = AudienceStatic
			if diff := cmp.Diff(r, v.Request, cmp.AllowUnexported(Step{})); diff != "" {
				t.Fatal(diff)
			}
			if !v.Signed || v.Client.String() != tt.clientID || !v.Key.Equal(c.signer.Public()) || (v.Leaf != nil) != strings.HasPrefix(tt.clientID, "x509") {
				t.Fatalf("%+v", v)
			}
		})
	}
	other := newCompany(t)
	for name, refused := range map[string]struct {
		clientID string
		signer   RequestSigner
	}{
		"hash of another certificate": {c.hashID(), RequestSigner{Signer: other.signer, X5C: other.x5c}},
		"DNS name without chain":      {"x509_san_dns:verifier.example", RequestSigner{Signer: c.signer}},
		"key of another DID":          {"decentralized_identifier:" + verifierDID, RequestSigner{Signer: c.signer, Kid: "did:dojang:demo:other#auth"}},
		"redirect_uri client":         {"redirect_uri:" + responseURI, RequestSigner{Signer: c.signer}},
	} {
		if jwt, err := c.request(refused.clientID).Sign(refused.signer); err == nil || jwt != "" {
			t.Fatalf("%s was signed", name)
		}
	}
}

func TestVerifyRequestRefused(t *testing.T) {
	c, other := newCompany(t), newCompany(t)
	hash, did := c.hashID(), "decentralized_identifier:"+verifierDID
	byChain := keys.Header{X5C: c.x5c}
	req := func(clientID string, change func(*Request)) Request {
		r := c.request(clientID)
		if change != nil {
			change(&r)
		}
		return r
	}
	signed := func(change func(*Request)) string { return c.seal(t, byChain, req(hash, change)) }
	tests := []struct {
		name, jwt, linkID string
		code              oauth.Code
		answer            bool // the wallet may answer
	}{
		{"D44 x509_san_dns with SAN mismatch", c.seal(t, byChain, req("x509_san_dns:evil.example", func(r *Request) { r.ResponseURI = "https://evil.example/r" })), "x509_san_dns:evil.example", oauth.InvalidRequest, false},
		{"D44 x509_san_dns, response_uri on another host", c.seal(t, byChain, req("x509_san_dns:verifier.example", func(r *Request) { r.ResponseURI = "https://evil.example/r" })), "x509_san_dns:verifier.example", oauth.InvalidRequest, false},
		{"D44 x509_hash of another certificate", c.seal(t, byChain, req(other.hashID(), nil)), other.hashID(), oauth.InvalidRequest, false},
		{"D44 x509_hash of a certificate that nobody trusts", other.seal(t, keys.Header{X5C: other.x5c}, req(other.hashID(), nil)), other.hashID(), oauth.InvalidRequest, false},
		{"D44 kid of another DID", c.seal(t, keys.Header{Kid: "did:dojang:demo:other#auth"}, req(did, nil)), did, oauth.InvalidRequest, false},
		{"D44 kid of a DID that only begins alike", c.seal(t, keys.Header{Kid: verifierDID + "x#auth"}, req(did, nil)), did, oauth.InvalidRequest, false},
		{"D44 kid unknown to the DID", c.seal(t, keys.Header{Kid: verifierDID + "#other"}, req(did, nil)), did, oauth.InvalidRequest, false},
		{"D44 unknown prefix", c.seal(t, byChain, req("https://verifier.example", nil)), "https://verifier.example", oauth.InvalidRequest, false},
		{"D44 reserved prefix origin", c.seal(t, byChain, req("origin:https://verifier.example", nil)), "origin:https://verifier.example", oauth.InvalidRequest, false},
		{"D44 client_id of the link differs", signed(nil), "x509_san_dns:verifier.example", oauth.InvalidRequest, false},
		{"D44 both dcql_query and scope", signed(func(r *Request) { r.Scope = "openid" }), hash, oauth.InvalidRequest, true},
		{"D44 redirect_uri with direct_post", signed(func(r *Request) { r.RedirectURI = "https://verifier.example/cb" }), hash, oauth.InvalidRequest, true},
		{"D45 client_metadata of a pre-registered client", c.seal(t, keys.Header{Kid: "k"}, req("known-client", nil)), "known-client", oauth.InvalidClient, true},
		{"D46 formats that the wallet lacks", signed(func(r *Request) { r.DCQL.Credentials[0].Format = "ldp_vc" }), hash, oauth.VPFormatsNotSupported, true},
		{"D46 verifier reads none of the wallet's formats", signed(func(r *Request) {
			r.ClientMetadata.VPFormats = map[string]jsontext.Value{"ldp_vc": jsontext.Value(`{}`)}
		}), hash, oauth.VPFormatsNotSupported, true},
		{"D46 unknown transaction type", signed(func(r *Request) {
			r.TransactionData = []string{EncodeTransactionData([]byte(`{"type":"pay","credential_ids":["id"]}`))}
		}), hash, oauth.InvalidTransactionData, true},
		{"neither dcql_query nor scope", signed(func(r *Request) { r.DCQL = nil }), hash, oauth.InvalidRequest, true},
		{"scope alone", signed(func(r *Request) { r.DCQL, r.Scope = nil, "x" }), hash, oauth.InvalidScope, true},
		{"response type", signed(func(r *Request) { r.ResponseType = "code" }), hash, oauth.UnsupportedResponseType, true},
		{"no nonce", signed(func(r *Request) { r.Nonce = "" }), hash, oauth.InvalidRequest, true},
		{"nonce with a space", signed(func(r *Request) { r.Nonce = "a b" }), hash, oauth.InvalidRequest, true},
		{"state with a space", signed(func(r *Request) { r.State = "a b" }), hash, oauth.InvalidRequest, true},
		{"no encryption key", signed(func(r *Request) { r.ClientMetadata = nil }), hash, oauth.InvalidRequest, true},
		{"unknown content encryption only", signed(func(r *Request) { r.ClientMetadata.EncryptedEncValues = []string{"A128CBC-HS256"} }), hash, oauth.InvalidRequest, true},
		{"no holder binding and no state", signed(func(r *Request) { r.DCQL.Credentials[0].RequireHolderBinding, r.State = new(bool), "" }), hash, oauth.InvalidRequest, true},
		{"evidence without network", signed(func(r *Request) { r.Evidence.Network = "" }), hash, oauth.InvalidRequest, true},
		{"verifier_info of an unknown query", signed(func(r *Request) {
			r.VerifierInfo = []VerifierInfo{{Format: "jwt", Data: jsontext.Value(`"x"`), CredentialIDs: []string{"zz"}}}
		}), hash, oauth.InvalidRequest, true},
		{"fragment mode", signed(func(r *Request) { r.ResponseMode = "fragment" }), hash, oauth.InvalidRequest, false},
		{"no response_uri", signed(func(r *Request) { r.ResponseURI = "" }), hash, oauth.InvalidRequest, false},
		{"response_uri over http", signed(func(r *Request) { r.ResponseURI = "http://verifier.example/r" }), hash, oauth.InvalidRequest, false},
		{"response_uri with user", signed(func(r *Request) { r.ResponseURI = "https://a@verifier.example/r" }), hash, oauth.InvalidRequest, false},
		{"expired", signed(func(r *Request) { r.Expires = now.Unix() }), hash, oauth.InvalidRequest, false},
		{"from the future", signed(func(r *Request) { r.IssuedAt = now.Unix() + 120 }), hash, oauth.InvalidRequest, false},
		{"for another wallet", signed(func(r *Request) { r.Audience = "https://other.example" }), hash, oauth.InvalidRequest, false},
		{"wallet_nonce that was not sent", signed(func(r *Request) { r.WalletNonce = "w" }), hash, oauth.InvalidRequest, false},
		{"own key in the header", c.seal(t, keys.Header{JWK: c.signer.Public()}, req(did, nil)), did, oauth.InvalidRequest, false},
		{"own key beside a chain", c.seal(t, keys.Header{JWK: c.signer.Public(), X5C: c.x5c}, req(hash, nil)), hash, oauth.InvalidRequest, false},
		{"another typ", c.seal(t, keys.Header{Typ: "kb+jwt", X5C: c.x5c}, req(hash, nil)), hash, oauth.InvalidRequest, false},
		{"signed by another key", other.seal(t, byChain, req(hash, nil)), hash, oauth.InvalidRequest, false},
		{"unknown registered client", c.seal(t, keys.Header{}, req("who", nil)), "who", oauth.InvalidRequest, false},
		{"redirect_uri client, signed", c.seal(t, byChain, req("redirect_uri:"+responseURI, nil)), "redirect_uri:" + responseURI, oauth.InvalidRequest, false},
		{"alg none", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"oauth-authz-req+jwt"}`)) + ".e30.", hash, oauth.InvalidRequest, false},
		{"dcql_query malformed", c.seal(t, byChain, map[string]any{"client_id": hash, "dcql_query": "x"}), hash, oauth.InvalidRequest, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := VerifyRequest(tt.jwt, c.expect(tt.linkID))
			if oauth.CodeOf(err) != tt.code || !cmp.Equal(v.Request, Request{}, cmp.AllowUnexported(Step{})) || v.Key != nil {
				t.Fatalf("got %v", err)
			}
			var refusal *Refusal
			if errors.As(err, &refusal) != tt.answer || errors.Is(err, ErrTerminate) == tt.answer {
				t.Fatalf("answerable %v: %v", !tt.answer, err)
			}
			if tt.answer && refusal.Reply.ResponseURI != responseURI {
				t.Fatalf("reply to %q", refusal.Reply.ResponseURI)
			}
		})
	}
	t.Run("D44 request_uri_method PUT", func(t *testing.T) {
		for _, method := range []string{"PUT", "put", "GET", "Post"} {
			_, err := ParseLink("openid4vp://?client_id=x&request_uri=https%3A%2F%2Fv.example&request_uri_method="+method, nil)
			if oauth.CodeOf(err) != oauth.InvalidRequestURIMethod {
				t.Fatalf("%s: %v", method, err)
			}
		}
	})
	t.Run("wallet_nonce that came back", func(t *testing.T) {
		e := c.expect(hash)
		e.WalletNonce = "w1"
		if _, err := VerifyRequest(signed(nil), e); !errors.Is(err, ErrTerminate) {
			t.Fatalf("missing: %v", err)
		}
		if _, err := VerifyRequest(signed(func(r *Request) { r.WalletNonce = "w1" }), e); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a registered client without client_metadata", func(t *testing.T) {
		r := req("known-client", func(r *Request) { r.ClientMetadata, r.ResponseMode = nil, ModeDirectPost })
		if _, err := VerifyRequest(c.seal(t, keys.Header{Kid: "k"}, r), c.expect("known-client")); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a known transaction type", func(t *testing.T) {
		e := c.expect(hash)
		e.TransactionTypes = []string{"pay"}
		v, err := VerifyRequest(signed(func(r *Request) {
			r.TransactionData = []string{EncodeTransactionData([]byte(`{"type":"pay","credential_ids":["id"],"amount":5}`))}
		}), e)
		if err != nil || len(v.Transaction) != 1 || v.Transaction[0].Type != "pay" {
			t.Fatalf("%+v, %v", v.Transaction, err)
		}
	})
}

func TestParseClientID(t *testing.T) {
	for s, want := range map[string]Prefix{
		"example-client": PrefixNone, "redirect_uri:https://client.example.org/cb": PrefixRedirectURI,
		"decentralized_identifier:did:example:123": PrefixDID, "x509_san_dns:client.example.org": PrefixX509DNS, "x509_san_dns:localhost": PrefixX509DNS,
		"x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk": PrefixX509Hash,
	} {
		c, err := ParseClientID(s)
		if err != nil || c.Prefix != want || c.String() != s {
			t.Fatalf("%s: %+v, %v", s, c, err)
		}
	}
	for _, s := range []string{"", "https://client.example.org/cb", "did:example:123", "openid_federation:https://f.example", "verifier_attestation:x",
		"X509_HASH:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk", "x509_hash:short", "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZsz=",
		"x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszl", // non-zero trailing bits
		"x509_san_dns:", "x509_san_dns:a..b", "x509_san_dns:-a", "x509_san_dns:a/b", "x509_san_dns:a:443", "decentralized_identifier:x",
		"decentralized_identifier:did:example:123#k", "redirect_uri:javascript:x", "redirect_uri:https://a@b.example", ":x", "a b", strings.Repeat("a", 513)} {
		if c, err := ParseClientID(s); oauth.CodeOf(err) != oauth.InvalidRequest || c != (ClientID{}) {
			t.Fatalf("%q: %+v, %v", s, c, err)
		}
	}
}

func FuzzVerifyRequest(f *testing.F) {
	c := newCompany(f)
	jwt, err := c.request(c.hashID()).Sign(RequestSigner{Signer: c.signer, X5C: c.x5c})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(jwt, c.hashID())
	f.Add("a.b.c", "x509_san_dns:a")
	f.Fuzz(func(t *testing.T, jwt, clientID string) {
		v, err := VerifyRequest(jwt, c.expect(clientID))
		var refusal *Refusal
		if (err == nil) != (v.Key != nil) || err != nil && errors.As(err, &refusal) == errors.Is(err, ErrTerminate) {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}

// FuzzRequest feeds claims that are signed by the right key.
func FuzzRequest(f *testing.F) {
	c := newCompany(f)
	good, err := json.Marshal(c.request(c.hashID()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, claims []byte) {
		var r Request
		if json.Unmarshal(claims, &r) != nil {
			return
		}
		e := c.expect(r.ClientID)
		e.TransactionTypes = []string{"pay"}
		client, err := ParseClientID(r.ClientID)
		if err != nil {
			return
		}
		v, err := e.check(VerifiedRequest{Request: r, Client: client})
		if err == nil && (v.DCQL == nil || !isWebURL(v.ResponseURI) || v.RedirectURI != "" || v.Nonce == "") {
			t.Fatalf("%+v", v)
		}
		if err == nil && v.Validate() != nil {
			t.Fatal("verified but not valid")
		}
	})
}
