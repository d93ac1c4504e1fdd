package oid4vp

import "errors"

// A Credential is what matching needs to know of a stored credential (wallet) or of a verified presentation (verifier).
type Credential struct {
	ID     string // the caller's handle; ignored in matching
	Format string
	// Types: SD-JWT VC: its vct and those it extends. mdoc: its docType. W3C: the fully expanded types.
	Types []string
	// Claims is the JSON tree of everything in it (wallet) or of what was disclosed (verifier), protocol claims included.
	// mdoc: namespace -> element -> value.
	Claims      map[string]any
	HolderBound bool // has (wallet) or proved (verifier) a holder key
	// Trusted reports whether the issuer meets one of the conditions; nil: none is met.
	Trusted func(TrustedAuthority) bool
}

// An Answer is one credential that satisfies one credential query, and exactly what to disclose of it.
type Answer struct {
	QueryID    string
	Credential string // Credential.ID
	Index      int    // in the list that was given
	Disclose   []Path // concrete paths (no "all"), without duplicates; empty: nothing selectively disclosable
}

// ErrUnsatisfied: nothing held, or nothing presented, satisfies the query. Nothing must be sent, nothing accepted.
var ErrUnsatisfied = errors.New("oid4vp: query not satisfied")

// Candidates lists, for each credential query by id, every held credential that satisfies it, in the order held.
func (q Query) Candidates(held []Credential) map[string][]Answer { return nil }

// Choose makes the default choice: for every required set the first option that can be answered; without sets every query;
// the first candidate each, all candidates where `multiple`. Optional sets are left out unless wantOptional.
// Error: ErrUnsatisfied.
func (q Query) Choose(held []Credential, wantOptional bool) ([]Answer, error) { return nil, errTODO }

// Satisfied is the verifier's own evaluation of verified presentations by query id (8.6, 14.9): type, issuer condition,
// holder binding, claims and values, `multiple`, unknown ids, sets. Error: ErrUnsatisfied with the reason wrapped.
func (q Query) Satisfied(presented map[string][]Credential) error { return errTODO }

// Requested cuts a claims tree down to what the credential query asked for: extra claims are dropped before storing.
func (c CredentialQuery) Requested(claims map[string]any) map[string]any { return nil }
