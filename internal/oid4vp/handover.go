package oid4vp

// Handover holds what binds an mdoc presentation to a request (B.2.6.1).
type Handover struct {
	ClientID    string // full, with its prefix
	Nonce       string
	Thumbprint  []byte // SHA-256 thumbprint of the key that the response is encrypted to; nil: not encrypted
	ResponseURI string
}

// SessionTranscript is the CBOR of [null, null, ["OpenID4VPHandover", SHA-256(info)]].
func (h Handover) SessionTranscript() ([]byte, error) { return nil, errTODO }
