package registry

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// A Family is the key of one fact without the version part; README.md "Leaves" has the table.
type Family string

// Families of the facts about one DID, and of the rest. Arguments are checked when operations are parsed: no slash.
func DIDFamily(d DID) Family                 { return Family("d/" + d.ID() + "/did/") }
func KeyFamily(d DID, kid string) Family     { return Family("d/" + d.ID() + "/key/" + kid + "/") }
func ServiceFamily(d DID, sid string) Family { return Family("d/" + d.ID() + "/svc/" + sid + "/") }
func AccreditationFamily(d DID, vct string, n uint64) Family {
	return Family("d/" + d.ID() + "/accr/" + vct + "/" + strconv.FormatUint(n, 10) + "/")
}
func RegistrationFamily(d DID, purpose string) Family {
	return Family("d/" + d.ID() + "/reg/" + purpose + "/")
}
func StatusFamily(d DID) Family     { return Family("d/" + d.ID() + "/status/") }
func TypeFamily(vct string) Family  { return Family("type/" + vct + "/") }
func ParamsFamily() Family          { return "gov/params/" }
func MemberFamily(id string) Family { return Family("gov/member/" + id + "/") }

// Latest is the key of the fact that holds now.
func (f Family) Latest() []byte { return []byte(string(f) + "latest") }

// At is the key of a replaced fact that held from height on.
func (f Family) At(height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(string(f)+"at/"), height)
}

// Has reports whether a leaf key is of this family: its latest fact or a replaced one.
func (f Family) Has(key []byte) bool {
	if len(key) <= len(f) || string(key[:len(f)]) != string(f) {
		return false
	}
	rest := key[len(f):]
	return string(rest) == "latest" || (len(rest) == 11 && string(rest[:3]) == "at/")
}

// CreatedFamily is the DID that a create of that hash makes: its id is the hash.
func CreatedFamily(create Hash) Family { return Family("d/" + create.String() + "/did/") }

// Keys of leaves that have no history.
func OutcomeKey(operation Hash) []byte { return append([]byte("op/"), operation[2:]...) }
func AnchorKey(root [32]byte) []byte   { return append([]byte("anchor/"), root[:]...) }
func SponsorKey(id string) []byte      { return []byte("sponsor/" + id) }
func HeaderRootKey() []byte            { return []byte("hdr/root") }
func HeaderFrontierKey() []byte        { return []byte("hdr/frontier") }

// A Leaf wraps a fact with the heights between which it held. Until is 0 for the latest.
type Leaf struct {
	Since uint64          `cbor:"0,keyasint"`
	Until uint64          `cbor:"1,keyasint,omitempty"`
	Fact  cbor.RawMessage `cbor:"2,keyasint"`
}

// A DIDFact is the state of a DID's control.
type DIDFact struct {
	Seq         uint64    `cbor:"0,keyasint"`
	Head        [32]byte  `cbor:"1,keyasint"` // digest of the newest payload
	Op          PublicKey `cbor:"2,keyasint"`
	Next        [32]byte  `cbor:"3,keyasint"`
	Recovery    [32]byte  `cbor:"4,keyasint"`
	Created     uint64    `cbor:"5,keyasint"`
	Deactivated uint64    `cbor:"6,keyasint,omitempty"`
	Frozen      uint64    `cbor:"7,keyasint,omitempty"`
	Keys        []string  `cbor:"8,keyasint,omitempty"` // ids of the keys in force, in order of their addition
	Services    []string  `cbor:"9,keyasint,omitempty"` // ids of the services
}

// A KeyFact is a verification key with its interval in heights; CompromisedFrom is in seconds.
type KeyFact struct {
	Use             KeyUse    `cbor:"0,keyasint"`
	Key             PublicKey `cbor:"1,keyasint"`
	Active          uint64    `cbor:"2,keyasint"`
	Retired         uint64    `cbor:"3,keyasint,omitempty"`
	CompromisedFrom int64     `cbor:"4,keyasint,omitempty"`
	Declared        uint64    `cbor:"5,keyasint,omitempty"` // height of the declaration of compromise
	Held            uint64    `cbor:"6,keyasint,omitempty"` // height of an emergency suspension
	HeldUntil       int64     `cbor:"7,keyasint,omitempty"` // seconds; then it lapses by itself
}

