package main

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// Certificates of the demo say what their key may do; foreign software reads these (ISO/IEC 18013-5 names them).
var (
	ekuDocumentSigner = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 2}
	ekuReader         = asn1.ObjectIdentifier{1, 0, 18013, 5, 1, 6}
)

// demoAgencies are the tenants of the demo's issuer.
func demoAgencies() ([]*agency, error) {
	list := []*agency{
		{organisation: &organisation{name: "gaon", display: "Gaon-gu Office"}, name: schemas.Text{Ko: "가온구청", En: "Gaon-gu Office"},
			authority: "가온구청장 / Mayor of Gaon-gu", jurisdiction: "KR-11", records: "gaon.csv"},
		{organisation: &organisation{name: "seoul", display: "Seoul Metropolitan Government"}, name: schemas.Text{Ko: "서울특별시", En: "Seoul Metropolitan Government"},
			authority: "서울특별시장 / Mayor of Seoul", jurisdiction: "KR-11", records: "seoul.csv"},
		{organisation: &organisation{name: "customs", display: "Korea Customs Service"}, name: schemas.Text{Ko: "관세청", En: "Korea Customs Service"},
			authority: "관세청장 / Commissioner of Customs", jurisdiction: "", records: "customs.csv"},
	}
	for name, tenant := range tenantOf {
		t, ok := schemas.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("type %s is unknown", name)
		}
		for _, a := range list {
			if a.organisation.name == tenant {
				a.types = append(a.types, t)
			}
		}
	}
	return list, nil
}

// foundedFile says that the organisations are on the chain.
const foundedFile = "founded"

// foundAll makes the demo's organisations and writes them on the chain, as far as they are not there yet.
func (eco *ecosystem) foundAll(ctx context.Context) error {
	governance, err := eco.governance()
	if err != nil {
		return err
	}
	_, err = os.Stat(eco.sub(foundedFile))
	c := &consortium{governance: governance, resolver: eco.light, submitter: eco.light, now: eco.clock.Now,
		empty: eco.newborn, unfounded: errors.Is(err, fs.ErrNotExist)}
	if err := eco.foundAgencies(ctx, c); err != nil {
		return err
	}
	if err := eco.foundCompany(ctx, c); err != nil {
		return err
	}
	if eco.provider, err = eco.foundOne(ctx, c, "wallet-api", founding{name: "provider", display: "Common Wallet", use: registry.UseAttestation}); err != nil {
		return err
	}
	for _, t := range schemas.All() {
		if err := c.fixType(ctx, t); err != nil {
			return err
		}
	}
	step := failpoint()
	if step == nil {
		step = func(string) {}
	}
	step("found.begun")
	if err := c.flush(ctx); err != nil {
		return err
	}
	step("found.written")
	if c.unfounded {
		if err := writeFile(eco.sub(foundedFile), nil); err != nil {
			return err
		}
	}
	return eco.track() // a new tracker has not seen the chain without them
}

func (eco *ecosystem) foundOne(ctx context.Context, c *consortium, party string, f founding) (*organisation, error) {
	store, err := eco.keys(party)
	if err != nil {
		return nil, err
	}
	f.network, f.host = demoNetwork, "localhost"
	o, err := found(eco.sub(party), store, f)
	if err != nil {
		return nil, err
	}
	return o, c.enrol(ctx, o)
}

func (eco *ecosystem) foundAgencies(ctx context.Context, c *consortium) error {
	var err error
	if eco.agencies, err = demoAgencies(); err != nil {
		return err
	}
	for _, a := range eco.agencies {
		endpoint := local(eco.ports.Issuer) + "/" + a.organisation.name + "/status"
		a.organisation, err = eco.foundOne(ctx, c, "issuer", founding{
			name: a.organisation.name, display: a.display, use: registry.UseAssertion, eku: []asn1.ObjectIdentifier{ekuDocumentSigner},
			services: []registry.Service{
				{ID: "status", Type: "StatusListPublisher", Endpoint: endpoint},
				{ID: "domain", Type: "LinkedDomains", Endpoint: local(eco.ports.Issuer)},
			},
		})
		if err != nil {
			return err
		}
		for _, t := range a.types {
			if err := c.accredit(ctx, a.organisation, t, local(eco.ports.Status)); err != nil {
				return err
			}
		}
	}
	return nil
}

// foundCompany registers the demo's shop for what its two policies ask.
func (eco *ecosystem) foundCompany(ctx context.Context, c *consortium) error {
	var err error
	eco.company, err = eco.foundOne(ctx, c, "verifier", founding{
		name: "byeolmaru", display: "Byeolmaru Store", use: registry.UseAuthentication, eku: []asn1.ObjectIdentifier{ekuReader},
	})
	if err != nil {
		return err
	}
	name := map[string]string{"ko": "별마루 편의점", "en": "Byeolmaru Store"}
	for _, r := range []registry.RegisterBody{
		{
			Purpose: "ADULT_CHECK", Name: name, Text: map[string]string{"ko": "성인 여부 확인", "en": "Check that you are an adult"},
			Claims: map[string][]string{schemas.VCT("resident-id", 1): {"age_over_19"}}, Basis: []string{"YOUTH-PROTECTION-ACT-28"}, Retention: 1,
		},
		{
			Purpose: "YOUTH_SUPPORT", Name: name, Text: map[string]string{"ko": "청년 지원 대상 확인", "en": "Check eligibility for youth support"},
			Claims: map[string][]string{schemas.VCT("youth-eligibility", 1): {"eligible", "round", "resident_sido_code"}},
			Basis:  []string{"SEOUL-YOUTH-ORDINANCE"}, Retention: 30,
		},
	} {
		if err := c.register(ctx, eco.company, r); err != nil {
			return err
		}
	}
	return nil
}
