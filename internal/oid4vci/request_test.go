package oid4vci

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

const good = `{"credential_configuration_id":"a","proofs":{"jwt":["x","y"]}}`

func jsonPost(contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/credential", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestReadCredentialRequest(t *testing.T) {
	const app = "application/json"
	many := func(n int) string {
		return `{"credential_configuration_id":"a","proofs":{"jwt":["x"` + strings.Repeat(`,"x"`, n-1) + `]}}`
	}
	tests := []struct {
		name, contentType, body string
		want                    oauth.Code
		status                  int
	}{
		{"configuration", app, good, "", 0},
		{"charset", app + "; charset=utf-8", good, "", 0},
		{"identifier", app, `{"credential_identifier":"a","proofs":{"jwt":["x"]}}`, "", 0},
		{"unknown member", app, `{"x":[],"credential_identifier":"a","proofs":{"jwt":["x"]}}`, "", 0},
		{"whole batch", app, many(10), "", 0},
		{"attestation", app, `{"credential_identifier":"a","proofs":{"attestation":["x"]}}`, "", 0},
		{"data integrity", app, `{"credential_identifier":"a","proofs":{"di_vp":[{"a":1}]}}`, "", 0},
		{"B38 proofs missing", app, `{"credential_configuration_id":"a"}`, oauth.InvalidProof, 400},
		{"B50 two proof types", app, `{"credential_configuration_id":"a","proofs":{"jwt":["x"],"attestation":["y"]}}`, oauth.InvalidCredentialRequest, 400},
		{"B50 a known and an unknown proof type", app, `{"credential_configuration_id":"a","proofs":{"jwt":["x"],"magic":["y"]}}`, oauth.InvalidCredentialRequest, 400},
		{"B50 empty array", app, `{"credential_configuration_id":"a","proofs":{"jwt":[]}}`, oauth.InvalidCredentialRequest, 400},
		{"B50 no proof type", app, `{"credential_configuration_id":"a","proofs":{}}`, oauth.InvalidCredentialRequest, 400},
		{"B50 10 000 proofs", app, many(10000), oauth.InvalidCredentialRequest, 400},
		{"B50 one more than the batch", app, many(11), oauth.InvalidCredentialRequest, 400},
		{"two attestations", app, `{"credential_identifier":"a","proofs":{"attestation":["x","y"]}}`, oauth.InvalidCredentialRequest, 400},
		{"unknown proof type", app, `{"credential_identifier":"a","proofs":{"magic":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"empty proof", app, `{"credential_identifier":"a","proofs":{"jwt":[""]}}`, oauth.InvalidCredentialRequest, 400},
		{"proof as string", app, `{"credential_identifier":"a","proofs":{"jwt":"x"}}`, oauth.InvalidCredentialRequest, 400},
		{"proof of numbers", app, `{"credential_identifier":"a","proofs":{"jwt":[1]}}`, oauth.InvalidCredentialRequest, 400},
		{"both names", app, `{"credential_configuration_id":"a","credential_identifier":"b","proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"neither name", app, `{"proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"empty name", app, `{"credential_configuration_id":"","proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"member twice", app, `{"credential_configuration_id":"a","credential_configuration_id":"b","proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"another case", app, `{"Credential_Configuration_Id":"a","proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"trailing data", app, good + good, oauth.InvalidCredentialRequest, 400},
		{"empty body", app, ``, oauth.InvalidCredentialRequest, 400},
		{"large", app, `{"x":"` + strings.Repeat("x", 256<<10) + `"}`, oauth.InvalidCredentialRequest, 413},
		{"B60 wrong content type", "text/plain", good, oauth.InvalidCredentialRequest, 415},
		{"B60 no content type", "", good, oauth.InvalidCredentialRequest, 415},
		{"B60 invalid UTF-8", app, "{\"credential_configuration_id\":\"\xff\",\"proofs\":{\"jwt\":[\"x\"]}}", oauth.InvalidCredentialRequest, 400},
		{"B60 top-level array", app, `[` + good + `]`, oauth.InvalidCredentialRequest, 400},
		{"B60 top-level null", app, `null`, oauth.InvalidCredentialRequest, 400},
		{"B60 null name", app, `{"credential_configuration_id":null,"proofs":{"jwt":["x"]}}`, oauth.InvalidCredentialRequest, 400},
		{"B60 null proofs", app, `{"credential_configuration_id":"a","proofs":null}`, oauth.InvalidCredentialRequest, 400},
		{"B60 null proof type", app, `{"credential_configuration_id":"a","proofs":{"jwt":null}}`, oauth.InvalidCredentialRequest, 400},
		{"B60 null proof", app, `{"credential_configuration_id":"a","proofs":{"jwt":[null]}}`, oauth.InvalidCredentialRequest, 400},
		{"B60 nesting of 200 levels", app, `{"credential_configuration_id":"a","proofs":{"jwt":["x"]},"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, oauth.InvalidCredentialRequest, 400},
		{"B60 nesting inside a proof", app, `{"credential_configuration_id":"a","proofs":{"di_vp":[{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}]}}`, oauth.InvalidCredentialRequest, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ReadCredentialRequest(jsonPost(tt.contentType, tt.body), RequestLimits{BatchSize: 10})
			if oauth.CodeOf(err) != tt.want {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if err == nil {
				if c.Proofs.Len() == 0 || c.Proofs.Type() == "" {
					t.Fatalf("%+v", c)
				}
				return
			}
			if oauth.AsError(err).Status() != tt.status || !cmp.Equal(c, CredentialRequest{}) {
				t.Fatalf("status %d, %+v", oauth.AsError(err).Status(), c)
			}
		})
	}
	if _, err := DecodeCredentialRequest([]byte(`{"credential_configuration_id":"a"}`), RequestLimits{NoProofs: true}); err != nil {
		t.Fatal(err)
	}
}

func encryption(t testing.TB) (*keys.EncryptionKey, *ResponseEncryption) {
	t.Helper()
	key, err := keys.NewEphemeral("e1")
	if err != nil {
		t.Fatal(err)
	}
	return key, &ResponseEncryption{Alg: []string{keys.ECDHES}, Enc: []string{keys.A128GCM, keys.A256GCM}}
}

func TestResponseEncryption(t *testing.T) {
	key, offered := encryption(t)
	required := *offered
	required.Required = true
	private := strings.Replace(string(key.JWK()), "{", `{"d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE",`, 1)
	tests := []struct {
		name    string
		member  string
		limits  RequestLimits
		wantErr bool
	}{
		{"asked for", enc(string(key.JWK()), "A256GCM", ""), RequestLimits{Encryption: offered, Encrypted: true}, false},
		{"not asked for", "", RequestLimits{Encryption: offered}, false},
		{"B57 required but absent", "", RequestLimits{Encryption: &required, Encrypted: true}, true},
		{"B57 not offered", enc(string(key.JWK()), "A256GCM", ""), RequestLimits{Encrypted: true}, true},
		{"B57 unsupported enc", enc(string(key.JWK()), "A128CBC-HS256", ""), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 unsupported zip", enc(string(key.JWK()), "A256GCM", "DEF"), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 unsupported alg", enc(strings.Replace(string(key.JWK()), "ECDH-ES", "ECDH-ES+A256KW", 1), "A256GCM", ""), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 jwk without alg", enc(strings.Replace(string(key.JWK()), `"alg":"ECDH-ES"`, `"x-alg":"ECDH-ES"`, 1), "A256GCM", ""), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 jwk with d", enc(private, "A256GCM", ""), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 off-curve jwk", enc(offCurve(t, key.JWK()), "A256GCM", ""), RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 jwk as string", `"credential_response_encryption":{"jwk":"x","enc":"A256GCM"},`, RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B57 null", `"credential_response_encryption":null,`, RequestLimits{Encryption: offered, Encrypted: true}, true},
		{"B58 inside an unencrypted request", enc(string(key.JWK()), "A256GCM", ""), RequestLimits{Encryption: offered}, true},
		{"B59 plain JSON when request encryption is required", "", RequestLimits{MustEncrypt: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := "{" + tt.member + good[1:]
			limits := tt.limits
			limits.BatchSize = 2
			c, err := DecodeCredentialRequest([]byte(body), limits)
			if !tt.wantErr {
				if err != nil || (c.ResponseEncryption != nil) != (tt.member != "") {
					t.Fatalf("%+v, %v", c, err)
				}
				return
			}
			if e := oauth.AsError(err); e.Code != oauth.InvalidEncryptionParameters || e.Status() != 400 {
				t.Fatalf("got %v", err)
			}
		})
	}
	for _, garbage := range []string{"", "garbage", "a.b.c.d.e", good} {
		t.Run("B59 application/jwt with garbage", func(t *testing.T) {
			body, err := OpenRequest([]byte(garbage), key, RequestEncryption{Enc: []string{keys.A128GCM}})
			if e := oauth.AsError(err); e.Code != oauth.InvalidEncryptionParameters || e.Status() != 400 || body != nil {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func enc(jwk, enc, zip string) string {
	if zip != "" {
		zip = `,"zip":` + strconv.Quote(zip)
	}
	return `"credential_response_encryption":{"jwk":` + jwk + `,"enc":` + strconv.Quote(enc) + zip + `},`
}

func offCurve(t *testing.T, jwk []byte) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(jwk, &m); err != nil {
		t.Fatal(err)
	}
	m["y"] = m["x"]
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestEncryptedRoundTrip(t *testing.T) {
	issuerKey, offered := encryption(t)
	walletKey, err := keys.NewEphemeral("w1")
	if err != nil {
		t.Fatal(err)
	}
	to, err := keys.ParseRecipient(issuerKey.JWK())
	if err != nil {
		t.Fatal(err)
	}
	inner, err := json.Marshal(CredentialRequest{
		CredentialConfigurationID: "a", Proofs: Proofs{JWT: []string{"p"}},
		ResponseEncryption: &ResponseEncryptKey{JWK: walletKey.JWK(), Enc: keys.A256GCM},
	})
	if err != nil {
		t.Fatal(err)
	}
	jwe, err := keys.Encrypt(inner, keys.Encryption{To: to, Enc: keys.A128GCM})
	if err != nil {
		t.Fatal(err)
	}
	body, err := OpenRequest([]byte(jwe), issuerKey, RequestEncryption{Enc: []string{keys.A128GCM}, Required: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := DecodeCredentialRequest(body, RequestLimits{Encryption: offered, Encrypted: true, MustEncrypt: true})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := EncryptResponse(CredentialResponse{Credentials: []IssuedCredential{StringCredential("a~b~")}, NotificationID: "n"}, *c.ResponseEncryption)
	if err != nil {
		t.Fatal(err)
	}
	plainBody, _, err := keys.Decrypt(walletKey, answer, keys.ExpectJWE{Encs: []string{keys.A256GCM}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeCredentialResponse(plainBody, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := r.Credentials[0].Text(); !ok || s != "a~b~" || r.NotificationID != "n" {
		t.Fatalf("%+v", r)
	}
}

func TestDecodeCredentialResponse(t *testing.T) {
	for _, ok := range []string{`{"credentials":[{"credential":"a"},{"credential":{"b":1}}]}`, `{"transaction_id":"t","interval":5}`} {
		if _, err := DecodeCredentialResponse([]byte(ok), 2); err != nil {
			t.Fatalf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{`{}`, `{"credentials":[]}`, `{"credentials":[{"credential":"a"}],"transaction_id":"t"}`, `{"transaction_id":"t"}`,
		`{"transaction_id":"t","interval":5,"notification_id":"n"}`, `{"credentials":[{"credential":""}]}`, `{"credentials":[{"credential":5}]}`,
		`{"credentials":["a"]}`, `{"credentials":[{}]}`, `{"credentials":[{"credential":"a"},{"credential":"b"},{"credential":"c"}]}`,
		`{"credential":"a"}`, `null`} {
		if r, err := DecodeCredentialResponse([]byte(bad), 2); err == nil {
			t.Fatalf("%s gave %+v", bad, r)
		}
	}
}

func TestDeferredAndNotification(t *testing.T) {
	if d, err := DecodeDeferredRequest([]byte(`{"transaction_id":"t"}`), RequestLimits{}); err != nil || d.TransactionID != "t" {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, bad := range []string{`{}`, `{"transaction_id":""}`, `{"transaction_id":5}`, `[]`, `{"transaction_id":"a","transaction_id":"b"}`} {
		if _, err := DecodeDeferredRequest([]byte(bad), RequestLimits{}); oauth.CodeOf(err) != oauth.InvalidCredentialRequest {
			t.Fatalf("%s: %v", bad, err)
		}
	}
	if n, err := DecodeNotification([]byte(`{"notification_id":"n","event":"credential_accepted","event_description":"ok"}`)); err != nil || n.Event != EventAccepted {
		t.Fatalf("%+v, %v", n, err)
	}
	for _, bad := range []string{`{}`, `{"notification_id":"n"}`, `{"notification_id":"n","event":"Credential_Accepted"}`, `{"event":"credential_deleted"}`,
		`{"notification_id":"n","event":"credential_deleted","event_description":"\u0000"}`, `{"notification_id":"n","event":null}`, `"x"`} {
		if _, err := DecodeNotification([]byte(bad)); oauth.CodeOf(err) != oauth.InvalidNotificationRequest {
			t.Fatalf("%s: %v", bad, err)
		}
	}
}

func FuzzDecodeCredentialRequest(f *testing.F) {
	f.Add([]byte(good), true)
	f.Add([]byte(`{"credential_identifier":"a","proofs":{"di_vp":[{"a":[{}]}]}}`), false)
	_, offered := encryption(f)
	f.Fuzz(func(t *testing.T, body []byte, encrypted bool) {
		c, err := DecodeCredentialRequest(body, RequestLimits{BatchSize: 3, Encryption: offered, Encrypted: encrypted})
		if err != nil {
			if e := oauth.AsError(err); e.Code == oauth.ServerError || !cmp.Equal(c, CredentialRequest{}) {
				t.Fatalf("%+v, %v", c, err)
			}
			return
		}
		if (c.CredentialIdentifier == "") == (c.CredentialConfigurationID == "") || c.Proofs.Len() < 1 || c.Proofs.Len() > 3 {
			t.Fatalf("%+v", c)
		}
		if c.ResponseEncryption != nil && !encrypted {
			t.Fatal("response key taken from an unencrypted request")
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeCredentialRequest(again, RequestLimits{BatchSize: 3, Encryption: offered, Encrypted: encrypted, Bytes: len(again)}); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func FuzzDecodeAnswers(f *testing.F) {
	f.Add([]byte(`{"credentials":[{"credential":"a"}]}`))
	f.Add([]byte(`{"notification_id":"n","event":"credential_accepted"}`))
	f.Add([]byte(`{"access_token":"t","token_type":"Bearer"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, err := DecodeCredentialResponse(body, 2); err == nil && (len(r.Credentials) > 2 || (len(r.Credentials) == 0) == (r.TransactionID == "")) {
			t.Fatalf("%+v", r)
		}
		if n, err := DecodeNotification(body); err == nil && n.NotificationID == "" {
			t.Fatalf("%+v", n)
		}
		if d, err := DecodeDeferredRequest(body, RequestLimits{}); err == nil && d.TransactionID == "" {
			t.Fatalf("%+v", d)
		}
		if r, err := DecodeTokenResponse(body); err == nil && r.AccessToken == "" {
			t.Fatalf("%+v", r)
		}
	})
}
