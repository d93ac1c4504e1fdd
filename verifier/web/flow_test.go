package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oid4vp"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func TestFlow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for _, prefix := range []string{"x509_hash", "x509_san_dns", "decentralized_identifier"} {
			for _, mode := range []string{"direct_post.jwt", "direct_post"} {
				t.Run(prefix+" "+mode, func(t *testing.T) {
					h.t = t
					created := h.create(map[string]any{"client_id_prefix": prefix, "response_mode": mode})
					h.want(created.id, "requested", nil, nil)
					r, err := h.wallet.Fetch(created.link, "wallet-nonce-1")
					h.check(err)
					h.want(created.id, "retrieved", nil, nil)
					created.request = r
					if !strings.HasPrefix(r.ClientID, prefix+":") || r.ResponseMode != mode || r.WalletNonce != "wallet-nonce-1" {
						t.Errorf("request %+v", r.Request)
					}
					if e := r.Evidence; e == nil || e.Network != "test" || e.TrustedHeight != 42 || e.MaxAge != 72*3600 {
						t.Errorf("evidence %+v", e)
					}
					h.post(created, h.answer(created, h.held()), http.StatusOK)
					got := h.want(created.id, "judged", "confirmed", "VALID")
					if len(got) != 6 || got["status_as_of"] != "2026-11-21T01:00:00Z" {
						t.Errorf("result %v", got)
					}
					receipt, err := verifier.CheckReceipt(context.Background(), got["receipt"].(string), h.w.Registry, h.w.Clock.Now())
					h.check(err)
					if receipt.Code != verifier.Valid || receipt.ID != created.id || receipt.Policy.Name != "adult-check" || receipt.ClientID != r.ClientID {
						t.Errorf("receipt %+v", receipt)
					}
				})
			}
		}
		h.t = t
		fetched := h.open(nil)
		h.check(h.desk.Tick(context.Background()))
		h.start() // what was told to the company is written down by now
		h.want(fetched.id, "retrieved", nil, nil)
		h.post(fetched, h.answer(fetched, h.held()), http.StatusOK)
		h.want(fetched.id, "judged", "confirmed", "VALID")
		h.check(h.desk.Tick(context.Background()))
		h.want(fetched.id, "judged", "confirmed", "VALID")
		if o := h.open(map[string]any{"evidence": false}); o.request.Evidence != nil {
			t.Error("evidence is asked for though the company does without")
		}
		h.invariants()
	})
}

func (h *house) invariants() {
	h.t.Helper()
	rows, err := h.store.Check(context.Background())
	h.check(err)
	for _, r := range rows {
		if r.Checked == 0 || r.Violations != 0 {
			h.t.Errorf("invariant %+v", r)
		}
	}
}

func TestUnknownTransactions(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.open(map[string]any{"response_mode": "direct_post"})
		enc := h.open(nil)
		token := oid4vp.StringPresentation(h.held().Present(o.request.ClientID, o.request.Nonce, "age_over_19"))
		vp := `{"resident":[` + string(token) + `]}`
		stranger := h.open(nil).request
		stranger.ClientMetadata = foreignKey(t)
		rows := []struct{ name, body string }{
			{"D01 no state", url.Values{"vp_token": {vp}}.Encode()},
			{"D01 empty state", url.Values{"vp_token": {vp}, "state": {""}}.Encode()},
			{"D01 unknown state", url.Values{"vp_token": {vp}, "state": {"AAAAAAAAAAAAAAAAAAAAAA"}}.Encode()},
			{"D01 doubled state", url.Values{"vp_token": {vp}, "state": {o.request.State, o.request.State}}.Encode()},
			{"D01 nothing", ""},
			{"D01 encrypted to a key of nobody", verifiertest.Answer(stranger, map[string]string{"resident": "x~"}, nil)},
			{"D01 not a JWE", url.Values{"response": {"a.b.c"}}.Encode()},
			{"D01 state of one transaction in the envelope of another", func() string {
				r := enc.request
				r.State = o.request.State
				return verifiertest.Answer(r, map[string]string{"resident": "x~"}, nil)
			}()},
			{"D52 ten thousand fields", strings.Repeat("a=1&", 10_000)},
		}
		before := h.rows()
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h.t = t
				h.post(o, row.body, http.StatusBadRequest)
				if h.rows() != before {
					t.Error("rows changed")
				}
			})
		}
		h.t = t
		h.post(o, h.answer(o, h.held()), http.StatusOK)
	})
}