// A ServiceFact is an endpoint; Removed is a height.
type ServiceFact struct {
	Type     string `cbor:"0,keyasint"`
	Endpoint string `cbor:"1,keyasint"`
	Removed  uint64 `cbor:"2,keyasint,omitempty"`
}

// An AccreditationFact is one accreditation; times are seconds.
type AccreditationFact struct {
	Seq       uint64     `cbor:"0,keyasint"`
	Head      [32]byte   `cbor:"1,keyasint"`
	Basis     []string   `cbor:"2,keyasint"`
	Roots     [][32]byte `cbor:"3,keyasint,omitempty"`
	Host      string     `cbor:"4,keyasint,omitempty"`
	From      int64      `cbor:"5,keyasint"`
	Until     int64      `cbor:"6,keyasint,omitempty"`
	Suspended bool       `cbor:"7,keyasint,omitempty"`
	Operator  DID        `cbor:"8,keyasint,omitempty"`
	Lapses    int64      `cbor:"9,keyasint,omitempty"` // end of an emergency suspension; 0: none, or it was decided upon
}

// SuspendedAt reports whether the accreditation is suspended at a moment in seconds.
func (f *AccreditationFact) SuspendedAt(t int64) bool {
	return f.Suspended && (f.Lapses == 0 || t < f.Lapses)
}

// A RegistrationFact is a verifier registration; times are seconds.
type RegistrationFact struct {
	Seq       uint64              `cbor:"0,keyasint"`
	Head      [32]byte            `cbor:"1,keyasint"`
	Name      map[string]string   `cbor:"2,keyasint"`
	Text      map[string]string   `cbor:"3,keyasint"`
	Claims    map[string][]string `cbor:"4,keyasint"`
	Basis     []string            `cbor:"5,keyasint"`
	Retention uint64              `cbor:"6,keyasint"`
	From      int64               `cbor:"7,keyasint"`
	Until     int64               `cbor:"8,keyasint,omitempty"`
}

// A StatusFact is the newest status epoch of an issuer.
type StatusFact struct {
	Sequence   uint64   `cbor:"0,keyasint"`
	IssuedAt   int64    `cbor:"1,keyasint"`
	NextUpdate int64    `cbor:"2,keyasint"`
	Root       [32]byte `cbor:"3,keyasint"`
	Signer     string   `cbor:"4,keyasint"` // DID URL of the key that signed the epoch
	Operation  [32]byte `cbor:"5,keyasint"`
	// Base is there exactly when a second status operator signed.
	Base *StatusBase `cbor:"6,keyasint,omitempty"`
}

// A StatusBase is the newest epoch that the issuer itself signed, in the leaf of an epoch that its operator signed.
type StatusBase struct {
	_        struct{} `cbor:",toarray"`
	Sequence uint64
	IssuedAt int64
	Root     [32]byte
	KeyID    string // fragment of the issuer's DID URL
}

// Epoch is the fact in a party's words. An epoch of somebody else than its issuer without a base is ErrUntrusted, and so is a
// base beside the issuer's own signature.
func (f *StatusFact) Epoch(issuer DID) (StatusEpoch, error) {
	e := StatusEpoch{Issuer: issuer, Sequence: f.Sequence, IssuedAt: time.Unix(f.IssuedAt, 0).UTC(),
		NextUpdate: time.Unix(f.NextUpdate, 0).UTC(), Root: f.Root, Signer: f.Signer}
	signer, _, err := ParseDIDURL(f.Signer)
	if err != nil || (signer == issuer) != (f.Base == nil) {
		return StatusEpoch{}, ErrUntrusted
	}
	if b := f.Base; b != nil {
		e.Base = EpochBase{Sequence: b.Sequence, IssuedAt: time.Unix(b.IssuedAt, 0).UTC(), Root: b.Root, Signer: issuer.URL(b.KeyID)}
	}
	return e, nil
}

// A TypeFact is the digest of a type's metadata.
type TypeFact struct {
	Seq    uint64   `cbor:"0,keyasint"`
	Head   [32]byte `cbor:"1,keyasint"`
	Digest [32]byte `cbor:"2,keyasint"`
}

