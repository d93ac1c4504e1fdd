package node

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/consensus"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

// everyByte is set for the variants that take half an hour.
var everyByte = os.Getenv("DOJANG_TEST_FULL") != ""

// recordsOf cuts a log into records.
func recordsOf(t testing.TB, raw []byte) (out [][]byte) {
	t.Helper()
	for len(raw) > 0 {
		m, n := logRecord(raw)
		if m == nil {
			t.Fatalf("a damaged record after %d", len(out))
		}
		out, raw = append(out, raw[:n]), raw[n:]
	}
	return out
}

// TestLogRecords: a cut or damaged record is never read as another one, by the engine or by us.
func TestLogRecords(t *testing.T) {
	home, _ := died(t, "after precommit")
	raw, err := os.ReadFile(logOf(home))
	if err != nil {
		t.Fatal(err)
	}
	records := recordsOf(t, raw)
	t.Run("H26 cut at every byte", func(t *testing.T) {
		for i, r := range records {
			whole, err := consensus.NewWALDecoder(bytes.NewReader(r)).Decode()
			if err != nil {
				t.Fatal(err)
			}
			for n := range len(r) {
				m, err := consensus.NewWALDecoder(bytes.NewReader(r[:n])).Decode()
				ours, _ := logRecord(r[:n])
				if err == nil && reflect.DeepEqual(m, whole) && r[len(r)-1] == 0 && n == len(r)-1 {
					continue // the engine reads the missing zero into it
				}
				if err == nil || m != nil || ours != nil {
					t.Fatalf("record %d cut at %d is read: %v %v", i, n, m, ours)
				}
			}
		}
	})
	t.Run("H26 each bit flipped", func(t *testing.T) {
		for i, r := range records {
			for bit := range 8 * len(r) {
				bent := slices.Concat(r, records[(i+1)%len(records)]) // a longer length finds bytes
				bent[bit/8] ^= 1 << (bit % 8)
				m, err := consensus.NewWALDecoder(bytes.NewReader(bent)).Decode()
				ours, _ := logRecord(bent)
				if err == nil || m != nil || ours != nil {
					t.Fatalf("record %d with bit %d flipped is read: %v %v", i, bit, m, ours)
				}
			}
		}
	})
	t.Logf("%d records of %d bytes", len(records), len(raw))
}

