package web_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/aries"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
	"github.com/dojang-id/dojang/registry/registrytest"
)

const vct = "urn:dojang:kr:resident-id:1"

type answer struct {
	status int
	header http.Header
	body   []byte
}

func get(t *testing.T, url, accept string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	return send(t, req)
}

func send(t *testing.T, req *http.Request) answer {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

func TestResolution(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Validate: aries.ValidateDocument})
	key := registrytest.NewKey(t, "")
	c := r.CreateDID(t, []registry.NewKey{{ID: "issue-1", Use: registry.UseAssertion, Key: key.Public}},
		[]registry.Service{{ID: "lists", Type: "StatusListPublisher", Endpoint: "http://localhost:9/gaon/status"}})
	created := time.Now()
	gone := r.CreateDID(t, nil, nil)
	r.Change(t, gone, &registry.DeactivateBody{})
	time.Sleep(1100 * time.Millisecond) // versionTime counts whole seconds
	second := registrytest.NewKey(t, "")
	r.Update(t, c, &registry.UpdateBody{Keys: []registry.NewKey{{ID: "issue-2", Use: registry.UseAssertion, Key: second.Public}}})
	base := r.URL + "/1.0/identifiers/"
	did := string(c.DID)

	for _, tt := range []struct {
		name, path, accept string
		status             int
		media, contains    string
	}{
		{"newest", did, "", 200, "application/did-resolution", "#issue-2"},
		{"newest by media type", did, "application/did-resolution", 200, "application/did-resolution", `"versionId":"1"`},
		{"document alone", did, "application/did+ld+json", 200, "application/did+ld+json", `"id":"` + did + `"`},
		{"document by general type", did, "application/did", 200, "application/did", "JsonWebKey2020"},
		{"older client", did, `application/ld+json;profile="https://w3id.org/did-resolution"`, 200, "application/ld+json", "didDocumentMetadata"},
		{"anything", did, "*/*", 200, "application/did-resolution", "didDocument"},
		{"percent-encoded", strings.ReplaceAll(did, ":", "%3A"), "", 200, "application/did-resolution", "#issue-2"},
		{"percent-encoded twice", strings.ReplaceAll(did, ":", "%253A"), "", 400, "application/did-resolution", "INVALID_DID"},
		{"first version", did + "?versionId=0", "", 200, "application/did-resolution", `"nextVersionId":"1"`},
		{"version in time", did + "?versionTime=" + created.UTC().Add(time.Second).Format(time.RFC3339), "", 200, "application/did-resolution", `"versionId":"0"`},
		{"before it was", did + "?versionTime=2020-01-01T00:00:00Z", "", 404, "application/did-resolution", "NOT_FOUND"},
		{"version that never was", did + "?versionId=7", "", 404, "application/did-resolution", "NOT_FOUND"},
		{"both versions", did + "?versionId=0&versionTime=2020-01-01T00:00:00Z", "", 400, "application/did-resolution", "INVALID_OPTIONS"},
		{"time without zone", did + "?versionTime=2020-01-01T00:00:00", "", 400, "application/did-resolution", "INVALID_OPTIONS"},
		{"unknown option", did + "?noCache=true", "", 400, "application/did-resolution", "INVALID_OPTIONS"},
		{"doubled option", did + "?versionId=0&versionId=1", "", 400, "application/did-resolution", "INVALID_OPTIONS"},
		{"malformed", "did:dojang:local:0OIl", "", 400, "application/did-resolution", "INVALID_DID"},
		{"no DID at all", "hello", "", 400, "application/did-resolution", "INVALID_DID"},
		{"absent", "did:dojang:local:QmNobody", "", 404, "application/did-resolution", "NOT_FOUND"},
		{"absent, document asked", "did:dojang:local:QmNobody", "application/did", 404, "application/did-resolution", "NOT_FOUND"},
		{"representation", did, "text/html", 406, "application/did-resolution", "REPRESENTATION_NOT_SUPPORTED"},
		{"deactivated", string(gone.DID), "", 410, "application/did-resolution", `"deactivated":true`},
		{"other method", "did:web:example.com", "", 501, "application/did-resolution", "METHOD_NOT_SUPPORTED"},
		{"other network", "did:dojang:main:QmNobody", "", 501, "application/did-resolution", "METHOD_NOT_SUPPORTED"},
		{"unknown service", did + "?service=hub", "", 404, "application/did-resolution", "NOT_FOUND"},
		{"relative reference without service", did + "?relativeRef=/x", "", 400, "application/did-resolution", "INVALID_OPTIONS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := get(t, base+tt.path, tt.accept)
			if a.status != tt.status || a.header.Get("Content-Type") != tt.media || !strings.Contains(string(a.body), tt.contains) {
				t.Fatalf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
			}
			if tt.media != "application/did-resolution" || tt.status == 200 {
				return
			}
			var res struct {
				Metadata struct {
					Error struct {
						Type  string `json:"type"`
						Title string `json:"title"`
					} `json:"error"`
				} `json:"didResolutionMetadata"`
			}
			if err := json.Unmarshal(a.body, &res); err != nil {
				t.Fatal(err)
			}
			if tt.status != 410 && (!strings.HasPrefix(res.Metadata.Error.Type, "https://www.w3.org/ns/did#") || res.Metadata.Error.Title == "") {
				t.Fatalf("error is no object with a type: %s", a.body)
			}
		})
	}
	t.Run("service endpoint", func(t *testing.T) {
		a := get(t, base+did+"?service=lists", "")
		if a.status != 303 || a.header.Get("Location") != "http://localhost:9/gaon/status" {
			t.Fatalf("%d to %q", a.status, a.header.Get("Location"))
		}
		if a = get(t, base+did+"?service=lists&relativeRef="+url.QueryEscape("/records"), ""); a.header.Get("Location") != "http://localhost:9/records" {
			t.Fatalf("relative reference to %q", a.header.Get("Location"))
		}
		for _, ref := range []string{"//evil.example/x", "https://evil.example", "javascript:alert(1)"} {
			if a = get(t, base+did+"?service=lists&relativeRef="+url.QueryEscape(ref), ""); a.status != 400 {
				t.Fatalf("%s: %d to %q", ref, a.status, a.header.Get("Location"))
			}
		}
	})
	t.Run("did:web alias", func(t *testing.T) {
		a := get(t, r.StatusURL+"/did/"+c.DID.ID()+"/did.json", "")
		if a.status != 200 || a.header.Get("Content-Type") != "application/did+ld+json" {
			t.Fatalf("%d %s", a.status, a.header.Get("Content-Type"))
		}
		if err := aries.ValidateDocument(a.body); err != nil {
			t.Fatal(err)
		}
		alias := "did:web:" + strings.ReplaceAll(strings.TrimPrefix(r.StatusURL, "http://"), ":", "%3A") + ":did:" + c.DID.ID()
		var doc struct {
			ID      string   `json:"id"`
			Also    []string `json:"alsoKnownAs"`
			Methods []struct {
				ID         string         `json:"id"`
				Controller string         `json:"controller"`
				JWK        jsontext.Value `json:"publicKeyJwk"`
			} `json:"verificationMethod"`
			Assertion []string `json:"assertionMethod"`
		}
		if err := json.Unmarshal(a.body, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.ID != alias || len(doc.Also) != 1 || doc.Also[0] != did || len(doc.Methods) != 2 || len(doc.Assertion) != 2 {
			t.Fatalf("%s", a.body)
		}
		for i, m := range doc.Methods {
			if !strings.HasPrefix(m.ID, alias+"#") || m.Controller != alias || doc.Assertion[i] != m.ID {
				t.Fatalf("%s", a.body)
			}
		}
		if want, err := key.Public.JWK(); err != nil || string(doc.Methods[0].JWK) != string(want) {
			t.Fatalf("another key: %s", doc.Methods[0].JWK)
		}
		for id, status := range map[string]int{gone.DID.ID(): 410, "QmNobody": 404, "0OIl": 404} {
			if a := get(t, r.StatusURL+"/did/"+id+"/did.json", ""); a.status != status {
				t.Errorf("%s: %d, not %d", id, a.status, status)
			}
		}
	})
	t.Run("open to scripts of every origin", func(t *testing.T) {
		if got := get(t, base+did, "").header.Get("Access-Control-Allow-Origin"); got != "*" {
			t.Fatalf("Access-Control-Allow-Origin %q", got)
		}
	})
}

