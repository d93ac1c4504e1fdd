// Package evidence is the unit of trust: facts of the registry chain with all that is needed to check them.
//
// Check is the function to use first: it takes bytes from anybody, a trust file and a time, and returns Facts, a
// registry.Resolver that answers what the Evidence holds. Trusted are the trust file and the caller's clock; nothing
// else: no network, no engine, no witness, no clock of its own. Build makes Evidence out of a state proof and headers.
//
// The format is in registry/README.md, "Evidence".
package evidence

import (
	"time"
)

// Limits of one Evidence.
const (
	MaxSize       = 32 << 10 // bytes, the default
	MaxValidators = 200
	maxHeaders    = 4
	maxPoints     = 16
	maxDepth      = 64 // of the state tree
	clockDrift    = 10 * time.Second
)

// Check verifies an Evidence against trust at now. See Checker for the errors and for caches.
func Check(evidence []byte, trust Trust, now time.Time) (*Facts, error) {
	return Checker{Trust: trust}.Check(evidence, now)
}
