package console

import (
	"context"
	"errors"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A Source answers what the pages show, as of the newest committed state. Errors: registry.ErrNotFound, ErrCursor,
// registry.ErrUnavailable (the node does not run).
type Source interface {
	Ledger
	Archive
	Directory
	Council
	Chronicle
	Rounds
	Prover
}

// A Ledger answers about the chain itself.
type Ledger interface {
	Health(context.Context) (Health, error)
	Network(context.Context) (Network, error)
	// Blocks below a height, newest first, at most n; 0: from the newest on. Of pruned ones hash and time are left.
	Blocks(ctx context.Context, below uint64, n int) ([]Block, error)
	Operation(context.Context, registry.Hash) (Operation, error)
	Anchors(context.Context, Page) (List[Anchor], error)
}

// An Archive answers what stands in single blocks.
type Archive interface {
	// Contents of a block, as far as it is not pruned: then Contents.Pruned.
	Contents(ctx context.Context, height uint64) (Contents, error)
	Anchor(context.Context, [32]byte) (Anchor, error)
	Status(context.Context, registry.DID) (Status, error)
}

// A Directory lists organisations and what they may do.
type Directory interface {
	DIDs(context.Context, Page) (List[Summary], error)
	DID(context.Context, registry.DID) (Subject, error)
	Accreditations(context.Context, Page) (List[Accreditation], error)
	Registrations(context.Context, Page) (List[Registration], error)
	Statuses(context.Context, Page) (List[Status], error)
}

// A Prover makes Evidence.
type Prover interface {
	Evidence(context.Context, Fact) ([]byte, error)
	// Trust is what this node itself trusts: good for a convenience, never for a reader who doubts the node.
	Trust(context.Context) (evidence.Trust, error)
}

// ErrCursor: a Page.After that names no place in this list.
var ErrCursor = errors.New("registry/console: no such place in the list")

// A Page asks for a part of a list. After is a List.Next, or "" for the beginning.
type Page struct {
	After string
	Limit int
}

// A List is one page. Next is "" on the last one; a page may be shorter than asked for and still have a next.
type List[T any] struct {
	Items []T
	Next  string
}

// A Moment is the height of an operation and the time from which it counts; the zero Height is "not (yet)", the zero Time
// "not dated": the next header does not exist yet, or is pruned.
type Moment struct {
	Height uint64
	Time   time.Time
}

// Health of the node that answers: ok, syncing, stuck, down.
type Health struct {
	State  string
	Height uint64
	Time   time.Time
	Peers  int
}

// A Network with those who run it.
type Network struct {
	Name, ChainID string
	Development   bool // one validator
	Direct        bool // members may sign together, without a proposal
	Threshold     uint64
	Heartbeat     time.Duration
	QuotaOps      uint64 // operations of a sponsor in QuotaBlocks blocks; 0: no quota
	QuotaBlocks   uint64
	Members       []Member
	Validators    []Validator
	Open          int // proposals that are not closed
	Watched       int // blocks over which Validator.Signed counts
}

// A Member votes with an offline governance key, and submits with its gateway's key.
type Member struct {
	ID       string
	Name     map[string]string
	Key      string // multikey
	Since    Moment // zero: founding member
	Removed  Moment
	Decided  []uint64 // proposals that added and removed it
	Gateway  string   // multikey; "" for none
	Sequence uint64   // highest nonce of its gateway
	Used     uint64   // operations in the quota window
}

// A Validator makes blocks.
type Validator struct {
	Name    string // from the genesis; "" for a later one
	Address string // hex
	Key     string // base64url, as in trust files
	Power   int64
	Signed  int       // of the newest Network.Watched blocks
	Last    uint64    // newest block signed, as far back as maxLookBack; 0: none
	Seen    time.Time // of that block
	Votes   []bool    // in the newest Network.Watched blocks, oldest first

	Operator, Site string // "" where nobody named them
	Wanted         int64  // power that the members want: it comes two blocks later; -1: the chain does not say
}

// A Block is a header.
type Block struct {
	Height     uint64
	Time       time.Time
	Hash       [32]byte
	AppHash    []byte
	Proposer   string // name or address of the validator
	Signers    []string
	Validators int
	Changed    bool // its operations changed the state: known once the next header exists
	Open       bool // the next header does not exist yet
	Pruned     bool // only height, time and hash are left
}

// Contents of a block.
type Contents struct {
	Closed     []Proposal // executed, failed, rejected, expired in it; known even when it is pruned
	Operations []Done
	More       int  // operations beyond those
	Claims     bool // claims of rounds stand in it too: they are never shown
	Pruned     bool
}

// Done is one operation of a block. Code is "" where its outcome is another block's, or there is none.
type Done struct {
	Hash    registry.Hash
	Kind    registry.Kind
	DID     registry.DID
	Sponsor string   // member whose gateway submitted it
	Members []string // that signed
	Code    string
	Anchor  [32]byte // of an anchor
	N       uint64   // of a vote: the proposal
}

// An Operation is an outcome. Code is "" while the hash is unknown to the chain.
type Operation struct {
	Hash      registry.Hash
	Code      string
	At        Moment
	Done      *Done    // as its block has it; nil: a proposal carried it, or the block is pruned
	Proposals []uint64 // of this operation
}

// An Anchor says who anchored a root, and when.
type Anchor struct {
	Root [32]byte
	By   registry.DID
	At   Moment
}

// A Summary is a DID in a list.
type Summary struct {
	DID         registry.DID
	Name        map[string]string // from its first registration; nil for none: the chain holds no other names
	Domain      string            // that it links itself, so far only its word; "" for none
	Keys        int               // in force
	Types       int               // accreditations
	Purposes    int               // verifier registrations
	Created     Moment
	Deactivated Moment
	Frozen      Moment
}

// A Subject is all about one DID.
type Subject struct {
	Summary
	Version        uint64
	Updated        Moment
	KeyList        []Key
	Services       []Service
	Versions       []Version // newest first
	Accreditations []Accreditation
	Registrations  []Registration
	Status         *Status // nil: it publishes none
}

// A Key with its whole interval.
type Key struct {
	ID              string
	Use             registry.KeyUse
	Alg             string
	Multikey        string
	Active, Retired Moment
	CompromisedFrom time.Time
	Declared        Moment    // of the compromise
	Held            Moment    // an emergency suspension
	HeldUntil       time.Time // then it lapses by itself
}

// A Service is an endpoint.
type Service struct {
	ID, Type, Endpoint string
	Removed            Moment
}

// A Version of a DID document.
type Version struct {
	ID        uint64
	At        Moment
	What      string // change.<what> of texts
	Operation registry.Hash
}

// An Accreditation lets one issuer issue one type.
type Accreditation struct {
	registry.Accreditation
	N        uint64
	Operator registry.DID // second status operator
	Lapses   time.Time    // end of an emergency suspension; zero: none, or it was decided upon
	Domain   string       // as Summary.Domain
	Changed  Moment
}

// A Registration lets one verifier ask for claims.
type Registration struct {
	registry.Registration
	Changed Moment
}

// A Status is an issuer's newest status epoch, and what this node serves of it.
type Status struct {
	registry.StatusEpoch
	At     Moment
	Domain string   // as Summary.Domain
	Served uint64   // sequence of the lists that this node serves; 0: none
	Lists  []string // their URIs
	Shape  []Shape  // of the same lists
}

// A Shape of a status list: how many entries of how many bits.
type Shape struct {
	Bits   int
	Length uint64
}
