package statuslist

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
	cose "github.com/veraison/go-cose"

	"github.com/dojang-id/dojang/internal/keys"
)

// cwtClaims is the claims set of section 5.2; status_list is decoded apart, its members are few and fixed.
type cwtClaims struct {
	Sub        *string        `cbor:"2,keyasint"`
	Exp        *uint64        `cbor:"4,keyasint,omitempty"`
	Iat        *uint64        `cbor:"6,keyasint,omitempty"`
	StatusList *cwtStatusList `cbor:"65533,keyasint"`
	TTL        *uint64        `cbor:"65534,keyasint,omitempty"`
}

type cwtStatusList struct {
	Bits           uint64 `cbor:"bits"`
	Lst            []byte `cbor:"lst"`
	AggregationURI string `cbor:"aggregation_uri,omitempty"`
}

// SignCWT makes a Status List Token in CWT format (section 5.2): COSE_Sign1 tagged 18, no CWT tag; alg, kid and type are
// protected, x5chain (RFC 9360) is not. Errors as SignJWT.
func SignCWT(s keys.Signer, h keys.Header, c Claims) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	alg, err := coseAlg(s.Public())
	if err != nil {
		return nil, err
	}
	iat, exp, ttl := uint64(c.IssuedAt.Unix()), uint64(c.ExpiresAt.Unix()), uint64(c.TTL.Seconds())
	payload, err := encodeCBOR(cwtClaims{
		Sub: &c.URI, Iat: &iat, Exp: &exp, TTL: &ttl,
		StatusList: &cwtStatusList{Bits: uint64(c.Bits), Lst: c.Compressed},
	})
	if err != nil {
		return nil, err
	}
	msg := cose.NewSign1Message()
	msg.Payload = payload
	msg.Headers.Protected.SetAlgorithm(alg)
	msg.Headers.Protected[cose.HeaderLabelType] = MediaTypeCWT
	if h.Kid != "" {
		msg.Headers.Protected[cose.HeaderLabelKeyID] = []byte(h.Kid)
	}
	switch len(h.X5C) {
	case 0:
	case 1:
		msg.Headers.Unprotected[cose.HeaderLabelX5Chain] = h.X5C[0]
	default:
		msg.Headers.Unprotected[cose.HeaderLabelX5Chain] = h.X5C
	}
	if err := msg.Sign(nil, nil, coseSigner{s, alg}); err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	out, err := msg.MarshalCBOR()
	if err != nil {
		return nil, fmt.Errorf("encode status list: %w", err)
	}
	return out, nil
}

// ParseCWT reads a Status List Token in CWT format. Errors: ErrLimit, ErrType, ErrMalformed, ErrSignature (an algorithm
// that is never accepted).
func ParseCWT(token []byte, limits Limits) (*Unverified, error) {
	limits = limits.withDefaults()
	if len(token) > limits.MaxToken {
		return nil, ErrLimit
	}
	msg := new(cose.Sign1Message)
	if err := msg.UnmarshalCBOR(token); err != nil || msg.Payload == nil {
		return nil, ErrMalformed
	}
	if typ, ok := msg.Headers.Protected[cose.HeaderLabelType].(string); !ok || typ != MediaTypeCWT {
		return nil, ErrType
	}
	alg, err := msg.Headers.Protected.Algorithm()
	if err != nil || (alg != cose.AlgorithmES256 && alg != cose.AlgorithmEdDSA) {
		return nil, ErrSignature
	}
	header, err := readHeader(msg.Headers, alg)
	if err != nil {
		return nil, err
	}
	verify := func(key *keys.PublicKey) ([]byte, error) {
		want, err := coseAlg(key)
		if err != nil || want != alg {
			return nil, ErrSignature
		}
		if err := msg.Verify(nil, coseVerifier{key, alg}); err != nil {
			return nil, ErrSignature
		}
		return msg.Payload, nil
	}
	return &Unverified{header: header, verify: verify, decode: decodeCWT, limits: limits, digest: sha256.Sum256(token),
		unsigned: func() ([]byte, error) { return msg.Payload, nil }}, nil
}