func TestPublic(t *testing.T) {
	metadata := []byte(`{"vct":"` + vct + `"}`)
	r := registrytest.Start(t, registrytest.Options{Types: []node.TypeMetadata{{Name: "resident-id", VCT: vct, JSON: metadata},
		{Name: "youth-eligibility", VCT: "urn:dojang:kr:youth-eligibility:1", JSON: metadata}}})
	r.TypeDigest(t, vct, sha256.Sum256(metadata))
	r.TypeDigest(t, "urn:dojang:kr:youth-eligibility:1", [32]byte{1})
	c := r.CreateDID(t, nil, nil)
	did := url.QueryEscape(string(c.DID))

	for _, tt := range []struct {
		name, path string
		status     int
		media      string
	}{
		{"evidence", "/v1/evidence?did=" + did + "&kid=a&vct=" + vct + "&purpose=p&status=1", 200, light.TypeEvidence},
		{"evidence of nothing", "/v1/evidence", 400, "application/problem+json"},
		{"evidence without a subject", "/v1/evidence?kid=a", 400, "application/problem+json"},
		{"evidence, unknown parameter", "/v1/evidence?did=" + did + "&kid=a&x=1", 400, "application/problem+json"},
		{"evidence, too many keys", "/v1/evidence?did=" + did + strings.Repeat("&kid=a", 17), 400, "application/problem+json"},
		{"evidence of another network", "/v1/evidence?did=did:dojang:main:Qm1&kid=a", 404, "application/problem+json"},
		{"evidence above the head", "/v1/evidence?did=" + did + "&kid=a&height=99999999", 425, "application/problem+json"},
		{"newest header", "/v1/headers/latest", 200, light.TypeLightBlock},
		{"first header", "/v1/headers/1", 200, light.TypeLightBlock},
		{"header to come", "/v1/headers/99999999", 425, "application/problem+json"},
		{"no header", "/v1/headers/zero", 400, "application/problem+json"},
		{"unknown list", "/v1/status?uri=http://localhost/x/1", 404, "application/problem+json"},
		{"type metadata", "/type-metadata/resident-id", 200, "application/json"},
		{"type metadata that the chain contradicts", "/type-metadata/youth-eligibility", 404, "application/problem+json"},
		{"unknown type", "/type-metadata/x", 404, "application/problem+json"},
		{"operation, malformed hash", "/v1/operations/12", 400, "application/problem+json"},
		{"operation that never was", "/v1/operations/1220" + strings.Repeat("00", 32), 200, light.TypeEvidence},
		{"genesis", "/v1/genesis", 200, "application/json"},
		{"health", "/v1/health", 200, "application/json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := get(t, r.URL+tt.path, "")
			if a.status != tt.status || a.header.Get("Content-Type") != tt.media {
				t.Fatalf("%d %s %s", a.status, a.header.Get("Content-Type"), a.body)
			}
		})
	}
	post := func(t *testing.T, media string, body []byte) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL+"/v1/operations", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", media)
		return send(t, req)
	}
	t.Run("submission", func(t *testing.T) {
		for _, tt := range []struct {
			name, media string
			body        []byte
			status      int
		}{
			{"other media type", "application/json", []byte("[]"), 415},
			{"not CBOR", light.TypeOperations, []byte("hello"), 400},
			{"none", light.TypeOperations, []byte{0x80}, 400},
			{"not an operation", light.TypeOperations, []byte{0x81, 0x41, 0x00}, 400},
			{"trailing bytes", light.TypeOperations, []byte{0x81, 0x41, 0x00, 0x00}, 400},
			{"too large", light.TypeOperations, make([]byte, light.MaxSubmission+8192), 413},
		} {
			if a := post(t, tt.media, tt.body); a.status != tt.status || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			}
		}
	})
	t.Run("problems say nothing about the request", func(t *testing.T) {
		if a := get(t, r.URL+"/v1/evidence?secret-canary=1", ""); strings.Contains(string(a.body), "canary") {
			t.Fatalf("echo: %s", a.body)
		}
	})
	t.Run("management needs a token", func(t *testing.T) {
		if a := get(t, r.URL+"/v1/node", ""); a.status != 404 {
			t.Fatalf("management on the public listener: %d", a.status)
		}
	})
}

// TestDown: with the engine stopped the public face says so, and published lists are still served (statushost_test.go).
func TestDown(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	if err := r.Node.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"/v1/health": 503, "/v1/headers/latest": 503, "/v1/evidence?type=" + vct: 503} {
		if a := get(t, r.URL+path, ""); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