// ParamsFact holds the parameters of the chain, from its genesis.
type ParamsFact struct {
	Network       string `cbor:"0,keyasint"`
	ChainID       string `cbor:"1,keyasint"`
	Development   bool   `cbor:"2,keyasint,omitempty"`
	Threshold     uint64 `cbor:"3,keyasint"`
	Members       uint64 `cbor:"4,keyasint"`
	QuotaOps      uint64 `cbor:"5,keyasint"`
	QuotaBlocks   uint64 `cbor:"6,keyasint"`
	EpochInterval int64  `cbor:"7,keyasint"` // seconds between two status epochs of an issuer
	Heartbeat     uint64 `cbor:"8,keyasint"` // milliseconds
	// Closed: k of n members decide by proposals only, not by signing one operation together.
	Closed        bool   `cbor:"9,keyasint,omitempty"`
	TimeLock      int64  `cbor:"10,keyasint,omitempty"` // seconds between approval and execution
	Voting        int64  `cbor:"11,keyasint,omitempty"` // seconds until a proposal expires
	Emergency     uint64 `cbor:"12,keyasint,omitempty"` // members for an emergency suspension; 0: there is none
	EmergencyHold int64  `cbor:"13,keyasint,omitempty"` // seconds that it holds
	// Version of the rules, 0: 1; from the height NextFrom on it is Next, if that is decided. VersionAt reads them.
	Version  uint64 `cbor:"14,keyasint,omitempty"`
	Next     uint64 `cbor:"15,keyasint,omitempty"`
	NextFrom uint64 `cbor:"16,keyasint,omitempty"`
}

// Need is how many members decide an operation of a kind. A removal, and new keys of a member, need one less than all, so
// that a lost key cannot stop it, and always a majority.
func (p *ParamsFact) Need(kind Kind) uint64 {
	if kind == KindMemberRemove || kind == KindMemberKeys {
		return max(min(p.Threshold, p.Members-1), Majority(p.Members))
	}
	return p.Threshold
}

// Majority of n members: the least threshold that is ever allowed.
func Majority(n uint64) uint64 { return n/2 + 1 }

// A MemberFact is a member of the consortium with its offline governance key.
type MemberFact struct {
	Name    map[string]string `cbor:"0,keyasint"`
	Key     PublicKey         `cbor:"1,keyasint"`
	Removed uint64            `cbor:"2,keyasint,omitempty"`
}

// A SponsorFact is the account under which a member's gateway submits.
type SponsorFact struct {
	Key     PublicKey             `cbor:"0,keyasint"`
	Highest uint64                `cbor:"1,keyasint"`
	Seen    [NonceWindow / 8]byte `cbor:"2,keyasint"` // bit i: nonce Highest-i was used
	Window  uint64                `cbor:"3,keyasint"` // number of the quota window
	Used    uint64                `cbor:"4,keyasint"` // operations in it
}

// An AnchorFact says who anchored a root, and in which block.
type AnchorFact struct {
	ID     string `cbor:"0,keyasint"` // of the DID
	Height uint64 `cbor:"1,keyasint"`
}

// An OutcomeFact is what became of an operation; ReadOutcome reads it.
type OutcomeFact struct {
	Height uint64 `cbor:"0,keyasint"`
	Code   Code   `cbor:"1,keyasint"`
}

// ReadOutcome finds what became of an operation. A create that succeeded has no outcome of its own: the DID is there. get
// answers for one leaf, ErrNotFound for one that is absent; its errors are handed on.
func ReadOutcome(operation Hash, get func(key []byte) ([]byte, error)) (OutcomeFact, error) {
	var booked OutcomeFact
	raw, none := get(OutcomeKey(operation))
	if none == nil {
		if err := Decode(raw, &booked); err != nil || booked.Code == CodeOK {
			return booked, err
		}
	}
	raw, err := get(CreatedFamily(operation).Latest())
	if errors.Is(err, ErrNotFound) {
		return booked, none
	}
	if err != nil {
		return OutcomeFact{}, err
	}
	var leaf Leaf
	var created DIDFact
	if err := Decode(raw, &leaf); err != nil {
		return OutcomeFact{}, err
	}
	if err := Decode(leaf.Fact, &created); err != nil {
		return OutcomeFact{}, err
	}
	return OutcomeFact{Height: created.Created, Code: CodeOK}, nil
}

// A HeaderRoot is the root of the header tree; leaf i is the header of height First+i.
type HeaderRoot struct {
	First uint64   `cbor:"0,keyasint"`
	Size  uint64   `cbor:"1,keyasint"`
	Root  [32]byte `cbor:"2,keyasint"`
}
