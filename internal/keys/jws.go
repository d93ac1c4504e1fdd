package keys

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	defaultMaxJWS = 64 << 10
	maxKid        = 256
	maxChain      = 5
	maxCert       = 16 << 10
)

// Expect says what a place accepts. Zero limits mean the defaults.
type Expect struct {
	Typ      string   // exact, case-sensitive; required
	Typs     []string // further accepted ones, for formats with a history
	Algs     []string // exact, case-sensitive, out of ES256 and EdDSA; nil: both
	MaxBytes int      // of the whole compact token; 0: 64 KiB
}

func (e Expect) alg(alg string) bool {
	if alg != ES256 && alg != EdDSA { // whatever the configuration says
		return false
	}
	return e.Algs == nil || slices.Contains(e.Algs, alg)
}

func (e Expect) typ(typ string) bool {
	return typ != "" && (typ == e.Typ || slices.Contains(e.Typs, typ))
}

// A Header is what a compact JWS carries beside its payload. Before Verify it is a hint, nothing more.
type Header struct {
	Alg   string // SignJWS fills it from the signer
	Typ   string
	Kid   string     // opaque, at most 256 bytes
	JWK   *PublicKey // public, its alg is Alg
	X5C   [][]byte   // DER, leaf first, at most 5; not verified: see VerifyChain
	Extra []Member   // further members, in order of appearance
}

// A Member is a further member of a JOSE header: the text of a string, or the JSON of anything else.
type Member struct {
	Name, Value string
	IsJSON      bool // Value is JSON, not the text of a string (trust_chain)
}

// Get finds an extra member with a string value (key_attestation).
func (h *Header) Get(name string) (string, bool) {
	for _, m := range h.Extra {
		if m.Name == name && !m.IsJSON {
			return m.Value, true
		}
	}
	return "", false
}

// Has reports whether an extra member is there, whatever its value.
func (h *Header) Has(name string) bool {
	return slices.ContainsFunc(h.Extra, func(m Member) bool { return m.Name == name })
}

// Refused wherever they stand: each lets the sender choose keys, algorithms or what was signed
// (RFC 7515 4.1, RFC 7797, RFC 7516 4.1.3; THREATS A08, A11, A12, A17).
var refusedMembers = map[string]bool{"crit": true, "b64": true, "jku": true, "x5u": true, "x5t": true, "x5t#S256": true, "zip": true}

// ParseHeader decodes and checks the first part of a compact JWS, for formats that keep the parts apart (SD-JWT).
// With an empty Typ the caller compares Header.Typ itself. Errors: ErrMalformed, ErrLimit, ErrAlg, ErrType, ErrKey.
func ParseHeader(segment []byte, e Expect) (Header, error) {
	text, err := AppendBase64URL(make([]byte, 0, base64.RawURLEncoding.DecodedLen(len(segment))), segment)
	if err != nil {
		return Header{}, err
	}
	var h Header
	if err := scanObject(text, h.member); err != nil {
		return Header{}, err
	}
	if !e.alg(h.Alg) {
		return Header{}, ErrAlg
	}
	if (e.Typ != "" || e.Typs != nil) && !e.typ(h.Typ) {
		return Header{}, ErrType
	}
	if h.JWK != nil && h.JWK.alg != h.Alg {
		return Header{}, fmt.Errorf("%w: alg contradicts jwk", ErrAlg)
	}
	return h, nil
}

func (h *Header) member(name string, dec *jsontext.Decoder) (err error) {
	switch name {
	case "alg":
		if dec.PeekKind() != '"' {
			return ErrAlg // a number, an array, null: A02
		}
		h.Alg, err = readString(dec, 32)
	case "typ":
		if dec.PeekKind() != '"' {
			return ErrType
		}
		h.Typ, err = readString(dec, 128)
	case "kid":
		h.Kid, err = readString(dec, maxKid)
		if err == nil && h.Kid == "" {
			err = fmt.Errorf("%w: empty kid", ErrMalformed)
		}
	case "jwk":
		var v jsontext.Value
		if v, err = dec.ReadValue(); err != nil {
			return errJSON
		}
		h.JWK, err = ParseJWK(v)
	case "x5c":
		h.X5C, err = readX5C(dec)
	default:
		err = h.extra(name, dec)
	}
	return err
}

