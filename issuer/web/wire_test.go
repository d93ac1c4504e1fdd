package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/issuer/issuertest"
)

// TestWireErrors: what the middleware refuses at an endpoint of OAuth or OpenID4VCI has the shape of that protocol too.
func TestWireErrors(t *testing.T) {
	k := start(t, plenty(issuertest.KitConfig{}))
	for path, code := range map[string]string{
		"token": "invalid_request", "nonce": "invalid_request", "challenge": "invalid_request",
		"credential": "invalid_credential_request", "notification": "invalid_notification_request",
	} {
		for _, row := range []struct {
			name, method string
			body         string
			status       int
		}{
			{"GET", "GET", "", 405},
			{"PUT", "PUT", "", 405},
			{"DELETE", "DELETE", "", 405},
			{"too large", "POST", strings.Repeat("x", 300<<10), 413},
		} {
			t.Run(path+" "+row.name, func(t *testing.T) {
				unchanged(t, k, func() {
					a, err := k.Do(row.method, k.URL+"/gaon/"+path, http.Header{"Content-Type": {"application/json"}}, []byte(row.body))
					want(t, a, err, row.status, code)
					if got := a.Header.Get("Content-Type"); got != "application/json" {
						t.Errorf("content type %q", got)
					}
					if allow := a.Header.Get("Allow"); row.status == 405 && allow != "OPTIONS, POST" {
						t.Errorf("Allow %q", allow)
					}
				})
			})
		}
	}
}
