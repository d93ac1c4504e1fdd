package registry

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed: bytes that are not the one encoding this format allows.
var ErrMalformed = errors.New("registry: malformed")

// Encode is the deterministic encoding of RFC 8949 section 4.2.1, used for everything on the chain.
func Encode(v any) ([]byte, error) {
	b, err := encMode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("registry: encode: %w", err)
	}
	return b, nil
}

// Decode reads strictly: no duplicate or unknown map keys, tags, indefinite lengths, invalid UTF-8, trailing bytes.
// It does not insist on the deterministic encoding: for bytes whose hash is already proven. Error: ErrMalformed.
func Decode(data []byte, v any) error {
	if err := decMode.Unmarshal(data, v); err != nil {
		return ErrMalformed // the library's error may echo input
	}
	return nil
}

// DecodeCanonical is Decode and refuses all input that Encode would not have written. Error: ErrMalformed.
func DecodeCanonical(data []byte, v any) error {
	if err := Decode(data, v); err != nil {
		return err
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, data) {
		return ErrMalformed
	}
	return nil
}

// The modes are immutable after construction and safe for concurrent use.
var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   12,
		MaxArrayElements:  1 << 16, // chunks of a snapshot; everything else has narrower limits of its own
		MaxMapPairs:       256,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a wrong option in this file
	}
	return v
}
