package keys

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	maxKeys    = 50
	maxSameKid = 4
	maxJWKS    = 1 << 20
)

// A KeySet is a parsed JWK set (RFC 7517 section 5): at most 50 keys.
type KeySet struct {
	signing    []namedKey
	recipients []*Recipient
}

type namedKey struct {
	kid string
	key *PublicKey
}

// ParseJWKS reads a JWK set. Keys of other types or uses are skipped, as the RFC asks; private or symmetric ones,
// malformed ones, more than 50, and more than 4 with one kid refuse the set.
func ParseJWKS(data []byte) (*KeySet, error) {
	if len(data) > maxJWKS {
		return nil, fmt.Errorf("%w: JWK set", ErrLimit)
	}
	set := &KeySet{}
	found := false
	err := scanObject(data, func(name string, dec *jsontext.Decoder) error {
		if name != "keys" {
			return skip(dec)
		}
		found = true
		return set.read(dec)
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: no keys member", ErrMalformed)
	}
	return set, nil
}

func (s *KeySet) read(dec *jsontext.Decoder) error {
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '[' {
		return fmt.Errorf("%w: keys is not an array", ErrMalformed)
	}
	for n := 0; dec.PeekKind() != ']'; n++ {
		if n == maxKeys {
			return fmt.Errorf("%w: JWK set", ErrLimit)
		}
		v, err := dec.ReadValue()
		if err != nil {
			return errJSON
		}
		if err := s.add(v); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return errJSON
	}
	return nil
}

func (s *KeySet) add(data []byte) error {
	f, err := readJWK(data)
	if err != nil {
		return err
	}
	if f.private {
		return fmt.Errorf("%w: a private key in a public set", ErrKey)
	}
	if f.use == "enc" || f.alg == ECDHES {
		if r, err := f.recipient(); err == nil {
			s.recipients = append(s.recipients, r)
		}
		return nil
	}
	known := (f.kty == "EC" && f.crv == "P-256") || (f.kty == "OKP" && f.crv == "Ed25519")
	if !known || (f.use != "" && f.use != "sig") {
		return nil
	}
	key, err := f.signatureKey()
	if err != nil {
		return err
	}
	s.signing = append(s.signing, namedKey{kid: f.kid, key: key})
	if len(s.Candidates(f.kid)) > maxSameKid {
		return fmt.Errorf("%w: keys of one kid", ErrLimit)
	}
	return nil
}

// Candidates are all signature keys with exactly that kid, at most 4 (A10: try them all).
func (s *KeySet) Candidates(kid string) []*PublicKey {
	var out []*PublicKey
	for _, k := range s.signing {
		if k.kid == kid {
			out = append(out, k.key)
		}
	}
	return out
}

// Only is the signature key of a set that has exactly one; ok false otherwise. For tokens without kid.
func (s *KeySet) Only() (key *PublicKey, ok bool) {
	if len(s.signing) != 1 {
		return nil, false
	}
	return s.signing[0].key, true
}

// Recipients are the encryption keys in order of appearance.
func (s *KeySet) Recipients() []*Recipient { return s.recipients }
