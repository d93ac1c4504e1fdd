package web_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

const session = "browser-session-of-han-gaon"

func TestCreate(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		long := strings.Repeat("a", 5000)
		rows := []struct {
			name   string
			tenant string
			in     map[string]any
			status int
			code   string
		}{
			{"D37 a query of their own", byeolmaru, map[string]any{"policy": "adult-check", "dcql_query": map[string]any{}}, 422, "validation-failed"},
			{"D37 policy name of five thousand bytes", byeolmaru, map[string]any{"policy": long}, 422, "validation-failed"},
			{"D37 transaction data", byeolmaru, map[string]any{"policy": "adult-check", "transaction_data": []string{"e30"}}, 422, "validation-failed"},
			{"D37 unknown policy", byeolmaru, map[string]any{"policy": "everything"}, 422, "validation-failed"},
			{"D37 unknown prefix", byeolmaru, map[string]any{"policy": "adult-check", "client_id_prefix": "redirect_uri"}, 422, "validation-failed"},
			{"D37 unknown mode", byeolmaru, map[string]any{"policy": "adult-check", "response_mode": "fragment"}, 422, "validation-failed"},
			{"D39 javascript redirect", byeolmaru, redirect("javascript:alert(1)"), 422, "validation-failed"},
			{"D39 relative redirect", byeolmaru, redirect("/back"), 422, "validation-failed"},
			{"D39 other origin", byeolmaru, redirect("https://evil.example/back"), 422, "validation-failed"},
			{"D39 longer than the registered one", byeolmaru, redirect(back + "/x"), 422, "validation-failed"},
			{"D39 no browser session", byeolmaru, map[string]any{"policy": "adult-check", "redirect_uri": back}, 422, "validation-failed"},
			{"D39 session without a redirect", byeolmaru, map[string]any{"policy": "adult-check", "session": session}, 422, "validation-failed"},
			{"policy of another tenant", moa, map[string]any{"policy": "youth-support"}, 422, "validation-failed"},
		}
		before := h.rows()
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h.t = t
				status, out := h.api(row.tenant, http.MethodPost, "/v1/requests", row.in)
				if status != row.status || out["code"] != row.code {
					t.Errorf("%d %v, want %d %s", status, out, row.status, row.code)
				}
				if text, _ := json.Marshal(out); bytes.Contains(text, []byte(long)) || bytes.Contains(text, []byte("evil")) {
					t.Error("input is echoed")
				}
				if h.rows() != before {
					t.Error("rows changed")
				}
			})
		}
	})
}

func redirect(to string) map[string]any {
	return map[string]any{"policy": "adult-check", "redirect_uri": to, "session": session}
}

func TestPurpose(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		good, _, err := h.w.Registry.Registration(context.Background(), h.w.Company.DID, "ADULT_CHECK", time.Time{})
		h.check(err)
		rows := []struct {
			name   string
			bend   func(r registry.Registration)
			status int
			code   string
		}{
			{"D38 registered for other claims", func(r registry.Registration) {
				r.Claims = map[string][]string{verifiertest.ResidentID: {"birthdate", "address"}}
				h.w.Registry.PutRegistration(r)
			}, 403, "purpose-not-allowed"},
			{"D38 registered for another type", func(r registry.Registration) {
				r.Claims = map[string][]string{verifiertest.YouthEligibility: {"age_over_19"}}
				h.w.Registry.PutRegistration(r)
			}, 403, "purpose-not-allowed"},
			{"D38 registration is over", func(r registry.Registration) {
				r.Until = h.w.Clock.Now()
				h.w.Registry.PutRegistration(r)
			}, 403, "purpose-not-allowed"},
			{"D38 registration has not begun", func(r registry.Registration) {
				r.From = h.w.Clock.Now().Add(time.Hour)
				h.w.Registry.PutRegistration(r)
			}, 403, "purpose-not-allowed"},
			{"registry does not hold", func(registry.Registration) { h.w.Registry.SetBroken(registry.ErrUntrusted) }, 503, "registry-unavailable"},
			{"registry is down before anything was known", func(registry.Registration) { h.w.Registry.SetDown(true) }, 503, "registry-unavailable"},
		}
		before := h.rows()
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h.t = t
				h.start()
				row.bend(good)
				status, out := h.api(byeolmaru, http.MethodPost, "/v1/requests", map[string]any{"policy": "adult-check"})
				if status != row.status || out["code"] != row.code {
					t.Errorf("%d %v, want %d %s", status, out, row.status, row.code)
				}
				if h.rows() != before {
					t.Error("rows changed")
				}
				h.w.Registry.SetBroken(nil)
				h.w.Registry.SetDown(false)
				h.w.Registry.PutRegistration(good)
			})
		}
		t.Run("a known registration outlives the registry", func(t *testing.T) {
			h.t = t
			h.start()
			h.create(nil)
			h.w.Registry.SetDown(true)
			h.w.Clock.Add(100 * time.Hour)
			h.create(nil)
			h.w.Registry.SetDown(false)
		})
	})
}

