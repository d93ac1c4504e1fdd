package schemas

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// A Rule ties claims of one credential to each other (README, "Cross-field rules"). Rules that compute also fill the
// claim when a record lacks it (Complete).
type Rule struct {
	Claim   string   `json:"claim"` // the one that is wrong when the rule is broken, or filled
	Rule    string   `json:"rule"`  // one of the names below
	From    []string `json:"from,omitzero"`
	N       int      `json:"n,omitzero"`
	AgeRule AgeRule  `json:"age_rule,omitzero"`
	Key     string   `json:"key,omitzero"`
	Value   string   `json:"value,omitzero"`
	Values  []string `json:"values,omitzero"`
}

// A ruleKind is how a rule is checked. compute gives the only right value, or false when From is not there; holds
// judges what cannot be computed.
type ruleKind struct {
	from    int // number of claims it reads
	compute func(r Rule, t *Type, claims map[string]any) (any, bool)
	holds   func(r Rule, claims map[string]any) bool
	text    Text // {claim}, {from} are labels, {n} the number
}

func ruleKindOf(name string) (ruleKind, bool) {
	switch name {
	case "version":
		return ruleKind{compute: func(_ Rule, t *Type, _ map[string]any) (any, bool) { return t.Version, true },
			text: Text{"이 증명서 종류의 판과 다릅니다.", "is not the version of this type"}}, true
	case "value":
		return ruleKind{compute: func(r Rule, _ *Type, _ map[string]any) (any, bool) { return r.Value, true },
			text: Text{"정해진 값이어야 합니다.", "must be the fixed value"}}, true
	case "concat":
		return ruleKind{from: -1, compute: computeConcat, text: Text{"{from}을(를) 이은 값이어야 합니다.", "must be {from} joined"}}, true
	case "prefix":
		return ruleKind{from: 1, compute: computePrefix, text: Text{"{from}의 앞 {n}자리여야 합니다.", "must be the first {n} digits of {from}"}}, true
	case "same_as":
		return ruleKind{from: 1, compute: func(r Rule, _ *Type, c map[string]any) (any, bool) { return lookup(c, r.From[0]) },
			text: Text{"{from}과(와) 같아야 합니다.", "must equal {from}"}}, true
	case "age_over":
		return ruleKind{from: 2, compute: computeAgeOver, text: Text{"{from}으로 계산한 만 {n}세 여부와 다릅니다.", "differs from what {from} give for age {n}"}}, true
	case "window":
		return ruleKind{from: 1, compute: computeWindow, text: Text{"{from} 전후 {n}일이어야 합니다.", "must be {n} days around {from}"}}, true
	case "true_for":
		return ruleKind{from: 1, compute: computeTrueFor, text: Text{"{from}과(와) 맞지 않습니다.", "does not fit {from}"}}, true
	case "not_before":
		return ruleKind{from: 1, holds: compareDates(func(d, e Date, _ int) bool { return !d.Before(e) }), text: Text{"{from}보다 빠를 수 없습니다.", "must not lie before {from}"}}, true
	case "not_after":
		return ruleKind{from: 1, holds: compareDates(func(d, e Date, _ int) bool { return !e.Before(d) }), text: Text{"{from}보다 늦을 수 없습니다.", "must not lie after {from}"}}, true
	case "within_years":
		return ruleKind{from: 1, holds: compareDates(func(d, e Date, n int) bool { return !e.AddYears(n).Before(d) }), text: Text{"{from}부터 {n}년을 넘을 수 없습니다.", "must lie within {n} year(s) of {from}"}}, true
	case "unique_by":
		return ruleKind{holds: holdsUniqueBy, text: Text{"같은 항목이 두 번 있습니다.", "names something twice"}}, true
	case "all_pass":
		return ruleKind{from: 1, holds: holdsAllPass, text: Text{"{from}이(가) 모두 충족이어야 참일 수 있습니다.", "can be true only if all of {from} are met"}}, true
	case "only_if":
		return ruleKind{from: 1, holds: holdsOnlyIf, text: Text{"{from}이(가) 참일 때만 참일 수 있습니다.", "can be true only if {from} is"}}, true
	}
	return ruleKind{}, false
}

// check refuses a rule that names what does not exist: at load, never while a record waits.
func (r Rule) check(t *Type) error {
	kind, ok := ruleKindOf(r.Rule)
	if !ok {
		return errors.New("rule " + r.Rule + " does not exist")
	}
	if kind.from >= 0 && len(r.From) != kind.from || kind.from < 0 && len(r.From) == 0 {
		return errors.New("rule " + r.Rule + " for " + r.Claim + " reads another number of claims")
	}
	for _, p := range append([]string{r.Claim}, r.From...) {
		if c, known := t.Claim(p); !known || c.Class == Never || strings.Contains(p, "[]") {
			return errors.New("rule " + r.Rule + " names the unknown claim " + p)
		}
	}
	if kind.compute != nil && strings.Contains(r.Claim, ".") {
		return errors.New("rule " + r.Rule + " computes a nested claim")
	}
	return nil
}

