package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

// Intend implements issuer.IssuanceStore.
func (s *Store) Intend(ctx context.Context, i issuer.Issuance, entry audit.Entry) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if err := lockIssuable(tx, i); err != nil {
			return err
		}
		begin := beginIssuance
		if i.Attempt > 1 {
			begin = beginAgain
		}
		if err := begin(tx, i); err != nil {
			return err
		}
		if err := insertCopies(tx, i); err != nil {
			return err
		}
		if err := s.audit.Append(tx, entry); err != nil {
			return err
		}
		s.step("store.intend")
		return nil
	})
}

// lockIssuable holds the credential's row: a revocation comes before or after, never between (B67). A record that was
// replaced after it was read is noticed here: rows are sealed anew each time, so equal bytes are the same record.
func lockIssuable(tx *sqldb.Tx, i issuer.Issuance) error {
	var state string
	var record []byte
	if err := tx.LockRow(`SELECT c.state, `+recordOf+` FROM credentials c WHERE c.id = ?`, i.Credential).Scan(&state, &record); err != nil {
		return notFound(err)
	}
	if state != string(issuer.StateAuthorized) && state != string(issuer.StateIssued) {
		return issuer.ErrRefused
	}
	if i.Record != nil && !bytes.Equal(record, i.Record) {
		return issuer.ErrRecordChanged
	}
	return nil
}

func beginIssuance(tx *sqldb.Tx, i issuer.Issuance) error {
	for _, n := range i.Nonces {
		_, err := tx.Exec(`INSERT INTO used_nonces (tenant, id, expires_at) VALUES (?, ?, ?)`, i.Tenant, n.ID, n.Expires)
		if errors.Is(err, sqldb.ErrUnique) {
			return issuer.ErrNonceUsed
		}
		if err != nil {
			return err
		}
	}
	n := len(i.Intents)
	changed, err := tx.Exec(`UPDATE grants SET copies = copies + ? WHERE token_hash = ? AND copies + ? <= allowance`, n, i.Grant[:], n)
	if err != nil {
		return err
	}
	if changed != 1 {
		return issuer.ErrAllowance
	}
	_, err = tx.Exec(`INSERT INTO issuances (id, tenant, credential, grant_hash, proofs_hash, slot, key_id, state, attempt, copies, made_at, redeliver_until)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'intended', 1, ?, ?, ?)`,
		i.ID, i.Tenant, i.Credential, i.Grant[:], i.Proofs[:], i.Slot, i.KeyID, n, i.MadeAt, i.Until)
	if errors.Is(err, sqldb.ErrUnique) { // this very request was here before, whatever became of its nonce
		return issuer.ErrNonceUsed
	}
	return err
}

func beginAgain(tx *sqldb.Tx, i issuer.Issuance) error {
	changed, err := tx.Exec(`UPDATE issuances SET state = 'intended', attempt = ?, copies = ?, made_at = ?, key_id = ? WHERE id = ? AND attempt = ? AND state <> 'issued'`,
		i.Attempt, len(i.Intents), i.MadeAt, i.KeyID, i.ID, i.Attempt-1)
	if err != nil {
		return err
	}
	if changed != 1 {
		return issuer.ErrBurned
	}
	return nil
}

const copyRow = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

func insertCopies(tx *sqldb.Tx, i issuer.Issuance) error {
	args := make([]any, 0, 10*len(i.Intents))
	for n, c := range i.Intents {
		args = append(args, i.Tenant, int64(c.List), int64(c.Index), i.ID, i.Attempt, n, i.Credential, c.Thumbprint, c.TBS[:], c.Expires)
	}
	_, err := tx.Exec(`INSERT INTO copies (tenant, list, idx, issuance, attempt, n, credential, thumbprint, tbs_hash, expires_at) VALUES `+rows(copyRow, len(i.Intents)), args...)
	if errors.Is(err, sqldb.ErrUnique) {
		return issuer.ErrIndexTaken
	}
	return err
}

func rows(row string, n int) string {
	return strings.TrimSuffix(strings.Repeat(row+", ", n), ", ")
}

// Record implements issuer.IssuanceStore.
func (s *Store) Record(ctx context.Context, r issuer.Recorded) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		changed, err := tx.Exec(`UPDATE credentials SET state = 'issued' WHERE id = ? AND state IN ('authorized', 'issued')`, r.Credential)
		if err != nil {
			return err
		}
		if changed != 1 { // withdrawn meanwhile (B67)
			return issuer.ErrRefused
		}
		changed, err = tx.Exec(`UPDATE issuances SET state = 'issued', issued_at = ?, response = ?, response_hash = ?, redeliver_until = ? WHERE id = ? AND attempt = ? AND state = 'intended'`,
			r.At, r.Response, r.ResponseHash[:], r.Until, r.Issuance, r.Attempt)
		if err != nil {
			return err
		}
		if changed != 1 {
			return issuer.ErrBurned
		}
		args := make([]any, 0, 5*len(r.Hashes))
		for n, h := range r.Hashes {
			args = append(args, r.Issuance, r.Attempt, n, h[:], r.At)
		}
		if _, err = tx.Exec(`INSERT INTO ledger (issuance, attempt, n, credential_hash, recorded_at) VALUES `+rows(`(?, ?, ?, ?, ?)`, len(r.Hashes)), args...); err != nil {
			return err
		}
		s.step("store.record")
		return nil
	})
}

// Abandon implements issuer.IssuanceStore.
func (s *Store) Abandon(ctx context.Context, issuance string, attempt int, entry audit.Entry) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		changed, err := tx.Exec(`UPDATE issuances SET state = 'abandoned' WHERE id = ? AND attempt = ? AND state = 'intended'`, issuance, attempt)
		if err != nil {
			return err
		}
		if changed != 1 {
			return issuer.ErrBurned
		}
		return s.audit.Append(tx, entry)
	})
}

// Issued implements issuer.IssuanceStore.
func (s *Store) Issued(ctx context.Context, grant, proofs [32]byte) (d issuer.Delivery, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		var state string
		err := tx.QueryRow(`SELECT id, attempt, state, response, redeliver_until FROM issuances WHERE grant_hash = ? AND proofs_hash = ?`, grant[:], proofs[:]).
			Scan(&d.Issuance, &d.Attempt, &state, &d.Response, &d.Until)
		d.State = issuer.IssuanceState(state)
		return notFound(err)
	})
	return d, err
}

// BurnIntended implements issuer.IssuanceStore: one audit entry a tenant that lost something.
func (s *Store) BurnIntended(ctx context.Context) (int, error) {
	total := 0
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		counts := map[string]int{}
		err := query(tx, func(scan func(...any) error) error {
			var tenant string
			var n int
			if err := scan(&tenant, &n); err != nil {
				return err
			}
			counts[tenant] = n
			return nil
		}, `SELECT tenant, COUNT(*) FROM issuances WHERE state = 'intended' GROUP BY tenant`)
		if err != nil {
			return err
		}
		for tenant, n := range counts {
			if _, err := tx.Exec(`UPDATE issuances SET state = 'abandoned' WHERE state = 'intended' AND tenant = ?`, tenant); err != nil {
				return err
			}
			entry := audit.Entry{Chain: tenant, Actor: "issuer", Action: "credential.recover", Detail: fmt.Sprintf("issuances=%d", n)}
			if err := s.audit.Append(tx, entry); err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	return total, err
}
