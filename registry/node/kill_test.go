package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/dojang-id/dojang/registry"
)

func queryPath(path string) *abci.RequestQuery { return &abci.RequestQuery{Path: path} }

const childHome = "DOJANG_NODE_TEST_HOME"

// TestKillChild is the child of TestKill: it submits as fast as it can and prints every acknowledged hash.
func TestKillChild(t *testing.T) {
	home := os.Getenv(childHome)
	if home == "" {
		t.Log("runs only as a child of TestKill")
		return
	}
	n, err := New(childConfig(home))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	for range 8 {
		go func() {
			for {
				raw, _, _ := create(t, n)
				res, err := n.Submit(context.Background(), raw)
				if err != nil || res[0].Code != "ok" {
					continue
				}
				out.Lock()
				fmt.Printf("ack %s\n", hex.EncodeToString(res[0].Hash))
				out.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
}

// TestKill ends a node with SIGKILL under load, three times: nothing that was acknowledged may be missing.
func TestKill(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	home := l.Nodes[0].cfg.Home
	var acknowledged [][]byte
	for range 3 {
		acknowledged = append(acknowledged, killed(t, home)...)
	}
	if len(acknowledged) < 50 {
		t.Fatalf("only %d operations were acknowledged before the kills", len(acknowledged))
	}
	start(t, l)
	defer func() { _ = l.Stop(context.Background()) }()
	n := l.Nodes[0]
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.WaitHeight(t.Context(), n.run.Load().newest.Load()+1); err != nil {
		t.Fatal(err)
	}
	t.Run("H26 nothing acknowledged is lost by kill -9 under load", func(t *testing.T) {
		for _, hash := range acknowledged {
			h, err := registry.ParseHash(hash)
			if err != nil {
				t.Fatal(err)
			}
			if o, err := n.run.Load().machine.Outcome(h); err != nil || o.Code != "ok" {
				t.Fatalf("acknowledged operation: %+v %v", o, err)
			}
		}
		proven(t, n, trust, acknowledged[0])
		proven(t, n, trust, acknowledged[len(acknowledged)-1])
	})
	t.Logf("%d acknowledged, 0 missing", len(acknowledged))
}

// killed runs the child, kills it in the middle of its work and returns what it acknowledged.
func killed(t *testing.T, home string) [][]byte {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), childHome+"="+home)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acks [][]byte
	lines := bufio.NewScanner(pipe)
	var once sync.Once
	for lines.Scan() {
		if text, ok := bytes.CutPrefix(lines.Bytes(), []byte("ack ")); ok {
			hash, err := hex.DecodeString(string(text))
			if err != nil {
				break // cut by the kill
			}
			acks = append(acks, hash)
		}
		if len(acks) >= 60 {
			once.Do(func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		}
	}
	_ = cmd.Wait()
	return acks
}
