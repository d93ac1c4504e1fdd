package sdjwt

// Hints are what an unverified token says about itself, to find a key with. They prove nothing.
type Hints struct {
	Alg, Typ, Kid string
	Issuer, VCT   string   // "" when absent
	X5C           [][]byte // DER, leaf first
	KeyBinding    bool     // a KB-JWT is there
}

// An Unverified token is well-formed and within the limits. Its claims cannot be read.
type Unverified struct{}

// Parse reads an SD-JWT or SD-JWT+KB: structure, limits, strict JSON, disclosures and digests; no signature.
// Errors: Malformed, LimitExceeded, AlgNotAllowed, DisclosureInvalid.
func Parse(token string) (*Unverified, error) { return nil, errTODO }

// Hints for finding the issuer's key.
func (u *Unverified) Hints() Hints { return Hints{} }
