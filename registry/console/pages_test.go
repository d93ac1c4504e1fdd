package console

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"html"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/registry"
)

// everyPage is one address of every page, without language.
func everyPage() []string {
	op := "1220" + strings.Repeat("ab", 32)
	id, vct := testID("mois").ID(), "urn:dojang:kr:resident-id:1"
	out := []string{"/", "/governance", "/validators", "/proposals", "/proposals?state=voting", "/emergencies", "/rounds", "/rounds/" + testID("seoul").ID() + "/youth-rent/2026-0",
		"/rounds/" + testID("seoul").ID() + "/youth-rent/2026-3", "/dids", "/dids/" + id, "/dids/" + testID("bank").ID(), "/accreditations", "/accreditations/" + id + "/" + vct + "/1",
		"/types", "/types/" + vct, "/verifiers", "/verifiers/" + testID("bank").ID() + "/account-opening", "/status", "/status/" + id, "/anchors",
		"/anchors/" + fmt.Sprintf("%x", sha256.Sum256([]byte{0})), "/blocks", "/blocks/4210", "/operations/" + op, "/check"}
	for n := 1; n <= 16; n++ {
		out = append(out, fmt.Sprint("/proposals/", n))
	}
	return out
}

var (
	titleTag   = regexp.MustCompile(`<title>([^<]+) · (도장 레지스트리|Dojang Registry)</title>`)
	anyInline  = regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:`)
	anyLink    = regexp.MustCompile(`(?:href|src|action)="([^"]*)"`)
	anyID      = regexp.MustCompile(` id="([^"]*)"`)
	labelledBy = regexp.MustCompile(` (?:aria-labelledby|for)="([^"]*)"`)
	leftover   = regexp.MustCompile(`\{[0-9]\}|%!|<no value>|ZgotmplZ`)
)

func TestPages(t *testing.T) {
	s := newServer(t, newFake())
	for _, lang := range languages {
		for _, path := range everyPage() {
			t.Run(lang+path, func(t *testing.T) {
				w := get(t, s, "/"+lang+path)
				body := w.Body.String()
				if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Content-Language") != lang {
					t.Fatalf("%d %v", w.Code, w.Header())
				}
				title := titleTag.FindStringSubmatch(body)
				if title == nil || (lang == "ko") != (title[2] == "도장 레지스트리") {
					t.Errorf("title %q", title)
				}
				for _, once := range []string{`<html lang="` + lang + `">`, "<h1>", `<main id="content"`, `<a class="skip" href="#content">`, `<header class="top">`, "<footer>"} {
					if n := strings.Count(body, once); n != 1 {
						t.Errorf("%s: %d times", once, n)
					}
				}
				ids := map[string]bool{}
				for _, m := range anyID.FindAllStringSubmatch(body, -1) {
					if ids[m[1]] {
						t.Errorf("two elements are %q", m[1])
					}
					ids[m[1]] = true
				}
				for _, m := range labelledBy.FindAllStringSubmatch(body, -1) {
					if !ids[m[1]] {
						t.Errorf("nothing is %q", m[1])
					}
				}
				if n := strings.Count(body, `<td role="cell"`); n != strings.Count(body, " data-label=") || n != strings.Count(body, "<td") {
					t.Error("a cell without its label")
				}
				if strings.Count(body, "<th ") != strings.Count(body, ` scope="`) {
					t.Error("a header without its scope")
				}
				if strings.Count(body, "<caption") != strings.Count(body, "<table") {
					t.Error("a table without a caption")
				}
				if m := leftover.FindString(body); m != "" {
					t.Errorf("left over: %s", m)
				}
				other := map[string]string{"ko": "en", "en": "ko"}[lang]
				if want := `<a class="lang" href="/` + other + path + `" hreflang="` + other + `" lang="` + other + `">`; !strings.Contains(body, want) {
					t.Errorf("no link to the other language: %s", want)
				}
				guarded(t, w)
			})
		}
	}
}

