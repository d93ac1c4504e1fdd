package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// builds is where binary puts what it builds; TestMain makes and removes it.
var builds string

func TestMain(m *testing.M) {
	var err error
	if builds, err = os.MkdirTemp("", "dojang-e2e-"); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(builds)
	os.Exit(code)
}

// binary builds the product once for all tests of the package.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(builds, "dojang")
	cmd := exec.Command("go", "build", "-o", path, module+"/cmd/dojang")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// dojang is a command of the product, with a deadline.
func dojang(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, args...)
}

// output runs a command that must succeed and decodes the one JSON line that it prints.
func output(t *testing.T, v any, args ...string) {
	t.Helper()
	cmd := dojang(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dojang %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("dojang %s printed %q: %v", strings.Join(args, " "), out, err)
	}
}

type stepLine struct {
	Step   string
	OK     bool
	MS     int64
	Detail map[string]any
}

// TestStory is the contract of `demo --once --json`: every step, in order, and nothing else on standard output.
func TestStory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cmd := dojang(t, "demo", "--once", "--json", "--data", data, "--listen", "localhost:0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("exit: %v\n%s", err, stderr.String())
	}
	var steps []string
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		var s stepLine
		if err := json.Unmarshal(scan.Bytes(), &s); err != nil {
			t.Fatalf("not a JSON line: %q", scan.Text())
		}
		t.Logf("%-9s ok=%v %4d ms %v", s.Step, s.OK, s.MS, s.Detail)
		steps = append(steps, s.Step)
		if !s.OK {
			t.Errorf("step %s does not hold: %v", s.Step, s.Detail)
		}
		checkStep(t, s)
	}
	want := []string{"registry", "import", "issue", "present", "verify", "revoke", "refused", "outage", "stale", "restore"}
	if !slices.Equal(steps, want) {
		t.Errorf("steps %v, want %v", steps, want)
	}
	if cmd.ProcessState != nil {
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			t.Logf("peak RSS %d MB", usage.Maxrss/1024)
		}
	}
	checkPrivate(t, data)
	checkFsck(t, data)
}

// checkStep holds the details that the contract names.
func checkStep(t *testing.T, s stepLine) {
	t.Helper()
	code := map[string]string{"refused": "REVOKED", "outage": "VALID", "stale": "STATUS_STALE", "verify": "VALID", "restore": "VALID"}
	if want, ok := code[s.Step]; ok && s.Detail["code"] != want {
		t.Errorf("step %s: code %v, want %s", s.Step, s.Detail["code"], want)
	}
	if s.Step == "outage" && (s.Detail["connections"] != float64(0) || s.Detail["status_as_of"] == nil || s.Detail["revoked"] != "REVOKED") {
		t.Errorf("outage: %v", s.Detail)
	}
	if s.Step == "stale" && s.Detail["revoked"] != "REVOKED" {
		t.Errorf("stale: a revoked credential must stay refused: %v", s.Detail)
	}
}

// checkPrivate: data, keys and tokens are readable by the owner alone.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 && !insidePrivate(t, dir, path) {
			t.Errorf("%s has mode %v", strings.TrimPrefix(path, dir), info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// insidePrivate: files of the engine keep its own modes, in a folder that only the owner can enter.
func insidePrivate(t *testing.T, root, path string) bool {
	t.Helper()
	for dir := filepath.Dir(path); len(dir) > len(root); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o077 == 0 {
			return true
		}
	}
	return false
}

func checkFsck(t *testing.T, data string) {
	t.Helper()
	out, err := dojang(t, "fsck", "--data", data, "--json").CombinedOutput()
	if err != nil {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	rows := 0
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); rows++ {
		var row struct {
			ID                  string
			Checked, Violations int64
		}
		if err := json.Unmarshal(scan.Bytes(), &row); err != nil {
			t.Fatalf("fsck printed %q", scan.Text())
		}
		if row.Violations != 0 {
			t.Errorf("fsck %s: %d violations", row.ID, row.Violations)
		}
		t.Logf("fsck %s: %d checked", row.ID, row.Checked)
	}
	if rows < 5 {
		t.Errorf("fsck printed only %d rows", rows)
	}
}

