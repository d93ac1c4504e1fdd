package issuer

import (
	"context"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
)

// Store is what the issuer keeps in SQL (package issuer/store). Every method that changes something is one
// transaction, durable when it returns, with its audit entry inside: an entry that cannot be written refuses the
// change (errors wrap audit.ErrUnavailable then).
type Store interface {
	OfferStore
	IssuanceStore
	StatusStore
	RecordStore
	KeyStore
}

// OfferStore keeps logical credentials until somebody holds them.
type OfferStore interface {
	// AddCredential records an offer.
	AddCredential(ctx context.Context, c Credential, entry audit.Entry) error
	// Credential finds one by id; ErrNotFound also for another tenant's.
	Credential(ctx context.Context, tenant, id string) (Credential, error)
	// CredentialByRef finds an offer by the hash of its reference; ErrNotFound.
	CredentialByRef(ctx context.Context, tenant string, ref [32]byte) (Credential, error)
	// Redeem calls decide with the locked credential of a code, and what issuing will read next, and does what it says;
	// ErrNotFound without a row.
	Redeem(ctx context.Context, tenant string, code [32]byte, decide func(Credential, Sealed) Redemption) error
	// Grant finds an access token by its key, with its credential as far as issuing needs it (no hashes, no times);
	// ErrNotFound.
	Grant(ctx context.Context, tenant string, token [32]byte) (Grant, error)
}

// A Redemption is what becomes of a token request.
type Redemption struct {
	Refuse error // what Redeem returns; nothing else of this applies then, except Failed
	Failed bool  // a wrong transaction code, to be counted
	Grant  Grant
	Entry  audit.Entry // also for a counted failure
}

// A Grant is an access token for one logical credential.
type Grant struct {
	Token      [32]byte // grantKey of the access token
	JKT        string   // thumbprint of the DPoP key; "" for a bearer token
	ClientID   string   // what key proofs may name in iss; proven only by a wallet attestation
	Slots      bool     // credential identifiers were handed out
	Allowance  int      // copies in all
	MadeAt     time.Time
	ExpiresAt  time.Time
	Credential Credential
	Sealed     Sealed // from the same look at the database
}

// Sealed is what issuing reads of a person; nil where there is none.
type Sealed struct{ Record, Pseudonym []byte }

// IssuanceStore is the record of the record-then-sign pipeline.
type IssuanceStore interface {
	// Intend consumes the nonces, takes the copies from the grant's allowance and writes the issuance with one intent a
	// copy. With Attempt above 1 it replaces an attempt that was never recorded, whose allowance stays taken.
	// Errors: ErrNonceUsed, ErrIndexTaken, ErrAllowance, ErrRefused (the credential's state), ErrBurned (that attempt is
	// recorded, or no longer the newest), ErrRecordChanged.
	Intend(ctx context.Context, i Issuance, entry audit.Entry) error
	// Record writes the ledger rows and the sealed response. ErrBurned when that attempt is no longer intended,
	// ErrRefused when the credential was withdrawn meanwhile.
	Record(ctx context.Context, r Recorded) error
	// Abandon burns an attempt that will not be recorded; ErrBurned when it is no longer intended.
	Abandon(ctx context.Context, issuance string, attempt int, entry audit.Entry) error
	// Issued finds what an identical request led to; ErrNotFound.
	Issued(ctx context.Context, grant, proofs [32]byte) (Delivery, error)
	// Notice records a wallet's report once an issuance and event. ErrNotFound: no such issuance was recorded; ErrRefused:
	// it was made under another grant.
	Notice(ctx context.Context, n Notice) error
	// Reports of a credential's issuances, in order of time; none for another tenant's.
	Reports(ctx context.Context, tenant, credential string) ([]Report, error)
	// BurnIntended abandons every issuance left intended by a dead process and says how many.
	BurnIntended(ctx context.Context) (int, error)
}

// An Issuance is one credential request.
type Issuance struct {
	ID         string
	Tenant     string
	Credential string
	Grant      [32]byte // token hash
	Proofs     [32]byte // hash of the proof set and of what was asked for
	Slot       int      // pseudonym slot; -1: none
	KeyID      string   // DID URL of the signing key
	MadeAt     time.Time
	Until      time.Time // end of the window in which an identical request may finish it
	Attempt    int       // 1: new; above: replaces the intents of the attempt before, which was never recorded
	Nonces     []Nonce
	Intents    []Intent
	Record     []byte // the sealed record that the copies were made of; nil: it is not in our table
}

// A Nonce is consumed by a unique insert and forgotten after it expired.
type Nonce struct {
	ID      []byte
	Expires time.Time
}

// An Intent is one copy to be signed: everything of it is fixed.
type Intent struct {
	List, Index uint64
	Thumbprint  string   // of the holder's key
	TBS         [32]byte // SHA-256 of the bytes to be signed
	Expires     time.Time
}

// Recorded is an issuance with its copies signed and verified.
type Recorded struct {
	Tenant, Issuance, Credential string
	Attempt                      int
	Hashes                       [][32]byte // SHA-256 of each credential as returned
	Response                     []byte     // sealed
	ResponseHash                 [32]byte
	Until                        time.Time // end of the redelivery window
	At                           time.Time
}