// guarded checks what every answer for a browser must carry.
func guarded(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("policy %q lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") || strings.Contains(csp, "http") {
		t.Errorf("policy %q", csp)
	}
	if m := anyInline.FindString(w.Body.String()); m != "" {
		t.Errorf("inline %q", m)
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" || len(w.Header()["Set-Cookie"]) != 0 {
		t.Errorf("headers %v", w.Header())
	}
}

// Every link of every page leads somewhere, and nowhere foreign but to the node's own API.
func TestLinks(t *testing.T) {
	s := newServer(t, newFake())
	seen := map[string]bool{"/": true}
	for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
		w := get(t, s, queue[0])
		if w.Code == http.StatusSeeOther {
			queue = append(queue, w.Header().Get("Location"))
			continue
		}
		if w.Code != http.StatusOK && !strings.HasSuffix(queue[0], "/find") && !strings.Contains(queue[0], "/blocks/") {
			t.Errorf("%s: %d", queue[0], w.Code)
		}
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			continue
		}
		for _, m := range anyLink.FindAllStringSubmatch(w.Body.String(), -1) {
			to := html.UnescapeString(m[1])
			switch {
			case strings.HasPrefix(to, "https://node.example/1.0/identifiers/did:dojang:demo:"), strings.HasPrefix(to, "#"):
			case strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
				to, _, _ = strings.Cut(to, "#")
				if !seen[to] {
					seen[to], queue = true, append(queue, to)
				}
			default:
				t.Errorf("%s links to %s", queue[0], to)
			}
		}
	}
	if len(seen) < 60 {
		t.Errorf("only %d pages were reached", len(seen))
	}
}

