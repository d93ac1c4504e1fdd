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
//	status/<id>  type/<vct>  parameters  member/<member>  validators  misbehaviour/<64 hex>  anchor/<64 hex>  operation/<68 hex>
//	proposal/<n>  round/<id>/<programme>/<round>  block/<height>
//	did-history/<id>  accreditation-history/<id>/<vct>/<n>  registration-history/<id>/<purpose>  parameters-history
type Fact struct {
	Kind string
	ID   string // of a DID or a member, a vct, a number, or the hex of a hash
	Name string // key, service, type, purpose, programme
	Sub  string // number of an accreditation, round
}

var factKinds = []struct {
	kind          string
	id, name, sub func(string) bool // nil: there is none
}{
	{"did", validID, nil, nil},
	{"key", validID, registry.ValidFragment, nil},
	{"service", validID, registry.ValidFragment, nil},
	{"accreditation", validID, registry.ValidType, nil},
	{"registration", validID, registry.ValidFragment, nil},
	{"status", validID, nil, nil},
	{"type", registry.ValidType, nil, nil},
	{"parameters", nil, nil, nil},
	{"member", registry.ValidFragment, nil, nil},
	{"validators", nil, nil, nil},
	{"misbehaviour", func(s string) bool { return validHex(s, 32) }, nil, nil},
	{"anchor", func(s string) bool { return validHex(s, 32) }, nil, nil},
	{"operation", func(s string) bool { return validHex(s, len(registry.Hash{})) }, nil, nil},
	{"proposal", validNumber, nil, nil},
	{"round", validID, registry.ValidFragment, registry.ValidFragment},
	{"block", validNumber, nil, nil},
	{"did-history", validID, nil, nil},
	{"accreditation-history", validID, registry.ValidType, validNumber},
	{"registration-history", validID, registry.ValidFragment, nil},
	{"parameters-history", nil, nil, nil},
}

// ParseFact reads the parts of a path. Errors: registry.ErrNotFound for what cannot name a fact.
func ParseFact(parts ...string) (Fact, error) {
	var f Fact
	for i, to := range []*string{&f.Kind, &f.ID, &f.Name, &f.Sub} {
		if i < len(parts) {
			*to = parts[i]
		}
	}
	for _, k := range factKinds {
		if k.kind == f.Kind && fits(f.ID, k.id) && fits(f.Name, k.name) && fits(f.Sub, k.sub) && len(parts) <= 4 {
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
	for _, part := range []string{f.ID, f.Name, f.Sub} {
		if part != "" {
			path += "/" + url.PathEscape(part)
		}
	}
	return path
}

// File is the name under which the Evidence is downloaded.
func (f Fact) File() string { return f.Kind + ".evidence" }

// validID reports whether s may be the self-certifying part of a DID.
func validID(s string) bool {
	_, err := registry.ParseDID("did:dojang:n:" + s)
	return err == nil
}

func validHex(s string, size int) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == size && strings.ToLower(s) == s
}

func validNumber(s string) bool {
	_, ok := parseHeight(s)
	return ok
}
