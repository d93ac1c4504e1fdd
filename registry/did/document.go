package did

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
)

// A Record is all that a document shows. Keys and Services are those that the DID's fact lists.
type Record struct {
	ID       registry.DID
	DID      registry.DIDFact
	Keys     []Named[registry.KeyFact]
	Services []Named[registry.ServiceFact]
	Created  time.Time // zero while the header that dates it does not exist
	Updated  time.Time
	Next     time.Time // of the next version; zero when this is the newest
	NextSeq  uint64
}

type documentJSON struct {
	Context        []string     `json:"@context"`
	ID             string       `json:"id"`
	AlsoKnownAs    []string     `json:"alsoKnownAs,omitempty"`
	Methods        []methodJSON `json:"verificationMethod,omitempty"`
	Authentication []string     `json:"authentication,omitempty"`
	Assertion      []string     `json:"assertionMethod,omitempty"`
	Services       []svcJSON    `json:"service,omitempty"`
}

type methodJSON struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Controller string          `json:"controller"`
	JWK        json.RawMessage `json:"publicKeyJwk"`
}

type svcJSON struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Endpoint string `json:"serviceEndpoint"`
}

// Document is the DID document (W3C DID Core 1.0) as JSON; a deactivated DID has an empty one. Attestation and status
// keys stand under verificationMethod only: for foreign readers an assertionMethod may sign credentials.
func (r Record) Document() ([]byte, error) { return r.document(string(r.ID), nil) }

// WebDocument is the same document under its did:web alias, WebAlias of a host, which names the registered DID as alsoKnownAs.
func (r Record) WebDocument(alias string) ([]byte, error) {
	return r.document(alias, []string{string(r.ID)})
}

// WebAlias is the did:web identifier of a DID at a host: its document is <host>/did/<id>/did.json (did:web, "Read").
func WebAlias(host string, d registry.DID) string {
	return "did:web:" + strings.ReplaceAll(host, ":", "%3A") + ":did:" + d.ID()
}

func (r Record) document(id string, also []string) ([]byte, error) {
	d := documentJSON{
		Context:     []string{"https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1"},
		ID:          id,
		AlsoKnownAs: also,
	}
	for _, k := range r.Keys {
		if !slices.Contains(r.DID.Keys, k.ID) {
			continue
		}
		jwk, err := k.Fact.Key.JWK()
		if err != nil {
			return nil, err
		}
		url := id + "#" + k.ID
		d.Methods = append(d.Methods, methodJSON{ID: url, Type: "JsonWebKey2020", Controller: id, JWK: jwk})
		switch k.Fact.Use {
		case registry.UseAssertion:
			d.Assertion = append(d.Assertion, url)
		case registry.UseAuthentication:
			d.Authentication = append(d.Authentication, url)
		}
	}
	if r.DID.Deactivated == 0 {
		for _, s := range r.Services {
			if slices.Contains(r.DID.Services, s.ID) {
				d.Services = append(d.Services, svcJSON{ID: id + "#" + s.ID, Type: s.Fact.Type, Endpoint: s.Fact.Endpoint})
			}
		}
	}
	return json.Marshal(d)
}

type metadataJSON struct {
	Created       string `json:"created,omitempty"`
	Updated       string `json:"updated,omitempty"`
	Deactivated   bool   `json:"deactivated,omitempty"`
	VersionID     string `json:"versionId"`
	NextUpdate    string `json:"nextUpdate,omitempty"`
	NextVersionID string `json:"nextVersionId,omitempty"`
}

// Metadata is the DID document metadata (W3C DID Core 7.1.3).
func (r Record) Metadata() ([]byte, error) {
	m := metadataJSON{
		Created: stamp(r.Created), Updated: stamp(r.Updated), Deactivated: r.DID.Deactivated != 0,
		VersionID: strconv.FormatUint(r.DID.Seq, 10), NextUpdate: stamp(r.Next),
	}
	if r.NextSeq != 0 {
		m.NextVersionID = strconv.FormatUint(r.NextSeq, 10)
	}
	return json.Marshal(m)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}
