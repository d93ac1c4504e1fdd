package sdjwt

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A Kind is the JSON kind of a Value.
type Kind byte

// The kinds; the zero Value is Absent.
const (
	Absent Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object

	digests // the text of an _sd array, between parsing and expanding only
)

// A Value is one JSON value: built by an issuer with the constructors below, or read from a verified token.
// Values are immutable.
type Value struct {
	kind  Kind
	names bool    // parsed: _sd, _sd_alg or ... stands in it, at whatever depth
	deep  uint8   // parsed: containers below and including it
	text  string  // String: decoded text; Number, Bool, Null: JSON text
	parts []Claim // Object: members; Array: elements
}

// A Claim is a named value. When issued, SD makes it selectively disclosable; when read, SD says that it came out of a
// disclosure. Values inside may carry SD themselves: under SD false that is a structured, under SD true a recursive SD-JWT.
type Claim struct {
	Name  string
	Value Value
	SD    bool

	disclosure uint16 // 1 + index of the disclosure it came from, 0: plain
}

// An Element is an array element: a Claim without a name.
type Element = Claim

// Text is a JSON string.
func Text(s string) Value { return Value{kind: String, text: s} }

// Int is a JSON integer.
func Int(n int64) Value { return Value{kind: Number, text: strconv.FormatInt(n, 10)} }

// Flag is a JSON boolean.
func Flag(b bool) Value { return Value{kind: Bool, text: strconv.FormatBool(b)} }

// ObjectOf is a JSON object with members in this order.
func ObjectOf(claims ...Claim) Value { return Value{kind: Object, parts: claims} }

// ArrayOf is a JSON array.
func ArrayOf(elements ...Element) Value { return Value{kind: Array, parts: elements} }

// A Path is a claims path pointer (OpenID4VP section 7): string = member, int = index, nil = all elements.
type Path []any

// Kind of the value.
func (v Value) Kind() Kind { return v.kind }

// Str is the text of a String, "" otherwise.
func (v Value) Str() string {
	if v.kind != String {
		return ""
	}
	return v.text
}

// Bool is the value of a Bool; ok false otherwise.
func (v Value) Bool() (value, ok bool) { return v.kind == Bool && v.text == "true", v.kind == Bool }

// Int64 is the value of a Number written as an integer; ok false otherwise.
func (v Value) Int64() (value int64, ok bool) {
	if v.kind != Number {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	return n, err == nil
}

// Get finds a member of an Object.
func (v Value) Get(name string) (Value, bool) {
	if v.kind != Object {
		return Value{}, false
	}
	for i := range v.parts {
		if v.parts[i].Name == name {
			return v.parts[i].Value, true
		}
	}
	return Value{}, false
}

// Members of an Object in order, nil otherwise. The caller must not change them.
func (v Value) Members() []Claim {
	if v.kind != Object {
		return nil
	}
	return v.parts
}

// Elements of an Array, nil otherwise. The caller must not change them.
func (v Value) Elements() []Element {
	if v.kind != Array {
		return nil
	}
	return v.parts
}

// Select follows a claims path pointer (OpenID4VP section 7.1); nil when nothing is there.
func (v Value) Select(p Path) []Value {
	if len(p) == 0 {
		return []Value{v}
	}
	var out []Value
	v.step(p[0], func(c *Claim) { out = append(out, c.Value.Select(p[1:])...) })
	return out
}

// step calls f for what one component of a path selects.
func (v Value) step(component any, f func(*Claim)) {
	switch x := component.(type) {
	case string:
		for i := range v.Members() {
			if v.parts[i].Name == x {
				f(&v.parts[i])
			}
		}
	case int:
		if x >= 0 && x < len(v.Elements()) {
			f(&v.parts[x])
		}
	case nil:
		for i := range v.Elements() {
			f(&v.parts[i])
		}
	}
}

// JSON is the value as JSON text, members in order. Issuing marks are ignored.
func (v Value) JSON() []byte { return v.appendJSON(nil) }

func (v Value) appendJSON(b []byte) []byte {
	switch v.kind {
	case String:
		return appendQuoted(b, v.text)
	case Array, Object:
		open, end := byte('['), byte(']')
		if v.kind == Object {
			open, end = '{', '}'
		}
		b = append(b, open)
		for i := range v.parts {
			if i > 0 {
				b = append(b, ',')
			}
			if v.kind == Object {
				b = append(appendQuoted(b, v.parts[i].Name), ':')
			}
			b = v.parts[i].Value.appendJSON(b)
		}
		return append(b, end)
	case Null, Bool, Number:
		return append(b, v.text...)
	}
	return append(b, "null"...)
}

// appendQuoted writes a JSON string. Almost every claim needs no escape; invalid UTF-8 becomes U+FFFD here and is
// refused by lint before anything is issued.
func appendQuoted(b []byte, s string) []byte {
	ascii := true
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == '"' || c == '\\' || c == 0x7f {
			return appendEscaped(b, s)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if !ascii && !utf8.ValidString(s) {
		return appendEscaped(b, s)
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	out, _ := jsontext.AppendQuote(b, s) // the error reports invalid UTF-8, which is replaced
	return out
}

// Any is the value as encoding/json would decode it, except that integers are int64.
func (v Value) Any() any {
	switch v.kind {
	case String:
		return v.text
	case Bool:
		return v.text == "true"
	case Number:
		if n, ok := v.Int64(); ok {
			return n
		}
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			return nil // out of range: no number that Go has
		}
		return f
	case Array:
		out := make([]any, len(v.parts))
		for i := range v.parts {
			out[i] = v.parts[i].Value.Any()
		}
		return out
	case Object:
		out := make(map[string]any, len(v.parts))
		for i := range v.parts {
			out[v.parts[i].Name] = v.parts[i].Value.Any()
		}
		return out
	}
	return nil
}

// ParseClaims reads a JSON object strictly (no duplicates, depth limit) into claims and marks those at the paths as
// selectively disclosable. Errors: ErrClaims, ErrReserved (B69), ErrSelection (a path that meets nothing).
func ParseClaims(object []byte, sd []Path) ([]Claim, error) {
	p := getParser()
	defer p.release()
	v, err := p.text(object, string(object), 1)
	if errors.Is(err, DisclosureInvalid) { // an _sd member that is no array of digests
		return nil, ErrReserved
	}
	if err != nil || v.kind != Object {
		return nil, fmt.Errorf("%w: not a JSON object within the limits", ErrClaims)
	}
	for _, path := range sd {
		if !mark(v, path) {
			return nil, ErrSelection
		}
	}
	return v.parts, nil
}

// mark works on the freshly parsed tree that nobody else has seen yet.
func mark(v Value, p Path) bool {
	if len(p) == 0 {
		return false
	}
	found := false
	v.step(p[0], func(c *Claim) {
		if len(p) == 1 {
			c.SD, found = true, true
		} else if mark(c.Value, p[1:]) {
			found = true
		}
	})
	return found
}
