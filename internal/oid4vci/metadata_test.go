package oid4vci

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/oid4vp"
)

func goodMetadata() Metadata {
	const issuer = "http://localhost:4000/gaon"
	return Metadata{
		CredentialIssuer: issuer, CredentialEndpoint: issuer + "/credential", NonceEndpoint: issuer + "/nonce",
		BatchIssuance: &BatchIssuance{BatchSize: 10},
		Display:       []Display{{Name: "가온시", Locale: "ko"}, {Name: "Gaon City", Locale: "en"}},
		Configurations: map[string]Configuration{
			"resident-id_dc+sd-jwt": {
				Format: FormatSDJWTVC, VCT: "urn:dojang:kr:resident-id:1", SigningAlgs: []any{"ES256"}, BindingMethods: []string{"jwk"},
				ProofTypes: map[string]ProofType{ProofJWT: {SigningAlgs: []string{"ES256"}}},
				CredentialMetadata: &CredentialMetadata{
					Display: []Display{{Name: "모바일 주민등록증", Locale: "ko"}, {Name: "Resident ID", Locale: "en"}},
					Claims:  []ClaimDescription{{Path: oid4vp.Names("age_over", "19"), Mandatory: true, Display: []Display{{Name: "19세 이상", Locale: "ko"}}}},
				},
			},
			"resident-id_mso_mdoc": {
				Format: FormatMdoc, Doctype: "kr.dojang.residentid.1", SigningAlgs: []any{-7.0}, BindingMethods: []string{"cose_key"},
				ProofTypes: map[string]ProofType{ProofJWT: {SigningAlgs: []string{"ES256"}}},
			},
		},
	}
}

func TestMetadata(t *testing.T) {
	m := goodMetadata()
	if err := m.Validate(loopback); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMetadata(raw, m.CredentialIssuer, loopback)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got, cmp.AllowUnexported(oid4vp.Step{})); diff != "" {
		t.Fatal(diff)
	}
	for _, issuer := range []string{m.CredentialIssuer + "/", "http://localhost:4000/seoul", "http://LOCALHOST:4000/gaon", ""} {
		if _, err := DecodeMetadata(raw, issuer, loopback); err == nil {
			t.Fatalf("accepted as the metadata of %q", issuer)
		}
	}
	if _, err := DecodeMetadata(raw, m.CredentialIssuer, nil); err == nil {
		t.Fatal("plain http accepted without leave")
	}
}

func TestMetadataRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Metadata)
		decode bool // a wallet refuses it as well
	}{
		{"no endpoint", func(m *Metadata) { m.CredentialEndpoint = "" }, true},
		{"endpoint elsewhere over http", func(m *Metadata) { m.NonceEndpoint = "http://evil.example/nonce" }, true},
		{"endpoint is no URL", func(m *Metadata) { m.NotificationEndpoint = "javascript:x" }, true},
		{"authorization server over http", func(m *Metadata) { m.AuthorizationServers = []string{"http://evil.example"} }, true},
		{"no configurations", func(m *Metadata) { m.Configurations = nil }, false}, // encoded as {}
		{"batch of one", func(m *Metadata) { m.BatchIssuance.BatchSize = 1 }, false},
		{"language twice", func(m *Metadata) { m.Display[1].Locale = "ko" }, false},
		{"request encryption without keys", func(m *Metadata) { m.RequestEncryption = &RequestEncryption{Enc: []string{"A128GCM"}} }, false},
		{"response encryption without enc", func(m *Metadata) { m.ResponseEncryption = &ResponseEncryption{Alg: []string{"ECDH-ES"}} }, false},
		{"no vct", changeConfig(func(c *Configuration) { c.VCT = "" }), false},
		{"proofs without binding", changeConfig(func(c *Configuration) { c.BindingMethods = nil }), false},
		{"proof type without algorithm", changeConfig(func(c *Configuration) { c.ProofTypes = map[string]ProofType{"jwt": {}} }), false},
		{"claim without path", changeConfig(func(c *Configuration) { c.CredentialMetadata.Claims[0].Path = nil }), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := goodMetadata()
			tt.change(&m)
			if err := m.Validate(loopback); err == nil {
				t.Fatal("valid")
			}
			raw, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := DecodeMetadata(raw, m.CredentialIssuer, loopback); (err != nil) != tt.decode {
				t.Fatalf("decode: %v", err)
			}
		})
	}
}

func changeConfig(change func(*Configuration)) func(*Metadata) {
	return func(m *Metadata) {
		c := m.Configurations["resident-id_dc+sd-jwt"]
		change(&c)
		m.Configurations["resident-id_dc+sd-jwt"] = c
	}
}

func FuzzDecodeMetadata(f *testing.F) {
	raw, _ := json.Marshal(goodMetadata())
	f.Add(raw)
	f.Add([]byte(`{"credential_issuer":"https://i.example","credential_endpoint":"https://i.example/c","credential_configurations_supported":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMetadata(data, "https://i.example", loopback)
		if err == nil && m.CredentialIssuer != "https://i.example" {
			t.Fatal("another issuer's metadata")
		}
		_ = m.Validate(loopback)
	})
}
