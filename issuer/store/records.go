package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer"
)

// PutRecords implements issuer.RecordStore.
func (s *Store) PutRecords(ctx context.Context, tenant, typ string, list []issuer.SealedRecord, entry audit.Entry) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		for _, r := range list {
			_, err := tx.Exec(`INSERT INTO records (tenant, type, person, sealed) VALUES (?, ?, ?, ?) ON CONFLICT (tenant, type, person) DO UPDATE SET sealed = excluded.sealed`,
				tenant, typ, r.Person, r.Sealed)
			if err != nil {
				return err
			}
		}
		return s.audit.Append(tx, entry)
	})
}

// SealedRecord implements issuer.RecordStore.
func (s *Store) SealedRecord(ctx context.Context, tenant, typ, person string) (sealed []byte, err error) {
	err = s.db.ReadRow(ctx, sqldb.Query{SQL: `SELECT sealed FROM records WHERE tenant = ? AND type = ? AND person = ?`, Args: []any{tenant, typ, person}}, &sealed)
	if errors.Is(err, sqldb.ErrNotFound) {
		return nil, issuer.ErrNoRecord
	}
	return sealed, err
}

// Pseudonym implements issuer.RecordStore.
func (s *Store) Pseudonym(ctx context.Context, of issuer.Subject, fresh func() ([]byte, error)) ([]byte, error) {
	return s.keep(ctx, kept{
		table: "pseudonyms", columns: []string{"tenant", "type", "person"}, key: []any{of.Tenant, of.Type, of.Person},
		entry: audit.Entry{Chain: of.Tenant, Actor: "issuer", Action: "pseudonym.draw", Object: of.Type}, fresh: fresh,
	})
}

// ProgramKey implements issuer.RecordStore.
func (s *Store) ProgramKey(ctx context.Context, tenant, programme string, fresh func() ([]byte, error)) ([]byte, error) {
	return s.keep(ctx, kept{
		table: "program_keys", columns: []string{"tenant", "programme"}, key: []any{tenant, programme},
		entry: audit.Entry{Chain: tenant, Actor: "issuer", Action: "program_key.draw", Object: programme}, fresh: fresh,
	})
}

// kept is a secret that is drawn once: whoever is first, everybody gets the same.
type kept struct {
	table   string
	columns []string
	key     []any
	entry   audit.Entry
	fresh   func() ([]byte, error)
}

func (s *Store) keep(ctx context.Context, k kept) (sealed []byte, err error) {
	read := sqldb.Query{SQL: `SELECT sealed FROM ` + k.table + ` WHERE ` + strings.Join(k.columns, ` = ? AND `) + ` = ?`, Args: k.key}
	if err := s.db.ReadRow(ctx, read, &sealed); !errors.Is(err, sqldb.ErrNotFound) {
		return sealed, err
	}
	drawn, err := k.fresh()
	if err != nil {
		return nil, err
	}
	names := strings.Join(k.columns, `, `)
	err = s.db.Write(ctx, func(tx *sqldb.Tx) error {
		n, err := tx.Exec(`INSERT INTO `+k.table+` (`+names+`, sealed) VALUES (`+strings.Repeat(`?, `, len(k.key))+`?) ON CONFLICT (`+names+`) DO NOTHING`,
			append(slices.Clone(k.key), drawn)...)
		if err != nil {
			return err
		}
		if n == 1 {
			if err := s.audit.Append(tx, k.entry); err != nil {
				return err
			}
		}
		return tx.QueryRow(read.SQL, read.Args...).Scan(&sealed)
	})
	return sealed, err
}

// NonceKeys implements issuer.KeyStore.
func (s *Store) NonceKeys(ctx context.Context) (out []issuer.SealedKey, err error) {
	err = s.db.Read(ctx, func(tx *sqldb.Tx) error {
		return query(tx, func(scan func(...any) error) error {
			var seq int64
			var k issuer.SealedKey
			if err := scan(&seq, &k.Sealed, &k.MadeAt); err != nil {
				return err
			}
			k.ID = byte(seq)
			out = append(out, k)
			return nil
		}, `SELECT seq, sealed, made_at FROM nonce_keys ORDER BY seq DESC LIMIT 8`)
	})
	return out, err
}

// AddNonceKey implements issuer.KeyStore.
func (s *Store) AddNonceKey(ctx context.Context, k issuer.SealedKey) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		var newest int64
		if err := tx.QueryRow(`SELECT COALESCE(MAX(seq), 255) FROM nonce_keys`).Scan(&newest); err != nil {
			return err
		}
		if byte(newest+1) != k.ID {
			return issuer.ErrNotCurrent
		}
		_, err := tx.Exec(`INSERT INTO nonce_keys (seq, sealed, made_at) VALUES (?, ?, ?)`, newest+1, k.Sealed, k.MadeAt)
		if errors.Is(err, sqldb.ErrUnique) {
			return issuer.ErrNotCurrent
		}
		return err
	})
}

// nonceMargin is how far the clocks of replicas may be apart, and how far one may go back (K09), before a used nonce
// could come again.
const nonceMargin = time.Hour

// Forget implements issuer.KeyStore. Intents, ledger and issuances stay; of a response only its hash does.
func (s *Store) Forget(ctx context.Context, now time.Time) error {
	return s.db.Write(ctx, func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`DELETE FROM used_nonces WHERE expires_at < ?`, now.Add(-nonceMargin)); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE issuances SET response = NULL WHERE state = 'issued' AND redeliver_until < ? AND response IS NOT NULL`, now); err != nil {
			return err
		}
		_, err := tx.Exec(`DELETE FROM nonce_keys WHERE made_at < ? AND seq < (SELECT MAX(seq) FROM nonce_keys)`, now.Add(-7*24*time.Hour))
		return err
	})
}