func (h *Header) extra(name string, dec *jsontext.Decoder) error {
	if refusedMembers[name] {
		return fmt.Errorf("%w: a header member that is never accepted", ErrMalformed)
	}
	if len(h.Extra) == 16 {
		return fmt.Errorf("%w: header members", ErrLimit)
	}
	if dec.PeekKind() == '"' {
		s, err := readString(dec, defaultMaxJWS)
		h.Extra = append(h.Extra, Member{Name: name, Value: s})
		return err
	}
	v, err := dec.ReadValue()
	if err != nil {
		return errJSON
	}
	h.Extra = append(h.Extra, Member{Name: name, Value: string(v), IsJSON: true})
	return nil
}

// readX5C reads standard base64 DER (RFC 7515 section 4.1.6), padding required, no newlines.
func readX5C(dec *jsontext.Decoder) ([][]byte, error) {
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '[' {
		return nil, fmt.Errorf("%w: x5c", ErrMalformed)
	}
	var out [][]byte
	for dec.PeekKind() != ']' {
		if len(out) == maxChain {
			return nil, fmt.Errorf("%w: x5c", ErrLimit)
		}
		v, err := dec.ReadValue()
		if err != nil || v.Kind() != '"' {
			return nil, fmt.Errorf("%w: x5c", ErrMalformed)
		}
		if len(v) > maxCert*4/3 {
			return nil, fmt.Errorf("%w: x5c", ErrLimit)
		}
		der, err := decodeX5C(v)
		if err != nil {
			return nil, err
		}
		out = append(out, der)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, errJSON
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: empty x5c", ErrMalformed)
	}
	return out, nil
}

func decodeX5C(v jsontext.Value) ([]byte, error) {
	text := v[1 : len(v)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // some encoders escape the solidus
		plain, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return nil, errJSON
		}
		text = plain
	}
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, fmt.Errorf("%w: x5c with a newline", ErrMalformed)
	}
	der, err := base64.StdEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(der) == 0 {
		return nil, fmt.Errorf("%w: x5c base64", ErrMalformed)
	}
	return der, nil
}

// A JWS is parsed and not verified: its header may be used to find a key, its payload cannot be read.
type JWS struct {
	header    Header
	input     []byte // header.payload, as signed
	payload   []byte
	signature []byte
}

// ParseJWS reads a compact JWS. It refuses another typ, another algorithm, crit, b64, jku, x5u, x5t, zip, a detached
// payload, duplicates, JSON serialisation, base64 with padding, newlines or trailing bits.
// Which of kid, jwk and x5c a place wants is the caller's rule.
// Errors: ErrMalformed, ErrLimit, ErrAlg, ErrType, ErrKey, ErrSignature (a signature of another length).
func ParseJWS[T ~string | ~[]byte](token T, e Expect) (*JWS, error) {
	if e.Typ == "" { // a place without a type would take any token
		return nil, ErrType
	}
	limit := e.MaxBytes
	if limit == 0 {
		limit = defaultMaxJWS
	}
	if len(token) > limit {
		return nil, fmt.Errorf("%w: token", ErrLimit)
	}
	return parseJWS([]byte(token), e)
}

