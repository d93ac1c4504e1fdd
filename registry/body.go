package registry

import (
	"errors"
	"slices"
	"strings"
)

// ErrLimit: larger than the format allows.
var ErrLimit = errors.New("registry: limit exceeded")

// A NewKey is a verification key to be added to a DID.
type NewKey struct {
	ID  string    `cbor:"id"` // the fragment
	Use KeyUse    `cbor:"use"`
	Key PublicKey `cbor:"key"`
}

// A Service is an endpoint of a DID.
type Service struct {
	ID       string `cbor:"id"` // the fragment
	Type     string `cbor:"type"`
	Endpoint string `cbor:"endpoint"`
}

// CreateBody makes a DID; next and recovery are commitments to keys that are shown later.
type CreateBody struct {
	Op       PublicKey `cbor:"op"`
	Next     Hash      `cbor:"next"`
	Recovery Hash      `cbor:"recovery"`
	Keys     []NewKey  `cbor:"keys,omitempty"`
	Services []Service `cbor:"services,omitempty"`
}

// UpdateBody adds keys, sets services and removes services. Keys end by retire and compromise, never by removal.
type UpdateBody struct {
	Keys     []NewKey  `cbor:"keys,omitempty"`
	Services []Service `cbor:"services,omitempty"`
	Remove   []string  `cbor:"remove,omitempty"`
}

// RotateBody reveals the next operation key and commits to the one after it.
type RotateBody struct {
	Key  PublicKey `cbor:"key"`
	Next Hash      `cbor:"next"`
}

// RecoverBody replaces all control keys. Key is the revealed recovery key; absent when k of n members sign.
type RecoverBody struct {
	Key      PublicKey `cbor:"key,omitempty"`
	Op       PublicKey `cbor:"op"`
	Next     Hash      `cbor:"next"`
	Recovery Hash      `cbor:"recovery"`
}

// FreezeBody stops everything but recover. It reveals the recovery key and commits to a new one.
type FreezeBody struct {
	Key      PublicKey `cbor:"key"`
	Recovery Hash      `cbor:"recovery"`
}

// DeactivateBody ends a DID for good.
type DeactivateBody struct{}

// RetireBody ends a verification key from now on; what it signed before counts.
type RetireBody struct {
	ID string `cbor:"id"`
}

// CompromiseBody declares that nothing a key signed from a moment on counts, unless anchored before.
type CompromiseBody struct {
	ID   string `cbor:"id"`
	From int64  `cbor:"from"` // seconds, UTC
}

// MaxAccreditations of a DID for one type: a reader is shown all of them.
const MaxAccreditations = 32

// AccreditBody accredits, or amends accreditation n (seq > 0).
type AccreditBody struct {
	Type     string     `cbor:"type"` // vct
	N        uint64     `cbor:"n"`    // from 1, without gaps
	Basis    []string   `cbor:"basis"`
	Roots    [][32]byte `cbor:"roots,omitempty"` // SHA-256 of the DER of X.509 roots
	Host     string     `cbor:"host,omitempty"`  // origin of the status lists
	From     int64      `cbor:"from"`
	Until    int64      `cbor:"until,omitempty"`
	Operator DID        `cbor:"operator,omitempty"` // second status operator
}

// accreditationChange is the body of suspend, resume and end.
type accreditationChange struct {
	Type  string `cbor:"type"`
	N     uint64 `cbor:"n"`
	Until int64  `cbor:"until,omitempty"`
}

// SuspendBody suspends an accreditation.
type SuspendBody accreditationChange

// ResumeBody lifts a suspension.
type ResumeBody accreditationChange

// EndBody ends an accreditation at Until.
type EndBody accreditationChange

// RegisterBody registers a verifier for a purpose, or replaces the registration (seq > 0).
type RegisterBody struct {
	Purpose   string              `cbor:"purpose"`
	Name      map[string]string   `cbor:"name"`
	Text      map[string]string   `cbor:"text"`
	Claims    map[string][]string `cbor:"claims"`
	Basis     []string            `cbor:"basis"`
	Retention uint64              `cbor:"retention"` // days
	From      int64               `cbor:"from"`
	Until     int64               `cbor:"until,omitempty"`
}

// TypeDigestBody fixes the metadata of a credential type.
type TypeDigestBody struct {
	Type   string   `cbor:"type"`
	Digest [32]byte `cbor:"digest"`
}

// EpochBody is a status epoch; Operation.Seq is its sequence.
type EpochBody struct {
	IssuedAt   int64             `cbor:"iat"`
	NextUpdate int64             `cbor:"next_update"`
	Root       [32]byte          `cbor:"root"`
	Via        *AccreditationRef `cbor:"via,omitempty"` // names the accreditation that names the operator who signs
}

