package store

import (
	"context"
	"errors"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

// ChangeStatus implements issuer.StatusStore. The status of a copy is the state of its credential: one row flips all.
func (s *Store) ChangeStatus(ctx context.Context, tenant, id string, decide func(issuer.Credential) (issuer.State, audit.Entry, error)) (int64, error) {
	var number int64
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		c, err := oneCredential(tx.LockRow(`SELECT `+credentialColumns+` FROM credentials c WHERE c.id = ? AND c.tenant = ?`, id, tenant))
		if err != nil {
			return err
		}
		to, entry, err := decide(c)
		if err != nil {
			return err
		}
		if to == c.State {
			number = c.Change
			return nil
		}
		err = tx.QueryRow(`INSERT INTO tenants (id, change_no) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET change_no = tenants.change_no + 1 RETURNING change_no`, tenant).Scan(&number)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE credentials SET state = ?, change_no = ? WHERE id = ?`, string(to), number, id); err != nil {
			return err
		}
		return s.audit.Append(tx, entry)
	})
	return number, err
}

// Lists implements issuer.StatusStore.
func (s *Store) Lists(ctx context.Context, tenant string) (out []issuer.ListInfo, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return query(tx, func(scan func(...any) error) error {
			var number, length int64
			var l issuer.ListInfo
			if err := scan(&number, &length, &l.OpenedAt); err != nil {
				return err
			}
			l.Number, l.Length = uint64(number), uint64(length)
			out = append(out, l)
			return nil
		}, `SELECT list, length, opened_at FROM status_lists WHERE tenant = ? ORDER BY list`, tenant)
	})
	return out, err
}

// AddList implements issuer.StatusStore.
func (s *Store) AddList(ctx context.Context, tenant string, l issuer.ListInfo) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO status_lists (tenant, list, length, opened_at) VALUES (?, ?, ?, ?)`, tenant, int64(l.Number), int64(l.Length), l.OpenedAt)
		if errors.Is(err, sqldb.ErrUnique) {
			return issuer.ErrNotCurrent
		}
		if err != nil {
			return err
		}
		return s.audit.Append(tx, audit.Entry{Chain: tenant, Actor: "issuer", Action: "status.open_list"})
	})
}

// Adopt implements issuer.StatusStore.
func (s *Store) Adopt(ctx context.Context, tenant string, a issuer.Adoption) (changed int, err error) {
	err = s.db.Write(ctx, func(tx *sqldb.Tx) error {
		var number int64 // one change for all of it
		for _, f := range a.Flips {
			if number == 0 {
				err := tx.QueryRow(`INSERT INTO tenants (id, change_no) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET change_no = tenants.change_no + 1 RETURNING change_no`, tenant).Scan(&number)
				if err != nil {
					return err
				}
			}
			did, err := s.adoptOne(tx, tenant, f, a, number)
			if err != nil {
				return err
			}
			if did {
				changed++
			}
		}
		return nil
	})
	return changed, err
}

func (s *Store) adoptOne(tx *sqldb.Tx, tenant string, f issuer.Flip, a issuer.Adoption, number int64) (changed bool, err error) {
	c, err := oneCredential(tx.LockRow(`SELECT `+credentialColumns+` FROM credentials c JOIN copies p ON p.credential = c.id WHERE p.tenant = ? AND p.list = ? AND p.idx = ?`,
		tenant, int64(f.List), int64(f.Index)))
	if errors.Is(err, issuer.ErrNotFound) {
		_, err := tx.Exec(`INSERT INTO adopted (tenant, list, idx, state, change_no) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tenant, list, idx) DO UPDATE SET state = excluded.state, change_no = excluded.change_no`, tenant, int64(f.List), int64(f.Index), string(f.State), number)
		return false, err
	}
	if err != nil {
		return false, err
	}
	to, worse := a.Decide(c.State, f.State)
	if !worse {
		return false, nil
	}
	if _, err := tx.Exec(`UPDATE credentials SET state = ?, change_no = ? WHERE id = ?`, string(to), number, c.ID); err != nil {
		return false, err
	}
	entry := a.Entry
	entry.Object = c.ID
	return true, s.audit.Append(tx, entry)
}

// Taken implements issuer.StatusStore.
func (s *Store) Taken(ctx context.Context, tenant string, list uint64, each func(uint64)) error {
	return s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return query(tx, func(scan func(...any) error) error {
			var idx int64
			if err := scan(&idx); err != nil {
				return err
			}
			each(uint64(idx))
			return nil
		}, `SELECT idx FROM copies WHERE tenant = ? AND list = ? UNION SELECT idx FROM adopted WHERE tenant = ? AND list = ?`, tenant, int64(list), tenant, int64(list))
	})
}

