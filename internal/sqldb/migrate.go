package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"time"
)

const migrationsTable = `CREATE TABLE IF NOT EXISTS dojang_migrations (
	party   TEXT    NOT NULL,
	version INTEGER NOT NULL,
	name    TEXT    NOT NULL,
	digest  TEXT    NOT NULL,
	applied INTEGER NOT NULL,
	PRIMARY KEY (party, version)
)`

var migrationName = regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)

type migration struct {
	version int
	name    string
	text    string
	digest  string
}

// Migrate brings party's tables up to the newest file of migrations: NNNN_name.sql at its root, numbered from 0001
// without gaps, each applied once, all of them in one transaction, also when several processes start together.
// ErrNewerSchema and ErrChangedMigration leave everything as it was.
func (db *DB) Migrate(ctx context.Context, party string, migrations fs.FS) error {
	ms, err := readMigrations(migrations)
	if err != nil {
		return fmt.Errorf("migrations of %s: %w", party, err)
	}
	err = db.Write(ctx, func(tx *Tx) error {
		if _, err := tx.Exec(db.dialect(migrationsTable)); err != nil {
			return err
		}
		return tx.migrate(party, ms)
	})
	if err != nil {
		return fmt.Errorf("migrate %s: %w", party, err)
	}
	return nil
}

func (db *DB) dialect(statement string) string {
	if db.Postgres() {
		return translate(statement)
	}
	return statement
}

func (tx *Tx) migrate(party string, ms []migration) error {
	applied, err := tx.applied(party)
	if err != nil {
		return err
	}
	if len(applied) > len(ms) {
		return fmt.Errorf("%w: version %d of %d", ErrNewerSchema, len(applied), len(ms))
	}
	for i, m := range ms {
		if i < len(applied) {
			if applied[i] != m.digest {
				return fmt.Errorf("%w: %s", ErrChangedMigration, m.name)
			}
			continue
		}
		for _, s := range statements(m.text) {
			if _, err := tx.Exec(tx.db.dialect(s)); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		if _, err := tx.Exec("INSERT INTO dojang_migrations (party, version, name, digest, applied) VALUES (?, ?, ?, ?, ?)",
			party, m.version, m.name, m.digest, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// applied returns the digests of what was applied, in order.
func (tx *Tx) applied(party string) (digests []string, err error) {
	rows, err := tx.Query("SELECT digest FROM dojang_migrations WHERE party = ? ORDER BY version", party)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		digests = append(digests, d)
	}
	return digests, nil
}

func readMigrations(migrations fs.FS) ([]migration, error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var ms []migration
	for i, name := range names {
		m := migrationName.FindStringSubmatch(path.Base(name))
		if m == nil || m[1] != fmt.Sprintf("%04d", i+1) {
			return nil, fmt.Errorf("%w: %s should be number %04d", ErrMisuse, name, i+1)
		}
		text, err := fs.ReadFile(migrations, name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		ms = append(ms, migration{version: i + 1, name: name, text: string(text), digest: hex.EncodeToString(sum[:])})
	}
	return ms, nil
}
