package oid4vp

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// A Credential is what matching needs to know of a stored credential (wallet) or of a verified presentation (verifier).
type Credential struct {
	ID     string // the caller's handle; ignored in matching
	Format string
	// Types: SD-JWT VC: its vct and those it extends. mdoc: its docType. W3C: the fully expanded types.
	Types []string
	// Claims is the JSON tree of everything in it (wallet) or of what was disclosed (verifier), protocol claims included.
	// mdoc: namespace -> element -> value. Numbers are float64, int or int64.
	Claims      map[string]any
	HolderBound bool // has (wallet) or proved (verifier) a holder key
	// Trusted reports whether the issuer meets a condition; nil: none is met.
	Trusted func(TrustedAuthority) bool
}

// An Answer is one credential that satisfies one credential query, and exactly what to disclose of it.
type Answer struct {
	QueryID    string
	Credential string // Credential.ID
	Index      int    // in the list that was given
	// Disclose are concrete paths (no "all"), without duplicates; each stands for all below it. Empty: nothing that is
	// selectively disclosable.
	Disclose []Path
}

// ErrUnsatisfied: nothing held, or nothing presented, satisfies the query. Nothing must be sent, nothing accepted.
var ErrUnsatisfied = errors.New("oid4vp: query not satisfied")

// Candidates lists, for each credential query by id, every held credential that satisfies it, in the order held.
func (q Query) Candidates(held []Credential) map[string][]Answer {
	out := make(map[string][]Answer)
	for _, c := range q.Credentials {
		for i, h := range held {
			if disclose, err := c.match(h); err == nil {
				out[c.ID] = append(out[c.ID], Answer{QueryID: c.ID, Credential: h.ID, Index: i, Disclose: disclose})
			}
		}
	}
	return out
}

// Choose makes the default choice: every query, or for every required set the first option that can be answered, each
// with the first credential that fits. Optional sets are answered only with wantOptional. Where `multiple` allows more,
// the person may add from Candidates; least is the default. Error: ErrUnsatisfied.
func (q Query) Choose(held []Credential, wantOptional bool) ([]Answer, error) {
	candidates := q.Candidates(held)
	have := func(id string) bool { return len(candidates[id]) > 0 }
	chosen, err := q.choose(have, wantOptional)
	if err != nil {
		return nil, err
	}
	var out []Answer
	for _, c := range q.Credentials {
		if chosen[c.ID] {
			out = append(out, candidates[c.ID][0])
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: nothing to present", ErrUnsatisfied)
	}
	return out, nil
}

// choose names the queries to answer, given those that can be.
func (q Query) choose(have func(id string) bool, wantOptional bool) (map[string]bool, error) {
	chosen := make(map[string]bool)
	if len(q.CredentialSets) == 0 {
		for _, c := range q.Credentials {
			if !have(c.ID) {
				return nil, fmt.Errorf("%w: a credential is missing", ErrUnsatisfied)
			}
			chosen[c.ID] = true
		}
		return chosen, nil
	}
	for _, s := range q.CredentialSets {
		required := s.Required == nil || *s.Required
		if !required && !wantOptional {
			continue
		}
		i := slices.IndexFunc(s.Options, func(option []string) bool {
			return !slices.ContainsFunc(option, func(id string) bool { return !have(id) })
		})
		if i < 0 && required {
			return nil, fmt.Errorf("%w: no option of a required set is complete", ErrUnsatisfied)
		}
		if i >= 0 {
			for _, id := range s.Options[i] {
				chosen[id] = true
			}
		}
	}
	return chosen, nil
}

// Satisfied is the verifier's own evaluation of verified presentations by query id (8.6, 14.9): type, issuer condition,
// holder binding, claims and values, `multiple`, unknown ids, sets. Error: ErrUnsatisfied with the reason wrapped.
func (q Query) Satisfied(presented map[string][]Credential) error {
	for id, list := range presented {
		c, ok := q.Find(id)
		if !ok || len(list) == 0 || len(list) > 1 && !c.Multiple {
			return fmt.Errorf("%w: unknown query id, or not one presentation", ErrUnsatisfied)
		}
		for _, p := range list {
			if _, err := c.match(p); err != nil {
				return err
			}
		}
	}
	if len(presented) == 0 {
		return fmt.Errorf("%w: nothing was presented", ErrUnsatisfied)
	}
	_, err := q.choose(func(id string) bool { return len(presented[id]) > 0 }, false)
	return err
}

// Requested cuts a claims tree down to what the credential query asked for: extra claims are dropped before storing.
// Array elements that were not asked for are left out.
func (c CredentialQuery) Requested(claims map[string]any) map[string]any {
	var paths pathSet
	for _, claim := range c.Claims {
		paths.add(claim.selectFrom(claims))
	}
	out, _ := prune(claims, paths.list).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	return out
}

// match returns what to disclose of a credential that satisfies the query.
func (c CredentialQuery) match(h Credential) ([]Path, error) {
	switch {
	case c.Format != h.Format || !c.Meta.accepts(h):
		return nil, fmt.Errorf("%w: another type of credential", ErrUnsatisfied)
	case c.HolderBinding() && !h.HolderBound:
		return nil, fmt.Errorf("%w: no holder binding", ErrUnsatisfied)
	case len(c.TrustedAuthorities) > 0 && (h.Trusted == nil || !slices.ContainsFunc(c.TrustedAuthorities, h.Trusted)):
		return nil, fmt.Errorf("%w: issuer meets no condition", ErrUnsatisfied)
	}
	if len(c.ClaimSets) == 0 {
		return c.disclose(h.Claims, func(ClaimsQuery) bool { return true })
	}
	for _, set := range c.ClaimSets {
		paths, err := c.disclose(h.Claims, func(claim ClaimsQuery) bool { return slices.Contains(set, claim.ID) })
		if err == nil {
			return paths, nil
		}
	}
	return nil, fmt.Errorf("%w: no claim set is complete", ErrUnsatisfied)
}

// disclose collects the paths of all wanted claims, or fails when one is missing.
func (c CredentialQuery) disclose(claims map[string]any, wanted func(ClaimsQuery) bool) ([]Path, error) {
	var paths pathSet
	for _, claim := range c.Claims {
		if !wanted(claim) {
			continue
		}
		found := claim.selectFrom(claims)
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: a claim is missing or has another value", ErrUnsatisfied)
		}
		paths.add(found)
	}
	return paths.list, nil
}

