package sdjwt

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// Hints are what an unverified token says about itself, to find a key with. They prove nothing.
type Hints struct {
	Alg, Typ, Kid string
	Issuer, VCT   string    // "" when absent
	X5C           [][]byte  // DER, leaf first
	IssuedAt      time.Time // zero when absent
	KeyBinding    bool      // a KB-JWT is there
}

// An Unverified token is well-formed, within the limits, and its disclosures belong to its digests.
// Who signed it is not known yet: its claims cannot be read.
type Unverified struct {
	header    keys.Header
	input     []byte // of the issuer's signature
	signature []byte
	body      []byte // issuer-jwt~disclosures~: what sd_hash covers
	kb        string // KB-JWT, "" for none
	hash      string // _sd_alg
	claims    Value  // processed payload
	envelope  envelope
	count     int // disclosures
}

// envelope is what the format itself reads from the payload.
type envelope struct {
	iss, vct      string
	iat, nbf, exp time.Time
	cnf           Value
	status        Value
}

// because says where in the format it went wrong, in our words only.
func (r Reason) because(what string) error { return &reasoned{r, what} }

type reasoned struct {
	reason Reason
	what   string
}

func (e *reasoned) Error() string { return e.reason.Error() + ": " + e.what }
func (e *reasoned) Unwrap() error { return e.reason }

// headerReason maps what keys said about a JOSE part.
func headerReason(err error) error {
	switch {
	case errors.Is(err, keys.ErrAlg):
		return AlgNotAllowed.because("header")
	case errors.Is(err, keys.ErrLimit):
		return LimitExceeded.because("header")
	}
	return Malformed.because("header")
}

// Parse reads an SD-JWT or SD-JWT+KB (RFC 9901 section 7.1 without the signature): limits first, strict base64 and
// JSON, disclosures and digests. Errors: Malformed, LimitExceeded, AlgNotAllowed, DisclosureInvalid.
func Parse(token string) (*Unverified, error) {
	if len(token) > MaxBytes {
		return nil, LimitExceeded.because("bytes")
	}
	first, last := strings.IndexByte(token, '~'), strings.LastIndexByte(token, '~')
	if first < 0 {
		return nil, Malformed.because("no tilde")
	}
	u := &Unverified{body: []byte(token[:last+1]), kb: token[last+1:]}
	if u.kb != "" && strings.Count(u.kb, ".") != 2 {
		return nil, Malformed.because("what follows the last tilde is no KB-JWT")
	}
	if last > first {
		u.count = strings.Count(token[first+1:last], "~") + 1
	}
	if u.count > MaxDisclosures {
		return nil, LimitExceeded.because("disclosures")
	}
	p := getParser()
	defer p.release()
	if err := u.decode(p, first); err != nil {
		return nil, err
	}
	if err := u.read(p, first); err != nil {
		return nil, err
	}
	return u, nil
}

// decode splits the issuer-signed JWT, checks its header and decodes payload and disclosures into one buffer.
func (u *Unverified) decode(p *parser, jwtLen int) (err error) {
	jwt := u.body[:jwtLen]
	dot1, dot2 := dots(jwt)
	if dot1 <= 0 || dot2 <= dot1+1 {
		return Malformed.because("issuer-signed JWT is not three parts")
	}
	if u.header, err = keys.ParseHeader(jwt[:dot1], keys.Expect{}); err != nil {
		return headerReason(err)
	}
	if u.signature, err = keys.AppendBase64URL(make([]byte, 0, 64), jwt[dot2+1:]); err != nil {
		return Malformed.because("signature encoding")
	}
	u.input = jwt[:dot2]
	if err := p.decode(jwt[dot1+1 : dot2]); err != nil {
		return Malformed.because("payload encoding")
	}
	return u.eachDisclosure(jwtLen, func(text []byte) error {
		if err := p.decode(text); err != nil || len(text) == 0 {
			return Malformed.because("disclosure encoding")
		}
		return nil
	})
}

// dots gives the places of exactly two dots, or -1.
func dots(jwt []byte) (first, second int) {
	first, second = bytes.IndexByte(jwt, '.'), bytes.LastIndexByte(jwt, '.')
	if first == second || bytes.IndexByte(jwt[first+1:second], '.') >= 0 {
		return -1, -1
	}
	return first, second
}

// eachDisclosure walks the texts between the tildes.
func (u *Unverified) eachDisclosure(jwtLen int, f func(text []byte) error) error {
	for rest := u.body[jwtLen+1:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '~') // body ends with one
		if err := f(rest[:end]); err != nil {
			return err
		}
		rest = rest[end+1:]
	}
	return nil
}

