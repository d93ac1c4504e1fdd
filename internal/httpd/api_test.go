package httpd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/dojang-id/dojang/internal/httpd"
)

var errTaken = errors.New("taken")

type order struct {
	Type   string            `json:"type" enum:"resident-id,youth"`
	Copies int               `json:"copies,omitempty" minimum:"1" maximum:"10"`
	At     time.Time         `json:"at,omitempty"`
	Mail   string            `json:"mail,omitempty" format:"email"`
	Labels map[string]string `json:"labels,omitempty"`
}

type orderInput struct {
	Limit int `query:"limit"`
	Body  order
}

type orderOutput struct{ Body order }

type world struct {
	mux    *httpd.Mux
	tokens *httpd.Tokens
	token  string
	logs   *logs
	api    huma.API
	called int
}

func newAPI(t *testing.T) *world {
	t.Helper()
	w := &world{token: httpd.NewToken(), logs: &logs{}}
	w.mux = newMux(t, httpd.MuxConfig{Log: w.logs.logger()})
	var err error
	if w.tokens, err = httpd.NewTokens(httpd.Token{Name: "officer-7", Hash: httpd.HashToken(w.token), Tenant: "gaon"}); err != nil {
		t.Fatal(err)
	}
	w.api, err = httpd.NewAPI(w.mux, httpd.APIConfig{Title: "Issuer", Version: "1", Tokens: w.tokens, Log: w.logs.logger(),
		Problems: func(err error) (*httpd.Problem, bool) {
			return httpd.NewProblem(409, "taken", ""), errors.Is(err, errTaken)
		}})
	if err != nil {
		t.Fatal(err)
	}
	huma.Post(w.api, "/orders", func(ctx context.Context, in *orderInput) (*orderOutput, error) {
		w.called++
		switch in.Body.Copies {
		case 2:
			return nil, fmt.Errorf("order of han-gaon: %w", errTaken)
		case 3:
			return nil, errors.New("order of han-gaon broke")
		case 4:
			return nil, httpd.NewProblem(403, "approval-required", "").WithCause(errors.New("han-gaon"))
		case 5:
			panic("han-gaon")
		}
		in.Body.Mail = httpd.Caller(ctx).Name + "@" + httpd.Caller(ctx).Tenant
		return &orderOutput{in.Body}, nil
	})
	huma.Register(w.api, huma.Operation{Method: "GET", Path: "/open", Security: []map[string][]string{}},
		func(context.Context, *struct{}) (*orderOutput, error) { return &orderOutput{}, nil })
	return w
}

func (w *world) post(body string, headers ...string) *http.Response {
	headers = append(headers, "Content-Type", "application/json", "Authorization", "Bearer "+w.token)
	return do(w.mux, "POST", "/orders", strings.NewReader(body), headers...)
}

func TestAPI(t *testing.T) {
	w := newAPI(t)
	res := w.post(`{"type":"youth","labels":{"a":"b"}}`)
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %s %v", res.StatusCode, body, err)
	}
	if string(body) != `{"type":"youth","at":"0001-01-01T00:00:00Z","mail":"officer-7@gaon","labels":{"a":"b"}}` || res.Header.Get("Link") != "" {
		t.Errorf("%s %v", body, res.Header)
	}
	if res := do(w.mux, "GET", "/open", nil); res.StatusCode != 200 {
		t.Errorf("open operation: %d", res.StatusCode)
	}
	for _, path := range []string{"/docs", "/schemas/Order.json", "/openapi.yaml", "/openapi-3.0.json"} {
		problem(t, do(w.mux, "GET", path, nil), 404, "not-found")
	}
	res = do(w.mux, "GET", "/openapi.json", nil, "Authorization", "Bearer "+w.token)
	var spec struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	if err := json.NewDecoder(res.Body).Decode(&spec); err != nil || !strings.HasPrefix(spec.OpenAPI, "3.1") || spec.Paths["/orders"]["post"] == nil {
		t.Errorf("%v %+v", err, spec)
	}
}

