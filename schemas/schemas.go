// Package schemas is the documents themselves: credential types as data, embedded, looked up and enforced.
//
// Look a type up with Lookup, judge a record with its Validate, a request with its CheckRequestable.
// Each type is a folder: type-metadata.json (SD-JWT VC type metadata, served as it lies there), schema.json
// (JSON Schema 2020-12), dojang.json (classes, validity, rules), specimens/. See README.md.
//
// The embedded folders are trusted (they are reviewed like code and loaded strictly); records and requests are not.
package schemas

import (
	"errors"
	"io/fs"
)

// source holds a type's documents as they are served, and what was compiled from them.
type source struct {
	metadata []byte
	schema   []byte
	digest   [32]byte
}

// Load reads every type folder of fsys. Errors name the file.
func Load(fsys fs.FS) ([]*Type, error) { return nil, errors.New("schemas: not built yet") }

// All is the embedded types in the order of their names.
func All() []*Type { return nil }

// Lookup finds an embedded type by vct, docType or short name (its newest major).
func Lookup(name string) (*Type, bool) { return nil, false }

// TypeMetadata is the SD-JWT VC type metadata as served, byte for byte (application/json).
func (t *Type) TypeMetadata() []byte { return t.metadata }

// Digest is SHA-256 of TypeMetadata: the type digest on the chain.
func (t *Type) Digest() [32]byte { return t.digest }

// JSONSchema is the JSON Schema 2020-12 of the record's claims, as served.
func (t *Type) JSONSchema() []byte { return t.schema }

// Claim finds a path; false when the type does not know it.
func (t *Type) Claim(path string) (Claim, bool) { return Claim{}, false }

// Disclosable reports whether the path is a Disclosure of its own (sd "always").
func (t *Type) Disclosable(path string) bool { return false }

// LastDay is the last valid day of a document issued on that day. fromRecord is the day that the record names (types
// whose window belongs to a programme), birth the holder's birth date where BeforeAge caps; either may be zero.
func (t *Type) LastDay(issued, fromRecord, birth Date) (Date, error) {
	return Date{}, errors.New("schemas: not built yet")
}

// HasResidentNumber reports whether text holds what looks like a resident registration number: 13 digits, 6+7, with
// a date that can exist. The check digit is not looked at: numbers given since 2020-10-05 have none.
func HasResidentNumber(text string) bool { return true }
