package web_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"io"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/issuer/records"
)

// agency answers with one record for everybody, changed by a test.
type agency struct {
	extra atomic.Pointer[map[string]any]
}

func (a *agency) set(claims map[string]any) { a.extra.Store(&claims) }

func (a *agency) Record(context.Context, string, string, string) (records.Record, error) {
	claims := map[string]any{"family_name": "한", "given_name": "가온", "birthdate": "1998-07-04", "sex": int64(2)}
	if e := a.extra.Load(); e != nil {
		maps.Copy(claims, *e)
	}
	return records.Record{Claims: claims}, nil
}

func TestRecordClaims(t *testing.T) {
	src := &agency{}
	k := start(t, plenty(issuertest.KitConfig{NoData: true, Tune: func(c *issuer.Config) { c.Records = src }}))
	f := begin(t, k, 1) // offered while the record was good
	for name, claims := range map[string]map[string]any{
		"B69 _sd":                      {"_sd": []any{"x"}},
		"B69 ...":                      {"...": "x"},
		"B69 _sd_alg":                  {"_sd_alg": "none"},
		"B69 cnf":                      {"cnf": map[string]any{"jwk": map[string]any{}}},
		"B69 status":                   {"status": map[string]any{}},
		"B69 iss":                      {"iss": "did:example:evil"},
		"B69 vct":                      {"vct": "urn:other"},
		"B69 exp":                      {"exp": 4102444800.0},
		"B69 reserved name inside":     {"address": map[string]any{"formatted": "x", "_sd": []any{}}},
		"B70 a claim nobody knows":     {"surprise": true},
		"B70 null":                     {"name_latin": nil},
		"B70 wrong type":               {"birthdate": 19980704.0},
		"B70 nested array":             {"nationalities": []any{[]any{"KR"}}},
		"B70 object where text is due": {"family_name": map[string]any{"a": "b"}},
		"J21 class X":                  {"rrn": "x"},
		"J21 a resident number":        {"address": map[string]any{"formatted": "980704-" + "2345678"}},
	} {
		t.Run(name, func(t *testing.T) {
			src.set(claims)
			defer src.set(nil)
			unchanged(t, k, func() {
				a, err := k.Call("POST", "/v1/tenants/gaon/offers", k.Bearer, offerBody)
				want(t, a, err, 422, "validation-failed")
				b, err := k.Credential(f)
				want(t, b, err, 400, "credential_request_denied")
			})
		})
	}
	a, err := k.Credential(f)
	want(t, a, err, 200, "")
	fsck(t, k)
}

// stuck is randomness that repeats: the same 16 bytes for ever, once switched on.
type stuck struct{ on atomic.Bool }

func (s *stuck) Read(p []byte) (int, error) {
	if !s.on.Load() {
		return io.ReadFull(rand.Reader, p)
	}
	for i := range p {
		p[i] = byte(i % 16)
	}
	return len(p), nil
}

func TestRandomness(t *testing.T) {
	t.Run("B71 randomness that repeats aborts", func(t *testing.T) {
		s := &stuck{}
		k := start(t, plenty(issuertest.KitConfig{Random: s}))
		f := begin(t, k, 2)
		s.on.Store(true)
		defer s.on.Store(false)
		unchanged(t, k, func() {
			a, err := k.Credential(f)
			if err != nil || a.Status != 500 || a.Code() != "server_error" || bytes.Contains(a.Body, []byte("~")) {
				t.Errorf("%d %s %v", a.Status, a.Code(), err)
			}
		})
	})
}

