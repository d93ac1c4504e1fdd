package verifier_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/verifier"
)

// offline is the real thing without any network: a trust file, a root, Evidence of a chain with four validators. The
// files are written by registry/chain/chaintest (TestOfflineFixture).
type offline struct {
	trust    []byte
	root     []byte
	evidence []byte
	now      time.Time
	after    time.Duration // that the verifier's clock, and the holder's, are later
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "offline", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newOffline(t testing.TB) *offline {
	t.Helper()
	now, err := time.Parse(time.RFC3339, string(file(t, "now.txt")))
	if err != nil {
		t.Fatal(err)
	}
	return &offline{trust: file(t, "trust.json"), root: file(t, "root.pem"), evidence: file(t, "evidence.cbor"), now: now}
}

// judge shows a stored credential at the offline world's time.
func (o *offline) judge(t testing.TB, credential string) verifier.Judgement {
	t.Helper()
	trust, err := evidence.ParseTrust(o.trust)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := keys.ReadPEM(o.root)
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, verifier.Config{Network: trust.Network, Roots: roots, Staples: verifier.Staples(evidence.Checker{Trust: trust, Headers: new(evidence.Headers)})})
	seed := sha256.Sum256([]byte("holder of the offline fixture"))
	holder, err := keys.NewSigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		t.Fatal(err)
	}
	held, err := sdjwt.Open(string(file(t, credential)))
	if err != nil {
		t.Fatal(err)
	}
	now := o.now.Add(o.after)
	text, err := held.Present([]sdjwt.Path{{"age_over_19"}}, sdjwt.KeyBinding{Audience: audience, Nonce: nonce, IssuedAt: now}, holder)
	if err != nil {
		t.Fatal(err)
	}
	s := resident(text)
	s.Evidence = o.evidence
	j, err := v.Judge(t.Context(), s, policy(t, "adult-check"), verifier.Expect{Audience: audience, Nonce: nonce, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (o *offline) swap(t *testing.T, from, to string) {
	t.Helper()
	bent := bytes.Replace(o.trust, []byte(from), []byte(to), 1)
	if bytes.Equal(bent, o.trust) {
		t.Fatalf("%s: nothing was bent", from)
	}
	o.trust = bent
}

// TestOffline: what a wallet staples decides, and only when every part of it belongs together.
func TestOffline(t *testing.T) {
	trust, unavailable := verifier.ReasonTrust, verifier.ReasonStatusUnavailable
	rows := []struct {
		name       string
		credential string
		bend       func(t *testing.T, o *offline)
		code       verifier.Code
		reason     verifier.Reason
	}{
		{"valid", "valid.sdjwt", nil, verifier.Valid, ""},
		{"revoked, in the same chunk", "revoked.sdjwt", nil, verifier.Revoked, verifier.ReasonRevoked},
		{"chunk of another entry", "elsewhere.sdjwt", nil, verifier.StatusStale, unavailable},
		{"young enough at 71 hours", "valid.sdjwt", func(_ *testing.T, o *offline) { o.after = 71 * time.Hour }, verifier.Valid, ""},
		{"on hold at 73 hours", "valid.sdjwt", func(_ *testing.T, o *offline) { o.after = 73 * time.Hour }, verifier.StatusStale, trust},
		{"revoked for ever", "revoked.sdjwt", func(_ *testing.T, o *offline) { o.after = 20 * 24 * time.Hour }, verifier.Revoked, verifier.ReasonRevoked},
		{"after the trusting period", "revoked.sdjwt", func(_ *testing.T, o *offline) { o.after = 31 * 24 * time.Hour }, verifier.StatusStale, trust},
		{"clock set back", "valid.sdjwt", func(_ *testing.T, o *offline) { o.after = -10 * time.Minute }, verifier.StatusStale, trust},
		{"no evidence", "valid.sdjwt", func(_ *testing.T, o *offline) { o.evidence = nil }, verifier.StatusStale, trust},
		{"evidence cut", "valid.sdjwt", func(_ *testing.T, o *offline) { o.evidence = o.evidence[:len(o.evidence)-1] }, verifier.StatusStale, trust},
		{"trust in another network of the same chain", "valid.sdjwt", func(t *testing.T, o *offline) { o.swap(t, `"network": "test"`, `"network": "prod"`) }, verifier.IssuerUntrusted, verifier.ReasonIssuer},
		{"trust in another chain", "valid.sdjwt", func(t *testing.T, o *offline) { o.swap(t, "dojang-test-1", "dojang-test-2") }, verifier.StatusStale, trust},
		{"trust in other validators", "valid.sdjwt", func(t *testing.T, o *offline) {
			at := strings.Index(string(o.trust), `"public_key": "`) + 20
			o.swap(t, string(o.trust[at:at+8]), "AAAAAAAA")
		}, verifier.StatusStale, trust},
		{"another root", "valid.sdjwt", func(t *testing.T, o *offline) { o.root = pemOf(t) }, verifier.IssuerUntrusted, verifier.ReasonIssuer},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			o := newOffline(t)
			if row.bend != nil {
				row.bend(t, o)
			}
			j := o.judge(t, row.credential)
			want(t, j, row.code, row.reason)
			// What was left aside is said so; what was used is named.
			left := len(j.Warnings) == 1 && j.Warnings[0] == "evidence_invalid"
			if o.evidence != nil && left == (j.Basis.Evidence != [32]byte{}) {
				t.Errorf("warnings %v, evidence %x", j.Warnings, j.Basis.Evidence)
			}
		})
	}
}

// TestOfflineBytes: no changed byte of the Evidence is ever confirmed.
func TestOfflineBytes(t *testing.T) {
	o := newOffline(t)
	good := o.evidence
	for i := 0; i < len(good); i += 7 {
		o.evidence = bytes.Clone(good)
		o.evidence[i] ^= 1 << (i % 8)
		if j := o.judge(t, "valid.sdjwt"); j.Decision == verifier.Confirmed {
			t.Fatalf("byte %d of %d", i, len(good))
		}
	}
}

// A status epoch under a key that is known to be lost says nothing, stapled or our own: the thief could have cleared it.
func TestEpochOfALostKey(t *testing.T) {
	for _, how := range []string{"own list", "own list, cached", "stapled"} {
		t.Run(how, func(t *testing.T) {
			w := lostKeyWorld(t)
			v := newVerifier(t, w.cfg)
			if how == "own list, cached" {
				want(t, judge(t, v, w.World, w.shown), verifier.Valid, "")
			}
			if how == "stapled" {
				w.shown.Evidence = []byte("evidence")
				w.Registry.SetListDown(true)
				want(t, judge(t, v, w.World, w.shown), verifier.Valid, "")
			}
			w.Clock.Add(time.Minute)
			lost := registry.Key{DID: w.Gaon.DID, ID: "key-2", Use: registry.UseAssertion, JWK: w.second.Public().JWK(), CompromisedFrom: w.Clock.Now().Add(-time.Hour)}
			w.Registry.PutKey(lost)
			want(t, judge(t, v, w.World, w.shown), verifier.StatusStale, verifier.ReasonStatusInvalid)
		})
	}
}
