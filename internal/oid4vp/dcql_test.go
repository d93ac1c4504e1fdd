package oid4vp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

const oneQuery = `{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":["v"]},"claims":[{"path":["x"]}]}`

func TestParseQueryRefused(t *testing.T) {
	repeat := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, ",")
	}
	claims := func(c string) string {
		return `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{},"claims":[` + c + `]}]}`
	}
	member := func(m string) string {
		return `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{},` + m + `}]}`
	}
	tests := []struct{ name, query string }{
		{"no credentials", `{}`},
		{"empty credentials", `{"credentials":[]}`},
		{"null", `null`},
		{"array", `[` + oneQuery + `]`},
		{"trailing data", `{"credentials":[` + oneQuery + `]} x`},
		{"duplicate member", `{"credentials":[` + oneQuery + `],"credentials":[` + oneQuery + `]}`},
		{"duplicate id", `{"credentials":[` + oneQuery + `,` + oneQuery + `]}`},
		{"no id", `{"credentials":[{"format":"dc+sd-jwt","meta":{}}]}`},
		{"id with a space", `{"credentials":[{"id":"a b","format":"dc+sd-jwt","meta":{}}]}`},
		{"id of 65 characters", `{"credentials":[{"id":"` + strings.Repeat("a", 65) + `","format":"dc+sd-jwt","meta":{}}]}`},
		{"no format", `{"credentials":[{"id":"a","meta":{}}]}`},
		{"no meta", `{"credentials":[{"id":"a","format":"dc+sd-jwt"}]}`},
		{"meta null", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":null}]}`},
		{"meta as array", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":[]}]}`},
		{"empty vct_values", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":[]}}]}`},
		{"vct_values as string", `{"credentials":[{"id":"a","format":"dc+sd-jwt","meta":{"vct_values":"v"}}]}`},
		{"empty type alternative", `{"credentials":[{"id":"a","format":"ldp_vc","meta":{"type_values":[[]]}}]}`},
		{"17 credentials", `{"credentials":[` + repeat(17, `{"id":"q%d","format":"dc+sd-jwt","meta":{}}`) + `]}`},
		{"empty claims", claims("")},
		{"65 claims", claims(repeat(65, `{"path":["c%d"]}`))},
		{"10 000 claims", claims(repeat(10000, `{"path":["c%d"]}`))},
		{"claim twice", claims(`{"path":["x"]},{"path":["x"]}`)},
		{"claim without path", claims(`{"id":"x"}`)},
		{"empty path", claims(`{"path":[]}`)},
		{"path of 17 steps", claims(`{"path":["a"` + strings.Repeat(`,"a"`, 16) + `]}`)},
		{"negative index", claims(`{"path":["a",-1]}`)},
		{"huge index", claims(`{"path":["a",1000000]}`)},
		{"long name", claims(`{"path":["` + strings.Repeat("a", 257) + `"]}`)},
		{"empty values", claims(`{"path":["x"],"values":[]}`)},
		{"fractional value", claims(`{"path":["x"],"values":[1.5]}`)},
		{"object value", claims(`{"path":["x"],"values":[{}]}`)},
		{"null value", claims(`{"path":["x"],"values":[null]}`)},
		{"long value", claims(`{"path":["x"],"values":["` + strings.Repeat("a", 1025) + `"]}`)},
		{"claim id twice", claims(`{"id":"i","path":["x"]},{"id":"i","path":["y"]}`)},
		{"mdoc path of one step", `{"credentials":[{"id":"a","format":"mso_mdoc","meta":{},"claims":[{"path":["ns"]}]}]}`},
		{"mdoc path with an index", `{"credentials":[{"id":"a","format":"mso_mdoc","meta":{},"claims":[{"path":["ns",0]}]}]}`},
		{"claim_sets without claims", member(`"claim_sets":[["a"]]`)},
		{"empty claim_sets", member(`"claims":[{"id":"i","path":["x"]}],"claim_sets":[]`)},
		{"empty claim set", member(`"claims":[{"id":"i","path":["x"]}],"claim_sets":[[]]`)},
		{"claim set of the unknown", member(`"claims":[{"id":"i","path":["x"]}],"claim_sets":[["j"]]`)},
		{"claim set with an id twice", member(`"claims":[{"id":"i","path":["x"]}],"claim_sets":[["i","i"]]`)},
		{"claim_sets and a claim without id", member(`"claims":[{"path":["x"]}],"claim_sets":[["i"]]`)},
		{"empty trusted authorities", member(`"trusted_authorities":[]`)},
		{"trusted authority without values", member(`"trusted_authorities":[{"type":"aki"}]`)},
		{"multiple as string", member(`"multiple":"true"`)},
		{"empty credential_sets", `{"credentials":[` + oneQuery + `],"credential_sets":[]}`},
		{"set without options", `{"credentials":[` + oneQuery + `],"credential_sets":[{}]}`},
		{"empty option", `{"credentials":[` + oneQuery + `],"credential_sets":[{"options":[[]]}]}`},
		{"option of the unknown", `{"credentials":[` + oneQuery + `],"credential_sets":[{"options":[["b"]]}]}`},
		{"too large", `{"x":"` + strings.Repeat("x", maxQueryBytes) + `","credentials":[` + oneQuery + `]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if q, err := ParseQuery([]byte(tt.query)); err == nil || !cmp.Equal(q, Query{}) && tt.name != "claim twice" {
				t.Fatalf("%+v, %v", q, err)
			}
		})
	}
	t.Run("a wallet ignores a claim asked for twice", func(t *testing.T) {
		var q Query
		if err := json.Unmarshal([]byte(claims(`{"path":["x"]},{"path":["x"]}`)), &q); err != nil {
			t.Fatal(err)
		}
		got, err := q.Choose([]Credential{{Format: FormatSDJWTVC, HolderBound: true, Claims: map[string]any{"x": 1.0}}}, false)
		if err != nil || len(got[0].Disclose) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("unknown members and formats are ignored", func(t *testing.T) {
		q, err := ParseQuery([]byte(`{"future":1,"credentials":[{"id":"a","format":"new","meta":{"x":1},"y":[]}]}`))
		if err != nil || len(q.Candidates([]Credential{{Format: "new", HolderBound: true}})) != 0 {
			t.Fatalf("%+v, %v", q, err)
		}
	})
}

func FuzzParseQuery(f *testing.F) {
	f.Add([]byte(`{"credentials":[` + oneQuery + `]}`))
	f.Add([]byte(`{"credentials":[{"id":"a","format":"mso_mdoc","meta":{"doctype_value":"d"},"claims":[{"id":"i","path":["n","e"],"values":[1,true,"x"]}],"claim_sets":[["i"]]}],"credential_sets":[{"options":[["a"]],"required":false}]}`))
	root := tree(f, arthur)
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := ParseQuery(data)
		if err != nil {
			return
		}
		raw, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseQuery(raw); err != nil && len(raw) <= maxQueryBytes {
			t.Fatalf("%s: %v", raw, err)
		}
		var held []Credential
		for _, c := range q.Credentials {
			held = append(held, Credential{Format: c.Format, Types: c.Meta.VCTValues, HolderBound: true, Claims: root})
		}
		_, _ = q.Choose(held, true)
	})
}
