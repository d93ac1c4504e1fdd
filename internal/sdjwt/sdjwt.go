// Package sdjwt is RFC 9901 (SD-JWT and key binding) and SD-JWT VC: issue, parse, disclose, verify.
//
// An issuer calls Prepare, records what it returns, then (*Prepared).Sign. A holder keeps the text, calls Open once
// and (*Held).Present for each presentation. A verifier calls Parse, finds the issuer's key with the Hints, and
// (*Unverified).Verify; claims are readable only on the Verified that comes out.
//
// Trusted: the key and the Options that the caller hands in. Not trusted: every byte of the token, its header included.
// Who the issuer is, is the caller's question: this package checks that the given key signed.
//
// The text format (RFC 9901 section 4):
//
//	sd-jwt    = issuer-jwt "~" *(disclosure "~")
//	sd-jwt+kb = issuer-jwt "~" *(disclosure "~") kb-jwt
package sdjwt

import "errors"

// A Reason is why a token does not hold: the `V:` reasons of THREATS 3.0. Compare with errors.Is.
type Reason string

func (r Reason) Error() string { return "sdjwt: " + string(r) }

// The reasons of this package.
const (
	Malformed               Reason = "malformed"
	LimitExceeded           Reason = "limit_exceeded"
	AlgNotAllowed           Reason = "alg_not_allowed"
	DisclosureInvalid       Reason = "disclosure_invalid"
	SignatureInvalid        Reason = "signature_invalid"
	SDHashMismatch          Reason = "sd_hash_mismatch"
	NonceMismatch           Reason = "nonce_mismatch"
	AudienceMismatch        Reason = "audience_mismatch"
	HolderBindingMissing    Reason = "holder_binding_missing"
	HolderBindingInvalid    Reason = "holder_binding_invalid"
	TransactionDataMismatch Reason = "transaction_data_mismatch"
	Expired                 Reason = "expired"
	NotYetValid             Reason = "not_yet_valid"
	StatusInvalid           Reason = "status_invalid"
)

// ReasonOf finds the Reason in an error's chain.
func ReasonOf(err error) (Reason, bool) {
	var r Reason
	ok := errors.As(err, &r)
	return r, ok
}

// Limits of everything that is parsed or issued (THREATS D16).
const (
	MaxBytes       = 256 << 10 // of the whole text
	MaxDisclosures = 256
	MaxDepth       = 16   // of the processed payload
	MaxDigests     = 4096 // digests in _sd and array places together, decoys included
)

// Errors of issuing, to be fixed by whoever filled the record.
var (
	ErrReserved   = errors.New("sdjwt: reserved claim name")       // B69
	ErrClaims     = errors.New("sdjwt: claims cannot be issued")   // null, duplicate name, too deep, too many
	ErrRandomness = errors.New("sdjwt: randomness repeats itself") // B71
	ErrSelection  = errors.New("sdjwt: no such claim to disclose")
)
