package chain

import (
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/did"
)

// ErrNotFound of readers is registry.ErrNotFound; their answers are from the newest committed state, without proof.

// DID gathers all that a DID document shows.
func (m *Machine) DID(d registry.DID) (did.Record, error) { return did.Record{}, errTODO }

// Outcome of an operation.
func (m *Machine) Outcome(operation registry.Hash) (registry.Outcome, error) {
	return registry.Outcome{}, errTODO
}

// Status is the newest status epoch of an issuer; height is that of its operation.
func (m *Machine) Status(d registry.DID) (fact registry.StatusFact, height uint64, err error) {
	return registry.StatusFact{}, 0, errTODO
}

// Sponsor is a gateway's account: its next nonce is Highest+1.
func (m *Machine) Sponsor(id string) (registry.SponsorFact, error) {
	return registry.SponsorFact{}, errTODO
}

// Iterate calls f for the latest leaves under a prefix in key order until f returns false.
func (m *Machine) Iterate(prefix []byte, f func(key, value []byte) bool) error { return errTODO }
