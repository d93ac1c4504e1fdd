package verifier_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/verifier"
	"github.com/dojang-id/dojang/verifier/verifiertest"
)

func TestBuiltinPolicies(t *testing.T) {
	all, err := verifier.BuiltinPolicies(map[string]map[string]string{"youth-support": {"round": "2027-1"}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range all {
		names = append(names, p.Name())
	}
	if got := strings.Join(names, " "); got != "adult-check youth-support" {
		t.Errorf("policies %q", got)
	}
	if all[1].Digest() == policy(t, "youth-support").Digest() {
		t.Error("another round, the same digest")
	}
}

func TestYouthSupport(t *testing.T) {
	rows := []struct {
		name     string
		claim    sdjwt.Claim
		status   statuslist.Status
		code     verifier.Code
		reason   verifier.Reason
		detail   string
		disclose bool
	}{
		{name: "eligible", code: verifier.Valid, disclose: true},
		{name: "not eligible", claim: sdjwt.Claim{Name: "eligible", Value: sdjwt.Flag(false)}, code: verifier.PolicyFailed, reason: verifier.ReasonQuery, detail: "ELIGIBLE", disclose: true},
		{name: "last round", claim: sdjwt.Claim{Name: "round", Value: sdjwt.Text("2026-1")}, code: verifier.PolicyFailed, reason: verifier.ReasonQuery, detail: "ROUND", disclose: true},
		{name: "lives elsewhere", claim: sdjwt.Claim{Name: "resident_sido_code", Value: sdjwt.Text("41"), SD: true}, code: verifier.PolicyFailed, reason: verifier.ReasonQuery, detail: "RESIDENCE", disclose: true},
		{name: "residence kept back", code: verifier.PolicyFailed, reason: verifier.ReasonQuery, detail: "CLAIMS"},
		{name: "needs renewal, which this policy does not take", status: statuslist.NeedsRenewal, code: verifier.NeedsRenewal, reason: verifier.ReasonNeedsRenewal, detail: renewal(verifiertest.YouthEligibility), disclose: true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := verifiertest.New()
			claims := verifiertest.Youth()
			if row.claim.Name != "" {
				claims = verifiertest.With(claims, row.claim)
			}
			held := w.Seoul.Issue(claims, nil)
			w.Seoul.SetStatus(held.Index, row.status)
			text := held.Present(audience, nonce)
			if row.disclose {
				text = held.Present(audience, nonce, "resident_sido_code")
			}
			j, err := newVerifier(t, w.Config()).Judge(context.Background(), verifier.Submission{Presentations: map[string][]string{"youth": {text}}},
				policy(t, "youth-support"), verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
			if err != nil {
				t.Fatal(err)
			}
			want(t, j, row.code, row.reason)
			if j.Detail != row.detail {
				t.Errorf("detail %q, want %q", j.Detail, row.detail)
			}
		})
	}
}

func renewal(vct string) string {
	if vct == verifiertest.YouthEligibility {
		return "PENDING_CHANGE"
	}
	return "ADDRESS"
}

const twoCredentials = `
name: both
version: 1
title: {ko: 둘, en: Both}
purpose: BOTH
registry_max_age: 72h
same_holder: SAME
credentials:
  - id: resident
    types: ["urn:dojang:kr:resident-id:1"]
    claims: [[resident_sido_code]]
    status: {required: true, max_age: 72h, accept: [VALID]}
  - id: youth
    types: ["urn:dojang:kr:youth-eligibility:1"]
    claims: [[resident_sido_code]]
    status: {required: true, max_age: 72h, accept: [VALID]}
`

func TestCombinedPresentations(t *testing.T) {
	w := verifiertest.New()
	v := newVerifier(t, w.Config())
	pol := func(rule string) *verifier.Policy {
		p, err := verifier.ParsePolicy([]byte(strings.Replace(twoCredentials, "SAME", rule, 1)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	byKey, byClaim := pol("{by: key}"), pol("{by: claims, claims: [resident_sido_code]}")
	a := w.Gaon.Issue(verifiertest.Resident(), nil)
	same := w.Seoul.IssueTo(a.Holder, verifiertest.Youth(), nil)
	other := w.Seoul.Issue(verifiertest.Youth(), nil)
	elsewhere := w.Seoul.Issue(verifiertest.With(verifiertest.Youth(), sdjwt.Claim{Name: "resident_sido_code", Value: sdjwt.Text("41"), SD: true}), nil)
	show := func(h *verifiertest.Held) []string { return []string{h.Present(audience, nonce, "resident_sido_code")} }
	rows := []struct {
		name   string
		policy *verifier.Policy
		sent   map[string][]string
		code   verifier.Code
		reason verifier.Reason
	}{
		{"same key", byKey, map[string][]string{"resident": show(a), "youth": show(same)}, verifier.Valid, ""},
		{"D28 two holders' keys", byKey, map[string][]string{"resident": show(a), "youth": show(other)}, verifier.ClaimMixDetected, verifier.ReasonClaimMix},
		{"claims agree", byClaim, map[string][]string{"resident": show(a), "youth": show(other)}, verifier.Valid, ""},
		{"D28 claims that name the holder differ", byClaim, map[string][]string{"resident": show(a), "youth": show(elsewhere)}, verifier.ClaimMixDetected, verifier.ReasonClaimMix},
		{"D28 claim that names the holder kept back", byClaim, map[string][]string{"resident": show(a), "youth": {other.Present(audience, nonce)}}, verifier.ClaimMixDetected, verifier.ReasonClaimMix},
		{"D27 only one of two answered", byKey, map[string][]string{"resident": show(a)}, verifier.PolicyFailed, verifier.ReasonQuery},
		{"lowest code of two faults", byKey, map[string][]string{"resident": {corrupt(show(a)[0])}, "youth": {other.Bare("resident_sido_code")}}, verifier.SignatureInvalid, verifier.ReasonSignature},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			j, err := v.Judge(context.Background(), verifier.Submission{Presentations: row.sent}, row.policy, verifier.Expect{Audience: audience, Nonce: nonce, Now: w.Clock.Now()})
			if err != nil {
				t.Fatal(err)
			}
			want(t, j, row.code, row.reason)
		})
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	good := string(policy(t, "adult-check").Source())
	many := strings.Repeat("      - [age_over_19]\n", 10_000)
	rows := []struct{ name, from, to string }{
		{"unknown key", "version: 1", "version: 1\nstatus_max_ages: 1h"},
		{"doubled key", "version: 1", "version: 1\nversion: 2"},
		{"no version", "version: 1", "version: 0"},
		{"bad name", "name: adult-check", "name: ../adult"},
		{"no title", "ko: 성인 확인", "ko: ''"},
		{"no registry age", "registry_max_age: 72h", "registry_max_age: 0s"},
		{"no status age", "max_age: 72h\n      accept", "accept"},
		{"revoked accepted", "NEEDS_RENEWAL", "REVOKED"},
		{"rule that is no condition", "claims.resident.age_over_19 == true", "params.size()"},
		{"rule with an unknown name", "claims.resident", "secrets.resident"},
		{"criterion without a name", "name: AGE", "name: age"},
		{"unknown age rule", "BIRTHDAY", "LUNAR"},
		{"second document", "criteria:", "---\ncriteria:"},
		{"D37 ten thousand claims", "      - [age_over_19]\n", many},
		{"D37 deep path", "[age_over_19]", "[" + strings.Repeat("a,", 40) + "a]"},
		{"D37 doubled id", "criteria:", "  - {id: resident, types: [x], claims: [[a]], status: {max_age: 1h, accept: [VALID]}}\ncriteria:"},
		{"D28 two credentials and no rule about the holder", "criteria:", "  - {id: other, types: [x], claims: [[a]], status: {max_age: 1h, accept: [VALID]}}\ncriteria:"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			text := strings.Replace(good, row.from, row.to, 1)
			if text == good {
				t.Fatal("nothing was bent")
			}
			if p, err := verifier.ParsePolicy([]byte(text), nil); err == nil || p != nil {
				t.Fatalf("accepted as %v", p)
			}
		})
	}
	if _, err := verifier.ParsePolicy([]byte(good), map[string]string{"round": "1"}); err == nil {
		t.Error("a param that the policy does not declare was accepted")
	}
}

func FuzzParsePolicy(f *testing.F) {
	for _, name := range []string{"adult-check", "youth-support"} {
		f.Add(policy(f, name).Source())
	}
	f.Add([]byte(twoCredentials))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := verifier.ParsePolicy(text, nil)
		if (p == nil) == (err == nil) {
			t.Fatal("a policy and an error, or neither")
		}
	})
}

// TestLibrary: importing package verifier brings no store, engine or web framework, and its face names no internal type.
func TestLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/dojang-id/dojang/verifier").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"github.com/redis/", "github.com/danielgtaylor/huma", "github.com/cometbft/", "modernc.org/sqlite", "github.com/jackc/pgx", "database/sql"} {
		for dep := range strings.FieldsSeq(string(out)) {
			if strings.HasPrefix(dep, heavy) {
				t.Errorf("package verifier pulls in %s", dep)
			}
		}
	}
	files, err := parser.ParseDir(token.NewFileSet(), ".", func(i fs.FileInfo) bool { return !strings.HasSuffix(i.Name(), "_test.go") }, 0) //nolint:staticcheck // one package, no build tags
	if err != nil {
		t.Fatal(err)
	}
	internal := map[string]bool{"keys": true, "sdjwt": true, "statuslist": true, "oid4vp": true, "oauth": true, "jsontext": true}
	for _, file := range files["verifier"].Files {
		for _, decl := range file.Decls {
			checkFace(t, decl, internal)
		}
	}
}

func checkFace(t *testing.T, decl ast.Decl, internal map[string]bool) {
	t.Helper()
	complain := func(where string, n ast.Node) {
		if n == nil {
			return
		}
		ast.Inspect(n, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && internal[x.Name] {
					t.Errorf("%s names %s.%s", where, x.Name, s.Sel.Name)
				}
			}
			return true
		})
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
			complain(d.Name.Name, d.Type)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
				checkType(s, complain)
			}
		}
	}
}

func checkType(s *ast.TypeSpec, complain func(string, ast.Node)) {
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		complain(s.Name.Name, s.Type)
		return
	}
	for _, f := range st.Fields.List {
		for _, name := range f.Names {
			if name.IsExported() {
				complain(s.Name.Name+"."+name.Name, f.Type)
			}
		}
	}
}

func exportedReceiver(r *ast.FieldList) bool {
	typ := r.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}
