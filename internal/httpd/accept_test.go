package httpd_test

import (
	"testing"

	"github.com/dojang-id/dojang/internal/httpd"
)

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct {
		accept []string
		want   string
	}{
		{nil, "a/x"}, {[]string{""}, ""}, {[]string{"*/*"}, "a/x"}, {[]string{"a/*;q=0.5, a/y"}, "a/y"}, {[]string{"a/y", "a/x;q=0.9"}, "a/y"},
		{[]string{"text/html"}, ""}, {[]string{"a/x;q=0, */*"}, "a/y"}, {[]string{"a/x;q=2"}, ""}, {[]string{"a/x;q=0"}, ""}, {[]string{"a/y;q=x, a/x"}, "a/x"},
	} {
		got, ok := httpd.Negotiate(tt.accept, "a/x", "a/y")
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%q: %q %v, want %q", tt.accept, got, ok, tt.want)
		}
	}
}

func FuzzNegotiate(f *testing.F) {
	f.Add("a/x;q=0.1, */*;q=0.2")
	f.Fuzz(func(t *testing.T, accept string) {
		if got, ok := httpd.Negotiate([]string{accept}, "a/x", "a/y"); ok != (got == "a/x" || got == "a/y") {
			t.Fatalf("%q %v", got, ok)
		}
	})
}
