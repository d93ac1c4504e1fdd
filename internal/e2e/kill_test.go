package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilled ends the whole demo by SIGKILL at random moments, in its story and under requests, and starts it again on what is
// left, ten times. Every store must hold (fsck), what was acknowledged must still be so, above all a revocation, and the
// chain goes on. The seed is printed; DOJANG_TEST_SEED sets it.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DOJANG_TEST_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	k := &killing{t: t, data: filepath.Join(t.TempDir(), "data"), random: rand.New(rand.NewPCG(seed, 0))}
	good, bad := filepath.Join(t.TempDir(), "good"), filepath.Join(t.TempDir(), "bad")
	began := time.Now()
	r := startDemo(t, k.data)
	r.told("refused")
	k.window = max(2*time.Second, 3*time.Since(began)/2) // a slow machine needs longer to come to anything
	r.hand(good, "resident-id", "park-nuri")
	r.act("revoke", "--id", r.hand(bad, "resident-id", "seo-haru"))
	height := r.height()
	r.die()
	for round := range 10 {
		k.round(round)
	}
	last := startDemo(t, k.data)
	if now := last.height(); now <= height {
		t.Errorf("the chain stands at %v, it was at %v", now, height)
	}
	for _, id := range k.revoked {
		tenant, credential, _ := strings.Cut(id, ".")
		status, out := last.manage("issuer", http.MethodGet, "/v1/tenants/"+tenant+"/credentials/"+credential, nil)
		if status != http.StatusOK || out["state"] != "revoked" {
			t.Errorf("%s was acknowledged as revoked, now %d %v", id, status, out)
		}
	}
	healthy := func() bool { // within seconds, whatever the kill cost
		return last.present(bad, "x509_hash").Code == "REVOKED" && last.present(good, "x509_hash").Code == "VALID"
	}
	for deadline := time.Now().Add(30 * time.Second); !healthy(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after ten kills: revoked %+v, good %+v", last.present(bad, "x509_hash"), last.present(good, "x509_hash"))
		}
	}
	last.stop()
	checkFsck(t, k.data)
	t.Logf("%d offers made, %d revocations acknowledged, %d steps on hold", k.offers, len(k.revoked), k.held)
	if len(k.revoked) == 0 {
		t.Error("no round came as far as a revocation: the test shows little")
	}
}

type killing struct {
	t       *testing.T
	data    string
	random  *rand.Rand
	window  time.Duration
	offers  int
	held    int      // steps that ended on hold
	revoked []string // ids, acknowledged
}

// round starts the demo, works on it, and kills it within the window after the start.
func (k *killing) round(n int) {
	after := 50*time.Millisecond + time.Duration(k.random.Int64N(int64(k.window)))
	r := &running{t: k.t, data: k.data, cmd: dojang(k.t, "demo", "--data", k.data, "--json")}
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.log
	if err := r.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	done := make(chan struct{})
	time.AfterFunc(after, func() {
		_ = r.cmd.Process.Kill() // it may have ended by itself, which is seen below
		close(done)
	})
	k.work(r, done)
	<-done
	_ = r.cmd.Wait() // killed
	if !killed(r) {
		k.t.Fatalf("round %d, %v: it ended by itself: %v\n%s", n, after, r.cmd.ProcessState, r.log.String())
	}
	for line := range strings.Lines(r.stdout.String()) {
		var s stepLine
		if json.Unmarshal([]byte(line), &s) != nil {
			continue // cut short
		}
		switch {
		case s.OK && s.Step == "revoke":
			k.revoked = append(k.revoked, s.Detail["id"].(string))
		case s.OK:
		case s.Detail["decision"] == "on hold": // in the first seconds a node may still fetch the list that the kill cost it
			k.held++
		default:
			k.t.Errorf("round %d: step %s does not hold: %v\n%s", n, s.Step, s.Detail, r.log.String())
		}
	}
	out, err := dojang(k.t, "fsck", "--data", k.data, "--json").CombinedOutput()
	if err != nil {
		k.t.Fatalf("round %d, killed after %v: fsck: %v\n%s", n, after, err, out)
	}
}

// work makes offers and revokes them until the demo dies; only an answer counts.
func (k *killing) work(r *running, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(20 * time.Millisecond):
		}
		var d struct {
			PID    int
			Issuer struct {
				URL   string `json:"management_url"`
				Token string
			}
		}
		b, err := os.ReadFile(filepath.Join(k.data, "demo.json"))
		if err != nil || json.Unmarshal(b, &d) != nil || d.PID != r.cmd.Process.Pid {
			continue // not ready; or that of a demo that was killed
		}
		var offer struct{ ID string }
		if !ask(d.Issuer.URL+"/v1/tenants/gaon/offers", d.Issuer.Token, map[string]any{"type": "resident-id", "person": "han-gaon"}, &offer) {
			continue
		}
		k.offers++
		var changed map[string]any
		if ask(d.Issuer.URL+"/v1/tenants/gaon/credentials/"+offer.ID+"/status", d.Issuer.Token, map[string]any{"status": "revoked", "reason": "test"}, &changed) {
			k.revoked = append(k.revoked, "gaon."+offer.ID)
		}
	}
}

// ask posts and reports whether it was acknowledged.
func ask(url, token string, in, out any) bool {
	b, err := json.Marshal(in)
	if err != nil {
		return false
	}
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode/100 == 2 && json.NewDecoder(res.Body).Decode(out) == nil
}

func killed(r *running) bool {
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// die ends a demo without a goodbye; its demo.json stays and speaks of a dead process.
func (r *running) die() {
	r.t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = r.cmd.Wait()
}

// height of the chain, as its health tells it.
func (r *running) height() float64 {
	r.t.Helper()
	var health map[string]any
	r.get(r.party("registry", "url")+"/v1/health", &health)
	h, ok := health["height"].(float64)
	if !ok {
		r.t.Fatalf("health %v", health)
	}
	return h
}
