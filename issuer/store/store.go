// Package store keeps the issuer's state in SQL, on SQLite and PostgreSQL: one transaction a use case, its audit entry
// inside. It implements issuer.Store and issuer.Checker.
//
// Start with New. The database is the issuer's own (a file or a schema). What must never be lost or rolled back: intents,
// indices, ledger, revocations, consumed codes and nonces, publications, audit. Personal data comes in sealed; the
// pseudonymous ids of people (credentials.person) are the only column that points at somebody.
package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Config of a store.
type Config struct {
	DB    *sqldb.DB
	Audit *audit.Log
	// Step is called inside the two transactions of an issuance, before they commit: "store.intend", "store.record".
	Step func(name string)
}

// Store implements issuer.Store. Safe for concurrent use.
type Store struct {
	db    *sqldb.DB
	audit *audit.Log
	step  func(string)
}

var (
	_ issuer.Store   = (*Store)(nil)
	_ issuer.Checker = (*Store)(nil)
)

// New migrates the tables, those of the audit log included.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Audit == nil {
		return nil, errors.New("store: DB and Audit are required")
	}
	if cfg.Step == nil {
		cfg.Step = func(string) {}
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	if err := cfg.DB.Migrate(ctx, "issuer", files); err != nil {
		return nil, err
	}
	if err := cfg.Audit.Migrate(ctx, cfg.DB); err != nil {
		return nil, err
	}
	return &Store{db: cfg.DB, audit: cfg.Audit, step: cfg.Step}, nil
}

// Ping asks the database for a trivial answer.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// notFound maps an absent row to the party's word.
func notFound(err error) error {
	if errors.Is(err, sqldb.ErrNotFound) {
		return issuer.ErrNotFound
	}
	return err
}

// query runs a query and gives each row's Scan to read.
func query(tx *sqldb.Tx, read func(scan func(...any) error) error, q string, args ...any) (err error) {
	rows, err := tx.Query(q, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := read(rows.Scan); err != nil {
			return err
		}
	}
	return nil
}

// hash32 reads a SHA-256 out of a column.
func hash32(b []byte) ([32]byte, error) {
	if len(b) != 32 {
		return [32]byte{}, fmt.Errorf("store: a hash column holds %d bytes", len(b))
	}
	return [32]byte(b), nil
}

const credentialColumns = `c.id, c.tenant, c.type, c.format, c.person, c.state, c.change_no, c.ref_hash, c.code_hash, c.tx_hash, c.tx_failures, c.offered_at, c.offer_expires_at`

// credentialRow scans credentialColumns.
type credentialRow struct {
	c         issuer.Credential
	state     string
	ref, code []byte
}

func (r *credentialRow) dest() []any {
	return []any{&r.c.ID, &r.c.Tenant, &r.c.Type, &r.c.Format, &r.c.Person, &r.state, &r.c.Change, &r.ref, &r.code, &r.c.TxHash, &r.c.TxFailures, &r.c.OfferedAt, &r.c.OfferExpires}
}

func (r *credentialRow) credential() (issuer.Credential, error) {
	var err1, err2 error
	r.c.State = issuer.State(r.state)
	r.c.RefHash, err1 = hash32(r.ref)
	r.c.CodeHash, err2 = hash32(r.code)
	if len(r.c.TxHash) == 0 {
		r.c.TxHash = nil
	}
	return r.c, errors.Join(err1, err2)
}

// oneCredential reads one credential by a condition over its columns.
func oneCredential(row *sqldb.Row) (issuer.Credential, error) {
	var r credentialRow
	if err := row.Scan(r.dest()...); err != nil {
		return issuer.Credential{}, notFound(err)
	}
	return r.credential()
}
