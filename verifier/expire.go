package verifier

import (
	"context"
	"errors"
)

// Tick writes down which requests were fetched, ends what has timed out and drops what is old, once; call it every few seconds. Correctness does not rest on it:
// every use case looks at the clock itself.
func (d *Desk) Tick(ctx context.Context) error {
	now := d.cfg.Now()
	var err error
	if names := d.under.sweep(now); len(names) > 0 {
		err = d.cfg.Store.MarkRetrieved(ctx, names)
	}
	_, expireErr := d.cfg.Store.Expire(ctx, now)
	_, purgeErr := d.cfg.Store.Purge(ctx, Purge{ClaimsBefore: now.Add(-d.cfg.ResultTTL), RowsBefore: now.Add(-d.cfg.Retention)})
	return errors.Join(err, expireErr, purgeErr)
}
