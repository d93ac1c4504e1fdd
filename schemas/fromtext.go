package schemas

import (
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// FromText turns fields of text (a CSV row, an SQL row read as text), keyed by claim path, into claims of the types that
// the schema wants. "address.region" nests; an array of texts is separated by ";"; an empty field is an absent claim.
// Booleans are true or false, numbers are decimal integers without leading zeros. Fields of unknown paths, arrays of
// objects and texts that do not read as the wanted type are violations (unknown, reserved, forbidden, type); the rest is
// for Validate.
func (t *Type) FromText(fields map[string]string) (map[string]any, []Violation) {
	v := validation{t: t, bad: make(map[string]bool)}
	claims := make(map[string]any)
	for p, field := range fields {
		if field == "" {
			continue
		}
		schema := t.schemaAt(p)
		if schema == nil {
			v.issuable(map[string]any{top(p): field})
			if !v.bad[top(p)] {
				v.addUnknown("", p)
			}
			continue
		}
		value, ok := fromText(field, schema)
		if !ok {
			v.add(p, "type", Text{"값의 종류가 맞지 않습니다.", "is of the wrong type"})
			continue
		}
		put(claims, p, value)
	}
	return claims, v.sorted()
}

// schemaAt is the schema of a dotted path; nil when the type does not know it or a record may not set it.
func (t *Type) schemaAt(p string) *jsonschema.Schema {
	s := t.compiled
	for part := range strings.SplitSeq(p, ".") {
		for s.Ref != nil {
			s = s.Ref
		}
		if s = s.Properties[part]; s == nil {
			return nil
		}
	}
	for s.Ref != nil {
		s = s.Ref
	}
	return s
}

func fromText(field string, s *jsonschema.Schema) (any, bool) {
	var kinds []string
	if s.Types != nil {
		kinds = s.Types.ToStrings()
	}
	switch {
	case slices.Contains(kinds, "object"):
		return nil, false
	case slices.Contains(kinds, "array"):
		if s.Items2020 == nil {
			return nil, false
		}
		var out []any
		for part := range strings.SplitSeq(field, ";") {
			item, ok := fromText(strings.TrimSpace(part), s.Items2020)
			if !ok {
				return nil, false
			}
			out = append(out, item)
		}
		return out, true
	case slices.Contains(kinds, "boolean"):
		return field == "true", field == "true" || field == "false"
	case slices.Contains(kinds, "integer"), s.Enum != nil && !slices.ContainsFunc(s.Enum.Values, isText):
		n, err := strconv.ParseInt(field, 10, 64)
		return n, err == nil && strconv.FormatInt(n, 10) == field
	}
	return field, true
}

func isText(v any) bool {
	_, ok := v.(string)
	return ok
}

// put sets a dotted path; the objects on the way are made here and belong to nobody else.
func put(claims map[string]any, p string, value any) {
	first, rest, nested := strings.Cut(p, ".")
	if !nested {
		claims[first] = value
		return
	}
	inner, ok := claims[first].(map[string]any)
	if !ok {
		inner = make(map[string]any)
		claims[first] = inner
	}
	put(inner, rest, value)
}
