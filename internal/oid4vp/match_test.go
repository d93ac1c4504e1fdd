package oid4vp

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func query(t testing.TB, text string) Query {
	t.Helper()
	q, err := ParseQuery([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

const adult = `{"credentials":[{"id":"id","format":"dc+sd-jwt","meta":{"vct_values":["urn:dojang:kr:resident-id:1"]},
	"trusted_authorities":[{"type":"aki","values":["AAA"]},{"type":"etsi_tl","values":["https://l.example"]}],
	"claims":[{"path":["age_over","19"],"values":[true]},{"path":["nationalities",null],"values":["KR"]},{"path":["level"],"values":[3]}]}]}`

func resident(change func(*Credential)) Credential {
	c := Credential{
		ID: "r1", Format: FormatSDJWTVC, Types: []string{"urn:dojang:kr:resident-id:1"}, HolderBound: true,
		Claims: map[string]any{
			"age_over": map[string]any{"19": true, "65": false}, "nationalities": []any{"US", "KR"}, "level": 3.0, "name": "한가온",
		},
		Trusted: func(a TrustedAuthority) bool {
			return a.Type == AuthorityETSI && slices.Contains(a.Values, "https://l.example")
		},
	}
	if change != nil {
		change(&c)
	}
	return c
}

func TestMatch(t *testing.T) {
	q := query(t, adult)
	tests := []struct {
		name   string
		change func(*Credential)
		ok     bool
	}{
		{"fits", nil, true},
		{"a type that extends the wanted one", func(c *Credential) { c.Types = []string{"urn:x", "urn:dojang:kr:resident-id:1"} }, true},
		{"level as int64", func(c *Credential) { c.Claims["level"] = int64(3) }, true},
		{"D24 another vct", func(c *Credential) { c.Types = []string{"urn:dojang:kr:customs-identity:1"} }, false},
		{"D24 another format", func(c *Credential) { c.Format = FormatMdoc }, false},
		{"D24 another issuer than trusted_authorities", func(c *Credential) { c.Trusted = func(TrustedAuthority) bool { return false } }, false},
		{"D24 nothing known of the issuer", func(c *Credential) { c.Trusted = nil }, false},
		{"D24 boolean value does not match", func(c *Credential) { c.Claims["age_over"] = map[string]any{"19": false} }, false},
		{"D24 text instead of boolean", func(c *Credential) { c.Claims["age_over"] = map[string]any{"19": "true"} }, false},
		{"D24 number instead of boolean", func(c *Credential) { c.Claims["age_over"] = map[string]any{"19": 1.0} }, false},
		{"D24 text instead of number", func(c *Credential) { c.Claims["level"] = "3" }, false},
		{"D24 another number", func(c *Credential) { c.Claims["level"] = 4.0 }, false},
		{"D24 fraction", func(c *Credential) { c.Claims["level"] = 3.5 }, false},
		{"D24 no array element matches", func(c *Credential) { c.Claims["nationalities"] = []any{"US"} }, false},
		{"D24 missing claim", func(c *Credential) { delete(c.Claims, "level") }, false},
		{"D24 missing array", func(c *Credential) { delete(c.Claims, "nationalities") }, false},
		{"no holder binding", func(c *Credential) { c.HolderBound = false }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := resident(tt.change)
			err := q.Satisfied(map[string][]Credential{"id": {c}})
			answers, chooseErr := q.Choose([]Credential{c}, false)
			if tt.ok {
				want := []Path{Names("age_over", "19"), {Name("nationalities"), Index(1)}, Names("level")}
				if err != nil || chooseErr != nil || !cmp.Equal(want, answers[0].Disclose, cmp.AllowUnexported(Step{})) {
					t.Fatalf("%v, %v, %v", err, chooseErr, answers)
				}
				return
			}
			if !errors.Is(err, ErrUnsatisfied) || !errors.Is(chooseErr, ErrUnsatisfied) || answers != nil {
				t.Fatalf("verifier %v, wallet %v, %v", err, chooseErr, answers)
			}
		})
	}
	t.Run("D24 another docType", func(t *testing.T) {
		q := query(t, `{"credentials":[{"id":"m","format":"mso_mdoc","meta":{"doctype_value":"kr.dojang.residentid.1"},"claims":[{"path":["kr.dojang.residentid.1","age_over_19"]}]}]}`)
		c := Credential{Format: FormatMdoc, Types: []string{"kr.dojang.residentid.1"}, HolderBound: true,
			Claims: map[string]any{"kr.dojang.residentid.1": map[string]any{"age_over_19": true}}}
		if err := q.Satisfied(map[string][]Credential{"m": {c}}); err != nil {
			t.Fatal(err)
		}
		c.Types = []string{"org.iso.18013.5.1.mDL"}
		if err := q.Satisfied(map[string][]Credential{"m": {c}}); !errors.Is(err, ErrUnsatisfied) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("W3C types: all of one alternative", func(t *testing.T) {
		q := query(t, `{"credentials":[{"id":"w","format":"ldp_vc","meta":{"type_values":[["A","B"],["C"]]}}]}`)
		for types, want := range map[string]bool{"A": false, "A B X": true, "C": true, "X": false} {
			err := q.Satisfied(map[string][]Credential{"w": {{Format: FormatLDPVC, Types: splitWords(types), HolderBound: true}}})
			if (err == nil) != want {
				t.Fatalf("%s: %v", types, err)
			}
		}
	})
}

func splitWords(s string) []string {
	var out []string
	for _, f := range []byte(s) {
		if f != ' ' {
			out = append(out, string(f))
		}
	}
	return out
}

func TestClaimSets(t *testing.T) {
	q := query(t, `{"credentials":[{"id":"id","format":"dc+sd-jwt","meta":{},"claims":[{"id":"over","path":["age_over"]},{"id":"birth","path":["birthdate"]},{"id":"name","path":["name"]}],
		"claim_sets":[["over","name"],["birth"]]}]}`)
	held := func(claims ...string) Credential {
		c := Credential{Format: FormatSDJWTVC, HolderBound: true, Claims: map[string]any{}}
		for _, n := range claims {
			c.Claims[n] = "x"
		}
		return c
	}
	tests := []struct {
		name string
		held []string
		want []Path
	}{
		{"first option", []string{"age_over", "name", "birthdate"}, []Path{Names("age_over"), Names("name")}},
		{"second option", []string{"age_over", "birthdate"}, []Path{Names("birthdate")}},
		{"no option", []string{"age_over"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := q.Choose([]Credential{held(tt.held...)}, false)
			if tt.want == nil {
				if !errors.Is(err, ErrUnsatisfied) {
					t.Fatal(err)
				}
				return
			}
			if err != nil || !cmp.Equal(tt.want, got[0].Disclose, cmp.AllowUnexported(Step{})) {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
	t.Run("no claims: nothing is disclosed", func(t *testing.T) {
		q := query(t, `{"credentials":[{"id":"id","format":"dc+sd-jwt","meta":{}}]}`)
		got, err := q.Choose([]Credential{held("age_over")}, false)
		if err != nil || len(got[0].Disclose) != 0 {
			t.Fatalf("%v, %v", got, err)
		}
	})
}

func TestCredentialSets(t *testing.T) {
	card := func(format string) Credential {
		return Credential{ID: format, Format: FormatSDJWTVC, Types: []string{format}, HolderBound: true}
	}
	one := func(id string) string {
		return `{"id":"` + id + `","format":"dc+sd-jwt","meta":{"vct_values":["` + id + `"]}}`
	}
	q := query(t, `{"credentials":[`+one("pid")+`,`+one("r1")+`,`+one("r2")+`,`+one("nice")+`],
		"credential_sets":[{"options":[["pid"],["r1","r2"]]},{"required":false,"options":[["nice"]]}]}`)
	tests := []struct {
		name     string
		held     []string
		optional bool
		want     []string // query ids; nil: unsatisfied
	}{
		{"first option", []string{"r1", "r2", "pid"}, false, []string{"pid"}},
		{"second option", []string{"r1", "r2"}, false, []string{"r1", "r2"}},
		{"half of an option", []string{"r1"}, false, nil},
		{"optional left out", []string{"pid", "nice"}, false, []string{"pid"}},
		{"optional wanted", []string{"pid", "nice"}, true, []string{"pid", "nice"}},
		{"optional wanted and missing", []string{"pid"}, true, []string{"pid"}},
		{"only the optional one", []string{"nice"}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var held []Credential
			for _, h := range tt.held {
				held = append(held, card(h))
			}
			got, err := q.Choose(held, tt.optional)
			var ids []string
			for _, a := range got {
				ids = append(ids, a.QueryID)
			}
			if !slices.Equal(ids, tt.want) || (err == nil) != (tt.want != nil) {
				t.Fatalf("%v, %v", ids, err)
			}
		})
	}
	satisfied := func(ids ...string) error {
		presented := map[string][]Credential{}
		for _, id := range ids {
			presented[id] = append(presented[id], card(id))
		}
		return q.Satisfied(presented)
	}
	t.Run("D27 only the optional set answered", func(t *testing.T) {
		if err := satisfied("nice"); !errors.Is(err, ErrUnsatisfied) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("D27 half of an option and the optional set", func(t *testing.T) {
		if err := satisfied("r1", "nice"); !errors.Is(err, ErrUnsatisfied) {
			t.Fatalf("got %v", err)
		}
	})
	for _, ids := range [][]string{{"pid"}, {"r1", "r2"}, {"pid", "nice"}} {
		if err := satisfied(ids...); err != nil {
			t.Fatalf("%v: %v", ids, err)
		}
	}
	for _, ids := range [][]string{nil, {"pid", "pid"}, {"pid", "unknown"}} {
		if err := satisfied(ids...); !errors.Is(err, ErrUnsatisfied) {
			t.Fatalf("%v: %v", ids, err)
		}
	}
	if err := q.Satisfied(map[string][]Credential{"pid": {card("pid")}, "r1": {card("r2")}}); !errors.Is(err, ErrUnsatisfied) {
		t.Fatalf("a bad extra presentation: %v", err)
	}
	if err := q.Satisfied(map[string][]Credential{"pid": {card("pid")}, "r1": {}}); !errors.Is(err, ErrUnsatisfied) {
		t.Fatalf("an empty list: %v", err)
	}
	t.Run("every one of multiple must fit", func(t *testing.T) {
		q := query(t, `{"credentials":[{"id":"pid","multiple":true,"format":"dc+sd-jwt","meta":{"vct_values":["pid"]}}]}`)
		if err := q.Satisfied(map[string][]Credential{"pid": {card("pid"), card("pid")}}); err != nil {
			t.Fatal(err)
		}
		if err := q.Satisfied(map[string][]Credential{"pid": {card("pid"), card("x")}}); !errors.Is(err, ErrUnsatisfied) {
			t.Fatalf("got %v", err)
		}
		if got := q.Candidates([]Credential{card("pid"), card("x"), card("pid")}); len(got["pid"]) != 2 || got["pid"][1].Index != 2 {
			t.Fatalf("%+v", got)
		}
	})
}

func TestRequested(t *testing.T) {
	c := query(t, `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{},"claims":[{"path":["name"]},{"path":["degrees",null,"type"]},
		{"path":["nationalities",1]},{"path":["address","locality"]},{"path":["missing"]}]}]}`).Credentials[0]
	got := c.Requested(tree(t, arthur))
	want := tree(t, `{"name":"Arthur Dent","degrees":[{"type":"Bachelor of Science"},{"type":"Master of Science"}],
		"nationalities":["Betelgeusian"],"address":{"locality":"Milliways"}}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if got := (CredentialQuery{}).Requested(tree(t, arthur)); got == nil || len(got) != 0 {
		t.Fatalf("%v", got)
	}
}

// reveal is what a verifier sees of a credential of which only these paths were disclosed.
func reveal(v any, paths []Path) any {
	for _, p := range paths {
		if len(p) == 0 {
			return v
		}
	}
	below := func(s Step) []Path {
		var out []Path
		for _, p := range paths {
			if p[0] == s {
				out = append(out, p[1:])
			}
		}
		return out
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, sub := range v {
			if next := below(Name(k)); next != nil {
				out[k] = reveal(sub, next)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, sub := range v {
			out[i] = Undisclosed{}
			if next := below(Index(i)); next != nil {
				out[i] = reveal(sub, next)
			}
		}
		return out
	}
	return v
}

var names = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func drawTree(t *rapid.T, depth int) any {
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = rapid.IntRange(2, 5).Draw(t, "leaf")
	}
	switch kind {
	case 0:
		return drawObject(t, depth-1)
	case 1:
		out := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			out = append(out, drawTree(t, depth-1))
		}
		return out
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return float64(rapid.IntRange(0, 2).Draw(t, "number"))
	case 4:
		return nil
	}
	return names.Draw(t, "text")
}

func drawObject(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		out[names.Draw(t, "name")] = drawTree(t, depth)
	}
	return out
}

func drawPath(t *rapid.T) Path {
	p := Path{Name(names.Draw(t, "first"))}
	for range rapid.IntRange(0, 2).Draw(t, "steps") {
		p = append(p, rapid.SampledFrom([]Step{All(), Index(0), Index(1), Name("a"), Name("b")}).Draw(t, "step"))
	}
	return p
}

func drawQuery(t *rapid.T) Query {
	var q Query
	for i := range rapid.IntRange(1, 3).Draw(t, "credentials") {
		c := CredentialQuery{ID: fmt.Sprintf("q%d", i), Format: FormatSDJWTVC, Multiple: rapid.Bool().Draw(t, "multiple")}
		if rapid.Bool().Draw(t, "typed") {
			c.Meta.VCTValues = []string{names.Draw(t, "vct")}
		}
		for j := range rapid.IntRange(0, 4).Draw(t, "claims") {
			claim := ClaimsQuery{ID: fmt.Sprintf("c%d", j), Path: drawPath(t)}
			if rapid.IntRange(0, 3).Draw(t, "restricted") == 0 {
				claim.Values = Values{rapid.SampledFrom([]any{"a", true, int64(1)}).Draw(t, "value")}
			}
			c.Claims = append(c.Claims, claim)
		}
		if len(c.Claims) > 0 && rapid.Bool().Draw(t, "sets") {
			for range rapid.IntRange(1, 3).Draw(t, "claim sets") {
				c.ClaimSets = append(c.ClaimSets, drawSubset(t, len(c.Claims), "c"))
			}
		}
		q.Credentials = append(q.Credentials, c)
	}
	for range rapid.IntRange(0, 2).Draw(t, "credential sets") {
		s := CredentialSetQuery{Options: [][]string{drawSubset(t, len(q.Credentials), "q"), drawSubset(t, len(q.Credentials), "q")}}
		if rapid.Bool().Draw(t, "optional") {
			s.Required = new(bool)
		}
		q.CredentialSets = append(q.CredentialSets, s)
	}
	return q
}

func drawSubset(t *rapid.T, n int, prefix string) []string {
	var out []string
	for i := range n {
		if rapid.Bool().Draw(t, "in") {
			out = append(out, fmt.Sprintf("%s%d", prefix, i))
		}
	}
	if out == nil {
		out = []string{prefix + "0"}
	}
	return out
}

// Whatever a wallet chooses satisfies the verifier who sees only what was disclosed, and no path is disclosed in vain.
func TestChoiceSatisfiesVerifier(t *testing.T) {
	satisfied := 0
	rapid.Check(t, func(t *rapid.T) {
		q := drawQuery(t)
		if err := q.check(); err != nil {
			t.Fatal(err)
		}
		var held []Credential
		for i := range rapid.IntRange(0, 4).Draw(t, "held") {
			held = append(held, Credential{ID: fmt.Sprint(i), Format: FormatSDJWTVC, Types: []string{names.Draw(t, "type")},
				HolderBound: rapid.IntRange(0, 4).Draw(t, "bound") > 0, Claims: drawObject(t, 2)})
		}
		answers, err := q.Choose(held, rapid.Bool().Draw(t, "want optional"))
		if err != nil {
			return
		}
		satisfied++
		presented := map[string][]Credential{}
		for _, a := range answers {
			seen := held[a.Index]
			seen.Claims = reveal(seen.Claims, a.Disclose).(map[string]any)
			presented[a.QueryID] = append(presented[a.QueryID], seen)
			c, _ := q.Find(a.QueryID)
			if again, err := c.match(seen); err != nil || !cmp.Equal(again, a.Disclose, cmp.AllowUnexported(Step{})) {
				t.Fatalf("the verifier sees %v (%v), the wallet disclosed %v", again, err, a.Disclose)
			}
		}
		if err := q.Satisfied(presented); err != nil {
			t.Fatal(err)
		}
	})
	if satisfied == 0 {
		t.Fatal("no draw was satisfiable: the test shows nothing")
	}
}