func parseJWS(text []byte, e Expect) (*JWS, error) {
	first := bytes.IndexByte(text, '.')
	last := bytes.LastIndexByte(text, '.')
	if first <= 0 || last <= first || bytes.IndexByte(text[first+1:last], '.') >= 0 {
		return nil, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	if last == first+1 {
		return nil, fmt.Errorf("%w: no payload", ErrMalformed)
	}
	header, err := ParseHeader(text[:first], e)
	if err != nil {
		return nil, err
	}
	payload, err := AppendBase64URL(nil, text[first+1:last])
	if err != nil {
		return nil, err
	}
	signature, err := AppendBase64URL(make([]byte, 0, 64), text[last+1:])
	if err != nil {
		return nil, err
	}
	if len(signature) != 64 {
		return nil, ErrSignature
	}
	return &JWS{header: header, input: text[:last], payload: payload, signature: signature}, nil
}

// Header is the unverified header: hints for finding a key.
func (j *JWS) Header() *Header { return &j.header }

// Verify returns the payload when key signed the token and the key's algorithm is the header's.
// Errors: ErrAlg, ErrKey (no key), ErrSignature.
func (j *JWS) Verify(key *PublicKey) ([]byte, error) {
	if key == nil {
		return nil, fmt.Errorf("%w: no key", ErrKey)
	}
	if key.alg != j.header.Alg {
		return nil, fmt.Errorf("%w: alg contradicts the key", ErrAlg)
	}
	if err := key.Verify(j.input, j.signature); err != nil {
		return nil, err
	}
	return j.payload, nil
}

// VerifyAny verifies with the candidates in turn (A10: never the first only); ErrKey when there is none,
// ErrSignature when none fits.
func (j *JWS) VerifyAny(candidates []*PublicKey) ([]byte, *PublicKey, error) {
	if len(candidates) == 0 || len(candidates) > maxSameKid {
		return nil, nil, fmt.Errorf("%w: no or too many candidates", ErrKey)
	}
	for _, key := range candidates {
		if payload, err := j.Verify(key); err == nil {
			return payload, key, nil
		}
	}
	return nil, nil, ErrSignature
}

// SignJWS makes a compact JWS; h.Alg is taken from the signer (a contradicting one is ErrAlg).
func SignJWS(s Signer, h Header, payload []byte) (string, error) {
	if h.Alg != "" && h.Alg != s.Public().Alg() {
		return "", fmt.Errorf("%w: alg contradicts the signer", ErrAlg)
	}
	h.Alg = s.Public().Alg()
	header, err := h.AppendJSON(nil)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	out := make([]byte, 0, enc.EncodedLen(len(header))+enc.EncodedLen(len(payload))+88)
	out = AppendEncodeURL(out, header)
	out = append(out, '.')
	out = AppendEncodeURL(out, payload)
	sig, err := s.Sign(out)
	if err != nil {
		return "", fmt.Errorf("sign JWS: %w", err)
	}
	out = append(out, '.')
	return string(AppendEncodeURL(out, sig)), nil
}

// AppendJSON writes the header: alg, typ, kid, jwk, x5c, then the extra members. Errors: ErrMalformed, ErrLimit.
func (h *Header) AppendJSON(b []byte) ([]byte, error) {
	if h.Alg == "" || h.Typ == "" {
		return nil, fmt.Errorf("%w: a header needs alg and typ", ErrMalformed)
	}
	if len(h.Kid) > maxKid || len(h.X5C) > maxChain {
		return nil, fmt.Errorf("%w: header", ErrLimit)
	}
	var err error
	b = append(b, `{"alg":"`...)
	b = append(b, h.Alg...)
	b = append(b, `","typ":`...)
	if b, err = jsontext.AppendQuote(b, h.Typ); err != nil {
		return nil, errJSON
	}
	if h.Kid != "" {
		b = append(b, `,"kid":`...)
		if b, err = jsontext.AppendQuote(b, h.Kid); err != nil {
			return nil, errJSON
		}
	}
	if h.JWK != nil {
		b = append(b, `,"jwk":`...)
		b = append(b, h.JWK.jwk...)
	}
	return h.appendRest(b)
}

func (h *Header) appendRest(b []byte) (_ []byte, err error) {
	for i, der := range h.X5C {
		if i == 0 {
			b = append(b, `,"x5c":["`...)
		} else {
			b = append(b, `","`...)
		}
		b = base64.StdEncoding.AppendEncode(b, der)
		if i == len(h.X5C)-1 {
			b = append(b, `"]`...)
		}
	}
	for i, m := range h.Extra {
		taken := m.Name == "alg" || m.Name == "typ" || m.Name == "kid" || m.Name == "jwk" || m.Name == "x5c" || refusedMembers[m.Name]
		if taken || slices.ContainsFunc(h.Extra[:i], func(o Member) bool { return o.Name == m.Name }) {
			return nil, fmt.Errorf("%w: an extra header member is reserved or there twice", ErrMalformed)
		}
		b = append(b, ',')
		if b, err = jsontext.AppendQuote(b, m.Name); err != nil {
			return nil, errJSON
		}
		b = append(b, ':')
		switch {
		case !m.IsJSON:
			b, err = jsontext.AppendQuote(b, m.Value)
		case jsontext.Value(m.Value).IsValid():
			b = append(b, m.Value...)
		default:
			err = errJSON
		}
		if err != nil {
			return nil, errJSON
		}
	}
	return append(b, '}'), nil
}
