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
	infos, err := is.cfg.Store.Lists(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("read status lists: %w", err)
	}
	var records [][]byte
	for _, l := range infos {
		p, err := is.cfg.Store.PublishedList(ctx, tenant, l.Number)
		if err != nil {
			return nil, fmt.Errorf("read published list: %w", err)
		}
		records = append(records, p.Record)
	}
	return records, nil
}
