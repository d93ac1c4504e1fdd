package chaintest

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
)

// What the presentations of stapled rows are bound to.
const (
	benchKeyID    = "p256"
	benchAudience = "x509_hash:Uvo3HtuIxuhC92rShpgqcT3YXwrqRxWEviRiA0OZszk"
	benchNonce    = "n-0S6_WzA2Mj"
)

// A benchIssuer is an agency with a P-256 key for credentials.
type benchIssuer struct {
	agency *Agency
	key    keys.Signer
}

func newBenchIssuer(s *stopper, a *Agency) *benchIssuer {
	key, err := keys.Generate(keys.ES256)
	if err != nil {
		s.Fatal(err)
	}
	public, err := registry.NewPublicKey(key.Public().Crypto())
	if err != nil {
		s.Fatal(err)
	}
	a.Do(&registry.UpdateBody{Keys: []registry.NewKey{{ID: benchKeyID, Use: registry.UseAssertion, Key: public}}})
	return &benchIssuer{agency: a, key: key}
}

// present issues a credential of 20 claims to a fresh holder, who shows 3 of them.
func (i *benchIssuer) present(s *stopper, now time.Time) string {
	holder, err := keys.Generate(keys.ES256)
	if err != nil {
		s.Fatal(err)
	}
	c := sdjwt.Credential{
		Alg: keys.ES256, Kid: i.agency.DID.URL(benchKeyID), Issuer: string(i.agency.DID), VCT: benchType, IssuedAt: now,
		Expires: now.AddDate(0, 0, 60), Holder: holder.Public(), Status: &sdjwt.StatusRef{URI: "https://status.dojang.example/1", Index: 4711},
	}
	for n := range 20 {
		c.Claims = append(c.Claims, sdjwt.Claim{Name: fmt.Sprint("claim_", n), Value: sdjwt.Text("한가온"), SD: true})
	}
	draft, err := sdjwt.Prepare(c, rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	text, err := draft.Sign(i.key)
	if err != nil {
		s.Fatal(err)
	}
	held, err := sdjwt.Open(text)
	if err != nil {
		s.Fatal(err)
	}
	shown, err := held.Present([]sdjwt.Path{{"claim_3"}, {"claim_7"}, {"claim_11"}},
		sdjwt.KeyBinding{Audience: benchAudience, Nonce: benchNonce, IssuedAt: now}, holder)
	if err != nil {
		s.Fatal(err)
	}
	return shown
}
