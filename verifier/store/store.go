// Package store keeps a verifier's transactions in SQL (SQLite or PostgreSQL through internal/sqldb).
//
// Use Open; *Store is a verifier.Store. One-time use rests here: Finish and Redeem are compare-and-set on a row, so a
// flushed cache, a second replica or a crash cannot let an answer count twice (THREATS D02, D03, K01, K02).
//
// Trusted: the database keeps what it acknowledged. Secrets and claims arrive sealed; whoever reads the file sees who
// asked which policy when and the code that came out, never a claim.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/verifier"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is a verifier.Store.
type Store struct {
	db  *sqldb.DB
	log *audit.Log
}

var _ verifier.Store = (*Store)(nil)

// Open migrates the database. log may be nil in tests: nothing is audited then.
func Open(ctx context.Context, db *sqldb.DB, log *audit.Log) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("verifier/store: %w", err)
	}
	if err := db.Migrate(ctx, "verifier", files); err != nil {
		return nil, fmt.Errorf("verifier/store: migrate: %w", err)
	}
	if log != nil {
		if err := log.Migrate(ctx, db); err != nil {
			return nil, fmt.Errorf("verifier/store: migrate audit: %w", err)
		}
	}
	return &Store{db: db, log: log}, nil
}

// Ping is for health checks.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Create implements verifier.Store.
func (s *Store) Create(ctx context.Context, t verifier.Transaction) error {
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.Exec(`INSERT INTO transactions (tenant, id, handle, state_hash, state, policy, policy_digest, client_id,
			response_mode, cross_device, evidence, redirect_uri, session, secret, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			t.Tenant, t.ID, t.Handle[:], t.StateHash[:], string(verifier.StateRequested), t.Policy, t.PolicyDigest[:], t.ClientID,
			t.ResponseMode, t.CrossDevice, t.Evidence, t.RedirectURI, t.Session[:], t.Secret, t.CreatedAt, t.ExpiresAt)
		if err != nil {
			return err
		}
		return s.audit(tx, audit.Entry{Chain: t.Tenant, Actor: t.Tenant, Action: "presentation.request", Object: t.ID, Detail: "policy=" + t.Policy})
	})
	if err != nil {
		return fmt.Errorf("create transaction: %w", err)
	}
	return nil
}

func (s *Store) audit(tx *sqldb.Tx, e audit.Entry) error {
	if s.log == nil {
		return nil
	}
	return s.log.Append(tx, e)
}

const columns = `tenant, id, handle, state_hash, state, policy, policy_digest, client_id, response_mode, cross_device, evidence,
	redirect_uri, session, secret, created_at, expires_at, decision, code, reason, detail, claims, status_as_of, receipt,
	response_code, redeemed_at, ended_at`

// Find implements verifier.Store.
func (s *Store) Find(ctx context.Context, l verifier.Lookup) (verifier.Transaction, error) {
	query, key := `SELECT `+columns+` FROM transactions WHERE tenant = ? AND id = ?`, any(l.ID)
	switch l.By {
	case verifier.ByHandle:
		query, key = `SELECT `+columns+` FROM transactions WHERE tenant = ? AND handle = ?`, l.Hash[:]
	case verifier.ByState:
		query, key = `SELECT `+columns+` FROM transactions WHERE tenant = ? AND state_hash = ?`, l.Hash[:]
	case verifier.ByID:
	}
	var t verifier.Transaction
	err := s.db.Read(ctx, func(tx *sqldb.Tx) (err error) {
		t, err = scan(tx.QueryRow(query, l.Tenant, key))
		return err
	})
	if errors.Is(err, sqldb.ErrNotFound) {
		return verifier.Transaction{}, verifier.ErrNotFound
	}
	if err != nil {
		return verifier.Transaction{}, fmt.Errorf("find transaction: %w", err)
	}
	return t, nil
}

// A scanner is a row of either kind of query.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (verifier.Transaction, error) {
	var t verifier.Transaction
	var handle, stateHash, digest, session, responseCode []byte
	var decision, code, reason, detail, receipt *string
	var o verifier.Outcome
	var redeemed time.Time
	err := row.Scan(&t.Tenant, &t.ID, &handle, &stateHash, (*string)(&t.State), &t.Policy, &digest, &t.ClientID, &t.ResponseMode,
		&t.CrossDevice, &t.Evidence, &t.RedirectURI, &session, &t.Secret, &t.CreatedAt, &t.ExpiresAt,
		&decision, &code, &reason, &detail, &o.Claims, &o.StatusAsOf, &receipt, &responseCode, &redeemed, &o.At)
	if err != nil {
		return verifier.Transaction{}, err
	}
	copy(t.Handle[:], handle)
	copy(t.StateHash[:], stateHash)
	copy(t.PolicyDigest[:], digest)
	copy(t.Session[:], session)
	if o.At.IsZero() {
		return t, nil
	}
	copy(o.ResponseCode[:], responseCode)
	o.State, o.Redeemed = t.State, !redeemed.IsZero()
	o.Decision, o.Code, o.Reason = verifier.Decision(text(decision)), verifier.Code(text(code)), verifier.Reason(text(reason))
	o.Detail, o.Receipt = text(detail), text(receipt)
	t.Outcome = &o
	return t, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// MarkRetrieved implements verifier.Store.
func (s *Store) MarkRetrieved(ctx context.Context, names []verifier.Name) error {
	err := s.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, n := range names {
			if _, err := tx.Exec(`UPDATE transactions SET state = ? WHERE tenant = ? AND id = ? AND state = ?`,
				string(verifier.StateRetrieved), n.Tenant, n.ID, string(verifier.StateRequested)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark retrieved: %w", err)
	}
	return nil
}

// Finish implements verifier.Store.
func (s *Store) Finish(ctx context.Context, tenant, id string, o verifier.Outcome) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error { return s.finish(tx, tenant, id, o) })
}

func (s *Store) finish(tx *sqldb.Tx, tenant, id string, o verifier.Outcome) error {
	n, err := tx.Exec(`UPDATE transactions SET state = ?, decision = ?, code = ?, reason = ?, detail = ?, claims = ?, status_as_of = ?,
		receipt = ?, response_code = ?, ended_at = ? WHERE tenant = ? AND id = ? AND ended_at IS NULL`,
		string(o.State), string(o.Decision), string(o.Code), string(o.Reason), o.Detail, blob(o.Claims), o.StatusAsOf,
		o.Receipt, hash(o.ResponseCode), o.At, tenant, id)
	if err != nil {
		return fmt.Errorf("finish transaction: %w", err)
	}
	if n == 0 {
		return verifier.ErrFinished
	}
	e := event{name: "presentation." + id, tenant: tenant, id: id, Event: verifier.Event{Kind: "presentation." + string(o.State), Code: o.Code, At: o.At}}
	if err := e.write(tx); err != nil {
		return err
	}
	return s.audit(tx, audit.Entry{Chain: tenant, Actor: "holder", Action: "presentation." + string(o.State), Object: id, Detail: "code=" + string(o.Code)})
}

func blob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func hash(h [32]byte) any {
	if h == [32]byte{} {
		return nil
	}
	return h[:]
}

// Redeem implements verifier.Store.
func (s *Store) Redeem(ctx context.Context, r verifier.Redemption) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(`UPDATE transactions SET redeemed_at = ? WHERE tenant = ? AND id = ? AND response_code = ? AND session = ?
			AND redeemed_at IS NULL AND state = ?`, r.At, r.Tenant, r.ID, r.Code[:], r.Session[:], string(verifier.StateJudged))
		if err != nil {
			return fmt.Errorf("redeem response code: %w", err)
		}
		if n == 0 {
			return verifier.ErrNotFound
		}
		return s.audit(tx, audit.Entry{Chain: r.Tenant, Actor: r.Tenant, Action: "presentation.redeem", Object: r.ID})
	})
}
