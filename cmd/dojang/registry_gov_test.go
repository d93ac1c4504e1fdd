package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/registrytest"
)

// command runs the program and returns how it ended, with what it printed.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

// memberHome makes the home of an agency.
func memberHome(t *testing.T, dir, name string, more ...string) string {
	t.Helper()
	home := filepath.Join(dir, name)
	args := append([]string{"registry", "init", home, "--member", name, "--name-ko", "기관", "--name-en", name, "--generate-passphrase"}, more...)
	if code, _, stderr := command(t, args...); code != 0 {
		t.Fatalf("init ends with %d: %s", code, stderr)
	}
	return home
}

var testDID = registry.DID("did:dojang:trial:" + registry.HashOf([]byte("issuer")).String())

func ofTrial(o registry.Operation) registry.Operation {
	o.Network, o.ChainID = "trial", "trial-1"
	return o
}

// proposal of a member, as a file.
func draftFile(t *testing.T, o registry.Operation, about []byte) string {
	t.Helper()
	d, err := newDraft(ofTrial(o))
	if err != nil {
		t.Fatal(err)
	}
	d.proposed = about
	path := filepath.Join(t.TempDir(), "operation.json")
	if err := d.write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func proposeThresholdBy(t *testing.T, member string) registry.Operation {
	t.Helper()
	body, err := registry.Propose(member, ofTrial(registry.Operation{Seq: 1, Body: &registry.ThresholdBody{K: 4}}))
	if err != nil {
		t.Fatal(err)
	}
	return registry.Operation{Seq: 1, Body: body}
}

// TestSignOffline: a folder with card and governance key is all that a signature needs, and it shows what is signed.
func TestSignOffline(t *testing.T) {
	dir := t.TempDir()
	home := memberHome(t, dir, "agency-1")
	offline := filepath.Join(dir, "offline")
	if err := os.Mkdir(offline, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"governance", "card.json", "passphrase"} {
		if err := os.Rename(filepath.Join(home, name), filepath.Join(offline, name)); err != nil {
			t.Fatal(err)
		}
	}
	file := draftFile(t, proposeThresholdBy(t, "agency-1"), nil)
	t.Run("not without a yes", func(t *testing.T) {
		before, _ := os.ReadFile(file)
		code, _, stderr := command(t, "registry", "sign", offline, file)
		if code != 1 || !strings.Contains(stderr, "agency-1 proposes on trial-1: let 4 members decide") {
			t.Errorf("%d %s", code, stderr)
		}
		if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
			t.Error("the file changed")
		}
	})
	t.Run("signed", func(t *testing.T) {
		code, stdout, stderr := command(t, "registry", "sign", offline, file, "--yes", "--json")
		var out struct {
			Says   string
			Signed []string `json:"signed_by"`
		}
		if err := json.Unmarshal([]byte(stdout), &out); err != nil || code != 0 || len(out.Signed) != 1 || out.Signed[0] != "agency-1" {
			t.Fatalf("%d %s %s", code, stdout, stderr)
		}
		d, err := readDraft(file)
		if err != nil || d.signed == nil {
			t.Fatal(err)
		}
		own, err := readCard(filepath.Join(offline, "card.json"))
		if err != nil {
			t.Fatal(err)
		}
		key, err := registry.ParseJWK(own.GovernanceKey)
		if err == nil {
			err = d.signed.Verify(registry.RoleMember("agency-1"), key)
		}
		if err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	})
	other := memberHome(t, dir, "agency-2")
	emergency := draftFile(t, registry.Operation{DID: testDID, Body: &registry.EmergencyBody{At: 1, Key: "k"}}, nil)
	op := ofTrial(registry.Operation{Body: &registry.ThresholdBody{K: 4}})
	payload, err := op.Payload()
	if err != nil {
		t.Fatal(err)
	}
	vote := registry.Operation{Body: &registry.VoteBody{Member: "agency-2", N: 1, Proposal: registry.HashOf(payload).Digest(), Approve: true}}
	elsewhere := registry.Operation{Body: &registry.VoteBody{Member: "agency-2", N: 1, Proposal: [32]byte{1}, Approve: true}}
	for _, c := range []struct {
		name, home, file string
		code             int
		says             string
	}{
		{"another member's proposal", other, file, 2, "it is for agency-1 to sign"},
		{"twice", offline, file, 2, "this member has signed it"},
		{"a home without the key", home, file, 2, "card.json"},
		{"a vote that shows what it is about", other, draftFile(t, vote, payload), 0, "agency-2 votes for proposal 1: let 4 members decide"},
		{"a vote that shows nothing", other, draftFile(t, vote, nil), 2, "does not show what the vote is about"},
		{"a vote that shows something else", other, draftFile(t, elsewhere, payload), 2, "does not show what the vote is about"},
		{"an emergency, first member", offline, emergency, 0, "signed by agency-1"},
		{"an emergency, second member", other, emergency, 0, "signed by agency-1, agency-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(t, "registry", "sign", c.home, c.file, "--yes")
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("%d %s %s", code, stdout, stderr)
			}
		})
	}
}