// running is a demo that goes on in the background.
type running struct {
	t      *testing.T
	data   string
	cmd    *exec.Cmd
	stdout heap
	log    heap
}

func startDemo(t *testing.T, data string, flags ...string) *running {
	t.Helper()
	r := &running{t: t, data: data, cmd: dojang(t, append([]string{"demo", "--data", data, "--listen", "localhost:0", "--json"}, flags...)...)}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.log
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(filepath.Join(data, "demo.json")); err == nil {
			var d struct{ PID int } // another's, when the demo before was killed
			if json.Unmarshal(b, &d) == nil && d.PID == r.cmd.Process.Pid {
				return r
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo is not ready:\n%s", r.log.String())
		}
	}
}

// A heap is what a process has printed so far.
type heap struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (h *heap) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

func (h *heap) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

// told waits until the story has told a step, which must hold.
func (r *running) told(step string) {
	r.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(r.stdout.String()) {
			var s stepLine
			if err := json.Unmarshal([]byte(line), &s); err == nil && s.Step == step && s.OK {
				return
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("the story did not come to %s:\n%s%s", step, r.stdout.String(), r.log.String())
		}
	}
}

// describe reads demo.json by the names of the contract.
func (r *running) describe() map[string]any {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.data, "demo.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(b, &d); err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *running) stop() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Wait(); err != nil {
		r.t.Errorf("Ctrl-C did not end it cleanly: %v\n%s", err, r.log.String())
	}
	if _, err := os.Stat(filepath.Join(r.data, "demo.json")); err == nil {
		r.t.Error("demo.json is still there after a clean stop")
	}
}

// demo runs a command against the running demo.
func (r *running) demo(v any, args ...string) {
	r.t.Helper()
	output(r.t, v, append([]string{"demo", args[0], "--data", r.data, "--json"}, args[1:]...)...)
}