func foreignKey(t *testing.T) *oid4vp.ClientMetadata {
	t.Helper()
	k, err := keys.NewEphemeral("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	m := &oid4vp.ClientMetadata{EncryptedEncValues: []string{keys.A128GCM}, JWKS: &oid4vp.JWKS{}}
	m.JWKS.Keys = append(m.JWKS.Keys, k.JWK())
	return m
}

func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		run := func(name string, between func()) {
			t.Run(name, func(t *testing.T) {
				h.t = t
				o := h.open(nil)
				body := h.answer(o, h.held())
				h.post(o, body, http.StatusOK)
				between()
				before := fmt.Sprint(h.result(o.id))
				h.post(o, body, http.StatusBadRequest)
				h.post(o, h.answer(o, h.held()), http.StatusBadRequest)
				h.post(o, verifiertest.Answer(o.request, map[string]string{"resident": "x~"}, nil), http.StatusBadRequest)
				if got := fmt.Sprint(h.result(o.id)); got != before {
					t.Errorf("a stored result changed: %s", got)
				}
				h.history(o.id, "VALID", "NONCE_REPLAY", "NONCE_REPLAY", "NONCE_REPLAY")
			})
		}
		run("D02 answer posted twice", func() {})
		run("D02 answer posted again after its time", func() { h.w.Clock.Add(time.Hour) })
		run("K02 everything outside of SQL is lost before the replay", func() { h.start() })
		t.Run("K01 everything outside of SQL is lost between request and answer", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			h.start()
			body := h.answer(o, h.held())
			h.post(o, body, http.StatusOK)
			h.start()
			h.post(o, body, http.StatusBadRequest)
			h.want(o.id, "judged", "confirmed", "VALID")
		})
		t.Run("D03 twenty answers at once", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			bodies := make([]string, 20)
			for i := range bodies {
				bodies[i] = h.answer(o, h.held())
			}
			var mu sync.Mutex
			got := map[int]int{}
			var wg sync.WaitGroup
			for _, body := range bodies {
				wg.Go(func() {
					status, _, err := h.wallet.Post(o.request.ResponseURI, body)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						status = -1
					}
					got[status]++
				})
			}
			wg.Wait()
			if got[http.StatusOK] != 1 || got[http.StatusBadRequest] != 19 {
				t.Errorf("answers %v", got)
			}
			h.want(o.id, "judged", "confirmed", "VALID")
			h.history(o.id, "VALID", slices.Repeat([]string{"NONCE_REPLAY"}, verifier.MaxReplays)...)
			before := h.rows()
			h.post(o, bodies[0], http.StatusBadRequest)
			if h.rows() != before {
				t.Error("replays are written down without a limit")
			}
		})
		t.Run("D02 a used presentation sent to another request", func(t *testing.T) {
			h.t = t
			used, next := h.open(nil), h.open(nil)
			text := h.held().Present(used.request.ClientID, used.request.Nonce, "age_over_19")
			answer := func(o opened) string {
				return verifiertest.Answer(o.request, map[string]string{"resident": text}, nil)
			}
			h.post(used, answer(used), http.StatusOK)
			h.start()
			h.post(next, answer(next), http.StatusBadRequest)
			r := h.want(next.id, "judged", "not confirmed", "NONCE_REPLAY")
			receipt, err := verifier.CheckReceipt(context.Background(), r["receipt"].(string), h.w.Registry, h.w.Clock.Now())
			h.check(err)
			if receipt.Reason != verifier.ReasonReplayed {
				t.Errorf("reason %q", receipt.Reason)
			}
			h.want(used.id, "judged", "confirmed", "VALID")
			h.history(used.id, "VALID")
			h.history(next.id, "NONCE_REPLAY")
		})
		t.Run("D40 another company reads no history", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			h.history(o.id, "")
			if status, _ := h.api(moa, http.MethodGet, "/v1/requests/"+o.id+"/history", nil); status != http.StatusNotFound {
				t.Errorf("status %d", status)
			}
		})
		h.t = t
		h.invariants()
	})
}

// history asserts the codes of a request's events: its end ("" while it is open), then what was tried again.
func (h *house) history(id, end string, again ...string) {
	h.t.Helper()
	status, out := h.api(byeolmaru, http.MethodGet, "/v1/requests/"+id+"/history", nil)
	if status != http.StatusOK {
		h.t.Fatalf("history: %d %v", status, out)
	}
	var got, want []string
	for _, e := range out["events"].([]any) {
		e := e.(map[string]any)
		got = append(got, e["kind"].(string)+" "+e["code"].(string))
	}
	if end != "" {
		want = append(want, "presentation.judged "+end)
	}
	for _, code := range again {
		want = append(want, "presentation.replayed "+code)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("history %v, want %v", got, want)
	}
}

