package schemas

import "slices"

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
// nil means: may be asked for. Otherwise a *Refusal, class X and unknown paths before a missing legal basis.
// Asking for an object or an array asks for all that lies below it. Whether the registration lists the paths at all is
// the second question: Covers.
func (t *Type) CheckRequestable(paths, legalBasis []string) error {
	var lacking *Refusal
	for _, p := range paths {
		if c, ok := t.nearest(p); ok && c.Class == Never {
			return &Refusal{CodeOverask, c.Path}
		}
		if _, ok := t.Claim(p); !ok {
			return &Refusal{Code: CodeOverask}
		}
		for _, c := range t.Claims {
			opens := func(code string) bool { return slices.Contains(legalBasis, code) }
			if c.Class == Legal && covers(p, c.Path) && !slices.ContainsFunc(c.Legal, opens) && lacking == nil {
				lacking = &Refusal{CodeLegalBasis, c.Path}
			}
		}
	}
	if lacking != nil {
		return lacking
	}
	return nil
}

// nearest is the claim at p or the closest one above it.
func (t *Type) nearest(p string) (Claim, bool) {
	if c, ok := t.Claim(p); ok {
		return c, true
	}
	var found Claim
	for _, c := range t.Claims {
		if below(p, c.Path) && len(c.Path) > len(found.Path) {
			found = c
		}
	}
	return found, found.Path != ""
}

// Covers reports whether every requested path lies at or below a registered one: "address" covers "address.region".
func Covers(registered, requested []string) bool {
	for _, p := range requested {
		if !slices.ContainsFunc(registered, func(r string) bool { return covers(r, p) }) {
			return false
		}
	}
	return true
}

func covers(r, p string) bool { return r != "" && (p == r || below(p, r)) }
