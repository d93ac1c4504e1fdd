package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A quiet writer ends what writes to it when nothing comes any more.
type quiet struct {
	bytes.Buffer
	end *time.Timer
}

const quietFor = 3 * time.Second

func (q *quiet) Write(p []byte) (int, error) {
	q.end.Reset(quietFor)
	return q.Buffer.Write(p)
}

// nodeChild runs the child of TestKill on a home for a while, below a tool if one is named, kills it, at the latest when it has
// acknowledged nothing for a moment, and returns what it acknowledged.
func nodeChild(t *testing.T, home string, lasts time.Duration, tool ...string) [][]byte {
	t.Helper()
	args := append(tool, os.Args[0], "-test.run=^TestKillChild$")
	ctx, cancel := context.WithTimeout(t.Context(), lasts)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childHome+"="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the tool goes with the node
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out := quiet{end: time.AfterFunc(lasts, cancel)}
	defer out.end.Stop()
	cmd.Stdout = &out
	_ = cmd.Run() // it ends by the kill, or by the fault
	return acknowledgedIn(out.String())
}

// acknowledgedIn are the hashes in the output of a child that was killed.
func acknowledgedIn(out string) (acks [][]byte) {
	lines := strings.Split(out, "\n")
	for _, line := range lines[:len(lines)-1] { // the last one may be cut by the kill
		if text, ok := strings.CutPrefix(line, "ack "); ok {
			if hash, err := hex.DecodeString(text); err == nil && len(hash) == len(registry.Hash{}) {
				acks = append(acks, hash)
			}
		}
	}
	return acks
}

// after starts the node once more, without the fault: nothing acknowledged is missing, and the stores hold.
func after(t *testing.T, home string, acknowledged [][]byte) {
	t.Helper()
	for id, r := range rows(t, home) {
		if r.Violations != 0 {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if err := startOrRefuse(t, home, acknowledged); err != nil {
		t.Fatalf("does not start after the fault: %v", err)
	}
}

func oneHome(t *testing.T, dir string) string {
	t.Helper()
	l, err := NewLocalnet(LocalnetConfig{Dir: dir, Validators: 1, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return l.Nodes[0].cfg.Home
}

// TestDiskFull fills a small file system under a node that works.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a file system")
	}
	t.Parallel()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	dir := t.TempDir()
	mount := func(options string) error {
		return exec.Command("mount", "-t", "tmpfs", "-o", options, "tmpfs", dir).Run()
	}
	if err := mount("size=6m"); err != nil {
		t.Skip("mounting is not permitted here")
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	home := oneHome(t, dir)
	t.Run("K07 the disk is full", func(t *testing.T) {
		acknowledged := nodeChild(t, home, 20*time.Second)
		if len(acknowledged) < 100 {
			t.Fatalf("only %d operations before the disk was full", len(acknowledged))
		}
		t.Logf("%d acknowledged before the disk was full", len(acknowledged))
		if again := nodeChild(t, home, 4*time.Second); len(again) > 0 {
			t.Logf("%d more after a restart on the full disk", len(again))
			acknowledged = append(acknowledged, again...)
		}
		if err := mount("remount,size=256m"); err != nil {
			t.Fatal(err)
		}
		after(t, home, acknowledged)
	})
}

// TestSystemCallsFail lets system calls of a working node fail, one at a time, from the n-th on.
func TestSystemCallsFail(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a node below strace many times")
	}
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace")
	}
	if err := exec.Command(strace, "-o", os.DevNull, "true").Run(); err != nil {
		t.Skip("tracing is not permitted here")
	}
	for _, fault := range []struct {
		call, err string
		file      string // only of this one, below data; "": of all
		when      []int
	}{
		{"fsync", "EIO", "", []int{40, 5, 200}},
		{"renameat,rename,renameat2", "ENOSPC", "", []int{30, 4, 150}},
		{"ftruncate", "EIO", "", []int{1}},
		{"write", "ENOSPC", "cs.wal/wal", []int{25, 2, 90}},
		{"write", "EIO", "blockstore.db/000001.log", []int{6, 1, 30}},
		{"write", "ENOSPC", "state.db/000001.log", []int{9, 2, 40}},
		{"write", "EIO", "chain/registry.db/000001.log", []int{5, 1, 25}},
	} {
		if everyByte {
			fault.when = nil
			for n := 1; n <= 60; n += 1 + n/8 {
				fault.when = append(fault.when, n)
			}
		}
		for i, n := range fault.when {
			if i > 0 && os.Getenv("CI") != "true" && !everyByte {
				continue // the first of each is enough while one works
			}
			name := strings.Split(fault.call, ",")[0]
			t.Run(strings.TrimSpace(fmt.Sprintf("K07 %s fails with %s from the %dth on %s", name, fault.err, n, fault.file)), func(t *testing.T) {
				t.Parallel()
				home := oneHome(t, t.TempDir())
				calls := make([]string, 0, 3)
				for _, c := range strings.Split(fault.call, ",") {
					calls = append(calls, "?"+c)
				}
				set := strings.Join(calls, ",")
				tool := []string{strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=" + set, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d+", set, fault.err, n)}
				if fault.file != "" {
					path := filepath.Join(home, dataDir, fault.file)
					tool = append(tool, "-P", path)
				}
				acknowledged := nodeChild(t, home, 4*time.Second, tool...)
				t.Logf("%d acknowledged", len(acknowledged))
				after(t, home, acknowledged)
			})
		}
	}
}
