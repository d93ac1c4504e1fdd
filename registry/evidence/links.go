package evidence

import (
	"fmt"

	"github.com/dojang-id/dojang/registry"
)

// TypeBundles is the media type of GET /v1/trust-bundles?after=N: an array of bundle files, the links after number N, in order.
const TypeBundles = "application/vnd.dojang.trust-bundles+cbor"

// MaxBundles is how many links one answer has at most.
const MaxBundles = 16

// EncodeBundles is the answer with these files.
func EncodeBundles(files [][]byte) ([]byte, error) { return registry.Encode(files) }

// DecodeBundles is the inverse; nothing is verified. Errors: registry.ErrMalformed, registry.ErrLimit.
func DecodeBundles(raw []byte) ([]*Bundle, error) {
	var files [][]byte
	if err := registry.Decode(raw, &files); err != nil || len(files) > MaxBundles {
		return nil, fmt.Errorf("trust bundles: %w", registry.ErrMalformed)
	}
	var out []*Bundle
	for _, f := range files {
		b, err := ParseBundle(f)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}
