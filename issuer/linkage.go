package issuer

import (
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// linkLife is how long a domain linkage credential counts; a new one is made every day.
const linkLife = 30 * 24 * time.Hour

// linkage keeps the DID configuration of the day.
type linkage struct {
	mu   sync.Mutex
	day  time.Time
	body []byte
}

// domainLinkage is the payload of a Domain Linkage Credential (DIF Well Known DID Configuration, "JSON Web Token Proof
// Format"): the claims of the JWT, and the credential in the older W3C form.
type domainLinkage struct {
	Issuer    registry.DID `json:"iss"`
	Subject   registry.DID `json:"sub"`
	NotBefore int64        `json:"nbf"`
	Expires   int64        `json:"exp"`
	VC        struct {
		Context []string     `json:"@context"`
		Type    []string     `json:"type"`
		Issuer  registry.DID `json:"issuer"`
		Issued  string       `json:"issuanceDate"`
		Expires string       `json:"expirationDate"`
		Subject struct {
			ID     registry.DID `json:"id"`
			Origin string       `json:"origin"`
		} `json:"credentialSubject"`
	} `json:"vc"`
}

// DIDConfiguration is what stands at /.well-known/did-configuration.json of the issuer's origin: each tenant's DID says,
// signed by its assertion key, that the origin is its own. A domain is a hint for people, the registry decides.
func (is *Issuer) DIDConfiguration() ([]byte, error) {
	is.linkage.mu.Lock()
	defer is.linkage.mu.Unlock()
	day := is.now().Truncate(24 * time.Hour)
	if day.Equal(is.linkage.day) {
		return is.linkage.body, nil
	}
	u, err := url.Parse(is.cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("origin of the issuer: %w", err)
	}
	configuration := struct {
		Context string   `json:"@context"`
		Linked  []string `json:"linked_dids"`
	}{Context: "https://identity.foundation/.well-known/did-configuration/v1"}
	for _, id := range is.Tenants() {
		t, err := is.tenant(id)
		if err != nil {
			return nil, err
		}
		jwt, err := t.link(u.Scheme+"://"+u.Host, day)
		if err != nil {
			return nil, err
		}
		configuration.Linked = append(configuration.Linked, jwt)
	}
	body, err := json.Marshal(configuration)
	if err != nil {
		return nil, fmt.Errorf("encode DID configuration: %w", err)
	}
	is.linkage.day, is.linkage.body = day, body
	return body, nil
}

func (t *tenant) link(origin string, from time.Time) (string, error) {
	until := from.Add(linkLife)
	c := domainLinkage{Issuer: t.DID, Subject: t.DID, NotBefore: from.Unix(), Expires: until.Unix()}
	c.VC.Context = []string{"https://www.w3.org/2018/credentials/v1", "https://identity.foundation/.well-known/did-configuration/v1"}
	c.VC.Type = []string{"VerifiableCredential", "DomainLinkageCredential"}
	c.VC.Issuer, c.VC.Issued, c.VC.Expires = t.DID, from.Format(time.RFC3339), until.Format(time.RFC3339)
	c.VC.Subject.ID, c.VC.Subject.Origin = t.DID, origin
	payload, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode domain linkage: %w", err)
	}
	return t.press.signLink(keys.Header{Typ: "JWT", Kid: t.keyURL}, payload)
}