func TestTenants(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.open(nil)
		h.post(o, h.answer(o, h.held()), http.StatusOK)
		h.want(o.id, "judged", "confirmed", "VALID")
		_, unknown := h.api(moa, http.MethodGet, "/v1/requests/AAAAAAAAAAAAAAAAAAAAAA", nil)
		rows := []struct{ name, tenant, method, path string }{
			{"D40 result of another tenant", moa, http.MethodGet, "/v1/requests/" + o.id},
			{"D40 result of another tenant, named", moa, http.MethodGet, "/v1/requests/" + o.id + "?tenant=" + byeolmaru},
			{"D40 redeem for another tenant", moa, http.MethodPost, "/v1/requests/" + o.id + "/redeem"},
			{"D40 operator without naming one of several", "", http.MethodGet, "/v1/requests/" + o.id},
			{"D40 operator naming a stranger", "", http.MethodGet, "/v1/requests/" + o.id + "?tenant=stranger"},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h.t = t
				var in any
				if row.method == http.MethodPost {
					in = map[string]any{"response_code": "x", "session": session}
				}
				status, out := h.api(row.tenant, row.method, row.path, in)
				if status != http.StatusNotFound || out["code"] != "not-found" || out["title"] != unknown["title"] || len(out) != len(unknown) {
					t.Errorf("%d %v, an unknown id gets %v", status, out, unknown)
				}
			})
		}
		t.Run("D40 request in another tenant's name", func(t *testing.T) {
			h.t = t
			before := h.rows()
			status, out := h.api(moa, http.MethodPost, "/v1/requests?tenant="+byeolmaru, map[string]any{"policy": "adult-check"})
			if status != http.StatusNotFound || out["code"] != "not-found" || h.rows() != before {
				t.Errorf("%d %v", status, out)
			}
		})
		t.Run("the operator's token names the tenant", func(t *testing.T) {
			h.t = t
			if status, out := h.api("", http.MethodGet, "/v1/requests/"+o.id+"?tenant="+byeolmaru, nil); status != http.StatusOK || out["code"] != "VALID" {
				t.Errorf("%d %v", status, out)
			}
		})
		t.Run("no token", func(t *testing.T) {
			h.t = t
			h.tokens["nobody"] = "dojang_nothing"
			if status, _ := h.api("nobody", http.MethodGet, "/v1/requests/"+o.id, nil); status != http.StatusUnauthorized {
				t.Errorf("%d", status)
			}
			delete(h.tokens, "nobody")
		})
		t.Run("policies by tenant", func(t *testing.T) {
			h.t = t
			_, mine := h.api(byeolmaru, http.MethodGet, "/v1/policies", nil)
			_, theirs := h.api(moa, http.MethodGet, "/v1/policies", nil)
			if len(mine["policies"].([]any)) != 2 || len(theirs["policies"].([]any)) != 1 {
				t.Errorf("%v %v", mine, theirs)
			}
		})
	})
}

