package oid4vp

import (
	"errors"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// The example of OpenID4VP 1.0 7.3, with a few elements that no two fit.
const arthur = `{
  "name": "Arthur Dent",
  "address": {"street_address": "42 Market Street", "locality": "Milliways", "postal_code": "12345"},
  "degrees": [{"type": "Bachelor of Science", "university": "University of Betelgeuse"},
              {"type": "Master of Science", "university": "University of Betelgeuse"}],
  "nationalities": ["British", "Betelgeusian"],
  "mixed": [{"a": 1}, 5],
  "some": [{"a": 1}, {"b": 2}],
  "none": [],
  "nothing": null
}`

func tree(t testing.TB, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSelect(t *testing.T) {
	root := tree(t, arthur)
	tests := []struct {
		path string
		want []any
		err  error
	}{
		{`["name"]`, []any{"Arthur Dent"}, nil},
		{`["address"]`, []any{root["address"]}, nil},
		{`["address","street_address"]`, []any{"42 Market Street"}, nil},
		{`["degrees",null,"type"]`, []any{"Bachelor of Science", "Master of Science"}, nil},
		{`["nationalities",1]`, []any{"Betelgeusian"}, nil},
		{`["nationalities",null]`, []any{"British", "Betelgeusian"}, nil},
		{`["some",null,"a"]`, []any{1.0}, nil}, // an element without the key drops out
		{`["nothing"]`, []any{nil}, nil},
		{`["nationalities",2]`, nil, errPathEmpty},
		{`["none",null]`, nil, errPathEmpty},
		{`["missing"]`, nil, errPathEmpty},
		{`["missing","below"]`, nil, errPathEmpty},
		{`["name","below"]`, nil, errPathKind},
		{`["name",0]`, nil, errPathKind},
		{`["address",null]`, nil, errPathKind},
		{`["address",0]`, nil, errPathKind},
		{`["nationalities","0"]`, nil, errPathKind},
		{`["mixed",null,"a"]`, nil, errPathKind},
		{`["nothing","x"]`, nil, errPathKind},
		{`[null]`, nil, errPathKind},
		{`[]`, nil, errPathEmpty},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			var p Path
			if err := json.Unmarshal([]byte(tt.path), &p); err != nil {
				t.Fatal(err)
			}
			got, err := p.Select(root)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			var values []any
			for _, s := range got {
				values = append(values, s.Value)
				// The concrete path selects the same one element.
				if again, err := s.Path.Select(root); err != nil || len(again) != 1 || !cmp.Equal(again[0].Value, s.Value) {
					t.Fatalf("%v: %v", s.Path, err)
				}
			}
			if diff := cmp.Diff(tt.want, values); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestSelectSkipsUndisclosed(t *testing.T) {
	root := map[string]any{"n": []any{Undisclosed{}, "b"}}
	if got, err := (Path{Name("n"), All()}).Select(root); err != nil || len(got) != 1 || got[0].Value != "b" {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := (Path{Name("n"), Index(0)}).Select(root); !errors.Is(err, errPathEmpty) {
		t.Fatal(err)
	}
	if got, err := (Path{Name("n"), Index(1)}).Select(root); err != nil || got[0].Value != "b" {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestPathJSON(t *testing.T) {
	p := Path{Name("a\"b"), Index(0), All(), Name("null")}
	raw, err := json.Marshal(p)
	if err != nil || string(raw) != `["a\"b",0,null,"null"]` {
		t.Fatalf("%s, %v", raw, err)
	}
	var back Path
	if err := json.Unmarshal(raw, &back); err != nil || back.key() != p.key() {
		t.Fatalf("%v, %v", back, err)
	}
	if s := (Path{Name("a"), Name("b"), Index(0), Name("c"), All(), Name("d")}).String(); s != "a.b[0].c[].d" {
		t.Fatal(s)
	}
	for _, bad := range []string{`[-1]`, `[1.5]`, `[1e2]`, `[true]`, `[{}]`, `[["a"]]`, `"a"`, `[99999999999]`, `[01]`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Fatalf("%s accepted", bad)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{`["a",null,0]`, `[]`, `[-0]`, `["\ud800"]`, `["a",["b"]]`} {
		f.Add([]byte(s), []byte(arthur))
	}
	f.Fuzz(func(t *testing.T, raw, document []byte) {
		var p Path
		if json.Unmarshal(raw, &p) != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Path
		if err := json.Unmarshal(again, &q); err != nil || p.key() != q.key() {
			t.Fatalf("%s became %s", raw, again)
		}
		_ = p.String()
		var root any
		if json.Unmarshal(document, &root) != nil {
			return
		}
		if got, err := p.Select(root); (err == nil) != (len(got) > 0) {
			t.Fatalf("%v, %v", got, err)
		}
	})
}
