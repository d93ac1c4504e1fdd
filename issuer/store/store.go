// Package store keeps the issuer's state in SQL: one transaction a use case, its audit entry inside, on SQLite and PostgreSQL.
package store

import (
	"context"
	"errors"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
)

// Config of a store.
type Config struct {
	DB     *sqldb.DB
	Audit  *audit.Log
	Secret []byte // 32 bytes: seals records at rest
}

// Store implements issuer.Store and issuer.RecordSource.
type Store struct{}

// New migrates the tables and returns the store.
func New(ctx context.Context, cfg Config) (*Store, error) {
	return nil, errors.New("store: not built yet")
}