func TestSameDevice(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		redeem := func(id, code, session string) (int, map[string]any) {
			return h.api(byeolmaru, http.MethodPost, "/v1/requests/"+id+"/redeem", map[string]any{"response_code": code, "session": session})
		}
		present := func() (opened, string) {
			o := h.open(redirect(back))
			status, body, err := h.wallet.Post(o.request.ResponseURI, h.answer(o, h.held()))
			h.check(err)
			var answer struct {
				RedirectURI string `json:"redirect_uri"`
			}
			h.check(json.Unmarshal(body, &answer))
			u, err := url.Parse(answer.RedirectURI)
			h.check(err)
			code := u.Query().Get("response_code")
			if status != http.StatusOK || !strings.HasPrefix(answer.RedirectURI, back+"?") || len(code) != 22 {
				h.t.Fatalf("%d %s", status, body)
			}
			return o, code
		}
		t.Run("D32 nothing is shown without the code", func(t *testing.T) {
			h.t = t
			o, _ := present()
			r := h.result(o.id)
			if r["state"] != "judged" || r["decision"] != nil || r["code"] != nil || r["claims"] != nil || r["receipt"] != nil {
				t.Errorf("result %v", r)
			}
		})
		t.Run("D32 right code in another browser session", func(t *testing.T) {
			h.t = t
			o, code := present()
			if status, out := redeem(o.id, code, "the-attackers-own-session"); status != http.StatusNotFound {
				t.Errorf("%d %v", status, out)
			}
			if status, out := redeem(o.id, code, session); status != http.StatusOK || out["code"] != "VALID" {
				t.Errorf("the rightful session: %d %v", status, out)
			}
		})
		t.Run("D33 guessed, foreign and used codes", func(t *testing.T) {
			h.t = t
			o, code := present()
			_, foreign := present()
			for _, wrong := range []string{"", "AAAAAAAAAAAAAAAAAAAAAA", foreign} {
				if status, out := redeem(o.id, wrong, session); status != http.StatusNotFound || out["code"] != "not-found" {
					t.Errorf("%d %v", status, out)
				}
			}
			if status, out := redeem(o.id, code, session); status != http.StatusOK || out["claims"] == nil {
				t.Errorf("%d %v", status, out)
			}
			before := h.rows()
			if status, _ := redeem(o.id, code, session); status != http.StatusNotFound {
				t.Errorf("used code: %d", status)
			}
			if h.rows() != before {
				t.Error("rows changed")
			}
			h.want(o.id, "judged", "confirmed", "VALID")
		})
		t.Run("D33 code where none was asked for", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			h.post(o, h.answer(o, h.held()), http.StatusOK)
			if status, _ := redeem(o.id, "", ""); status != http.StatusNotFound {
				t.Errorf("%d", status)
			}
		})
	})
}

func TestReceipts(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.open(nil)
		h.post(o, h.answer(o, h.held()), http.StatusOK)
		receipt := h.result(o.id)["receipt"].(string)
		check := func(text string) (int, map[string]any) {
			return h.api(moa, http.MethodPost, "/v1/receipts/check", map[string]any{"receipt": text})
		}
		status, out := check(receipt)
		if status != http.StatusOK || out["code"] != "VALID" || out["iss"] != string(h.w.Company.DID) {
			t.Fatalf("%d %v", status, out)
		}
		credential := out["credentials"].([]any)[0].(map[string]any)
		if credential["issuer"] != string(h.w.Gaon.DID) || credential["status"] != "valid" || credential["height"] == nil || credential["known_at"] == nil {
			t.Errorf("basis %v", credential)
		}
		parts := strings.Split(receipt, ".")
		for name, text := range map[string]string{"garbage": "x", "bent": parts[0] + "." + parts[1] + "A." + parts[2], "none": "e30.e30."} {
			if status, out := check(text); status != http.StatusUnprocessableEntity || out["code"] != "receipt-invalid" {
				t.Errorf("%s: %d %v", name, status, out)
			}
		}
		// A key of another use signs no receipts.
		key, _, err := h.w.Registry.Key(context.Background(), h.w.Company.DID, "key-1", time.Time{})
		h.check(err)
		assertion := key
		assertion.Use = registry.UseAssertion
		h.w.Registry.PutKey(assertion)
		if status, out := check(receipt); status != http.StatusUnprocessableEntity {
			t.Errorf("assertion key: %d %v", status, out)
		}
		// Ten years later the verifier is gone and its key retired: the receipt still holds.
		key.RetiredAt = h.w.Clock.Now().Add(time.Hour)
		h.w.Registry.PutKey(key)
		if _, err := verifier.CheckReceipt(context.Background(), receipt, h.w.Registry, h.w.Clock.Now().AddDate(10, 0, 0)); err != nil {
			t.Error(err)
		}
		key.CompromisedFrom = h.w.Clock.Now().Add(-time.Hour)
		h.w.Registry.PutKey(key)
		if status, _ := check(receipt); status != http.StatusUnprocessableEntity {
			t.Errorf("compromised key: %d", status)
		}
	})
}

