package oauth

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const formType = "application/x-www-form-urlencoded"

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestParseForm(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		status                  int // 0: accepted
	}{
		{"plain", formType, "a=1&b=%ED%95%9C", 0},
		{"charset", formType + "; charset=UTF-8", "a=1", 0},
		{"empty body", formType, "", 0},
		{"empty value is absent", formType, "a=&b=1", 0},
		{"unknown name", formType, "zzz=1", 0},
		{"empty pair", formType, "a=1&&b=2", 0},
		{"json", "application/json", "{}", 415},
		{"multipart", "multipart/form-data; boundary=x", "--x--", 415},
		{"no type", "", "a=1", 415},
		{"latin charset", formType + "; charset=latin1", "a=1", 415},
		{"twice", formType, "a=1&a=1", 400},
		{"twice, escaped", formType, "a=1&%61=2", 400},
		{"twice, first empty", formType, "a=&a=2", 400},
		{"bad escape", formType, "a=%zz", 400},
		{"bad escape in name", formType, "%z=1", 400},
		{"semicolon", formType, "a=1;b=2", 400},
		{"invalid UTF-8", formType, "a=%ff%fe", 400},
		{"no name", formType, "=1", 400},
		{"long name", formType, strings.Repeat("a", 129) + "=1", 400},
		{"65 fields", formType, strings.Repeat("&", 64) + "a=1", 400},
		{"large", formType, "a=" + strings.Repeat("x", defaultFormBody), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseForm(post(tt.contentType, tt.body), FormLimits{})
			if tt.status == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if e := AsError(err); e.Code != InvalidRequest || e.Status() != tt.status || f.Len() != 0 {
				t.Fatalf("got %v (%d)", err, e.Status())
			}
		})
	}
}

func TestParseFormUnknownLength(t *testing.T) {
	r := post(formType, "")
	r.ContentLength = -1
	r.Body = io.NopCloser(io.LimitReader(endless{}, 50<<20))
	_, err := ParseForm(r, FormLimits{Body: 1 << 10})
	if AsError(err).Status() != http.StatusRequestEntityTooLarge {
		t.Fatal(err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestParseTokenRequest(t *testing.T) {
	tests := []struct {
		name, body string
		want       Code
	}{
		{"B10 unknown grant type", "grant_type=magic", UnsupportedGrantType},
		{"B10 password", "grant_type=password&username=a&password=b", UnsupportedGrantType},
		{"B10 duplicated parameter", "grant_type=" + url.QueryEscape(GrantPreAuthorizedCode) + "&code=a&code=b", InvalidRequest},
		{"case matters", "grant_type=Authorization_Code", UnsupportedGrantType},
		{"missing", "code=1", InvalidRequest},
		{"offered", "grant_type=authorization_code&code=abc", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseForm(post(formType, tt.body), FormLimits{})
			if err == nil {
				_, err = ParseTokenRequest(f, GrantPreAuthorizedCode, GrantAuthorizationCode)
			}
			if CodeOf(err) != tt.want {
				t.Fatalf("got %v, want %s", err, tt.want)
			}
			if err != nil && AsError(err).Status() != 400 {
				t.Fatalf("status %d", AsError(err).Status())
			}
		})
	}
}

func FuzzDecodeForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "%61=1&a=2", "a", "&&&", "=", "a=%", "a=%ff", "a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		form, err := DecodeForm(raw, FormLimits{})
		std, stdErr := url.ParseQuery(raw)
		if err != nil {
			if form.Len() != 0 {
				t.Fatal("values beside an error")
			}
			return
		}
		// Whatever is accepted, the standard library reads the same way.
		if stdErr != nil {
			t.Fatalf("accepted what net/url refuses: %v", stdErr)
		}
		for name, values := range std {
			if len(values) != 1 || form.Get(name) != values[0] {
				t.Fatalf("%q: %q against %q", name, form.Get(name), values)
			}
		}
	})
}
