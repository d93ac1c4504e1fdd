package schemas

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A Violation names the claim and the rule that it breaks, in words. It never holds a value.
type Violation struct {
	Claim string // path; "" for a name that the type does not know and that is not safe to repeat
	Rule  string // see README, "Rules": required, unknown, reserved, forbidden, null, type, pattern, … or a cross-field rule
	Text  Text   // one sentence, label of the claim first
}

// Bounds on one record.
const (
	maxDepth  = 8
	maxNodes  = 500 // of one claim
	maxString = 96 << 10
)

// Validate judges the claims of a record (the signing step adds the reserved ones: vct, iss, iat, nbf, exp, cnf,
// status). Values are what a JSON decoder yields: string, bool, numbers, []any, map[string]any.
// No violation means: may be signed. Order: claims as in the type, unknown names last.
func (t *Type) Validate(claims map[string]any) []Violation {
	v := validation{t: t, bad: make(map[string]bool)}
	v.issuable(claims)
	clean := make(map[string]any, len(claims))
	for name, value := range claims {
		if v.bad[name] {
			continue
		}
		v.nodes = 0
		if c, ok := v.copy(name, value, 1); ok {
			clean[name] = c
		}
	}
	v.againstSchema(clean)
	for _, r := range t.rules {
		if !v.touches(r) && r.broken(t, clean) {
			kind, _ := ruleKindOf(r.Rule)
			v.add(r.Claim, r.Rule, t.ruleText(r, kind.text))
		}
	}
	return v.sorted()
}

// CheckIssuable reports what no record may put into a credential of this type: class X, reserved and unknown names.
// It is the first part of Validate.
func (t *Type) CheckIssuable(claims map[string]any) []Violation {
	v := validation{t: t, bad: make(map[string]bool)}
	v.issuable(claims)
	return v.sorted()
}

// validation collects violations; bad holds the top-level names that have one.
type validation struct {
	t     *Type
	found []Violation
	bad   map[string]bool
	nodes int
}

func (v *validation) issuable(claims map[string]any) {
	for name := range claims {
		c, known := v.t.Claim(name)
		switch {
		case v.t.reserved[name]:
			v.bad[name] = true // add marks the first member only, and a name may hold dots
			v.add(name, "reserved", Text{"발급 단계에서만 넣는 항목입니다.", "is set by the signing step only"})
		case known && c.Class == Never:
			v.add(name, "forbidden", Text{"어떤 증명서에도 넣을 수 없는 항목입니다.", "must not be in this credential"})
		case !known || strings.ContainsAny(name, ".["):
			v.addUnknown("", name)
		}
	}
}

// copy checks what JSON Schema does not see (nulls, foreign types, size, resident numbers) and normalises numbers.
// false: a violation was added and the value is left out.
func (v *validation) copy(p string, value any, depth int) (any, bool) {
	v.nodes++
	if depth > maxDepth || v.nodes > maxNodes {
		v.add(p, "size", Text{"구조가 너무 크거나 깊습니다.", "is too large or too deep"})
		return nil, false
	}
	switch x := value.(type) {
	case nil:
		v.add(p, "null", Text{"빈 값(null)일 수 없습니다.", "must not be null"})
		return nil, false
	case bool:
		return x, true
	case string:
		switch {
		case len(x) > maxString:
			v.add(p, "size", Text{"구조가 너무 크거나 깊습니다.", "is too large or too deep"})
			return nil, false
		case HasResidentNumber(x):
			v.add(p, "resident_number", Text{"주민등록번호로 보이는 숫자가 들어 있습니다.", "holds what looks like a resident registration number"})
			return nil, false
		}
		return x, true
	case []any:
		out := make([]any, 0, len(x))
		for _, item := range x {
			c, ok := v.copy(p+"[]", item, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, c)
		}
		return out, true
	case map[string]any:
		out := make(map[string]any, len(x))
		for name, item := range x {
			c, ok := v.copy(p+"."+name, item, depth+1)
			if !ok {
				return nil, false
			}
			out[name] = c
		}
		return out, true
	}
	if n, ok := number(value); ok {
		return n, true
	}
	v.add(p, "type", Text{"값의 종류가 맞지 않습니다.", "is of the wrong type"})
	return nil, false
}

// number brings every numeric type to float64 or int64; 1e400 and NaN are none.
func number(value any) (any, bool) {
	switch n := value.(type) {
	case float64:
		return n, !math.IsNaN(n) && !math.IsInf(n, 0)
	case int:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return float64(n), true
	case json.Number:
		f, err := strconv.ParseFloat(string(n), 64)
		return f, err == nil && len(n) <= 32
	}
	return nil, false
}

func (v *validation) againstSchema(clean map[string]any) {
	var failed *jsonschema.ValidationError
	if err := v.t.compiled.Validate(clean); err == nil {
		return
	} else if !errors.As(err, &failed) {
		v.add("", "type", Text{"값의 종류가 맞지 않습니다.", "is of the wrong type"})
		return
	}
	v.leaves(failed, clean)
}

// leaves turns the innermost errors into violations; the library's own texts hold values and are never used.
func (v *validation) leaves(e *jsonschema.ValidationError, root any) {
	if len(e.Causes) > 0 {
		for _, c := range e.Causes {
			v.leaves(c, root)
		}
		return
	}
	at := instancePath(e.InstanceLocation, root)
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			if p := join(at, name); !v.bad[top(p)] {
				v.add(p, "required", Text{"꼭 있어야 하는 항목입니다.", "is required"})
			}
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			if !v.bad[join(at, name)] {
				v.addUnknown(at, name)
			}
		}
	default:
		rule, text := schemaRule(e.ErrorKind)
		v.add(at, rule, text)
	}
}

