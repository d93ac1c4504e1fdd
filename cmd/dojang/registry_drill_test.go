package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// drillReport is the last line of a drill.
type drillReport struct {
	Seed         uint64 `json:"seed"`
	Validators   int    `json:"validators"`
	Faults       []struct{ Kind string }
	Acknowledged int     `json:"acknowledged"`
	P95          float64 `json:"commit_p95_ms"`
	Violations   int     `json:"violations"`
	History      string  `json:"history"`
}

func drilled(t *testing.T, args ...string) drillReport {
	t.Helper()
	t.Setenv(asDojang, "1")
	var out, log bytes.Buffer
	code := run(append([]string{"registry", "drill", "--json", "--data", filepath.Join(t.TempDir(), "drill")}, args...), &out, &log)
	if code != 0 {
		t.Fatalf("exit %d\n%s\n%s", code, out.String(), log.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last drillReport
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	return last
}

// TestDrillInNamespaces cuts a network of its own below the processes, as root.
func TestDrillInNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("hurts four processes for fifteen seconds")
	}
	if os.Getuid() != 0 {
		t.Skip("network namespaces need root; TestDrill cuts the same wires in user space")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("network namespaces need iproute2; TestDrill cuts the same wires in user space")
	}
	probe, err := newNamespaces(t.Context(), 1)
	if err != nil {
		t.Skip("network namespaces are not permitted here: ", err)
	}
	if err := probe.close(); err != nil {
		t.Fatal(err)
	}
	last := drilled(t, "--validators", "4", "--kill", "2", "--load", "20", "--seconds", "24", "--seed", "8", "--hold", "5s", "--faults", "partition",
		"--wires", "namespaces") // two nodes mute, then two halves
	if len(last.Faults) < 2 || last.Acknowledged < 50 || last.Violations != 0 {
		t.Fatalf("%+v", last)
	}
	t.Logf("%+v", last)
}

// TestPauseOfEverybody stops all processes at once, as when a host sleeps: what was handed in before, meanwhile or afterwards
// is dated after its submission.
func TestPauseOfEverybody(t *testing.T) {
	if testing.Short() {
		t.Skip("pauses four processes for six seconds")
	}
	last := drilled(t, "--validators", "4", "--kill", "4", "--load", "30", "--seconds", "10", "--seed", "5", "--hold", "6s", "--faults", "pause", "--wires", "proxies")
	if len(last.Faults) != 4 || last.Acknowledged < 50 || last.Violations != 0 {
		t.Fatalf("%+v", last)
	}
	t.Logf("%+v", last)
}

// TestDrill is a short drill; the whole matrix is run by hand (docs/operators/registry.md).
func TestDrill(t *testing.T) {
	if testing.Short() {
		t.Skip("hurts four processes for twenty seconds")
	}
	last := drilled(t, "--validators", "4", "--kill", "1", "--load", "20", "--seconds", "24", "--seed", "1", "--hold", "3s", "--wires", "proxies") // kill, pause, one node mute
	if last.Seed != 1 || last.Validators != 4 || len(last.Faults) < 2 || last.Acknowledged < 100 || last.Violations != 0 {
		t.Fatalf("%+v", last)
	}
	t.Logf("commit p95 is %.0f ms with one of four hurt", last.P95)
	if last.P95 > 5000 && os.Getenv("CI") != "true" { // no time gates CI
		t.Errorf("commit p95 is %.0f ms, more than 5 s", last.P95)
	}
	if raw, err := os.ReadFile(last.History); err != nil || bytes.Count(raw, []byte("\n")) < last.Acknowledged {
		t.Fatalf("history: %v", err)
	}
	t.Logf("%+v", last)
}

func TestDrillRefusesNonsense(t *testing.T) {
	var out, log bytes.Buffer
	for _, args := range [][]string{{"--kill", "5"}, {"--validators", "0"}, {"--faults", "earthquake"}, {"--seconds", "0"}} {
		if code := run(append([]string{"registry", "drill"}, args...), &out, &log); code != 2 {
			t.Errorf("%v: exit %d", args, code)
		}
	}
}
