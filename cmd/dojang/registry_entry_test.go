package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/light"
)

// A listPress publishes one list of an organisation that the command line made.
type listPress struct {
	mu             sync.Mutex
	records, token []byte
}

func (p *listPress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/records") {
		_, _ = w.Write(p.records)
		return
	}
	_, _ = w.Write(p.token)
}

// publish writes an epoch of the list with one entry that says s.
func (p *listPress) publish(t *testing.T, s *operatorShell, uri string, sequence uint64, idx uint64, is statuslist.Status) {
	t.Helper()
	may := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s.run("rm -f net/newest.json; dojang registry trust export net/1 net/newest.json >/dev/null")
	trust, _, err := readTrust(filepath.Join(s.dir, "net/newest.json"))
	may(err)
	o, err := (&didCreate{Dir: filepath.Join(s.dir, "net/gaon"), Use: "assertion", Name: "gaon", Status: "unused"}).found(network{trust.Network, trust.ChainID})
	may(err)
	did := registry.DID(strings.TrimSpace(s.run("cat net/gaon/did.txt")))
	list, err := statuslist.NewList(2, 10_000)
	may(err)
	may(list.Set(idx, is))
	compressed, err := statuslist.Deflate(list.Values().Raw())
	may(err)
	issued := time.Now().UTC().Truncate(time.Second).Add(time.Duration(sequence)*65*time.Second - 9*time.Minute) // as far apart as the network wants it
	token, err := statuslist.SignJWT(o.signer, keys.Header{Kid: o.url()}, statuslist.Claims{URI: uri, IssuedAt: issued, ExpiresAt: issued.Add(time.Hour), TTL: time.Minute, Bits: 2, Compressed: compressed})
	may(err)
	record, err := statuslist.Record{URI: uri, Bits: 2, Length: 10_000, Root: list.Values().Root(), Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)}}.Marshal()
	may(err)
	records, err := registry.Encode([][]byte{record})
	may(err)
	p.mu.Lock()
	p.records, p.token = records, token
	p.mu.Unlock()
	public, err := registry.NewPublicKey(o.signer.Public().Crypto())
	may(err)
	raw, err := registry.Operation{Network: trust.Network, ChainID: trust.ChainID, DID: did, Seq: sequence, Body: &registry.EpochBody{IssuedAt: issued.Unix(),
		NextUpdate: issued.Add(time.Hour).Unix(), Root: statuslist.EpochRoot([][]byte{record})}}.Sign(registry.SigningKey{Role: did.URL(o.kid), Public: public, Signer: o.signer})
	may(err)
	c, err := light.New(light.Config{Nodes: []string{fmt.Sprintf("http://127.0.0.1:%d", s.port+1)}, Trust: trust})
	may(err)
	out, err := c.Submit(t.Context(), raw)
	may(err)
	if out[0].Code != string(registry.CodeOK) {
		t.Fatalf("%+v", out)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // the node has fetched the list
		have, err := c.StatusList(t.Context(), uri, statuslist.MediaTypeJWT)
		if err == nil && bytes.Equal(have.Token, token) {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// An entry of a status list: valid, later revoked. Asked of a node when it was replaced, answered again offline.
func TestEntryOfThePast(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newOperatorShell(t)
	p := &listPress{}
	publisher := httptest.NewServer(p)
	t.Cleanup(publisher.Close)
	s.run(fmt.Sprintf(`dojang registry init net/1 --member agency-1 --name-en "Agency 1" --generate-passphrase
sed -i 's#^origins: .*#origins: ["%s"]#' net/1/node.yaml
sed -i 's#^snapshot_blocks: .*#snapshot_blocks: 5#' net/1/node.yaml
dojang registry genesis net/network.json net/1/card.json --network trial --heartbeat 200ms --time-lock 0s
dojang registry start net/1 --network net/network.json 2>net/1.log &
echo $! >net/1.pid
dojang registry status net/1 --wait 3
dojang registry did create net/1 net/gaon --name gaon --generate-passphrase --status %s/lists
dojang registry propose accredit net/1 $(cat net/gaon/did.txt) resident-id --root net/gaon/gaon-root.pem
dojang registry proposals net/1 1 --wait`, publisher.URL, publisher.URL))
	did := strings.TrimSpace(s.run("cat net/gaon/did.txt"))
	_, id, _ := strings.Cut(strings.TrimPrefix(did, "did:dojang:"), ":")
	uri := "http://127.0.0.1:1/" + id + "/1"
	now := func() string {
		s.run("sleep 2")
		return time.Now().UTC().Truncate(time.Second).Add(-time.Second).Format(time.RFC3339)
	}
	before := now()
	p.publish(t, s, uri, 1, 4711, statuslist.Valid)
	valid := now()
	p.publish(t, s, uri, 2, 4711, statuslist.Revoked)
	revoked := now()
	p.publish(t, s, uri, 3, 4711, statuslist.Revoked)
	s.run(`dojang registry did create net/1 net/other --generate-passphrase`) // the headers until now come into the tree
	ask := "dojang registry evidence net/1 %s --did " + did + " --list " + uri + " --index 4711 --at %s --known %s"
	type asked struct{ name, at, known, says string }
	var all []asked
	for _, q := range []asked{
		{"valid", valid, valid, "was valid (status epoch 1, signed by " + did},
		{"valid-as-known-later", valid, revoked, "was valid (status epoch 1"},
		{"revoked-as-known-before", revoked, valid, "was valid (status epoch 1"},
		{"revoked", revoked, revoked, "was revoked (status epoch 2"},
		{"before", before, before, "was not on the chain"},
	} {
		text := s.run(fmt.Sprintf(ask, "net/"+q.name+".cbor", q.at, q.known))
		if !strings.Contains(text, "entry 4711 of the status list "+uri+" "+q.says) {
			t.Errorf("%s: %s", q.name, text)
		}
		s.run("dojang registry trust export net/1 net/" + q.name + ".json >/dev/null")
		all = append(all, q)
	}
	s.refused("dojang registry evidence net/1 net/x.cbor --did "+did+" --list "+uri+" --index 4711", "2", "the newest list is published as a whole")
	publisher.Close()
	s.run(`dojang registry init net/2 --host 127.0.0.2 --generate-passphrase
dojang registry admit net/1 net/2/card.json
dojang registry trust export net/1 net/trust.json
dojang registry join net/2 --network net/network.json --trust net/trust.json
dojang registry start net/2 2>net/2.log &
dojang registry status net/2 --wait 3`)
	at, err := time.Parse(time.RFC3339, revoked)
	if err != nil {
		t.Fatal(err)
	}
	asks := fmt.Sprintf("http://127.0.0.2:%d/v1/evidence?%s", s.port+1, light.Query{DID: registry.DID(did), Status: true, List: uri, Entry: 4711, At: at}.Values().Encode())
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // a newcomer has none of the old lists yet
		res, err := http.Get(asks)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			break
		}
		if res.StatusCode != http.StatusServiceUnavailable || time.Now().After(end) {
			t.Fatalf("%d: %s", res.StatusCode, s.run("cat net/2.log"))
		}
	}
	s.stop()
	if text := s.run(fmt.Sprintf("dojang registry evidence net/2 net/newcomer.cbor --did "+did+" --list "+uri+" --index 4711 --at %s --known %s", revoked, revoked)); !strings.Contains(text, "was revoked (status epoch 2") {
		t.Errorf("by the newcomer: %s", text)
	}
	if text := s.run("dojang registry status net/2 --json || true"); !strings.Contains(text, `"archive_missing":0`) {
		t.Error(text)
	}
	verify := func(q asked, more string) string {
		return fmt.Sprintf("dojang verify evidence net/%s.cbor --trust net/%s.json --in-force-at %s --known-at %s %s", q.name, q.name, q.at, q.known, more)
	}
	for _, q := range all[:4] {
		if text := s.run(verify(q, "--index 4711")); !strings.Contains(text, "entry 4711 of the status list "+uri+" "+q.says) {
			t.Errorf("%s: %s", q.name, text)
		}
		if text := s.run(verify(q, "--index 4712 --json")); !strings.Contains(text, `"status":"valid"`) { // a neighbour, from the same chunk
			t.Errorf("%s: %s", q.name, text)
		}
	}
	s.refused(verify(all[4], "--index 4711"), "1", "no status list is shown")
	s.refused(verify(all[0], "--index 9999"), "1", "is not proven") // another chunk
	s.refused(verify(asked{name: "valid", at: revoked, known: revoked}, "--index 4711"), "1", "")
	raw, err := os.ReadFile(filepath.Join(s.dir, "net/revoked.cbor"))
	if err != nil {
		t.Fatal(err)
	}
	raw[bytes.LastIndex(raw, []byte("chunk"))+200] ^= 1 // inside of the chunk
	if err := os.WriteFile(filepath.Join(s.dir, "net/bent.cbor"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("cp net/revoked.json net/bent.json")
	bent := all[3]
	bent.name = "bent"
	s.refused(verify(bent, "--index 4711"), "1", "is not proven")
}