// broken judges one rule; claims that are absent break nothing.
func (r Rule) broken(t *Type, claims map[string]any) bool {
	kind, _ := ruleKindOf(r.Rule)
	have, present := lookup(claims, r.Claim)
	if !present {
		return false
	}
	if kind.compute != nil {
		want, ok := kind.compute(r, t, claims)
		return ok && !equal(have, want)
	}
	return !kind.holds(r, claims)
}

// Complete returns a copy of the claims with what follows from others filled in (full name, region codes, age flags,
// schema version, …). What the record says stays, right or wrong: Validate judges it.
func (t *Type) Complete(claims map[string]any) map[string]any {
	out := maps.Clone(claims)
	if out == nil {
		out = make(map[string]any)
	}
	for _, r := range t.rules {
		kind, _ := ruleKindOf(r.Rule)
		if _, present := out[r.Claim]; present || kind.compute == nil {
			continue
		}
		if v, ok := kind.compute(r, t, out); ok {
			out[r.Claim] = v
		}
	}
	return out
}

func computeConcat(r Rule, _ *Type, claims map[string]any) (any, bool) {
	var b strings.Builder
	for _, p := range r.From {
		s, ok := text(claims, p)
		if !ok {
			return nil, false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

func computePrefix(r Rule, _ *Type, claims map[string]any) (any, bool) {
	s, ok := text(claims, r.From[0])
	if !ok || len(s) < r.N {
		return nil, false
	}
	return s[:r.N], true
}

func computeAgeOver(r Rule, _ *Type, claims map[string]any) (any, bool) {
	birth, ok1 := date(claims, r.From[0])
	on, ok2 := date(claims, r.From[1])
	if !ok1 || !ok2 {
		return nil, false
	}
	over, err := AgeOver(birth, on, r.N, r.AgeRule)
	return over, err == nil
}

func computeWindow(r Rule, _ *Type, claims map[string]any) (any, bool) {
	d, ok := date(claims, r.From[0])
	if !ok {
		return nil, false
	}
	return map[string]any{"from": d.AddDays(-r.N).String(), "until": d.AddDays(r.N).String()}, true
}

func computeTrueFor(r Rule, _ *Type, claims map[string]any) (any, bool) {
	s, ok := text(claims, r.From[0])
	return slices.Contains(r.Values, s), ok
}

func compareDates(fits func(d, e Date, n int) bool) func(Rule, map[string]any) bool {
	return func(r Rule, claims map[string]any) bool {
		d, ok1 := date(claims, r.Claim)
		e, ok2 := date(claims, r.From[0])
		return !ok1 || !ok2 || fits(d, e, r.N)
	}
}

func holdsUniqueBy(r Rule, claims map[string]any) bool {
	v, _ := lookup(claims, r.Claim)
	items, _ := v.([]any)
	seen := make(map[string]bool)
	for _, item := range items {
		member, _ := item.(map[string]any)
		key, ok := member[r.Key].(string)
		if ok && seen[key] {
			return false
		}
		seen[key] = true
	}
	return true
}

func holdsAllPass(r Rule, claims map[string]any) bool {
	v, _ := lookup(claims, r.From[0])
	items, _ := v.([]any)
	if is, _ := lookup(claims, r.Claim); is != true {
		return true
	}
	return !slices.ContainsFunc(items, func(item any) bool {
		member, _ := item.(map[string]any)
		return member[r.Key] != r.Value
	})
}

func holdsOnlyIf(r Rule, claims map[string]any) bool {
	is, _ := lookup(claims, r.Claim)
	condition, present := lookup(claims, r.From[0])
	return is != true || !present || condition == true
}

// lookup follows a dotted path through objects.
func lookup(claims map[string]any, p string) (any, bool) {
	first, rest, nested := strings.Cut(p, ".")
	v, ok := claims[first]
	if !ok || !nested {
		return v, ok
	}
	inner, isObject := v.(map[string]any)
	if !isObject {
		return nil, false
	}
	return lookup(inner, rest)
}

func text(claims map[string]any, p string) (string, bool) {
	v, _ := lookup(claims, p)
	s, ok := v.(string)
	return s, ok
}

func date(claims map[string]any, p string) (Date, bool) {
	s, ok := text(claims, p)
	if !ok {
		return Date{}, false
	}
	d, err := ParseDate(s)
	return d, err == nil
}

func equal(a, b any) bool {
	x, ok1 := a.(map[string]any)
	y, ok2 := b.(map[string]any)
	if ok1 != ok2 {
		return false
	}
	if !ok1 {
		_, list := a.([]any)
		return !list && a == b
	}
	return maps.EqualFunc(x, y, equal)
}
