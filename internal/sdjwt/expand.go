package sdjwt

import "strings"

// arrayElement marks a parsed disclosure of two elements until it finds its place.
const arrayElement = ^uint16(0)

// An expander puts disclosures where their digests stand (RFC 9901 section 7.1 step 3) in one pass over the payload.
type expander struct {
	byDigest *textTable // in the order of found
	found    []Claim
	used     []bool
	seen     *textTable // every digest that stands anywhere (step 4)
	stack    []Claim    // parts of the containers that are open
}

func newExpander(n int, stack []Claim) *expander {
	return &expander{byDigest: newTextTable(n), found: make([]Claim, 0, n), used: make([]bool, n), stack: stack[:0]}
}

func (x *expander) add(digest string, c Claim) error {
	if !x.byDigest.add(digest) {
		return DisclosureInvalid.because("the same disclosure twice")
	}
	x.found = append(x.found, c)
	return nil
}

func (x *expander) run(payload Value) (Value, error) {
	x.seen = newTextTable(countDigests(payload))
	v, err := x.object(payload, 1)
	if err != nil {
		return Value{}, err
	}
	for _, used := range x.used {
		if !used {
			return Value{}, DisclosureInvalid.because("a disclosure without a digest")
		}
	}
	return v, nil
}

// countDigests sizes the set by the top level, where almost all digests stand.
func countDigests(payload Value) int {
	for i := range payload.parts {
		if payload.parts[i].Name == "_sd" {
			return min(MaxDigests, strings.Count(payload.parts[i].Value.text, `"`)/2)
		}
	}
	return 0
}

// take looks up the disclosure of a digest; index -1 when it is a decoy or withheld.
func (x *expander) take(digest string) (index int, err error) {
	if len(x.seen.texts) == MaxDigests {
		return 0, LimitExceeded.because("digests")
	}
	if !x.seen.add(digest) {
		return 0, DisclosureInvalid.because("the same digest twice")
	}
	if index = x.byDigest.index(digest); index >= 0 {
		x.used[index] = true
	}
	return index, nil
}

// value expands what stands at a depth. Most containers (a key, an address) hold nothing to expand and stay as they are.
func (x *expander) value(v Value, depth int) (Value, error) {
	if !v.names && depth-1+int(v.deep) <= MaxDepth {
		return v, nil
	}
	switch v.kind {
	case Object:
		return x.object(v, depth)
	case Array:
		return x.array(v, depth)
	}
	return v, nil
}

func (x *expander) object(v Value, depth int) (Value, error) {
	if depth > MaxDepth {
		return Value{}, LimitExceeded.because("depth")
	}
	from := len(x.stack)
	var sd string
	for i := range v.parts {
		c := v.parts[i]
		switch c.Name {
		case "_sd":
			sd = c.Value.text
			continue
		case "_sd_alg":
			if depth != 1 {
				return Value{}, AlgNotAllowed.because("_sd_alg below the top level")
			}
			continue
		case "...":
			return Value{}, DisclosureInvalid.because("... outside of an array element")
		}
		var err error
		if c.Value, err = x.value(c.Value, depth+1); err != nil {
			return Value{}, err
		}
		x.stack = append(x.stack, c)
	}
	beside := siblings{from: from}
	err := eachDigest(sd, func(digest string) error { return x.reveal(digest, &beside, depth) })
	if err != nil {
		return Value{}, err
	}
	return x.pop(Object, from), nil
}

// siblings are the members of one open object: where they begin on the stack, and their names once they are many.
type siblings struct {
	from  int
	names *textTable
}

// taken looks for the name among the siblings: one by one while they are few, linear in all when they are many.
func (x *expander) taken(s *siblings, name string) bool {
	mine := x.stack[s.from:]
	if len(mine) < 24 {
		for i := range mine {
			if mine[i].Name == name {
				return true
			}
		}
		return false
	}
	if s.names == nil {
		s.names = newTextTable(2 * len(mine))
	}
	for i := len(s.names.texts); i < len(mine); i++ {
		s.names.add(mine[i].Name)
	}
	return s.names.index(name) >= 0
}

// reveal puts the claim of a digest beside its siblings.
func (x *expander) reveal(digest string, beside *siblings, depth int) error {
	i, err := x.take(digest)
	if err != nil || i < 0 {
		return err
	}
	c := x.found[i]
	if c.disclosure == arrayElement {
		return DisclosureInvalid.because("an array element under _sd")
	}
	if x.taken(beside, c.Name) || c.Name == "_sd_alg" {
		return DisclosureInvalid.because("the claim is there already, or is the format's")
	}
	if c.Value, err = x.value(c.Value, depth+1); err != nil {
		return err
	}
	c.disclosure = uint16(i + 1)
	x.stack = append(x.stack, c)
	return nil
}

func (x *expander) array(v Value, depth int) (Value, error) {
	if depth > MaxDepth {
		return Value{}, LimitExceeded.because("depth")
	}
	from := len(x.stack)
	for i := range v.parts {
		c := v.parts[i]
		if _, placeholder := c.Value.Get("..."); placeholder {
			var keep bool
			var err error
			if c, keep, err = x.element(c.Value); err != nil {
				return Value{}, err
			}
			if !keep {
				continue
			}
		}
		var err error
		if c.Value, err = x.value(c.Value, depth+1); err != nil {
			return Value{}, err
		}
		x.stack = append(x.stack, c)
	}
	return x.pop(Array, from), nil
}

// element resolves {"...": digest}.
func (x *expander) element(v Value) (c Claim, keep bool, err error) {
	if len(v.parts) != 1 || v.parts[0].Value.kind != String {
		return Claim{}, false, DisclosureInvalid.because("... with company or without a digest")
	}
	i, err := x.take(v.parts[0].Value.text)
	if err != nil || i < 0 {
		return Claim{}, false, err
	}
	c = x.found[i]
	if c.disclosure != arrayElement {
		return Claim{}, false, DisclosureInvalid.because("a named claim in an array")
	}
	c.disclosure = uint16(i + 1)
	return c, true, nil
}

func (x *expander) pop(k Kind, from int) Value {
	parts := append([]Claim(nil), x.stack[from:]...)
	x.stack = x.stack[:from]
	return Value{kind: k, parts: parts}
}
