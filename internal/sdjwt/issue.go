package sdjwt

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
)

// A StatusRef is the status_list member of the status claim.
type StatusRef struct {
	URI   string
	Index uint64
}

// A Credential is what to issue. Zero fields are left out.
type Credential struct {
	// Header: encoded once for many credentials, or, when Head is nil, made of the four fields below it.
	Head *Head
	Alg  string   // of the key that will sign; required
	Typ  string   // default dc+sd-jwt
	Kid  string   // DID URL of the key
	X5C  [][]byte // DER, leaf first, without the root

	// Envelope, never selectively disclosable (RFC 9901 section 9.7). Times are cut to seconds.
	Issuer       string
	VCT          string
	VCTIntegrity string
	Subject      string
	IssuedAt     time.Time
	NotBefore    time.Time
	Expires      time.Time
	Holder       *keys.PublicKey // cnf.jwk
	Status       *StatusRef

	Claims []Claim
	Decoys int // extra digests at the top level
}

// A Prepared credential has its salts drawn and its bytes fixed, and no signature. Record it, then Sign. Not for concurrent use.
type Prepared struct {
	alg    string
	e      *emitter // holds the bytes until Sign, which gives it back
	text   string   // header.payload.signature~disclosures~ after that
	input  int      // length of header.payload
	digest [32]byte // of header.payload
}

// sigText is the length of a signature in base64url.
const sigText = 86

const saltLen = 16

// Prepare draws salts (128 bits a disclosure, one read of random) and fixes every byte.
// Errors: ErrReserved, ErrClaims, ErrRandomness.
func Prepare(c Credential, random io.Reader) (*Prepared, error) {
	var l lint
	if c.Head != nil {
		c.Alg = c.Head.alg
	}
	if err := l.credential(&c); err != nil {
		return nil, err
	}
	e := emitters.Get().(*emitter)
	p, err := e.prepare(&c, l, random)
	if err != nil {
		e.release()
		return nil, err
	}
	return p, nil
}

func (e *emitter) prepare(c *Credential, l lint, random io.Reader) (*Prepared, error) {
	e.all = append(e.all[:0], make([]byte, saltLen*l.sd+sha256.Size*c.Decoys)...)
	if _, err := io.ReadFull(random, e.all); err != nil {
		return nil, fmt.Errorf("draw salts: %w", err)
	}
	if repeats(e.all) {
		return nil, ErrRandomness
	}
	e.salts, e.out = e.all, append(e.out, '~')
	e.payload(c)
	return e.finish(c)
}

// repeats looks for what a broken generator gives: a block that stands twice, or two equal halves (B71).
// The table is open addressing by the block's first bytes, which are uniform unless the generator is broken.
func repeats(salts []byte) bool {
	const block = saltLen
	n := len(salts) / block
	if n == 0 {
		return false
	}
	size := 64
	for size < 2*n {
		size *= 2
	}
	var small [1024]uint16
	table := small[:]
	if size > len(small) {
		table = make([]uint16, size)
	}
	for i := range n {
		b := salts[i*block : (i+1)*block]
		head := binary.LittleEndian.Uint64(b)
		if head == binary.LittleEndian.Uint64(b[8:]) {
			return true
		}
		for at := int(head) & (size - 1); ; at = (at + 1) & (size - 1) {
			if table[at] == 0 {
				table[at] = uint16(i + 1)
				break
			}
			if other := int(table[at]-1) * block; string(salts[other:other+block]) == string(b) {
				return true
			}
		}
	}
	return false
}

// An emitter writes the payload at the bottom of one buffer; each disclosure is written above what stands there,
// encoded to out, and cut off again. Pooled, and with a Prepared until that is signed.
type emitter struct {
	b       []byte
	out     []byte              // ~disclosures~
	input   []byte              // header.payload
	all     []byte              // salts as drawn
	salts   []byte              // those not used yet
	digests [][sha256.Size]byte // of the objects that are open
	order   []uint64            // scratch of shuffled
}

var emitters = sync.Pool{New: func() any { return new(emitter) }}

