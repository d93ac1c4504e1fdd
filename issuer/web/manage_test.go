package web_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

const offerBody = `{"type":"resident-id","person":"han-gaon","tx_code":false}`

// manageOffer offers through the API.
func manageOffer(t *testing.T, k *issuertest.Kit) (id string) {
	t.Helper()
	a, err := k.Call("POST", "/v1/tenants/gaon/offers", k.Bearer, offerBody)
	want(t, a, err, 201, "")
	var out struct {
		ID string `json:"id"`
	}
	if err := a.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out.ID
}

func TestManagement(t *testing.T) {
	sqldbtest.Each(t, func(t *testing.T, dbURL string) {
		k := start(t, plenty(issuertest.KitConfig{DB: dbURL}))
		t.Run("offer, state, status", func(t *testing.T) { story(t, k) })
		t.Run("C15 un-revoke", func(t *testing.T) {
			id := manageOffer(t, k)
			a, err := k.Call("POST", "/v1/tenants/gaon/credentials/"+id+"/status", k.Bearer, `{"status":"revoked","reason":"R-1"}`)
			want(t, a, err, 200, "")
			unchanged(t, k, func() {
				a, err := k.Call("POST", "/v1/tenants/gaon/credentials/"+id+"/status", k.Bearer, `{"status":"valid","reason":"R-2"}`)
				want(t, a, err, 409, "revocation-final")
			})
		})
		t.Run("C17 not published", func(t *testing.T) {
			id := manageOffer(t, k)
			k.Chain.Fail(errors.New("away"))
			defer k.Chain.Fail(nil)
			a, err := k.Call("POST", "/v1/tenants/gaon/credentials/"+id+"/status", k.Bearer, `{"status":"revoked","reason":"R-1"}`)
			want(t, a, err, 503, "not-published")
		})
		t.Run("bodies", func(t *testing.T) { bodies(t, k) })
		t.Run("callers", func(t *testing.T) { callers(t, k) })
		t.Run("imports", func(t *testing.T) { imports(t, k) })
		fsck(t, k)
	})
}

func story(t *testing.T, k *issuertest.Kit) {
	a, err := k.Call("POST", "/v1/tenants/gaon/offers", k.BearerOf["gaon"], `{"type":"resident-id","person":"han-gaon"}`)
	want(t, a, err, 201, "")
	var o struct {
		ID     string `json:"id"`
		URI    string `json:"credential_offer_uri"`
		Value  string `json:"credential_offer_value_uri"`
		TxCode string `json:"tx_code"`
	}
	if err := a.Decode(&o); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(o.URI, "openid-credential-offer://?credential_offer_uri=") || !strings.HasPrefix(o.Value, "openid-credential-offer://?credential_offer=") || len(o.TxCode) != 6 || len(o.ID) != 22 {
		t.Fatalf("%+v", o)
	}
	a, err = k.Call("GET", "/v1/tenants/gaon/credentials/"+o.ID, k.BearerOf["gaon"], "")
	want(t, a, err, 200, "")
	if !strings.Contains(string(a.Body), `"offered"`) || strings.Contains(string(a.Body), "han-gaon") {
		t.Errorf("%s", a.Body)
	}
	a, err = k.Call("POST", "/v1/tenants/gaon/credentials/"+o.ID+"/status", k.BearerOf["gaon"], `{"status":"revoked","reason":"R-1"}`)
	want(t, a, err, 200, "")
	var p struct{ Sequence, Height uint64 }
	if err := json.Unmarshal(a.Body, &p); err != nil || p.Sequence == 0 || p.Height == 0 {
		t.Errorf("%s", a.Body)
	}
}

func bodies(t *testing.T, k *issuertest.Kit) {
	id := manageOffer(t, k)
	for _, tc := range []struct {
		name, path, body string
		status           int
		code             string
	}{
		{"J09 unknown member", "/offers", `{"type":"resident-id","person":"han-gaon","role":"admin"}`, 422, "validation-failed"},
		{"J09 state from outside", "/offers", `{"type":"resident-id","person":"han-gaon","state":"issued","tenant_id":"seoul"}`, 422, "validation-failed"},
		{"J08 quotes in the person's id", "/offers", `{"type":"resident-id","person":"x' OR '1'='1"}`, 404, "no-record"},
		{"unknown person", "/offers", `{"type":"resident-id","person":"nobody"}`, 404, "no-record"},
		{"another agency's type", "/offers", `{"type":"customs-identity","person":"han-gaon"}`, 422, "unknown-type"},
		{"unknown format", "/offers", `{"type":"resident-id","person":"han-gaon","format":"mso_mdoc"}`, 422, "unknown-format"},
		{"null type", "/offers", `{"type":null,"person":"han-gaon"}`, 422, "validation-failed"},
		{"malformed", "/offers", `{"type":`, 400, "malformed-request"},
		{"unknown status", "/credentials/" + id + "/status", `{"status":"gone","reason":"R"}`, 422, "validation-failed"},
		{"status without reason", "/credentials/" + id + "/status", `{"status":"revoked","reason":""}`, 422, "validation-failed"},
		{"J20 line breaks in the reason", "/credentials/" + id + "/status", `{"status":"revoked","reason":"a\nlevel=error"}`, 422, "validation-failed"},
		{"suspended before it is issued", "/credentials/" + id + "/status", `{"status":"suspended","reason":"R"}`, 409, "wrong-state"},
		{"unknown credential", "/credentials/AAAAAAAAAAAAAAAAAAAAAA/status", `{"status":"revoked","reason":"R"}`, 404, "not-found"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			unchanged(t, k, func() {
				a, err := k.Call("POST", "/v1/tenants/gaon"+tc.path, k.Bearer, tc.body)
				want(t, a, err, tc.status, tc.code)
				if strings.Contains(string(a.Body), "han-gaon") || strings.Contains(string(a.Body), "OR '1'") || strings.Contains(string(a.Body), "admin") {
					t.Errorf("the answer repeats what was sent: %s", a.Body)
				}
			})
		})
	}
}