func TestRoutes(t *testing.T) {
	f := newFake()
	s := newServer(t, f)
	id := testID("mois").ID()
	rows := []struct {
		name, method, target string
		want                 int
	}{
		{"a page", "GET", "/ko/dids", 200},
		{"HEAD of a page", "HEAD", "/ko/dids", 200},
		{"POST to a page", "POST", "/ko/dids", 405},
		{"DELETE of a DID", "DELETE", "/ko/dids/" + id, 405},
		{"PUT of Evidence", "PUT", "/evidence/did/" + id, 405},
		{"TRACE", "TRACE", "/ko/", 405},
		{"unknown page", "GET", "/ko/nope", 404},
		{"unknown language", "GET", "/fr/", 404},
		{"unknown DID", "GET", "/ko/dids/" + testID("nobody").ID(), 404},
		{"unknown state of proposals", "GET", "/ko/proposals?state=nope", 400},
		{"J19 a state twice", "GET", "/ko/proposals?state=voting&state=voting", 400},
		{"unknown purpose", "GET", "/ko/verifiers/" + testID("bank").ID() + "/nothing", 404},
		{"unknown block", "GET", "/ko/blocks/999999", 404},
		{"asset outside", "GET", "/assets/..%2fconsole.go", 404},
		{"J13 double slash", "GET", "//evil.example/ko/", 404},
		{"J13 backslash", "GET", "/ko/%5Cevil.example", 404},
		{"J13 missing slash is not redirected", "GET", "/ko", 404},
		{"J25 encoded slash in an id", "GET", "/ko/dids/a%2Fb", 404},
		{"J25 dot segments", "GET", "/ko/x/../dids", 404},
		{"J25 encoded dot segments", "GET", "/ko/%2e%2e/evidence", 404},
		{"J25 semicolon", "GET", "/ko/..;/dids", 404},
		{"J25 double slash", "GET", "/ko//dids", 404},
		{"J25 another case", "GET", "/KO/dids", 404},
		{"J25 trailing slash", "GET", "/ko/dids/", 404},
		{"J25 trailing dot", "GET", "/ko/dids.", 404},
		{"J24 metrics", "GET", "/metrics", 404},
		{"J24 pprof", "GET", "/debug/pprof/", 404},
		{"J24 OpenAPI", "GET", "/openapi.json", 404},
		{"H25 consensus state", "GET", "/dump_consensus_state", 404},
		{"H25 unsafe", "GET", "/unsafe_flush_mempool", 404},
		{"H25 search", "GET", "/tx_search?query=1", 404},
		{"J19 unknown parameter", "GET", "/ko/dids?debug=1", 400},
		{"J19 doubled parameter", "GET", "/ko/dids?after=" + id + "&after=" + id, 400},
		{"J19 a long query", "GET", "/ko/dids?after=" + strings.Repeat("a", 2000), 400},
		{"J19 many parameters", "GET", "/ko/check?" + strings.Repeat("a=1&", 200), 400},
		{"J19 parameter on Evidence", "GET", "/evidence/parameters?x=1", 400},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			w := do(t, s, httptest.NewRequest(r.method, r.target, nil))
			if w.Code != r.want {
				t.Fatalf("%s %s: %d, want %d", r.method, r.target, w.Code, r.want)
			}
			if w.Header().Get("Location") != "" {
				t.Errorf("redirected to %s", w.Header().Get("Location"))
			}
			if r.want >= 400 && strings.Contains(w.Body.String(), "evil") {
				t.Error("the address is repeated")
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	id := testID("mois").ID()
	root := strings.Repeat("0f", 32)
	rows := []struct {
		target string
		ok     bool
	}{
		{"/dids?after=" + id, true},
		{"/dids?after=", false},
		{"/dids?after=" + id + "%2F", false},
		{"/dids?after=0OIl", false},
		{"/dids?after=%27%20OR%201=1--", false},
		{"/dids?after=" + strings.Repeat("1", 65), false},
		{"/accreditations?after=" + id, true},
		{"/accreditations?after=" + id + "/urn:dojang:kr:resident-id:1/2", true},
		{"/accreditations?after=" + id + "/urn:dojang:kr:resident-id:1", false},
		{"/accreditations?after=" + id + "/urn:dojang:kr:resident-id:1/02", false},
		{"/accreditations?after=" + id + "/urn:dojang:kr:resident-id:1/0", false},
		{"/accreditations?after=" + id + "/urn:dojang:kr:resident-id:1/1/latest", false},
		{"/accreditations?after=" + id + "/http:x/1", false},
		{"/verifiers?after=" + id + "/account-opening", true},
		{"/verifiers?after=" + id + "/a%00b", false},
		{"/status?after=" + id, true},
		{"/status?after=x/y", false},
		{"/proposals?after=12", true},
		{"/proposals?after=12&state=voting", true},
		{"/proposals?after=0", false},
		{"/proposals?after=1e1", false},
		{"/emergencies?after=" + id, true},
		{"/emergencies?after=" + id + "/x", false},
		{"/rounds?after=" + id + "/youth-rent/2026-1", true},
		{"/rounds?after=" + id, true},
		{"/rounds?after=" + id + "/youth-rent", false},
		{"/rounds?after=" + id + "/a/b/c", false},
		{"/types?after=urn:dojang:kr:resident-id:1", true},
		{"/types?after=http:x", false},
		{"/types/urn:dojang:kr:resident-id:1?after=" + id + "/1", true},
		{"/types/urn:dojang:kr:resident-id:1?after=" + id + "/01", false},
		{"/anchors?after=" + root, true},
		{"/anchors?after=" + strings.ToUpper(root), false},
		{"/anchors?after=" + root[2:], false},
	}
	for _, r := range rows {
		t.Run(r.target, func(t *testing.T) {
			f := newFake()
			w := get(t, newServer(t, f), "/en"+r.target)
			if want := map[bool]int{true: 200, false: 400}[r.ok]; w.Code != want {
				t.Fatalf("%d, want %d", w.Code, want)
			}
			if asked := len(f.pages) == 1; asked != r.ok {
				t.Errorf("asked the source: %v", asked)
			}
			if !r.ok && strings.Contains(w.Body.String(), "after=") {
				t.Error("the refused place is repeated")
			}
		})
	}
	for _, below := range []string{"", "0", "-1", "01", "1e3", "9999999999999999999999"} {
		if w := get(t, newServer(t, newFake()), "/en/blocks?below="+below); w.Code != 400 && below != "" {
			t.Errorf("below=%s: %d", below, w.Code)
		}
	}
}

func TestPager(t *testing.T) {
	f := newFake()
	f.next = testID("mois").ID() + "/urn:dojang:kr:resident-id:1/1"
	body := get(t, newServer(t, f), "/ko/accreditations").Body.String()
	if !strings.Contains(body, `rel="next" href="/ko/accreditations?after=`+testID("mois").ID()+`%2furn%3adojang%3akr%3aresident-id%3a1%2f1"`) {
		t.Errorf("no next page in %s", body)
	}
	f.accreditations = nil
	if body = get(t, newServer(t, f), "/en/accreditations").Body.String(); !strings.Contains(body, "Go on to the next page") {
		t.Error("an empty part that goes on looks like the end")
	}
	body = get(t, newServer(t, newFake()), "/ko/blocks").Body.String()
	if !strings.Contains(body, `href="/ko/blocks?below=4187"`) {
		t.Error("no older blocks")
	}
}

func TestFind(t *testing.T) {
	s := newServer(t, newFake())
	did := testID("mois")
	op := strings.Repeat("ab", 32)
	for q, want := range map[string]string{
		string(did): "/en/dids/" + did.ID(), did.URL("cred-1"): "/en/dids/" + did.ID(), " 4211 ": "/en/blocks/4211",
		op: "/en/operations/1220" + op, "1220" + strings.ToUpper(op): "/en/operations/1220" + op,
		did.ID(): "/en/dids/" + did.ID(), string(did) + "/urn:dojang:kr:resident-id:1/1": "/en/accreditations/" + did.ID() + "/urn:dojang:kr:resident-id:1/1",
		"accr/" + did.ID() + "/urn:dojang:kr:resident-id:1/1": "/en/accreditations/" + did.ID() + "/urn:dojang:kr:resident-id:1/1",
		"d/" + did.ID() + "/accr/urn:dojang:kr:resident-id:1": "/en/accreditations/" + did.ID() + "/urn:dojang:kr:resident-id:1/1",
		"https://status.trust.example/" + did.ID() + "/3":     "/en/status/" + did.ID(), "urn:dojang:kr:resident-id:1": "/en/types/urn:dojang:kr:resident-id:1",
		"#7": "/en/proposals/7", "의안 7": "/en/proposals/7", "Proposal 16": "/en/proposals/16", "12": "/en/proposals/12", "kr-trust": "/en/governance#member-kr-trust",
		fmt.Sprintf("%x", sha256.Sum256([]byte{1})): fmt.Sprintf("/en/anchors/%x", sha256.Sum256([]byte{1})),
		"https://evil.example":                      "", "//evil.example": "", "../x": "", "<b>": "", "did:web:evil.example": "",
	} {
		r := httptest.NewRequest("GET", "/en/find", nil)
		v := r.URL.Query()
		v.Set("q", q)
		r.URL.RawQuery = v.Encode()
		w := do(t, s, r)
		if got := w.Header().Get("Location"); got != want || (want == "") != (w.Code == 404) {
			t.Errorf("%q leads to %q (%d), want %q", q, got, w.Code, want)
		}
	}
}

// What is not found says what it is that is not there.
func TestNotFound(t *testing.T) {
	s := newServer(t, newFake())
	nobody, mois := testID("nobody"), testID("mois")
	for path, want := range map[string]string{
		"/en/find?q=" + string(nobody): "no such identifier", "/en/find?q=did:dojang:other:" + nobody.ID(): "of another network", "/en/find?q=%2399": "no proposal of that number",
		"/en/find?q=999999": "neither a block nor a proposal", "/en/find?q=urn:x:1": "does not know", "/en/find?q=https://status.example/" + nobody.ID() + "/1": "publishes a status list",
		"/en/find?q=https://evil.example/x": "publishes a status list", "/en/find?q=" + string(mois) + "/urn:dojang:kr:other:1/1": "no such accreditation", "/en/find?q=%3Cb%3E": "Try one of these",
		"/en/dids/" + nobody.ID(): "no such identifier", "/en/accreditations/" + mois.ID() + "/urn:x:1/1": "never accredited", "/en/accreditations/" + mois.ID() + "/x/0": "never accredited",
		"/en/verifiers/" + mois.ID() + "/x": "may not ask for anything", "/en/types/urn:x:1": "Nobody may issue it", "/en/status/" + nobody.ID(): "never published",
		"/en/rounds/" + mois.ID() + "/a/b": "no such round", "/en/anchors/" + strings.Repeat("00", 32): "never recorded", "/en/anchors/zz": "never recorded", "/en/proposals/99": "no proposal",
		"/en/proposals/0": "no proposal", "/en/blocks/999999": "no block of that number", "/en/operations/zz": "form of an operation",
	} {
		w := get(t, s, path)
		if body := html.UnescapeString(w.Body.String()); w.Code != 404 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, does not say %q", path, w.Code, want)
		}
	}
	f := newFake()
	f.blocks[0].Height = 7
	if body := get(t, newServer(t, f), "/en/find?q=7").Body.String(); !strings.Contains(body, `href="/en/blocks/7"`) || !strings.Contains(body, `href="/en/proposals/7"`) {
		t.Error("a number that is a block and a proposal is not offered as both")
	}
}

func TestStart(t *testing.T) {
	s := newServer(t, newFake())
	for accept, want := range map[string]string{"": "/ko/", "en-GB,en;q=0.8": "/en/", "ko-KR": "/ko/", "fr": "/ko/", strings.Repeat("en,", 999): "/ko/", "//evil": "/ko/"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "evil.example"
		r.Header.Set("Accept-Language", accept)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		if w := do(t, s, r); w.Code != 303 || w.Header().Get("Location") != want || !strings.Contains(w.Header().Get("Vary"), "Accept-Language") {
			t.Errorf("%.20q: %d %v", accept, w.Code, w.Header())
		}
	}
	t.Run("H25 J13 the Host header is in no page", func(t *testing.T) {
		for _, path := range everyPage() {
			r := httptest.NewRequest("GET", "/en"+path, nil)
			r.Host = `"><script>evil.example`
			if strings.Contains(do(t, s, r).Body.String(), "evil") {
				t.Errorf("%s shows it", path)
			}
		}
	})
}

func TestEvidence(t *testing.T) {
	f := newFake()
	s := newServer(t, f)
	id := testID("mois").ID()
	hash := strings.Repeat("ab", 32)
	for path, ok := range map[string]bool{
		"/evidence/did/" + id: true, "/evidence/key/" + id + "/cred-1": true, "/evidence/service/" + id + "/status": true,
		"/evidence/accreditation/" + id + "/urn:dojang:kr:resident-id:1": true, "/evidence/registration/" + id + "/account-opening": true,
		"/evidence/status/" + id: true, "/evidence/type/urn:dojang:kr:resident-id:1": true, "/evidence/parameters": true,
		"/evidence/validators": true, "/evidence/proposal/7": true, "/evidence/round/" + id + "/a/b": true, "/evidence/block/7": true, "/evidence/did-history/" + id: true,
		"/evidence/accreditation-history/" + id + "/urn:dojang:kr:resident-id:1/1": true, "/evidence/registration-history/" + id + "/a": true, "/evidence/parameters-history": true,
		"/evidence/proposal/0": false, "/evidence/proposal/07": false, "/evidence/round/" + id + "/a": false, "/evidence/round/" + id + "/a/b/c": false,
		"/evidence/accreditation-history/" + id + "/urn:x:1/0": false, "/evidence/block/-1": false, "/evidence/round/" + id + "/a%2Fb/c": false,
		"/evidence/member/kr-trust": true, "/evidence/anchor/" + hash: true, "/evidence/operation/1220" + hash: true,
		"/evidence/sponsor/kr-trust": false, "/evidence/did/" + id + "/x": false, "/evidence/parameters/x": false, "/evidence/key/" + id: false,
		"/evidence/anchor/" + strings.ToUpper(hash): false, "/evidence/key/" + id + "/a%2Fb": false, "/evidence/member/a%00": false, "/evidence/hdr/root": false,
	} {
		before := len(f.facts)
		w := get(t, s, path)
		if (w.Code == 200) != ok || (len(f.facts) > before) != ok {
			t.Errorf("%s: %d", path, w.Code)
		}
		if ok {
			if fact := f.facts[len(f.facts)-1]; fact.Path() != path || w.Header().Get("Content-Type") != "application/vnd.dojang.evidence+cbor" ||
				!strings.HasPrefix(w.Header().Get("Content-Disposition"), "attachment; filename=\""+fact.Kind) {
				t.Errorf("%s: %+v %v", path, fact, w.Header())
			}
		}
	}
}

func TestFaults(t *testing.T) {
	for _, r := range []struct {
		err  error
		want int
	}{
		{registry.ErrUnavailable, 503}, {registry.ErrNotFound, 404}, {ErrCursor, 400}, {errors.New("secret path /var/x"), 500},
	} {
		f := newFake()
		f.err = fmt.Errorf("reading: %w", r.err)
		s := newServer(t, f)
		for _, path := range everyPage() {
			if path == "/check" {
				continue
			}
			w := get(t, s, "/en"+path)
			if w.Code != r.want && !(w.Code == 404 && strings.HasPrefix(path, "/verifiers/")) {
				t.Errorf("%v on %s: %d", r.err, path, w.Code)
			}
			if strings.Contains(w.Body.String(), "secret") {
				t.Errorf("%s shows the cause", path)
			}
			if !strings.Contains(w.Header().Get("Cache-Control"), "no-store") {
				t.Errorf("%s may be stored", path)
			}
			guarded(t, w)
		}
	}
}

// A node that is not current says so on every page.
func TestStale(t *testing.T) {
	for _, state := range []string{"syncing", "stuck", "down"} {
		f := newFake()
		f.health.State = state
		s := newServer(t, f)
		for _, path := range everyPage() {
			if body := get(t, s, "/en"+path).Body.String(); !strings.Contains(body, "This node is not current") {
				t.Errorf("%s: %s does not say so", state, path)
			}
		}
	}
	if body := get(t, newServer(t, newFake()), "/en/").Body.String(); strings.Contains(body, "This node is not current") {
		t.Error("a current node says it is not")
	}
}

func TestWhatStands(t *testing.T) {
	s := newServer(t, newFake())
	for path, want := range map[string][]string{
		"/ko/":                                  {"demo", "4211", "정상", "4곳 중 3곳", "서명 중", "방금 끊김", "응답 없음", "3초 전"},
		"/en/governance":                        {"Seoul Metropolitan Government", "Founding member", "Removed", "3 of 4 members", "14 d", "100,000 operations in 1,000 blocks", "proposal 7"},
		"/en/validators":                        {"Signing", "Just went silent", "Silent", "7 of 20", "site-seoul", "25.0 %"},
		"/ko/proposals":                         {"투표 중", "시행 대기", "시행 불가", "부결", "기한 지남", "찬성 2 · 반대 1"},
		"/ko/proposals/1":                       {"이 기관에 ‘모바일 주민등록증’ 발급 권한을 줍니다.", "예비 상태 운영기관", "반대", "투표 안 함", "세지 않음", "투표 마감"},
		"/en/proposals/11":                      {"From then on a decision needs 4 members.", "3 of 4 members", "4 of 4 members"},
		"/en/proposals/9":                       {"Sets the power of a validator", "busan-1", "So far"},
		"/en/emergencies":                       {"Running", "Confirmed", "Lapsed", "Lifted", "Key cred-2", "the block is not kept here"},
		"/en/rounds":                            {"youth-rent", "shown after the end", "1234", "Being deleted"},
		"/ko/types/urn:dojang:kr:resident-id:1": {"모바일 주민등록증", "다름", "누가 발급할 수 있나", "확정"},
		"/en/accreditations/" + testID("mois").ID() + "/urn:dojang:kr:resident-id:1/1": {"Emergency suspension", "proposal 1", "signed together", "dojang verify evidence accreditation-history.evidence"},
		"/en/blocks/4210":    {"Time anchor", "proposal 1", "through mois", "signed by seoul", "Another change came first.", "Claims are never shown", "2 more", "no outcome"},
		"/ko/accreditations": {"모바일 주민등록증", "주민등록법 제24조의2", "KR-RRA-24-2", "정지", "유효", "기한 없음"},
		"/en/accreditations": {"Mobile resident ID", "Resident Registration Act, Art. 24-2", "Suspended", "In force", "mois.example, by its own word"},
		"/ko/verifiers":      {"한빛은행", "비대면 계좌 개설을 위한 본인 확인", "1825일 후 파기", "4개 항목"},
		"/en/status":         {"Fresh", "Overdue", "7 min ago"},
		"/en/dids":           {"Hanbit Bank", "Deactivated", "issues 1", "asks for 1"},
		"/en/dids/" + testID("seoul").ID(): {"Retired", "Compromised", "void from 2026-11-19 12:20:10 KST", "StatusListPublisher", "Removed",
			"https://node.example/1.0/identifiers/" + string(testID("seoul")) + "?versionId=1"},
		"/ko/verifiers/" + testID("bank").ID() + "/account-opening": {"성명", "생년월일", "만 19세 이상", "값 대신 결과만", "동의할 때만", "age_over_19"},
		"/en/check": {"dojang verify evidence FILE --trust trust.json", "convenience"},
	} {
		body := html.UnescapeString(get(t, s, path).Body.String())
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s does not show %q", path, w)
			}
		}
	}
	f := newFake()
	f.operation = Operation{}
	if body := get(t, newServer(t, f), "/en/operations/1220"+strings.Repeat("ab", 32)).Body.String(); !strings.Contains(body, "knows no such operation") {
		t.Error("an unknown operation is not said to be unknown")
	}
}

