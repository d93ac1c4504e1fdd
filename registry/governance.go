package registry

import (
	"encoding/hex"
	"slices"
	"strconv"

	"github.com/fxamacker/cbor/v2"
)

// Kinds of governance; README.md "Governance".
const (
	KindPropose          Kind = "propose"
	KindVote             Kind = "vote"
	KindMemberAdd        Kind = "member-add"
	KindMemberRemove     Kind = "member-remove"
	KindMemberKeys       Kind = "member-keys"
	KindValidator        Kind = "validator"
	KindThreshold        Kind = "threshold"
	KindEmergencySuspend Kind = "emergency-suspend"
)

// Proposable reports whether k of n members decide operations of this kind, so that a proposal may carry one.
func Proposable(kind Kind) bool {
	switch kind {
	case KindAccredit, KindAccreditationSuspend, KindAccreditationResume, KindAccreditationEnd, KindRegisterVerifier, KindTypeDigest,
		KindMemberAdd, KindMemberRemove, KindMemberKeys, KindValidator, KindThreshold, KindParams, KindUpgrade, KindRecover, KindDeactivate, KindKeyRetire, KindKeyCompromise:
		return true
	}
	return false
}

// ProposeBody puts the payload of another operation to the vote. Its proposer votes for it.
type ProposeBody struct {
	Member     string          `cbor:"member"`
	Payload    []byte          `cbor:"payload"`              // Operation.Payload of a kind that is Proposable
	Signatures []signatureWire `cbor:"signatures,omitempty"` // of that operation, by others than members; Proposal.Sign
}

// Propose makes the body of a proposal; keys sign the proposed operation where its kind asks for more than members (recover).
// Errors: as Operation.Sign.
func Propose(member string, op Operation, keys ...SigningKey) (*ProposeBody, error) {
	payload, err := op.Payload()
	if err != nil {
		return nil, err
	}
	b := &ProposeBody{Member: member, Payload: payload}
	for _, k := range keys {
		sig, err := op.scope().sign(payload, k)
		if err != nil {
			return nil, err
		}
		b.Signatures = append(b.Signatures, sig)
	}
	return b, nil
}

// ProposeSigned makes the body of a proposal of an operation that somebody else has signed. Errors: ErrMalformed, ErrLimit, ErrKey.
func ProposeSigned(member string, op *SignedOperation) (*ProposeBody, error) {
	b := &ProposeBody{Member: member, Payload: op.Payload}
	for _, s := range op.Signatures {
		b.Signatures = append(b.Signatures, signatureWire{Protected: s.Protected, Value: s.Value})
	}
	_, err := b.Proposed()
	return b, err
}

// Proposed is the operation that a proposal carries. Errors: ErrMalformed, ErrLimit, ErrKey.
func (b *ProposeBody) Proposed() (*SignedOperation, error) {
	var w payloadWire // the kind first: a proposal carries no proposal
	if err := DecodeCanonical(b.Payload, &w); err != nil {
		return nil, err
	}
	if !Proposable(w.Kind) {
		return nil, ErrMalformed
	}
	if len(b.Signatures) > 4 {
		return nil, ErrLimit
	}
	op, err := ParsePayload(b.Payload)
	if err != nil {
		return nil, err
	}
	s := &SignedOperation{Operation: *op, Payload: b.Payload, Hash: HashOf(b.Payload)}
	for _, sw := range b.Signatures {
		sig, err := sw.parse()
		if err != nil {
			return nil, err
		}
		_, member := MemberOfRole(sig.Role)
		if member || slices.ContainsFunc(s.Signatures, func(o Signature) bool { return o.Role == sig.Role }) {
			return nil, ErrMalformed
		}
		s.Signatures = append(s.Signatures, sig)
	}
	return s, nil
}

// VoteBody is the vote of one member. It names number and content, so that it cannot be turned to another proposal.
type VoteBody struct {
	Member   string   `cbor:"member"`
	N        uint64   `cbor:"n"`
	Proposal [32]byte `cbor:"proposal"` // SHA-256 of the proposed payload
	Approve  bool     `cbor:"approve"`
}

// MemberAddBody adds a member. An id is never used twice, a key neither.
type MemberAddBody struct {
	ID      string            `cbor:"id"`
	Name    map[string]string `cbor:"name"`
	Key     PublicKey         `cbor:"key"`     // governance, offline
	Sponsor PublicKey         `cbor:"sponsor"` // the gateway's
}

