package sdjwt

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// ramp is randomness that does not repeat, and is the same each time.
type ramp struct{ n byte }

func (r *ramp) Read(p []byte) (int, error) {
	for i := range p {
		r.n = r.n*5 + 113
		p[i] = r.n ^ byte(i>>3)
	}
	return len(p), nil
}

func TestHead(t *testing.T) {
	h := keys.Header{Alg: keys.ES256, Kid: "did:example:a#1", X5C: [][]byte{[]byte("leaf"), []byte("intermediate")}}
	head, err := NewHead(h)
	if err != nil {
		t.Fatal(err)
	}
	c := Credential{Issuer: "did:example:a", VCT: "urn:a", Expires: time.Unix(2_000_000_000, 0), Claims: []Claim{{Name: "a", Value: Text("b"), SD: true}, {Name: "c", Value: Int(1)}}}
	once, each := c, c
	once.Head = head
	each.Alg, each.Kid, each.X5C = h.Alg, h.Kid, h.X5C
	a, err := Prepare(once, &ramp{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Prepare(each, &ramp{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.SigningInput(), b.SigningInput()) || a.Digest() != b.Digest() || len(a.Disclosures()) != 1 || a.Disclosures()[0] != b.Disclosures()[0] {
		t.Errorf("a header encoded once gives other bytes:\n%s\n%s", a.SigningInput(), b.SigningInput())
	}
	other, err := keys.Generate(keys.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Sign(other); !errors.Is(err, keys.ErrAlg) {
		t.Errorf("signed with a key of another algorithm: %v", err)
	}
	for name, bad := range map[string]keys.Header{"no alg": {}, "alg none": {Alg: "none"}, "ES384": {Alg: "ES384"}, "crit": {Alg: keys.ES256, Extra: []keys.Member{{Name: "crit", Value: "x"}}}} {
		if _, err := NewHead(bad); !errors.Is(err, ErrClaims) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
