package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// Head returns the newest entry's checkpoint; Seq 0 for an empty chain. Anchor it where the database's writers have no
// hand.
func (l *Log) Head(ctx context.Context, db *sqldb.DB, chain string) (c Checkpoint, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		c, err = readHead(tx, chain)
		return err
	})
	return c, err
}

func readHead(tx *sqldb.Tx, chain string) (Checkpoint, error) {
	c := Checkpoint{Chain: chain}
	err := tx.QueryRow("SELECT seq, at, hash FROM audit_head WHERE chain = ?", chain).Scan(&c.Seq, &c.Time, &c.Hash)
	if errors.Is(err, sqldb.ErrNotFound) {
		err = nil
	}
	return c, err
}

// Verify walks the whole chain and compares it with earlier checkpoints, each of which must lie on it: a tail that was
// cut, or a chain that was computed anew, shows by a checkpoint alone (THREATS J22). Returns the number of entries
// checked; errors wrap ErrTampered.
func (l *Log) Verify(ctx context.Context, db *sqldb.DB, chain string, earlier ...Checkpoint) (int64, error) {
	wanted := map[int64][]Checkpoint{}
	for _, c := range earlier {
		if c.Chain != chain {
			return 0, fmt.Errorf("audit: checkpoint of another chain")
		}
		wanted[c.Seq] = append(wanted[c.Seq], c)
	}
	at := Checkpoint{Chain: chain}
	err := db.Read(ctx, func(tx *sqldb.Tx) error {
		head, err := readHead(tx, chain)
		if err != nil {
			return err
		}
		rows, err := tx.Query(selectEntries+" WHERE chain = ? ORDER BY seq", chain)
		if err != nil {
			return err
		}
		for rows.Next() {
			if at, err = step(rows, at, wanted); err != nil {
				return errors.Join(err, rows.Close())
			}
		}
		if err := rows.Close(); err != nil {
			return err
		}
		for seq := range wanted {
			if seq > at.Seq {
				return fmt.Errorf("%w: the chain ends at entry %d, a checkpoint names entry %d", ErrTampered, at.Seq, seq)
			}
		}
		if head.Seq != at.Seq || head.Hash != at.Hash {
			return fmt.Errorf("%w: the chain ends at entry %d, its head says %d", ErrTampered, at.Seq, head.Seq)
		}
		return nil
	})
	return at.Seq, err
}

// step checks the next row against the entry before it and the checkpoints of its number.
func step(rows *sqldb.Rows, before Checkpoint, wanted map[int64][]Checkpoint) (Checkpoint, error) {
	r, err := scanRecord(rows)
	if err != nil {
		return before, fmt.Errorf("%w: entry after %d is malformed: %w", ErrTampered, before.Seq, err)
	}
	c := Checkpoint{Chain: before.Chain, Seq: r.Seq, Time: r.Time, Hash: r.Hash}
	switch {
	case r.Seq != before.Seq+1:
		return before, fmt.Errorf("%w: entry %d is followed by %d", ErrTampered, before.Seq, r.Seq)
	case c.hash(before.Hash, r.Entry) != r.Hash:
		return before, fmt.Errorf("%w: entry %d was changed", ErrTampered, r.Seq)
	case r.Time.Before(before.Time):
		return before, fmt.Errorf("%w: entry %d goes back in time", ErrTampered, r.Seq)
	}
	for _, w := range wanted[r.Seq] {
		if w.Hash != r.Hash {
			return before, fmt.Errorf("%w: entry %d is not the one of the checkpoint", ErrTampered, r.Seq)
		}
	}
	return c, nil
}

// A Record is an entry as it stands in the log.
type Record struct {
	Seq  int64
	Time time.Time
	Entry
	Hash [32]byte
}

const selectEntries = "SELECT chain, seq, at, actor, action, object, reason, detail, hash FROM audit_entry"

func scanRecord(rows *sqldb.Rows) (r Record, err error) {
	err = rows.Scan(&r.Chain, &r.Seq, &r.Time, &r.Actor, &r.Action, &r.Object, &r.Reason, &r.Detail, &r.Hash)
	return r, err
}

// ListQuery selects entries of one chain.
type ListQuery struct {
	Chain  string
	After  int64
	Object string // "" for all
	Limit  int    // default 100, at most 1000
}

// List returns entries after q.After, oldest first.
func (l *Log) List(ctx context.Context, db *sqldb.DB, q ListQuery) (out []Record, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	query, args := selectEntries+" WHERE chain = ? AND seq > ?", []any{q.Chain, q.After}
	if q.Object != "" {
		query, args = query+" AND object = ?", append(args, q.Object)
	}
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		rows, err := tx.Query(query+" ORDER BY seq LIMIT ?", append(args, min(q.Limit, 1000))...)
		if err != nil {
			return err
		}
		for rows.Next() {
			r, err := scanRecord(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, r)
		}
		return rows.Close()
	})
	return out, err
}

// Chains lists the chains of a database, by name.
func (l *Log) Chains(ctx context.Context, db *sqldb.DB) (out []string, err error) {
	err = db.Read(ctx, func(tx *sqldb.Tx) error {
		// From the entries too: a chain must not vanish with its head.
		rows, err := tx.Query("SELECT chain FROM audit_head UNION SELECT chain FROM audit_entry ORDER BY 1")
		if err != nil {
			return err
		}
		for rows.Next() {
			var c string
			if err := rows.Scan(&c); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, c)
		}
		return rows.Close()
	})
	return out, err
}
