package statuslist

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/fxamacker/cbor/v2"
)

// A Reference is what a credential's status claim names (section 6).
type Reference struct {
	URI   string
	Index uint64
}

const maxStatusClaim = 4096

// ParseReference reads the JSON of a `status` claim: {"status_list": {"idx": 5, "uri": "https://…"}}. Other status
// mechanisms may stand beside status_list. idx is a plain non-negative integer below MaxLength: "5", 5.0, 5e0, -1 and
// 2^31 are ErrIndex. Without a status_list: ErrMalformed.
func ParseReference(status []byte) (Reference, error) {
	if len(status) > maxStatusClaim {
		return Reference{}, ErrLimit
	}
	var claim struct {
		StatusList *struct {
			Idx jsontext.Value `json:"idx"`
			URI string         `json:"uri"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(status, &claim); err != nil || claim.StatusList == nil {
		return Reference{}, ErrMalformed
	}
	idx, err := parseIndex(claim.StatusList.Idx)
	if err != nil {
		return Reference{}, err
	}
	return newReference(claim.StatusList.URI, idx)
}

// parseIndex accepts what JSON writes for a non-negative integer without fraction or exponent.
func parseIndex(raw []byte) (uint64, error) {
	if len(raw) == 0 || len(raw) > 10 {
		return 0, ErrIndex
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return 0, ErrIndex
		}
	}
	idx, err := strconv.ParseUint(string(raw), 10, 64)
	if err != nil {
		return 0, ErrIndex
	}
	return idx, nil
}

// ParseReferenceCBOR is the same for the `status` of an MSO or CWT; idx is an unsigned integer.
func ParseReferenceCBOR(status []byte) (Reference, error) {
	if len(status) > maxStatusClaim {
		return Reference{}, ErrLimit
	}
	var claim map[string]cbor.RawMessage
	if err := decodeCBOR(status, &claim); err != nil {
		return Reference{}, err
	}
	var list struct {
		Idx cbor.RawMessage `cbor:"idx"`
		URI string          `cbor:"uri"`
	}
	if claim["status_list"] == nil || decodeCBOR(claim["status_list"], &list) != nil || len(list.Idx) == 0 {
		return Reference{}, ErrMalformed
	}
	const majorTypes, unsigned = 0xe0, 0x00
	var idx uint64
	if list.Idx[0]&majorTypes != unsigned || decodeCBOR(list.Idx, &idx) != nil {
		return Reference{}, ErrIndex
	}
	return newReference(list.URI, idx)
}

func newReference(uri string, idx uint64) (Reference, error) {
	if idx >= MaxLength {
		return Reference{}, ErrIndex
	}
	if uri == "" || len(uri) > maxURI {
		return Reference{}, ErrMalformed
	}
	return Reference{URI: uri, Index: idx}, nil
}

// JSON is the `status` claim of a credential.
func (r Reference) JSON() ([]byte, error) {
	b := append([]byte(`{"status_list":{"idx":`), strconv.FormatUint(r.Index, 10)...)
	b = append(b, `,"uri":`...)
	b, err := jsontext.AppendQuote(b, r.URI)
	if err != nil {
		return nil, ErrMalformed
	}
	return append(b, "}}"...), nil
}
