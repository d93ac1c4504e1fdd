package sdjwt

import (
	"fmt"
	"hash/maphash"
	"unicode/utf8"

	"github.com/dojang-id/dojang/internal/keys"
)

// lint refuses what must never be signed (B69, B70) and counts on the way.
type lint struct {
	sd int // disclosures
}

// reservedAnywhere are the names that the format owns at every level (RFC 9901 section 7.1; B69).
func reservedAnywhere(name string) bool {
	switch name {
	case "_sd", "...", "_sd_alg":
		return true
	}
	return false
}

// reservedAtTop are the names that the envelope owns (B69).
func reservedAtTop(name string) bool {
	switch name {
	case "iss", "sub", "iat", "nbf", "exp", "cnf", "vct", "vct#integrity", "aka_vcts", "status":
		return true
	}
	return false
}

func (l *lint) credential(c *Credential) error {
	if c.Alg != keys.ES256 && c.Alg != keys.EdDSA {
		return fmt.Errorf("%w: alg", ErrClaims)
	}
	if c.Decoys < 0 || c.Decoys > MaxDigests/4 {
		return fmt.Errorf("%w: decoys", ErrClaims)
	}
	for _, s := range []string{c.Issuer, c.VCT, c.VCTIntegrity, c.Subject} {
		if !utf8.ValidString(s) || len(s) > 2048 {
			return fmt.Errorf("%w: envelope text", ErrClaims)
		}
	}
	if c.Status != nil && (c.Status.URI == "" || len(c.Status.URI) > 2048 || c.Status.Index >= 1<<31 || !utf8.ValidString(c.Status.URI)) {
		return fmt.Errorf("%w: status", ErrClaims)
	}
	for i := range c.Claims {
		if reservedAtTop(c.Claims[i].Name) {
			return ErrReserved
		}
	}
	return l.object(c.Claims, 1)
}

func (l *lint) object(claims []Claim, depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: too deep", ErrClaims)
	}
	if twice(claims) {
		return fmt.Errorf("%w: the same name twice", ErrClaims)
	}
	for i := range claims {
		c := &claims[i]
		if reservedAnywhere(c.Name) {
			return ErrReserved
		}
		if c.Name == "" || !utf8.ValidString(c.Name) {
			return fmt.Errorf("%w: claim name", ErrClaims)
		}
		if err := l.part(c, depth); err != nil {
			return err
		}
	}
	return nil
}

func (l *lint) part(c *Claim, depth int) error {
	if c.SD {
		if l.sd++; l.sd > MaxDisclosures {
			return fmt.Errorf("%w: too many disclosures", ErrClaims)
		}
	}
	return l.value(&c.Value, depth)
}

func (l *lint) value(v *Value, depth int) error {
	switch v.kind {
	case Object:
		return l.object(v.parts, depth+1)
	case Array:
		if depth+1 > MaxDepth {
			return fmt.Errorf("%w: too deep", ErrClaims)
		}
		for i := range v.parts {
			if err := l.part(&v.parts[i], depth+1); err != nil {
				return err
			}
		}
		return nil
	case String:
		if !utf8.ValidString(v.text) {
			return fmt.Errorf("%w: not UTF-8", ErrClaims)
		}
		return nil
	case Bool, Number:
		return nil
	}
	return fmt.Errorf("%w: null or no value", ErrClaims)
}

// twice looks for a repeated name: a small table on the stack, a map for more names than any document has.
func twice(claims []Claim) bool {
	if len(claims) > 512 {
		seen := make(map[string]struct{}, len(claims))
		for i := range claims {
			seen[claims[i].Name] = struct{}{}
		}
		return len(seen) != len(claims)
	}
	var table [1024]uint16 // 1 + index, open addressing
	mask := uint64(63)
	for int(mask) < 2*len(claims) {
		mask = 2*mask + 1
	}
	seed := maphash.MakeSeed()
	for i := range claims {
		at := maphash.String(seed, claims[i].Name) & mask
		for ; table[at] != 0; at = (at + 1) & mask {
			if claims[table[at]-1].Name == claims[i].Name {
				return true
			}
		}
		table[at] = uint16(i + 1)
	}
	return false
}