func callers(t *testing.T, k *issuertest.Kit) {
	id := manageOffer(t, k)
	paths := []struct{ method, path, body string }{
		{"POST", "/v1/tenants/gaon/offers", offerBody},
		{"GET", "/v1/tenants/gaon/credentials/" + id, ""},
		{"POST", "/v1/tenants/gaon/credentials/" + id + "/status", `{"status":"revoked","reason":"R"}`},
		{"POST", "/v1/tenants/gaon/records?type=resident-id", ""},
	}
	t.Run("J10 another tenant's token, on every route", func(t *testing.T) {
		for _, p := range paths {
			unchanged(t, k, func() {
				var a issuertest.Answer
				var err error
				if strings.Contains(p.path, "records") {
					a, err = importCSV(k, "gaon", "resident-id", k.BearerOf["seoul"], issuertest.Files()[0].Read())
				} else {
					a, err = k.Call(p.method, p.path, k.BearerOf["seoul"], p.body)
				}
				want(t, a, err, 404, "not-found")
			})
		}
		seoul := must[issuertest.Answer](t)(k.Call("GET", "/v1/tenants/seoul/credentials/"+id, k.BearerOf["seoul"], ""))
		want(t, seoul, nil, 404, "not-found")
	})
	t.Run("J10 no route without a token", func(t *testing.T) {
		for _, p := range append(paths, struct{ method, path, body string }{"GET", "/openapi.json", ""}) {
			for _, bearer := range []string{"", "wrong", k.Bearer + "x"} {
				unchanged(t, k, func() {
					a := must[issuertest.Answer](t)(k.Call(p.method, p.path, bearer, p.body))
					if a.Status != 401 {
						t.Errorf("%s %s: %d", p.method, p.path, a.Status)
					}
				})
			}
		}
	})
	t.Run("J10 the description lists every route that is tested here", func(t *testing.T) {
		a, err := k.Call("GET", "/openapi.json", k.Bearer, "")
		if err != nil || a.Status != 200 {
			t.Fatal(a.Status, err)
		}
		var doc struct {
			OpenAPI string                    `json:"openapi"`
			Paths   map[string]map[string]any `json:"paths"`
		}
		if err := json.Unmarshal(a.Body, &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.1") {
			t.Fatal(doc.OpenAPI, err)
		}
		n := 0
		for _, methods := range doc.Paths {
			n += len(methods)
		}
		if n != len(paths) {
			t.Errorf("%d operations, %d tested", n, len(paths))
		}
	})
	t.Run("J16 a token in the URL is no token", func(t *testing.T) {
		a := must[issuertest.Answer](t)(k.Do("GET", k.Manage+"/v1/tenants/gaon/credentials/"+id+"?access_token="+k.Bearer, nil, nil))
		if a.Status != 401 {
			t.Errorf("status %d", a.Status)
		}
	})
	t.Run("J24 management is not on the public listener", func(t *testing.T) {
		for _, path := range []string{"/openapi.json", "/v1/tenants/gaon/credentials/" + id, "/debug/pprof/", "/metrics"} {
			a := must[issuertest.Answer](t)(k.Do("GET", k.URL+path, http.Header{"Authorization": {"Bearer " + k.Bearer}}, nil))
			if a.Status != 404 {
				t.Errorf("%s: %d", path, a.Status)
			}
		}
	})
	t.Run("J25 tricks with paths", func(t *testing.T) {
		for _, path := range []string{"/v1/tenants/seoul/..%2fgaon/credentials/" + id, "/v1//tenants/gaon/credentials/" + id, "/v1/tenants/GAON/credentials/" + id, "/v1/tenants/gaon./credentials/" + id} {
			a := must[issuertest.Answer](t)(k.Call("GET", path, k.BearerOf["gaon"], ""))
			if a.Status != 404 {
				t.Errorf("%s: %d", path, a.Status)
			}
		}
	})
}

