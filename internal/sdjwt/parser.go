package sdjwt

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
)

// A parser turns JSON texts into Values whose strings are slices of the source. The decoder refuses duplicate names,
// invalid UTF-8 and trailing data. Pooled: its buffers cost more than a token's parse.
type parser struct {
	dec   *jsontext.Decoder
	buf   bytes.Buffer
	data  []byte // payload and disclosures, decoded
	sizes []int  // of each
	src   string
	stack []Claim // members of the objects that are open
	spare []Claim // the expander's
}

var parsers = sync.Pool{New: func() any { return &parser{dec: new(jsontext.Decoder)} }}

func getParser() *parser { return parsers.Get().(*parser) }

// release forgets what was parsed: tokens carry personal data.
func (p *parser) release() {
	clear(p.stack[:cap(p.stack)])
	clear(p.spare[:cap(p.spare)])
	clear(p.data[:cap(p.data)])
	p.data, p.sizes = p.data[:0], p.sizes[:0]
	p.stack, p.spare, p.src = p.stack[:0], p.spare[:0], ""
	p.buf.Reset()
	if cap(p.stack) <= 1024 && cap(p.spare) <= 1024 && p.buf.Cap()+cap(p.data) <= 128<<10 {
		parsers.Put(p)
	}
}

// decode appends one part of a token to data.
func (p *parser) decode(text []byte) error {
	out, err := keys.AppendBase64URL(p.data, text)
	if err != nil {
		return err
	}
	p.sizes = append(p.sizes, len(out)-len(p.data))
	p.data = out
	return nil
}

// text parses one whole JSON text; src is the same bytes as data and is kept by the Value.
func (p *parser) text(data []byte, src string, depth int) (Value, error) {
	p.start(data, src)
	v, err := p.value(depth)
	if err != nil {
		return Value{}, err
	}
	return v, p.end()
}

func (p *parser) start(data []byte, src string) {
	p.buf.Reset()
	p.buf.Write(data)
	p.dec.Reset(&p.buf)
	p.src, p.stack = src, p.stack[:0]
}

func (p *parser) end() error {
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return Malformed.because("data after the JSON text")
	}
	return nil
}

// errJSON never carries the decoder's words: they quote the input.
var errJSON = Malformed.because("JSON")

func (p *parser) value(depth int) (Value, error) {
	switch p.dec.PeekKind() {
	case '{':
		return p.object(depth)
	case '[':
		return p.array(depth)
	case '"':
		s, err := p.str()
		return Value{kind: String, text: s}, err
	case '0':
		return p.literal(Number)
	case 't', 'f':
		return p.literal(Bool)
	case 'n':
		return p.literal(Null)
	}
	return Value{}, errJSON
}

func (p *parser) literal(k Kind) (Value, error) {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return Value{}, errJSON
	}
	end := int(p.dec.InputOffset())
	return Value{kind: k, text: p.src[end-len(raw) : end]}, nil
}

// str reads a string or a name: a slice of the source unless it has escapes.
func (p *parser) str() (string, error) {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return "", errJSON
	}
	if raw.Kind() != '"' {
		return "", Malformed.because("not a string")
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		end := int(p.dec.InputOffset())
		return p.src[end-len(raw)+1 : end-1], nil
	}
	plain, err := jsontext.AppendUnquote(nil, raw)
	if err != nil {
		return "", errJSON
	}
	return string(plain), nil
}

func (p *parser) object(depth int) (Value, error) {
	return p.container(Object, depth, func() (Claim, error) {
		name, err := p.str()
		if err != nil {
			return Claim{}, err
		}
		if name == "_sd" {
			v, err := p.digests()
			return Claim{Name: name, Value: v}, err
		}
		v, err := p.value(depth + 1)
		return Claim{Name: name, Value: v}, err
	})
}

func (p *parser) array(depth int) (Value, error) {
	return p.container(Array, depth, func() (Claim, error) {
		v, err := p.value(depth + 1)
		return Claim{Value: v}, err
	})
}

// container collects parts on the stack and copies them out once their number is known.
func (p *parser) container(k Kind, depth int, part func() (Claim, error)) (Value, error) {
	if depth > MaxDepth {
		return Value{}, LimitExceeded.because("depth")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return Value{}, errJSON
	}
	from := len(p.stack)
	for {
		switch p.dec.PeekKind() {
		case '}', ']':
			if _, err := p.dec.ReadToken(); err != nil {
				return Value{}, errJSON
			}
			v := Value{kind: k, parts: append([]Claim(nil), p.stack[from:]...)}
			p.stack = p.stack[:from]
			for i := range v.parts {
				c := &v.parts[i]
				v.names = v.names || c.Value.names || c.Name == "_sd" || c.Name == "_sd_alg" || c.Name == "..."
				v.deep = max(v.deep, c.Value.deep)
			}
			v.deep++ // at most MaxDepth
			return v, nil
		}
		c, err := part()
		if err != nil {
			return Value{}, err
		}
		p.stack = append(p.stack, c)
	}
}

var errDigests = DisclosureInvalid.because("_sd is not an array of digests")

// digests reads an _sd array without building a Value an entry: only strings, no escapes (base64url needs none).
// The text between the brackets stays, to be walked by eachDigest.
func (p *parser) digests() (Value, error) {
	if p.dec.PeekKind() != '[' {
		if p.dec.PeekKind() == 0 {
			return Value{}, errJSON
		}
		return Value{}, errDigests
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return Value{}, errJSON
	}
	from := int(p.dec.InputOffset())
	for {
		switch p.dec.PeekKind() {
		case '"':
			if raw, err := p.dec.ReadValue(); err != nil {
				return Value{}, errJSON
			} else if bytes.IndexByte(raw, '\\') >= 0 {
				return Value{}, errDigests
			}
		case ']':
			if _, err := p.dec.ReadToken(); err != nil {
				return Value{}, errJSON
			}
			return Value{kind: digests, text: p.src[from : p.dec.InputOffset()-1]}, nil
		case 0:
			return Value{}, errJSON
		default:
			return Value{}, errDigests
		}
	}
}

// eachDigest walks the text that digests kept: quoted strings without escapes.
func eachDigest(text string, f func(digest string) error) error {
	for {
		open := strings.IndexByte(text, '"')
		if open < 0 {
			return nil
		}
		text = text[open+1:]
		end := strings.IndexByte(text, '"')
		if end < 0 { // cannot be: the decoder saw the end
			return errJSON
		}
		if err := f(text[:end]); err != nil {
			return err
		}
		text = text[end+1:]
	}
}