func TestDraft(t *testing.T) {
	for name, raw := range map[string]string{
		"empty":            `{}`,
		"another format":   `{"format":"dojang-operation/2","payload":"AA"}`,
		"neither":          `{"format":"dojang-operation/1"}`,
		"both":             `{"format":"dojang-operation/1","payload":"AA","operation":"AA"}`,
		"an unknown field": `{"format":"dojang-operation/1","payload":"AA","says":"harmless"}`,
		"no payload":       `{"format":"dojang-operation/1","payload":"AA"}`,
		"no operation":     `{"format":"dojang-operation/1","operation":"AA"}`,
		"too long":         `{"format":"dojang-operation/1","payload":"` + strings.Repeat("A", 5*registry.MaxOperation) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseDraft([]byte(raw)); !errors.Is(err, errDraft) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func FuzzDraft(f *testing.F) {
	f.Add([]byte(`{"format":"dojang-operation/1","payload":"AA"}`))
	f.Add([]byte(`{"format":"dojang-operation/1","operation":"AA","proposed":"AA"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := parseDraft(raw)
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "operation.json")
		if err := d.write(path); err != nil {
			t.Fatal(err)
		}
		again, err := readDraft(path)
		if err != nil || !bytes.Equal(again.payload, d.payload) || !bytes.Equal(again.raw, d.raw) {
			t.Fatalf("does not survive a round trip: %v", err)
		}
	})
}

// TestOperationWords: every kind that members sign has words, and they name what matters.
func TestOperationWords(t *testing.T) {
	key := registrytest.NewKey(t, "x").Public
	const vct = "urn:dojang:kr:resident-id:1"
	for _, c := range []struct {
		body  registry.Body
		words []string
	}{
		{&registry.MemberAddBody{ID: "agency-5", Name: map[string]string{"en": "Five", "ko": "다섯"}, Key: key, Sponsor: key}, []string{"agency-5", "다섯, Five", key.Hash().String()}},
		{&registry.MemberRemoveBody{ID: "agency-5"}, []string{"remove", "agency-5"}},
		{&registry.MemberKeysBody{ID: "agency-5", Key: key, Sponsor: key}, []string{"agency-5", "governance key " + key.Hash().String(), "gateway key " + key.Hash().String()}},
		{&registry.ValidatorBody{Power: 7, Operator: "agency-5", Site: "busan"}, []string{"agency-5", "busan", "power 7"}},
		{&registry.ValidatorBody{}, []string{"remove the validator"}},
		{&registry.ThresholdBody{K: 3}, []string{"3 members"}},
		{&registry.ParamsBody{TimeLock: new(uint64(36 * 3600)), Heartbeat: new(uint64(500)), QuotaOps: new(uint64(9)), Emergency: new(uint64(0))},
			[]string{"time_lock_s to 36h0m0s", "heartbeat_ms to 500ms", "quota_operations to 9 operations", "emergency_threshold to none"}},
		{&registry.AccreditBody{Type: vct, N: 2, Basis: []string{"LAW-1"}, From: 1, Until: 1 << 31, Host: "https://s.example", Operator: testDID, Roots: [][32]byte{{7}}},
			[]string{string(testDID), vct, "LAW-1", "1970-01-01", "2038-01-19", "https://s.example", "0700"}},
		{&registry.SuspendBody{Type: vct, N: 2}, []string{"suspend accreditation 2", vct}},
		{&registry.ResumeBody{Type: vct, N: 2}, []string{"lift", vct}},
		{&registry.EndBody{Type: vct, N: 2, Until: 1}, []string{"end", "1970-01-01"}},
		{&registry.RegisterBody{Purpose: "ADULT", Name: map[string]string{"en": "Shop"}, Text: map[string]string{"en": "Age"}, Claims: map[string][]string{vct: {"age_over_19"}}, Basis: []string{"LAW-1"}, Retention: 9},
			[]string{"Shop", "ADULT", "age_over_19", "kept 9 days", "LAW-1"}},
		{&registry.TypeDigestBody{Type: vct, Digest: [32]byte{9}}, []string{vct, "0900"}},
		{&registry.RetireBody{ID: "k1"}, []string{"retire", "#k1"}},
		{&registry.CompromiseBody{ID: "k1", From: 1}, []string{"compromised", "#k1", "1970-01-01"}},
		{&registry.DeactivateBody{}, []string{"deactivate"}},
		{&registry.RecoverBody{Op: key}, []string{"control keys", key.Hash().String()}},
		{&registry.EmergencyBody{Key: "k1"}, []string{"#k1", "at once"}},
		{&registry.EmergencyBody{Type: vct, N: 3}, []string{"accreditation 3", vct, "at once"}},
	} {
		t.Run(string(c.body.Kind()), func(t *testing.T) {
			text := operationWords(&registry.Operation{DID: testDID, Body: c.body})
			for _, w := range c.words {
				if !strings.Contains(text, w) {
					t.Errorf("%q does not say %q", text, w)
				}
			}
		})
	}
	if got := visible("a\x1b[2Jb\u202ec"); got != "a\ufffd[2Jb\ufffdc" {
		t.Errorf("%q", got)
	}
}

func TestMoment(t *testing.T) {
	for text, want := range map[string][2]string{
		"2027-12-31":                {"2027-12-30T15:00:00Z", "2027-12-31T15:00:00Z"}, // the last valid day ends at midnight in Korea
		"2027-12-31T09:00:00+09:00": {"2027-12-31T00:00:00Z", "2027-12-31T00:00:00Z"},
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if from, until := stamp(m.from()), stamp(m.until()); from != want[0] || until != want[1] {
			t.Errorf("%s: %s, %s", text, from, until)
		}
	}
	var m moment
	if m.from() != 0 || m.until() != 0 {
		t.Error("nothing given is a moment")
	}
	if err := m.UnmarshalText([]byte("tomorrow")); err == nil {
		t.Error("tomorrow was taken")
	}
}

func TestReadRegistration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("purpose: ADULT_CHECK\nname: {ko: 별마루 편의점}\ntext: {ko: 성인 확인}\nclaims: {resident-id: [age_over_19]}\nbasis: [LAW-1]\nretention_days: 1\nuntil: 2027-12-31\n")
	b, err := readRegistration(path)
	if err != nil || b.Claims["urn:dojang:kr:resident-id:1"][0] != "age_over_19" || b.Retention != 1 || stamp(b.Until) != "2027-12-31T15:00:00Z" ||
		time.Since(time.Unix(b.From, 0)) > time.Hour {
		t.Fatalf("%+v %v", b, err)
	}
	for _, bad := range []string{"purpose: a b\n", "purpose: A\npurpsoe: B\n", "purpose: A\nclaims: {no such type: [x]}\n", "purpose: A\nfrom: soon\n"} {
		write(bad)
		if _, err := readRegistration(path); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestGenesisSites: nobody and no site has a third of the power from the first block on.
func TestGenesisSites(t *testing.T) {
	dir := t.TempDir()
	var cards []string
	for i, site := range []string{"seoul", "seoul", "busan", "daejeon"} {
		name := "agency-" + string(rune('1'+i))
		cards = append(cards, filepath.Join(memberHome(t, dir, name, "--site", site), "card.json"))
	}
	found := func(out string, cards ...string) (int, string, string) {
		return command(t, append([]string{"registry", "genesis", filepath.Join(dir, out), "--network", "trial"}, cards...)...)
	}
	code, _, stderr := found("a.json", cards...)
	if code != 2 || !strings.Contains(stderr, "the site seoul would hold 2 of 4 validators (agency-1, agency-2)") {
		t.Errorf("%d %s", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.json")); !os.IsNotExist(err) {
		t.Error("the file was written")
	}
	if code, _, stderr = found("b.json", cards[1:]...); code != 0 || !strings.Contains(stderr, "with 3 validators the network stops when one is lost") {
		t.Errorf("%d %s", code, stderr)
	}
	cards[1] = filepath.Join(memberHome(t, dir, "agency-5", "--site", "gwangju"), "card.json")
	code, stdout, stderr := found("c.json", cards...)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "4 members, 3 of them decide, 4 validators") || !strings.Contains(stdout, "a decision waits 72h0m0s, votes are open for 336h0m0s; 2 members suspend at once, for 168h0m0s") {
		t.Fatalf("%d %s %s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "c.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"time_lock_s": 259200`, `"voting_s": 1209600`, `"emergency_threshold": 2`, `"emergency_s": 604800`, `"name": "agency-1@seoul"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the genesis does not say %s", want)
		}
	}
}

// TestRekey: an agency gets a new governance key by vote; with the old one nothing is decided any more.
func TestRekey(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newOperatorShell(t)
	s.oneNode()
	if text := s.run(`dojang registry rekey net/1 net/offline --keep gateway --generate-passphrase
dojang registry propose member-keys net/1 net/offline/card.json && dojang registry proposals net/1 1 --wait`); !strings.Contains(text, "give the member agency-1 new keys, governance key") ||
		strings.Contains(text, "gateway key") || !strings.Contains(text, "executed") {
		t.Fatal(text)
	}
	s.refused("dojang registry propose type-digest net/1 resident-id", "1", "bad-signature")
	s.refused("dojang registry propose member-keys net/1 net/offline/card.json", "2", "has the keys that the chain knows")
	if text := s.run(`mv net/1/governance net/old && cp net/offline/card.json net/1/
dojang registry propose type-digest net/1 resident-id --out net/type.json
dojang registry sign net/offline net/type.json --yes && dojang registry submit net/1 net/type.json
dojang registry proposals net/1 2 --wait && dojang registry proposals net/1 --json`); !strings.Contains(text, "fix the metadata of urn:dojang:kr:resident-id:1") ||
		strings.Count(text, `"state":"executed"`) != 2 {
		t.Error(text)
	}
}

// TestIdentifierLife: an organisation changes its identifier with its own keys; what it cannot do any more the members do.
func TestIdentifierLife(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	s := newOperatorShell(t)
	s.oneNode()
	s.run("dojang registry did create net/1 net/gaon --generate-passphrase")
	did := strings.TrimSpace(s.run("cat net/gaon/did.txt"))
	n := 0
	// does runs a command on the organisation, which makes the next version.
	does := func(command string) {
		t.Helper()
		n++
		name, rest, _ := strings.Cut(command, " ")
		if text := s.run("dojang registry did " + name + " net/1 net/gaon " + rest); text != fmt.Sprintf("%s: version %d\n", did, n) {
			t.Fatalf("%s: %s", command, text)
		}
	}
	n++
	if text := s.run("dojang registry did add-key net/1 net/gaon sign-2 --use assertion"); !strings.HasPrefix(text, did+": version 1\n") || !strings.HasSuffix(text, "net/gaon/gaon-sign-2-leaf.pem\n") {
		t.Fatal(text)
	}
	s.certified(did)
	does("service status StatusListPublisher http://127.0.0.1:1/status")
	s.resolves(did)
	does("rotate")
	does("rotate")
	does("retire assertion-1")
	does("service status")
	does("compromise sign-2")
	does("freeze")
	s.refused("dojang registry did rotate net/1 net/gaon", "1", "the identifier is frozen until recovery")
	does("recover")
	does("rotate")
	s.refused("dojang registry did add-key net/1 net/gaon op-7", "2", "not like the keys that control the identifier")
	s.refused("dojang registry did add-key net/1 net/gaon sign-2", "1", "a key of that name exists or existed")
	s.run("mkdir net/lost && mv net/gaon/keys/gaon.recovery* net/gaon/keys/gaon.op* net/gaon/keys/gaon.next* net/lost/")
	s.refused("dojang registry did rotate net/1 net/gaon", "2", "does not hold the op key")
	s.refused("dojang registry did recover net/1 net/gaon", "2", "does not hold the recovery key")
	if text := s.run(`dojang registry did recover net/1 net/gaon --by-members net/recover.json
dojang registry propose recover net/1 net/recover.json
dojang registry proposals net/1 1 --wait`); !strings.Contains(text, "give "+did+" new control keys") || !strings.Contains(text, "executed") {
		t.Fatal(text)
	}
	n++
	does("rotate")
	s.refused("dojang registry propose recover net/1 net/1/card.json", "2", "not an operation file of this version")
	s.refused("dojang registry did deactivate net/1 net/gaon </dev/null", "1", "nothing was done")
	does("deactivate --yes")
	s.refused("dojang registry did rotate net/1 net/gaon", "1", "the identifier is deactivated")
	if text := s.run(fmt.Sprintf("dojang registry evidence net/1 net/gaon.cbor --did %s --key assertion-1 --key sign-2", did)); !strings.Contains(text, "retired in block") || !strings.Contains(text, "compromised from") {
		t.Error(text)
	}
}

// certified: the further key has a certificate under the same root, for the same DID and host, and the first one's is another.
func (s *operatorShell) certified(did string) {
	s.t.Helper()
	dir := filepath.Join(s.dir, "net", "gaon")
	var certs [3]*x509.Certificate
	for i, name := range []string{"root", "leaf", "sign-2-leaf"} {
		var err error
		if certs[i], err = readCertificate(filepath.Join(dir, "gaon-"+name+".pem")); err != nil {
			s.t.Fatal(err)
		}
	}
	key, err := keys.VerifyChain([][]byte{certs[2].Raw}, keys.ChainPolicy{Roots: certs[:1], Now: time.Now(), EKU: ekuOf(registry.UseAssertion)})
	if err != nil {
		s.t.Fatal(err)
	}
	first, err := keys.NewPublicKey(certs[1].PublicKey)
	if err != nil {
		s.t.Fatal(err)
	}
	second, err := keys.NewPublicKey(certs[2].PublicKey)
	if err != nil || second.Equal(first) || key == nil {
		s.t.Error("not a certificate of another key", err)
	}
	if len(certs[2].URIs) != 1 || certs[2].URIs[0].String() != did || !slices.Equal(certs[2].DNSNames, certs[1].DNSNames) || certs[2].Subject.String() != certs[1].Subject.String() {
		s.t.Errorf("%v %v %v", certs[2].URIs, certs[2].DNSNames, certs[2].Subject)
	}
}

// resolves: what the command proves and puts together is what the node serves; other methods are resolved too.
func (s *operatorShell) resolves(did string) {
	s.t.Helper()
	var card struct{ URL string }
	var proven struct{ Document any }
	var served any
	key := "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK" // of the did:key specification
	for script, into := range map[string]any{"cat net/1/card.json": &card, "dojang registry did resolve net/1 " + did + " --json": &proven} {
		if err := json.Unmarshal([]byte(s.run(script)), into); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, card.URL+"/1.0/identifiers/"+did, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/did+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&served); err != nil {
		s.t.Fatal(err)
	}
	if !reflect.DeepEqual(proven.Document, served) {
		s.t.Errorf("proven %v\nserved %v", proven.Document, served)
	}
	if text := s.run("dojang registry did resolve net/1 " + key); !strings.Contains(text, `"id": "`+key+`"`) {
		s.t.Error(text)
	}
	s.refused("dojang registry did resolve net/1 "+did[:len(did)-1]+"x", "1", "proven: there is no such identifier")
	s.refused("dojang registry did resolve net/1 did:example:1", "2", "not an identifier that can be resolved here")
}
