package web_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/oid4vci"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

func TestNotification(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, url string) {
		k := start(t, plenty(issuertest.KitConfig{DB: url}))
		deliver := func(t *testing.T, person string) (issuertest.Flow, string) {
			t.Helper()
			f := must[issuertest.Flow](t)(k.Begin("gaon", "resident-id", person, 2))
			a := must[issuertest.Answer](t)(k.Credential(f))
			r, err := oid4vci.DecodeCredentialResponse(a.Body, 2)
			if err != nil || r.NotificationID == "" {
				t.Fatalf("%v %s", err, a.Body)
			}
			again := must[issuertest.Answer](t)(k.Credential(f))
			if string(again.Body) != string(a.Body) {
				t.Error("redelivered with another notification_id")
			}
			return f, r.NotificationID
		}
		send := func(t *testing.T, access, contentType, body string) issuertest.Answer {
			t.Helper()
			h := http.Header{"Content-Type": {contentType}}
			if access != "" {
				h.Set("Authorization", "Bearer "+access)
			}
			return must[issuertest.Answer](t)(k.Do("POST", k.URL+"/gaon/notification", h, []byte(body)))
		}
		reports := func(t *testing.T, id string) (events []string) {
			t.Helper()
			a := must[issuertest.Answer](t)(k.Call("GET", "/v1/tenants/gaon/credentials/"+id, k.Bearer, ""))
			var c struct {
				State  string `json:"state"`
				Wallet []struct {
					Event string    `json:"event"`
					At    time.Time `json:"at"`
				} `json:"wallet"`
			}
			if err := a.Decode(&c); err != nil || a.Status != 200 || c.State != "issued" {
				t.Fatalf("%d %s %v", a.Status, a.Body, err)
			}
			for _, r := range c.Wallet {
				events = append(events, r.Event)
			}
			return events
		}
		f, id := deliver(t, "han-gaon")
		other, otherID := deliver(t, "park-nuri")

		t.Run("B65 refused", func(t *testing.T) {
			good := `{"notification_id":"` + id + `","event":"credential_accepted"}`
			for _, row := range []struct {
				name, access, contentType, body string
				status                          int
				code                            string
			}{
				{"unknown id", f.Access, "application/json", `{"notification_id":"AAAAAAAAAAAAAAAAAAAAAA","event":"credential_accepted"}`, 400, "invalid_notification_id"},
				{"missing id", f.Access, "application/json", `{"event":"credential_accepted"}`, 400, "invalid_notification_request"},
				{"missing event", f.Access, "application/json", `{"notification_id":"` + id + `"}`, 400, "invalid_notification_request"},
				{"unknown event", f.Access, "application/json", `{"notification_id":"` + id + `","event":"credential_lost"}`, 400, "invalid_notification_request"},
				{"event in capitals", f.Access, "application/json", `{"notification_id":"` + id + `","event":"CREDENTIAL_ACCEPTED"}`, 400, "invalid_notification_request"},
				{"event twice", f.Access, "application/json", strings.Replace(good, "{", `{"event":"credential_failure",`, 1), 400, "invalid_notification_request"},
				{"description with forbidden characters", f.Access, "application/json", strings.Replace(good, "{", `{"event_description":"한가온",`, 1), 400, "invalid_notification_request"},
				{"no object", f.Access, "application/json", `[]`, 400, "invalid_notification_request"},
				{"trailing data", f.Access, "application/json", good + good, 400, "invalid_notification_request"},
				{"too large", f.Access, "application/json", `{"event_description":"` + strings.Repeat("a", 17<<10) + `"}`, 413, "invalid_notification_request"},
				{"form", f.Access, "application/x-www-form-urlencoded", "notification_id=" + id, 415, "invalid_notification_request"},
				{"other user's token", other.Access, "application/json", good, 401, "invalid_token"},
				{"unknown token", "nobody", "application/json", good, 401, "invalid_token"},
				{"no token", "", "application/json", good, 401, "invalid_token"},
			} {
				t.Run(row.name, func(t *testing.T) {
					unchanged(t, k, func() {
						a := send(t, row.access, row.contentType, row.body)
						if a.Status != row.status || a.Code() != row.code {
							t.Errorf("%d %q %s", a.Status, a.Code(), a.Body)
						}
						if row.status == 401 && !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
							t.Errorf("WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
						}
						if strings.Contains(string(a.Body), id) || strings.Contains(string(a.Body), "한가온") {
							t.Errorf("input is echoed: %s", a.Body)
						}
					})
				})
			}
		})
		t.Run("B65 identical repeat", func(t *testing.T) {
			body := `{"notification_id":"` + id + `","event":"credential_accepted","event_description":"stored","more":{}}`
			for range 3 {
				if a := send(t, f.Access, "application/json; charset=utf-8", body); a.Status != 204 || len(a.Body) != 0 {
					t.Fatalf("%d %s", a.Status, a.Body)
				}
			}
			if got := reports(t, f.Offered.ID); !slices.Equal(got, []string{"credential_accepted"}) {
				t.Errorf("reports %v", got)
			}
			if n := audited(t, k, "credential.notified"); n != 1 {
				t.Errorf("%d audit entries", n)
			}
		})
		t.Run("accepted, then deleted", func(t *testing.T) {
			k.Clock.Advance(time.Second)
			if a := send(t, f.Access, "application/json", `{"notification_id":"`+id+`","event":"credential_deleted"}`); a.Status != 204 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if got := reports(t, f.Offered.ID); !slices.Equal(got, []string{"credential_accepted", "credential_deleted"}) {
				t.Errorf("reports %v", got)
			}
			if got := reports(t, other.Offered.ID); got != nil {
				t.Errorf("reports of another credential %v", got)
			}
		})
		t.Run("a failure is noted and changes no status", func(t *testing.T) {
			if a := send(t, other.Access, "application/json", `{"notification_id":"`+otherID+`","event":"credential_failure"}`); a.Status != 204 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			if got := reports(t, other.Offered.ID); !slices.Equal(got, []string{"credential_failure"}) {
				t.Errorf("reports %v", got)
			}
		})
		t.Run("metadata names the endpoint", func(t *testing.T) {
			m := must[oid4vci.Metadata](t)(k.Issuer.IssuerMetadata("gaon"))
			if m.NotificationEndpoint != k.URL+"/gaon/notification" {
				t.Errorf("%q", m.NotificationEndpoint)
			}
		})
		fsck(t, k)
	})
}
