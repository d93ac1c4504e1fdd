package issuer

import (
	"context"
	"fmt"
)

// StatusRecords are the list records of a tenant's newest publication, in list order: what the epoch's root is over.
// Registry nodes fetch them beside the lists.
func (is *Issuer) StatusRecords(ctx context.Context, tenant string) ([][]byte, error) {
	if _, err := is.tenant(tenant); err != nil {
		return nil, ErrNotFound
	}
	records, err := is.cfg.Store.PublishedRecords(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read list records: %w", err)
	}
	return records, nil
}