// An AccreditationRef names one accreditation of a DID.
type AccreditationRef struct {
	_    struct{} `cbor:",toarray"`
	Type string
	N    uint64
}

// AnchorBody anchors one Merkle root (or one salted hash) in time.
type AnchorBody struct {
	Root [32]byte `cbor:"root"`
}

func (*CreateBody) Kind() Kind     { return KindCreate }
func (*UpdateBody) Kind() Kind     { return KindUpdate }
func (*RotateBody) Kind() Kind     { return KindRotate }
func (*RecoverBody) Kind() Kind    { return KindRecover }
func (*FreezeBody) Kind() Kind     { return KindFreeze }
func (*DeactivateBody) Kind() Kind { return KindDeactivate }
func (*RetireBody) Kind() Kind     { return KindKeyRetire }
func (*CompromiseBody) Kind() Kind { return KindKeyCompromise }
func (*AccreditBody) Kind() Kind   { return KindAccredit }
func (*SuspendBody) Kind() Kind    { return KindAccreditationSuspend }
func (*ResumeBody) Kind() Kind     { return KindAccreditationResume }
func (*EndBody) Kind() Kind        { return KindAccreditationEnd }
func (*RegisterBody) Kind() Kind   { return KindRegisterVerifier }
func (*TypeDigestBody) Kind() Kind { return KindTypeDigest }
func (*EpochBody) Kind() Kind      { return KindStatusEpoch }
func (*AnchorBody) Kind() Kind     { return KindAnchor }

func newBody(kind Kind) Body {
	for _, b := range []func() Body{
		func() Body { return new(CreateBody) }, func() Body { return new(UpdateBody) }, func() Body { return new(RotateBody) },
		func() Body { return new(RecoverBody) }, func() Body { return new(FreezeBody) }, func() Body { return new(DeactivateBody) },
		func() Body { return new(RetireBody) }, func() Body { return new(CompromiseBody) }, func() Body { return new(AccreditBody) },
		func() Body { return new(SuspendBody) }, func() Body { return new(ResumeBody) }, func() Body { return new(EndBody) },
		func() Body { return new(RegisterBody) }, func() Body { return new(TypeDigestBody) }, func() Body { return new(EpochBody) },
		func() Body { return new(AnchorBody) }, func() Body { return new(ProposeBody) }, func() Body { return new(VoteBody) },
		func() Body { return new(MemberAddBody) }, func() Body { return new(MemberRemoveBody) }, func() Body { return new(MemberKeysBody) }, func() Body { return new(ValidatorBody) },
		func() Body { return new(ThresholdBody) }, func() Body { return new(EmergencyBody) }, func() Body { return new(RoundOpenBody) },
		func() Body { return new(RoundCloseBody) }, func() Body { return new(RoundPruneBody) }, func() Body { return new(ClaimBody) },
		func() Body { return new(UpgradeBody) }, func() Body { return new(ParamsBody) },
	} {
		if body := b(); body.Kind() == kind {
			return body
		}
	}
	return nil
}

func (b *CreateBody) check(o *Operation) error {
	if o.Seq != 0 {
		return ErrMalformed
	}
	return firstError(checkKey(b.Op), checkHash(b.Next), checkHash(b.Recovery), checkKeys(b.Keys), checkServices(b.Services))
}

func (b *UpdateBody) check(*Operation) error {
	if len(b.Keys)+len(b.Services)+len(b.Remove) == 0 {
		return ErrMalformed
	}
	if len(b.Remove) > maxList {
		return ErrLimit
	}
	for i, id := range b.Remove {
		if !ValidFragment(id) || slices.Contains(b.Remove[:i], id) {
			return ErrMalformed
		}
	}
	return firstError(checkKeys(b.Keys), checkServices(b.Services))
}

func (b *RotateBody) check(*Operation) error { return firstError(checkKey(b.Key), checkHash(b.Next)) }

func (b *RecoverBody) check(*Operation) error {
	if b.Key != nil {
		if err := checkKey(b.Key); err != nil {
			return err
		}
	}
	return firstError(checkKey(b.Op), checkHash(b.Next), checkHash(b.Recovery))
}

func (b *FreezeBody) check(*Operation) error {
	return firstError(checkKey(b.Key), checkHash(b.Recovery))
}

func (*DeactivateBody) check(*Operation) error { return nil }

func (b *RetireBody) check(*Operation) error {
	if !ValidFragment(b.ID) {
		return ErrMalformed
	}
	return nil
}

func (b *CompromiseBody) check(*Operation) error {
	if !ValidFragment(b.ID) || b.From <= 0 {
		return ErrMalformed
	}
	return nil
}

