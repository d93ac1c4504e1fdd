package sdjwt

import (
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/dojang-id/dojang/internal/keys"
)

// A Head is the first part of the issuer-signed JWT, encoded: the same bytes for every credential of one key, of which
// the certificate chain is the most.
type Head struct {
	alg   string
	text  []byte      // base64url and the dot
	state hash.Cloner // SHA-256 after text: a third of every signing input is hashed once
}

// NewHead encodes a header of Alg, Typ (default dc+sd-jwt), Kid and X5C. Error: ErrClaims.
func NewHead(h keys.Header) (*Head, error) {
	if h.Typ == "" {
		h.Typ = keys.TypSDJWTVC
	}
	if h.Alg != keys.ES256 && h.Alg != keys.EdDSA {
		return nil, fmt.Errorf("%w: alg", ErrClaims)
	}
	b, err := h.AppendJSON(nil)
	if err != nil {
		return nil, fmt.Errorf("%w: header", ErrClaims)
	}
	text := append(keys.AppendEncodeURL(nil, b), '.')
	state := sha256.New()
	state.Write(text)
	return &Head{alg: h.Alg, text: text, state: state.(hash.Cloner)}, nil
}

// digest of the head with a payload behind it.
func (h *Head) digest(payload []byte) (d [sha256.Size]byte, err error) {
	state, err := h.state.Clone()
	if err != nil {
		return d, err
	}
	state.Write(payload)
	state.Sum(d[:0])
	return d, nil
}
