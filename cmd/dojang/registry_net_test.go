package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// asDojang makes the test binary the command itself: what the operator's page calls dojang.
const asDojang = "DOJANG_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asDojang) == "1" {
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// shellBlocks are the sh blocks of a page.
func shellBlocks(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	parts := strings.Split(string(raw), "```")
	for i := 1; i < len(parts); i += 2 {
		if text, ok := strings.CutPrefix(parts[i], "sh\n"); ok {
			out = append(out, text)
		}
	}
	return out
}

// operatorShell runs commands of a page in a folder, and ends what they left running.
type operatorShell struct {
	t    *testing.T
	dir  string
	port int
}

func newOperatorShell(t *testing.T) *operatorShell {
	t.Helper()
	s := &operatorShell{t: t, dir: t.TempDir(), port: loopbackPorts(t)}
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err == nil {
		err = os.Symlink(self, filepath.Join(bin, "dojang"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// loopbackPorts finds four consecutive ports that are free on the loopback addresses of the page.
func loopbackPorts(t *testing.T) int {
	t.Helper()
	for base := 20000 + os.Getpid()%20000; base < 60000; base += 4 {
		free := true
		for i := 1; i <= 5 && free; i++ {
			for p := range 4 {
				ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.%d:%d", i, base+p))
				if err != nil {
					free = false
					break
				}
				ln.Close()
			}
		}
		if free {
			return base
		}
	}
	t.Fatal("no free ports")
	return 0
}

// run executes a block; each command must succeed. What it starts in the background ends with the test.
func (s *operatorShell) run(script string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-e")
	cmd.Stdin = strings.NewReader(script)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), asDojang+"=1", "DOJANG_REGISTRY_PORT="+strconv.Itoa(s.port), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.CreateTemp(s.dir, "out")
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out // files: background processes hold no pipe open
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	group := -cmd.Process.Pid
	s.t.Cleanup(func() {
		_ = syscall.Kill(group, syscall.SIGTERM)
		for range 100 {
			if syscall.Kill(group, 0) != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		_ = syscall.Kill(group, syscall.SIGKILL)
	})
	err = cmd.Wait()
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		s.t.Fatalf("%v\n%s\n%s", err, text, s.logs())
	}
	return string(text)
}

func (s *operatorShell) logs() string {
	var all bytes.Buffer
	names, _ := filepath.Glob(filepath.Join(s.dir, "net", "*.log"))
	for _, name := range names {
		raw, _ := os.ReadFile(name)
		fmt.Fprintf(&all, "%s: %s\n", filepath.Base(name), raw[max(0, len(raw)-2000):])
	}
	return all.String()
}

// status asks nodes by the command.
func (s *operatorShell) status(homes ...string) []nodeStatus {
	s.t.Helper()
	text := s.run("dojang registry status --json " + strings.Join(homes, " "))
	var out []nodeStatus
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var st nodeStatus
		if err := json.Unmarshal([]byte(line), &st); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, st)
	}
	return out
}

// submit has an operation executed through node 1: a state to make a snapshot of.
func (s *operatorShell) submit() {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "net", "network.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := parseNetwork(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	key := registrytest.NewKey(s.t, registry.RoleOp)
	next := key.Public.Hash()
	op, err := registry.Operation{Network: "trial", ChainID: "trial-1",
		Body: &registry.CreateBody{Op: key.Public, Next: registry.HashOf(next[:]), Recovery: registry.HashOf([]byte("recovery"))}}.Sign(key)
	if err != nil {
		s.t.Fatal(err)
	}
	body, err := light.EncodeOperations([][]byte{op})
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.Post(n.Cards[0].URL+"/v1/operations", light.TypeOperations, bytes.NewReader(body))
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%v %v", res, err)
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if out, err := light.DecodeOutcomes(answer, 1); err != nil || out[0].Code != string(registry.CodeOK) {
		s.t.Fatalf("%+v %v", out, err)
	}
	for _, c := range n.Cards { // whoever is asked for it has it
		for range 100 {
			if res, err := http.Get(c.URL + "/v1/snapshots/latest"); err == nil && res.StatusCode == http.StatusOK {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// TestOperatorsPage runs the commands of docs/operators/registry.md, exactly.
func TestOperatorsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	blocks := shellBlocks(t, filepath.Join("..", "..", "docs", "operators", "registry.md"))
	if len(blocks) < 2 {
		t.Fatal("the page has lost its commands")
	}
	s := newOperatorShell(t)
	t.Run("four agencies in four commands", func(t *testing.T) {
		if n := strings.Count(strings.TrimSpace(blocks[0]), "\n") + 1; n != 4 {
			t.Fatalf("%d commands", n)
		}
		s.run(blocks[0])
		for _, st := range s.status("net/1", "net/2", "net/3", "net/4") {
			if st.Health.Status != "ok" || len(st.Peers) != 3 || len(st.Validators) != 4 || st.Health.Height < 3 {
				t.Errorf("%+v", st)
			}
		}
	})
	t.Run("a fifth node joins by state sync", func(t *testing.T) {
		s.submit()
		if text := s.run(blocks[1]); !strings.Contains(text, "holds the state of height") {
			t.Fatalf("no state sync: %s", text)
		}
		st := s.status("net/5")[0]
		if st.Health.Status != "ok" || len(st.Peers) != 4 || len(st.Validators) != 4 {
			t.Fatalf("%+v", st)
		}
		for _, v := range st.Validators {
			if v.Self {
				t.Error("a newcomer is no validator")
			}
		}
	})
	t.Run("a stranger's node is refused", func(t *testing.T) {
		s.port++ // of 127.0.0.5 are four taken
		s.port += 3
		s.run("dojang registry init net/6 --host 127.0.0.6 --generate-passphrase; dojang registry join net/6 --network net/network.json --trust net/trust.json; dojang registry start net/6 2>net/6.log &\nsleep 4")
		if text := s.run("dojang registry status net/6 --json || true"); strings.Contains(text, `"status":"ok"`) {
			t.Fatalf("a node that nobody admitted has connected: %s", text)
		}
		for _, st := range s.status("net/1", "net/5") {
			if len(st.Peers) != 4 {
				t.Errorf("%s has %d peers", st.Home, len(st.Peers))
			}
		}
	})
}
