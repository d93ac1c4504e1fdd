package web_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

var ctx = context.Background()

// keyStore keeps the tenants' keys over a restart.
func keyStore(t *testing.T) keys.Store {
	t.Helper()
	return must[*keys.FileStore](t)(keys.NewFileStore(keys.FileStoreConfig{Dir: filepath.Join(t.TempDir(), "keys"), Passphrase: []byte("correct horse"), Interactive: true}))
}

// audited counts the entries of an action.
func audited(t *testing.T, k *issuertest.Kit, action string) (n int) {
	t.Helper()
	err := k.DB.Read(ctx, func(tx *sqldb.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM audit_entry WHERE action = ?`, action).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
