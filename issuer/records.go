package issuer

import "context"

// A RecordSource is what an agency knows about people. Implementations: the store's table that imports fill, and
// SQLRecords over an agency's own database.
type RecordSource interface {
	// Record returns the claims that the agency keeps for a person and a type (short name), before derived claims are
	// added. ErrNoRecord when there is none.
	Record(ctx context.Context, tenant, typ, person string) (map[string]any, error)
}
