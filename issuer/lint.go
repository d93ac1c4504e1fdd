package issuer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/schemas"
)

// errLint: the bytes about to be signed are not what was decided. Nothing is signed then.
var errLint = errors.New("issuer: lint")

// typeLint knows which names a credential of a type may hold, in clear and behind digests.
type typeLint struct {
	typ   *schemas.Type
	clear map[string]bool // top-level members of the payload
	names map[string]bool // last parts of disclosable paths
}

func newTypeLint(typ *schemas.Type) *typeLint {
	l := &typeLint{typ: typ, clear: map[string]bool{}, names: map[string]bool{}}
	for _, c := range typ.Claims {
		if c.Class == schemas.Never || c.Reserved {
			continue
		}
		name := strings.TrimSuffix(c.Path[strings.LastIndexByte(c.Path, '.')+1:], "[]")
		if typ.Disclosable(c.Path) {
			l.names[name] = true
		} else if !strings.ContainsAny(c.Path, ".[") {
			l.clear[name] = true
		}
		if name, _, nested := strings.Cut(c.Path, "."); nested && !typ.Disclosable(strings.TrimSuffix(name, "[]")) {
			l.clear[strings.TrimSuffix(name, "[]")] = true
		}
	}
	return l
}

// decided is what a copy must say.
type decided struct {
	issuer     string
	uri        string
	index      uint64
	holder     *keys.PublicKey
	now        time.Time
	issued     time.Time
	expires    time.Time
	lastSecond time.Time // start of the day after the administrative expiry
}

// payload is read back from the bytes to be signed, on its own path: not from the values they were made of.
type payload struct {
	Issuer    string `json:"iss"`
	VCT       string `json:"vct"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Cnf       struct {
		JWK jsontext.Value `json:"jwk"`
	} `json:"cnf"`
	Status struct {
		List struct {
			Index *uint64 `json:"idx"`
			URI   string  `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
	SD    []string                  `json:"_sd"`
	Alg   string                    `json:"_sd_alg"`
	Clear map[string]jsontext.Value `json:",unknown"`
}

// lint judges one prepared copy: envelope, times, index, holder key, names.
func (l *typeLint) lint(p *sdjwt.Prepared, d decided) error {
	_, body, ok := bytes.Cut(p.SigningInput(), []byte("."))
	if !ok {
		return fmt.Errorf("%w: not a signing input", errLint)
	}
	raw, err := keys.AppendBase64URL(nil, body)
	if err != nil {
		return fmt.Errorf("%w: payload encoding", errLint)
	}
	var got payload
	if err := json.Unmarshal(raw, &got); err != nil {
		return fmt.Errorf("%w: payload", errLint)
	}
	if err := l.envelope(got, d); err != nil {
		return err
	}
	if err := checkTimes(got, d); err != nil {
		return err
	}
	for name := range got.Clear {
		if !l.clear[name] {
			return fmt.Errorf("%w: a name in clear that the type does not have", errLint)
		}
	}
	return l.disclosures(p.Disclosures())
}

func (l *typeLint) envelope(got payload, d decided) error {
	idx := got.Status.List.Index
	switch {
	case got.Issuer != d.issuer || got.VCT != l.typ.VCT:
		return fmt.Errorf("%w: issuer or type", errLint)
	case idx == nil || *idx != d.index || got.Status.List.URI != d.uri:
		return fmt.Errorf("%w: status reference", errLint)
	case got.Alg != "sha-256" && len(got.SD) > 0:
		return fmt.Errorf("%w: digest algorithm", errLint)
	}
	if !bytes.Equal(got.Cnf.JWK, d.holder.JWK()) { // of the proof: parsed, on the curve, in its one spelling
		return fmt.Errorf("%w: holder key is not the proof's", errLint)
	}
	return nil
}

// checkTimes: rounded to the Korean civil day, so that copies do not link; exp at least 45 days ahead unless the
// document itself ends earlier.
func checkTimes(got payload, d decided) error {
	for _, s := range []int64{got.IssuedAt, got.NotBefore, got.Expires} {
		if t := time.Unix(s, 0); !schemas.DateOf(t).Start().Equal(t) {
			return fmt.Errorf("%w: a time is not rounded to the day", errLint)
		}
	}
	exp := time.Unix(got.Expires, 0)
	switch {
	case got.IssuedAt != d.issued.Unix() || got.NotBefore != d.issued.Unix() || d.issued.After(d.now):
		return fmt.Errorf("%w: issued at another time", errLint)
	case !exp.Equal(d.expires) || exp.After(d.lastSecond) || !exp.After(d.now):
		return fmt.Errorf("%w: expiry", errLint)
	case exp.Sub(d.now) < 45*24*time.Hour && !exp.Equal(d.lastSecond):
		return fmt.Errorf("%w: expiry is less than 45 days ahead", errLint)
	}
	return nil
}

// disclosures: every name is one that the type discloses, class X has none.
func (l *typeLint) disclosures(list []string) error {
	var buf []byte
	for _, d := range list {
		var err error
		if buf, err = base64.RawURLEncoding.AppendDecode(buf[:0], []byte(d)); err != nil {
			return fmt.Errorf("%w: disclosure encoding", errLint)
		}
		name, element, ok := disclosedName(buf)
		if !ok || !element && !l.names[string(name)] {
			return fmt.Errorf("%w: a disclosed name that the type does not have", errLint)
		}
	}
	return nil
}

// disclosedName reads the head of `["salt","name",value]` or, for an array element, of `["salt",value]`. Salts and names
// of ours are plain ASCII: an escape in them is refused.
func disclosedName(b []byte) (name []byte, element, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte(`["`))
	salt, rest, closed := bytes.Cut(b, []byte(`",`))
	if !ok || !closed || len(salt) < 22 || bytes.ContainsAny(salt, `"\`) || len(rest) < 2 {
		return nil, false, false
	}
	if rest[0] != '"' {
		return nil, true, true
	}
	for i := 1; i+1 < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++ // an escape: only a value may have one
		case '"':
			return rest[1:i], rest[i+1] != ',', true
		}
	}
	return nil, false, false
}

// lintBatch: no two copies share a disclosure (B71); one salt twice would link them.
func lintBatch(batch []*sdjwt.Prepared) error {
	seen := map[string]bool{}
	for _, p := range batch {
		for _, d := range p.Disclosures() {
			if seen[d] {
				return fmt.Errorf("%w: two copies share a salt", errLint)
			}
			seen[d] = true
		}
	}
	return nil
}
