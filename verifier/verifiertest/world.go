// Package verifiertest is a small world for tests of a verifier: a clock, a registry in memory, agencies that issue
// SD-JWT VCs with status lists, a wallet, a company. New makes it; everything in it can be bent.
//
// It is a fake of the other parties, built directly on the formats; nothing of it is trusted outside of tests and
// benchmarks. A fixture that cannot be made panics.
package verifiertest

import (
	"crypto"
	"crypto/x509"
	"sync"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/verifier"
)

// The types of the fixtures.
const (
	ResidentID       = "urn:dojang:kr:resident-id:1"
	YouthEligibility = "urn:dojang:kr:youth-eligibility:1"
)

// A Clock is set by tests.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves it.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A World holds two agencies (Gaon: resident-id, Seoul: youth-eligibility) and one company.
type World struct {
	Clock    *Clock
	Registry *Registry
	Gaon     *Issuer
	Seoul    *Issuer
	Company  Company
	Roots    []*x509.Certificate // of the issuers
}

// A Company is a verifier's tenant with its keys.
type Company struct {
	DID   registry.DID
	Key   keys.Signer
	Chain [][]byte
	Root  *x509.Certificate
}

// New is the world on 21 November 2026, 10:00 in Korea.
func New() *World {
	clock := &Clock{now: time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)}
	w := &World{Clock: clock, Registry: NewRegistry(clock)}
	w.Gaon = w.NewIssuer("gaon", ResidentID)
	w.Seoul = w.NewIssuer("seoul", YouthEligibility)
	w.Roots = []*x509.Certificate{w.Gaon.Root, w.Seoul.Root}
	w.Company = w.NewCompany("byeolmaru")
	return w
}

// NewCompany is registered for the purposes of both policies.
func (w *World) NewCompany(name string) Company {
	c := Company{DID: did(name), Key: must(keys.Generate(keys.ES256))}
	ca := w.authority(name)
	c.Root = ca.Root()
	c.Chain = [][]byte{w.leaf(ca, LeafOf{DID: c.DID, Key: c.Key, EKU: keys.EKUReaderAuth})}
	from := w.Clock.Now().Add(-time.Hour)
	w.Registry.PutKey(registry.Key{DID: c.DID, ID: "key-1", Use: registry.UseAuthentication, JWK: c.Key.Public().JWK(), ActiveFrom: from})
	w.Registry.PutRegistration(registry.Registration{DID: c.DID, Purpose: "ADULT_CHECK", Claims: map[string][]string{ResidentID: {"age_over_19"}}, From: from})
	w.Registry.PutRegistration(registry.Registration{DID: c.DID, Purpose: "YOUTH_SUPPORT", Claims: map[string][]string{
		YouthEligibility: {"eligible", "round", "resident_sido_code"},
	}, From: from})
	return c
}

// Config of a library verifier in this world.
func (w *World) Config() verifier.Config {
	return verifier.Config{Registry: w.Registry, Status: w.Registry, Roots: w.Roots}
}

// Client is the company as a desk's tenant.
func (w *World) Client(tenant, baseURL string, c Company) verifier.Client {
	return verifier.Client{
		Tenant: tenant, BaseURL: baseURL, Name: map[string]string{"ko": "별마루 편의점", "en": "Byeolmaru Store"}, DID: c.DID, KeyID: "key-1",
		Signer: Crypto(c.Key), Chain: c.Chain,
	}
}

// Crypto is the standard library's view of a signer.
func Crypto(s keys.Signer) crypto.Signer { return must(keys.CryptoSigner(s)) }

// Wallet with trust in the company.
func (w *World) Wallet() *Wallet {
	return &Wallet{Client: newClient(), Roots: []*x509.Certificate{w.Company.Root}, Facts: w.Registry, Now: w.Clock.Now}
}

// Resident are the claims of Han Gaon's resident-id.
func Resident() []sdjwt.Claim {
	return []sdjwt.Claim{
		{Name: "issuing_country", Value: sdjwt.Text("KR")},
		{Name: "date_of_issuance", Value: sdjwt.Text("2026-11-21")},
		{Name: "date_of_expiry", Value: sdjwt.Text("2029-11-20")},
		{Name: "family_name", Value: sdjwt.Text("한"), SD: true},
		{Name: "given_name", Value: sdjwt.Text("가온"), SD: true},
		{Name: "birthdate", Value: sdjwt.Text("1998-07-04"), SD: true},
		{Name: "age_over_14", Value: sdjwt.Flag(true), SD: true},
		{Name: "age_over_18", Value: sdjwt.Flag(true), SD: true},
		{Name: "age_over_19", Value: sdjwt.Flag(true), SD: true},
		{Name: "age_over_65", Value: sdjwt.Flag(false), SD: true},
		{Name: "resident_sido_code", Value: sdjwt.Text("11"), SD: true},
		{Name: "document_number", Value: sdjwt.Text("RID-26-7Q2K"), SD: true},
	}
}

// Youth are the claims of Han Gaon's youth-eligibility.
func Youth() []sdjwt.Claim {
	return []sdjwt.Claim{
		{Name: "date_of_expiry", Value: sdjwt.Text("2027-02-19")},
		{Name: "program_id", Value: sdjwt.Text("SEOUL-YA")},
		{Name: "round", Value: sdjwt.Text("2026-2")},
		{Name: "reference_date", Value: sdjwt.Text("2026-11-20")},
		{Name: "eligible", Value: sdjwt.Flag(true)},
		{Name: "resident_sido_code", Value: sdjwt.Text("11"), SD: true},
		{Name: "age_band_youth", Value: sdjwt.Flag(true), SD: true},
	}
}

// With replaces or adds one claim.
func With(claims []sdjwt.Claim, c sdjwt.Claim) []sdjwt.Claim {
	out := append([]sdjwt.Claim(nil), claims...)
	for i := range out {
		if out[i].Name == c.Name {
			out[i] = c
			return out
		}
	}
	return append(out, c)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
