package statuslist

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A Record ties one list to an epoch of its issuer (format: package doc, "List record").
type Record struct {
	URI    string
	Bits   int
	Length uint64
	Root   [32]byte
	Tokens TokenDigests
}

// TokenDigests are SHA-256 of the published tokens; the zero digest means: not published in this format.
type TokenDigests struct{ JWT, CWT, Bitstring [32]byte }

const (
	recordVersion = 1
	maxURI        = 512
	maxRecord     = 1024
)

// recordCBOR and tokensCBOR are the wire form of a Record.
type recordCBOR struct {
	V      uint64     `cbor:"v"`
	URI    string     `cbor:"uri"`
	Bits   uint64     `cbor:"bits"`
	Length uint64     `cbor:"length"`
	Root   []byte     `cbor:"root"`
	Tokens tokensCBOR `cbor:"tokens"`
}

type tokensCBOR struct {
	JWT       []byte `cbor:"jwt,omitempty"`
	CWT       []byte `cbor:"cwt,omitempty"`
	Bitstring []byte `cbor:"bitstring,omitempty"`
}

// Marshal is the deterministic encoding. Errors: ErrBits, ErrMalformed (URI), ErrLimit.
func (r Record) Marshal() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	return encodeCBOR(recordCBOR{
		V: recordVersion, URI: r.URI, Bits: uint64(r.Bits), Length: r.Length, Root: r.Root[:],
		Tokens: tokensCBOR{JWT: present(r.Tokens.JWT), CWT: present(r.Tokens.CWT), Bitstring: present(r.Tokens.Bitstring)},
	})
}

// ParseRecord refuses every other encoding than Marshal's.
func ParseRecord(record []byte) (Record, error) {
	var w recordCBOR
	if len(record) > maxRecord {
		return Record{}, ErrLimit
	}
	if err := decodeCBOR(record, &w); err != nil {
		return Record{}, err
	}
	r := Record{URI: w.URI, Bits: int(min(w.Bits, 255)), Length: w.Length}
	digests := []struct {
		to   *[32]byte
		from []byte
		must bool
	}{{&r.Root, w.Root, true}, {&r.Tokens.JWT, w.Tokens.JWT, false}, {&r.Tokens.CWT, w.Tokens.CWT, false}, {&r.Tokens.Bitstring, w.Tokens.Bitstring, false}}
	for _, d := range digests {
		if len(d.from) == 0 && !d.must {
			continue
		}
		if len(d.from) != sha256.Size {
			return Record{}, ErrMalformed
		}
		*d.to = [32]byte(d.from)
	}
	if w.V != recordVersion {
		return Record{}, ErrMalformed
	}
	again, err := r.Marshal()
	if err != nil {
		return Record{}, err
	}
	if !bytes.Equal(again, record) {
		return Record{}, ErrMalformed
	}
	return r, nil
}

func (r Record) check() error {
	if err := checkShape(r.Bits, r.Length); err != nil {
		return err
	}
	if r.URI == "" || len(r.URI) > maxURI {
		return ErrMalformed
	}
	for i := range len(r.URI) {
		if r.URI[i] <= ' ' || r.URI[i] > '~' {
			return ErrMalformed
		}
	}
	return nil
}

// checkShape: bits 1, 2, 4 or 8, at least one entry, whole bytes, no more than MaxLength.
func checkShape(bits int, length uint64) error {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return ErrBits
	}
	if length > MaxLength {
		return ErrLimit
	}
	if length == 0 || length*uint64(bits)%8 != 0 {
		return ErrBits
	}
	return nil
}

// CheckToken compares a published token's bytes with the record. Errors: ErrProof; ErrType for an unknown media type.
func (r Record) CheckToken(mediaType string, token []byte) error {
	var want [32]byte
	switch mediaType {
	case MediaTypeJWT:
		want = r.Tokens.JWT
	case MediaTypeCWT:
		want = r.Tokens.CWT
	default:
		return ErrType
	}
	if want == [32]byte{} || sha256.Sum256(token) != want {
		return ErrProof
	}
	return nil
}

// CheckValues compares a list's values with the record: bits, length and root. Errors: ErrProof.
func (r Record) CheckValues(v Values) error {
	if r.Bits != v.Bits() || r.Length != v.Len() || r.Root != v.Root() {
		return ErrProof
	}
	return nil
}

// A RecordProof places a record in an epoch.
type RecordProof struct {
	Record []byte
	Path   [][]byte // RFC 6962 audit path, from leaf to root
	Index  uint64
	Size   uint64
}

// EpochRoot is the root over an issuer's records in list order.
func EpochRoot(records [][]byte) [32]byte { return recordTree(records).root() }

// ProveRecord is the audit path of records[index], from leaf to root. Errors: ErrIndex.
func ProveRecord(records [][]byte, index int) ([][]byte, error) {
	if index < 0 || index >= len(records) {
		return nil, ErrIndex
	}
	return recordTree(records).path(uint64(index))
}

func recordTree(records [][]byte) *tree {
	leaves := make([][32]byte, len(records))
	for i, r := range records {
		leaves[i] = leafHash(r)
	}
	return newTree(leaves)
}

// VerifyRecord checks a record against an epoch root and returns it parsed. Errors: ErrProof, ErrMalformed, ErrLimit, ErrBits.
func VerifyRecord(root [32]byte, p RecordProof) (Record, error) {
	if len(p.Path) > 64 || len(p.Record) > maxRecord {
		return Record{}, ErrLimit
	}
	if err := inTree(root, p.Record, p.Index, p.Size, p.Path); err != nil {
		return Record{}, err
	}
	return ParseRecord(p.Record)
}

func present(digest [32]byte) []byte {
	if digest == [32]byte{} {
		return nil
	}
	return digest[:]
}

// encodeCBOR is the deterministic encoding of RFC 8949 section 4.2.1.
func encodeCBOR(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, err
	}
	out, err := mode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return out, nil
}

// decodeCBOR is strict: known members only, no duplicates, no indefinite lengths, no tags, UTF-8, nothing behind.
func decodeCBOR(data []byte, v any) error {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		UTF8: cbor.UTF8RejectInvalid, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive, MaxNestedLevels: 8, MaxMapPairs: 64, MaxArrayElements: 64,
	}.DecMode()
	if err != nil {
		return err
	}
	if err := mode.Unmarshal(data, v); err != nil {
		return ErrMalformed
	}
	return nil
}
