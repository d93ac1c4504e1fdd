package sdjwt

import (
	"bytes"

	"github.com/dojang-id/dojang/internal/keys"
)

// A Held credential is a holder's own, verified when it was received and indexed for presenting.
// Safe for concurrent use.
type Held struct {
	u      *Unverified
	jwtLen int
	starts []int // of each disclosure in u.body, and of the end
}

// Open indexes a stored SD-JWT (without KB-JWT). It checks structure and digests, not the signature: whoever stores
// a credential verified it first. Errors: as Parse, and Malformed when a KB-JWT is there.
func Open(token string) (*Held, error) {
	u, err := Parse(token)
	if err != nil {
		return nil, err
	}
	if u.kb != "" {
		return nil, Malformed.because("a presentation cannot be held")
	}
	h := &Held{u: u, starts: make([]int, 0, u.count+1)}
	for i, c := range u.body { // tildes stand nowhere else: all parts are base64url
		if c != '~' {
			continue
		}
		if len(h.starts) == 0 {
			h.jwtLen = i
		}
		h.starts = append(h.starts, i+1)
	}
	return h, nil
}

// Claims is the whole processed payload, for showing to its holder and for matching a query.
func (h *Held) Claims() Value { return h.u.claims }

// Holder is the key that the credential is bound to, nil for none.
func (h *Held) Holder() *keys.PublicKey {
	key, _ := h.u.envelope.holderKey()
	return key
}

// boundTo compares cnf.jwk with a key by its canonical form (RFC 7638): no need to parse a point that is ours.
func (h *Held) boundTo(key *keys.PublicKey) bool {
	jwk, _ := h.u.envelope.cnf.Get("jwk")
	var buf [160]byte
	b := append(buf[:0], '{')
	for _, name := range []string{"crv", "kty", "x", "y"} {
		if v, ok := jwk.Get(name); ok {
			b = append(appendQuoted(append(appendQuoted(b, name), ':'), v.Str()), ',')
		}
	}
	b[len(b)-1] = '}'
	return bytes.Equal(b, key.JWK())
}

// Disclosable are the paths that the holder may reveal or keep, parents before children.
func (h *Held) Disclosable() []Path { return disclosedPaths(h.u.claims, nil, nil) }

// Text is the stored SD-JWT.
func (h *Held) Text() string { return string(h.u.body) }

// Select gives the SD-JWT that reveals exactly what the paths name: each selected value whole, with its parents.
// Selecting what is always disclosed adds nothing; selecting what is not there is ErrSelection.
func (h *Held) Select(paths []Path) (string, error) {
	chosen, err := h.choose(paths)
	if err != nil {
		return "", err
	}
	return string(h.appendSelection(make([]byte, 0, h.size(chosen)), chosen)), nil
}

// selection is a set of disclosures by index.
type selection [MaxDisclosures/64 + 1]uint64

func (s *selection) add(c *Claim) {
	if c.disclosure > 0 {
		s[c.disclosure/64] |= 1 << (c.disclosure % 64)
	}
}

func (s *selection) has(index int) bool { return s[(index+1)/64]>>((index+1)%64)&1 == 1 }

func (h *Held) choose(paths []Path) (*selection, error) {
	var s selection
	for _, p := range paths {
		if len(p) == 0 || !s.follow(h.u.claims, p) {
			return nil, ErrSelection
		}
	}
	return &s, nil
}

// follow adds what lies on the way to p and everything below it; false when p meets nothing.
func (s *selection) follow(v Value, p Path) bool {
	found := false
	v.step(p[0], func(c *Claim) {
		if len(p) == 1 {
			s.below(c.Value)
		} else if !s.follow(c.Value, p[1:]) {
			return
		}
		s.add(c)
		found = true
	})
	return found
}

func (s *selection) below(v Value) {
	for i := range v.parts {
		s.add(&v.parts[i])
		s.below(v.parts[i].Value)
	}
}

// size of what appendSelection writes.
func (h *Held) size(s *selection) int {
	n := h.jwtLen + 1
	for i := range h.u.count {
		if s.has(i) {
			n += h.starts[i+1] - h.starts[i]
		}
	}
	return n
}

// appendSelection writes issuer-jwt~chosen disclosures~ in the order in which they are stored.
func (h *Held) appendSelection(b []byte, s *selection) []byte {
	b = append(b, h.u.body[:h.jwtLen+1]...)
	for i := range h.u.count {
		if s.has(i) {
			b = append(b, h.u.body[h.starts[i]:h.starts[i+1]]...)
		}
	}
	return b
}