// TestDemo speaks to a running demo by its commands, as a script would, over two starts on the same data.
func TestDemo(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r := startDemo(t, data)
	d := r.describe()
	if d["schema"] != float64(1) || d["pid"] != float64(r.cmd.Process.Pid) {
		t.Errorf("demo.json: schema %v, pid %v", d["schema"], d["pid"])
	}
	people, _ := d["people"].([]any)
	if first, _ := people[0].(map[string]any); first["id"] != "han-gaon" || first["name"] != "한가온" {
		t.Errorf("demo.json: the first person is %v", people[0])
	}
	for _, a := range d["trust_anchors"].([]any) {
		if _, err := os.Stat(a.(string)); err != nil || !filepath.IsAbs(a.(string)) {
			t.Errorf("trust anchor %v: %v", a, err)
		}
	}

	wallet := filepath.Join(t.TempDir(), "wallet")
	var offer struct {
		URI    string `json:"credential_offer_uri"`
		TxCode string `json:"tx_code"`
		ID     string
	}
	r.demo(&offer, "offer", "--type", "resident-id", "--person", "park-nuri", "--tx-code")
	if !strings.HasPrefix(offer.URI, "openid-credential-offer://?") || offer.TxCode == "" {
		t.Fatalf("offer: %+v", offer)
	}
	var received struct {
		ID     string
		Copies int
	}
	output(t, &received, "wallet", "receive", "--data", data, "--wallet", wallet, "--json", "--tx-code", offer.TxCode, offer.URI)
	if received.Copies != 10 {
		t.Errorf("%d copies", received.Copies)
	}
	for _, prefix := range []string{"x509_hash", "decentralized_identifier", "x509_san_dns"} {
		if got := r.present(wallet, prefix); got.Code != "VALID" || got.Decision != "confirmed" || got.Claims["resident"]["age_over_19"] != true || got.Receipt == "" {
			t.Errorf("%s: %+v", prefix, got)
		}
	}

	var changed map[string]any
	for _, step := range []struct{ act, code string }{{"suspend", "SUSPENDED"}, {"lift", "VALID"}, {"renewal", "VALID"}, {"lift", "VALID"}} {
		r.demo(&changed, step.act, "--id", offer.ID)
		if got := r.present(wallet, "x509_hash"); got.Code != step.code && !(step.act == "renewal" && got.Decision == "confirmed") {
			t.Errorf("after %s: %s", step.act, got.Code)
		}
	}
	r.demo(&changed, "revoke", "--id", offer.ID)
	if got := r.present(wallet, "x509_hash"); got.Code != "REVOKED" || got.Decision != "not confirmed" {
		t.Errorf("after revoke: %+v", got)
	}

	for _, part := range []string{"issuer", "status", "registry"} {
		r.demo(&changed, "down", part)
		u, err := url.Parse(d[part].(map[string]any)["url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := net.Dial("tcp", u.Host); err == nil {
			c.Close()
			t.Errorf("%s still accepts connections", part)
		}
	}
	for _, part := range []string{"registry", "status", "issuer"} {
		r.demo(&changed, "up", part)
	}
	r.stop()

	again := startDemo(t, data)
	if got := again.describe()["issuer"].(map[string]any)["url"]; got != d["issuer"].(map[string]any)["url"] {
		t.Errorf("the second start serves %v, the first %v", got, d["issuer"])
	}
	if got := again.present(wallet, "x509_hash"); got.Code != "REVOKED" {
		t.Errorf("after a restart the revoked credential is %s", got.Code)
	}
	again.stop()
}

type result struct {
	State, Decision, Code string
	Claims                map[string]map[string]any
	StatusAsOf            string `json:"status_as_of"`
	Receipt               string
}

// present makes a request, answers it with the wallet and returns what the verifier decided.
func (r *running) present(wallet, prefix string) result {
	r.t.Helper()
	var request struct {
		URI string `json:"request_uri"`
		ID  string
	}
	r.demo(&request, "request", "--policy", "adult-check", "--client-id-prefix", prefix)
	if !strings.HasPrefix(request.URI, "openid4vp://?") {
		r.t.Fatalf("request: %+v", request)
	}
	out, err := dojang(r.t, "wallet", "present", "--data", r.data, "--wallet", wallet, "--json", "--yes", request.URI).CombinedOutput()
	if err != nil {
		r.t.Logf("wallet present: %v %s", err, out) // a refused presentation ends with 1; the verifier says why
	}
	var got result
	r.demo(&got, "result", "--id", request.ID)
	if got.State != "judged" {
		r.t.Errorf("state %q", got.State)
	}
	return got
}

// TestExitCodes: 2 for what could not run, and a directory that is not ours is left alone.
func TestExitCodes(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("years of work"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"foreign directory":   {"demo", "--once", "--fresh", "--data", foreign},
		"no demo is running":  {"demo", "result", "--id", "x", "--data", filepath.Join(t.TempDir(), "none")},
		"unknown command":     {"dance"},
		"not on loopback":     {"demo", "--listen", "0.0.0.0:8600", "--data", filepath.Join(t.TempDir(), "x")},
		"fsck of nothing":     {"fsck", "--data", filepath.Join(t.TempDir(), "none")},
		"malformed listening": {"demo", "--listen", "here", "--data", filepath.Join(t.TempDir(), "y")},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := dojang(t, args...)
			err := cmd.Run()
			if cmd.ProcessState.ExitCode() != 2 {
				t.Errorf("exit code %d (%v), want 2", cmd.ProcessState.ExitCode(), err)
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(foreign, "thesis.txt")); err != nil || string(b) != "years of work" {
		t.Error("a directory that is not ours was touched")
	}
}
