package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/korean"

	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/verifier"
)

// TestSilence is what every acceptance scenario ends with (DOMAIN 4.6): (i) nothing personal in any log, database file or
// output, (ii) no trace of a verification at the issuer, (iii) receipts that others can check.
func TestSilence(t *testing.T) {
	t.Parallel()
	r := startDemo(t, filepath.Join(t.TempDir(), "data"), "--verbose")
	r.told("refused")
	wallet := filepath.Join(r.data, "wallets", "me") // scanned with the rest
	id := r.hand(wallet, "resident-id", "han-gaon")
	r.hand(wallet, "youth-eligibility", "han-gaon")
	r.hand(wallet, "customs-identity", "han-gaon")
	for _, p := range []string{"seo-haru", "choi-dasom"} {
		r.hand(filepath.Join(r.data, "wallets", p), "resident-id", p)
	}
	var receipts []string
	r.run(t, "DOMAIN 4.6 ii: the issuer has no trace of a verification", func(t *testing.T) { receipts = r.traceless(t, wallet) })
	r.run(t, "DOMAIN 4.6 iii: receipts are checked by others, with the issuer switched off", func(t *testing.T) { r.receipts(t, receipts) })
	for _, act := range []string{"renewal", "lift", "suspend", "revoke"} {
		r.act(act, "--id", id)
		r.present(wallet, "x509_hash")
	}
	r.provoke()
	d := r.describe()
	r.stop()
	r.run(t, "DOMAIN 4.6 i: nothing personal in logs, files and output", func(t *testing.T) {
		heaps := map[string][]byte{"standard output": []byte(r.stdout.String()), "log": []byte(r.log.String())}
		for i, receipt := range receipts {
			heaps[fmt.Sprint("receipt ", i)] = []byte(receipt)
		}
		readAll(t, r.data, heaps)
		if n := strings.Count(r.log.String(), "msg=request"); n < 100 || len(heaps) < 30 {
			t.Fatalf("%d lines of access log and %d files are not the whole story", n, len(heaps))
		}
		needles := personal(t)
		for where, b := range heaps {
			for what, needle := range needles {
				if bytes.Contains(b, []byte(needle)) {
					t.Errorf("%s lies readable in %s", what, where)
				}
			}
			if m := residentNumber.Find(b); m != nil {
				t.Errorf("%s holds what looks like a resident number", where)
			}
		}
	})
	r.run(t, "DOMAIN 4.6 i: the log names nobody, not even by a record's number", func(t *testing.T) {
		people, _ := d["people"].([]any)
		for _, p := range people {
			if id := p.(map[string]any)["id"].(string); strings.Contains(r.log.String(), id) {
				t.Errorf("the log names %s", id)
			}
		}
		for _, party := range []string{"registry", "issuer", "verifier", "wallet_api"} {
			if token, _ := d[party].(map[string]any)["token"].(string); token == "" || strings.Contains(r.log.String(), token) {
				t.Errorf("the log holds the management token of %s", party)
			}
		}
	})
}

// TestNeedles: the search finds what it looks for.
func TestNeedles(t *testing.T) {
	needles := personal(t)
	for _, f := range issuertest.Files() {
		hits := 0
		for _, needle := range needles {
			if bytes.Contains(f.Read(), []byte(needle)) {
				hits++
			}
		}
		if hits < 3 {
			t.Errorf("%s: only %d of %d needles", f.Name, hits, len(needles))
		}
	}
	date, rest := "980704", "2000000" // in two parts: not even here
	for _, s := range []string{date + "-" + rest, date + rest, `"` + date + rest + `"`, "x=" + date + "-" + rest + "\n"} {
		if !residentNumber.MatchString(s) {
			t.Errorf("%q is not found", s)
		}
	}
	for _, s := range []string{"1795305600000", "a" + date + rest + "f", date + rest + "1", "2026-11-22T00:04:39.252Z"} {
		if residentNumber.MatchString(s) {
			t.Errorf("%q is no resident number", s)
		}
	}
}

// TestNoResidentNumbers: none in the repository either, fixtures included.
func TestNoResidentNumbers(t *testing.T) {
	heaps := map[string][]byte{}
	readAll(t, repositoryRoot(t), heaps)
	if len(heaps) < 300 {
		t.Fatalf("only %d files", len(heaps))
	}
	for where, b := range heaps {
		if residentNumber.Match(b) {
			t.Errorf("%s holds what looks like a resident number", where)
		}
	}
}

