package sdjwt

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
)

// A Value is one JSON value: built by an issuer with the constructors below, or read from a verified token.
// Values are immutable.
type Value struct {
	kind    Kind
	text    string // String: decoded text; Number, Bool, Null: JSON text
	members []Claim
	items   []Element
}

// A Claim is a named value; SD makes it selectively disclosable when issued.
// Values inside may carry SD themselves: under SD false that is a structured, under SD true a recursive SD-JWT.
type Claim struct {
	Name  string
	Value Value
	SD    bool
}

// An Element is an array element.
type Element struct {
	Value Value
	SD    bool
}

// Text is a JSON string.
func Text(s string) Value { return Value{kind: String, text: s} }

// Int is a JSON integer.
func Int(n int64) Value { return Value{} }

// Flag is a JSON boolean.
func Flag(b bool) Value { return Value{} }

// ObjectOf is a JSON object with members in this order.
func ObjectOf(claims ...Claim) Value { return Value{kind: Object, members: claims} }

// ArrayOf is a JSON array.
func ArrayOf(elements ...Element) Value { return Value{kind: Array, items: elements} }

// A Path is a claims path pointer (OpenID4VP section 7): string = member, int = index, nil = all elements.
type Path []any

// ParseClaims reads a JSON object strictly (no duplicates, depth limit) into claims, marking those at the paths as
// selectively disclosable. A path that meets nothing is ErrSelection.
func ParseClaims(object []byte, sd []Path) ([]Claim, error) { return nil, errTODO }

// Kind of the value.
func (v Value) Kind() Kind { return v.kind }

// Str is the text of a String, "" otherwise.
func (v Value) Str() string { return "" }

// Bool is the value of a Bool; ok false otherwise.
func (v Value) Bool() (value, ok bool) { return false, false }

// Int64 is the value of a Number that is an integer; ok false otherwise.
func (v Value) Int64() (value int64, ok bool) { return 0, false }

// Get finds a member of an Object.
func (v Value) Get(name string) (Value, bool) { return Value{}, false }

// Members of an Object in order, nil otherwise. The caller must not change them.
func (v Value) Members() []Claim { return v.members }

// Elements of an Array, nil otherwise. The caller must not change them.
func (v Value) Elements() []Element { return v.items }

// Select follows a claims path pointer; nil when nothing is there.
func (v Value) Select(p Path) []Value { return nil }

// JSON is the value as JSON text, members in order.
func (v Value) JSON() []byte { return nil }

// Any is the value as encoding/json would decode it, with integers as int64.
func (v Value) Any() any { return nil }