// release forgets what was written: claims are personal data.
func (e *emitter) release() {
	clear(e.b[:cap(e.b)])
	clear(e.out[:cap(e.out)])
	clear(e.input[:cap(e.input)])
	clear(e.all)
	e.b, e.out, e.input, e.salts, e.digests = e.b[:0], e.out[:0], e.input[:0], nil, e.digests[:0]
	if cap(e.b)+cap(e.out)+cap(e.input) <= 128<<10 {
		emitters.Put(e)
	}
}

func (e *emitter) payload(c *Credential) {
	from := len(e.digests)
	e.reveal(c.Claims)
	for range c.Decoys {
		e.digests = append(e.digests, sha256.Sum256(e.salts[:sha256.Size]))
		e.salts = e.salts[sha256.Size:]
	}
	e.b = append(e.b, '{')
	e.text("iss", c.Issuer)
	e.text("sub", c.Subject)
	e.time("iat", c.IssuedAt)
	e.time("nbf", c.NotBefore)
	e.time("exp", c.Expires)
	e.text("vct", c.VCT)
	e.text("vct#integrity", c.VCTIntegrity)
	if c.Holder != nil {
		e.b = append(append(append(e.b, `"cnf":{"jwk":`...), c.Holder.JWK()...), "},"...)
	}
	if c.Status != nil {
		e.b = append(e.b, `"status":{"status_list":{"idx":`...)
		e.b = strconv.AppendUint(e.b, c.Status.Index, 10)
		e.b = append(e.b, `,"uri":`...)
		e.b = append(appendQuoted(e.b, c.Status.URI), "}},"...)
	}
	e.members(c.Claims, from)
	if len(e.out) > 1 || c.Decoys > 0 {
		e.b = append(e.b, `"_sd_alg":"sha-256",`...)
	}
	e.close('}')
}

func (e *emitter) text(name, value string) {
	if value != "" {
		e.b = append(append(append(e.b, '"'), name...), `":`...)
		e.b = append(appendQuoted(e.b, value), ',')
	}
}

func (e *emitter) time(name string, t time.Time) {
	if !t.IsZero() {
		e.b = append(append(append(e.b, '"'), name...), `":`...)
		e.b = append(strconv.AppendInt(e.b, t.Unix(), 10), ',')
	}
}

// close replaces the last comma.
func (e *emitter) close(end byte) {
	if last := len(e.b) - 1; e.b[last] == ',' {
		e.b[last] = end
		return
	}
	e.b = append(e.b, end)
}

// reveal makes the disclosures of the SD members and leaves their digests on the stack.
func (e *emitter) reveal(claims []Claim) {
	for i := range claims {
		if claims[i].SD {
			e.digests = append(e.digests, e.disclosure(&claims[i], true))
		}
	}
}

// members writes the plain members and the _sd array of the digests above from; every one ends with a comma.
func (e *emitter) members(claims []Claim, from int) {
	for i := range claims {
		if !claims[i].SD {
			e.b = append(appendQuoted(e.b, claims[i].Name), ':')
			e.value(&claims[i].Value)
			e.b = append(e.b, ',')
		}
	}
	mine := e.digests[from:]
	if len(mine) == 0 {
		return
	}
	e.b = append(e.b, `"_sd":[`...)
	for _, k := range e.shuffled(mine) {
		e.b = append(e.b, '"')
		e.b = keys.AppendEncodeURL(e.b, mine[k&0xffff][:])
		e.b = append(e.b, `",`...)
	}
	e.close(']')
	e.b = append(e.b, ',')
	e.digests = e.digests[:from]
}

// shuffled orders digests by value: the order of the claims must not show (RFC 9901 section 4.2.4.1).
// The result holds the index of each digest in its low 16 bits.
func (e *emitter) shuffled(d [][sha256.Size]byte) []uint64 {
	e.order = e.order[:0]
	for i := range d {
		e.order = append(e.order, binary.BigEndian.Uint64(d[i][:])&^0xffff|uint64(i))
	}
	slices.Sort(e.order)
	return e.order
}

