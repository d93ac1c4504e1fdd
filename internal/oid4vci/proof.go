package oid4vci

import (
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// Expect says what a key proof must match (appendix F).
type Expect struct {
	Audience string // the credential issuer identifier, exact
	Now      time.Time
	// ClientID is the authenticated client; "" after anonymous access, then `iss` must be absent.
	ClientID string
	Algs     []string // of the metadata; nil: ES256 and EdDSA
	// MaxAge bounds iat in the past; 0: a day (the nonce bounds it closer). The future is bounded by a minute.
	MaxAge time.Duration
	// ResolveKid finds the key of a kid (DID URL or a key in the attestation); nil refuses kid.
	ResolveKid func(kid string) (*keys.PublicKey, error)
	// VerifyX5C checks a chain and returns the leaf's key; nil refuses x5c.
	VerifyX5C func(chain [][]byte) (*keys.PublicKey, error)
}

// A Proof is verified: Key signed it for this issuer. Nonce is returned for the caller to check, "" when absent;
// KeyAttestation is an unverified JWT, "" when absent.
type Proof struct {
	Key            *keys.PublicKey
	Thumbprint     string
	Nonce          string
	IssuedAt       time.Time
	KeyAttestation string
}

// VerifyProof checks one proof of the `jwt` type. Every refusal is invalid_proof.
func VerifyProof(jwt string, e Expect) (Proof, error) { return Proof{}, errTODO }

// VerifyProofs checks all of a request, in order, and that no key comes twice.
func VerifyProofs(jwts []string, e Expect) ([]Proof, error) { return nil, errTODO }

// ProofRequest is what a wallet proves.
type ProofRequest struct {
	Audience       string // credential issuer identifier
	ClientID       string // "" after anonymous access
	Nonce          string // c_nonce, "" when the issuer has no nonce endpoint
	KeyAttestation string
	Now            time.Time
}

// BuildProof makes an openid4vci-proof+jwt with the key in `jwk`.
func BuildProof(s keys.Signer, r ProofRequest) (string, error) { return "", errTODO }