func (b *AccreditBody) check(o *Operation) error {
	if !ValidType(b.Type) || b.N == 0 {
		return ErrMalformed
	}
	if len(b.Roots) > 8 || b.N > MaxAccreditations {
		return ErrLimit
	}
	if b.Operator != "" {
		if _, err := ParseDID(string(b.Operator)); err != nil || b.Operator == o.DID {
			return ErrMalformed
		}
	}
	if len(b.Host) > maxText {
		return ErrLimit
	}
	return firstError(checkTexts(b.Basis, 1, 8), checkInterval(b.From, b.Until))
}

func (b *SuspendBody) check(o *Operation) error { return accreditationChange(*b).check(o, false) }
func (b *ResumeBody) check(o *Operation) error  { return accreditationChange(*b).check(o, false) }
func (b *EndBody) check(o *Operation) error     { return accreditationChange(*b).check(o, true) }

func (b accreditationChange) check(o *Operation, until bool) error {
	if !ValidType(b.Type) || b.N == 0 || o.Seq == 0 || until != (b.Until > 0) || b.Until < 0 {
		return ErrMalformed
	}
	return nil
}

func (b *RegisterBody) check(*Operation) error {
	if !ValidFragment(b.Purpose) || b.Retention > 36500 {
		return ErrMalformed
	}
	if len(b.Claims) == 0 || len(b.Claims) > maxList {
		return ErrLimit
	}
	for vct, claims := range b.Claims {
		if !ValidType(vct) {
			return ErrMalformed
		}
		if err := checkTexts(claims, 1, 64); err != nil {
			return err
		}
	}
	return firstError(checkLanguages(b.Name), checkLanguages(b.Text), checkTexts(b.Basis, 1, 8), checkInterval(b.From, b.Until))
}

func (b *TypeDigestBody) check(*Operation) error {
	if !ValidType(b.Type) {
		return ErrMalformed
	}
	return nil
}

func (b *EpochBody) check(o *Operation) error {
	if o.Seq == 0 || b.IssuedAt <= 0 || b.NextUpdate <= b.IssuedAt {
		return ErrMalformed
	}
	if b.Via != nil && (!ValidType(b.Via.Type) || b.Via.N == 0) {
		return ErrMalformed
	}
	return nil
}

func (*AnchorBody) check(o *Operation) error {
	if o.Seq != 0 {
		return ErrMalformed
	}
	return nil
}

// ValidFragment reports whether id may name a key, a service or a purpose: 1 to 64 of letters, digits, '-', '_', '.'.
func ValidFragment(id string) bool { return onlyBytes(id, 64, fragmentAlphabet) }

// ValidType reports whether vct may name a credential type on the chain: urn:…, at most 128 characters, no slash.
func ValidType(vct string) bool {
	return strings.HasPrefix(vct, "urn:") && onlyBytes(vct, 128, fragmentAlphabet+":")
}

func checkKey(k PublicKey) error {
	_, err := k.Crypto()
	return err
}

func checkHash(h Hash) error {
	_, err := ParseHash(h[:])
	return err
}

func checkKeys(keys []NewKey) error {
	if len(keys) > maxList {
		return ErrLimit
	}
	for i, k := range keys {
		if !ValidFragment(k.ID) || !slices.Contains([]KeyUse{UseAssertion, UseAuthentication, UseAttestation, UseStatus}, k.Use) {
			return ErrMalformed
		}
		if slices.ContainsFunc(keys[:i], func(o NewKey) bool { return o.ID == k.ID || string(o.Key) == string(k.Key) }) {
			return ErrMalformed
		}
		if err := checkKey(k.Key); err != nil {
			return err
		}
	}
	return nil
}

func checkServices(services []Service) error {
	if len(services) > maxList {
		return ErrLimit
	}
	for i, s := range services {
		if !ValidFragment(s.ID) || !ValidFragment(s.Type) || s.Endpoint == "" {
			return ErrMalformed
		}
		if len(s.Endpoint) > maxEndpoint {
			return ErrLimit
		}
		if slices.ContainsFunc(services[:i], func(o Service) bool { return o.ID == s.ID }) {
			return ErrMalformed
		}
	}
	return nil
}

func checkTexts(texts []string, low, high int) error {
	if len(texts) > high {
		return ErrLimit
	}
	if len(texts) < low {
		return ErrMalformed
	}
	for _, t := range texts {
		if t == "" || len(t) > maxText {
			return ErrLimit
		}
	}
	return nil
}

func checkLanguages(texts map[string]string) error {
	if len(texts) == 0 || len(texts) > 8 {
		return ErrLimit
	}
	for tag, t := range texts {
		if !onlyBytes(tag, 16, fragmentAlphabet) || t == "" || len(t) > maxText {
			return ErrMalformed
		}
	}
	return nil
}

func checkInterval(from, until int64) error {
	if from < 0 || until < 0 || (until != 0 && until <= from) {
		return ErrMalformed
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
