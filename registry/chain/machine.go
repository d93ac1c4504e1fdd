// Package chain is the replicated state machine of the registry: operations in, leaves of an IAVL tree out.
// It has its own types; the engine's adapter is registry/node.
//
// New, then InitGenesis on an empty store; after that, for each height, Execute and Commit. CheckTx and Prove may be
// called at any time, from any goroutine. Everything that reaches the state is deterministic: no clock, no map order, no
// float, no goroutine. Trusted is the engine: it calls in order and gives the agreed header's hash and time.
//
// Formats: registry/README.md, "Leaves" and "Transaction".
package chain

import (
	"errors"
	"time"

	iavldb "github.com/cosmos/iavl/db"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

var errTODO = errors.New("chain: not yet")

// AppVersion is the version of the rules, reported to the engine and part of every header.
const AppVersion = 1

// A Config of a Machine; the zero value is good.
type Config struct {
	KeepVersions uint64 // old states that can still be proven; 0: 100. Leaves are never pruned
	CacheNodes   int    // tree nodes in memory; 0: 50,000
	Verdicts     int    // transactions whose verified signatures are remembered; 0: 20,000
	Sync         bool   // fsync each commit; without it the engine's own log replays what a power cut took
}

// A Machine is the state machine over one store. Safe for concurrent use.
type Machine struct{}

// New opens the store and loads the newest committed version. Open gives a store on disk, NewMemory one for tests.
func New(db iavldb.DB, cfg Config) (*Machine, error) { return nil, errTODO }

// Close closes the store.
func (m *Machine) Close() error { return errTODO }

// Open opens or creates a store in a directory.
func Open(dir string) (iavldb.DB, error) { return nil, errTODO }

// NewMemory is a store without a disk.
func NewMemory() iavldb.DB { return iavldb.NewMemDB() }

// Info is the newest committed state.
type Info struct {
	Height  uint64 // 0: nothing committed
	AppHash []byte
	Params  registry.ParamsFact // zero before the genesis
}

// Info of the newest committed state.
func (m *Machine) Info() Info { return Info{} }

// InitGenesis writes the first state; Commit of the first block persists it. height is that of the first block.
func (m *Machine) InitGenesis(g Genesis, height uint64) (appHash []byte, err error) {
	return nil, errTODO
}

// A Block is what the engine has agreed on. Hash and Time are those of the block's own header.
type Block struct {
	Height uint64
	Time   time.Time
	Hash   [32]byte
	Txs    [][]byte
}

// A Result is what became of one transaction.
type Result struct {
	Code       registry.Code // ok, or why the whole transaction was refused
	Detail     string        // for people and logs, not part of what nodes agree on
	Sponsor    string        // for the gateway's quota; empty when it could not be read
	Operations []registry.Outcome
}

// Data is the deterministic encoding of the result that goes into the block results: codes only.
func (r Result) Data() []byte { return nil }

// CheckTx decides whether a transaction may wait for a block: the same validation as Execute, on a copy of the state
// that also has the transactions checked since the last commit. A transaction of which no operation would succeed is
// refused with the code of its first operation.
func (m *Machine) CheckTx(tx []byte) Result { return Result{} }

// Execute runs a block and returns the app hash; nothing is persisted before Commit. An error is a fault of the store
// or a call out of order: the node must stop.
func (m *Machine) Execute(b Block) (results []Result, appHash []byte, err error) {
	return nil, nil, errTODO
}

// Commit persists the executed block in one atomic batch.
func (m *Machine) Commit() error { return errTODO }

// A Query names the facts that an Evidence shall hold. Facts that do not exist are proven absent.
type Query struct {
	Keys           []KeyRef
	Accreditations []AccreditationRef
	Registrations  []RegistrationRef
	Types          []string
	Status         []registry.DID
	Operations     []registry.Hash
	DIDs           []registry.DID // control facts
	Raw            [][]byte       // further leaf keys
	// Heights are further headers to be proven by the header tree.
	Heights []uint64
}

// A KeyRef names a verification key.
type KeyRef struct {
	DID registry.DID
	ID  string
}

// An AccreditationRef asks for all accreditations of a DID for a type, with their history.
type AccreditationRef struct {
	DID  registry.DID
	Type string
}

// A RegistrationRef names a registration.
type RegistrationRef struct {
	DID     registry.DID
	Purpose string
}

// ErrVersion: that state is not committed yet, or was pruned.
var ErrVersion = errors.New("chain: no such version")

// Prove makes the state part of an Evidence from a committed version; 0 is the newest.
func (m *Machine) Prove(version uint64, q Query) (evidence.StateProof, error) {
	return evidence.StateProof{}, errTODO
}

// HeaderPath proves nothing but headers: heights in the header tree of a version.
func (m *Machine) HeaderHash(height uint64) (hash [32]byte, t time.Time, err error) {
	return [32]byte{}, time.Time{}, errTODO
}