// readHeader collects kid and x5chain from either bucket: hints only. Unknown critical headers are refused.
func readHeader(h cose.Headers, alg cose.Algorithm) (keys.Header, error) {
	out := keys.Header{Alg: keys.ES256, Typ: MediaTypeCWT}
	if alg == cose.AlgorithmEdDSA {
		out.Alg = keys.EdDSA
	}
	if _, found := h.Protected[cose.HeaderLabelCritical]; found {
		return out, ErrMalformed
	}
	for _, bucket := range []map[any]any{h.Protected, h.Unprotected} {
		if kid, ok := bucket[cose.HeaderLabelKeyID].([]byte); ok {
			if len(kid) > 256 || out.Kid != "" {
				return out, ErrMalformed
			}
			out.Kid = string(kid)
		}
		switch chain := bucket[cose.HeaderLabelX5Chain].(type) {
		case nil:
		case []byte:
			out.X5C = [][]byte{chain}
		case []any:
			if len(chain) > 5 {
				return out, ErrLimit
			}
			for _, c := range chain {
				der, ok := c.([]byte)
				if !ok {
					return out, ErrMalformed
				}
				out.X5C = append(out.X5C, der)
			}
		default:
			return out, ErrMalformed
		}
	}
	return out, nil
}

func decodeCWT(payload []byte) (wireClaims, error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		UTF8: cbor.UTF8RejectInvalid, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels: 8, MaxMapPairs: 64, MaxArrayElements: 64,
	}.DecMode()
	if err != nil {
		return wireClaims{}, err
	}
	var m cwtClaims
	if err := mode.Unmarshal(payload, &m); err != nil || m.Sub == nil || m.StatusList == nil {
		return wireClaims{}, ErrMalformed
	}
	c := wireClaims{sub: *m.Sub, ttl: DefaultTTL, compressed: bytes.Clone(m.StatusList.Lst)}
	if c.iat, err = unixTime(m.Iat); err != nil {
		return wireClaims{}, err
	}
	if c.exp, err = unixTime(m.Exp); err != nil {
		return wireClaims{}, err
	}
	if m.TTL != nil {
		c.ttl = clampTTL(float64(*m.TTL))
	}
	switch m.StatusList.Bits {
	case 1, 2, 4, 8:
		c.bits = int(m.StatusList.Bits)
	default:
		return wireClaims{}, ErrBits
	}
	return c, nil
}

func unixTime(seconds *uint64) (time.Time, error) {
	const year9999 = 253402300799
	if seconds == nil {
		return time.Time{}, nil
	}
	if *seconds > min(year9999, math.MaxInt64) {
		return time.Time{}, ErrMalformed
	}
	return time.Unix(int64(*seconds), 0).UTC(), nil
}

func coseAlg(key *keys.PublicKey) (cose.Algorithm, error) {
	switch {
	case key == nil:
		return 0, ErrSignature
	case key.Alg() == keys.ES256:
		return cose.AlgorithmES256, nil
	case key.Alg() == keys.EdDSA:
		return cose.AlgorithmEdDSA, nil
	default:
		return 0, ErrSignature
	}
}

// coseSigner and coseVerifier let go-cose build the Sig_structure while keys does the cryptography: COSE and JOSE
// signatures have the same form for both algorithms.
type coseSigner struct {
	signer keys.Signer
	alg    cose.Algorithm
}

func (s coseSigner) Algorithm() cose.Algorithm { return s.alg }

func (s coseSigner) Sign(_ io.Reader, content []byte) ([]byte, error) { return s.signer.Sign(content) }

type coseVerifier struct {
	key *keys.PublicKey
	alg cose.Algorithm
}

func (v coseVerifier) Algorithm() cose.Algorithm { return v.alg }

func (v coseVerifier) Verify(content, signature []byte) error {
	return v.key.Verify(content, signature)
}