// TestTornLog starts nodes on logs that are cut or damaged.
func TestTornLog(t *testing.T) {
	t.Parallel()
	recovered := 0
	for _, moment := range moments[:6] {
		home, acknowledged := died(t, moment)
		raw, err := os.ReadFile(logOf(home))
		if err != nil {
			t.Fatal(err)
		}
		try := func(name string, bent []byte) {
			t.Run(fmt.Sprintf("H26 %s: %s", moment, name), func(t *testing.T) {
				other := copyHome(t, home)
				if err := os.WriteFile(logOf(other), bent, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := startOrRefuse(t, other, acknowledged); err != nil {
					t.Fatal(err)
				}
				recovered++
				if err := os.RemoveAll(other); err != nil {
					t.Fatal(err)
				}
			})
		}
		records := recordsOf(t, raw)
		last := len(records) // first record of the height that was never finished
		for m := (*cmtcons.WALMessage)(nil); m.GetEndHeight() == nil; last-- {
			m, _ = logRecord(records[last-1])
		}
		at := len(raw)
		for i := len(records) - 1; i >= last; i-- {
			begin := at - len(records[i])
			cuts := []int{begin, begin + 2, at - 1}
			if everyByte && moment == "after precommit" {
				cuts = nil
				for n := range len(records[i]) {
					cuts = append(cuts, begin+n)
				}
			} else if moment != "after precommit" && i%4 != 0 && !everyByte {
				cuts = nil
			}
			for _, n := range cuts {
				try(fmt.Sprintf("cut at %d of %d", n, len(raw)), raw[:n])
			}
			if moment == "after precommit" && (i%3 == 0 || everyByte) {
				bent := bytes.Clone(raw)
				bent[begin+4] ^= 0x40 // the length: nothing behind it can be read
				try(fmt.Sprintf("length damaged at %d", begin+4), bent)
				bent = bytes.Clone(raw)
				bent[begin+12] ^= 1
				try(fmt.Sprintf("content damaged at %d", begin+12), bent)
			}
			at = begin
		}
		try("gone", nil)
	}
	t.Logf("%d recovered, none refused, none diverged", recovered)
}

// TestLogBehindTheKey: where another node may know of the block, the only validator does not decide again.
func TestLogBehindTheKey(t *testing.T) {
	t.Parallel()
	admits := func(string) bool { return true }
	for _, c := range []struct {
		moment string
		want   error
	}{
		{"after proposal", nil},
		{"after prevote", nil},
		{"after precommit", ErrLogLost},
	} {
		t.Run("H26 the log is gone, peers may connect: "+c.moment, func(t *testing.T) {
			home, acknowledged := died(t, c.moment)
			if err := os.Truncate(logOf(home), 0); err != nil {
				t.Fatal(err)
			}
			if err := startAgain(t, Config{Home: home, Allow: admits}, acknowledged); !errors.Is(err, c.want) {
				t.Fatalf("started: %v", err)
			}
		})
	}
	t.Run("H26 killed again right after a torn end was written behind", func(t *testing.T) {
		home, acknowledged := died(t, "after precommit")
		raw, err := os.ReadFile(logOf(home))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(logOf(home), append(raw, 7, 7, 7), 0o600); err != nil { // less than a checksum
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, killed(t, home)...)
		if raw, err = os.ReadFile(logOf(home)); err != nil {
			t.Fatal(err)
		}
		for len(raw) > 0 { // every record, but for what the second kill cut
			m, n := logRecord(raw)
			if m == nil && n < len(raw) {
				t.Fatalf("%d bytes cannot be read", len(raw))
			}
			raw = raw[n:]
		}
		if err := startOrRefuse(t, home, acknowledged); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("H26 the height began in an older file of the log", func(t *testing.T) {
		home, acknowledged := died(t, "after precommit")
		raw, err := os.ReadFile(logOf(home))
		if err != nil {
			t.Fatal(err)
		}
		records := recordsOf(t, raw)
		n := len(raw) - len(records[len(records)-1]) - len(records[len(records)-2])
		for name, part := range map[string][]byte{"wal.000": raw[:n], "wal": raw[n:]} {
			if err := os.WriteFile(filepath.Join(filepath.Dir(logOf(home)), name), part, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var log logbook
		if err := startAgain(t, Config{Home: home, Logger: slog.New(slog.NewTextHandler(&log, nil))}, acknowledged); err != nil {
			t.Fatal(err)
		}
		if log.has("given up") {
			t.Error("a round that the log has was given up")
		}
	})
}

// TestTornSignState: a sign state that is not what was written never lets the key sign.
func TestTornSignState(t *testing.T) {
	t.Parallel()
	home, _ := died(t, "after prevote")
	path := filepath.Join(home, "validator_state.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := loadSigner(home, false)
	if err != nil {
		t.Fatal(err)
	}
	reads := func(t *testing.T, bent []byte) bool {
		if err := os.WriteFile(path, bent, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := loadSigner(home, false)
		if err == nil && (got.LastSignState.Height != signer.LastSignState.Height || got.LastSignState.Round != signer.LastSignState.Round ||
			got.LastSignState.Step != signer.LastSignState.Step || !bytes.Equal(got.LastSignState.SignBytes, signer.LastSignState.SignBytes)) {
			t.Fatalf("read as another: %s", bent)
		}
		return err == nil
	}
	t.Run("H26 the sign state cut at every byte", func(t *testing.T) {
		for n := range len(raw) {
			if reads(t, raw[:n]) && n < len(bytes.TrimSpace(raw)) {
				t.Errorf("cut at %d it is read", n)
			}
		}
		if err := startOrRefuse(t, home, nil); err == nil {
			t.Fatal("started")
		}
	})
	t.Run("H26 each bit of the sign state flipped", func(t *testing.T) {
		same := 0
		for bit := range 8 * len(raw) {
			bent := bytes.Clone(raw)
			bent[bit/8] ^= 1 << (bit % 8)
			if reads(t, bent) { // white space, the case of a hexadecimal digit
				same++
			}
		}
		t.Logf("of %d flips %d leave the same state", 8*len(raw), same)
	})
}

// TestProposalSignedBefore: the engine must not send an old signature under a new time.
func TestProposalSignedBefore(t *testing.T) {
	home := oneHome(t, t.TempDir())
	pv, err := loadSigner(home, false)
	if err != nil {
		t.Fatal(err)
	}
	signer := durableSigner{pv, home}
	proposal := func(at time.Time) *cmtproto.Proposal {
		return &cmtproto.Proposal{Type: cmtproto.ProposalType, Height: 1, PolRound: -1, Timestamp: at}
	}
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	if err := signer.SignProposal("net", proposal(at)); err != nil {
		t.Fatal(err)
	}
	if err := signer.SignProposal("net", proposal(at)); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := signer.SignProposal("net", proposal(at.Add(time.Second))); !errors.Is(err, errSignedBefore) {
		t.Errorf("with another time: %v", err)
	}
}

func FuzzLogRecord(f *testing.F) {
	value := []byte{0x0a, 0x00, 0x12, 0x04, 0x22, 0x02, 0x08, 0x07}
	f.Add([]byte{})
	f.Add([]byte{1, 2, 3})
	f.Add(append([]byte{0, 0, 0, 0, 0, 0, 0, 8}, value...))
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, n := logRecord(raw)
		if n > len(raw) && n != 8 || len(raw) > 0 && n == 0 {
			t.Fatalf("%d of %d bytes", n, len(raw))
		}
	})
}
