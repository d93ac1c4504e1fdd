package console

import (
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/dojang-id/dojang/registry"
)

// A Fact names one fact for which Evidence is asked. Its text is the path below /evidence/:
//
//	did/<id>  key/<id>/<kid>  service/<id>/<sid>  accreditation/<id>/<vct>  registration/<id>/<purpose>
//	status/<id>  type/<vct>  parameters  member/<member>  anchor/<64 hex>  operation/<68 hex>
type Fact struct {
	Kind string
	ID   string // of a DID or a member, a vct, or the hex of a hash
	Name string // key, service, type, purpose
}

var factKinds = []struct {
	kind     string
	id, name func(string) bool // nil: there is none
}{
	{"did", validID, nil},
	{"key", validID, registry.ValidFragment},
	{"service", validID, registry.ValidFragment},
	{"accreditation", validID, registry.ValidType},
	{"registration", validID, registry.ValidFragment},
	{"status", validID, nil},
	{"type", registry.ValidType, nil},
	{"parameters", nil, nil},
	{"member", registry.ValidFragment, nil},
	{"anchor", func(s string) bool { return validHex(s, 32) }, nil},
	{"operation", func(s string) bool { return validHex(s, len(registry.Hash{})) }, nil},
}

// ParseFact reads the parts of a path. Errors: registry.ErrNotFound for what cannot name a fact.
func ParseFact(parts ...string) (Fact, error) {
	var f Fact
	for i, to := range []*string{&f.Kind, &f.ID, &f.Name} {
		if i < len(parts) {
			*to = parts[i]
		}
	}
	for _, k := range factKinds {
		if k.kind == f.Kind && fits(f.ID, k.id) && fits(f.Name, k.name) {
			return f, nil
		}
	}
	return Fact{}, registry.ErrNotFound
}

func fits(s string, valid func(string) bool) bool {
	if valid == nil {
		return s == ""
	}
	return valid(s)
}

// Path of the Evidence on an Explorer.
func (f Fact) Path() string {
	path := "/evidence/" + f.Kind
	for _, part := range []string{f.ID, f.Name} {
		if part != "" {
			path += "/" + url.PathEscape(part)
		}
	}
	return path
}

// validID reports whether s may be the self-certifying part of a DID.
func validID(s string) bool {
	_, err := registry.ParseDID("did:dojang:n:" + s)
	return err == nil
}

func validHex(s string, size int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == size && strings.ToLower(s) == s
}
