package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDataDirectory: one process on a directory, for its owner alone; what a dead one left behind misleads nobody.
func TestDataDirectory(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o755); err != nil { // made by hand, open to others
		t.Fatal(err)
	}
	r := startDemo(t, data)
	before := r.describe()
	t.Run("the directory belongs to its owner", func(t *testing.T) {
		for _, name := range []string{".", "demo.json", "passphrase", "control.sock", "trust.json", ".dojang-demo", "issuer/issuer.db", "issuer/keys", "verifier/verifier.db"} {
			info, err := os.Stat(filepath.Join(data, name))
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v %v", name, info.Mode(), err)
			}
		}
		checkPrivate(t, data)
	})
	r.told("refused")
	for name, args := range map[string][]string{
		"a second demo":                  {"demo", "--data", data, "--json"},
		"a second demo, once":            {"demo", "--once", "--json", "--data", data},
		"a second demo that begins anew": {"demo", "--fresh", "--json", "--data", data},
		"fsck of a running store":        {"fsck", "--data", data, "--json"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if code, out := exitCode(t, args...); code != 2 || !strings.Contains(out, "in use") {
				t.Errorf("exit code %d: %s", code, out)
			}
			if after := r.describe(); after["pid"] != before["pid"] || after["control"] != before["control"] {
				t.Error("demo.json of the running demo changed")
			}
			var health map[string]any
			r.get(r.party("issuer", "url")+"/health", &health)
			r.act("offer", "--type", "resident-id", "--person", "han-gaon")
		})
	}
	t.Run("every person of demo.json has a resident ID to receive", func(t *testing.T) {
		people, _ := before["people"].([]any)
		for _, p := range people {
			id := p.(map[string]any)["id"].(string)
			if status, out := r.manage("issuer", http.MethodPost, "/v1/tenants/gaon/offers", map[string]any{"type": "resident-id", "person": id}); status != http.StatusCreated {
				t.Errorf("%s: %d %v", id, status, out)
			}
		}
	})
	r.die()
	t.Run("the demo.json of a dead demo answers nothing", func(t *testing.T) {
		if code, out := exitCode(t, "demo", "offer", "--data", data, "--type", "resident-id", "--person", "han-gaon"); code != 2 {
			t.Errorf("exit code %d: %s", code, out)
		}
		checkFsck(t, data)
	})
	t.Run("and is gone before the next one is ready", func(t *testing.T) {
		again := &running{t: t, data: data, cmd: dojang(t, "demo", "--data", data, "--json")}
		again.cmd.Stderr = &again.log
		if err := again.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(filepath.Join(data, "demo.json"))
			if err == nil && !strings.Contains(string(b), `"schema": 1`) {
				t.Fatalf("half a file: %s", b)
			}
			if err == nil && again.describe()["pid"] == float64(again.cmd.Process.Pid) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("not ready:\n%s", again.log.String())
			}
		}
		again.stop()
	})
}

// TestInterruptedFounding: a first start that ends in the middle leaves a directory that the next one goes on with.
func TestInterruptedFounding(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"found.begun", "found.written"} {
		t.Run(at, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			first := &running{t: t, data: data, cmd: dojang(t, "demo", "--data", data, "--listen", "localhost:0", "--json")}
			first.cmd.Stderr = &first.log
			first.cmd.Env = append(os.Environ(), "DOJANG_FAILPOINT="+at)
			if err := first.cmd.Run(); err == nil || !killed(first) {
				t.Fatalf("it was not killed: %v\n%s", err, first.log.String())
			}
			if code, out := exitCode(t, "demo", "--once", "--json", "--data", data); code != 0 {
				t.Errorf("exit code %d: %s", code, out)
			}
			checkFsck(t, data)
		})
	}
}

// TestTakenPort: a port of somebody else is named, and the directory is not bound to it.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data, port := filepath.Join(t.TempDir(), "data"), taken.Addr().(*net.TCPAddr).Port
	code, out := exitCode(t, "demo", "--once", "--data", data, "--listen", "localhost:"+strconv.Itoa(port))
	if code != 2 || !strings.Contains(out, "port "+strconv.Itoa(port)+" of this machine is taken") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(data, "ports.json")); err == nil {
		t.Error("the directory is bound to a port that it never had")
	}
}
