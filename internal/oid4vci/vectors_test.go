package oid4vci

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/oauth"
)

// vector reads a file of ../shared/vectors/openid4vci-examples beside the repository; of an HTTP answer only the body.
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
	data, err := os.ReadFile(filepath.Join(root, "openid4vci-examples", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, body, ok := strings.Cut(string(data), "\n\n"); ok && strings.HasPrefix(string(data), "HTTP/") {
		return []byte(body)
	}
	return data
}

func TestSpecificationOffers(t *testing.T) {
	for _, name := range []string{"credential_offer_authz_code.txt", "credential_offer_by_reference.json",
		"credential_offer_multiple_credentials.json", "credential_offer_pre-authz_code.json"} {
		t.Run(name, func(t *testing.T) {
			o, err := DecodeOffer(vector(t, name), nil)
			if err != nil {
				t.Fatal(err)
			}
			if o.CredentialIssuer != "https://credential-issuer.example.com" || o.Grants == (Grants{}) {
				t.Fatalf("%+v", o)
			}
			link, err := OfferLink{Offer: &o}.URL(OfferScheme)
			if err != nil {
				t.Fatal(err)
			}
			back, err := ParseOfferLink(link, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, _ := json.Marshal(o)
			b, _ := json.Marshal(back.Offer)
			if string(a) != string(b) {
				t.Fatalf("%s became %s", a, b)
			}
		})
	}
	o, err := DecodeOffer(vector(t, "credential_offer_by_reference.json"), nil)
	if err != nil || o.Grants.PreAuthorizedCode.TxCode == nil {
		t.Fatal("an empty tx_code demands a transaction code")
	}
}

func TestSpecificationMetadata(t *testing.T) {
	const issuer = "https://credential-issuer.example.com"
	m, err := DecodeMetadata(vector(t, "credential_issuer_metadata_sd_jwt_long.json"), issuer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.BatchIssuance.BatchSize != 10 || m.RequestEncryption == nil || len(m.RequestEncryption.JWKS.Keys) != 1 || len(m.Display) != 2 {
		t.Fatalf("%+v", m)
	}
	if err := m.Validate(nil); err != nil {
		t.Fatal(err)
	}
	// Fragments of metadata: wrapped into a whole one.
	for _, name := range []string{"credential_metadata_sd_jwt_vc.json", "credential_metadata_mso_mdoc.json",
		"credential_metadata_jwt_vc_json.json", "credential_metadata_ldp_vc.json"} {
		t.Run(name, func(t *testing.T) {
			head := `{"credential_issuer":"` + issuer + `","credential_endpoint":"` + issuer + `/c",`
			whole := head + strings.TrimPrefix(strings.TrimSpace(string(vector(t, name))), "{")
			m, err := DecodeMetadata([]byte(whole), issuer, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range m.Configurations {
				if c.Format == "" || c.CredentialMetadata == nil || len(c.CredentialMetadata.Claims) == 0 {
					t.Fatalf("%+v", c)
				}
			}
		})
	}
}

func TestSpecificationAuthorizationDetails(t *testing.T) {
	for _, name := range []string{"authorization_details.json", "authorization_details_mso_doc.json", "authorization_details_sd_jwt_vc.json",
		"authorization_details_jwt_vc_json.json", "authorization_details_ldp_vc.json",
		"authorization_details_multiple_credentials.json", "authorization_details_with_as.json"} {
		t.Run(name, func(t *testing.T) {
			details, err := DecodeAuthorizationDetails(vector(t, name))
			if err != nil || details[0].CredentialConfigurationID == "" {
				t.Fatalf("%+v, %v", details, err)
			}
		})
	}
}

func TestSpecificationResponses(t *testing.T) {
	for _, name := range []string{"credential_response_mso_mdoc.txt", "credential_response_ldp_vc.txt",
		"credential_response_sd_jwt_vc.txt"} {
		t.Run(name, func(t *testing.T) {
			var body string // the files break long strings for display
			for line := range strings.SplitSeq(string(vector(t, name)), "\n") {
				body += strings.TrimSpace(line)
			}
			r, err := DecodeCredentialResponse([]byte(body), 1)
			if err != nil || len(r.Credentials) != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
		})
	}
	// This one is of an older draft: `format` and `doctype` instead of a name. It must be refused.
	_, err := DecodeCredentialRequest(vector(t, "credential_request_iso_mdl.json"), RequestLimits{})
	if oauth.CodeOf(err) != oauth.InvalidCredentialRequest {
		t.Fatalf("got %v", err)
	}
}
