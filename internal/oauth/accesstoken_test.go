package oauth

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

func TestParseAccessToken(t *testing.T) {
	tests := []struct {
		name   string
		target string
		header []string
		want   AccessToken
		code   Code
	}{
		{"bearer", "/c", []string{"Bearer abc.DEF-_~+/=="}, AccessToken{SchemeBearer, "abc.DEF-_~+/=="}, ""},
		{"dpop", "/c", []string{"DPoP abc"}, AccessToken{SchemeDPoP, "abc"}, ""},
		{"any case", "/c", []string{"BEARER abc"}, AccessToken{SchemeBearer, "abc"}, ""},
		{"none", "/c", nil, AccessToken{}, InvalidToken},
		{"two", "/c", []string{"Bearer a", "Bearer b"}, AccessToken{}, InvalidToken},
		{"list", "/c", []string{"Bearer a, Bearer b"}, AccessToken{}, InvalidToken},
		{"basic", "/c", []string{"Basic YTpi"}, AccessToken{}, InvalidToken},
		{"no token", "/c", []string{"Bearer "}, AccessToken{}, InvalidToken},
		{"two spaces", "/c", []string{"Bearer  a"}, AccessToken{}, InvalidToken},
		{"padding only", "/c", []string{"Bearer =="}, AccessToken{}, InvalidToken},
		{"inner padding", "/c", []string{"Bearer a=b"}, AccessToken{}, InvalidToken},
		{"B36 token in query", "/c?access_token=abc", nil, AccessToken{}, InvalidRequest},
		{"B36 token in query beside a good header", "/c?x=1&access_token=abc", []string{"Bearer abc"}, AccessToken{}, InvalidRequest},
		{"B36 token in query, escaped name", "/c?%61ccess_token=abc", []string{"Bearer abc"}, AccessToken{}, InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", tt.target, nil)
			for _, h := range tt.header {
				r.Header.Add("Authorization", h)
			}
			got, err := ParseAccessToken(r)
			if got != tt.want || CodeOf(err) != tt.code {
				t.Fatalf("got %+v, %v", got, err)
			}
			if tt.code == InvalidToken && AsError(err).Status() != 401 || tt.code == InvalidRequest && AsError(err).Status() != 400 {
				t.Fatalf("status %d", AsError(err).Status())
			}
		})
	}
	t.Run("B36 token in form body", func(t *testing.T) {
		r := post(formType, "access_token=abc")
		if got, err := ParseAccessToken(r); CodeOf(err) != InvalidToken || got.Token != "" {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}

func TestLargeHeaders(t *testing.T) {
	dots := strings.Repeat(".", 8<<20)
	r := httptest.NewRequest("POST", "/c", nil)
	r.Header["Authorization"] = []string{"Bearer " + dots}
	r.Header[http.CanonicalHeaderKey(HeaderDPoP)] = []string{dots}
	e := DPoPExpect{Method: "POST", URL: tokenURL, Now: now, AccessToken: "t", FirstUse: memory()}
	tests := []struct {
		name string
		call func() error
	}{
		{"A14 Authorization of 8 MiB dots", func() error { return second(ParseAccessToken(r)) }},
		{"A14 DPoP of 8 MiB dots", func() error { return second(VerifyDPoP(r.Header, e)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := tt.call()
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; AsError(err).Status() != 401 || n > 1<<20 {
				t.Fatalf("allocated %d bytes, %v", n, err)
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzParseAccessToken(f *testing.F) {
	f.Add("Bearer abc", "a=b")
	f.Add("DPoP =", "access_token=")
	f.Fuzz(func(t *testing.T, header, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{header}
		got, err := ParseAccessToken(r)
		if (err == nil) != (got.Token != "") {
			t.Fatalf("%+v, %v", got, err)
		}
		if err == nil && !strings.EqualFold(got.Header(), header) {
			t.Fatalf("%q read as %q", header, got.Header())
		}
	})
}
