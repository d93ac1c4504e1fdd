package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/verifier"
)

// sweepBatch bounds one transaction of housekeeping: others wait for it.
const sweepBatch = 200

// Expire implements verifier.Keeper.
func (s *Store) Expire(ctx context.Context, now time.Time) (int, error) {
	total := 0
	for {
		n, err := s.expireBatch(ctx, now)
		total += n
		if err != nil || n < sweepBatch {
			return total, err
		}
	}
}

type rowName struct{ tenant, id string }

func (s *Store) expireBatch(ctx context.Context, now time.Time) (int, error) {
	due, err := s.due(ctx, now)
	if err != nil {
		return 0, err
	}
	err = s.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, r := range due {
			err := s.finish(tx, r.tenant, r.id, verifier.Outcome{
				State: verifier.StateExpired, Decision: verifier.NotConfirmed, Code: verifier.RequestExpired,
				Reason: verifier.ReasonRequestExpiry, At: now,
			})
			// Somebody answered in the meantime.
			if errors.Is(err, verifier.ErrFinished) {
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("expire transactions: %w", err)
	}
	return len(due), nil
}

func (s *Store) due(ctx context.Context, now time.Time) (due []rowName, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT tenant, id FROM transactions WHERE ended_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?`, now, sweepBatch)
		if err != nil {
			return err
		}
		for rows.Next() {
			var r rowName
			if err := rows.Scan(&r.tenant, &r.id); err != nil {
				_ = rows.Close()
				return err
			}
			due = append(due, r)
		}
		return rows.Close()
	})
	if err != nil {
		return nil, fmt.Errorf("find timed-out transactions: %w", err)
	}
	return due, nil
}

// Purge implements verifier.Keeper.
func (s *Store) Purge(ctx context.Context, p verifier.Purge) (int, error) {
	var changed int64
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		claims, err := tx.Exec(`UPDATE transactions SET claims = NULL WHERE ended_at IS NOT NULL AND ended_at < ? AND claims IS NOT NULL`, p.ClaimsBefore)
		if err != nil {
			return err
		}
		rows, err := tx.Exec(`DELETE FROM transactions WHERE ended_at IS NOT NULL AND ended_at < ?`, p.RowsBefore)
		if err != nil {
			return err
		}
		events, err := tx.Exec(`DELETE FROM outbox WHERE at < ?`, p.RowsBefore)
		changed = claims + rows + events
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("purge transactions: %w", err)
	}
	return int(changed), nil
}