func TestExpiry(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		t.Run("D01 answer after three minutes", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			body := h.answer(o, h.held())
			h.w.Clock.Add(3 * time.Minute)
			h.want(o.id, "expired", "not confirmed", "REQUEST_EXPIRED")
			h.post(o, body, http.StatusBadRequest)
			h.want(o.id, "expired", "not confirmed", "REQUEST_EXPIRED")
			if _, err := h.wallet.Fetch(o.link, ""); gone(err) != http.StatusGone {
				t.Errorf("request object: %v", err)
			}
		})
		t.Run("sweep and purge", func(t *testing.T) {
			h.t = t
			judged, left := h.open(nil), h.open(nil)
			h.post(judged, h.answer(judged, h.held()), http.StatusOK)
			h.w.Clock.Add(4 * time.Minute)
			h.check(h.desk.Tick(context.Background()))
			h.want(left.id, "expired", "not confirmed", "REQUEST_EXPIRED")
			h.want(judged.id, "judged", "confirmed", "VALID")
			h.w.Clock.Add(time.Hour)
			h.check(h.desk.Tick(context.Background()))
			r := h.result(judged.id)
			if r["code"] != "VALID" || r["claims"] != nil || r["receipt"] == nil {
				t.Errorf("after the claims' time: %v", r)
			}
			h.w.Clock.Add(31 * 24 * time.Hour)
			h.check(h.desk.Tick(context.Background()))
			if status, _ := h.api(byeolmaru, http.MethodGet, "/v1/requests/"+judged.id, nil); status != http.StatusNotFound {
				t.Errorf("after the retention: %d", status)
			}
		})
		t.Run("what was read as expired stays expired, also for an answer that is being judged", func(t *testing.T) {
			h.t = t
			reached, read := make(chan struct{}), make(chan struct{})
			h.step = func(step string) {
				if step == "submit.judged" {
					close(reached)
					<-read
				}
			}
			h.start()
			defer func() { h.step = nil; h.start() }()
			o := h.open(nil)
			body := h.answer(o, h.held())
			status := make(chan int)
			go func() {
				got, _, err := h.wallet.Post(o.request.ResponseURI, body)
				if err != nil {
					got = -1
				}
				status <- got
			}()
			<-reached
			h.w.Clock.Add(4 * time.Minute)
			h.want(o.id, "expired", "not confirmed", "REQUEST_EXPIRED")
			close(read)
			if got := <-status; got != http.StatusBadRequest {
				t.Errorf("late answer got %d", got)
			}
			h.want(o.id, "expired", "not confirmed", "REQUEST_EXPIRED")
			h.invariants()
		})
		t.Run("cross device: two minutes", func(t *testing.T) {
			h.t = t
			o := h.open(map[string]any{"cross_device": true})
			body := h.answer(o, h.held())
			h.w.Clock.Add(2 * time.Minute)
			h.post(o, body, http.StatusBadRequest)
			h.want(o.id, "expired", "not confirmed", "REQUEST_EXPIRED")
		})
	})
}

