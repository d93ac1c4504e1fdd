package oid4vp

import (
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Handover holds what binds an mdoc presentation to a request (B.2.6.1).
//
//	SessionTranscript = [null, null, ["OpenID4VPHandover", SHA-256(CBOR([clientId, nonce, jwkThumbprint / null, responseUri]))]]
type Handover struct {
	ClientID    string // full, with its prefix
	Nonce       string
	Thumbprint  []byte // SHA-256 thumbprint of the key that the response is encrypted to; nil: not encrypted
	ResponseURI string
}

// SessionTranscript is the CBOR of the whole array, as mdoc authentication signs it.
func (h Handover) SessionTranscript() ([]byte, error) {
	var thumbprint any
	if h.Thumbprint != nil {
		thumbprint = h.Thumbprint
	}
	info, err := cbor.Marshal([]any{h.ClientID, h.Nonce, thumbprint, h.ResponseURI})
	if err != nil {
		return nil, fmt.Errorf("encode handover info: %w", err)
	}
	sum := sha256.Sum256(info)
	return cbor.Marshal([]any{nil, nil, []any{"OpenID4VPHandover", sum[:]}})
}
