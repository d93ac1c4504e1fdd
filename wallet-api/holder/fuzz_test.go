package holder

import (
	"strings"
	"testing"
	"unicode"

	"github.com/dojang-id/dojang/internal/httpd"
	"github.com/dojang-id/dojang/registry"
)

// FuzzPointer: an error gives nothing; what is accepted names a key and a purpose in full.
func FuzzPointer(f *testing.F) {
	for _, seed := range []string{
		`{"kid":"did:dojang:demo:Shop1#k","purpose":"adult-check"}`, `{"kid":"did:dojang:demo:Shop1","purpose":"adult-check"}`, `{"kid":"","purpose":""}`,
		`{"kid":"did:dojang:demo:Shop1#k","kid":"did:dojang:demo:Shop2#k","purpose":"a"}`, `{"KID":"did:dojang:demo:Shop1#k"}`, `[]`, `null`, `"x"`, `{`,
		`{"kid":"did:dojang:demo:Shop1#k","purpose":"a/b"}`, strings.Repeat(" ", 2000) + `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePointer(data)
		if err != nil {
			if p != (pointer{}) {
				t.Fatalf("an error and %+v", p)
			}
			return
		}
		did, fragment, err := registry.ParseDIDURL(p.Kid)
		if err != nil || did != p.did || fragment == "" || p.Purpose == "" || strings.ContainsAny(p.Purpose, "/\\ \x00") || len(data) > maxPointer {
			t.Fatalf("accepted %+v", p)
		}
	})
}

// FuzzWireError: whatever the other side answers, what we repeat is a code.
func FuzzWireError(f *testing.F) {
	for _, seed := range []string{`{"error":"invalid_grant"}`, `{"error":"\u001b[2J"}`, `{"error":1}`, `{"error":"a","error":"b"}`, ``, `{"error":"` + strings.Repeat("a", 99) + `"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := wireError(&httpd.Response{Status: 400, Body: body})
		if s != "status 400" && (s == "" || len(s) >= 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") != "") {
			t.Fatalf("%q", s)
		}
	})
}

// FuzzPrintable: what a stranger calls himself stays on its line and in its direction.
func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"가온구청", "\x1b[31mred", "a\u202eb", "\u200b", "a\nb", "\xff", strings.Repeat("가", 400)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := []rune(printable(s))
		if len(out) > maxShown {
			t.Fatalf("%d characters", len(out))
		}
		for _, r := range out {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
				t.Fatalf("%q", r)
			}
		}
	})
}
