package schemas

// A Violation names the claim and the rule that it breaks, in words. It never holds a value.
type Violation struct {
	Claim string // path of the type; "" for a name that the type does not know and that is not safe to repeat
	Rule  string // required, unknown, reserved, forbidden, null, type, pattern, length, format, enum, range, unique, resident_number, depth, size, or the name of a cross-field rule
	Text  Text   // one sentence
}

// Validate judges the claims of a record (the signing step adds the reserved ones: vct, iss, iat, nbf, exp, cnf,
// status). Values are what a JSON decoder yields: string, bool, float64 or any Go integer, []any, map[string]any.
// No violation means: may be signed. Order: by claim in the order of the type, unknown names last.
func (t *Type) Validate(claims map[string]any) []Violation { return []Violation{{Rule: "not_built"}} }