// A Notice is a report with what it must fit.
type Notice struct {
	Report
	Tenant string
	Grant  [32]byte
	Entry  audit.Entry // written with the first report of its kind
}

// A Delivery is what an earlier identical request led to.
type Delivery struct {
	Issuance string
	Attempt  int
	State    IssuanceState
	Response []byte // sealed; nil after the window
	Until    time.Time
}

// An IssuanceState tells whether copies may be out.
type IssuanceState string

// The states of an issuance.
const (
	IssuanceIntended  IssuanceState = "intended"
	IssuanceIssued    IssuanceState = "issued"
	IssuanceAbandoned IssuanceState = "abandoned"
)

// StatusStore keeps status changes, lists and what was published.
type StatusStore interface {
	// ChangeStatus calls decide with the locked credential and moves it to the state it names; the number of the
	// tenant's change is returned (that of the last change when decide keeps the state).
	ChangeStatus(ctx context.Context, tenant, id string, decide func(Credential) (State, audit.Entry, error)) (int64, error)
	// Lists of a tenant, numbered from 1.
	Lists(ctx context.Context, tenant string) ([]ListInfo, error)
	// AddList opens a list; ErrNotCurrent when its number exists.
	AddList(ctx context.Context, tenant string, l ListInfo) error
	// Adopt takes over, in one transaction, what somebody else published as worse, and returns how many credentials changed.
	Adopt(ctx context.Context, tenant string, a Adoption) (changed int, err error)
	// Taken calls each with every index of a list that an intent holds, burned ones too.
	Taken(ctx context.Context, tenant string, list uint64, each func(index uint64)) error
	PublicationStore
}

// PublicationStore is the outbox of status changes.
type PublicationStore interface {
	// Changes reads, in one snapshot, the number of the newest change, and calls each with every copy of credentials
	// changed after since.
	Changes(ctx context.Context, tenant string, since int64, each func(Flip)) (newest int64, err error)
	// LastPublication is the newest one; the zero Publication when there is none.
	LastPublication(ctx context.Context, tenant string) (Publication, error)
	// Publish records a publication and replaces the served tokens; ErrNotCurrent when its sequence exists.
	Publish(ctx context.Context, p Publication, lists []PublishedList) error
	// Anchored records the height that proves a publication.
	Anchored(ctx context.Context, tenant string, sequence, height uint64) error
	// PublishedRecords are the list records of the newest publication in list order, from one snapshot.
	PublishedRecords(ctx context.Context, tenant string) ([][]byte, error)
	// PublishedList is the newest token of a list; ErrNotFound.
	PublishedList(ctx context.Context, tenant string, list uint64) (PublishedList, error)
}

// ListInfo is one status list.
type ListInfo struct {
	Number, Length uint64
	OpenedAt       time.Time
}

// A Flip is the present status of one copy.
type Flip struct {
	List, Index uint64
	State       State
}

// A Publication is one status epoch of a tenant.
type Publication struct {
	Tenant     string
	Sequence   uint64
	IssuedAt   time.Time
	NextUpdate time.Time
	Covers     int64 // number of the newest status change in it
	Root       [32]byte
	Height     uint64 // 0: not anchored yet
}

// A PublishedList is a list as served.
type PublishedList struct {
	Number   uint64
	Sequence uint64
	Token    []byte // Status List Token (JWT)
	CWT      []byte // the same as a CWT
	Record   []byte // hashed into the epoch's root
}

// RecordStore keeps what imports brought, sealed.
type RecordStore interface {
	// PutRecords replaces the records of the named people, all or none.
	PutRecords(ctx context.Context, tenant, typ string, rows []SealedRecord, entry audit.Entry) error
	// SealedRecord finds one; ErrNoRecord.
	SealedRecord(ctx context.Context, tenant, typ, person string) ([]byte, error)
	// Pseudonym returns the sealed root of a person and type, keeping what fresh makes when there is none.
	Pseudonym(ctx context.Context, s Subject, fresh func() ([]byte, error)) ([]byte, error)
	// ProgramKey is the same for the key of a programme.
	ProgramKey(ctx context.Context, tenant, programme string, fresh func() ([]byte, error)) ([]byte, error)
}

// A Subject is a person as one agency knows one for one type.
type Subject struct{ Tenant, Type, Person string }

// A SealedRecord is one person's record, encrypted.
type SealedRecord struct {
	Person string
	Sealed []byte
}

// KeyStore keeps the secrets that replicas share, and the housekeeping.
type KeyStore interface {
	// NonceKeys are the newest few, newest first.
	NonceKeys(ctx context.Context) ([]SealedKey, error)
	// AddNonceKey stores a key whose id follows the newest (0 is the first); ErrNotCurrent when another process was first.
	AddNonceKey(ctx context.Context, k SealedKey) error
	// Forget drops what may be forgotten at now: used nonces an hour after they expired (replicas' clocks differ: the
	// fastest must not forget what the slowest still takes), responses out of their window, old nonce keys.
	Forget(ctx context.Context, now time.Time) error
}

// A SealedKey is a nonce key, encrypted.
type SealedKey struct {
	ID     byte
	Sealed []byte
	MadeAt time.Time
}
