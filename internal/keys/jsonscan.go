package keys

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads one JSON text strictly: jsontext refuses duplicate names, invalid UTF-8 and trailing data.
// Pooled because a decoder's buffers cost more than a header's parse.
type scanner struct {
	dec *jsontext.Decoder
	buf bytes.Buffer
}

var scanners = sync.Pool{New: func() any { return &scanner{dec: new(jsontext.Decoder)} }}

// scanObject calls f for each member of one JSON object; f reads the value from dec. Nothing may follow the object.
func scanObject(data []byte, f func(name string, dec *jsontext.Decoder) error) error {
	s := scanners.Get().(*scanner)
	defer scanners.Put(s)
	s.buf.Reset()
	s.buf.Write(data)
	s.dec.Reset(&s.buf)
	if err := scanMembers(s.dec, f); err != nil {
		return err
	}
	if _, err := s.dec.ReadToken(); err != io.EOF {
		return fmt.Errorf("%w: data after the JSON object", ErrMalformed)
	}
	return nil
}

func scanMembers(dec *jsontext.Decoder, f func(name string, dec *jsontext.Decoder) error) error {
	t, err := dec.ReadToken()
	if err != nil || t.Kind() != '{' {
		return fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	for {
		if dec.PeekKind() == '}' {
			if _, err := dec.ReadToken(); err != nil {
				return errJSON
			}
			return nil
		}
		name, err := readText(dec)
		if err != nil {
			return err
		}
		if err := f(name, dec); err != nil {
			return err
		}
	}
}

// readText reads a string or a name.
func readText(dec *jsontext.Decoder) (string, error) {
	raw, err := dec.ReadValue()
	if err != nil {
		return "", errJSON
	}
	if raw.Kind() != '"' {
		return "", fmt.Errorf("%w: a member is not a string", ErrMalformed)
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return intern(raw[1 : len(raw)-1]), nil
	}
	plain, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", errJSON
	}
	return string(plain), nil
}

// intern makes a string, without an allocation for the words that stand in every header and key.
func intern(b []byte) string {
	switch string(b) {
	case "alg":
		return "alg"
	case "typ":
		return "typ"
	case "kid":
		return "kid"
	case "x5c":
		return "x5c"
	case "kty":
		return "kty"
	case "crv":
		return "crv"
	case "x":
		return "x"
	case "y":
		return "y"
	case "EC":
		return "EC"
	case "P-256":
		return "P-256"
	case ES256:
		return ES256
	case TypSDJWTVC:
		return TypSDJWTVC
	case TypKeyBinding:
		return TypKeyBinding
	}
	return string(b)
}

// errJSON never carries the decoder's text: it quotes the input.
var errJSON = fmt.Errorf("%w: JSON", ErrMalformed)

// readString reads a JSON string of at most limit bytes.
func readString(dec *jsontext.Decoder, limit int) (string, error) {
	s, err := readText(dec)
	if err != nil {
		return "", err
	}
	if len(s) > limit {
		return "", fmt.Errorf("%w: a member is too long", ErrLimit)
	}
	return s, nil
}

// readStrings reads an array of at most count strings of at most limit bytes each.
func readStrings(dec *jsontext.Decoder, count, limit int) ([]string, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return nil, errJSON
	}
	if t.Kind() != '[' {
		return nil, fmt.Errorf("%w: a member is not an array", ErrMalformed)
	}
	var out []string
	for dec.PeekKind() != ']' {
		if len(out) == count {
			return nil, fmt.Errorf("%w: too many array elements", ErrLimit)
		}
		s, err := readString(dec, limit)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, errJSON
	}
	return out, nil
}

func skip(dec *jsontext.Decoder) error {
	if err := dec.SkipValue(); err != nil {
		return errJSON
	}
	return nil
}
