// Package sqldbtest opens empty databases for tests: SQLite always, PostgreSQL when DOJANG_TEST_POSTGRES is set.
//
// Use [Each] to run one suite on every engine, [Open] for one SQLite file. To hurt them: [NewDisk] lets the n-th write, sync or
// truncation under SQLite fail, [NewWire] cuts the connection to PostgreSQL around a commit, [NewServer] is one that may be killed.
package sqldbtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dojang-id/dojang/internal/sqldb"
)

// Each runs f once an engine; url opens the same empty database each time. With CI=true an unset DOJANG_TEST_POSTGRES
// is a failure.
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	server := os.Getenv("DOJANG_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DOJANG_TEST_POSTGRES is not set")
		}
		return
	}
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t, server)) })
}

// SQLite is the URL of a new file in the test's directory.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "test.db")
}

// Postgres is the URL of a new schema on server, dropped after the test.
func Postgres(t testing.TB, server string) string {
	t.Helper()
	schema := "test_" + strings.ToLower(rand.Text()[:12])
	admin(t, server, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { admin(t, server, "DROP SCHEMA "+schema+" CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("DOJANG_TEST_POSTGRES is not a URL")
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func admin(t testing.TB, server, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to the test server: %v", err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, statement); err != nil {
		t.Fatalf("prepare the test schema: %v", err)
	}
}

// Open opens url for this test.
func Open(t testing.TB, url string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}
