package did

import (
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Record is all that a document shows.
type Record struct {
	ID       registry.DID
	DID      registry.DIDFact
	Keys     []Named[registry.KeyFact]
	Services []Named[registry.ServiceFact]
	// TimeOf turns the height of an operation into its time (the header after it); ok is false while there is none.
	TimeOf func(height uint64) (t time.Time, ok bool)
	// Updated is the height of the newest change of any of these facts.
	Updated uint64
}

// Document is the DID document (W3C DID Core) as JSON: keys in force now, services not removed.
func (r Record) Document() ([]byte, error) { return nil, errTODO }

// Metadata is the DID document metadata: created, updated, deactivated, versionId.
func (r Record) Metadata() ([]byte, error) { return nil, errTODO }
