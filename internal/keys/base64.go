package keys

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

// Strict refuses non-zero trailing bits; newlines, which the standard decoder skips, are refused below (THREATS A24).
var strictURL = base64.RawURLEncoding.Strict()

// DecodeBase64URL decodes exactly one spelling: no padding, no newline, no non-zero trailing bits. Error: ErrMalformed.
func DecodeBase64URL[T ~string | ~[]byte](text T) ([]byte, error) {
	return AppendBase64URL(nil, []byte(text))
}

// AppendBase64URL appends the decoded text to dst, as strictly as DecodeBase64URL.
func AppendBase64URL(dst, text []byte) ([]byte, error) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, fmt.Errorf("%w: base64url with a newline", ErrMalformed)
	}
	out, err := strictURL.AppendDecode(dst, text)
	if err != nil {
		return nil, fmt.Errorf("%w: base64url", ErrMalformed)
	}
	return out, nil
}

// EncodeBase64URL is the only spelling that DecodeBase64URL accepts.
func EncodeBase64URL(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
