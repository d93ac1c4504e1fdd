package aries

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const did = "did:dojang:demo:QmExample"

func document(id string, extra string) string {
	return fmt.Sprintf(`{"@context":["https://www.w3.org/ns/did/v1","https://w3id.org/security/suites/jws-2020/v1"],"id":%q,
"verificationMethod":[{"id":"%s#issue-1","type":"JsonWebKey2020","controller":%q,"publicKeyJwk":{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}}],
"assertionMethod":["%s#issue-1"]%s}`, id, id, id, id, extra)
}

func TestResolve(t *testing.T) {
	r, err := New(Config{Method: "dojang", Resolve: func(_ context.Context, d string) ([]byte, error) {
		switch d {
		case did:
			return []byte(document(did, "")), nil
		case "did:dojang:demo:QmOther":
			return []byte(document(did, "")), nil
		}
		return nil, fmt.Errorf("registry: %w", ErrNotFound)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, did string
		want      error
		contains  string
	}{
		{"our method", did, nil, did + "#issue-1"},
		{"did:key Ed25519", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", nil, "Ed25519"},
		{"did:key P-256", "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169", nil, "did:key:zDna"},
		{"absent", "did:dojang:demo:QmNobody", ErrNotFound, ""},
		{"document of another DID", "did:dojang:demo:QmOther", ErrDocument, ""},
		{"no such method", "did:example:1", ErrMethod, ""},
		{"did:web without a client", "did:web:localhost", ErrMethod, ""},
		{"no other method is asked for a DID that ours denies", "did:dojang:demo:QmAlias", ErrNotFound, ""},
		{"not a DID", "hello", ErrMethod, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := r.Resolve(t.Context(), tt.did)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && !strings.Contains(string(got), tt.contains) {
				t.Fatalf("document lacks %s: %s", tt.contains, got)
			}
			if tt.want != nil && got != nil {
				t.Fatal("an error came with a document")
			}
		})
	}
}

func TestResolveWeb(t *testing.T) {
	var body string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
	defer srv.Close()
	name := "did:web:" + strings.ReplaceAll(strings.TrimPrefix(srv.URL, "https://"), ":", "%3A")
	r, err := New(Config{Method: "dojang", HTTP: srv.Client(),
		Resolve: func(context.Context, string) ([]byte, error) { return nil, ErrNotFound }})
	if err != nil {
		t.Fatal(err)
	}
	body = document(name, "")
	if _, err := r.Resolve(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	body = document(did, "")
	if _, err := r.Resolve(t.Context(), name); !errors.Is(err, ErrDocument) {
		t.Fatalf("document of another DID: %v", err)
	}
	body = document(name, "") + strings.Repeat(" ", MaxDocument)
	if _, err := r.Resolve(t.Context(), name); err == nil {
		t.Fatal("a document above the limit was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Resolve(ctx, name); err == nil {
		t.Fatal("a cancelled context did not end the request")
	}
}

func TestValidateDocument(t *testing.T) {
	key := func(id, controller string) string {
		return fmt.Sprintf(`{"id":%q,"type":"JsonWebKey2020","controller":%q,"publicKeyJwk":{"kty":"EC","crv":"P-256",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}}`, id, controller)
	}
	with := func(keys ...string) string {
		return fmt.Sprintf(`{"@context":["https://www.w3.org/ns/did/v1"],"id":%q,"verificationMethod":[%s]}`, did, strings.Join(keys, ","))
	}
	for _, tt := range []struct {
		name, doc string
		ok        bool
	}{
		{"ours", document(did, ""), true},
		{"with a service", document(did, `,"service":[{"id":"`+did+`#lists","type":"StatusListPublisher","serviceEndpoint":"http://localhost:1/x"}]`), true},
		{"key of another DID", with(key("did:dojang:demo:QmOther#a", did)), false},
		{"foreign controller", with(key(did+"#a", "did:dojang:demo:QmOther")), false},
		{"the same id twice", with(key(did+"#a", did), key(did+"#a", did)), false},
		{"no id", `{"@context":["https://www.w3.org/ns/did/v1"]}`, false},
		{"not JSON", `{`, false},
		{"too large", document(did, "") + strings.Repeat(" ", MaxDocument), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := ValidateDocument([]byte(tt.doc))
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrDocument) {
				t.Fatalf("got %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func FuzzValidateDocument(f *testing.F) {
	f.Add([]byte(document(did, "")))
	f.Add([]byte(`{"id":"did:x:y"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		if err := ValidateDocument(doc); err != nil && !errors.Is(err, ErrDocument) {
			t.Fatalf("another error: %v", err)
		}
	})
}