// MemberRemoveBody removes a member.
type MemberRemoveBody struct {
	ID string `cbor:"id"`
}

// MemberKeysBody gives a member a new governance key, a new key of its gateway, or both: one was lost, or stolen.
type MemberKeysBody struct {
	ID      string    `cbor:"id"`
	Key     PublicKey `cbor:"key,omitempty"`
	Sponsor PublicKey `cbor:"sponsor,omitempty"`
}

// ValidatorBody adds a validator, changes its power, or removes it (power 0, no operator, no site).
type ValidatorBody struct {
	Key      [32]byte `cbor:"key"` // Ed25519
	Power    uint64   `cbor:"power"`
	Operator string   `cbor:"operator,omitempty"` // the body that runs it
	Site     string   `cbor:"site,omitempty"`
}

// ThresholdBody sets how many members decide.
type ThresholdBody struct {
	K uint64 `cbor:"k"`
}

// EmergencyBody suspends a key, or an accreditation, of the DID for a while.
type EmergencyBody struct {
	At   int64  `cbor:"at"` // seconds, UTC: when it was signed
	Key  string `cbor:"key,omitempty"`
	Type string `cbor:"type,omitempty"`
	N    uint64 `cbor:"n,omitempty"`
}

func (*ProposeBody) Kind() Kind      { return KindPropose }
func (*VoteBody) Kind() Kind         { return KindVote }
func (*MemberAddBody) Kind() Kind    { return KindMemberAdd }
func (*MemberRemoveBody) Kind() Kind { return KindMemberRemove }
func (*MemberKeysBody) Kind() Kind   { return KindMemberKeys }
func (*ValidatorBody) Kind() Kind    { return KindValidator }
func (*ThresholdBody) Kind() Kind    { return KindThreshold }
func (*EmergencyBody) Kind() Kind    { return KindEmergencySuspend }

func (b *ProposeBody) check(o *Operation) error {
	if !ValidFragment(b.Member) {
		return ErrMalformed
	}
	op, err := b.Proposed()
	if err != nil {
		return err
	}
	if op.Network != o.Network || op.ChainID != o.ChainID {
		return ErrMalformed
	}
	return nil
}

func (b *VoteBody) check(o *Operation) error {
	if !ValidFragment(b.Member) || b.N == 0 || o.Seq != 0 {
		return ErrMalformed
	}
	return nil
}

func (b *MemberAddBody) check(*Operation) error {
	if !ValidFragment(b.ID) || string(b.Key) == string(b.Sponsor) {
		return ErrMalformed
	}
	return firstError(checkLanguages(b.Name), checkKey(b.Key), checkKey(b.Sponsor))
}

func (b *MemberRemoveBody) check(*Operation) error {
	if !ValidFragment(b.ID) {
		return ErrMalformed
	}
	return nil
}

func (b *MemberKeysBody) check(*Operation) error {
	if !ValidFragment(b.ID) || string(b.Key) == string(b.Sponsor) { // also: neither
		return ErrMalformed
	}
	for _, key := range []PublicKey{b.Key, b.Sponsor} {
		if key != nil {
			if err := checkKey(key); err != nil {
				return err
			}
		}
	}
	return nil
}

const maxPower = 1 << 40

func (b *ValidatorBody) check(*Operation) error {
	if b.Power > maxPower {
		return ErrLimit
	}
	named := ValidFragment(b.Operator) && ValidFragment(b.Site)
	if (b.Power > 0 && !named) || (b.Power == 0 && b.Operator+b.Site != "") {
		return ErrMalformed
	}
	return nil
}

func (b *ThresholdBody) check(*Operation) error {
	if b.K == 0 {
		return ErrMalformed
	}
	return nil
}

func (b *EmergencyBody) check(o *Operation) error {
	key := ValidFragment(b.Key) && b.Type == "" && b.N == 0
	accreditation := b.Key == "" && ValidType(b.Type) && b.N > 0
	if key == accreditation || b.At <= 0 || o.Seq != 0 {
		return ErrMalformed
	}
	return nil
}

// MisbehaviourFamily tells of a validator's key that it has signed twice.
func MisbehaviourFamily(key [32]byte) Family {
	return Family("gov/misbehaviour/" + hex.EncodeToString(key[:]) + "/")
}

