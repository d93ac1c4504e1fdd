// Package did holds the rules of the method did:dojang, pure: a state, an operation and what its signatures prove give
// changes or a refusal. It knows no tree, no time but the one it is given, and no engine.
//
// Apply is the function to use first; Document renders a W3C DID document from facts.
package did

import (
	"errors"

	"github.com/dojang-id/dojang/registry"
)

var errTODO = errors.New("did: not yet")

// Signatures says what the signatures of an operation prove. The chain implements it, with its verdict cache.
type Signatures interface {
	// By checks the signature made in a role against a key. Error: a *registry.Refusal (bad-signature).
	By(role string, key registry.PublicKey) error
	// Threshold checks that k of n members signed. Error: a *registry.Refusal (threshold).
	Threshold() error
}

// State answers for the facts about DIDs as they stand before the operation. Absent is (nil, nil).
type State interface {
	DID(registry.DID) (*registry.DIDFact, error)
	Key(did registry.DID, id string) (*registry.KeyFact, error)
	Service(did registry.DID, id string) (*registry.ServiceFact, error)
	// Counts are the numbers of keys that ever were and of services that are.
	Counts(registry.DID) (keys, services int, err error)
}

// An Input is one operation with its surroundings.
type Input struct {
	Operation   *registry.SignedOperation
	State       State
	Signatures  Signatures
	Height      uint64
	Time        int64 // of the block's own header, seconds
	Development bool  // of the network: http services on loopback
}

// Changes are the facts to write.
type Changes struct {
	ID       registry.DID
	DID      *registry.DIDFact
	Keys     []Named[registry.KeyFact]
	Services []Named[registry.ServiceFact]
}

// A Named fact has a fragment.
type Named[T any] struct {
	ID   string
	Fact T
}

// Apply decides one operation of a DID's own history. Errors: *registry.Refusal, or a fault of State.
func Apply(in Input) (Changes, error) { return Changes{}, errTODO }

// Handles reports whether Apply is the one to decide operations of this kind.
func Handles(kind registry.Kind) bool { return false }