// residentNumber: a date, and seven digits of which the first tells century and sex.
var residentNumber = regexp.MustCompile(`(?:^|[^0-9A-Za-z_.-])[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-?[1-8][0-9]{6}(?:$|[^0-9A-Za-z_.-])`)

// personal are the fixtures' names, birth dates, addresses, numbers and telephones, in the spellings in which they could leak.
func personal(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(what, value string) {
		if len(value) < 6 {
			t.Fatalf("%s %q is too short to be looked for", what, value)
		}
		cp949, err := korean.EUCKR.NewEncoder().String(value)
		if err != nil {
			t.Fatal(err)
		}
		spellings := map[string]string{"": value, " (CP949)": cp949, " (URL)": url.QueryEscape(value), " (hex)": hex.EncodeToString([]byte(value))}
		for shift := range 3 { // base64 of any text around it
			text := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + value))
			from, to := []int{0, 2, 3}[shift], len(text)-1
			spellings[fmt.Sprint(" (base64, ", shift, ")")] = text[from : to-1]
		}
		for spelling, s := range spellings {
			out[what+spelling] = s
		}
	}
	for _, f := range issuertest.Files() {
		for _, row := range records(t, f)[1:] {
			switch f.Tenant {
			case "gaon":
				add("name of "+row[0], row[1]+row[2])
				add("latin name of "+row[0], row[3])
				add("birth date of "+row[0], row[4])
				add("birth date of "+row[0]+", compact", strings.ReplaceAll(row[4], "-", ""))
				add("address of "+row[0], strings.TrimPrefix(row[7], "서울특별시 가온구 "))
				add("document number of "+row[0], row[13])
			case "customs":
				add("customs code of "+row[0], row[1])
				add("telephone of "+row[0], row[4])
				add("telephone of "+row[0]+", international", "+82 "+row[4][1:])
				add("telephone of "+row[0]+", digits", strings.ReplaceAll(row[4], "-", ""))
			}
		}
	}
	if len(out) < 200 {
		t.Fatalf("only %d needles", len(out))
	}
	return out
}

func records(t *testing.T, f issuertest.DataFile) [][]string {
	t.Helper()
	b := bytes.TrimPrefix(f.Read(), []byte("\xef\xbb\xbf"))
	if f.Tenant == "gaon" {
		b = must(korean.EUCKR.NewDecoder().Bytes(b))(t)
	}
	rows := must(csv.NewReader(bytes.NewReader(b)).ReadAll())(t)
	if len(rows) < 3 {
		t.Fatalf("%s has %d rows", f.Name, len(rows))
	}
	return rows
}

