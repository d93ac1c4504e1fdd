package registry

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// A Kind names an operation.
type Kind string

// The kinds of this version; README.md has the table of histories, bodies and signers.
const (
	KindCreate               Kind = "create"
	KindUpdate               Kind = "update"
	KindRotate               Kind = "rotate"
	KindRecover              Kind = "recover"
	KindFreeze               Kind = "freeze"
	KindDeactivate           Kind = "deactivate"
	KindKeyRetire            Kind = "key-retire"
	KindKeyCompromise        Kind = "key-compromise"
	KindAccredit             Kind = "accredit"
	KindAccreditationSuspend Kind = "accreditation-suspend"
	KindAccreditationResume  Kind = "accreditation-resume"
	KindAccreditationEnd     Kind = "accreditation-end"
	KindRegisterVerifier     Kind = "register-verifier"
	KindTypeDigest           Kind = "type-digest"
	KindStatusEpoch          Kind = "status-epoch"
	KindAnchor               Kind = "anchor"
)

// Limits of an operation.
const (
	MaxOperation  = 16 << 10 // bytes, signatures included
	MaxSignatures = 16
	maxList       = 16 // keys, services, types of one operation
	maxText       = 512
	maxEndpoint   = 256
)

// An Operation is what a controller, or k of n members, want to change. Build one, then Sign it.
type Operation struct {
	Network string
	ChainID string
	DID     DID    // whom it is about; empty where the kind is about nobody
	Seq     uint64 // place in its history; of a status epoch, the epoch's number
	Prev    Hash   // of the payload before it; zero where Seq is 0 or the kind has no history
	Body    Body
}

// A Body is the part of a payload that its kind defines.
type Body interface {
	// Kind of the operation that carries this body.
	Kind() Kind
	// check refuses what can be refused without state.
	check(o *Operation) error
}

// payloadWire is the signed payload.
type payloadWire struct {
	V       uint64          `cbor:"v"`
	Network string          `cbor:"network"`
	ChainID string          `cbor:"chain_id"`
	Kind    Kind            `cbor:"kind"`
	DID     DID             `cbor:"did,omitempty"`
	Seq     uint64          `cbor:"seq"`
	Prev    []byte          `cbor:"prev,omitempty"`
	Body    cbor.RawMessage `cbor:"body"`
}

type operationWire struct {
	_          struct{} `cbor:",toarray"`
	Payload    []byte
	Signatures []signatureWire
}

