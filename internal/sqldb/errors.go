package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// What callers act on. All other errors are faults.
var (
	ErrNotFound = errors.New("sqldb: no such row")
	// ErrUnique is a violated UNIQUE or PRIMARY KEY: somebody else was first. One-time use rests on it.
	ErrUnique = errors.New("sqldb: row exists already")
	// ErrConstraint is any other violated constraint (CHECK, NOT NULL, FOREIGN KEY).
	ErrConstraint = errors.New("sqldb: constraint violated")
	// ErrConflict is a deadlock, lock timeout or serialisation failure between processes: nothing was written, try again.
	ErrConflict = errors.New("sqldb: conflicting transaction")
	// ErrFull means that the disk or quota is full; nothing was written.
	ErrFull = errors.New("sqldb: storage is full")
	// ErrUnavailable means that the engine cannot be reached or does not write (I/O error). After a connection was lost
	// during the commit the outcome is unknown: retry by a unique key (THREATS K06).
	ErrUnavailable = errors.New("sqldb: storage is unavailable")
	ErrClosed      = errors.New("sqldb: database is closed")
	// ErrNewerSchema: a newer program has migrated this database; starting would damage it.
	ErrNewerSchema = errors.New("sqldb: schema is newer than this program")
	// ErrChangedMigration: a migration that was applied has other content now.
	ErrChangedMigration = errors.New("sqldb: an applied migration has changed")
	// ErrUnsafe: the configuration would lose acknowledged rows on power loss (THREATS K08).
	ErrUnsafe = errors.New("sqldb: engine does not make commits durable")
	// ErrMisuse is a mistake of the caller: a Tx used after its function, a query while Rows are open, a wrong type.
	ErrMisuse = errors.New("sqldb: misuse")
)

// Retryable reports whether it was the storage that failed, so that the caller may try again later: a server answers 503. After
// ErrUnavailable what was asked for may have been done.
func Retryable(err error) bool {
	for _, e := range []error{ErrUnavailable, ErrFull, ErrConflict, ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// PanicError is a panic of a function given to Write or Read. Error does not show Value, which may hold personal data.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return "sqldb: function panicked" }

// Result codes of SQLite (https://www.sqlite.org/rescode.html), low byte unless extended.
const (
	sqliteBusy, sqliteLocked     = 5, 6
	sqliteNoMem, sqliteReadOnly  = 7, 8
	sqliteIOErr, sqliteCorrupt   = 10, 11
	sqliteFull, sqliteCantOpen   = 13, 14
	sqliteConstraint, sqliteNoDB = 19, 26
	sqliteUnique                 = sqliteConstraint | 8<<8
	sqlitePrimaryKey             = sqliteConstraint | 6<<8
	sqliteRowID                  = sqliteConstraint | 10<<8
)

// classify puts the sentinel that a caller may act on in front of an engine's error.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return wrap(sqliteKind(lite.Code()), err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		// The server's detail and message quote values; only the code may travel.
		return wrap(postgresKind(pg.Code), fmt.Errorf("postgres error %s %s", pg.Code, pg.ConstraintName))
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err) {
		return wrap(ErrUnavailable, err)
	}
	return err
}

func wrap(kind, err error) error {
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func sqliteKind(code int) error {
	switch code {
	case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
		return ErrUnique
	}
	switch code & 0xff {
	case sqliteConstraint:
		return ErrConstraint
	case sqliteBusy, sqliteLocked:
		return ErrConflict
	case sqliteFull:
		return ErrFull
	case sqliteIOErr, sqliteNoMem, sqliteReadOnly, sqliteCorrupt, sqliteCantOpen, sqliteNoDB:
		return ErrUnavailable
	}
	return nil
}

// postgresKind maps SQLSTATE (PostgreSQL manual, appendix A).
func postgresKind(code string) error {
	switch code {
	case "23505":
		return ErrUnique
	case "40001", "40P01", "55P03":
		return ErrConflict
	case "53100", "53200", "54000":
		return ErrFull
	case "58030", "25006", "53300":
		return ErrUnavailable
	}
	switch code[:min(2, len(code))] {
	case "23":
		return ErrConstraint
	case "08", "57", "58", "XX":
		return ErrUnavailable
	}
	return nil
}

// fatal tells whether the engine may have ended the shared transaction by itself.
func fatal(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable)
}
