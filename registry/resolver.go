package registry

import (
	"context"
	"errors"
	"time"
)

// What a Resolver may answer besides a fact. Callers act on these; anything else is a fault.
var (
	// ErrNotFound: absence is proven (no such key, accreditation, registration at that time).
	ErrNotFound = errors.New("registry: proven absent")
	// ErrUnavailable: nothing reachable and nothing young enough at hand. Fail closed.
	ErrUnavailable = errors.New("registry: no evidence available")
	// ErrUntrusted: an answer came, but its proof, header or history does not hold.
	ErrUntrusted = errors.New("registry: evidence does not hold")
)

// A KeyUse says what a verification key of a DID may sign. One key, one use.
type KeyUse string

// The uses of DESIGN 3: credentials and their status lists share one key, all else is separate.
const (
	UseAssertion      KeyUse = "assertion"      // credentials and their status lists
	UseAuthentication KeyUse = "authentication" // OpenID4VP request objects, receipts of a verifier
	UseAttestation    KeyUse = "attestation"    // wallet and key attestations of a wallet provider
	UseStatus         KeyUse = "status"         // the second status operator: may re-date or worsen, never improve
)

// A Key is one key fact: a verification key of a DID with its interval.
// Times are header times (seconds, UTC); the zero time means "not (yet)".
type Key struct {
	DID             DID
	ID              string // the fragment of the DID URL
	Use             KeyUse
	JWK             []byte // public JWK, canonical member order (RFC 7638)
	ActiveFrom      time.Time
	RetiredAt       time.Time // signatures made before still count
	CompromisedFrom time.Time // only what was anchored before still counts
	// Between these an emergency suspension holds. While it does, CompromisedFrom is not after SuspendedFrom.
	SuspendedFrom, SuspendedUntil time.Time
}

// InForce reports whether the key could sign at t: active, not retired, not compromised.
func (k Key) InForce(t time.Time) bool {
	return !t.Before(k.ActiveFrom) &&
		(k.RetiredAt.IsZero() || t.Before(k.RetiredAt)) &&
		(k.CompromisedFrom.IsZero() || t.Before(k.CompromisedFrom)) &&
		(k.SuspendedUntil.IsZero() || t.Before(k.SuspendedFrom) || !t.Before(k.SuspendedUntil))
}

// An Accreditation lets one issuer issue one type on a legal basis during an interval.
type Accreditation struct {
	DID        DID
	Type       string // vct
	LegalBasis []string
	Roots      [][]byte // SHA-256 of the DER of each X.509 root that may certify this issuer's keys
	StatusHost string   // origin under which the consortium serves this issuer's lists
	From       time.Time
	Until      time.Time // zero: open
	Suspended  bool
	Operator   DID // second status operator; "": none
}

// InForce reports whether the accreditation covers t.
func (a Accreditation) InForce(t time.Time) bool {
	return !a.Suspended && !t.Before(a.From) && (a.Until.IsZero() || t.Before(a.Until))
}

// A Registration lets one verifier ask for named claims for a purpose (DOMAIN 3.0, classes L and X are checked by the wallet against it).
type Registration struct {
	DID           DID
	Purpose       string
	Name          map[string]string   // language tag -> organisation's name
	PurposeText   map[string]string   // language tag -> purpose as shown to the citizen
	Claims        map[string][]string // vct -> claim paths, dotted
	LegalBasis    []string
	RetentionDays int
	From, Until   time.Time
}

// A StatusEpoch is what the chain knows of an issuer's status lists: one leaf an issuer.
type StatusEpoch struct {
	Issuer     DID
	Sequence   uint64
	IssuedAt   time.Time
	NextUpdate time.Time
	Root       [32]byte // Merkle root over the issuer's list records (internal/statuslist)
	Signer     string   // DID URL of the key that signed the epoch: the issuer's, or its second status operator's
	// Base is the issuer's own newest epoch when the operator signed this one; zero when the issuer did.
	Base EpochBase
}

// Redated reports whether the second status operator signed the epoch. Its lists are compared with the base's.
func (e StatusEpoch) Redated() bool { return e.Base != EpochBase{} }

// An EpochBase is what the lists of an operator's epoch are compared with.
type EpochBase struct {
	Sequence uint64
	IssuedAt time.Time
	Root     [32]byte
	Signer   string // DID URL of the issuer's key
}

// Checked says by which proven state a fact is known.
type Checked struct {
	Height  uint64    // of the header whose app hash proves the fact
	KnownAt time.Time // that header's time: the fact was so, as known then
}

// A Resolver answers from Evidence that it has checked itself. at is the moment the fact is asked for, as it stood then, but
// for intervals, which are as known now; the zero time asks for the latest state. Every answer, also ErrNotFound, is proven.
// Implementations: registry/light (online, cached) and evidence.Facts (a stapled or stored Evidence).
type Resolver interface {
	Key(ctx context.Context, did DID, id string, at time.Time) (Key, Checked, error)
	Accreditation(ctx context.Context, did DID, vct string, at time.Time) (Accreditation, Checked, error)
	Registration(ctx context.Context, did DID, purpose string, at time.Time) (Registration, Checked, error)
	TypeDigest(ctx context.Context, vct string) (digest [32]byte, c Checked, err error)
	StatusEpoch(ctx context.Context, issuer DID) (StatusEpoch, Checked, error)
}

// A StatusList is one published list with what ties it to an epoch.
type StatusList struct {
	URI    string
	Token  []byte   // Status List Token (JWT or CWT), as published
	Record []byte   // the list record hashed into the epoch's root (internal/statuslist)
	Path   [][]byte // RFC 6962 audit path of the record
	Index  uint64   // position of the record in the epoch's tree
	Size   uint64   // number of records in that tree
	// Base is the same list under the epoch's base when the operator signed the epoch; its Token is empty where both records
	// have the same root over the values.
	Base *StatusList
}

// A StatusSource fetches published lists from registry nodes. It never contacts an issuer.
type StatusSource interface {
	StatusList(ctx context.Context, uri, mediaType string) (StatusList, error)
}

// An Outcome is what became of one operation. The gateway answers when the proof exists (H27).
type Outcome struct {
	Hash   []byte // multihash of the operation's payload
	Height uint64 // block that executed it
	Code   string // "ok" or the refusal's slug, e.g. "version-conflict"
	Detail string // for people; never personal data
}

// A Submitter hands signed operations to a sponsor's gateway and returns when their outcome is provable.
type Submitter interface {
	Submit(ctx context.Context, operations ...[]byte) ([]Outcome, error)
}

// Anchors proves since when bytes exist. Whoever issues them keeps the salt: a leaf is evidence.AnchorLeaf(salt, bytes), and a
// receipt (evidence.Receipt, encoded) comes with its salt empty, to be filled in. It returns when the receipts exist.
type Anchors interface {
	Anchor(ctx context.Context, leaves ...[32]byte) (receipts [][]byte, err error)
}