// Payload is the canonical encoding that is signed and hashed. Errors: ErrMalformed, ErrLimit, ErrKey.
func (o Operation) Payload() ([]byte, error) {
	if o.Body == nil {
		return nil, ErrMalformed
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	body, err := Encode(o.Body)
	if err != nil {
		return nil, err
	}
	w := payloadWire{V: 1, Network: o.Network, ChainID: o.ChainID, Kind: o.Body.Kind(), DID: o.DID, Seq: o.Seq, Body: body}
	if !o.Prev.IsZero() {
		w.Prev = o.Prev[:]
	}
	return Encode(w)
}

// CreatedDID is the identifier that a create operation makes. Errors as Payload.
func (o Operation) CreatedDID() (DID, error) {
	payload, err := o.Payload()
	if err != nil {
		return "", err
	}
	return didOf(o.Network, payload), nil
}

func didOf(network string, payload []byte) DID {
	return DID("did:dojang:" + network + ":" + HashOf(payload).String())
}

// Sign encodes the operation with one signature of each key. Each signature is verified before it is returned.
// Errors: as Payload, ErrSignature, or the signer's.
func (o Operation) Sign(keys ...SigningKey) ([]byte, error) {
	payload, err := o.Payload()
	if err != nil {
		return nil, err
	}
	return seal(payload, nil, o.scope(), keys)
}

// AddSignature adds signatures to a signed operation: members sign one after the other. Errors as Sign.
func AddSignature(operation []byte, keys ...SigningKey) ([]byte, error) {
	s, err := ParseOperation(operation)
	if err != nil {
		return nil, err
	}
	have := make([]signatureWire, len(s.Signatures))
	for i, sig := range s.Signatures {
		have[i] = signatureWire{Protected: sig.Protected, Value: sig.Value}
	}
	return seal(s.Payload, have, s.scope(), keys)
}

func seal(payload []byte, have []signatureWire, sc scope, keys []SigningKey) ([]byte, error) {
	for _, key := range keys {
		sig, err := sc.sign(payload, key)
		if err != nil {
			return nil, fmt.Errorf("sign as %s: %w", key.Role, err)
		}
		have = append(have, sig)
	}
	if len(have) == 0 || len(have) > MaxSignatures {
		return nil, ErrLimit
	}
	out, err := Encode(operationWire{Payload: payload, Signatures: have})
	if err == nil && len(out) > MaxOperation {
		return nil, ErrLimit
	}
	return out, err
}

func (o *Operation) scope() scope {
	return scope{Network: o.Network, ChainID: o.ChainID, Kind: string(o.Body.Kind())}
}

// A SignedOperation is a parsed operation: well-formed, its signatures not yet verified.
type SignedOperation struct {
	Operation
	Payload    []byte
	Hash       Hash
	Signatures []Signature // roles are distinct

	id DID // of a parsed create: base58 is slow
}

// Kind of the operation.
func (s *SignedOperation) Kind() Kind { return s.Body.Kind() }

// ID is the DID that a create makes; otherwise the DID that the operation names.
func (s *SignedOperation) ID() DID {
	switch {
	case s.id != "":
		return s.id
	case s.Kind() == KindCreate:
		return DID("did:dojang:" + s.Network + ":" + s.Hash.String())
	}
	return s.DID
}

// Verify checks the signature that was made in this role against the key. Errors: ErrSignature (also when there is none), ErrKey.
func (s *SignedOperation) Verify(role string, key PublicKey) error {
	for i := range s.Signatures {
		if s.Signatures[i].Role == role {
			return s.VerifyAt(i, key)
		}
	}
	return ErrSignature
}

// VerifyAt checks one signature by its position. Errors: ErrSignature, ErrKey.
func (s *SignedOperation) VerifyAt(i int, key PublicKey) error {
	return verify(s.scope(), s.Payload, &s.Signatures[i], key)
}

func verify(sc scope, payload []byte, sig *Signature, key PublicKey) error {
	if key.Alg() != sig.Alg {
		return ErrSignature
	}
	message, err := sc.message(sig.Protected, payload)
	if err != nil {
		return err
	}
	return key.Verify(message, sig.Value)
}

// ParseOperation reads one operation strictly; limits first, no cryptography but one hash. Errors: ErrMalformed, ErrLimit, ErrKey.
func ParseOperation(b []byte) (*SignedOperation, error) {
	if len(b) > MaxOperation {
		return nil, ErrLimit
	}
	var w operationWire
	if err := DecodeCanonical(b, &w); err != nil {
		return nil, err
	}
	if len(w.Signatures) == 0 || len(w.Signatures) > MaxSignatures {
		return nil, ErrLimit
	}
	op, err := ParsePayload(w.Payload)
	if err != nil {
		return nil, err
	}
	s := &SignedOperation{Operation: *op, Payload: w.Payload, Hash: HashOf(w.Payload), Signatures: make([]Signature, len(w.Signatures))}
	for i, sw := range w.Signatures {
		if s.Signatures[i], err = sw.parse(); err != nil {
			return nil, err
		}
		for _, other := range s.Signatures[:i] {
			if other.Role == s.Signatures[i].Role {
				return nil, ErrMalformed
			}
		}
	}
	if s.Kind() == KindCreate {
		s.id = s.ID()
	}
	return s, nil
}

// ParsePayload reads a canonical payload. Errors: ErrMalformed, ErrLimit, ErrKey.
func ParsePayload(payload []byte) (*Operation, error) {
	if len(payload) > MaxOperation {
		return nil, ErrLimit
	}
	var w payloadWire
	if err := DecodeCanonical(payload, &w); err != nil {
		return nil, err
	}
	body := newBody(w.Kind)
	if w.V != 1 || body == nil {
		return nil, ErrMalformed
	}
	if err := DecodeCanonical(w.Body, body); err != nil {
		return nil, err
	}
	o := &Operation{Network: w.Network, ChainID: w.ChainID, DID: w.DID, Seq: w.Seq, Body: body}
	if w.Prev != nil {
		prev, err := ParseHash(w.Prev)
		if err != nil {
			return nil, err
		}
		o.Prev = prev
	}
	return o, o.check()
}

// aboutDID reports whether operations of the kind name a DID.
func (k Kind) aboutDID() bool {
	switch k {
	case KindCreate, KindTypeDigest, KindPropose, KindVote, KindMemberAdd, KindMemberRemove, KindMemberKeys, KindValidator, KindThreshold, KindParams, KindUpgrade:
		return false
	}
	return true
}

// hasHistory reports whether operations of the kind follow one another by prev.
func (k Kind) hasHistory() bool {
	switch k {
	case KindStatusEpoch, KindAnchor, KindPropose, KindVote, KindMemberAdd, KindMemberRemove, KindMemberKeys, KindValidator, KindThreshold, KindParams, KindEmergencySuspend,
		KindRoundOpen, KindRoundClose, KindRoundPrune, KindNullifierClaim, KindUpgrade:
		return false
	}
	return true
}

// check is all that holds without state.
func (o *Operation) check() error {
	if !onlyBytes(o.Network, 32, networkAlphabet) || !onlyBytes(o.ChainID, 64, fragmentAlphabet) {
		return ErrMalformed
	}
	kind := o.Body.Kind()
	if kind.aboutDID() != (o.DID != "") {
		return ErrMalformed
	}
	if o.DID != "" {
		if _, err := ParseDID(string(o.DID)); err != nil {
			return ErrMalformed
		}
	}
	if (kind.hasHistory() && o.Seq > 0) == o.Prev.IsZero() {
		return ErrMalformed
	}
	return o.Body.check(o)
}