func TestDates(t *testing.T) {
	t.Run("K10 the last valid day ends at 23:59:59 KST", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		// 2026-12-31 is the last day of the youth programme's window.
		end := time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)
		k.Clock.Set(end.Add(-10 * time.Second))
		_, texts, err := k.Receive("seoul", "youth-eligibility", "han-gaon", 1)
		if err != nil {
			t.Fatal(err)
		}
		p := payload(t, texts[0])
		if int64(p["exp"].(float64)) != end.Unix() || p["date_of_expiry"] != "2026-12-31" || p["date_of_issuance"] != "2026-12-31" {
			t.Errorf("exp %v expiry %v", p["exp"], p["date_of_expiry"])
		}
		k.Clock.Set(end.Add(time.Second))
		if _, err := k.Offer("seoul", "youth-eligibility", "han-gaon", false); err == nil {
			t.Error("offered after the last day")
		}
	})
	t.Run("K11 ages on the birthday, in Korea", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		over := func(at time.Time) bool {
			k.Clock.Set(at)
			_, texts, err := k.Receive("gaon", "resident-id", "choi-dasom", 1) // born 2008-11-22
			if err != nil {
				t.Fatal(err)
			}
			return disclosed(t, texts[0], "age_over_18") == "true"
		}
		birthday := time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)
		if over(birthday.Add(-10*time.Second)) || !over(birthday.Add(time.Second)) {
			t.Error("18 begins at midnight of 2026-11-22 in Korea")
		}
	})
}

// disclosed finds the JSON of a disclosed top-level claim.
func disclosed(t *testing.T, text, name string) string {
	t.Helper()
	for _, d := range strings.Split(text, "~")[1:] {
		b, err := base64.RawURLEncoding.DecodeString(d)
		if err != nil {
			continue
		}
		raw := string(b)
		if _, rest, ok := strings.Cut(raw, `"`+name+`",`); ok {
			return strings.TrimSuffix(rest, "]")
		}
	}
	return ""
}

func TestSQLRecords(t *testing.T) {
	t.Run("an agency's own database", func(t *testing.T) {
		db := must[*sqldb.DB](t)(sqldb.Open(ctx, sqldbtest.SQLite(t)))
		defer db.Close()
		err := db.Write(ctx, func(tx *sqldb.Tx) error {
			for _, q := range []string{
				`CREATE TABLE residents (no TEXT PRIMARY KEY, family TEXT, given TEXT, born TEXT, sex TEXT, note TEXT)`,
				`INSERT INTO residents VALUES ('han-gaon', '한', '가온', '1998-07-04', '여', NULL), ('bad', '한', '가온', '1998-07-04', '?', NULL)`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		src := must[*records.SQL](t)(records.NewSQL("gaon", records.SQLConfig{DB: db, Queries: map[string]records.SQLQuery{
			"resident-id": {Query: `SELECT family, given, born, sex, note FROM residents WHERE no = ?`, Columns: []records.Column{
				{Claim: "family_name"}, {Claim: "given_name"}, {Claim: "birthdate"}, {Claim: "sex", Codes: map[string]any{"남": 1.0, "여": 2.0}}, {Claim: "name_latin"},
			}},
		}}))
		k := start(t, plenty(issuertest.KitConfig{NoData: true, Tune: func(c *issuer.Config) { c.Records = src }}))
		_, texts, err := k.Receive("gaon", "resident-id", "han-gaon", 1)
		if err != nil || disclosed(t, texts[0], "sex") != "2" || disclosed(t, texts[0], "name") != `"한가온"` {
			t.Fatal(err)
		}
		if _, err := k.Offer("gaon", "resident-id", "nobody", false); err == nil {
			t.Error("offered to nobody")
		}
		if _, err := k.Offer("gaon", "resident-id", "bad", false); err == nil {
			t.Error("offered on a bad cell")
		}
		for _, q := range []string{"DELETE FROM residents WHERE no = ?", "SELECT a FROM b", "SELECT a FROM b WHERE c = ?; DROP TABLE b"} {
			if _, err := records.NewSQL("gaon", records.SQLConfig{DB: db, Queries: map[string]records.SQLQuery{"resident-id": {Query: q, Columns: []records.Column{{Claim: "a"}}}}}); err == nil {
				t.Errorf("accepted: %s", q)
			}
		}
	})
}
