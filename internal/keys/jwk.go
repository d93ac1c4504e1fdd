package keys

import (
	"bytes"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// jwkFields holds the members that mean something here; all others are skipped, strictly parsed.
type jwkFields struct {
	kty, crv, x, y, alg, use, kid string
	ops                           []string
	private                       bool
	d                             string
}

const maxJWK = 8 << 10

// ParseJWK reads one public JWK (RFC 7517, RFC 8037). It refuses private members, duplicate members, other key types
// and curves, coordinates of another length or off the curve, and an alg, use or key_ops that contradicts a
// verification key. Errors: ErrMalformed, ErrLimit, ErrAlg, ErrKey.
func ParseJWK(data []byte) (*PublicKey, error) {
	if point, ok := canonicalPoint(data); ok {
		return newP256(point[:])
	}
	f, err := readJWK(data)
	if err != nil {
		return nil, err
	}
	return f.signatureKey()
}

// canonicalPoint reads the one text that canonicalEC writes for a key: most keys arrive in it, and need no JSON parser.
func canonicalPoint(data []byte) (point [65]byte, ok bool) {
	rest, ok1 := bytes.CutPrefix(data, []byte(canonicalX))
	if !ok1 || len(rest) != 43+len(canonicalY)+43+len(canonicalEnd) || string(rest[43:43+len(canonicalY)]) != canonicalY ||
		string(rest[len(rest)-len(canonicalEnd):]) != canonicalEnd {
		return point, false
	}
	point[0] = 4
	x, errX := AppendBase64URL(point[:1], rest[:43])
	y, errY := AppendBase64URL(point[:33], rest[43+len(canonicalY):len(rest)-len(canonicalEnd)])
	return point, errX == nil && errY == nil && len(x) == 33 && len(y) == 65
}

func readJWK(data []byte) (jwkFields, error) {
	if len(data) > maxJWK {
		return jwkFields{}, fmt.Errorf("%w: JWK", ErrLimit)
	}
	var f jwkFields
	if err := scanObject(data, f.member); err != nil {
		return jwkFields{}, err
	}
	return f, nil
}

func (f *jwkFields) member(name string, dec *jsontext.Decoder) (err error) {
	switch name {
	case "kty":
		f.kty, err = readString(dec, 16)
	case "crv":
		f.crv, err = readString(dec, 32)
	case "x":
		f.x, err = readString(dec, 128)
	case "y":
		f.y, err = readString(dec, 128)
	case "alg":
		f.alg, err = readString(dec, 32)
	case "use":
		f.use, err = readString(dec, 32)
	case "kid":
		f.kid, err = readString(dec, maxKid)
	case "key_ops":
		f.ops, err = readStrings(dec, 8, 32)
	case "d":
		f.private = true
		f.d, err = readString(dec, 64)
	case "p", "q", "dp", "dq", "qi", "oth", "k": // private or symmetric: RFC 7518 section 6
		f.private = true
		err = skip(dec)
	default:
		err = skip(dec)
	}
	return err
}

func (f jwkFields) signatureKey() (*PublicKey, error) {
	if f.private {
		return nil, fmt.Errorf("%w: private or symmetric members", ErrKey)
	}
	if f.use != "" && f.use != "sig" {
		return nil, fmt.Errorf("%w: not for signatures", ErrKey)
	}
	for _, op := range f.ops {
		if op != "verify" {
			return nil, fmt.Errorf("%w: not for verifying alone", ErrKey)
		}
	}
	k, err := f.publicKey()
	if err != nil {
		return nil, err
	}
	if f.alg != "" && f.alg != k.alg {
		return nil, fmt.Errorf("%w: alg contradicts the key", ErrAlg)
	}
	return k, nil
}

func (f jwkFields) publicKey() (*PublicKey, error) {
	switch {
	case f.kty == "EC" && f.crv == "P-256":
		point, err := f.point()
		if err != nil {
			return nil, err
		}
		return newP256(point)
	case f.kty == "OKP" && f.crv == "Ed25519" && f.y == "":
		x, err := DecodeBase64URL(f.x)
		if err != nil {
			return nil, err
		}
		return newEd25519(x)
	}
	return nil, fmt.Errorf("%w: neither P-256 nor Ed25519", ErrKey)
}

// point is 0x04 ‖ x ‖ y with coordinates of exactly 32 bytes (RFC 7518 section 6.2.1.2).
func (f jwkFields) point() ([]byte, error) {
	point := append(make([]byte, 0, 65), 4)
	for _, s := range []string{f.x, f.y} {
		c, err := DecodeBase64URL(s)
		if err != nil {
			return nil, err
		}
		if len(c) != 32 {
			return nil, fmt.Errorf("%w: P-256 coordinates have 32 bytes", ErrKey)
		}
		point = append(point, c...)
	}
	return point, nil
}
