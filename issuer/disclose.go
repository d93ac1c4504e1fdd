package issuer

import (
	"math"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/schemas"
)

// sdClaims turns validated claims into what the format signs: in the order of the type, each path disclosable as the
// type metadata says. Every copy shares them; salts are drawn per copy.
func sdClaims(typ *schemas.Type, claims map[string]any) ([]sdjwt.Claim, error) {
	s := shaper{typ: typ}
	out := s.members("", claims)
	if s.err != nil {
		return nil, s.err
	}
	if count(out) != leaves(claims) { // the type knows every name: Validate said so
		return nil, &ClaimsError{[]Violation{{Rule: "unknown"}}}
	}
	return out, nil
}

type shaper struct {
	typ *schemas.Type
	err error
}

// members of the object at prefix ("" or ending in a dot), in the order of the type's claims.
func (s *shaper) members(prefix string, object map[string]any) []sdjwt.Claim {
	out := make([]sdjwt.Claim, 0, len(object))
	for _, c := range s.typ.Claims {
		name, ok := childOf(c.Path, prefix)
		if !ok || c.Class == schemas.Never || c.Reserved {
			continue
		}
		if v, ok := object[name]; ok {
			out = append(out, sdjwt.Claim{Name: name, Value: s.value(c.Path, v), SD: s.typ.Disclosable(c.Path)})
		}
	}
	return out
}

func (s *shaper) value(path string, v any) sdjwt.Value {
	switch v := v.(type) {
	case string:
		return sdjwt.Text(v)
	case bool:
		return sdjwt.Flag(v)
	case int:
		return sdjwt.Int(int64(v))
	case int64:
		return sdjwt.Int(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return sdjwt.Int(int64(v))
		}
	case map[string]any:
		return sdjwt.ObjectOf(s.members(path+".", v)...)
	case []any:
		elements := make([]sdjwt.Element, len(v))
		for i, e := range v {
			elements[i] = sdjwt.Element{Value: s.value(path+"[]", e), SD: s.typ.Disclosable(path + "[]")}
		}
		return sdjwt.ArrayOf(elements...)
	}
	if s.err == nil {
		s.err = &ClaimsError{[]Violation{{Claim: path, Rule: "type"}}}
	}
	return sdjwt.Value{}
}

// childOf is the name of path directly under prefix.
func childOf(path, prefix string) (string, bool) {
	if len(path) <= len(prefix) || path[:len(prefix)] != prefix {
		return "", false
	}
	name := path[len(prefix):]
	for i := range len(name) {
		if name[i] == '.' || name[i] == '[' {
			return "", false
		}
	}
	return name, true
}

// count and leaves compare what went in with what came out.
func count(claims []sdjwt.Claim) int {
	n := 0
	for _, c := range claims {
		n += countValue(c.Value)
	}
	return n
}

func countValue(v sdjwt.Value) int {
	switch v.Kind() {
	case sdjwt.Object:
		return 1 + count(v.Members())
	case sdjwt.Array:
		n := 1
		for _, e := range v.Elements() {
			n += countValue(e.Value)
		}
		return n
	}
	return 1
}

func leaves(object map[string]any) int {
	n := 0
	for _, x := range object {
		n += leavesOf(x)
	}
	return n
}

func leavesOf(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return 1 + leaves(v)
	case []any:
		n := 1
		for _, x := range v {
			n += leavesOf(x)
		}
		return n
	}
	return 1
}