// ValidatorsFamily is the set of validators, ProposalFamily one proposal; proposals are numbered from 1 without gaps.
func ValidatorsFamily() Family           { return "gov/validators/" }
func ProposalFamily(n uint64) Family     { return Family("prop/" + strconv.FormatUint(n, 10) + "/") }
func ProposalContentKey(n uint64) []byte { return []byte(string(ProposalFamily(n)) + "content") }
func VoteKey(n uint64, member string) []byte {
	return []byte(string(ProposalFamily(n)) + "vote/" + member)
}
func ProposalsKey() []byte                { return []byte("gov/proposals") }
func GovernanceKeyKey(k PublicKey) []byte { h := k.Hash(); return append([]byte("gov/key/"), h[2:]...) }

// A ValidatorsFact is the set of validators that the members want: the engine follows two blocks later. In order of keys.
type ValidatorsFact struct {
	Validators []ValidatorFact `cbor:"0,keyasint"`
}

// A ValidatorFact is one validator.
type ValidatorFact struct {
	_        struct{} `cbor:",toarray"`
	Key      [32]byte
	Power    uint64
	Operator string
	Site     string
}

// A MisbehaviourFact: a block proved that a validator signed two things for one height, and it lost power for it by itself.
type MisbehaviourFact struct {
	Height   uint64 `cbor:"0,keyasint"` // for which it signed them
	Operator string `cbor:"1,keyasint"`
	Power    uint64 `cbor:"2,keyasint"` // before
	Left     uint64 `cbor:"3,keyasint"` // 0: removed
}

// A ProposalState is where a proposal stands.
type ProposalState string

// States of a proposal. The last four are final.
const (
	ProposalVoting   ProposalState = "voting"
	ProposalApproved ProposalState = "approved" // executes when the time lock is over, if it still has the votes
	ProposalExecuted ProposalState = "executed"
	ProposalFailed   ProposalState = "failed" // had the votes, but was no longer allowed
	ProposalRejected ProposalState = "rejected"
	ProposalExpired  ProposalState = "expired"
)

// A ProposalFact is a proposal with its tally; times are seconds. Votes of members removed meanwhile do not count.
type ProposalFact struct {
	Hash     [32]byte      `cbor:"0,keyasint"` // SHA-256 of the proposed payload
	Proposer string        `cbor:"1,keyasint"`
	Kind     Kind          `cbor:"2,keyasint"`
	About    DID           `cbor:"3,keyasint,omitempty"`
	Opened   int64         `cbor:"4,keyasint"`
	Expires  int64         `cbor:"5,keyasint"`
	State    ProposalState `cbor:"6,keyasint"`
	Yes      []string      `cbor:"7,keyasint"` // member ids, in order of their votes
	No       []string      `cbor:"8,keyasint,omitempty"`
	Due      int64         `cbor:"9,keyasint,omitempty"`  // end of the time lock
	Closed   uint64        `cbor:"10,keyasint,omitempty"` // height
	Code     Code          `cbor:"11,keyasint,omitempty"` // outcome of the execution
	Lock     int64         `cbor:"12,keyasint,omitempty"` // time lock when it was opened: the shortest that it gets
}

// A ProposalContent is what was proposed.
type ProposalContent struct {
	Payload    []byte          `cbor:"0,keyasint"`
	Signatures cbor.RawMessage `cbor:"1,keyasint,omitempty"` // as in ProposeBody
}

// A VoteFact is one member's vote.
type VoteFact struct {
	Height    uint64   `cbor:"0,keyasint"`
	Approve   bool     `cbor:"1,keyasint"`
	Operation [32]byte `cbor:"2,keyasint"`
}

// A ProposalsFact counts the proposals and lists those that are not closed.
type ProposalsFact struct {
	Count uint64   `cbor:"0,keyasint"`
	Open  []uint64 `cbor:"1,keyasint,omitempty"`
}

// Proposed is the operation that was proposed. Errors: ErrMalformed, ErrLimit, ErrKey.
func (c *ProposalContent) Proposed() (*SignedOperation, error) {
	b := ProposeBody{Payload: c.Payload}
	if c.Signatures != nil {
		if err := Decode(c.Signatures, &b.Signatures); err != nil {
			return nil, err
		}
	}
	return b.Proposed()
}
