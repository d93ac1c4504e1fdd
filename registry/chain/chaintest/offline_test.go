package chaintest_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/chain/chaintest"
	"github.com/dojang-id/dojang/registry/evidence"
)

// The files of verifier/testdata/offline: what a company needs to judge without any network. They are written once, by
// this test with DOJANG_WRITE_OFFLINE=1, and stay: that old bytes are still checked is what they are for.
const (
	offlineFolder = "../../../verifier/testdata/offline"
	offlineHost   = "https://status.dojang.example"
	offlineType   = "urn:dojang:kr:resident-id:1"
)

func TestOfflineFixture(t *testing.T) {
	if os.Getenv("DOJANG_WRITE_OFFLINE") == "1" {
		writeOffline(t)
	}
	trust, err := evidence.ParseTrust(readOffline(t, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := time.Parse(time.RFC3339, string(readOffline(t, "now.txt")))
	if err != nil {
		t.Fatal(err)
	}
	f, err := evidence.Check(readOffline(t, "evidence.cbor"), trust, now)
	if err != nil {
		t.Fatal(err)
	}
	issuer := registry.DID(readOffline(t, "issuer.txt"))
	if k, _, err := f.Key(context.Background(), issuer, "k2", time.Time{}); err != nil || !k.InForce(now) {
		t.Errorf("key %+v %v", k, err)
	}
	if a, _, err := f.Accreditation(context.Background(), issuer, offlineType, time.Time{}); err != nil || !a.InForce(now) {
		t.Errorf("accreditation %+v %v", a, err)
	}
	if e, _, err := f.StatusEpoch(context.Background(), issuer); err != nil || e.Sequence != 1 || f.Status() == nil {
		t.Errorf("status epoch %+v %v", e, err)
	}
}

func readOffline(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(offlineFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeOffline(t *testing.T) {
	t.Helper()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(offlineFolder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := chaintest.New(t, chaintest.Config{Validators: 4})
	a := c.Agency("gaon")
	key := must(keys.Generate(keys.ES256))
	public := must(registry.NewPublicKey(key.Public().Crypto()))
	a.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: "k2", Use: registry.UseAssertion, Key: public}}})
	ca := must(keys.NewRoot(keys.RootConfig{
		CommonName: "Gaon root", Organization: "Gaon", NotBefore: chaintest.Begin.AddDate(0, 0, -1), NotAfter: chaintest.Begin.AddDate(20, 0, 0),
		Key: must(keys.Generate(keys.ES256)),
	}))
	leaf := must(ca.Issue(keys.LeafConfig{
		CommonName: "Gaon", Organization: "Gaon", URI: string(a.DID), Key: key.Public(), NotBefore: chaintest.Begin.AddDate(0, 0, -1),
		NotAfter: chaintest.Begin.AddDate(2, 0, 0), EKU: []asn1.ObjectIdentifier{keys.EKUDocumentSigner},
	}))
	accredit := a.AccreditOperation(offlineType, 1)
	accredit.Body.(*registry.AccreditBody).Roots = [][32]byte{sha256.Sum256(ca.Root().Raw)}
	accredit.Body.(*registry.AccreditBody).Host = offlineHost
	c.Must(c.Op(accredit, chaintest.Member(0)))

	list, record := offlineList(a.DID)
	epoch := a.EpochOperation()
	epoch.Body.(*registry.EpochBody).Root = statuslist.EpochRoot([][]byte{record})
	epoch.Body.(*registry.EpochBody).NextUpdate = c.Time.AddDate(0, 0, 40).Unix()
	c.Must(c.Op(epoch, a.Key(chaintest.AssertionID).As(a.DID.URL(chaintest.AssertionID))))
	bare := c.Evidence(chain.Query{
		Keys: []chain.KeyRef{{DID: a.DID, ID: "k2"}}, Status: []registry.DID{a.DID},
		Accreditations: []chain.AccreditationRef{{DID: a.DID, Type: offlineType}},
	})
	write("evidence.cbor", must(evidence.Attach(bare, evidence.Status{
		Record: record, Size: 1, Path: must(statuslist.ProveRecord([][]byte{record}, 0)), Chunk: must(list.CutChunk(4711)),
	})))
	write("trust.json", must(c.Trust().Marshal()))
	write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Root().Raw}))
	write("issuer.txt", []byte(a.DID))
	now := c.Now().Add(time.Minute).Truncate(time.Second)
	write("now.txt", []byte(now.Format(time.RFC3339)))

	seed := sha256.Sum256([]byte("holder of the offline fixture"))
	holder := must(keys.NewSigner(ed25519.NewKeyFromSeed(seed[:])))
	for name, index := range map[string]uint64{"valid.sdjwt": 4711, "revoked.sdjwt": 4712, "elsewhere.sdjwt": 90_000} {
		text := must(must(sdjwt.Prepare(sdjwt.Credential{
			Alg: keys.ES256, Kid: a.DID.URL("k2"), X5C: [][]byte{leaf}, Issuer: string(a.DID), VCT: offlineType,
			IssuedAt: chaintest.Begin, Expires: chaintest.Begin.AddDate(0, 0, 60), Holder: holder.Public(),
			Status: &sdjwt.StatusRef{URI: offlineHost + "/" + a.DID.ID() + "/1", Index: index},
			Claims: []sdjwt.Claim{
				{Name: "date_of_expiry", Value: sdjwt.Text("2029-11-20")},
				{Name: "birthdate", Value: sdjwt.Text("1998-07-04"), SD: true}, {Name: "age_over_19", Value: sdjwt.Flag(true), SD: true},
			},
		}, rand.Reader)).Sign(key))
		write(name, []byte(text))
		if name == "valid.sdjwt" {
			kb := sdjwt.KeyBinding{Audience: "x509_hash:company", Nonce: "n-0S6_WzA2Mj", IssuedAt: now}
			write("presentation.sdjwt", []byte(must(must(sdjwt.Open(text)).Present([]sdjwt.Path{{"age_over_19"}}, kb, holder))))
		}
	}
}

// offlineList has 100,000 entries, number 4712 revoked.
func offlineList(did registry.DID) (statuslist.Values, []byte) {
	p := must(statuslist.NewPublisher(must(statuslist.NewValues(2, make([]byte, 25_000)))))
	must(0, p.Set(4712, statuslist.Revoked))
	snap := must(p.Snapshot())
	return p.Values(), must(statuslist.Record{
		URI: offlineHost + "/" + did.ID() + "/1", Bits: snap.Bits, Length: snap.Length, Root: snap.Root,
		Tokens: statuslist.TokenDigests{JWT: sha256.Sum256([]byte("the token plays no part offline"))},
	}.Marshal())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
