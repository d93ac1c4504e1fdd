package store

import (
	"context"
	"fmt"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// An Invariant is one row of `dojang fsck`.
type Invariant struct {
	ID         string `json:"id"`
	Checked    int    `json:"checked"`
	Violations int    `json:"violations"`
}

// Check counts violations of what must hold (THREATS 4.2): V2 a transaction that ended has one outcome, one that has
// not ended has none; V3 one event for every end, none without.
func (s *Store) Check(ctx context.Context) ([]Invariant, error) {
	count := func(tx *sqldb.Tx, query string) (n int, err error) {
		err = tx.QueryRow(query).Scan(&n)
		return n, err
	}
	v2, v3 := Invariant{ID: "V2"}, Invariant{ID: "V3"}
	err := s.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		if v2.Checked, err = count(tx, `SELECT COUNT(*) FROM transactions`); err != nil {
			return err
		}
		if v2.Violations, err = count(tx, `SELECT COUNT(*) FROM transactions WHERE
			(ended_at IS NULL AND (state NOT IN ('requested', 'retrieved') OR decision IS NOT NULL OR code IS NOT NULL OR receipt IS NOT NULL OR claims IS NOT NULL))
			OR (ended_at IS NOT NULL AND (state NOT IN ('judged', 'expired') OR decision IS NULL OR code IS NULL))
			OR (claims IS NOT NULL AND code <> 'VALID')`); err != nil {
			return err
		}
		if v3.Checked, err = count(tx, `SELECT COUNT(*) FROM transactions WHERE ended_at IS NOT NULL`); err != nil {
			return err
		}
		v3.Violations, err = count(tx, `SELECT COUNT(*) FROM transactions t LEFT JOIN outbox o ON o.tenant = t.tenant AND o.object = t.id AND o.code = t.code
			WHERE (t.ended_at IS NULL AND o.n IS NOT NULL) OR (t.ended_at IS NOT NULL AND o.n IS NULL)`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("check invariants: %w", err)
	}
	return []Invariant{v2, v3}, nil
}

// Dump is every transaction and event in order, as text for comparison in tests and by an operator's eye. Secrets and
// claims stay sealed.
func (s *Store) Dump(ctx context.Context) ([]string, error) {
	var out []string
	err := s.db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(`SELECT ` + columns + ` FROM transactions ORDER BY tenant, id`)
		if err != nil {
			return err
		}
		for rows.Next() {
			t, err := scan(rows)
			if err != nil {
				_ = rows.Close()
				return err
			}
			outcome := t.Outcome
			t.Outcome = nil // a pointer says nothing in text
			out = append(out, fmt.Sprintf("%+v outcome %+v", t, outcome))
		}
		if err := rows.Close(); err != nil {
			return err
		}
		var events int
		err = tx.QueryRow(`SELECT COUNT(*) FROM outbox`).Scan(&events)
		out = append(out, fmt.Sprintf("%d events", events))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dump: %w", err)
	}
	return out, nil
}