// read parses payload and disclosures and puts them together.
func (u *Unverified) read(p *parser, jwtLen int) error {
	data, sizes, src := p.data, p.sizes, string(p.data)
	payload, err := p.text(data[:sizes[0]], src[:sizes[0]], 1)
	if err != nil {
		return err
	}
	if payload.kind != Object {
		return Malformed.because("payload is not an object")
	}
	if err := u.hashName(payload); err != nil {
		return err
	}
	texts := u.digests(jwtLen)
	x := newExpander(u.count, p.spare)
	at, width := sizes[0], hashWidth(u.hash)
	for i, size := range sizes[1:] {
		d, err := p.disclosure(data[at:at+size], src[at:at+size])
		if err != nil {
			return err
		}
		at += size
		if err := x.add(texts[i*width:(i+1)*width], d); err != nil {
			return err
		}
	}
	defer func() { p.spare = x.stack }()
	if u.claims, err = x.run(payload); err != nil {
		return err
	}
	return u.readEnvelope()
}

// hashName reads _sd_alg (RFC 9901 section 4.1.1): sha-256 unless it says otherwise (D15).
func (u *Unverified) hashName(payload Value) error {
	u.hash = "sha-256"
	v, there := payload.Get("_sd_alg")
	if !there {
		return nil
	}
	u.hash = v.Str()
	switch u.hash {
	case "sha-256", "sha-384", "sha-512":
		return nil
	}
	return AlgNotAllowed.because("_sd_alg")
}

// digests are the base64url digests of all disclosures in one text, each of the same length.
func (u *Unverified) digests(jwtLen int) string {
	all := make([]byte, 0, hashWidth(u.hash)*u.count)
	_ = u.eachDisclosure(jwtLen, func(text []byte) error {
		all = appendHash(all, u.hash, text)
		return nil
	})
	return string(all)
}

// hashWidth is the length of a digest in base64url.
func hashWidth(name string) int {
	switch name {
	case "sha-384":
		return 64
	case "sha-512":
		return 86
	}
	return 43
}

func appendHash(b []byte, name string, text []byte) []byte {
	switch name {
	case "sha-384":
		d := sha512.Sum384(text)
		return keys.AppendEncodeURL(b, d[:])
	case "sha-512":
		d := sha512.Sum512(text)
		return keys.AppendEncodeURL(b, d[:])
	}
	d := sha256.Sum256(text)
	return keys.AppendEncodeURL(b, d[:])
}

func hashText(name string, text []byte) string {
	var buf [86]byte
	return string(appendHash(buf[:0], name, text))
}

// disclosure reads [salt, name, value] or [salt, value] (RFC 9901 section 4.2).
func (p *parser) disclosure(data []byte, src string) (Claim, error) {
	p.start(data, src)
	if t, err := p.dec.ReadToken(); err != nil || t.Kind() != '[' {
		return Claim{}, DisclosureInvalid.because("not an array")
	}
	if p.dec.PeekKind() != '"' {
		return Claim{}, DisclosureInvalid.because("salt")
	}
	if _, err := p.str(); err != nil {
		return Claim{}, DisclosureInvalid.because("salt")
	}
	second, err := p.value(1)
	if err != nil {
		return Claim{}, disclosureReason(err)
	}
	c := Claim{Value: second, SD: true}
	if p.dec.PeekKind() != ']' {
		if second.kind != String {
			return Claim{}, DisclosureInvalid.because("claim name")
		}
		if second.text == "_sd" || second.text == "..." {
			return Claim{}, DisclosureInvalid.because("reserved claim name")
		}
		c.Name = second.text
		if c.Value, err = p.value(1); err != nil {
			return Claim{}, disclosureReason(err)
		}
	} else {
		c.disclosure = arrayElement
	}
	if t, err := p.dec.ReadToken(); err != nil || t.Kind() != ']' {
		return Claim{}, DisclosureInvalid.because("number of elements")
	}
	if err := p.end(); err != nil {
		return Claim{}, DisclosureInvalid.because("trailing data")
	}
	return c, nil
}

// disclosureReason: what is malformed inside a disclosure makes the disclosure invalid; limits stay limits.
func disclosureReason(err error) error {
	if errors.Is(err, LimitExceeded) {
		return err
	}
	return DisclosureInvalid.because("value")
}

// Hints for finding the issuer's key.
func (u *Unverified) Hints() Hints {
	return Hints{
		Alg: u.header.Alg, Typ: u.header.Typ, Kid: u.header.Kid, X5C: u.header.X5C,
		Issuer: u.envelope.iss, VCT: u.envelope.vct, IssuedAt: u.envelope.iat, KeyBinding: u.kb != "",
	}
}
