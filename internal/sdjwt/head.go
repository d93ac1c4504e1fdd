package sdjwt

import (
	"fmt"

	"github.com/dojang-id/dojang/internal/keys"
)

// A Head is the first part of the issuer-signed JWT, encoded: the same bytes for every credential of one key, of which
// the certificate chain is the most.
type Head struct {
	alg  string
	text []byte // base64url
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
	return &Head{alg: h.Alg, text: keys.AppendEncodeURL(nil, b)}, nil
}
