package oid4vp

import "errors"

// TransactionData is one decoded element of transaction_data (5.1), with the exact string that was sent.
type TransactionData struct {
	Type          string   `json:"type"`
	CredentialIDs []string `json:"credential_ids"`
	HashAlgs      []string `json:"transaction_data_hashes_alg,omitzero"` // nil: sha-256
	Raw           string   `json:"-"`                                    // the base64url string; hashes go over it
	Object        []byte   `json:"-"`                                    // the JSON inside
}

// ErrTransactionData: the hashes in a presentation are not those of the request.
var ErrTransactionData = errors.New("oid4vp: transaction data mismatch")

// ParseTransactionData decodes every element and checks that it refers to queries with holder binding and, when types is
// not nil, has one of these types. Error: invalid_transaction_data.
func ParseTransactionData(raw []string, q Query, types []string) ([]TransactionData, error) {
	return nil, errTODO
}

// EncodeTransactionData makes the string of one element from its JSON object.
func EncodeTransactionData(object []byte) string { return "" }

// Hashes is the wallet's side: alg "sha-256" (also "sha-384", "sha-512" when every element offers it) and one hash an
// element, over the base64url string. explicit says whether transaction_data_hashes_alg must be sent along.
func Hashes(data []TransactionData) (hashes []string, alg string, explicit bool, err error) {
	return nil, "", false, errTODO
}

// CheckHashes is the verifier's side: same number, same order, algorithm only from the request's list. Error: ErrTransactionData.
func CheckHashes(data []TransactionData, hashes []string, alg string) error { return errTODO }
