package web_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer/issuertest"
)

// everyOperation is set to let each single operation fail instead of a sample.
var everyOperation = os.Getenv("DOJANG_TEST_FULL") != ""

// answers watches what an issuer answers while its storage fails: what it cannot do it says in words that let the caller try again.
type answers struct {
	t       *testing.T
	next    http.RoundTripper
	refused int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := a.next.RoundTrip(r)
	if err == nil && res.StatusCode >= 500 {
		a.refused++
		if res.StatusCode != http.StatusServiceUnavailable {
			a.t.Errorf("%s %s: %d", r.Method, r.URL.Path, res.StatusCode)
		}
	}
	return res, err
}

// ofCredentials counts the signatures of credentials: a status list has the same key.
type ofCredentials struct {
	keys.Signer
	n *atomic.Int64
}

func (s ofCredentials) Sign(message []byte) ([]byte, error) {
	head, _, _ := bytes.Cut(message, []byte("."))
	if raw, err := base64.RawURLEncoding.DecodeString(string(head)); err == nil && bytes.Contains(raw, []byte(`"dc+sd-jwt"`)) {
		s.n.Add(1)
	}
	return s.Signer.Sign(message)
}

// hurt is an issuer whose storage fails now and then, and what it has promised.
type hurt struct {
	*process
	answers *answers
	signed  *atomic.Int64 // signatures of credentials
	revoked []uint64
	hashes  map[[32]byte]bool
	indices map[uint64]bool
}

func newHurt(t *testing.T, url string) *hurt {
	t.Helper()
	h := &hurt{signed: new(atomic.Int64), hashes: map[[32]byte]bool{}, indices: map[uint64]bool{}}
	k := start(t, plenty(issuertest.KitConfig{DB: url, Signer: func(s keys.Signer) keys.Signer { return ofCredentials{s, h.signed} }}))
	h.answers = &answers{t: t, next: k.Client.Transport}
	k.Client.Transport = h.answers
	h.process = &process{Kit: k}
	return h
}

// story issues three copies and revokes them, as a wallet and an officer would who try again what fails: first with the fault,
// then after heal. It reports what came of the first attempt.
func (h *hurt) story(t *testing.T, heal func()) (issued, revoked bool) {
	t.Helper()
	c := &customer{}
	revoke := func() bool {
		a, err := h.Call("POST", "/v1/tenants/gaon/credentials/"+c.id+"/status", h.Bearer, `{"status":"revoked","reason":"R-1"}`)
		return err == nil && a.Status == http.StatusOK
	}
	if issued = c.run(h.process) == nil; issued {
		revoked = revoke()
	}
	heal()
	end := time.Now().Add(30 * time.Second)
	for ; len(c.received) == 0; time.Sleep(10 * time.Millisecond) {
		if err := c.run(h.process); err != nil && time.Now().After(end) {
			t.Fatalf("it does not come back: %v", err)
		}
	}
	for done := revoked; !done; time.Sleep(10 * time.Millisecond) { // connections from before the fault may still be in the pool
		if done = revoke(); !done && time.Now().After(end) {
			t.Fatal("not revoked after the fault")
		}
	}
	for _, text := range c.received[0] {
		_, idx := reference(t, text)
		if h.indices[idx] {
			t.Errorf("I2: index %d again", idx)
		}
		h.indices[idx], h.hashes[sha256.Sum256([]byte(text))] = true, true
		h.revoked = append(h.revoked, idx)
	}
	return issued, revoked
}

