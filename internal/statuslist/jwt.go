package statuslist

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
)

// SignJWT makes a Status List Token in JWT format (section 5.1). The header is the issuer's: kid and x5c as on the
// credentials; typ is set here. Errors: ErrTime (bounds), ErrBits, ErrMalformed, or the signer's.
func SignJWT(s keys.Signer, h keys.Header, c Claims) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	payload, err := c.appendJSON(make([]byte, 0, base64.RawURLEncoding.EncodedLen(len(c.Compressed))+len(c.URI)+160))
	if err != nil {
		return nil, err
	}
	h.Typ = keys.TypStatusList
	token, err := keys.SignJWS(s, h, payload)
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	return []byte(token), nil
}

// appendJSON writes the claims set, members in alphabetical order.
func (c Claims) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"exp":`...)
	b = strconv.AppendInt(b, c.ExpiresAt.Unix(), 10)
	b = append(b, `,"iat":`...)
	b = strconv.AppendInt(b, c.IssuedAt.Unix(), 10)
	b = append(b, `,"status_list":{"bits":`...)
	b = strconv.AppendInt(b, int64(c.Bits), 10)
	b = append(b, `,"lst":"`...)
	b = base64.RawURLEncoding.AppendEncode(b, c.Compressed)
	b = append(b, `"},"sub":`...)
	b, err := jsontext.AppendQuote(b, c.URI)
	if err != nil {
		return nil, ErrMalformed
	}
	b = append(b, `,"ttl":`...)
	b = strconv.AppendInt(b, int64(c.TTL.Seconds()), 10)
	return append(b, '}'), nil
}

// ParseJWT reads a Status List Token in JWT format; the list is not inflated before Verify.
// Errors: ErrLimit, ErrType, ErrMalformed, ErrSignature (an algorithm that is never accepted).
func ParseJWT(token []byte, limits Limits) (*Unverified, error) {
	limits = limits.withDefaults()
	jws, err := keys.ParseJWS(token, keys.Expect{Typ: keys.TypStatusList, MaxBytes: limits.MaxToken})
	if err != nil {
		return nil, fromKeys(err)
	}
	return &Unverified{
		header: *jws.Header(), verify: jws.Verify, decode: decodeJSON,
		unsigned: func() ([]byte, error) { // ParseJWS has seen three parts of strict base64url
			_, rest, _ := bytes.Cut(token, []byte{'.'})
			text, _, _ := bytes.Cut(rest, []byte{'.'})
			return base64.RawURLEncoding.Strict().AppendDecode(nil, text)
		},
		limits: limits, digest: sha256.Sum256(token),
	}, nil
}

func fromKeys(err error) error {
	switch {
	case errors.Is(err, keys.ErrLimit):
		return ErrLimit
	case errors.Is(err, keys.ErrType):
		return ErrType
	case errors.Is(err, keys.ErrAlg), errors.Is(err, keys.ErrSignature):
		return ErrSignature
	default:
		return ErrMalformed
	}
}

// jwtClaims are the members that count; others may be there (section 5.1 rule 1). Raw values keep "5" apart from 5.
type jwtClaims struct {
	Sub        *string        `json:"sub"`
	Iat        jsontext.Value `json:"iat"`
	Exp        jsontext.Value `json:"exp"`
	TTL        jsontext.Value `json:"ttl"`
	StatusList *struct {
		Bits jsontext.Value `json:"bits"`
		Lst  jsontext.Value `json:"lst"`
	} `json:"status_list"`
}

func decodeJSON(payload []byte) (wireClaims, error) {
	var j jwtClaims
	if err := json.Unmarshal(payload, &j); err != nil || j.Sub == nil || j.StatusList == nil {
		return wireClaims{}, ErrMalformed
	}
	c := wireClaims{sub: *j.Sub, ttl: DefaultTTL}
	var err error
	if j.Iat != nil {
		if c.iat, err = keys.ParseNumericDate(j.Iat); err != nil {
			return wireClaims{}, ErrMalformed
		}
	}
	if j.Exp != nil {
		if c.exp, err = keys.ParseNumericDate(j.Exp); err != nil {
			return wireClaims{}, ErrMalformed
		}
	}
	if j.TTL != nil {
		if j.TTL.Kind() != '0' {
			return wireClaims{}, ErrMalformed
		}
		// Out of range is +-Inf beside the error, which the clamp handles like any large number.
		seconds, _ := strconv.ParseFloat(string(j.TTL), 64)
		c.ttl = clampTTL(seconds)
	}
	switch string(j.StatusList.Bits) {
	case "1", "2", "4", "8":
		c.bits = int(j.StatusList.Bits[0] - '0')
	default:
		return wireClaims{}, ErrBits
	}
	c.compressed, err = decodeList(j.StatusList.Lst)
	return c, err
}

// decodeList reads a JSON string of base64url: no padding, no line ends, no escapes, no trailing bits.
func decodeList(raw jsontext.Value) ([]byte, error) {
	if raw.Kind() != '"' || len(raw) < 2 || bytes.IndexByte(raw, '\\') >= 0 {
		return nil, ErrMalformed
	}
	text := raw[1 : len(raw)-1]
	out := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
	n, err := base64.RawURLEncoding.Strict().Decode(out, text)
	if err != nil || n != len(out) {
		return nil, ErrMalformed
	}
	return out, nil
}