var placeholder = regexp.MustCompile(`\{[0-9]\}`)

// Every text has both languages, takes the same arguments in both, and is used.
func TestTexts(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{".", "pages"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() && !strings.HasPrefix(e.Name(), "texts") && !strings.HasSuffix(e.Name(), "_test.go") {
				raw, err := os.ReadFile(dir + "/" + e.Name())
				if err != nil {
					t.Fatal(err)
				}
				source.Write(raw)
			}
		}
	}
	made := regexp.MustCompile(`^(health|val|accr|class|code|ck|fact|err|use|kind|pr|change|step|tab|em|rd|key|param)\.`) // put together from a prefix and a state
	for key, x := range texts {
		if x.ko == "" || x.en == "" {
			t.Errorf("%s lacks a language", key)
		}
		for _, p := range placeholder.FindAllString(x.ko+x.en, -1) {
			if !strings.Contains(x.ko, p) || !strings.Contains(x.en, p) {
				t.Errorf("%s: %s stands in one language only", key, p)
			}
		}
		if !strings.Contains(source.String(), `"`+key+`"`) && !made.MatchString(key) {
			t.Errorf("%s is used nowhere", key)
		}
	}
}

// Text and its background differ enough in both colour schemes (WCAG 2.2, 1.4.3: 4.5 to 1).
func TestContrast(t *testing.T) {
	raw, err := os.ReadFile("assets/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, _ := strings.Cut(string(raw), "prefers-color-scheme: dark")
	for name, css := range map[string]string{"light": light, "dark": dark[:strings.Index(dark, "* {")]} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6})`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, p := range [][2]string{{"ink", "paper"}, {"ink", "card"}, {"quiet", "paper"}, {"quiet", "card"}, {"quiet", "nonebg"}, {"link", "paper"}, {"link", "card"},
			{"good", "goodbg"}, {"good", "card"}, {"bad", "badbg"}, {"bad", "card"}, {"mid", "midbg"}, {"mid", "card"}, {"seal", "paper"}, {"paper", "seal"}} {
			a, b := colours[p[0]], colours[p[1]]
			if a == 0 && b == 0 {
				t.Fatalf("%s: no colour %v", name, p)
			}
			if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < 4.5 {
				t.Errorf("%s: %s on %s is %.2f", name, p[0], p[1], ratio)
			}
		}
	}
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		t.Fatal(err)
	}
	var sum float64
	for i, weight := range []float64{.2126, .7152, .0722} {
		c := float64(n>>(16-8*i)&0xff) / 255
		if c <= .04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestNew(t *testing.T) {
	for _, cfg := range []Config{{}, {Source: newFake(), API: "node.example"}, {Source: newFake(), API: "javascript:alert(1)"}, {Source: newFake(), API: "https://x/y"}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%q was taken", cfg.API)
		}
	}
}
