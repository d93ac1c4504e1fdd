package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// anchors makes the node an aggregator under a DID of its own, which the first anchor creates.
func anchors(tb testing.TB, n *Node) {
	tb.Helper()
	cfg := AnchorConfig{Key: newKey(tb, ""), Op: newKey(tb, registry.RoleOp), Next: newKey(tb, "").Public.Hash(), Recovery: newKey(tb, "").Public.Hash()}
	who, err := n.newAnchorIdentity(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	n.cfg.Anchors, n.aggregates = &cfg, who
}

func deed(i int) (salt [32]byte, issued []byte) {
	binary.BigEndian.PutUint64(salt[8:], uint64(i)+1)
	return salt, fmt.Append(nil, "deed number ", i)
}

// publish is the newest head of a node with its proof.
func publish(t *testing.T, n *Node) (evidence.Head, []byte) {
	t.Helper()
	proof, err := n.HeadProof(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := n.Trust(time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := evidence.HeadOfProof(proof, trust, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return head, proof
}

// bridged makes a receipt hold under a published head, with an answer of a node.
func bridged(t *testing.T, n *Node, r evidence.Receipt, head evidence.Head, proof []byte) *evidence.Receipt {
	t.Helper()
	height, _, err := r.Head()
	if err != nil {
		t.Fatal(err)
	}
	if height == head.Height {
		return &r
	}
	_, tree, err := evidence.HeadOfProof(proof, head.Trust(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	points, err := n.HeaderPath(tree.Size, height)
	if err != nil {
		t.Fatal(err)
	}
	if r.Bridge, err = evidence.Bridge(proof, points); err != nil {
		t.Fatal(err)
	}
	return &r
}

// decade is long after every key of today is gone.
const decade = 10 * 365 * 24 * time.Hour

func TestAnchorsUnderLoad(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 100 * time.Millisecond, RetainBlocks: 10, SnapshotBlocks: 5})
	if err != nil {
		t.Fatal(err)
	}
	n := l.Nodes[0]
	anchors(t, n)
	n.cfg.Chain.KeepVersions = 5
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	const callers, each = 40, 25
	got := make([]*evidence.Receipt, callers*each)
	roots := map[[32]byte]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			leaves := make([][32]byte, each)
			for i := range leaves {
				leaves[i] = evidence.AnchorLeaf(deed(c*each + i))
			}
			made, err := n.Anchor(t.Context(), leaves...)
			if err != nil || len(made.Receipts) != each {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			roots[made.Root] = true
			for i, r := range made.Receipts {
				r.Salt, _ = deed(c*each + i)
				got[c*each+i] = r
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if len(roots) > callers/4 {
		t.Fatalf("%d roots for %d callers: nothing was joined", len(roots), callers)
	}
	head, proof := publish(t, n)
	check := func(t *testing.T, from *Node, head evidence.Head, proof []byte) {
		t.Helper()
		for i, r := range got {
			if i%17 != 0 && i != len(got)-1 {
				continue
			}
			_, issued := deed(i)
			out, err := bridged(t, from, *r, head, proof).Check(issued, head.Trust(), time.Now().Add(decade))
			if err != nil || out.By != n.aggregates.did || out.At.After(head.Time) {
				t.Fatalf("receipt %d: %+v %v", i, out, err)
			}
		}
	}
	t.Run("receipts hold with one published head alone, in ten years", func(t *testing.T) { check(t, n, head, proof) })
	t.Run("not for another document", func(t *testing.T) {
		if _, err := bridged(t, n, *got[0], head, proof).Check([]byte("another"), head.Trust(), time.Now()); err == nil {
			t.Fatal("taken")
		}
	})
	t.Run("the same leaves again are no newer", func(t *testing.T) {
		leaf := evidence.AnchorLeaf(deed(-7))
		first, err := n.Anchor(t.Context(), leaf)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.WaitHeight(t.Context(), first.Height+3); err != nil {
			t.Fatal(err)
		}
		again, err := n.Anchor(t.Context(), leaf)
		if err != nil || again.Height != first.Height || again.Root != first.Root {
			t.Fatalf("%+v %v", again, err)
		}
	})
	t.Run("after blocks and states are gone", func(t *testing.T) {
		for i := range 15 { // of blocks that change nothing none is dropped
			made, err := n.Anchor(t.Context(), evidence.AnchorLeaf(deed(1_000_000+i)))
			if err == nil {
				err = n.WaitHeight(t.Context(), made.Height+2)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if base := n.run.Load().engine.node.BlockStore().Base(); base <= int64(head.Height) {
			t.Fatalf("the head's block is still there: oldest is %d", base)
		}
		if _, err := n.Evidence(Query{Height: head.Height}, ""); err == nil {
			t.Fatal("the head's state is still there")
		}
		check(t, n, head, proof)
		newer, newProof := publish(t, n)
		check(t, n, newer, newProof)
	})
	t.Run("by a node that came by a snapshot", func(t *testing.T) {
		m := synced(t, n)
		check(t, m, head, proof)
	})
}

// synced is a node that has joined n's network by a snapshot taken now, and follows it.
func synced(t *testing.T, n *Node) *Node {
	t.Helper()
	home := newcomer(t, n)
	if _, err := StateSync(t.Context(), home, nodeSource{n: n}, nil); err != nil {
		t.Fatal(err)
	}
	n.cfg.Allow = func(string) bool { return true }
	restarted(t, n)
	m, err := New(Config{Home: home, Peers: []string{n.ID() + "@" + n.cfg.Listen}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Stop(context.Background()) })
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := m.WaitHeight(ctx, n.run.Load().newest.Load()+1); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAggregator(t *testing.T) {
	gate := make(chan error)
	var mu sync.Mutex
	var sizes []int
	a := newAggregator(anchorsConfig{Window: time.Millisecond, Waiting: 10, Write: func(ctx context.Context, _ [32]byte) (anchoredRoot, error) {
		select {
		case err := <-gate:
			return anchoredRoot{height: 7, evidence: []byte("proof")}, err
		case <-ctx.Done():
			return anchoredRoot{}, ErrStopped
		}
	}})
	call := func(n int) <-chan error {
		out := make(chan error, 1)
		leaves := make([][32]byte, n)
		for i := range leaves {
			leaves[i][0] = byte(n)
		}
		go func() {
			made, err := a.anchor(context.Background(), leaves)
			if err == nil {
				for i, r := range made.Receipts {
					if root, rerr := r.RootOf(leaves[i]); rerr != nil || root != made.Root {
						err = errors.New("a receipt of something else")
					}
				}
				mu.Lock()
				sizes = append(sizes, int(made.Receipts[0].Size))
				mu.Unlock()
			}
			out <- err
		}()
		return out
	}
	waiting := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			have := a.pending()
			if have == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d leaves wait, want %d", have, n)
			}
		}
	}
	first := call(2)
	waiting(2)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) { // it is on its way
		a.mu.Lock()
		left := len(a.calls)
		a.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("never sent")
		}
	}
	second := call(3)
	waiting(5)
	third := call(5)
	waiting(10)
	t.Run("a full queue is told", func(t *testing.T) {
		if err := <-call(1); !errors.Is(err, ErrBusy) {
			t.Fatalf("got %v", err)
		}
		waiting(10)
	})
	t.Run("what comes meanwhile is one root", func(t *testing.T) {
		gate <- nil
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		gate <- nil
		if err := errors.Join(<-second, <-third); err != nil {
			t.Fatal(err)
		}
		if len(sizes) != 3 || sizes[0] != 2 || sizes[1] != 8 || sizes[2] != 8 {
			t.Fatalf("sizes %v", sizes)
		}
		waiting(0)
	})
	t.Run("a refusal goes to all who are in it, and the place is free again", func(t *testing.T) {
		refused := call(4)
		gate <- ErrAnchorRefused
		if err := <-refused; !errors.Is(err, ErrAnchorRefused) {
			t.Fatalf("got %v", err)
		}
		waiting(0)
	})
	t.Run("limits", func(t *testing.T) {
		for _, n := range []int{0, MaxLeaves + 1} {
			if err := <-call(n); !errors.Is(err, ErrTooMany) {
				t.Fatalf("%d leaves: %v", n, err)
			}
		}
	})
	t.Run("who waits while it stops is told", func(t *testing.T) {
		last := call(1)
		waiting(1)
		a.stop()
		if err := <-last; !errors.Is(err, ErrStopped) {
			t.Fatalf("got %v", err)
		}
	})
}

const anchorChildHome = "DOJANG_NODE_TEST_ANCHOR_HOME"

// TestAnchorKillChild is the child of TestAnchorKill: it prints each receipt that it was given.
func TestAnchorKillChild(t *testing.T) {
	home := os.Getenv(anchorChildHome)
	if home == "" {
		t.Log("runs only as a child of TestAnchorKill")
		return
	}
	n, err := New(Config{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	anchors(t, n) // each run of the child under a DID of its own
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	for range 8 {
		go func() {
			for {
				salt, issued := deed(int(time.Now().UnixNano()))
				made, err := n.Anchor(context.Background(), evidence.AnchorLeaf(salt, issued))
				if err != nil {
					continue
				}
				made.Receipts[0].Salt = salt
				raw, err := made.Receipts[0].Marshal()
				if err != nil {
					continue
				}
				out.Lock()
				fmt.Printf("ack %s %s\n", base64.StdEncoding.EncodeToString(issued), base64.StdEncoding.EncodeToString(raw))
				out.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
}

// TestAnchorKill ends an aggregator with SIGKILL under load: every receipt that somebody has still holds afterwards.
func TestAnchorKill(t *testing.T) {
	l, err := NewLocalnet(LocalnetConfig{Dir: t.TempDir(), Validators: 1, Heartbeat: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	home := l.Nodes[0].cfg.Home
	acks := map[string]string{}
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAnchorKillChild$")
		cmd.Env = append(os.Environ(), anchorChildHome+"="+home)
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, n := bufio.NewScanner(pipe), 0
		for lines.Scan() {
			fields := bytes.Fields(lines.Bytes())
			if len(fields) != 3 || string(fields[0]) != "ack" {
				continue
			}
			acks[string(fields[1])] = string(fields[2])
			if n++; n == 40 {
				_ = cmd.Process.Signal(syscall.SIGKILL)
			}
		}
		_ = cmd.Wait()
	}
	if len(acks) < 80 {
		t.Fatalf("only %d receipts before the kills", len(acks))
	}
	n := l.Nodes[0]
	anchors(t, n)
	start(t, l)
	t.Cleanup(func() { _ = l.Stop(context.Background()) })
	head, proof := publish(t, n)
	broken := 0
	for document, text := range acks {
		issued, err := base64.StdEncoding.DecodeString(document)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			broken++ // the line that the kill cut
			continue
		}
		r, err := evidence.ParseReceipt(raw)
		if err != nil {
			broken++
			continue
		}
		if _, err := bridged(t, n, *r, head, proof).Check(issued, head.Trust(), time.Now()); err != nil {
			t.Fatalf("an acknowledged receipt: %v", err)
		}
	}
	if broken > 2 {
		t.Fatalf("%d lines cannot be read", broken)
	}
	t.Logf("%d receipts, 0 lost", len(acks)-broken)
}
