package oauth

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func TestWriteError(t *testing.T) {
	secret := errors.New(`pq: row "010-1234" not found`)
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		header string // name of one more header
	}{
		{"plain", NewError(InvalidGrant, "code is unknown"), 400, `{"error":"invalid_grant","error_description":"code is unknown"}`, ""},
		{"no description", NewError(InvalidNonce, ""), 400, `{"error":"invalid_nonce"}`, ""},
		{"hidden parent", NewError(InvalidGrant, "").WithParent(secret), 400, `{"error":"invalid_grant"}`, ""},
		{"wrapped", fmt.Errorf("redeem: %w", NewError(InvalidClient, "")), 401, `{"error":"invalid_client"}`, ""},
		{"unknown", secret, 500, `{"error":"server_error","error_description":"internal error"}`, ""},
		{"charset", NewError(InvalidRequest, "a\"b\\c\r\nd\u00e9\u0000e"), 400, `{"error":"invalid_request","error_description":"abcde"}`, ""},
		{"header", NewError(UseDPoPNonce, "").WithHeader(HeaderDPoPNonce, "n1"), 400, `{"error":"use_dpop_nonce"}`, HeaderDPoPNonce},
		{"scope", NewError(InsufficientScope, ""), 403, `{"error":"insufficient_scope"}`, ""},
		{"too fast", NewError(SlowDown, ""), 429, `{"error":"slow_down"}`, ""},
		{"unavailable", NewError(TemporarilyUnavailable, ""), 503, `{"error":"temporarily_unavailable"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			sent := WriteError(w, tt.err)
			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Fatalf("got %d %s, want %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("headers %v", w.Header())
			}
			if tt.header != "" && w.Header().Get(tt.header) == "" {
				t.Fatalf("header %s is missing", tt.header)
			}
			if tt.err == secret && !errors.Is(sent, secret) {
				t.Fatal("the log lost the cause")
			}
		})
	}
}

func TestErrorCopies(t *testing.T) {
	base := NewError(UseDPoPNonce, "x")
	with := base.WithHeader("A", "1").WithHeader("B", "2").WithStatus(401)
	if base.header != nil || base.Status() != 400 || len(with.header) != 2 || with.Status() != 401 {
		t.Fatalf("base changed: %v, copy %v", base, with)
	}
	if !errors.Is(fmt.Errorf("w: %w", with), NewError(UseDPoPNonce, "")) || errors.Is(with, NewError(InvalidGrant, "")) {
		t.Fatal("Is does not go by code")
	}
	if CodeOf(nil) != "" || CodeOf(with) != UseDPoPNonce || CodeOf(errors.New("x")) != ServerError {
		t.Fatal("CodeOf")
	}
}

func TestWriteResourceError(t *testing.T) {
	w := httptest.NewRecorder()
	WriteResourceError(w, NewError(InvalidToken, ""), SchemeBearer)
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != `Bearer error="invalid_token"` {
		t.Fatalf("%d %q", w.Code, got)
	}
	w = httptest.NewRecorder()
	WriteResourceError(w, NewError(InvalidProof, ""), SchemeBearer)
	if w.Code != 400 || w.Header().Get("WWW-Authenticate") != "" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
}

func FuzzDescription(f *testing.F) {
	f.Add("plain")
	f.Add("q\"uote\\ \x7f\xff é")
	f.Fuzz(func(t *testing.T, s string) {
		d := NewError(InvalidRequest, s).Description
		if strings.ContainsAny(d, "\"\\") || strings.ContainsFunc(d, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			t.Fatalf("%q", d)
		}
		if _, err := json.Marshal(NewError(InvalidRequest, s)); err != nil {
			t.Fatal(err)
		}
	})
}
