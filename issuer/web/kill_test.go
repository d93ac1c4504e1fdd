package web_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/issuer"
	"github.com/dojang-id/dojang/issuer/issuertest"
	"github.com/dojang-id/dojang/issuer/store"
)

// TestMain runs an issuer in a child process when asked to, the tests otherwise.
func TestMain(m *testing.M) {
	if os.Getenv("DOJANG_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childEnv says what a child is to do; hello what it answers on standard output.
type childEnv struct {
	DB, Keys, Listen, Step, Signatures string
	Nth                                int64
}

type hello struct{ URL, Manage, Bearer string }

// countingSigner writes a line a signature: the signer's own count (I3).
type countingSigner struct {
	keys.Signer
	file string
}

func (s countingSigner) Sign(message []byte) ([]byte, error) {
	f, err := os.OpenFile(s.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.WriteString("signed\n"); err != nil {
		return nil, err
	}
	return s.Signer.Sign(message)
}

// child serves until its standard input ends, or kills itself at the nth passing of a step.
func child() error {
	var env childEnv
	if err := json.Unmarshal([]byte(os.Getenv("DOJANG_TEST_CHILD")), &env); err != nil {
		return err
	}
	store, err := keys.NewFileStore(keys.FileStoreConfig{Dir: env.Keys, Passphrase: []byte("correct horse"), Interactive: true})
	if err != nil {
		return err
	}
	var passed atomic.Int64
	step := func(name string) {
		if name == env.Step && passed.Add(1) == env.Nth {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	k, err := issuertest.New(context.Background(), plenty(issuertest.KitConfig{
		DB: env.DB, Listen: env.Listen, Keys: store, Step: step, StoreStep: step,
		Signer: func(s keys.Signer) keys.Signer { return countingSigner{s, env.Signatures} },
	}))
	if err != nil {
		return err
	}
	defer k.Close()
	if err := json.NewEncoder(os.Stdout).Encode(hello{k.URL, k.Manage, k.Bearer}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// process is a running child and a wallet's view of it.
type process struct {
	*issuertest.Kit
	cmd   *exec.Cmd
	stdin io.Closer
}

func spawn(t *testing.T, env childEnv) *process {
	t.Helper()
	text := must[[]byte](t)(json.Marshal(env))
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "DOJANG_TEST_CHILD="+string(text))
	cmd.Stderr = os.Stderr
	stdin := must[io.WriteCloser](t)(cmd.StdinPipe())
	stdout := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, stdin: stdin}
	t.Cleanup(p.end)
	line := must[string](t)(bufio.NewReader(stdout).ReadString('\n'))
	var h hello
	if err := json.Unmarshal([]byte(line), &h); err != nil {
		t.Fatal(err)
	}
	p.Kit = &issuertest.Kit{URL: h.URL, Manage: h.Manage, Bearer: h.Bearer, Clock: issuertest.NewClock(issuertest.Start), Client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
	return p
}

// end closes the child's input and waits; harmless when it is dead.
func (p *process) end() {
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// customer is a wallet that goes through an issuance and remembers how far it came and every byte string it received.
type customer struct {
	id, code string
	flow     issuertest.Flow
	received [][]string
}

// run continues until something fails; every step is retried as a wallet would.
func (c *customer) run(p *process) error {
	if c.code == "" {
		if err := c.offer(p); err != nil {
			return err
		}
	}
	if c.flow.Access == "" {
		if err := c.redeem(p); err != nil {
			return err
		}
	}
	a, err := p.Credential(c.flow)
	if err != nil {
		return err
	}
	texts, err := a.Credentials()
	if err != nil {
		return err
	}
	c.received = append(c.received, texts)
	return nil
}

func (c *customer) offer(p *process) error {
	a, err := p.Call("POST", "/v1/tenants/gaon/offers", p.Bearer, offerBody)
	if err != nil {
		return err
	}
	var o struct {
		ID  string `json:"id"`
		URI string `json:"credential_offer_uri"`
	}
	if err := json.Unmarshal(a.Body, &o); err != nil || a.Status != 201 {
		return fmt.Errorf("offer: %d %w", a.Status, err)
	}
	offer, err := p.Fetch(issuer.Offered{URI: o.URI})
	if err != nil {
		return err
	}
	c.id, c.code = o.ID, offer.Grants.PreAuthorizedCode.PreAuthorizedCode
	return nil
}

func (c *customer) redeem(p *process) error {
	a, err := p.Form("/gaon/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:pre-authorized_code"}, "pre-authorized_code": {c.code}}, nil)
	if err != nil {
		return err
	}
	if a.Code() == "invalid_grant" { // the answer was lost, the code is used up: the agency offers again
		c.code = ""
		return c.run(p)
	}
	var tok struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(a.Body, &tok); err != nil || a.Status != 200 {
		return fmt.Errorf("token: %d %w", a.Status, err)
	}
	nonce, err := p.Nonce("gaon")
	if err != nil {
		return err
	}
	proofs, err := p.Proofs("gaon", nonce, 3)
	if err != nil {
		return err
	}
	c.flow = issuertest.Flow{Tenant: "gaon", Config: "resident-id_dc+sd-jwt", Access: tok.Access, Proofs: proofs}
	return nil
}

func TestKill(t *testing.T) {
	steps := []struct {
		name string
		nth  int64
	}{
		{"offer.recorded", 1}, {"token.redeemed", 1},
		{"credential.checked", 1}, {"credential.prepared", 1}, {"store.intend", 1}, {"credential.intended", 1}, {"credential.linted", 1},
		{"credential.signed", 1}, {"credential.signed", 2}, {"credential.signed", 3}, {"credential.verified", 1},
		{"store.record", 1}, {"credential.recorded", 1}, {"credential.answered", 1},
	}
	for _, s := range steps {
		t.Run(fmt.Sprintf("K04 %s %d", s.name, s.nth), func(t *testing.T) {
			sqldbtest.Each(t, func(t *testing.T, dbURL string) { kill(t, dbURL, s.name, s.nth) })
		})
	}
}

func kill(t *testing.T, dbURL, step string, nth int64) {
	dir := t.TempDir()
	env := childEnv{DB: dbURL, Keys: filepath.Join(dir, "keys"), Listen: "127.0.0.1:0", Step: step, Nth: nth, Signatures: filepath.Join(dir, "signatures")}
	first := spawn(t, env)
	env.Listen, env.Step = strings.TrimPrefix(strings.Replace(first.URL, "localhost", "127.0.0.1", 1), "http://"), ""
	c := &customer{}
	err := c.run(first)
	if err == nil && step != "credential.answered" {
		t.Fatal("the child survived")
	}
	if waitErr := first.cmd.Wait(); waitErr == nil || !strings.Contains(waitErr.Error(), "killed") {
		t.Fatalf("the child ended otherwise: %v", waitErr)
	}
	second := spawn(t, env)
	if err := c.run(second); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	second.end()
	compare(t, dbURL, c, env.Signatures)
}

// compare holds what the wallet received against the record, byte for byte (I1 to I4).
func compare(t *testing.T, dbURL string, c *customer, signatures string) {
	t.Helper()
	s, db := reopen(t, dbURL)
	rows := must[[]issuer.Row](t)(issuer.Fsck(ctx, s))
	for _, r := range rows {
		if r.Violations != 0 {
			t.Errorf("%s: %d of %d", r.ID, r.Violations, r.Checked)
		}
	}
	ledger, intents := map[[32]byte]bool{}, 0
	err := db.Read(ctx, func(tx *sqldb.Tx) error {
		if err := tx.QueryRow(`SELECT COUNT(*) FROM copies`).Scan(&intents); err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT credential_hash FROM ledger`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var h []byte
			if err := rows.Scan(&h); err != nil {
				return err
			}
			ledger[[32]byte(h)] = true
		}
		return rows.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	indices := map[uint64]bool{}
	for _, texts := range c.received {
		for i, text := range texts {
			if !ledger[sha256.Sum256([]byte(text))] {
				t.Error("I1: a credential that the wallet holds is not in the ledger")
			}
			if text != c.received[0][i] {
				t.Error("I4: two different credentials for one proof were handed out")
			}
			_, idx := reference(t, text)
			indices[idx] = true
		}
	}
	if len(ledger) != 3 || len(indices) != 3 {
		t.Errorf("I4: %d ledger rows, %d indices for an allowance of three copies", len(ledger), len(indices))
	}
	signed := must[[]byte](t)(os.ReadFile(signatures))
	if n := strings.Count(string(signed), "\n"); n > intents || n < 3 {
		t.Errorf("I3: %d signatures, %d intents", n, intents)
	}
}

func reopen(t *testing.T, dbURL string) (*store.Store, *sqldb.DB) {
	t.Helper()
	db := must[*sqldb.DB](t)(sqldb.Open(ctx, dbURL))
	t.Cleanup(func() { _ = db.Close() })
	log := must[*audit.Log](t)(audit.New(audit.Config{PseudonymKey: make([]byte, 32)}))
	if _, err := log.Verify(ctx, db, "gaon"); err != nil {
		t.Errorf("audit chain: %v", err)
	}
	return must[*store.Store](t)(store.New(ctx, store.Config{DB: db, Audit: log})), db
}

func TestKillPublication(t *testing.T) {
	for _, step := range []string{"status.changed", "status.signed", "status.published", "status.anchored"} {
		t.Run("C17 killed at "+step, func(t *testing.T) {
			dir := t.TempDir()
			env := childEnv{DB: sqldbtest.SQLite(t), Keys: filepath.Join(dir, "keys"), Listen: "127.0.0.1:0", Step: step, Nth: 1, Signatures: filepath.Join(dir, "signatures")}
			first := spawn(t, env)
			c := &customer{}
			if err := c.run(first); err != nil {
				t.Fatal(err)
			}
			revoke := func(p *process) (issuertest.Answer, error) {
				return p.Call("POST", "/v1/tenants/gaon/credentials/"+c.id+"/status", p.Bearer, `{"status":"revoked","reason":"R-1"}`)
			}
			if a, err := revoke(first); err == nil {
				t.Fatalf("acknowledged: %d %s", a.Status, a.Body)
			}
			env.Step = ""
			second := spawn(t, env)
			a, err := revoke(second)
			want(t, a, err, 200, "")
			token := must[issuertest.Answer](t)(second.Do("GET", second.URL+"/gaon/status/1", nil, nil))
			second.end()
			s, _ := reopen(t, env.DB)
			for _, r := range must[[]issuer.Row](t)(issuer.Fsck(ctx, s)) {
				if r.Violations != 0 {
					t.Errorf("%s: %d of %d", r.ID, r.Violations, r.Checked)
				}
			}
			u := must[*statuslist.Unverified](t)(statuslist.ParseJWT(token.Body, statuslist.Limits{}))
			store := must[*keys.FileStore](t)(keys.NewFileStore(keys.FileStoreConfig{Dir: env.Keys, Passphrase: []byte("correct horse"), Interactive: true}))
			key := must[keys.Signer](t)(store.Signer("gaon"))
			uri, _ := reference(t, c.received[0][0])
			list := must[*statuslist.Token](t)(u.Verify(key.Public(), statuslist.Expect{URI: uri, Now: issuertest.Start.Add(time.Minute)}))
			for _, text := range c.received[0] {
				_, idx := reference(t, text)
				if got, err := list.Status(idx); err != nil || got != statuslist.Revoked {
					t.Errorf("index %d: %v %v", idx, got, err)
				}
			}
		})
	}
}

func TestInsertFailsAfterSigning(t *testing.T) {
	t.Run("K05 the ledger refuses", func(t *testing.T) {
		k := start(t, plenty(issuertest.KitConfig{}))
		f := begin(t, k, 3)
		exec := func(statement string) {
			t.Helper()
			err := k.DB.Write(ctx, func(tx *sqldb.Tx) error { _, err := tx.Exec(statement); return err })
			if err != nil {
				t.Fatal(err)
			}
		}
		exec(`CREATE TRIGGER refuse BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'refused'); END`)
		for range 2 {
			a, err := k.Credential(f)
			want(t, a, err, 503, "temporarily_unavailable")
			if strings.Contains(string(a.Body), "~") {
				t.Fatal("a credential leaves that is not recorded")
			}
		}
		fsck(t, k)
		exec(`DROP TRIGGER refuse`)
		a, err := k.Credential(f) // the same request: signed anew, under new intents
		want(t, a, err, 200, "")
		texts := must[[]string](t)(a.Credentials())
		if n := snapshot(t, k)["SELECT COUNT(*) FROM copies"]; len(texts) != 3 || n != 9 {
			t.Errorf("%d copies, %d intents", len(texts), n)
		}
		p, err := set(k, f.Offered.ID, issuer.StatusRevoked)
		if err != nil || p.Height == 0 {
			t.Fatal(err)
		}
		for _, text := range texts {
			_, idx := reference(t, text)
			if got, _ := list(t, k, "gaon", 1).Status(idx); got != statuslist.Revoked {
				t.Errorf("not revocable: %v", got)
			}
		}
		fsck(t, k)
	})
}
