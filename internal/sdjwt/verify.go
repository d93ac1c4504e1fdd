package sdjwt

import (
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// Options say what a verifier insists on.
type Options struct {
	Now  time.Time
	Typs []string // of the issuer-signed JWT, exact; nil: dc+sd-jwt

	// RequireKeyBinding: the decision comes from the request, never from what was sent (RFC 9901 7.3).
	// With it, Audience and Nonce are required. Without it a KB-JWT that is there is still verified, when
	// Audience and Nonce are given, and refused as holder_binding_invalid when they are not.
	RequireKeyBinding bool
	Audience          string        // the full client_id with its prefix, or origin:…
	Nonce             string        // of the request
	Window            time.Duration // of the KB-JWT's iat around Now; 0: 300 s

	// TransactionData are the base64url strings of the request that this credential must authorise; nil: none,
	// and a KB-JWT with hashes is refused.
	TransactionData     []string
	TransactionDataAlgs []string // hash names the request allows; nil: sha-256

	// AllowMissingVCT accepts tokens without vct (plain SD-JWT).
	AllowMissingVCT bool
}

// A Verified token: the issuer's key signed it, it is in time, its disclosures belong to it, and, when required,
// the holder's key signed for this audience and nonce.
type Verified struct{}

// Verify checks everything; cheap checks first, signatures last. exp == now is expired.
// Errors: any Reason.
func (u *Unverified) Verify(key *keys.PublicKey, o Options) (*Verified, error) { return nil, errTODO }

// Claims is the processed payload (an Object): disclosed claims merged in, _sd, _sd_alg and ... removed.
func (v *Verified) Claims() Value { return Value{} }

// Issuer is iss, "" when absent.
func (v *Verified) Issuer() string { return "" }

// VCT is the type.
func (v *Verified) VCT() string { return "" }

// Kid is the key id of the header.
func (v *Verified) Kid() string { return "" }

// X5C is the certificate chain of the header, still to be verified by the caller who resolved the key otherwise.
func (v *Verified) X5C() [][]byte { return nil }

// Holder is the key of cnf.jwk, nil when the credential is not bound.
func (v *Verified) Holder() *keys.PublicKey { return nil }

// HolderProven reports whether a KB-JWT was verified.
func (v *Verified) HolderProven() bool { return false }

// Status is the status list reference; ok false when there is none.
func (v *Verified) Status() (ref StatusRef, ok bool) { return StatusRef{}, false }

// IssuedAt, NotBefore and Expires are zero when absent.
func (v *Verified) IssuedAt() time.Time { return time.Time{} }

// NotBefore is nbf.
func (v *Verified) NotBefore() time.Time { return time.Time{} }

// Expires is exp.
func (v *Verified) Expires() time.Time { return time.Time{} }

// Disclosed are the paths that came out of disclosures.
func (v *Verified) Disclosed() []Path { return nil }
