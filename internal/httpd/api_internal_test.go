package httpd

import "testing"

// deep never lets a document through that nests deeper than it says, and unmarshal never panics.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{"a":[1,"]\"["]}`, `"\`, `"`, `[[[`, `{"a":{"b":"}"}}`, "", `"\\"[`, `]]]]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		if unmarshal(data, &v) != nil {
			return
		}
		if d := nesting(v); d > maxDepth {
			t.Fatalf("accepted depth %d", d)
		}
	})
}

func nesting(v any) (d int) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			d = max(d, nesting(e))
		}
		return d + 1
	case map[string]any:
		for _, e := range x {
			d = max(d, nesting(e))
		}
		return d + 1
	}
	return 0
}
