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
		t, err := dec.ReadToken()
		if err != nil {
			return errJSON
		}
		if t.Kind() == '}' {
			return nil
		}
		if err := f(t.String(), dec); err != nil {
			return err
		}
	}
}

// errJSON never carries the decoder's text: it quotes the input.
var errJSON = fmt.Errorf("%w: JSON", ErrMalformed)

// readString reads a JSON string of at most limit bytes.
func readString(dec *jsontext.Decoder, limit int) (string, error) {
	t, err := dec.ReadToken()
	if err != nil {
		return "", errJSON
	}
	if t.Kind() != '"' {
		return "", fmt.Errorf("%w: a member is not a string", ErrMalformed)
	}
	s := t.String()
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
