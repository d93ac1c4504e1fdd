package web_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/registrytest"
	"github.com/dojang-id/dojang/registry/web"
)

// One address cannot use up what the member pays for: its share comes back with time, and other addresses have theirs.
func TestSubmissionsOfOneAddress(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	now := time.Now()
	s, err := web.New(web.Config{Node: r.Node, StatusURL: r.StatusURL, PerAddress: 10, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	post := func(from string, operations int) *httptest.ResponseRecorder {
		t.Helper()
		bad := make([][]byte, operations) // refused by the parser, which costs the address all the same
		for i := range bad {
			bad[i] = []byte{0}
		}
		body, err := light.EncodeOperations(bad)
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/operations", bytes.NewReader(body))
		req.Header.Set("Content-Type", light.TypeOperations)
		req.RemoteAddr = from
		w := httptest.NewRecorder()
		s.Public().ServeHTTP(w, req)
		return w
	}
	for _, step := range []struct {
		name       string
		from       string
		operations int
		wait       time.Duration
		status     int
		retry      string
	}{
		{"H25 a burst", "192.0.2.1:1", 100, 0, http.StatusBadRequest, ""},
		{"H25 one more", "192.0.2.1:2", 1, 0, http.StatusTooManyRequests, "1"},
		{"H25 many more", "192.0.2.1:2", 55, 0, http.StatusTooManyRequests, "6"},
		{"another address", "192.0.2.2:1", 100, 0, http.StatusBadRequest, ""},
		{"a little later", "192.0.2.1:1", 10, time.Second, http.StatusBadRequest, ""},
		{"and no more than that", "192.0.2.1:1", 1, 0, http.StatusTooManyRequests, "1"},
	} {
		t.Run(step.name, func(t *testing.T) {
			now = now.Add(step.wait)
			w := post(step.from, step.operations)
			if w.Code != step.status || w.Header().Get("Retry-After") != step.retry {
				t.Errorf("%d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
			}
		})
	}
	if _, err := web.New(web.Config{Node: r.Node, StatusURL: r.StatusURL, PerAddress: 9}); err == nil {
		t.Error("a limit below one full submission")
	}
}