// Changes implements issuer.PublicationStore.
func (s *Store) Changes(ctx context.Context, tenant string, since int64, each func(issuer.Flip)) (newest int64, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		err := tx.QueryRow(`SELECT change_no FROM tenants WHERE id = ?`, tenant).Scan(&newest)
		if errors.Is(err, sqldb.ErrNotFound) {
			return nil
		}
		if err != nil || newest <= since {
			return err
		}
		return query(tx, func(scan func(...any) error) error {
			var list, idx int64
			var state string
			if err := scan(&list, &idx, &state); err != nil {
				return err
			}
			each(issuer.Flip{List: uint64(list), Index: uint64(idx), State: issuer.State(state)})
			return nil
		}, `SELECT p.list, p.idx, c.state FROM credentials c JOIN copies p ON p.credential = c.id WHERE c.tenant = ? AND c.change_no > ?
			UNION ALL SELECT list, idx, state FROM adopted WHERE tenant = ? AND change_no > ?`, tenant, since, tenant, since)
	})
	return newest, err
}

// LastPublication implements issuer.PublicationStore.
func (s *Store) LastPublication(ctx context.Context, tenant string) (p issuer.Publication, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		var seq, height int64
		var root []byte
		err := tx.QueryRow(`SELECT sequence, iat, next_update, covers, root, height FROM publications WHERE tenant = ? ORDER BY sequence DESC LIMIT 1`, tenant).
			Scan(&seq, &p.IssuedAt, &p.NextUpdate, &p.Covers, &root, &height)
		if errors.Is(err, sqldb.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		p.Tenant, p.Sequence, p.Height = tenant, uint64(seq), uint64(height)
		p.Root, err = hash32(root)
		return err
	})
	return p, err
}

// Publish implements issuer.PublicationStore: the outbox row and what is served, in one transaction.
func (s *Store) Publish(ctx context.Context, p issuer.Publication, lists []issuer.PublishedList) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO publications (tenant, sequence, iat, next_update, covers, lists, root, height) VALUES (?, ?, ?, ?, ?, ?, ?, 0)`,
			p.Tenant, int64(p.Sequence), p.IssuedAt, p.NextUpdate, p.Covers, len(lists), p.Root[:])
		if errors.Is(err, sqldb.ErrUnique) {
			return issuer.ErrNotCurrent
		}
		if err != nil {
			return err
		}
		for _, l := range lists {
			_, err := tx.Exec(`INSERT INTO published_lists (tenant, list, sequence, token, cwt, record) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (tenant, list) DO UPDATE SET sequence = excluded.sequence, token = excluded.token, cwt = excluded.cwt, record = excluded.record`,
				p.Tenant, int64(l.Number), int64(l.Sequence), l.Token, l.CWT, l.Record)
			if err != nil {
				return err
			}
		}
		return s.audit.Append(tx, audit.Entry{Chain: p.Tenant, Actor: "issuer", Action: "status.publish"})
	})
}

// Anchored implements issuer.PublicationStore.
func (s *Store) Anchored(ctx context.Context, tenant string, sequence, height uint64) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(`UPDATE publications SET height = ? WHERE tenant = ? AND sequence = ? AND height = 0`, int64(height), tenant, int64(sequence))
		if err != nil {
			return err
		}
		if n != 1 {
			return issuer.ErrNotCurrent
		}
		return s.audit.Append(tx, audit.Entry{Chain: tenant, Actor: "issuer", Action: "status.anchor"})
	})
}

// PublishedList implements issuer.PublicationStore.
func (s *Store) PublishedList(ctx context.Context, tenant string, list uint64) (l issuer.PublishedList, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		var seq int64
		err := tx.QueryRow(`SELECT sequence, token, cwt, record FROM published_lists WHERE tenant = ? AND list = ?`, tenant, int64(list)).Scan(&seq, &l.Token, &l.CWT, &l.Record)
		l.Number, l.Sequence = list, uint64(seq)
		return notFound(err)
	})
	return l, err
}

// PublishedRecords implements issuer.PublicationStore. A list that is open and not published yet has none.
func (s *Store) PublishedRecords(ctx context.Context, tenant string) (out [][]byte, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return query(tx, func(scan func(...any) error) error {
			var record []byte
			if err := scan(&record); err != nil {
				return err
			}
			out = append(out, record)
			return nil
		}, `SELECT record FROM published_lists WHERE tenant = ? ORDER BY list`, tenant)
	})
	return out, err
}
