package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

var tables = []string{
	"tenants", "credentials", "grants", "used_nonces", "issuances", "copies", "ledger", "status_lists", "publications",
	"published_lists", "records", "pseudonyms", "program_keys", "notices", "nonce_keys", "audit_entry",
}

// sums show changes that leave the number of rows alone.
var sums = []string{
	`SELECT COALESCE(SUM(tx_failures), 0) FROM credentials`, `SELECT COALESCE(SUM(change_no), 0) FROM credentials`,
	`SELECT COUNT(*) FROM credentials WHERE state = 'offered'`, `SELECT COUNT(*) FROM credentials WHERE state = 'authorized'`,
	`SELECT COUNT(*) FROM credentials WHERE state = 'issued'`, `SELECT COALESCE(SUM(copies), 0) FROM grants`,
	`SELECT COUNT(*) FROM issuances WHERE state = 'issued'`, `SELECT COALESCE(SUM(attempt), 0) FROM issuances`,
}

// snapshot counts every row of every table.
func snapshot(t *testing.T, k *issuertest.Kit) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := k.DB.Read(context.Background(), func(tx *sqldb.Tx) error {
		queries := append([]string(nil), sums...)
		for _, table := range tables {
			queries = append(queries, "SELECT COUNT(*) FROM "+table)
		}
		for _, q := range queries {
			var n int64
			if err := tx.QueryRow(q).Scan(&n); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
			out[q] = n
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// unchanged runs f and fails when any row was added, removed or changed in what snapshot sees.
func unchanged(t *testing.T, k *issuertest.Kit, f func()) {
	t.Helper()
	before := snapshot(t, k)
	f()
	if diff := cmp.Diff(before, snapshot(t, k)); diff != "" {
		t.Errorf("rows changed (-before +after):\n%s", diff)
	}
}

// want checks status and code, and that nothing of the answer may be stored.
func want(t *testing.T, a issuertest.Answer, err error, status int, code string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != status || a.Code() != code {
		t.Fatalf("answer %d %q, want %d %q: %s", a.Status, a.Code(), status, code, a.Body)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", a.Header.Get("Cache-Control"))
	}
	if status == http.StatusTooManyRequests && a.Header.Get("Retry-After") == "" {
		t.Error("429 without Retry-After")
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// plenty of requests a second, for tests about something else.
func plenty(cfg issuertest.KitConfig) issuertest.KitConfig {
	cfg.Limits.TokenPerIP, cfg.Limits.TokenAll, cfg.Limits.OfferPerIP, cfg.Limits.PerGrant = 1e5, 1e5, 1e5, 1e5
	return cfg
}

// found reports whether text lies in any file of a folder (database, write-ahead log).
func found(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatal("no database files", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			return true
		}
	}
	return false
}

// redisURL is a logical database of the test server that only this package uses; "" without a server.
func redisURL(t *testing.T) string {
	t.Helper()
	u := os.Getenv("DOJANG_TEST_REDIS")
	if u == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DOJANG_TEST_REDIS is not set")
		}
		return ""
	}
	return strings.TrimSuffix(u, "/") + "/7"
}

// flush empties the expiring store: FLUSHDB on a server; the twin loses the one key that matters for replays.
func flush(t *testing.T, k *issuertest.Kit) {
	t.Helper()
	if !k.KV.Shared() {
		if err := k.KV.Delete(t.Context(), "epoch:issuer-nonces"); err != nil {
			t.Fatal(err)
		}
		return
	}
	u, err := url.Parse(redisURL(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("SELECT 7\r\nFLUSHDB\r\n")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "+OK\r\n+OK\r\n" {
		t.Fatalf("flush: %q %v", got, err)
	}
}
