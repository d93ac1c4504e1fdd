// Package schemas is the documents themselves: credential types as data, embedded, looked up and enforced.
//
// Look a type up with Lookup, fill what follows from other claims with its Complete, judge a record with its Validate,
// a request with its CheckRequestable. Each type is a folder: type-metadata.json (SD-JWT VC type metadata, served as
// it lies there), schema.json (JSON Schema 2020-12), dojang.json (classes, validity, rules), specimens/. See README.md.
//
// The embedded folders are trusted (reviewed like code, loaded strictly); records and requests are not.
package schemas

import (
	"embed"
	"strings"
	"sync"
)

//go:embed envelope.json */type-metadata.json */schema.json */dojang.json
var files embed.FS

// embedded is loaded once; TestEmbedded shows that it loads.
var embedded = sync.OnceValue(func() []*Type {
	types, err := Load(files)
	if err != nil {
		panic(err)
	}
	return types
})

// All is the embedded types in the order of their names.
func All() []*Type { return append([]*Type(nil), embedded()...) }

// Lookup finds an embedded type by vct, docType or short name (then its newest major).
func Lookup(name string) (*Type, bool) {
	var found *Type
	for _, t := range embedded() {
		if t.VCT == name || t.DocType == name {
			return t, true
		}
		if t.Name == name && (found == nil || t.Major > found.Major) {
			found = t
		}
	}
	return found, found != nil
}

// ByDigest finds an embedded type by the digest of its type metadata.
func ByDigest(digest [32]byte) (*Type, bool) {
	for _, t := range embedded() {
		if t.digest == digest {
			return t, true
		}
	}
	return nil, false
}

// FormatPath turns a DCQL or type-metadata path (strings, nil for all elements, non-negative integers for one) into
// ours; "" when an element is something else. An index reads like "all": it falls into the same class.
func FormatPath(elements []any) string {
	var b strings.Builder
	for i, e := range elements {
		switch e := e.(type) {
		case string:
			if e == "" || strings.ContainsAny(e, ".[]") {
				return ""
			}
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(e)
		case nil:
			b.WriteString("[]")
		case int, int64, uint64, float64:
			b.WriteString("[]")
		default:
			return ""
		}
	}
	if strings.HasPrefix(b.String(), "[") {
		return ""
	}
	return b.String()
}

// SplitPath is the inverse of FormatPath: strings, and nil for "[]".
func SplitPath(path string) []any {
	var out []any
	for part := range strings.SplitSeq(path, ".") {
		name := strings.TrimRight(part, "[]")
		out = append(out, name)
		for range (len(part) - len(name)) / 2 {
			out = append(out, nil)
		}
	}
	return out
}