func TestAPIRefuses(t *testing.T) {
	w := newAPI(t)
	tests := []struct {
		name, body string
		status     int
		code       string
	}{
		{"J09 unknown field", `{"type":"youth","tenant_id":"secret-7"}`, 422, "validation-failed"},
		{"J09 server-set field", `{"type":"youth","status":"secret-7","role":"secret-7","created_by":"secret-7"}`, 422, "validation-failed"},
		{"J09 name in another case", `{"type":"youth","Copies":1}`, 422, "validation-failed"},
		{"J09 unknown field named by the client", `{"type":"youth","secret-7":1}`, 422, "validation-failed"},
		{"enum", `{"type":"secret-7"}`, 422, "validation-failed"},
		{"date", `{"type":"youth","at":"secret-7"}`, 422, "validation-failed"},
		{"mail", `{"type":"youth","mail":"secret-7"}`, 422, "validation-failed"},
		{"map key", `{"type":"youth","labels":{"secret-7":1}}`, 422, "validation-failed"},
		{"missing field", `{}`, 422, "validation-failed"},
		{"doubled name", `{"type":"youth","type":"secret-7"}`, 400, "malformed-request"},
		{"trailing data", `{"type":"youth"} "secret-7"`, 400, "malformed-request"},
		{"not UTF-8", "{\"type\":\"secret-7\xff\"}", 400, "malformed-request"},
		{"not JSON", `secret-7`, 400, "malformed-request"},
		{"J19 number 1e999999", `{"type":"youth","copies":1e999999}`, 400, "malformed-request"},
		{"J19 integer of 5000 digits", `{"type":"youth","copies":` + strings.Repeat("9", 5000) + `}`, 400, "malformed-request"},
		{"J19 JSON 100000 deep", strings.Repeat("[", 100_000), 400, "malformed-request"},
		{"J19 JSON 33 deep", strings.Repeat("[", 33) + strings.Repeat("]", 33), 400, "malformed-request"},
		{"J19 body above 1 MiB", `{"type":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "payload-too-large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			problem(t, w.post(tt.body), tt.status, tt.code, "secret-7", "secret")
			if strings.Contains(w.logs.String(), "secret-7") {
				t.Error("value in the log")
			}
		})
	}
	t.Run("wrong content type", func(t *testing.T) {
		res := do(w.mux, "POST", "/orders", strings.NewReader("a=b"), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "Bearer "+w.token)
		problem(t, res, 415, "unsupported-media-type")
	})
	t.Run("bad query", func(t *testing.T) {
		for _, q := range []string{"?limit=secret-7", "?secret-7=1"} {
			res := do(w.mux, "POST", "/orders"+q, strings.NewReader(`{"type":"youth"}`), "Content-Type", "application/json", "Authorization", "Bearer "+w.token)
			problem(t, res, 422, "validation-failed", "secret-7")
		}
	})
	if w.called != 0 {
		t.Errorf("the handler ran %d times", w.called)
	}
}

// What a handler returns: mapped, unknown, ready-made, panic. Nothing of it goes out but codes.
func TestAPIErrors(t *testing.T) {
	w := newAPI(t)
	problem(t, w.post(`{"type":"youth","copies":2}`), 409, "taken", "han-gaon")
	p := problem(t, w.post(`{"type":"youth","copies":3}`), 500, "internal-error", "han-gaon", "broke")
	if p.Reference == "" || !strings.Contains(w.logs.String(), p.Reference) || !strings.Contains(w.logs.String(), "broke") {
		t.Errorf("reference %q is not in the log", p.Reference)
	}
	problem(t, w.post(`{"type":"youth","copies":4}`), 403, "approval-required", "han-gaon")
	problem(t, w.post(`{"type":"youth","copies":5}`), 500, "internal-error", "han-gaon")
}

func TestTokens(t *testing.T) {
	w := newAPI(t)
	call := func(method, path string, headers ...string) *http.Response {
		return do(w.mux, method, path, strings.NewReader(`{"type":"youth"}`), append(headers, "Content-Type", "application/json")...)
	}
	refused := []struct {
		name, path, authorization string
	}{
		{"J16 no token", "/orders", ""},
		{"J16 token in the query", "/orders?access_token=" + w.token + "&token=" + w.token, ""},
		{"J16 another token", "/orders", "Bearer " + httpd.NewToken()},
		{"J16 token without scheme", "/orders", w.token},
		{"J16 token as Basic", "/orders", "Basic " + w.token},
		{"J16 stored hash as token", "/orders", fmt.Sprintf("Bearer %x", httpd.HashToken(w.token))},
		{"J26 prefix of the token", "/orders", "Bearer " + w.token[:len(w.token)-1]},
		{"J26 empty token", "/orders", "Bearer "},
		{"A14 token of 8 MiB dots", "/orders", "Bearer " + strings.Repeat(".", 8<<20)},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.authorization != "" {
				headers = []string{"Authorization", tt.authorization}
			}
			res := call("POST", tt.path, headers...)
			if res.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("WWW-Authenticate %q", res.Header.Get("WWW-Authenticate"))
			}
			problem(t, res, 401, "unauthorized", w.token)
			if strings.Contains(w.logs.String(), w.token) {
				t.Error("the token is in the log")
			}
		})
	}
	if w.called != 0 {
		t.Fatalf("the handler ran %d times", w.called)
	}
	t.Run("J24 OpenAPI and metrics from outside", func(t *testing.T) {
		problem(t, do(w.mux, "GET", "/openapi.json", nil), 401, "unauthorized")
		problem(t, do(w.tokens.Guard(httpd.NewMetrics().Handler()), "GET", "/", nil), 401, "unauthorized")
		for _, path := range []string{"/debug/pprof/", "/debug/vars", "/metrics"} {
			problem(t, do(w.mux, "GET", path, nil, "Authorization", "Bearer "+w.token), 404, "not-found")
		}
	})
	t.Run("J16 revoked token", func(t *testing.T) {
		if res := w.post(`{"type":"youth"}`); res.StatusCode != 200 {
			t.Fatal(res.StatusCode)
		}
		if err := w.tokens.Replace(); err != nil {
			t.Fatal(err)
		}
		problem(t, w.post(`{"type":"youth"}`), 401, "unauthorized")
	})
	same := httpd.Token{Name: "a", Hash: httpd.HashToken("x")}
	for _, list := range [][]httpd.Token{{same, same}, {{Name: "a"}}, {{Hash: same.Hash}}, {{Name: "a", Hash: httpd.HashToken("")}}} {
		if _, err := httpd.NewTokens(list...); err == nil {
			t.Errorf("%v accepted", list)
		}
	}
	var none httpd.Tokens
	if _, ok := none.Find("Bearer x"); ok {
		t.Error("the zero value knows somebody")
	}
	if a := httpd.NewToken(); len(a) != 7+43+8 || a == httpd.NewToken() {
		t.Errorf("token %q", a)
	}
}

func TestAPINeedsNames(t *testing.T) {
	if _, err := httpd.NewAPI(newMux(t, httpd.MuxConfig{}), httpd.APIConfig{}); err == nil {
		t.Error("nameless API accepted")
	}
	// No tokens: everybody is refused.
	m := newMux(t, httpd.MuxConfig{})
	api, err := httpd.NewAPI(m, httpd.APIConfig{Title: "x", Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	huma.Get(api, "/x", func(context.Context, *struct{}) (*orderOutput, error) { return &orderOutput{}, nil })
	problem(t, do(m, "GET", "/x", nil, "Authorization", "Bearer "), 401, "unauthorized")
}
