package oid4vp

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// A Path is a claims path pointer (section 7): names, indices and "all elements".
//
// On the wire: a non-empty array of strings, non-negative integers and nulls, e.g. ["degrees", null, "type"].
type Path []Step

// A Step is one component of a Path. The zero Step is "all elements" (null).
type Step struct {
	kind  stepKind
	name  string
	index int
}

type stepKind uint8

const (
	stepAll stepKind = iota
	stepName
	stepIndex
)

// Undisclosed holds the place of an array element that was not disclosed, so that indices keep their meaning. A path
// never selects it.
type Undisclosed struct{}

// What a path may be wrong about. Nothing acts on the difference; tests do.
var (
	errPathKind  = errors.New("oid4vp: claims path does not fit the credential")
	errPathEmpty = errors.New("oid4vp: claims path selects nothing")
)

const (
	maxPathSteps = 16
	maxStepName  = 256
	maxStepIndex = 1 << 16
)

// Name steps into an object.
func Name(s string) Step { return Step{kind: stepName, name: s} }

// Index steps into an array, 0-based.
func Index(i int) Step { return Step{kind: stepIndex, index: i} }

// All steps into every element of an array.
func All() Step { return Step{} }

// Names makes a path of object members only.
func Names(names ...string) Path {
	p := make(Path, len(names))
	for i, n := range names {
		p[i] = Name(n)
	}
	return p
}

// Name is the member name, if the step is one.
func (s Step) Name() (string, bool) { return s.name, s.kind == stepName }

// Index is the array index, if the step is one.
func (s Step) Index() (int, bool) { return s.index, s.kind == stepIndex }

// IsAll reports whether the step selects all elements.
func (s Step) IsAll() bool { return s.kind == stepAll }

// MarshalJSON implements json.Marshaler.
func (s Step) MarshalJSON() ([]byte, error) {
	switch s.kind {
	case stepName:
		return json.Marshal(s.name)
	case stepIndex:
		return strconv.AppendInt(nil, int64(s.index), 10), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON implements json.Unmarshaler: a string, a non-negative integer without fraction or exponent, or null.
func (s *Step) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		*s = All()
		return nil
	case len(data) > 0 && data[0] == '"':
		var name string
		if err := json.Unmarshal(data, &name); err != nil {
			return err
		}
		*s = Name(name)
		return nil
	}
	i, err := strconv.ParseUint(string(data), 10, 31)
	if err != nil {
		return errors.New("oid4vp: claims path component is neither a string, a non-negative integer nor null")
	}
	*s = Index(int(i))
	return nil
}

// String is the path for people and logs: a.b[0].c[].d
func (p Path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch s.kind {
		case stepName:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		case stepIndex:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		default:
			b.WriteString("[]")
		}
	}
	return b.String()
}

// A Selected is one element that a path selects: where it is (names and indices only) and what it is.
type Selected struct {
	Path  Path
	Value any
}

// Select applies the path to a JSON tree (map[string]any, []any, string, bool, numbers, nil) as 7.1.1 says.
// Errors: an empty path, a step that does not fit the kind of a selected element, or nothing selected.
func (p Path) Select(root any) ([]Selected, error) {
	if len(p) == 0 {
		return nil, errPathEmpty
	}
	now := []Selected{{Value: root}}
	for _, step := range p {
		var next []Selected
		for _, at := range now {
			found, err := step.from(at)
			if err != nil {
				return nil, err
			}
			next = append(next, found...)
		}
		now = next
	}
	if len(now) == 0 {
		return nil, errPathEmpty
	}
	return now, nil
}

// from applies one step to one selected element.
func (s Step) from(at Selected) ([]Selected, error) {
	if s.kind == stepName {
		object, ok := at.Value.(map[string]any)
		if !ok {
			return nil, errPathKind
		}
		v, ok := object[s.name]
		if !ok {
			return nil, nil
		}
		return []Selected{{at.Path.to(s), v}}, nil
	}
	array, ok := at.Value.([]any)
	if !ok {
		return nil, errPathKind
	}
	var found []Selected
	for i, v := range array {
		if _, hidden := v.(Undisclosed); !hidden && (s.kind == stepAll || s.index == i) {
			found = append(found, Selected{at.Path.to(Index(i)), v})
		}
	}
	return found, nil
}

func (p Path) to(s Step) Path { return append(p[:len(p):len(p)], s) }

// key is a text that equal paths, and only they, share.
func (p Path) key() string {
	var b []byte
	for _, s := range p {
		switch s.kind {
		case stepName:
			b = strconv.AppendQuote(b, s.name)
		case stepIndex:
			b = strconv.AppendInt(append(b, '#'), int64(s.index), 10)
		default:
			b = append(b, '*')
		}
	}
	return string(b)
}

func (p Path) valid() bool {
	if len(p) == 0 || len(p) > maxPathSteps {
		return false
	}
	for _, s := range p {
		if s.kind == stepName && len(s.name) > maxStepName || s.kind == stepIndex && (s.index < 0 || s.index > maxStepIndex) {
			return false
		}
	}
	return true
}
