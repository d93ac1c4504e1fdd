// Package records reads what agencies know about people: CSV files with Korean headers, and queries against their own
// databases. Which column means which claim is data (mapping/*.json).
//
// Start with ParseCSV, or NewSQL. Nothing read is trusted: the issuer validates every row against the type's schema, and
// nothing that looks like a resident registration number gets in. Problems name rows and rules, never values.
package records

import (
	"errors"
)

// ErrNone: the agency knows nobody by that id.
var ErrNone = errors.New("records: no record of this person")

// A Record is what an agency keeps about a person for one type.
type Record struct {
	Claims map[string]any    `json:"claims"`           // as the type's schema wants them, without envelope and derived claims
	Inputs map[string]string `json:"inputs,omitempty"` // facts that claims are derived from, never issued
}

// Input is a fact to derive from: an input, or the claim that says the same.
func (r Record) Input(name string) string {
	if v := r.Inputs[name]; v != "" {
		return v
	}
	if v, ok := r.Claims[name].(string); ok {
		return v
	}
	if address, ok := r.Claims["address"].(map[string]any); ok {
		v, _ := address[name].(string)
		return v
	}
	return ""
}

// A Row is one person of a file.
type Row struct {
	Person string
	Record Record
}

// A Problem names a row (1 is the first person), a claim and the rule that it breaks.
type Problem struct {
	Row   int
	Claim string
	Rule  string // empty, control, too_long, number, bool, code, phone, person, duplicate, resident_number, columns
}