func gone(err error) int {
	var e *verifiertest.StatusError
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// TestBadAnswers: whatever names a pending transaction ends it, with one 400 and a precise code for the company.
func TestBadAnswers(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		plain := func(vp string) func(opened) string {
			return func(o opened) string { return url.Values{"state": {o.request.State}, "vp_token": {vp}}.Encode() }
		}
		rows := []struct {
			name    string
			options map[string]any
			body    func(o opened) string
			code    string
			reason  verifier.Reason
		}{
			{"D26 vp_token is an array", direct(), plain(`["x"]`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 vp_token is a string", direct(), plain(`"x"`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 vp_token is null", direct(), plain(`null`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 presentation is not in an array", direct(), plain(`{"resident":"x~"}`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 empty array", direct(), plain(`{"resident":[]}`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 two presentations", direct(), plain(`{"resident":["x~","y~"]}`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 unknown query id", direct(), plain(`{"other":["x~"]}`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D26 doubled query id", direct(), plain(`{"resident":["x~"],"resident":["y~"]}`), "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D29 plain answer where an encrypted one was asked for", nil, func(o opened) string {
				r := o.request
				r.ResponseMode = oid4vp.ModeDirectPost
				return verifiertest.Answer(r, map[string]string{"resident": h.held().Present(r.ClientID, r.Nonce, "age_over_19")}, nil)
			}, "SIGNATURE_INVALID", verifier.ReasonMalformed},
			{"D04 nonce of another transaction", nil, func(o opened) string {
				text := h.held().Present(o.request.ClientID, h.open(nil).request.Nonce, "age_over_19")
				return verifiertest.Answer(o.request, map[string]string{"resident": text}, nil)
			}, "HOLDER_BINDING_FAILED", verifier.ReasonNonce},
			{"D05 audience of another prefix", nil, func(o opened) string {
				text := h.held().Present("decentralized_identifier:"+string(h.w.Company.DID), o.request.Nonce, "age_over_19")
				return verifiertest.Answer(o.request, map[string]string{"resident": text}, nil)
			}, "HOLDER_BINDING_FAILED", verifier.ReasonAudience},
			{"D06 no key binding", nil, func(o opened) string {
				return verifiertest.Answer(o.request, map[string]string{"resident": h.held().Bare("age_over_19")}, nil)
			}, "HOLDER_BINDING_FAILED", verifier.ReasonBindingMissing},
			{"D31 refusal by the wallet", nil, func(o opened) string {
				return url.Values{"state": {o.request.State}, "error": {"access_denied"}}.Encode()
			}, "POLICY_FAILED", verifier.ReasonWalletError},
			{"refusal by the wallet: more is asked for than is registered", nil, func(o opened) string {
				return url.Values{"state": {o.request.State}, "error": {"access_denied"}, "error_description": {"OVERASK_REFUSED"}}.Encode()
			}, "OVERASK_REFUSED", verifier.ReasonOverask},
			{"refusal by the wallet: no legal basis", nil, func(o opened) string {
				return url.Values{"state": {o.request.State}, "error": {"access_denied"}, "error_description": {"LEGAL_BASIS_REQUIRED"}}.Encode()
			}, "LEGAL_BASIS_REQUIRED", verifier.ReasonLegalBasis},
			{"refusal by the wallet: a code of another error", nil, func(o opened) string {
				return url.Values{"state": {o.request.State}, "error": {"invalid_request"}, "error_description": {"OVERASK_REFUSED"}}.Encode()
			}, "POLICY_FAILED", verifier.ReasonWalletError},
			{"refusal by the wallet: a verdict that wallets do not give", nil, func(o opened) string {
				return url.Values{"state": {o.request.State}, "error": {"access_denied"}, "error_description": {"VALID"}}.Encode()
			}, "POLICY_FAILED", verifier.ReasonWalletError},
		}
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				h.t = t
				o := h.open(row.options)
				status := http.StatusBadRequest
				if strings.Contains(row.name, "refusal by the wallet") {
					status = http.StatusOK // taken: the wallet said no, and that is that
				}
				h.post(o, row.body(o), status)
				r := h.want(o.id, "judged", "not confirmed", row.code)
				receipt, err := verifier.CheckReceipt(context.Background(), r["receipt"].(string), h.w.Registry, h.w.Clock.Now())
				h.check(err)
				if receipt.Reason != row.reason {
					t.Errorf("reason %q, want %q", receipt.Reason, row.reason)
				}
				before := fmt.Sprint(h.result(o.id))
				h.post(o, h.answer(o, h.held()), http.StatusBadRequest)
				if got := fmt.Sprint(h.result(o.id)); got != before {
					t.Errorf("an ended transaction changed: %s", got)
				}
			})
		}
		t.Run("D30 encrypted to the key of an older transaction", func(t *testing.T) {
			h.t = t
			old, now := h.open(nil), h.open(nil)
			h.post(old, h.answer(old, h.held()), http.StatusOK)
			mixed := now
			mixed.request.ClientMetadata = old.request.ClientMetadata
			h.post(now, h.answer(mixed, h.held()), http.StatusBadRequest)
			h.history(old.id, "VALID", "NONCE_REPLAY") // the key is that of the old one
			h.history(now.id, "")
			h.post(now, h.answer(now, h.held()), http.StatusOK)
			h.want(now.id, "judged", "confirmed", "VALID")
		})
		t.Run("D31 forged error cannot overwrite a success", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			h.post(o, h.answer(o, h.held()), http.StatusOK)
			h.post(o, url.Values{"state": {o.request.State}, "error": {"access_denied"}}.Encode(), http.StatusBadRequest)
			h.want(o.id, "judged", "confirmed", "VALID")
		})
		t.Run("D31 forged error with a guessed state", func(t *testing.T) {
			h.t = t
			o := h.open(nil)
			h.post(o, url.Values{"state": {"AAAAAAAAAAAAAAAAAAAAAA"}, "error": {"access_denied"}}.Encode(), http.StatusBadRequest)
			h.want(o.id, "retrieved", nil, nil)
		})
		h.t = t
		h.invariants()
	})
}

