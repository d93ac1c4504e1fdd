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
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
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
	t      *testing.T
	dir    string
	port   int
	groups []int // process groups that may still run
}

func newOperatorShell(t *testing.T) *operatorShell {
	t.Helper()
	s := &operatorShell{t: t, dir: t.TempDir(), port: loopbackPorts(t)}
	t.Cleanup(s.end)
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
	s.groups = append(s.groups, group)
	err = cmd.Wait()
	text, _ := os.ReadFile(out.Name())
	if err != nil {
		s.t.Fatalf("%v\n%s\n%s", err, text, s.logs())
	}
	return string(text)
}

// end ends all that still runs.
func (s *operatorShell) end() {
	for _, group := range s.groups {
		_ = syscall.Kill(group, syscall.SIGTERM)
	}
	for _, group := range s.groups {
		for i := 0; syscall.Kill(group, 0) == nil; i++ {
			if i == 100 {
				_ = syscall.Kill(group, syscall.SIGKILL)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	s.groups = nil
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

// network is the network file of the page.
func (s *operatorShell) network() networkFile {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "net", "network.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := parseNetwork(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// get is a page or an answer of a node's public face, once it is there.
func get(url string) (status int, body string) {
	res, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(raw)
}

// snapshots waits until the founders that live have one for a newcomer.
func (s *operatorShell) snapshots() {
	s.t.Helper()
	for _, c := range s.network().Cards[:3] {
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if status, _ := get(c.URL + "/v1/snapshots/latest"); status == http.StatusOK {
				break
			}
			if time.Now().After(end) {
				s.t.Fatalf("%s has no snapshot", c.URL)
			}
		}
	}
}

// explorer checks that a page of two nodes' explorers shows something, in both languages.
func (s *operatorShell) explorer(path string, words ...string) {
	s.t.Helper()
	for i, lang := range []string{"ko", "en"} {
		url := s.network().Cards[i].URL + "/" + lang + path
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			status, body := get(url)
			missing := slices.DeleteFunc(append([]string{`<html lang="` + lang + `"`}, words...), func(w string) bool { return strings.Contains(body, w) })
			if status == http.StatusOK && len(missing) == 0 {
				break
			}
			if time.Now().After(end) {
				s.t.Errorf("%s: %d, %q are not on it", url, status, missing)
				break
			}
		}
	}
}

// kill ends the process of a node at once, as a power cut does.
func (s *operatorShell) kill(home string) {
	s.t.Helper()
	killed := 0
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range names {
		raw, _ := os.ReadFile(name) // gone meanwhile
		if cwd, _ := os.Readlink(filepath.Join(filepath.Dir(name), "cwd")); cwd != s.dir || !bytes.Contains(raw, []byte("start\x00"+home+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		killed++
	}
	if killed != 1 {
		s.t.Fatalf("%d processes run on %s", killed, home)
	}
}

// off ends all that the page has started: nothing answers any more.
func (s *operatorShell) off() {
	s.t.Helper()
	s.end()
	for _, c := range s.network().Cards {
		if status, _ := get(c.URL + "/v1/health"); status != 0 {
			s.t.Errorf("%s answers", c.URL)
		}
	}
}

// TestOperatorsPage runs the commands of docs/operators/registry.md, exactly, in their order: four agencies found a network, a
// member is added, its node joins, an issuer is accredited and suspended, all while one validator is dead, and what the
// chain proved is checked with everything off.
func TestOperatorsPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	blocks := shellBlocks(t, filepath.Join("..", "..", "docs", "operators", "registry.md"))
	if len(blocks) != 9 {
		t.Fatalf("the page has %d blocks of commands", len(blocks))
	}
	s := newOperatorShell(t)
	step := func(name string, f func(t *testing.T)) {
		if ok := t.Run(name, func(t *testing.T) {
			outer := s.t
			s.t = t
			defer func() { s.t = outer }()
			f(t)
		}); !ok {
			t.FailNow()
		}
	}
	step("four agencies in four commands", func(t *testing.T) {
		if n := strings.Count(strings.TrimSpace(blocks[0]), "\n") + 1; n != 4 {
			t.Fatalf("%d commands", n)
		}
		s.run(blocks[0])
		for _, st := range s.status("net/1", "net/2", "net/3", "net/4") {
			if st.Health.Status != "ok" || len(st.Peers) != 3 || len(st.Validators) != 4 || st.Health.Height < 3 {
				t.Errorf("%+v", st)
			}
		}
		s.explorer("/governance", "agency-1", "agency-4")
		s.explorer("/validators", "agency-1", "agency-4")
	})
	s.kill("net/4")
	step("a member is added by votes", func(t *testing.T) {
		text := s.run(blocks[1])
		for _, want := range []string{"add the member agency-5 (기관 5, Agency 5)", "voting", "approved", "executed", "3 of 3 votes for it: agency-1, agency-2, agency-3"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		s.explorer("/proposals/1", "agency-1", "agency-2", "agency-3", "agency-5")
		s.explorer("/governance", "agency-5")
	})
	step("its node joins by state sync", func(t *testing.T) {
		s.snapshots()
		if text := s.run(blocks[2]); !strings.Contains(text, "holds the state of height") {
			t.Fatalf("no state sync: %s", text)
		}
		st := s.status("net/5")[0]
		if st.Health.Status != "ok" || len(st.Peers) != 3 || len(st.Validators) != 4 {
			t.Fatalf("%+v", st)
		}
		for _, v := range st.Validators {
			if v.Self {
				t.Error("a newcomer is no validator")
			}
		}
	})
	var did, id string
	step("an issuer is accredited by votes, the new member's among them", func(t *testing.T) {
		if text := s.run(blocks[3]); !strings.Contains(text, "3 of 3 votes for it: agency-1, agency-3, agency-5") || !strings.Contains(text, "is in force") {
			t.Errorf("%s", text)
		}
		raw, err := os.ReadFile(filepath.Join(s.dir, "net", "gaon", "did.txt"))
		if err != nil {
			t.Fatal(err)
		}
		did = strings.TrimSpace(string(raw))
		id = did[strings.LastIndex(did, ":")+1:]
		s.explorer("/dids/"+id, did)
		s.explorer("/proposals/2", id, "agency-5")
		s.explorer("/accreditations", id)
	})
	step("and suspended, one vote from a machine without network", func(t *testing.T) {
		text := s.run(blocks[4])
		for _, want := range []string{"signed by nobody yet", "signed by agency-3", "3 of 3 votes for it: agency-1, agency-3, agency-2", "executed", "is suspended, since block"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		s.refused("dojang registry vote net/3 3 yes", "1", "proposal 3 is closed: executed")
		s.refused("dojang registry vote net/5 99 yes", "1", "no such proposal")
		s.explorer("/proposals/3", id)
		s.explorer("/accreditations/"+id+"/urn:dojang:kr:resident-id:1/1", id, "/proposals/3")
	})
	step("an emergency, and its confirmation", func(t *testing.T) {
		text := s.run(blocks[5])
		for _, want := range []string{"signed by agency-1, agency-2", "done: suspend the key " + did + "#assertion-1 at once", "proposal 4: declare the key " + did + "#assertion-1 compromised from"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		s.explorer("/emergencies", id, "assertion-1")
		s.explorer("/proposals", "/proposals/1", "/proposals/2", "/proposals/3", "/proposals/4")
		s.refused("dojang registry emergency suspend net/1 "+did+"#assertion-1", "2", "2 members sign an emergency suspension")
		s.refused("dojang registry propose threshold net/1 1", "1", "not a threshold that these members may have")
		s.refused("dojang registry propose params net/1 --time-lock 1s", "1", "a parameter is out of bounds")
		s.refused("dojang registry propose params net/1", "2", "say what shall change")
		s.refused("dojang registry propose accredit net/1 did:dojang:other:1 resident-id", "2", "not an identifier of this network: did:dojang:trial:")
		s.refused("dojang registry proposals net/4", "2", "does not answer; give a trust file")
		s.refused("dojang registry vote net/3 4 yes", "2", "the governance key is not in this home")
		s.refused("dojang registry vote net/4 4 yes --trust net/trust.json", "0", "2 of 3 votes for it: agency-1, agency-4") // its node is dead, its vote counts
	})
	step("parameters change by votes", func(t *testing.T) {
		text := s.run("dojang registry propose params net/1 --heartbeat 2s --quota-operations 5000\nfor i in 2 5; do dojang registry vote net/$i 5 yes; done\ndojang registry proposals net/1 5 --wait")
		for _, want := range []string{"set quota_operations to 5000 operations, heartbeat_ms to 2s", "executed"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		s.explorer("/governance", "/proposals/5", " → 2")
	})
	step("the one that was dead all the while catches up", func(t *testing.T) {
		height := s.status("net/1")[0].Health.Height
		s.run(fmt.Sprintf("dojang registry start net/4 2>>net/4.log &\ndojang registry status net/4 --wait %d", height))
		if text := s.run("dojang registry proposals net/4 3"); !strings.Contains(text, "executed") {
			t.Error(text)
		}
	})
	step("readers follow bundles that members sign", func(t *testing.T) {
		if text := s.run(blocks[7]); !strings.Contains(text, "signed by: agency-1 agency-3 agency-5") || !strings.Contains(text, "0 more signatures are wanted") {
			t.Errorf("%s", text)
		}
		if trust, b, err := readTrust(filepath.Join(s.dir, "net", "reader.json")); err != nil || b == nil || trust.Number != 2 || len(b.Members) != 5 {
			t.Errorf("%+v %v", trust, err)
		}
		s.run("dojang registry trust publish net/1 net/bundle-2.json") // twice is once
		s.run("dojang registry trust export net/1 net/other.json")
		s.refused("dojang registry trust publish net/1 net/other.json", "1", "not the next trust bundle")
	})
	step("a receipt holds with a published head", func(t *testing.T) {
		if text := s.run(blocks[8]); !strings.Contains(text, "the document existed at") {
			t.Errorf("%s", text)
		}
	})
	step("a stranger's node is refused", func(t *testing.T) {
		s.port += 4 // of 127.0.0.5 are four taken
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
	step("checked with everything off", func(t *testing.T) {
		s.off()
		text := s.run(blocks[6])
		for _, want := range []string{"It holds: proven by block", "is in force", "is suspended, since block", "agency-3 voted for proposal 3"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in %s", want, text)
			}
		}
		path := filepath.Join(s.dir, "net", "suspended.cbor")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		raw[len(raw)-40] ^= 1
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		s.refused("dojang verify evidence net/suspended.cbor --trust net/trust.json", "1", "check failed")
		checkOwnerOnly(t, filepath.Join(s.dir, "net"))
	})
}

// refused checks that a command ends with a code, and says why.
func (s *operatorShell) refused(command, code, says string) {
	s.t.Helper()
	if got, text := s.exit(command); got != code || !strings.Contains(text, says) {
		s.t.Errorf("%s: exit %s: %s", command, got, text)
	}
}

// checkOwnerOnly: keys, tokens, votes and passphrases are for the operator alone.
func checkOwnerOnly(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"*/governance/*", "*/keys/*", "*/passphrase", "*/management.token", "*/validator_*.json", "*/node_key.json", "*.json", "*.cbor"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
		}
	}
}
