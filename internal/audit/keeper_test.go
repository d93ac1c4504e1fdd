package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/audit"
	"github.com/dojang-id/dojang/internal/sqldb"
	"github.com/dojang-id/dojang/internal/sqldb/sqldbtest"
)

// sealer is a chain that takes what it is given, unless it is down.
type sealer struct {
	down   error
	few    bool
	sealed [][]byte
}

func (s *sealer) seal(_ context.Context, documents ...[]byte) ([][]byte, error) {
	if s.down != nil {
		return nil, s.down
	}
	var receipts [][]byte
	for _, d := range documents {
		s.sealed = append(s.sealed, d)
		receipts = append(receipts, append([]byte("receipt of "), d...))
	}
	if s.few {
		return receipts[1:], nil
	}
	return receipts, nil
}

type kept struct {
	t      *testing.T
	log    *audit.Log
	db     *sqldb.DB
	sealer *sealer
	keeper *audit.Keeper
	dir    string
	text   *bytes.Buffer
}

func newKept(t *testing.T, every time.Duration) *kept {
	k := &kept{t: t, log: newLog(t, nil), sealer: &sealer{}, dir: filepath.Join(t.TempDir(), "checkpoints"), text: &bytes.Buffer{}}
	k.db = open(t, k.log, sqldbtest.SQLite(t))
	var err error
	k.keeper, err = audit.NewKeeper(audit.KeeperConfig{Log: k.log, DB: k.db, Seal: k.sealer.seal, Dir: k.dir, Every: every, Logger: slog.New(slog.NewTextHandler(k.text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kept) write(chain string, from, to int) {
	k.t.Helper()
	for i := from; i < to; i++ {
		e := entry(i)
		e.Chain = chain
		if err := act(k.log, k.db, i+1000*len(chain), e); err != nil {
			k.t.Fatal(err)
		}
	}
}

func (k *kept) keep(want int) {
	k.t.Helper()
	if n, err := k.keeper.Keep(k.t.Context()); n != want || err != nil {
		k.t.Fatalf("%d sealed, %v; want %d", n, err, want)
	}
}

func (k *kept) exec(statements ...string) {
	k.t.Helper()
	if err := k.db.Write(k.t.Context(), func(tx *sqldb.Tx) error {
		for _, s := range statements {
			if _, err := tx.Exec(s); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
}

func TestKeeper(t *testing.T) {
	t.Run("J22 heads that moved, once, with their receipts", func(t *testing.T) {
		k := newKept(t, 0)
		k.keep(0)
		k.write("gaon", 0, 3)
		k.write("a/b-c", 0, 1)
		k.keep(2)
		k.keep(0)
		k.write("gaon", 3, 5)
		k.keep(1)
		all, err := audit.LoadCheckpoints(k.dir)
		if err != nil || len(all) != 3 {
			t.Fatalf("%+v %v", all, err)
		}
		for i, want := range []struct {
			chain string
			seq   int64
		}{{"a/b-c", 1}, {"gaon", 3}, {"gaon", 5}} {
			c := all[i]
			raw, err := os.ReadFile(c.File)
			if err != nil || c.Chain != want.chain || c.Seq != want.seq || string(c.Receipt) != "receipt of "+string(raw) || !bytes.Equal(raw, c.Document()) {
				t.Errorf("%d: %+v %v", i, c, err)
			}
			if _, err := k.log.Verify(t.Context(), k.db, c.Chain, c.Checkpoint); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("J22 a tail that was cut shows, and is not sealed over", func(t *testing.T) {
		for name, statements := range map[string][]string{
			"cut":    {"DELETE FROM audit_entry WHERE seq > 3", "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_entry WHERE seq = 3)"},
			"other":  {"UPDATE audit_entry SET hash = (SELECT hash FROM audit_entry WHERE seq = 4) WHERE seq = 5"},
			"erased": {"DELETE FROM audit_entry", "DELETE FROM audit_head"},
		} {
			k := newKept(t, 0)
			k.write("gaon", 0, 5)
			k.keep(1)
			k.exec(statements...)
			if n, err := k.keeper.Keep(t.Context()); n != 0 || !errors.Is(err, audit.ErrTampered) {
				t.Errorf("%s: %d %v", name, n, err)
			}
			k.write("seoul", 0, 1) // another chain is kept all the same
			if n, err := k.keeper.Keep(t.Context()); n != 1 || !errors.Is(err, audit.ErrTampered) {
				t.Errorf("%s: %d %v", name, n, err)
			}
		}
	})
	t.Run("nothing waits for a chain that is down, and the log says so", func(t *testing.T) {
		k := newKept(t, time.Millisecond)
		k.write("gaon", 0, 2)
		k.sealer.down = errors.New("no quorum")
		ctx, cancel := context.WithCancel(t.Context())
		k.sealer.few = true
		done := make(chan struct{})
		for range 4 {
			if n, err := k.keeper.Keep(ctx); n != 1 || err == nil {
				t.Fatalf("%d %v", n, err)
			}
		}
		if all, err := audit.LoadCheckpoints(k.dir); err != nil || len(all) != 0 {
			t.Fatalf("%+v %v", all, err)
		}
		k.sealer.down = nil
		if _, err := k.keeper.Keep(ctx); err == nil {
			t.Fatal("a missing receipt")
		}
		k.sealer.few = false
		go func() { defer close(done); k.keeper.Run(ctx) }()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if all, err := audit.LoadCheckpoints(k.dir); err == nil && len(all) == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("Run keeps nothing")
			}
		}
		cancel()
		<-done
	})
	t.Run("an alarm after three failures", func(t *testing.T) {
		k := newKept(t, time.Millisecond)
		k.write("gaon", 0, 2)
		failing, text := make(chan struct{}, 100), &lines{seen: make(chan string, 100)}
		keeper, err := audit.NewKeeper(audit.KeeperConfig{Log: k.log, DB: k.db, Dir: k.dir, Every: time.Millisecond, Logger: slog.New(slog.NewTextHandler(text, nil)),
			Seal: func(context.Context, ...[]byte) ([][]byte, error) {
				failing <- struct{}{}
				return nil, errors.New("down")
			}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go keeper.Run(ctx)
		var warned, alarmed bool
		for deadline := time.After(30 * time.Second); !alarmed; {
			select {
			case line := <-text.seen:
				warned = warned || strings.Contains(line, "level=WARN")
				alarmed = strings.Contains(line, "ALARM: audit heads are not sealed")
			case <-failing:
			case <-deadline:
				t.Fatal("no alarm")
			}
		}
		if !warned {
			t.Error("an alarm at once")
		}
	})
	t.Run("what is required", func(t *testing.T) {
		if _, err := audit.NewKeeper(audit.KeeperConfig{}); err == nil {
			t.Fatal("an empty configuration")
		}
	})
}

type lines struct{ seen chan string }

func (l *lines) Write(b []byte) (int, error) {
	select {
	case l.seen <- string(b):
	default:
	}
	return len(b), nil
}

func TestCheckpointFiles(t *testing.T) {
	k := newKept(t, 0)
	k.write("gaon", 0, 1)
	k.keep(1)
	all, err := audit.LoadCheckpoints(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	good := string(all[0].Document())
	for name, text := range map[string]string{
		"nothing": "", "another format": strings.Replace(good, "checkpoint/1", "checkpoint/2", 1), "no line end": strings.TrimSpace(good),
		"another number": strings.Replace(good, `"seq":1`, `"seq":0`, 1), "twice": strings.Replace(good, `"seq":1`, `"seq":1,"seq":1`, 1),
		"more": strings.Replace(good, `"seq":1`, `"seq":1,"more":1`, 1), "spaces": strings.Replace(good, `"seq":1`, `"seq": 1`, 1),
		"long": good + strings.Repeat(" ", 5000),
	} {
		if _, err := audit.ParseCheckpoint([]byte(text)); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.WriteFile(all[0].File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.LoadCheckpoints(k.dir); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s in the folder: %v", name, err)
		}
		if n, err := k.keeper.Keep(t.Context()); n != 0 || !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s, kept on: %d %v", name, n, err)
		}
	}
	if all, err := audit.LoadCheckpoints(filepath.Join(k.dir, "none")); err != nil || all != nil {
		t.Errorf("a folder that is not there: %v %v", all, err)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(audit.Checkpoint{Chain: "gaon", Seq: 7, Hash: [32]byte{1}, Time: time.Unix(1, 5000)}.Document())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := audit.ParseCheckpoint(b)
		if err == nil && !bytes.Equal(c.Document(), b) {
			t.Fatal("a second form")
		}
	})
}
