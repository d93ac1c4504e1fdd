package oid4vp

// A Path is a claims path pointer (section 7): names, indices and "all elements".
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
func (s Step) MarshalJSON() ([]byte, error) { return nil, errTODO }

// UnmarshalJSON implements json.Unmarshaler: a string, a non-negative integer or null.
func (s *Step) UnmarshalJSON(data []byte) error { return errTODO }

// String is the path for people and logs: a.b[0].c[].d
func (p Path) String() string { return "" }

// A Selected is one element that a path selects: where it is (names and indices only) and what it is.
type Selected struct {
	Path  Path
	Value any
}

// Select applies the path to a JSON tree (map[string]any, []any, string, bool, numbers, nil) as 7.1.1 says.
// Errors: a step that does not fit the kind of a selected element, or nothing selected.
func (p Path) Select(root any) ([]Selected, error) { return nil, errTODO }