// spill answers in every broken way that puts the holder's claims where an error message might quote them.
func (h *house) spill(held *verifiertest.Held) (ids []string) {
	h.t.Helper()
	const canary = `1998-07-04 RID-26-7Q2K 한가온`
	shown := held.Bare("birthdate", "document_number", "family_name")
	for _, vp := range []string{
		`{"` + canary + `":["x~"]}`, `{"resident":["` + canary + `~"]}`, `{"resident":[{"` + canary + `":1}]}`, `{"resident":"` + canary + `"}`,
		`{"resident":["` + shown + canary + `"]}`, `{"resident":["` + shown + `"],"resident":["` + canary + `"]}`, `"` + canary + `"`, canary,
	} {
		o := h.open(map[string]any{"response_mode": "direct_post"})
		h.post(o, url.Values{"state": {o.request.State}, "vp_token": {vp}, "dojang_evidence": {canary}}.Encode(), http.StatusBadRequest)
		h.post(o, url.Values{"state": {canary}, canary: {canary}, "error": {canary}}.Encode(), http.StatusBadRequest)
		ids = append(ids, o.id)
	}
	o := h.open(map[string]any{"response_mode": "direct_post"})
	h.post(o, url.Values{"state": {o.request.State}, "error": {"access_denied"}, "error_description": {canary}}.Encode(), http.StatusOK)
	return append(ids, o.id)
}

// TestNoPersonalData looks for canaries of the holder in the log, the database file and every receipt.
func TestNoPersonalData(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.open(nil)
		held := h.held()
		text := held.Present(o.request.ClientID, o.request.Nonce, "age_over_19", "birthdate", "family_name", "document_number")
		h.post(o, verifiertest.Answer(o.request, map[string]string{"resident": text}, nil), http.StatusOK)
		bad := h.open(nil)
		h.post(bad, verifiertest.Answer(bad.request, map[string]string{"resident": held.Bare("birthdate", "document_number")}, nil), http.StatusBadRequest)
		ids := append(h.spill(held), o.id, bad.id)
		r := h.want(o.id, "judged", "confirmed", "VALID")
		if claims, _ := json.Marshal(r["claims"]); string(claims) != `{"resident":{"age_over_19":true}}` {
			t.Errorf("claims %s", claims)
		}
		heap := h.log.Bytes()
		if path, ok := strings.CutPrefix(h.url, "sqlite://"); ok {
			files, err := filepath.Glob(path + "*")
			h.check(err)
			for _, f := range files {
				raw, err := os.ReadFile(f)
				h.check(err)
				heap = append(heap, raw...)
			}
		}
		for _, id := range ids {
			parts := strings.Split(h.result(id)["receipt"].(string), ".")
			payload, err := base64.RawURLEncoding.DecodeString(parts[1])
			h.check(err)
			if !bytes.Contains(payload, []byte(`"decision"`)) {
				t.Fatalf("not a receipt: %s", payload)
			}
			heap = append(heap, payload...)
		}
		heap = append(heap, h.rows()...)
		for _, canary := range []string{"1998-07-04", "RID-26-7Q2K", "한가온", "가온\"", "age_over_19\":true", o.request.Nonce, o.request.State, `"d":`} {
			if bytes.Contains(heap, []byte(canary)) {
				t.Errorf("%q lies readable somewhere", canary)
			}
		}
	})
}
