package schemas

import "errors"

// A Refusal says why a claim may not be asked for: a result code of the house and the type's own path.
type Refusal struct {
	Code string // CodeOverask or CodeLegalBasis
	Path string // a path of the type; "" when the path asked for is not the type's
}

// The result codes that a request can earn here (nos. 3 and 4 of the list).
const (
	CodeOverask    = "OVERASK_REFUSED"
	CodeLegalBasis = "LEGAL_BASIS_REQUIRED"
)

func (r *Refusal) Error() string { return "schemas: " + r.Code }

// CheckRequestable judges the paths of a request against the legal-basis codes of the verifier's registration.
// nil means: may be asked for. Otherwise the first Refusal in the order of codes: a class X or unknown path before a
// missing legal basis. Whether the registration lists the paths at all is the caller's second question (Covers).
func (t *Type) CheckRequestable(paths []string, legalBasis []string) error {
	return errors.New("schemas: not built yet")
}

// CheckIssuable reports claims that no record may put into a credential of this type: class X, reserved and unknown names.
// It is the first part of Validate.
func (t *Type) CheckIssuable(claims map[string]any) []Violation {
	return []Violation{{Rule: "not_built"}}
}

// Covers reports whether every requested path lies at or below a registered one ("address" covers "address.region").
func Covers(registered, requested []string) bool { return false }

// FormatPath turns a DCQL or type-metadata path (strings, nil for all elements, non-negative integers) into ours;
// "" when an element is something else.
func FormatPath(elements []any) string { return "" }
