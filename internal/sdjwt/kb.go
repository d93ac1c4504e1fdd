package sdjwt

import (
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// KeyBinding is what a holder binds a presentation to.
type KeyBinding struct {
	Audience string // full client_id with its prefix
	Nonce    string
	IssuedAt time.Time
	// TransactionData are the base64url strings of the request; hashes over the strings as they are.
	TransactionData    []string
	TransactionDataAlg string // "": sha-256, not written
}

// Present selects and signs: the SD-JWT+KB.
func (h *Held) Present(paths []Path, kb KeyBinding, s keys.Signer) (string, error) {
	return "", errTODO
}
