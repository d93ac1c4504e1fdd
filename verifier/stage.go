package verifier

import (
	"time"

	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
)

// A Submission is what a wallet sent, decoded and unverified.
type Submission struct {
	// Presentations by DCQL query id: SD-JWT+KB texts.
	Presentations map[string][]string
	// Evidence that the wallet stapled (`dojang_evidence`, CBOR); nil: none.
	Evidence []byte
}

// Expect is what the request fixed.
type Expect struct {
	Audience string    // the full client_id with its prefix
	Nonce    string    // of the request
	Now      time.Time // of the judgement
}

// A Judgement is the verdict on one Submission. It is the only place where claims can be read.
type Judgement struct {
	Decision Decision
	Code     Code
	Reason   Reason // the technical ground; "" when confirmed
	Detail   string // criterion of POLICY_FAILED, meaning of NEEDS_RENEWAL (also as a note on a confirmed one)
	// Claims by DCQL id, those that the policy asked for and nothing else; nil unless confirmed.
	Claims map[string]map[string]any
	// StatusAsOf is the moment for which the status is known (the oldest of several); zero when none was found.
	StatusAsOf time.Time
	// Warnings for the operator, e.g. "status_list_small" (C10).
	Warnings []string
	Basis    Basis
	cause    error
}

// Cause is what was wrong in words for a log; nil when nothing was. It holds no personal data.
func (j Judgement) Cause() error { return j.cause }

// A Basis is what a judgement rests on; the receipt carries it. No personal data.
type Basis struct {
	Credentials  []CredentialBasis
	Presentation [32]byte // SHA-256 over the presentations, in order of query ids
	Evidence     [32]byte // SHA-256 of the stapled Evidence; zero: none was used
}

// A CredentialBasis says by which facts one credential was judged.
type CredentialBasis struct {
	Query   string
	VCT     string
	Issuer  registry.DID
	Key     string    // fragment
	InForce time.Time // T: the facts were in force then
	KnownAt time.Time // K: as known at this header's time (the oldest fact)
	Height  uint64    // of that header
	Epoch   uint64    // sequence of the status epoch; 0: no status
	Status  string    // "valid", "needs renewal", …; "" unknown, "none" when the credential has no status
	AsOf    time.Time
}

// unverified is one presentation: well-formed, nothing believed. Its claims cannot be read.
type unverified struct {
	query string
	token *sdjwt.Unverified
	times times
}

// bound is an unverified presentation whose issuer's key is known from the registry.
type bound struct {
	unverified
	issuer issuer
}

// verified is a presentation that the issuer's key signed and the holder's key bound to this request.
type verified struct {
	bound
	token *sdjwt.Verified
}

// checked is a verified presentation with its status.
type checked struct {
	verified
	status statusFinding
}
