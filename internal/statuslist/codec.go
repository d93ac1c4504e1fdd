package statuslist

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	fast "github.com/klauspost/compress/zlib"
)

const (
	defaultMax = 16 << 20 // bytes, of a token and of its uncompressed values
	// Deflate cannot exceed 1032; an all-valid list comes close, so nothing lower is safe as a default.
	defaultMaxRatio = 1040
)

func (l Limits) withDefaults() Limits {
	if l.MaxToken <= 0 {
		l.MaxToken = defaultMax
	}
	if l.MaxRaw <= 0 {
		l.MaxRaw = defaultMax
	}
	if l.MaxRatio <= 0 {
		l.MaxRatio = defaultMaxRatio
	}
	return l
}

// Deflate compresses values as zlib (RFC 1950), fast enough to publish often.
func Deflate(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := fast.NewWriterLevel(&out, deflateLevel)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("deflate: %w", err)
	}
	return out.Bytes(), nil
}

// deflateLevel: 6 of klauspost costs a tenth of the standard library's and 10 % of size.
const deflateLevel = 6

// Inflate is the streaming inverse with caps; trailing bytes, dictionaries and gzip are refused. Memory stays below
// three times the cap. Errors: ErrMalformed, ErrLimit.
func Inflate(compressed []byte, limits Limits) ([]byte, error) {
	limits = limits.withDefaults()
	limit := min(limits.MaxRaw, limits.MaxRatio*len(compressed))
	src := bytes.NewReader(compressed)
	r, err := zlib.NewReader(src)
	if err != nil {
		return nil, ErrMalformed
	}
	out := make([]byte, 0, min(limit, max(32*len(compressed), 4096))+1)
	for {
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > limit {
			return nil, ErrLimit
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, ErrMalformed
		}
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(2*cap(out), limit+1))
			copy(grown, out)
			out = grown
		}
	}
	if src.Len() != 0 {
		return nil, ErrMalformed
	}
	return out, nil
}
