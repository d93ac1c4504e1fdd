// Package registry is the face of the DID registry chain that every party sees: the words (DIDs, key facts,
// accreditations, verifier registrations, status epochs) and the Resolver that answers from checked Evidence.
//
// Parties import this package, registry/evidence and registry/light, nothing else below it.
package registry

import (
	"fmt"
	"strings"
)

// A DID is `did:dojang:<network>:<id>`; id is the base58btc multihash of the canonical create payload,
// so nobody can squat on one or forge one.
type DID string

// ParseDID checks the syntax only: network is [a-z0-9-]{1,32}, id is base58btc of 1 to 64 characters.
func ParseDID(s string) (DID, error) {
	rest, ok := strings.CutPrefix(s, "did:dojang:")
	if !ok {
		return "", fmt.Errorf("registry: not a did:dojang identifier")
	}
	network, id, ok := strings.Cut(rest, ":")
	if !ok || !onlyBytes(network, 32, networkAlphabet) || !onlyBytes(id, 64, base58Alphabet) {
		return "", fmt.Errorf("registry: malformed did:dojang identifier")
	}
	return DID(s), nil
}

// ParseDIDURL splits `did#fragment`; path and query are refused: a key is named by its fragment alone.
func ParseDIDURL(s string) (DID, string, error) {
	base, fragment, ok := strings.Cut(s, "#")
	if !ok || !onlyBytes(fragment, 64, fragmentAlphabet) {
		return "", "", fmt.Errorf("registry: not a DID URL with a key fragment")
	}
	did, err := ParseDID(base)
	return did, fragment, err
}

// Network is the second part of the identifier; "" for a malformed DID.
func (d DID) Network() string {
	network, _, _ := strings.Cut(strings.TrimPrefix(string(d), "did:dojang:"), ":")
	return network
}

// ID is the self-certifying part; "" for a malformed DID.
func (d DID) ID() string {
	_, id, _ := strings.Cut(strings.TrimPrefix(string(d), "did:dojang:"), ":")
	return id
}

// URL names the key with that fragment.
func (d DID) URL(fragment string) string { return string(d) + "#" + fragment }

const (
	networkAlphabet  = "abcdefghijklmnopqrstuvwxyz0123456789-"
	base58Alphabet   = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	fragmentAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
)

func onlyBytes(s string, limit int, alphabet string) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return false
		}
	}
	return true
}