func importCSV(k *issuertest.Kit, tenant, typ, bearer string, file []byte) (issuertest.Answer, error) {
	h := http.Header{"Authorization": {"Bearer " + bearer}, "Content-Type": {"text/csv"}}
	return k.Do("POST", k.Manage+"/v1/tenants/"+tenant+"/records?type="+url.QueryEscape(typ), h, file)
}

func imports(t *testing.T, k *issuertest.Kit) {
	t.Run("again, in both encodings", func(t *testing.T) {
		for _, f := range issuertest.Files() {
			a, err := importCSV(k, f.Tenant, f.Type, k.Bearer, f.Read())
			want(t, a, err, 200, "")
			if !strings.Contains(string(a.Body), `"people":`) {
				t.Errorf("%s", a.Body)
			}
		}
	})
	header := "관리번호,성,이름,로마자성명,생년월일\n"
	for _, tc := range []struct{ name, file, code, mentions string }{
		{"J04 one bad row refuses the file", header + "a-1,한,가온,HAN GAON,1998-07-04\na-2,한,가온,HAN GAON,1998-13-04\n", "validation-failed", "row 2 birthdate"},
		{"J04 formula where a name belongs", header + "a-1,\"=HYPERLINK(\"\"https://x.example\"\")\",가온,HAN GAON,1998-07-04\n", "validation-failed", "row 1 family_name"},
		{"J04 embedded newline", header + "a-1,\"한\n가\",가온,HAN GAON,1998-07-04\n", "validation-failed", "control"},
		{"J04 quote tricks", header + "a-1,한\"\",가온,HAN GAON,1998-07-04\n", "file-unreadable", ""},
		{"J04 UTF-16", "\xff\xfe" + header, "file-unreadable", "UTF-16"},
		{"J04 a cell too many", header + "a-1,한,가온,HAN GAON,1998-07-04,x\n", "file-unreadable", ""},
		{"J21 a resident number in a cell", header + "a-1,한,가온,980704-" + "2345678,1998-07-04\n", "validation-failed", "resident_number"},
		{"J21 a column of resident numbers", "관리번호,성,이름,주민등록번호\na-1,한,가온,x\n", "file-unreadable", "column 4"},
		{"the same person twice", header + "a-1,한,가온,HAN GAON,1998-07-04\na-1,한,가온,HAN GAON,1998-07-04\n", "validation-failed", "duplicate"},
		{"no people", header, "file-unreadable", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			unchanged(t, k, func() {
				a, err := importCSV(k, "gaon", "resident-id", k.Bearer, []byte(tc.file))
				want(t, a, err, 422, tc.code)
				if !strings.Contains(string(a.Body), tc.mentions) || strings.Contains(string(a.Body), "980704") || strings.Contains(string(a.Body), "1998") || strings.Contains(string(a.Body), "HYPERLINK") {
					t.Errorf("%s", a.Body)
				}
			})
		})
	}
	t.Run("J19 a file beyond the limit", func(t *testing.T) {
		unchanged(t, k, func() {
			a := must[issuertest.Answer](t)(importCSV(k, "gaon", "resident-id", k.Bearer, bytes.Repeat([]byte("a,b\n"), 1<<20)))
			if a.Status != 413 {
				t.Errorf("status %d", a.Status)
			}
		})
	})
}

func TestAuditUnavailable(t *testing.T) {
	t.Run("J23 nothing happens that cannot be recorded", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		id := manageOffer(t, k)
		f := begin(t, k, 1)
		_, c := code(t, k, false)
		err := k.DB.Write(ctx, func(tx *sqldb.Tx) error {
			_, err := tx.Exec(`CREATE TRIGGER full BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'full'); END`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		unchanged(t, k, func() {
			a, err := k.Call("POST", "/v1/tenants/gaon/offers", k.Bearer, offerBody)
			want(t, a, err, 503, "audit-unavailable")
			a, err = k.Call("POST", "/v1/tenants/gaon/credentials/"+id+"/status", k.Bearer, `{"status":"revoked","reason":"R"}`)
			want(t, a, err, 503, "audit-unavailable")
			a, err = importCSV(k, "gaon", "resident-id", k.Bearer, issuertest.Files()[0].Read())
			want(t, a, err, 503, "audit-unavailable")
			a, err = k.Token("gaon", c, "")
			want(t, a, err, 503, "temporarily_unavailable")
			a, err = k.Credential(f)
			want(t, a, err, 503, "temporarily_unavailable")
		})
	})
}

// lines collects a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestLogs(t *testing.T) {
	t.Run("J21 no person in any log line", func(t *testing.T) {
		log := &lines{}
		k := start(t, plenty(issuertest.KitConfig{Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}))
		f, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 2)
		if err != nil {
			t.Fatal(err)
		}
		bodies(t, k)
		imports(t, k)
		if _, err := set(k, f.Offered.ID, "revoked"); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"가온", "HAN GAON", "han-gaon", "1998-07-04", "새빛로", f.Access, f.Proofs[0], texts[0][:64], "980704"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log holds something of %d bytes that it must not", len(secret))
			}
		}
		if !strings.Contains(log.String(), "/{tenant}/credential") {
			t.Error("no access log at all")
		}
	})
}
