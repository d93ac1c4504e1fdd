package oid4vp

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// vector reads a file of ../shared/vectors/openid4vp-examples beside the repository.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	root := filepath.Join(dir, "..", "shared", "vectors")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("../shared/vectors is absent")
		}
		t.Skip("../shared/vectors is absent")
	}
	data, err := os.ReadFile(filepath.Join(root, "openid4vp-examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSpecificationQueries(t *testing.T) {
	for _, name := range []string{"query_lang/claims_alternatives.json", "query_lang/complex_mdoc.json", "query_lang/credentials_alternatives.json",
		"query_lang/multi_credentials.json", "query_lang/simple.json", "query_lang/simple_mdoc.json", "query_lang/value_matching_simple.json",
		"request/dcql_jwt_vc.json", "request/dcql_ldp_vc.json"} {
		t.Run(name, func(t *testing.T) {
			q, err := ParseQuery(vector(t, name))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := json.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseQuery(raw); err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
		})
	}
}

func TestSpecificationValueMatching(t *testing.T) {
	q, err := ParseQuery(vector(t, "query_lang/value_matching_simple.json"))
	if err != nil {
		t.Fatal(err)
	}
	doe := map[string]any{"family_name": "Doe", "given_name": "John", "postal_code": "90210", "address": map[string]any{"street_address": "1 Main St"}}
	card := Credential{Format: FormatSDJWTVC, Types: []string{"https://credentials.example.com/identity_credential"}, HolderBound: true, Claims: doe}
	got, err := q.Choose([]Credential{card}, false)
	if err != nil || len(got) != 1 || len(got[0].Disclose) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	doe["postal_code"] = "10115"
	if got, err := q.Choose([]Credential{card}, false); err == nil {
		t.Fatalf("%+v", got)
	}
}

func TestSpecificationClientMetadata(t *testing.T) {
	for _, name := range []string{"mso_mdoc", "sd_jwt_vc", "w3c_jwt", "w3c_ldp"} {
		var m ClientMetadata
		if err := json.Unmarshal(vector(t, "client_metadata/"+name+"_verifier_metadata.json"), &m); err != nil || len(m.VPFormats) != 1 {
			t.Fatalf("%s: %+v, %v", name, m, err)
		}
	}
}

// The values of OpenID4VP 1.0 B.2.6.1.
func TestSpecificationHandover(t *testing.T) {
	key, err := keys.ParseJWK([]byte(`{"kty":"EC","crv":"P-256","x":"DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0","y":"XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc"}`))
	if err != nil {
		t.Fatal(err)
	}
	thumbprint := key.ThumbprintBytes()
	h := Handover{ClientID: "x509_san_dns:example.com", Nonce: "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA",
		Thumbprint: thumbprint[:], ResponseURI: "https://example.com/response"}
	const want = "83f6f682714f70656e494434565048616e646f7665725820048bc053c00442af9b8eed494cefdd9d95240d254b046b11b68013722aad38ac"
	got, err := h.SessionTranscript()
	if err != nil || hex.EncodeToString(got) != want {
		t.Fatalf("%x, %v", got, err)
	}
	h.Thumbprint = nil
	if plain, err := h.SessionTranscript(); err != nil || hex.EncodeToString(plain) == want {
		t.Fatalf("%x, %v", plain, err)
	}
}

// The encrypted response of OpenID4VP 1.0 8.3, with the private key that stands beside it.
func TestSpecificationEncryptedResponse(t *testing.T) {
	key, err := keys.ParseEncryptionKey([]byte(`{"kty":"EC","kid":"ac","use":"enc","crv":"P-256","alg":"ECDH-ES",` +
		`"x":"YO4epjifD-KWeq1sL2tNmm36BhXnkJ0He-WqMYrp9Fk","y":"Hekpm0zfK7C-YccH5iBjcIXgf6YdUvNUac_0At55Okk",` +
		`"d":"Et-3ce0omz8_TuZ96Df9lp0GAaaDoUnDe6X-CRO7Aww"}`))
	if err != nil {
		t.Fatal(err)
	}
	const jwe = "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTEyOEdDTSIsImtpZCI6ImFjIiwiZXBrIjp7Imt0eSI6IkVDIiwieCI6Im5ubVZwbTNWM2piaGNhZlFhUkJrU1ZOSGx3Wkh3dC05ck9wSnVmeVlJdWsiLCJ5I" +
		"joicjRmakRxd0p5czlxVU9QLV9iM21SNVNaRy0tQ3dPMm1pYzVWU05UWU45ZyIsImNydiI6IlAtMjU2In19..uAYcHRUSSn2X0WPX.yVzlGSYG4qbg0bq18JcUiDRw56yVnbKR8E7S7YlEtzT00RqE3Pw5oTpUG3hdLN" +
		"4taHZ9gC1kwak8JOnJgQ.1wR024_3-qtAlx1oFIUpQQ"
	f, err := oauth.DecodeForm("response="+jwe, ResponseLimits())
	if err != nil {
		t.Fatal(err)
	}
	q := Query{Credentials: []CredentialQuery{{ID: "example_credential_id", Format: FormatSDJWTVC}}}
	r, err := DecodeResponse(f, ResponseExpect{Mode: ModeDirectPostJWT, Key: key, Query: q})
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := PresentationString(r.VPToken["example_credential_id"][0]); s != "eyJhb...YMetA" || !r.Encrypted || r.Header.Kid != "ac" {
		t.Fatalf("%+v", r)
	}
	if _, kid := StateOf(f); kid != "ac" {
		t.Fatalf("kid %q", kid)
	}
}

// transaction_data_hashes of the specification's key binding example cannot be recomputed (its input is not published);
// the rule itself is tested with a value computed by another program.
func TestHashIsOverTheEncodedString(t *testing.T) {
	raw := EncodeTransactionData([]byte(`{"type":"t","credential_ids":["a"]}`))
	p, err := Hash([]TransactionData{{Raw: raw}})
	if err != nil || p.Hashes[0] != "9mPQfEgbxGvQGLuKFFoD2pitlCL2X0wRFKGyTzIVfhk" {
		t.Fatalf("%+v, %v", p, err)
	}
}
