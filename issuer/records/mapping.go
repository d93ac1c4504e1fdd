package records

import (
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

//go:embed mapping/*.json
var mappings embed.FS

// A Mapping says which column of an agency's file means what.
type Mapping struct {
	Person  string   `json:"person"` // header of the column with the person's id
	Columns []Column `json:"columns"`
}

// A Column is one header. Exactly one of Claim and Input is set.
type Column struct {
	Header string         `json:"header"`
	Claim  string         `json:"claim,omitzero"` // dotted path: address.postal_code
	Input  string         `json:"input,omitzero"`
	Kind   Kind           `json:"kind,omitzero"`
	Codes  map[string]any `json:"codes,omitzero"` // the agency's words to the claim's values; no other word is taken
	Key    string         `json:"key,omitzero"`   // of a criterion
}

// A Kind says how a cell is read; "" is text as it stands.
type Kind string

// The kinds.
const (
	KindInt       Kind = "int"
	KindBool      Kind = "bool"      // Y, N, 예, 아니오
	KindList      Kind = "list"      // separated by ;
	KindPhone     Kind = "phone"     // 010-0000-1234 becomes +821000001234
	KindCriterion Kind = "criterion" // 충족, 미충족: an element of criteria[] named by Key
)

// MappingFor is the built-in mapping of a type.
func MappingFor(typ string) (Mapping, error) {
	data, err := mappings.ReadFile("mapping/" + typ + ".json")
	if err != nil {
		return Mapping{}, fmt.Errorf("records: no mapping for this type: %w", ErrFile)
	}
	return ParseMapping(data)
}

// ParseMapping reads a mapping file strictly.
func ParseMapping(data []byte) (Mapping, error) {
	var m Mapping
	if err := json.Unmarshal(data, &m, json.RejectUnknownMembers(true)); err != nil {
		return Mapping{}, fmt.Errorf("records: mapping: %w", err)
	}
	if m.Person == "" || len(m.Columns) == 0 {
		return Mapping{}, errors.New("records: mapping names no person column or no columns")
	}
	for _, c := range m.Columns {
		if c.Header == "" || (c.Claim == "") == (c.Input == "") {
			return Mapping{}, errors.New("records: mapping: a column needs a header and one of claim and input")
		}
	}
	return m, nil
}

func (m Mapping) column(header string) (Column, bool) {
	for _, c := range m.Columns {
		if c.Header == header {
			return c, true
		}
	}
	return Column{}, false
}

// put reads one cell into a record; the rule that it breaks, or "".
func (c Column) put(r *Record, cell string) string {
	if cell == "" {
		return ""
	}
	if c.Input != "" {
		r.Inputs[c.Input] = cell
		return ""
	}
	value, rule := c.value(cell)
	if rule != "" {
		return rule
	}
	if c.Kind == KindCriterion {
		list, _ := r.Claims[c.Claim].([]any)
		r.Claims[c.Claim] = append(list, map[string]any{"criterion": c.Key, "result": value})
		return ""
	}
	place, name := r.Claims, c.Claim
	for {
		head, rest, nested := strings.Cut(name, ".")
		if !nested {
			place[name] = value
			return ""
		}
		inner, ok := place[head].(map[string]any)
		if !ok {
			inner = map[string]any{}
			place[head] = inner
		}
		place, name = inner, rest
	}
}

func (c Column) value(cell string) (any, string) {
	if c.Codes != nil {
		v, ok := c.Codes[cell]
		if !ok {
			return nil, "code"
		}
		return v, ""
	}
	switch c.Kind {
	case KindInt:
		n, err := strconv.ParseInt(cell, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != cell {
			return nil, "number"
		}
		return n, ""
	case KindBool:
		switch cell {
		case "Y", "예":
			return true, ""
		case "N", "아니오":
			return false, ""
		}
		return nil, "bool"
	case KindList:
		var list []any
		for item := range strings.SplitSeq(cell, ";") {
			list = append(list, strings.TrimSpace(item))
		}
		return list, ""
	case KindPhone:
		digits := strings.ReplaceAll(cell, "-", "")
		rest, ok := strings.CutPrefix(digits, "010")
		if !ok || len(rest) != 8 || strings.Trim(rest, "0123456789") != "" {
			return nil, "phone"
		}
		return "+8210" + rest, ""
	case KindCriterion:
		switch cell {
		case "충족":
			return "PASS", ""
		case "미충족":
			return "FAIL", ""
		}
		return nil, "code"
	}
	return cell, ""
}
