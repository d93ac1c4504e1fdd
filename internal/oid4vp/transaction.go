package oid4vp

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/oauth"
)

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

const (
	maxTransactions     = 8
	maxTransactionBytes = 16 << 10
	hashSHA256          = "sha-256"
)

// ParseTransactionData decodes every element and checks that it refers to queries with holder binding, names hash
// algorithms that exist here and, when types is not nil, has one of these types. Error: invalid_transaction_data.
func ParseTransactionData(raw []string, q Query, types []string) ([]TransactionData, error) {
	if len(raw) == 0 || len(raw) > maxTransactions {
		return nil, badTransaction("transaction_data is empty or too long", nil)
	}
	out := make([]TransactionData, len(raw))
	for i, s := range raw {
		if len(s) > maxTransactionBytes {
			return nil, badTransaction("transaction_data is too large", nil)
		}
		object, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err != nil {
			return nil, badTransaction("transaction_data is not base64url", err)
		}
		d := TransactionData{Raw: s, Object: object}
		if err := json.Unmarshal(object, &d); err != nil {
			return nil, badTransaction("transaction_data is not a JSON object", err)
		}
		if d.Type == "" || types != nil && !slices.Contains(types, d.Type) {
			return nil, badTransaction("transaction data type is not supported", nil)
		}
		if err := d.check(q); err != nil {
			return nil, err
		}
		out[i] = d
	}
	return out, nil
}

func (d TransactionData) check(q Query) error {
	if len(d.CredentialIDs) == 0 || len(d.CredentialIDs) > maxCredentials || outside(d.HashAlgs, maxTransactions) {
		return badTransaction("credential_ids or hash algorithms are empty or too many", nil)
	}
	for _, id := range d.CredentialIDs {
		if c, ok := q.Find(id); !ok || !c.HolderBinding() {
			return badTransaction("credential_ids name no query with holder binding", nil)
		}
	}
	if d.HashAlgs != nil && !slices.ContainsFunc(d.HashAlgs, func(a string) bool { return hashFor(a) != nil }) {
		return badTransaction("no hash algorithm in common", nil)
	}
	return nil
}

func badTransaction(why string, parent error) *oauth.Error {
	return oauth.NewError(oauth.InvalidTransactionData, why).WithParent(parent)
}

// EncodeTransactionData makes the string of one element from its JSON object.
func EncodeTransactionData(object []byte) string { return base64.RawURLEncoding.EncodeToString(object) }

// ForQuery picks the elements that the credential of one query may authorize.
func ForQuery(data []TransactionData, id string) []TransactionData {
	var out []TransactionData
	for _, d := range data {
		if slices.Contains(d.CredentialIDs, id) {
			out = append(out, d)
		}
	}
	return out
}

// HashProof is what a key binding carries (B.3.3.1): transaction_data_hashes and, when the request named algorithms,
// transaction_data_hashes_alg.
type HashProof struct {
	Hashes []string
	Alg    string // "" means absent: sha-256
}

// Hash is the wallet's side: one hash an element, over its base64url string, with an algorithm that every element offers,
// sha-256 where possible. Error: invalid_transaction_data when they have none in common.
func Hash(data []TransactionData) (HashProof, error) {
	var p HashProof
	alg := ""
	for _, candidate := range []string{hashSHA256, "sha-384", "sha-512"} {
		if !slices.ContainsFunc(data, func(d TransactionData) bool { return !d.offers(candidate) }) {
			alg = candidate
			break
		}
	}
	if alg == "" {
		return HashProof{}, badTransaction("elements have no hash algorithm in common", nil)
	}
	for _, d := range data {
		p.Hashes = append(p.Hashes, hashFor(alg)(d.Raw))
		if d.HashAlgs != nil {
			p.Alg = alg
		}
	}
	return p, nil
}

// CheckHashes is the verifier's side for the presentation that authorizes all of data: exactly these hashes in any order,
// by an algorithm that every element offered, named when the request named any. Error: ErrTransactionData.
func CheckHashes(data []TransactionData, p HashProof) error {
	alg := p.Alg
	if alg == "" {
		alg = hashSHA256
	}
	want := make([]string, 0, len(data))
	for _, d := range data {
		if !d.offers(alg) || d.HashAlgs != nil && p.Alg == "" {
			return ErrTransactionData
		}
		want = append(want, hashFor(alg)(d.Raw))
	}
	got := slices.Clone(p.Hashes)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return ErrTransactionData
	}
	return nil
}

// CheckTransactions is the verifier's side for a whole response: every element is authorized by exactly one of the
// credentials it names, and no proof carries anything else. proofs are by query id. Error: ErrTransactionData.
func CheckTransactions(data []TransactionData, proofs map[string]HashProof) error {
	claimed := make(map[string][]TransactionData)
	for _, d := range data {
		owner := ""
		for _, id := range d.CredentialIDs {
			if p, ok := proofs[id]; ok && p.covers(d) {
				if owner != "" {
					return ErrTransactionData
				}
				owner = id
			}
		}
		if owner == "" {
			return ErrTransactionData
		}
		claimed[owner] = append(claimed[owner], d)
	}
	for id, p := range proofs {
		if len(claimed[id]) == 0 && len(p.Hashes) == 0 && p.Alg == "" {
			continue
		}
		if err := CheckHashes(claimed[id], p); err != nil {
			return err
		}
	}
	return nil
}

func (p HashProof) covers(d TransactionData) bool {
	alg := p.Alg
	if alg == "" {
		alg = hashSHA256
	}
	return d.offers(alg) && slices.Contains(p.Hashes, hashFor(alg)(d.Raw))
}

// offers reports whether the element allows the algorithm, and we have it.
func (d TransactionData) offers(alg string) bool {
	if hashFor(alg) == nil {
		return false
	}
	return d.HashAlgs == nil && alg == hashSHA256 || slices.Contains(d.HashAlgs, alg)
}

// hashFor names come from the IANA registry "Named Information Hash Algorithm"; nil for one that does not exist here.
func hashFor(alg string) func(string) string {
	switch alg {
	case hashSHA256:
		return func(s string) string {
			h := sha256.Sum256([]byte(s))
			return base64.RawURLEncoding.EncodeToString(h[:])
		}
	case "sha-384":
		return func(s string) string {
			h := sha512.Sum384([]byte(s))
			return base64.RawURLEncoding.EncodeToString(h[:])
		}
	case "sha-512":
		return func(s string) string {
			h := sha512.Sum512([]byte(s))
			return base64.RawURLEncoding.EncodeToString(h[:])
		}
	}
	return nil
}
