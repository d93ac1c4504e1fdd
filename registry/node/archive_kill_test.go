package node

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

const (
	archiveChild = "DOJANG_ARCHIVE_TEST_DIR"
	archiveStep  = "DOJANG_ARCHIVE_TEST_STEP"
)

// TestArchiveKillChild is the child of TestArchiveKill: it stores epochs, prints the root of each that is stored, and kills itself
// at a step.
func TestArchiveKillChild(t *testing.T) {
	dir := os.Getenv(archiveChild)
	if dir == "" {
		t.Log("runs only as a child of TestArchiveKill")
		return
	}
	name, count, _ := strings.Cut(os.Getenv(archiveStep), " ")
	left, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	s, a := archiving(t, dir)
	sound(t, a) // whatever was killed before
	a.step = func(at string) {
		if at == name {
			if left--; left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}
		}
	}
	p := newPress(t)
	have, _ := s.Epoch(agency)
	r := rand.New(rand.NewPCG(have.Sequence, 1))
	raw := make([]byte, 2_500_000)
	for range 5 {
		have.Sequence++
		for range 200_000 { // revocations only, so that an epoch brings more than one batch
			raw[r.IntN(len(raw))] |= 0x11 & byte(r.Uint32())
		}
		uri := "https://status.example/" + agency.ID() + "/1"
		if l, err := s.List(uri, StatusJWT); err == nil { // and none is taken back
			record, err := statuslist.ParseRecord(l.Record)
			if err != nil {
				t.Fatal(err)
			}
			v, err := record.Read(StatusJWT, l.Token)
			if err != nil {
				t.Fatal(err)
			}
			for i, b := range v.Raw() {
				raw[i] |= b
			}
		}
		issued := p.begin.Add(time.Duration(have.Sequence) * time.Second)
		record, token := p.list(uri, raw, issued)
		e := registry.StatusEpoch{Issuer: agency, Sequence: have.Sequence, IssuedAt: issued, NextUpdate: issued, Root: statuslist.EpochRoot([][]byte{record})}
		if err := s.Put(t.Context(), e, offer{records: [][]byte{record}, tokens: map[string][]byte{uri: token}}); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %x\n", e.Root)
	}
}

// TestArchiveKill: SIGKILL in the middle of archiving, after some of an epoch's objects or before it counts as stored. What was stored
// is whole, what was not is written again.
func TestArchiveKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	var stored [][32]byte
	run := func(step string) (killed bool) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestArchiveKillChild$")
		cmd.Env = append(os.Environ(), archiveChild+"="+dir, archiveStep+"="+step)
		out, err := cmd.Output()
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "stored "); ok {
				root, err := hex.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, [32]byte(root))
			}
		}
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			t.Fatalf("%v\n%s", err, out)
		}
		return err != nil
	}
	for _, step := range []string{"archive.objects 1", "archive.objects 4", "archive.epoch 1", "archive.epoch 2"} {
		if !run(step) {
			t.Errorf("%s was not reached", step)
		}
	}
	if run("never 1") {
		t.Error("killed by somebody else")
	}
	s, a := archiving(t, dir)
	if n := sound(t, a); n < 1000 {
		t.Errorf("only %d things", n)
	}
	if len(stored) < 6 {
		t.Fatalf("%d epochs were stored", len(stored))
	}
	for i, root := range stored {
		if here, err := a.has(root); err != nil || !here {
			t.Errorf("stored epoch %d is not in the archive: %v", i, err)
		}
		if _, err := entryOf(a, registry.StatusFact{Root: root}, s.URIs()[0], 9_000_000); err != nil {
			t.Error(err)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(dir, agency.ID(), "*")); err != nil || len(entries) != 3 {
		t.Errorf("%d files of the newest epoch: %v", len(entries), err)
	}
}