func (e *emitter) value(v *Value) {
	switch v.kind {
	case Object:
		from := len(e.digests)
		e.reveal(v.parts)
		e.b = append(e.b, '{')
		e.members(v.parts, from)
		e.close('}')
	case Array:
		e.b = append(e.b, '[')
		for i := range v.parts {
			if v.parts[i].SD {
				digest := e.disclosure(&v.parts[i], false)
				e.b = append(e.b, `{"...":"`...)
				e.b = keys.AppendEncodeURL(e.b, digest[:])
				e.b = append(e.b, `"},`...)
				continue
			}
			e.value(&v.parts[i].Value)
			e.b = append(e.b, ',')
		}
		e.close(']')
	default:
		e.b = v.appendJSON(e.b)
	}
}

// disclosure writes ["salt","name",value] or ["salt",value], encodes it to out and returns its digest.
func (e *emitter) disclosure(c *Claim, named bool) [sha256.Size]byte {
	start := len(e.b)
	e.b = append(e.b, `["`...)
	e.b = keys.AppendEncodeURL(e.b, e.salts[:saltLen])
	e.salts = e.salts[saltLen:]
	e.b = append(e.b, `",`...)
	if named {
		e.b = append(appendQuoted(e.b, c.Name), ',')
	}
	e.value(&c.Value)
	e.b = append(e.b, ']')
	from := len(e.out)
	e.out = keys.AppendEncodeURL(e.out, e.b[start:])
	digest := sha256.Sum256(e.out[from:])
	e.out = append(e.out, '~')
	e.b = e.b[:start]
	return digest
}

func (e *emitter) finish(c *Credential) (*Prepared, error) {
	head := c.Head
	if head == nil {
		var err error
		if head, err = NewHead(keys.Header{Alg: c.Alg, Typ: c.Typ, Kid: c.Kid, X5C: c.X5C}); err != nil {
			return nil, err
		}
	}
	input := len(head.text) + base64.RawURLEncoding.EncodedLen(len(e.b))
	if input+1+sigText+len(e.out) > MaxBytes {
		return nil, fmt.Errorf("%w: too long", ErrClaims)
	}
	e.input = append(slices.Grow(e.input, input), head.text...)
	e.input = keys.AppendEncodeURL(e.input, e.b)
	digest, err := head.digest(e.input[len(head.text):])
	if err != nil {
		return nil, fmt.Errorf("hash signing input: %w", err)
	}
	return &Prepared{alg: c.Alg, e: e, input: input, digest: digest}, nil
}

// SigningInput is header.payload: the bytes that Sign signs. The caller must not change it, nor keep it beyond Sign.
func (p *Prepared) SigningInput() []byte {
	if p.e == nil {
		return []byte(p.text[:p.input])
	}
	return p.e.input
}

// Digest is the SHA-256 of SigningInput, for the intent row.
func (p *Prepared) Digest() [32]byte { return p.digest }

// Disclosures are the base64url disclosures in order.
func (p *Prepared) Disclosures() []string {
	var text string
	if p.e == nil {
		text = strings.Trim(p.text[p.input+1+sigText:], "~")
	} else {
		text = strings.Trim(string(p.e.out), "~")
	}
	if text == "" {
		return nil
	}
	return strings.Split(text, "~")
}

// Sign signs, once, what Digest covers, and returns the SD-JWT: issuer-jwt~disclosure~…~.
// Errors: keys.ErrAlg when s is for another algorithm, ErrClaims when it is signed already.
func (p *Prepared) Sign(s keys.Signer) (string, error) {
	if p.e == nil {
		return "", fmt.Errorf("%w: signed already", ErrClaims)
	}
	if s.Public().Alg() != p.alg {
		return "", fmt.Errorf("%w: prepared for another", keys.ErrAlg)
	}
	sig, err := keys.SignHashed(s, p.e.input, p.digest)
	if err != nil {
		return "", fmt.Errorf("sign credential: %w", err)
	}
	if base64.RawURLEncoding.EncodedLen(len(sig)) != sigText {
		return "", fmt.Errorf("%w: length", keys.ErrSignature)
	}
	var b strings.Builder
	b.Grow(p.input + 1 + sigText + len(p.e.out))
	b.Write(p.e.input)
	b.WriteByte('.')
	var text [sigText]byte
	b.Write(keys.AppendEncodeURL(text[:0], sig))
	b.Write(p.e.out)
	p.text = b.String()
	p.e.release()
	p.e = nil
	return p.text, nil
}
