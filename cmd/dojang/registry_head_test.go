package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/registry/rfc3161/tsatest"
)

// oneNode is a network of one member in s.dir/net, running.
func (s *operatorShell) oneNode() {
	s.t.Helper()
	s.run(`dojang registry init net/1 --member agency-1 --name-en "Agency 1" --generate-passphrase
dojang registry genesis net/network.json net/1/card.json --network trial --heartbeat 200ms --time-lock 0s
dojang registry start net/1 --network net/network.json 2>net/1.log &
echo $! >net/1.pid
dojang registry status net/1 --wait 3`)
}

// stop ends the node of oneNode.
func (s *operatorShell) stop() {
	s.t.Helper()
	s.run(`kill $(cat net/1.pid); while kill -0 $(cat net/1.pid) 2>/dev/null; do sleep 0.1; done`)
}

// exit is the exit code of a command, and what it said.
func (s *operatorShell) exit(command string) (code string, text string) {
	s.t.Helper()
	text = s.run(command + ` && echo "exit=0" || echo "exit=$?"`)
	at := strings.LastIndex(text, "exit=")
	return strings.TrimSpace(text[at+5:]), text[:at]
}

// authority serves a time stamp authority, with its root in a file.
func authority(t *testing.T, name, dir string, cfg tsatest.Config) (flags string) {
	t.Helper()
	a := tsatest.New(t, cfg)
	srv := httptest.NewServer(a.Handler())
	t.Cleanup(srv.Close)
	root := filepath.Join(dir, name+".pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Root.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--tsa " + srv.URL + " --tsa-root " + root
}

func TestHeadsAndReceipts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newOperatorShell(t)
	url := fmt.Sprintf("http://127.0.0.1:%d", s.port+1)
	stamps := authority(t, "tsa", s.dir, tsatest.Config{})
	s.oneNode()
	s.run(`echo "deed of a house" >deed.pdf; echo "another" >other.pdf
dojang registry anchor net/1 deed.pdf other.pdf
dojang registry head export net/1 heads ` + stamps + `
cp heads/head-*.json head.json; cp heads/head-*.cbor head.cbor; cp heads/head-*.tsr head.tsr; cp heads/head-*.txt head.txt; ls heads`)
	t.Run("the notice is for people, in both languages", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(s.dir, "head.txt"))
		if err != nil || !strings.Contains(string(text), "도장 원장 공고") || !strings.Contains(string(text), "Dojang ledger: published head") {
			t.Fatalf("%v\n%s", err, text)
		}
	})
	t.Run("a receipt alone does not hold under a later head", func(t *testing.T) {
		code, text := s.exit("dojang verify receipt deed.pdf.receipt --head head.json --document deed.pdf 2>&1")
		if code != "1" || !strings.Contains(text, "head bridge") {
			t.Fatalf("exit %s: %s", code, text)
		}
	})
	s.run("dojang registry head bridge head.json deed.pdf.receipt other.pdf.receipt --node " + url)
	for name, cfg := range map[string]tsatest.Config{
		"wrong nonce":         {Lie: func(a *tsatest.Answer) { a.Nonce.Add(a.Nonce, a.Nonce) }},
		"wrong imprint":       {Lie: func(a *tsatest.Answer) { a.Digest[7] ^= 1 }},
		"wrong EKU":           {Certificate: func(c *x509.Certificate) { c.ExtraExtensions = nil }},
		"expired certificate": {Certificate: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }},
		"clock behind":        {Now: func() time.Time { return time.Now().Add(-10 * time.Minute) }},
		"refusal":             {Status: 2},
	} {
		t.Run("a hostile authority: "+name, func(t *testing.T) {
			flags := authority(t, strings.ReplaceAll(name, " ", "-"), s.dir, cfg)
			code, text := s.exit("dojang registry head export net/1 hostile " + flags + " 2>&1")
			if code != "1" || !strings.Contains(text, "time stamp authority") {
				t.Fatalf("exit %s: %s", code, text)
			}
			if left, _ := filepath.Glob(filepath.Join(s.dir, "hostile", "*")); len(left) > 0 {
				t.Fatalf("something was written: %v", left)
			}
		})
	}
	t.Run("an authority that answers with a page", func(t *testing.T) {
		srv := httptest.NewServer(http.NotFoundHandler())
		defer srv.Close()
		code, text := s.exit("dojang registry head stamp head.json --tsa " + srv.URL + " --tsa-root tsa.pem 2>&1")
		if code != "2" || !strings.Contains(text, "exists") { // head.tsr
			t.Fatalf("exit %s: %s", code, text)
		}
		code, text = s.exit("cp head.json h2.json; dojang registry head stamp h2.json --tsa " + srv.URL + " --tsa-root tsa.pem 2>&1")
		if code != "2" || !strings.Contains(text, "status 404") {
			t.Fatalf("exit %s: %s", code, text)
		}
	})
	t.Run("H14 a published head restores trust that has expired", func(t *testing.T) {
		s.run("dojang registry trust export net/1 bundle.json >/dev/null")
		b, err := readBundle(filepath.Join(s.dir, "bundle.json"))
		if err != nil {
			t.Fatal(err)
		}
		expired := b.Trust
		expired.Expires, expired.Height, expired.Hash, expired.Time = time.Now().Add(-time.Hour).Truncate(time.Second), 1, [32]byte{1}, time.Now().Add(-2*time.Hour)
		raw, err := expired.Marshal()
		if err == nil {
			err = writeFile(filepath.Join(s.dir, "reader.json"), raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		ask := "dojang registry evidence net/1 %s --trust reader.json --rules 2>&1"
		if code, text := s.exit(fmt.Sprintf(ask, "no.cbor")); code == "0" {
			t.Fatalf("expired trust was believed: %s", text)
		}
		s.run("dojang registry trust import reader.json --head head.json --node " + url)
		s.run(fmt.Sprintf(ask, "yes.cbor") + "; dojang verify evidence yes.cbor --trust reader.json")
		if code, _ := s.exit("dojang registry trust import reader.json --head head.json --node " + url + " 2>&1"); code != "1" { // not newer
			t.Fatalf("exit %s", code)
		}
		bundle := *b // and a reader of bundles follows them on
		bundle.Trust = expired
		for _, name := range []string{"reader.json", "prev.json"} {
			if err := writeBundle(filepath.Join(s.dir, name), &bundle); err != nil {
				t.Fatal(err)
			}
		}
		s.run("dojang registry trust import reader.json --head head.json --node " + url)
		trust, kept, err := readTrust(filepath.Join(s.dir, "reader.json"))
		if err != nil || kept == nil || kept.Number != 1 || kept.Height != 1 || trust.Height == 1 {
			t.Fatalf("%+v %+v %v", trust, kept, err)
		}
		s.run(`dojang verify evidence yes.cbor --trust reader.json
dojang registry trust export net/1 next.json --prev prev.json && dojang registry trust sign net/1 next.json --prev prev.json
dojang registry trust import reader.json next.json`)
		if _, kept, err = readTrust(filepath.Join(s.dir, "reader.json")); err != nil || kept.Number != 2 {
			t.Fatalf("%+v %v", kept, err)
		}
	})
	s.stop()
	t.Run("offline: the head and its stamp", func(t *testing.T) {
		if text := s.run("dojang verify head head.json --stamp head.tsr --tsa-root tsa.pem"); !strings.Contains(text, "The time stamp holds") {
			t.Fatal(text)
		}
		s.run(`sed 's/"height": \([0-9]\)/"height": 1\1/' head.json >forged.json`)
		for _, command := range []string{
			"dojang verify head forged.json --stamp head.tsr --tsa-root tsa.pem",
			"dojang verify head head.json --stamp head.tsr --tsa-root refusal.pem",
			"dojang verify head head.json --stamp head.cbor --tsa-root tsa.pem",
			"dojang verify head head.cbor",
		} {
			if code, text := s.exit(command + " 2>&1"); code != "1" {
				t.Fatalf("%s: exit %s: %s", command, code, text)
			}
		}
	})
	t.Run("offline: receipts with one published head alone", func(t *testing.T) {
		if text := s.run("dojang verify receipt deed.pdf.receipt --head head.json --document deed.pdf"); !strings.Contains(text, "the document existed at") {
			t.Fatal(text)
		}
		s.run(`head -c 500 deed.pdf.receipt >cut.receipt; echo more >>deed2.pdf`)
		for command, want := range map[string]string{
			"dojang verify receipt deed.pdf.receipt --head head.json --document deed.pdf --json":   "0",
			"dojang verify receipt deed.pdf.receipt --head head.json --document other.pdf --json":  "1",
			"dojang verify receipt other.pdf.receipt --head head.json --document deed.pdf":         "1",
			"dojang verify receipt deed.pdf.receipt --head forged.json --document deed.pdf --json": "1",
			"dojang verify receipt cut.receipt --head head.json --document deed.pdf":               "1",
			"dojang verify receipt deed.pdf.receipt --head head.json":                              "2",
			"dojang verify receipt nothing.receipt --head head.json --document deed.pdf":           "2",
		} {
			if code, text := s.exit(command + " 2>&1"); code != want {
				t.Fatalf("%s: exit %s, want %s: %s", command, code, want, text)
			}
		}
	})
}

// Was it in force at T, as known at K? Asked of a node, answered again offline with one published head.
func TestEvidenceOfThePast(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newOperatorShell(t)
	s.oneNode()
	now := func() string {
		s.run("sleep 2")
		return time.Now().UTC().Truncate(time.Second).Add(-time.Second).Format(time.RFC3339)
	}
	before := now()
	s.run(`dojang registry did create net/1 net/gaon --name "가온구청" --generate-passphrase
dojang registry propose accredit net/1 $(cat net/gaon/did.txt) resident-id --root net/gaon/gaon-root.pem
dojang registry proposals net/1 1 --wait`)
	open := now()
	s.run(`dojang registry propose accreditation-suspend net/1 $(cat net/gaon/did.txt) resident-id
dojang registry proposals net/1 2 --wait`)
	suspended := now()
	s.run(`dojang registry did create net/1 net/other --name "다른 기관" --generate-passphrase`) // the headers until now come into the tree
	ask := `dojang registry evidence net/1 %s --did $(cat net/gaon/did.txt) --type resident-id --key assertion-1 --header 1 --at %s --known %s`
	for _, tt := range []struct{ name, at, known, accredited, key string }{
		{"before", before, open, "was not in force", "was not in force"},
		{"nobody-knew", open, before, "was not on the chain", "was not on the chain"},
		{"open", open, open, "was in force", "was in force"},
		{"open-today", open, suspended, "was in force", "was in force"},
		{"suspended", suspended, suspended, "was not in force", "was in force"},
	} {
		file := "net/" + tt.name + ".cbor"
		text := s.run(fmt.Sprintf(ask, file, tt.at, tt.known))
		when := fmt.Sprintf("at %s as known at %s", tt.at, tt.known)
		says := func(text string) {
			t.Helper()
			for _, line := range strings.Split(text, "\n") {
				switch {
				case strings.Contains(line, "the accreditation of") && strings.HasSuffix(line, when) && !strings.Contains(line, "resident-id:1 "+tt.accredited),
					strings.Contains(line, "the key did:") && strings.HasSuffix(line, when) && !strings.Contains(line, "#assertion-1 "+tt.key):
					t.Errorf("%s: %s", tt.name, line)
				}
			}
			if strings.Count(text, when) != 2 || !strings.Contains(text, "block 1 was made at") {
				t.Errorf("%s: %s", tt.name, text)
			}
		}
		says(text)
		s.run("dojang registry trust export net/1 net/now-" + tt.name + ".json >/dev/null")
		says(s.run(fmt.Sprintf("dojang verify evidence %s --trust net/now-%s.json --in-force-at %s --known-at %s", file, tt.name, tt.at, tt.known)))
	}
	if code, text := s.exit(fmt.Sprintf("dojang verify evidence net/suspended.cbor --trust net/now-open.json --in-force-at %s --known-at %s 2>&1", open, open)); code != "1" || !strings.Contains(text, "is not shown") {
		t.Fatalf("exit %s: %s", code, text)
	}
	t.Run("with a published head, and every server off", func(t *testing.T) {
		s.run(`dojang registry head export net/1 heads >/dev/null; cp heads/head-*.json head.json`)
		head, err := readHead(filepath.Join(s.dir, "head.json"))
		if err != nil {
			t.Fatal(err)
		}
		s.run(fmt.Sprintf(ask+" --block %d", "net/published.cbor", open, suspended, head.Height))
		s.stop()
		verify := fmt.Sprintf("dojang verify evidence net/published.cbor --head %%s --in-force-at %s --known-at %s", open, suspended)
		if text := s.run(fmt.Sprintf(verify, "head.json")); !strings.Contains(text, "resident-id:1 was in force") || !strings.Contains(text, "block 1 was made at") {
			t.Fatal(text)
		}
		head.Hash[7] ^= 1
		raw, err := head.Marshal()
		if err == nil {
			err = writeFile(filepath.Join(s.dir, "forged.json"), raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		if code, text := s.exit(fmt.Sprintf(verify, "forged.json") + " 2>&1"); code != "1" {
			t.Fatalf("exit %s: %s", code, text)
		}
	})
}
