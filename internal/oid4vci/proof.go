package oid4vci

import (
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/oauth"
)

// Expect says what a key proof must match (appendix F).
type Expect struct {
	Audience string // the credential issuer identifier, exact
	Now      time.Time
	// ClientID is the authenticated client; "" after anonymous access, then `iss` must be absent.
	ClientID string
	Algs     []string // of the metadata; nil: ES256 and EdDSA
	// MaxAge bounds iat in the past; 0: five minutes. The future is bounded by a minute.
	MaxAge time.Duration
	// ResolveKid finds the key of a kid (DID URL, or a key in the attestation); nil refuses kid.
	ResolveKid func(kid string) (*keys.PublicKey, error)
	// VerifyX5C checks a chain and returns the leaf's key; nil refuses x5c.
	VerifyX5C func(chain [][]byte) (*keys.PublicKey, error)
}

// A Proof is verified: Key signed it for this issuer, and it is the only identity in it. Nonce is returned for the caller
// to check, "" when absent; KeyAttestation is an unverified JWT, "" when absent.
type Proof struct {
	Key            *keys.PublicKey
	Thumbprint     string
	Nonce          string
	IssuedAt       time.Time
	KeyAttestation string
}

const (
	maxProofBytes = 16 << 10
	futureSkew    = time.Minute
	defaultMaxAge = 5 * time.Minute
)

type proofClaims struct {
	Iss   string         `json:"iss,omitzero"`
	Aud   string         `json:"aud"` // a string: an array does not decode
	Iat   jsontext.Value `json:"iat"`
	Nonce string         `json:"nonce,omitzero"`
}

// VerifyProof checks one proof of the `jwt` type. Every refusal is invalid_proof.
func VerifyProof(jwt string, e Expect) (Proof, error) {
	j, err := keys.ParseJWS(jwt, keys.Expect{Typ: keys.TypProof, Algs: e.Algs, MaxBytes: maxProofBytes})
	if err != nil {
		return Proof{}, badProof("proof is malformed", err)
	}
	key, err := e.key(j.Header())
	if err != nil {
		return Proof{}, badProof("proof does not name one acceptable key", err)
	}
	payload, err := j.Verify(key)
	if err != nil {
		return Proof{}, badProof("proof signature is invalid", err)
	}
	var c proofClaims
	if err := json.Unmarshal(payload, &c); err != nil {
		return Proof{}, badProof("proof claims are malformed", err)
	}
	iat, err := keys.ParseNumericDate(c.Iat)
	if err != nil {
		return Proof{}, badProof("iat is missing or malformed", err)
	}
	if err := e.check(c, iat); err != nil {
		return Proof{}, err
	}
	attestation, _ := j.Header().Get("key_attestation")
	return Proof{Key: key, Thumbprint: key.Thumbprint(), Nonce: c.Nonce, IssuedAt: iat, KeyAttestation: attestation}, nil
}

// key applies F.1: exactly one of kid, jwk and x5c.
func (e Expect) key(h *keys.Header) (*keys.PublicKey, error) {
	hasKid, hasJWK, hasX5C := h.Kid != "", h.JWK != nil, h.X5C != nil
	switch {
	case h.Has("trust_chain") && !hasKid:
		return nil, errors.New("trust_chain without kid")
	case hasJWK && !hasKid && !hasX5C:
		return h.JWK, nil
	case hasKid && !hasJWK && !hasX5C && e.ResolveKid != nil:
		return e.ResolveKid(h.Kid)
	case hasX5C && !hasKid && !hasJWK && e.VerifyX5C != nil:
		return e.VerifyX5C(h.X5C)
	}
	return nil, errors.New("not exactly one of kid, jwk and x5c, or a kind that is not accepted")
}

func (e Expect) check(c proofClaims, iat time.Time) error {
	age := e.MaxAge
	if age == 0 {
		age = defaultMaxAge
	}
	switch {
	case e.Audience == "" || c.Aud != e.Audience:
		return badProof("aud is not this credential issuer", nil)
	case c.Iss != "" && c.Iss != e.ClientID:
		return badProof("iss is not the client", nil)
	case iat.Before(e.Now.Add(-age)) || iat.After(e.Now.Add(futureSkew)):
		return badProof("iat is outside of the accepted window", nil)
	case len(c.Nonce) > 4<<10:
		return badProof("nonce is too long", nil)
	}
	return nil
}

// VerifyProofs checks all of a request, in order, and that no key comes twice (8.3: each key at most one credential).
func VerifyProofs(jwts []string, e Expect) ([]Proof, error) {
	out := make([]Proof, 0, len(jwts))
	seen := make(map[string]bool, len(jwts))
	for _, jwt := range jwts {
		p, err := VerifyProof(jwt, e)
		if err != nil {
			return nil, err
		}
		if seen[p.Thumbprint] {
			return nil, badProof("two proofs by the same key", nil)
		}
		seen[p.Thumbprint] = true
		out = append(out, p)
	}
	return out, nil
}

func badProof(why string, parent error) error {
	return oauth.NewError(oauth.InvalidProof, why).WithParent(parent)
}

// ProofRequest is what a wallet proves.
type ProofRequest struct {
	Audience       string // credential issuer identifier
	ClientID       string // "" after anonymous access
	Nonce          string // c_nonce, "" when the issuer has no nonce endpoint
	KeyAttestation string
	Now            time.Time
}

// BuildProof makes an openid4vci-proof+jwt with the key in `jwk`.
func BuildProof(s keys.Signer, r ProofRequest) (string, error) {
	if r.Audience == "" {
		return "", errors.New("oid4vci: proof needs an audience")
	}
	payload, err := json.Marshal(proofClaims{
		Iss: r.ClientID, Aud: r.Audience, Iat: strconv.AppendInt(nil, r.Now.Unix(), 10), Nonce: r.Nonce,
	})
	if err != nil {
		return "", err
	}
	h := keys.Header{Typ: keys.TypProof, JWK: s.Public()}
	if r.KeyAttestation != "" {
		h.Extra = []keys.Member{{Name: "key_attestation", Value: r.KeyAttestation}}
	}
	return keys.SignJWS(s, h, payload)
}
