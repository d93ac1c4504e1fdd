package oauth

import (
	"net/http"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// The two headers of attestation-based client authentication, and the one that carries a challenge back.
const (
	HeaderAttestation    = "OAuth-Client-Attestation"
	HeaderAttestationPoP = "OAuth-Client-Attestation-PoP"
	HeaderChallenge      = "OAuth-Client-Attestation-Challenge"
)

// An Attestation is what a wallet provider says of a wallet instance (OpenID4VCI 1.0 appendix E).
type Attestation struct {
	Issuer     string // iss; optional
	ClientID   string // sub, shared by all instances of the wallet
	Key        *keys.PublicKey
	NotBefore  time.Time // zero: absent
	IssuedAt   time.Time // zero: absent
	Expires    time.Time
	WalletName string
	WalletLink string
	Status     []byte // raw JSON of `status`; nil: absent. The caller checks it.
}

// AttestationExpect says what the pair of headers must match.
type AttestationExpect struct {
	Audience string // the authorization server's issuer identifier, exact
	ClientID string // of the request; "" when it came without one
	Now      time.Time
	// TrustedKey answers which key may have signed the attestation: from its x5c chain or kid and the iss claim's issuer
	// list, never from a jwk header. Any error becomes invalid_client.
	TrustedKey func(h *keys.Header) (*keys.PublicKey, error)
	// MaxAge bounds the attestation's own age by iat; 0: unbounded. Older is use_fresh_attestation.
	MaxAge time.Duration
	// CheckChallenge judges the server's challenge; nil: none demanded. Any error becomes use_attestation_challenge.
	CheckChallenge func(challenge string) error
	// FirstUse records a proof of possession until its window ends and reports whether it was new. Required.
	FirstUse func(id string, until time.Time) (bool, error)
}

// VerifyAttestation checks both headers. Errors: invalid_client (also when a header is missing: HasAttestation tells),
// use_attestation_challenge (add a fresh challenge with WithHeader), use_fresh_attestation.
func VerifyAttestation(h http.Header, e AttestationExpect) (Attestation, error) {
	return Attestation{}, errTODO
}

// HasAttestation reports whether the request carries either header.
func HasAttestation(h http.Header) bool {
	return len(h.Values(HeaderAttestation)) > 0 || len(h.Values(HeaderAttestationPoP)) > 0
}

// AttestationHeader says how the provider's key is named: a chain without its anchor (HAIP) or a kid.
type AttestationHeader struct {
	Kid string
	X5C [][]byte
}

// BuildAttestation is the wallet provider's side: an oauth-client-attestation+jwt for the instance key a.Key.
func BuildAttestation(s keys.Signer, h AttestationHeader, a Attestation) (string, error) {
	return "", errTODO
}

// AttestationPoP is what an instance proves.
type AttestationPoP struct {
	Audience  string // the authorization server's issuer identifier
	Challenge string // "" when the server gave none
	JTI       string // 128 random bits or more, base64url
	Now       time.Time
}

// BuildAttestationPoP is the wallet instance's side, signed by the key that the attestation names.
func BuildAttestationPoP(s keys.Signer, p AttestationPoP) (string, error) { return "", errTODO }
