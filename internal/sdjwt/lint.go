package sdjwt

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/dojang-id/dojang/internal/keys"
)

// lint refuses what must never be signed (B69, B70) and counts on the way.
type lint struct {
	sd int // disclosures
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
		if slices.Contains(reservedAtTop, c.Claims[i].Name) {
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
		if slices.Contains(reservedAnywhere, c.Name) {
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

// twice looks for a repeated name: pairwise for few, with a map for many.
func twice(claims []Claim) bool {
	if len(claims) <= 24 {
		for i := range claims {
			for j := range i {
				if claims[i].Name == claims[j].Name {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(claims))
	for i := range claims {
		seen[claims[i].Name] = struct{}{}
	}
	return len(seen) != len(claims)
}