// selectFrom selects the elements that exist and have an accepted value; one with another value is as if it did not
// exist (6.4.1).
func (c ClaimsQuery) selectFrom(claims map[string]any) []Selected {
	found, err := c.Path.Select(claims)
	if err != nil || len(c.Values) == 0 {
		return found
	}
	return slices.DeleteFunc(found, func(s Selected) bool {
		return !slices.ContainsFunc(c.Values, func(want any) bool { return sameValue(want, s.Value) })
	})
}

func (m Meta) accepts(h Credential) bool {
	has := func(t string) bool { return slices.Contains(h.Types, t) }
	switch h.Format {
	case FormatSDJWTVC:
		return len(m.VCTValues) == 0 || slices.ContainsFunc(m.VCTValues, has)
	case FormatMdoc:
		return m.DoctypeValue == "" || has(m.DoctypeValue)
	case FormatJWTVC, FormatLDPVC:
		return len(m.TypeValues) == 0 || slices.ContainsFunc(m.TypeValues, func(all []string) bool {
			return !slices.ContainsFunc(all, func(t string) bool { return !has(t) })
		})
	}
	return false
}

// sameValue compares type and value exactly: "5" is not 5, 1 is not true.
func sameValue(want, have any) bool {
	if n, ok := integer(want); ok {
		m, ok := integer(have)
		return ok && n == m
	}
	switch w := want.(type) {
	case string:
		h, ok := have.(string)
		return ok && h == w
	case bool:
		h, ok := have.(bool)
		return ok && h == w
	}
	return false
}

// integer takes the integers that a JSON or CBOR decoder may have made; a float64 only where it is exact.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= 1<<53
	}
	return 0, false
}

// A pathSet keeps distinct paths in order of appearance.
type pathSet struct {
	list []Path
	seen map[string]bool
}

func (p *pathSet) add(found []Selected) {
	if p.seen == nil {
		p.seen = make(map[string]bool)
	}
	for _, f := range found {
		if key := f.Path.key(); !p.seen[key] {
			p.seen[key] = true
			p.list = append(p.list, f.Path)
		}
	}
}

// prune keeps what lies on or below the paths; nil when nothing does.
func prune(v any, paths []Path) any {
	if len(paths) == 0 {
		return nil
	}
	below := make(map[Step][]Path)
	for _, p := range paths {
		if len(p) == 0 {
			return v
		}
		below[p[0]] = append(below[p[0]], p[1:])
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any)
		for key, sub := range v {
			if next, ok := below[Name(key)]; ok {
				out[key] = prune(sub, next)
			}
		}
		return out
	case []any:
		out := []any{}
		for i, sub := range v {
			if next, ok := below[Index(i)]; ok {
				out = append(out, prune(sub, next))
			}
		}
		return out
	}
	return nil
}
