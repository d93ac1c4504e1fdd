package sdjwt

import (
	"io"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// A StatusRef is the status_list member of the status claim.
type StatusRef struct {
	URI   string
	Index uint64
}

// A Credential is what to issue. Zero fields are left out.
type Credential struct {
	// Header.
	Alg string   // of the key that will sign; required
	Typ string   // default dc+sd-jwt
	Kid string   // DID URL of the key
	X5C [][]byte // DER, leaf first, without the root

	// Envelope, never selectively disclosable (RFC 9901 9.7). Times are cut to seconds.
	Issuer       string
	VCT          string
	VCTIntegrity string
	Subject      string
	IssuedAt     time.Time
	NotBefore    time.Time
	Expires      time.Time
	Holder       *keys.PublicKey // cnf.jwk
	Status       *StatusRef

	Claims []Claim
	Decoys int // extra digests at the top level
}

// A Prepared credential has its salts drawn and its bytes fixed, and no signature. Record it, then Sign.
type Prepared struct {
	text  []byte
	input int
}

// Prepare draws salts (128 bits a disclosure) and fixes every byte. Errors: ErrReserved, ErrClaims, ErrRandomness.
func Prepare(c Credential, random io.Reader) (*Prepared, error) { return nil, errTODO }

// SigningInput is header.payload: the bytes that Sign signs. The caller must not change it.
func (p *Prepared) SigningInput() []byte { return nil }

// Digest is the SHA-256 of SigningInput, for the intent row.
func (p *Prepared) Digest() [32]byte { return [32]byte{} }

// Disclosures are the base64url disclosures in order.
func (p *Prepared) Disclosures() []string { return nil }

// Sign signs and returns the SD-JWT: issuer-jwt~disclosure~…~
func (p *Prepared) Sign(s keys.Signer) (string, error) { return "", errTODO }