// readAll reads every regular file below dir, without the version control's.
func readAll(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > 16<<20 {
			return err
		}
		into[strings.TrimPrefix(path, dir+"/")], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// traceless: three verifications, by three client identifiers; the issuer serves no request meanwhile and writes no row.
func (r *running) traceless(t *testing.T, wallet string) (receipts []string) {
	time.Sleep(1500 * time.Millisecond) // what the issuing still has to publish
	database := filepath.Join(r.data, "issuer", "issuer.db")
	before, lines := dump(t, database), len(r.log.String())
	for _, prefix := range []string{"x509_hash", "x509_san_dns", "decentralized_identifier"} {
		got := r.present(wallet, prefix)
		if got.Code != "VALID" || got.Receipt == "" {
			t.Errorf("%s: %+v", prefix, got)
		}
		receipts = append(receipts, got.Receipt)
	}
	text := r.log.String()
	issuers := map[string]bool{} // a request's id begins with the name of the server that served it
	for _, m := range requestLine.FindAllStringSubmatch(text, -1) {
		if strings.Contains(m[1], "/{tenant}/") || strings.Contains(m[1], "/tenants/{tenant}") {
			issuers[m[2]] = true
		}
	}
	if len(issuers) != 2 {
		t.Fatalf("the log shows %d servers of the issuer, want 2", len(issuers))
	}
	seen := 0
	for _, m := range requestLine.FindAllStringSubmatch(text[lines:], -1) {
		seen++
		if issuers[m[2]] {
			t.Errorf("the issuer served %q while a company verified", m[1])
		}
	}
	if seen < 9 {
		t.Errorf("only %d requests were logged", seen)
	}
	if after := dump(t, database); after != before {
		t.Error("the issuer's database changed while a company verified")
	}
	return receipts
}

var requestLine = regexp.MustCompile(`msg=request method=\w+ route="([^"]*)" status=\d+ ms=[\d.]+ id=(\w+)-`)

// dump is every row of every table.
func dump(t *testing.T, path string) string {
	t.Helper()
	db := must(sql.Open("sqlite", "file:"+path+"?mode=ro"))(t)
	defer db.Close()
	var out strings.Builder
	var tables []string
	rows := must(db.Query(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`))(t)
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	if err := rows.Close(); err != nil || len(tables) < 10 {
		t.Fatalf("%d tables: %v", len(tables), err)
	}
	for _, name := range tables {
		rows := must(db.Query(`SELECT * FROM "` + name + `"`))(t)
		columns := must(rows.Columns())(t)
		for rows.Next() {
			cells, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range cells {
				into[i] = &cells[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&out, name, cells)
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

// receipts: a checker that has only the trust file and a node checks what the shop signed; the shop's own API does so too;
// bent ones are refused. The issuer is down.
func (r *running) receipts(t *testing.T, receipts []string) {
	r.act("down", "issuer")
	defer r.act("up", "issuer")
	for _, text := range receipts {
		got, err := verifier.CheckReceipt(context.Background(), text, r.chain(nil), time.Now())
		if err != nil || got.Code != verifier.Valid || got.Policy.Name != "adult-check" || len(got.Credentials) != 1 || got.Credentials[0].Status != "valid" {
			t.Errorf("%+v %v", got, err)
		}
		if later, err := verifier.CheckReceipt(context.Background(), text, r.chain(nil), time.Now().AddDate(10, 0, 0)); err != nil || later.ID != got.ID {
			t.Errorf("ten years later: %v", err)
		}
		status, out := r.manage("verifier", http.MethodPost, "/v1/receipts/check", map[string]any{"receipt": text})
		if status != http.StatusOK || out["code"] != "VALID" {
			t.Errorf("%d %v", status, out)
		}
		payload := must(base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1]))(t)
		if bytes.Contains(payload, []byte("age_over_19\":true")) || bytes.Contains(payload, []byte(`"claims"`)) {
			t.Errorf("the receipt tells what was shown: %s", payload)
		}
		for i := 0; i < len(text); i += 41 {
			bent := []byte(text)
			if bent[i] = 'A'; text[i] == 'A' {
				bent[i] = 'B'
			}
			if status, _ := r.manage("verifier", http.MethodPost, "/v1/receipts/check", map[string]any{"receipt": string(bent)}); status != http.StatusUnprocessableEntity {
				t.Fatalf("bent at %d: %d", i, status)
			}
		}
	}
}

// provoke sends personal data where it does not belong: errors and logs must not repeat it.
func (r *running) provoke() {
	r.t.Helper()
	name := url.QueryEscape("한가온")
	for _, u := range []string{
		r.party("issuer", "url") + "/gaon/offers/" + name, r.party("issuer", "url") + "/" + name + "/token?name=" + name,
		r.party("verifier", "url") + "/request/" + name + "?birthdate=1998-07-04", r.party("registry", "url") + "/v1/evidence?did=" + name,
		r.party("registry", "url") + "/1.0/identifiers/" + name, r.party("status", "url") + "/" + name + "/1", r.party("wallet_api", "url") + "/" + name,
	} {
		res := must(client.Get(u))(r.t)
		var b bytes.Buffer
		_, _ = b.ReadFrom(res.Body)
		res.Body.Close()
		if res.StatusCode < 400 || strings.Contains(b.String(), "한가온") || strings.Contains(b.String(), name) {
			r.t.Errorf("%s: %d %s", u, res.StatusCode, b.String())
		}
	}
	for _, body := range []map[string]any{
		{"type": "resident-id", "person": "한가온"}, {"type": "RID-26-7Q2K", "person": "han-gaon"}, {"name": "한가온", "birthdate": "1998-07-04"},
	} {
		if status, out := r.manage("issuer", http.MethodPost, "/v1/tenants/gaon/offers", body); status < 400 || strings.Contains(fmt.Sprint(out), "한가온") || strings.Contains(fmt.Sprint(out), "RID-26") {
			r.t.Errorf("%d %v", status, out)
		}
	}
	if status, out := r.manage("verifier", http.MethodPost, "/v1/requests", map[string]any{"policy": "한가온", "birthdate": "1998-07-04"}); status < 400 || strings.Contains(fmt.Sprint(out), "한가온") {
		r.t.Errorf("%d %v", status, out)
	}
}