// holds compares what was promised with what is there.
func (h *hurt) holds(t *testing.T) {
	t.Helper()
	fsck(t, h.Kit)
	intents, ledger := 0, 0
	err := h.DB.Read(ctx, func(tx *sqldb.Tx) error {
		if err := tx.QueryRow(`SELECT COUNT(*) FROM copies`).Scan(&intents); err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT credential_hash FROM ledger`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var hash []byte
			if err := rows.Scan(&hash); err != nil {
				return err
			}
			ledger++
			delete(h.hashes, [32]byte(hash))
		}
		return rows.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.hashes) != 0 || ledger != len(h.indices) {
		t.Errorf("I1, I4: %d credentials are not in the ledger; %d rows for %d that were handed out", len(h.hashes), ledger, len(h.indices))
	}
	if n := h.signed.Load(); n > int64(intents) || n < int64(ledger) {
		t.Errorf("I3: %d signatures, %d intents", n, intents)
	}
	published := list(t, h.Kit, "gaon", 1)
	for _, idx := range h.revoked {
		if got, err := published.Status(idx); err != nil || got != statuslist.Revoked {
			t.Errorf("I5: index %d is %v: %v", idx, got, err)
		}
	}
	if _, err := h.Audit.Verify(ctx, h.DB, "gaon"); err != nil {
		t.Errorf("A1: %v", err)
	}
}

// TestDiskFails lets the n-th operation on the issuer's disk fail while a credential is issued and revoked.
func TestDiskFails(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		fault sqldbtest.Fault
	}{
		{"K07 no write finds room any more", sqldbtest.Fault{Op: sqldbtest.Write, Full: true}},
		{"K07 a write fails", sqldbtest.Fault{Op: sqldbtest.Write, Once: true}},
		{"K07 half a write, and nothing after it", sqldbtest.Fault{Op: sqldbtest.Write, Torn: true}},
		{"K07 a sync fails", sqldbtest.Fault{Op: sqldbtest.Sync, Once: true}},
		{"K07 a sync fails, and all after it", sqldbtest.Fault{Op: sqldbtest.Sync}},
	} {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			disk := sqldbtest.NewDisk(t, dir)
			h := newHurt(t, "sqlite://"+filepath.Join(dir, "issuer.db"))
			stories, issued, revoked := 0, 0, 0
			for n, reached := 1, true; reached; n++ {
				if !everyOperation && n > 3 && n%5 != 0 {
					continue
				}
				fault := f.fault
				fault.Nth = n
				disk.Fail(&fault)
				i, r := h.story(t, func() { reached = disk.Failed() > 0; disk.Fail(nil) })
				stories++
				if i {
					issued++
				}
				if r {
					revoked++
				}
			}
			h.holds(t)
			if h.answers.refused == 0 || stories < 5 {
				t.Error("nothing was hurt")
			}
			t.Logf("%d stories, %d issued and %d revoked at once, %d answers refused", stories, issued, revoked, h.answers.refused)
		})
	}
}

// TestWireIsCut cuts the issuer's connection to PostgreSQL around the n-th commit of an issuance and a revocation.
func TestWireIsCut(t *testing.T) {
	t.Parallel()
	server := os.Getenv("DOJANG_TEST_POSTGRES")
	if server == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("DOJANG_TEST_POSTGRES is not set")
		}
		t.Skip("DOJANG_TEST_POSTGRES is not set")
	}
	for _, moment := range []sqldbtest.Moment{sqldbtest.BeforeCommit, sqldbtest.AfterCommit, sqldbtest.InStatement, sqldbtest.BeforeAnswer} {
		t.Run("K06 "+string(moment), func(t *testing.T) {
			wire, url := sqldbtest.NewWire(t, sqldbtest.Postgres(t, server))
			h := newHurt(t, url)
			stories, issued, revoked := 0, 0, 0
			for n, reached := 1, true; reached; n++ {
				if often := moment == sqldbtest.InStatement || moment == sqldbtest.BeforeAnswer; often && !everyOperation && n%6 != 0 {
					continue
				}
				wire.Cut(moment, n)
				i, r := h.story(t, func() { reached = wire.Cuts() > 0; wire.Cut(moment, 0) })
				stories++
				if i {
					issued++
				}
				if r {
					revoked++
				}
			}
			h.holds(t)
			if h.answers.refused == 0 || stories < 5 {
				t.Error("nothing was hurt")
			}
			t.Logf("%d stories, %d issued and %d revoked at once, %d answers refused", stories, issued, revoked, h.answers.refused)
		})
	}
}

// TestServerIsKilled ends PostgreSQL at once in the middle of issuances.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := sqldbtest.NewServer(t)
	h := newHurt(t, server.URL())
	h.story(t, func() {})
	for i := range 2 {
		t.Run(fmt.Sprintf("K06 PostgreSQL ends at once, time %d", i+1), func(t *testing.T) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				time.Sleep(time.Duration(4+11*i) * time.Millisecond)
				server.Kill()
			}()
			h.story(t, func() { <-done; server.Start() })
		})
	}
	time.Sleep(1100 * time.Millisecond) // the driver tries a connection that was idle for a second before it hands it out
	h.holds(t)
}