// schemaRule names a JSON Schema keyword in our words. Numbers in the texts come from the schema.
func schemaRule(k jsonschema.ErrorKind) (string, Text) {
	n := func(i int) string { return strconv.Itoa(i) }
	switch k := k.(type) {
	case *kind.Type:
		return "type", Text{"값의 종류가 맞지 않습니다.", "is of the wrong type"}
	case *kind.Pattern:
		return "pattern", Text{"정해진 형식과 다릅니다.", "does not have the required form"}
	case *kind.Format:
		return "format", Text{"날짜가 아니거나 없는 날입니다.", "is not a day of the calendar (YYYY-MM-DD)"}
	case *kind.Enum, *kind.Const:
		return "enum", Text{"허용된 값이 아닙니다.", "is not one of the allowed values"}
	case *kind.MaxLength:
		return "length", Text{n(k.Want) + "자를 넘을 수 없습니다.", "must not be longer than " + n(k.Want) + " characters"}
	case *kind.MinLength:
		return "length", Text{n(k.Want) + "자 이상이어야 합니다.", "must have at least " + n(k.Want) + " characters"}
	case *kind.MaxItems:
		return "length", Text{n(k.Want) + "개를 넘을 수 없습니다.", "must not have more than " + n(k.Want) + " entries"}
	case *kind.MinItems:
		return "length", Text{n(k.Want) + "개 이상이어야 합니다.", "must have at least " + n(k.Want) + " entries"}
	case *kind.Minimum, *kind.Maximum, *kind.ExclusiveMinimum, *kind.ExclusiveMaximum:
		return "range", Text{"허용된 범위를 벗어났습니다.", "is out of range"}
	case *kind.UniqueItems:
		return "unique", Text{"같은 값이 두 번 있습니다.", "holds a value twice"}
	}
	return "schema", Text{"정해진 규칙에 맞지 않습니다.", "does not fit its schema"}
}

// instancePath writes a location in our paths; an index becomes "[]".
func instancePath(location []string, root any) string {
	p := ""
	for _, s := range location {
		switch v := root.(type) {
		case []any:
			p += "[]"
			if i, err := strconv.Atoi(s); err == nil && i < len(v) {
				root = v[i]
			}
		case map[string]any:
			p = join(p, s)
			root = v[s]
		}
	}
	return p
}

func join(p, name string) string {
	if p == "" {
		return name
	}
	return p + "." + name
}

// top is the first member of a path.
func top(p string) string {
	if i := strings.IndexAny(p, ".["); i >= 0 {
		return p[:i]
	}
	return p
}

// touches reports whether a claim of the rule is wrong by itself already.
func (v *validation) touches(r Rule) bool {
	return v.bad[top(r.Claim)] || slices.ContainsFunc(r.From, func(p string) bool { return v.bad[top(p)] })
}

func (v *validation) addUnknown(parent, name string) {
	text := Text{"이 증명서 종류에 없는 항목입니다.", "is not a claim of this type"}
	if !safeName(name) {
		v.bad[join(parent, name)] = true
		v.found = append(v.found, Violation{"", "unknown", Text{"(알 수 없는 항목): " + text.Ko, "(unknown claim): " + text.En}})
		return
	}
	v.add(join(parent, name), "unknown", text)
}

// safeName: a name that may be repeated in an answer. Anything else could be somebody's data.
func safeName(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case (c < 'a' || c > 'z') && c != '_':
			return false
		}
	}
	return digits <= 4
}

// add records one violation a claim and rule; the path is cut to what the type knows or what is safe to repeat.
func (v *validation) add(p, rule string, text Text) {
	v.bad[top(p)] = true
	label := v.t.label(p)
	if !v.t.has(p) {
		known, _ := v.t.nearest(p)
		for part := range strings.SplitSeq(strings.ReplaceAll(p[len(known.Path):], "[]", ""), ".") {
			if part != "" && !safeName(part) {
				p = known.Path // a member's name could be somebody's data
				break
			}
		}
	}
	w := Violation{p, rule, Text{label.Ko + ": " + text.Ko, label.En + ": " + text.En}}
	if !slices.Contains(v.found, w) {
		v.found = append(v.found, w)
	}
}

func (v *validation) sorted() []Violation {
	rank := func(p string) int {
		if at, ok := v.t.order[p]; ok {
			return at
		}
		if c, ok := v.t.nearest(p); ok {
			return v.t.order[c.Path]
		}
		return len(v.t.Claims)
	}
	slices.SortStableFunc(v.found, func(a, b Violation) int {
		if d := rank(a.Claim) - rank(b.Claim); d != 0 {
			return d
		}
		return strings.Compare(a.Claim+" "+a.Rule, b.Claim+" "+b.Rule)
	})
	return v.found
}

// label is the claim's label, or that of the nearest claim above it.
func (t *Type) label(p string) Text {
	if c, ok := t.nearest(p); ok {
		return c.Label
	}
	return Text{"항목", "claim"}
}

func (t *Type) ruleText(r Rule, text Text) Text {
	var ko, en []string
	for _, p := range r.From {
		l := t.label(p)
		ko, en = append(ko, l.Ko), append(en, l.En)
	}
	return Text{
		strings.NewReplacer("{from}", strings.Join(ko, "·"), "{n}", strconv.Itoa(r.N)).Replace(text.Ko),
		strings.NewReplacer("{from}", strings.Join(en, " and "), "{n}", strconv.Itoa(r.N)).Replace(text.En),
	}
}