func direct() map[string]any { return map[string]any{"response_mode": "direct_post"} }

func TestEdges(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.open(nil)
		before := h.rows()
		send := func(name, contentType, body string, status int) {
			t.Run(name, func(t *testing.T) {
				resp, err := http.Post(o.request.ResponseURI, contentType, strings.NewReader(body))
				h.check(err)
				_ = resp.Body.Close()
				if resp.StatusCode != status {
					t.Errorf("%d, want %d", resp.StatusCode, status)
				}
				if h.rows() != before {
					t.Error("rows changed")
				}
			})
		}
		const form = "application/x-www-form-urlencoded"
		send("D52 fifty megabytes", form, "vp_token="+strings.Repeat("A", 50<<20), http.StatusRequestEntityTooLarge)
		send("D52 multipart", "multipart/form-data; boundary=x", "--x--", http.StatusBadRequest)
		send("D52 JSON", "application/json", `{"vp_token":{}}`, http.StatusBadRequest)
		t.Run("D16 presentation of four megabytes", func(t *testing.T) {
			h.t = t
			h.post(o, url.Values{"response": {strings.Repeat("A", 4<<20)}}.Encode(), http.StatusRequestEntityTooLarge)
		})
		t.Run("nothing redirects (our side of D48)", func(t *testing.T) {
			h.t = t
			for _, target := range []string{o.request.ResponseURI, o.request.ResponseURI + "/", strings.Replace(o.request.ResponseURI, "/response", "//response", 1)} {
				status, _, err := h.wallet.Post(target, "a=b")
				h.check(err)
				if status != http.StatusBadRequest && status != http.StatusNotFound {
					t.Errorf("POST %s: %d", target, status)
				}
			}
		})
	})
}

func TestRequestURI(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		o := h.create(nil)
		t.Run("D35 fetched again and by two wallets: the same nonce", func(t *testing.T) {
			h.t = t
			first, err := h.wallet.Fetch(o.link, "")
			h.check(err)
			second, err := h.w.Wallet().Fetch(o.link, "another-wallet")
			h.check(err)
			if first.Nonce != second.Nonce || first.State != second.State || string(first.ClientMetadata.JWKS.Keys[0]) != string(second.ClientMetadata.JWKS.Keys[0]) {
				t.Error("another request was served")
			}
			o.request = first
		})
		before := h.rows()
		link, err := oid4vp.ParseLink(o.link, func(string) bool { return true })
		h.check(err)
		post := func(name string, body string, statuses ...int) {
			t.Run(name, func(t *testing.T) {
				h.t = t
				status, answer, err := h.wallet.Post(link.RequestURI, body)
				h.check(err)
				found := false
				for _, s := range statuses {
					found = found || s == status
				}
				if !found {
					t.Errorf("%d %s, want %v", status, answer, statuses)
				}
				if h.rows() != before {
					t.Error("rows changed")
				}
			})
		}
		post("D36 five megabytes of metadata", url.Values{"wallet_metadata": {strings.Repeat("A", 5<<20)}}.Encode(), http.StatusRequestEntityTooLarge)
		post("D36 metadata with a huge list", url.Values{"wallet_metadata": {`{"request_object_signing_alg_values_supported":["` + strings.Repeat(`none","`, 5000) + `x"]}`}}.Encode(), http.StatusBadRequest)
		post("D36 metadata that is no object", url.Values{"wallet_metadata": {"[]"}}.Encode(), http.StatusBadRequest)
		post("D36 wallet_nonce too long", url.Values{"wallet_nonce": {strings.Repeat("n", 2000)}}.Encode(), http.StatusBadRequest)
		post("D36 wallet_nonce with control characters", url.Values{"wallet_nonce": {"a\r\nSet-Cookie: x=y"}}.Encode(), http.StatusBadRequest)
		t.Run("D35 gone after the answer", func(t *testing.T) {
			h.t = t
			h.post(o, h.answer(o, h.held()), http.StatusOK)
			if _, err := h.wallet.Fetch(o.link, ""); gone(err) != http.StatusGone {
				t.Errorf("%v", err)
			}
		})
		t.Run("D40 another tenant's path", func(t *testing.T) {
			h.t = t
			p := h.create(nil)
			if _, err := h.wallet.Fetch(strings.Replace(p.link, "%2Fbyeolmaru%2F", "%2Fmoa%2F", 1), ""); gone(err) != http.StatusNotFound {
				t.Errorf("%v", err)
			}
		})
	})
}
