package registry

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
)

// ErrSignature: a signature does not hold, is malleable (high s), or is made by another key than a rule asks for.
var ErrSignature = errors.New("registry: bad signature")

// A Signer makes raw signatures of one key: r‖s of SHA-256 for P-256, 64 bytes for Ed25519.
// The signers of internal/keys are ones.
type Signer interface {
	Sign(message []byte) ([]byte, error)
}

// A SigningKey is a signer with the name under which the chain looks for its signature.
type SigningKey struct {
	Role   string // RoleOp, RoleNext, RoleRecovery, RoleMember(id), a DID URL, or a sponsor's id
	Public PublicKey
	Signer Signer
}

// Roles that sign operations. A verification key of a DID signs under its DID URL.
const (
	RoleOp       = "op"
	RoleNext     = "next"
	RoleRecovery = "recovery"
	rolePrefix   = "member/"
)

// RoleMember is the role of a member's governance key.
func RoleMember(id string) string { return rolePrefix + id }

// MemberOfRole is the id in a member's role.
func MemberOfRole(role string) (id string, ok bool) {
	if len(role) <= len(rolePrefix) || role[:len(rolePrefix)] != rolePrefix {
		return "", false
	}
	return role[len(rolePrefix):], true
}

// A Signature is one detached COSE_Sign1 signature (RFC 9052 section 4.4).
type Signature struct {
	Protected []byte
	Value     []byte
	Role      string // from the protected header
	Alg       int
}

// signatureWire and protectedHeader are the wire form.
type signatureWire struct {
	_         struct{} `cbor:",toarray"`
	Protected []byte
	Value     []byte
}

type protectedHeader struct {
	Alg int    `cbor:"1,keyasint"`
	Kid []byte `cbor:"4,keyasint"`
}

// A scope is what a signature is bound to beside the payload: network, chain id, kind.
type scope struct {
	_       struct{} `cbor:",toarray"`
	Network string
	ChainID string
	Kind    string
}

type sigStructure struct {
	_         struct{} `cbor:",toarray"`
	Context   string
	Protected []byte
	AAD       []byte
	Payload   []byte
}

const maxRole = 192

func (s scope) message(protected, payload []byte) ([]byte, error) {
	aad, err := Encode(s)
	if err != nil {
		return nil, err
	}
	return Encode(sigStructure{Context: "Signature1", Protected: protected, AAD: aad, Payload: payload})
}

func (s scope) sign(payload []byte, key SigningKey) (signatureWire, error) {
	alg := key.Public.Alg()
	if alg == 0 || key.Signer == nil {
		return signatureWire{}, ErrKey
	}
	protected, err := Encode(protectedHeader{Alg: alg, Kid: []byte(key.Role)})
	if err != nil {
		return signatureWire{}, err
	}
	message, err := s.message(protected, payload)
	if err != nil {
		return signatureWire{}, err
	}
	value, err := key.Signer.Sign(message)
	if err != nil {
		return signatureWire{}, err
	}
	if alg == AlgES256 && len(value) == 64 {
		value = withLowS(value)
	}
	// A signer with another key than the one it is said to have would cost a round trip to find out.
	if err := key.Public.Verify(message, value); err != nil {
		return signatureWire{}, err
	}
	return signatureWire{Protected: protected, Value: value}, nil
}

func (w signatureWire) parse() (Signature, error) {
	var h protectedHeader
	if err := DecodeCanonical(w.Protected, &h); err != nil {
		return Signature{}, err
	}
	if (h.Alg != AlgES256 && h.Alg != AlgEdDSA) || len(h.Kid) == 0 || len(h.Kid) > maxRole || len(w.Value) != 64 {
		return Signature{}, ErrMalformed
	}
	return Signature{Protected: w.Protected, Value: w.Value, Role: string(h.Kid), Alg: h.Alg}, nil
}

// p256HalfOrder is ⌊n/2⌋, p256Order is n, of P-256 (SEC 2, section 2.4.2).
var (
	p256HalfOrder = must(hex.DecodeString("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8"))
	p256Order     = must(hex.DecodeString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"))
)

func lowS(s []byte) bool { return bytes.Compare(s, p256HalfOrder) <= 0 }

// withLowS replaces s by n−s where s is the larger: both verify, one is allowed.
func withLowS(rs []byte) []byte {
	if lowS(rs[32:]) {
		return rs
	}
	out := append([]byte{}, rs...)
	s := new(big.Int).Sub(new(big.Int).SetBytes(p256Order), new(big.Int).SetBytes(rs[32:]))
	s.FillBytes(out[32:])
	return out
}

// SignStatement signs bytes that are no operation but come from the same offline keys: a trust bundle. It binds network,
// chain, kind and the key's role as an operation's signature does, and is verified before it is returned.
// Errors: ErrKey, ErrSignature, or the signer's.
func SignStatement(network, chainID, kind string, payload []byte, key SigningKey) ([]byte, error) {
	w, err := (scope{Network: network, ChainID: chainID, Kind: kind}).sign(payload, key)
	return w.Value, err
}

// A Statement is what a signature of SignStatement is about.
type Statement struct {
	Network, ChainID, Kind string
	Payload                []byte
	Role                   string // whose signature it is to be
}

// Verify checks a signature. Errors: ErrSignature, ErrKey.
func (s Statement) Verify(key PublicKey, signature []byte) error {
	alg := key.Alg()
	if alg == 0 {
		return ErrKey
	}
	protected, err := Encode(protectedHeader{Alg: alg, Kid: []byte(s.Role)})
	if err != nil {
		return err
	}
	message, err := (scope{Network: s.Network, ChainID: s.ChainID, Kind: s.Kind}).message(protected, s.Payload)
	if err != nil {
		return err
	}
	return key.Verify(message, signature)
}
