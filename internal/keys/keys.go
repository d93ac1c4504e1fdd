// Package keys is the only door to the JOSE library and the one place where JOSE is strict: public keys and JWKs,
// signers and their stores, compact JWS, JWE, JWK sets, certificate chains, NumericDate and stateless nonces.
//
// Start with ParseJWS and its Expect: it says which typ, which algorithms and how many bytes a place accepts;
// the payload is readable only through (*JWS).Verify with a key that the caller trusts for that place.
// A key found in a token's own header (JWK, X5C) proves possession, never identity.
//
// Trusted: keys handed in by the caller, and the roots given to VerifyChain. Never trusted: a token's header.
// Algorithms are ES256 (P-256) and EdDSA (Ed25519) and nothing else; MAC algorithms and "none" have no code here.
package keys

import "errors"

// The signature algorithms of RFC 7518 and RFC 8037 that exist here.
const (
	ES256 = "ES256"
	EdDSA = "EdDSA"
)

// The typ of every place where a JWS is accepted (THREATS A22). One place, one typ, exact match.
const (
	TypProof              = "openid4vci-proof+jwt"
	TypDPoP               = "dpop+jwt"
	TypClientAttestation  = "oauth-client-attestation+jwt"
	TypClientAttestPoP    = "oauth-client-attestation-pop+jwt"
	TypKeyAttestation     = "key-attestation+jwt"
	TypKeyBinding         = "kb+jwt"
	TypSDJWTVC            = "dc+sd-jwt"
	TypStatusList         = "statuslist+jwt"
	TypRequestObject      = "oauth-authz-req+jwt"
	TypIssuerMetadata     = "openidvci-issuer-metadata+jwt"
	TypAccessToken        = "at+jwt"
	TypVerificationRecord = "dojang-receipt+jwt"
)

// What callers tell apart. Every error of this package wraps exactly one of them (or an I/O error of a store).
var (
	ErrMalformed = errors.New("keys: malformed")
	ErrLimit     = errors.New("keys: limit exceeded")
	ErrAlg       = errors.New("keys: algorithm not allowed")
	ErrType      = errors.New("keys: token of another type")
	ErrKey       = errors.New("keys: key not acceptable")
	ErrSignature = errors.New("keys: signature invalid")
	ErrChain     = errors.New("keys: certificate chain not acceptable")
	ErrDecrypt   = errors.New("keys: decryption refused") // one error for every cause: no oracle
	ErrNotFound  = errors.New("keys: no such key")
	ErrExists    = errors.New("keys: key exists already")
	ErrNonce     = errors.New("keys: nonce not ours")
	ErrStale     = errors.New("keys: nonce too old")
)
