package verifiertest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"time"

	"github.com/mr-tron/base58"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/internal/sdjwt"
	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
)

// StatusHost is where the fixtures' lists are served.
const StatusHost = "https://status.dojang.example"

// ListSize is the number of entries of the fixtures' lists.
const ListSize = 100_000

// An Issuer is an agency with a key on the registry, a certificate under a recorded root and one status list.
type Issuer struct {
	DID   registry.DID
	VCT   string
	KeyID string
	Key   keys.Signer
	Root  *x509.Certificate
	CA    *keys.Authority
	Chain [][]byte
	List  *statuslist.Publisher

	w        *World
	next     uint64
	sequence uint64
}

func did(seed string) registry.DID {
	sum := sha256.Sum256([]byte(seed))
	return registry.DID("did:dojang:test:" + base58.Encode(sum[:]))
}

// NewIssuer makes an agency, puts its facts on the registry and publishes its first list.
func (w *World) NewIssuer(name, vct string) *Issuer {
	i := &Issuer{w: w, DID: did(name), VCT: vct, KeyID: "key-1", Key: must(keys.Generate(keys.ES256))}
	now := w.Clock.Now()
	i.CA = w.authority(name)
	i.Root = i.CA.Root()
	i.Chain = [][]byte{w.leaf(i.CA, LeafOf{DID: i.DID, Key: i.Key, EKU: keys.EKUDocumentSigner})}
	i.List = must(statuslist.NewPublisher(must(statuslist.NewValues(2, make([]byte, ListSize/4)))))
	w.Registry.PutKey(registry.Key{DID: i.DID, ID: i.KeyID, Use: registry.UseAssertion, JWK: i.Key.Public().JWK(), ActiveFrom: now.Add(-time.Hour)})
	root := sha256.Sum256(i.Root.Raw)
	w.Registry.PutAccreditation(registry.Accreditation{
		DID: i.DID, Type: vct, Roots: [][]byte{root[:]}, StatusHost: StatusHost, From: now.Add(-time.Hour), LegalBasis: []string{"RRA-24"},
	})
	i.Publish()
	return i
}

// Shrink replaces the issuer's list by one of n entries.
func (i *Issuer) Shrink(n int) {
	i.List = must(statuslist.NewPublisher(must(statuslist.NewValues(2, make([]byte, n/4)))))
	i.Publish()
}

func (w *World) authority(name string) *keys.Authority {
	return must(keys.NewRoot(keys.RootConfig{
		CommonName: name + " root", Organization: name, PermittedDNS: []string{"dojang.example", "localhost"},
		NotBefore: w.Clock.Now().Add(-24 * time.Hour), NotAfter: w.Clock.Now().AddDate(10, 0, 0), Key: must(keys.Generate(keys.ES256)),
	}))
}

// LeafOf says what a certificate is for.
type LeafOf struct {
	DID registry.DID
	Key keys.Signer
	EKU asn1.ObjectIdentifier
}

func (w *World) leaf(ca *keys.Authority, l LeafOf) []byte {
	return must(ca.Issue(keys.LeafConfig{
		CommonName: "leaf", Organization: "test", URI: string(l.DID), DNS: []string{"localhost"}, Key: l.Key.Public(),
		NotBefore: w.Clock.Now().Add(-2 * time.Hour), NotAfter: w.Clock.Now().AddDate(1, 0, 0), EKU: []asn1.ObjectIdentifier{l.EKU},
	}))
}

// Leaf makes another leaf under a CA.
func (w *World) Leaf(ca *keys.Authority, l LeafOf) []byte { return w.leaf(ca, l) }

// Authority makes another root.
func (w *World) Authority(name string) *keys.Authority { return w.authority(name) }

// URI of the issuer's list.
func (i *Issuer) URI() string { return StatusHost + "/" + i.DID.ID() + "/1" }

// Publish signs the list and anchors it in the next epoch.
func (i *Issuer) Publish() registry.StatusList { return i.PublishAs(i.Token(i.URI(), i.Key)) }

// Token signs the list's present state.
func (i *Issuer) Token(uri string, key keys.Signer) []byte {
	snap := must(i.List.Snapshot())
	now := i.w.Clock.Now()
	return must(statuslist.SignJWT(key, keys.Header{Kid: i.DID.URL(i.KeyID), X5C: i.Chain}, statuslist.Claims{
		URI: uri, IssuedAt: now, ExpiresAt: now.AddDate(0, 2, 0), TTL: time.Hour, Bits: snap.Bits, Compressed: snap.Compressed,
	}))
}

// PublishAs anchors a token as it is: its digest lies in the record, whatever it says.
func (i *Issuer) PublishAs(token []byte) registry.StatusList { return i.PublishUnder(i.URI(), token) }

// PublishUnder is PublishAs with another URI in the record.
func (i *Issuer) PublishUnder(uri string, token []byte) registry.StatusList {
	snap := must(i.List.Snapshot())
	record := must(statuslist.Record{
		URI: uri, Bits: snap.Bits, Length: snap.Length, Root: snap.Root, Tokens: statuslist.TokenDigests{JWT: sha256.Sum256(token)},
	}.Marshal())
	i.sequence++
	now := i.w.Clock.Now()
	list := registry.StatusList{URI: i.URI(), Token: token, Record: record, Path: must(statuslist.ProveRecord([][]byte{record}, 0)), Size: 1}
	i.w.Registry.PutEpoch(registry.StatusEpoch{
		Issuer: i.DID, Sequence: i.sequence, IssuedAt: now, NextUpdate: now.AddDate(0, 0, 40), Root: statuslist.EpochRoot([][]byte{record}), Signer: i.DID.URL(i.KeyID),
	}, list)
	return list
}

// SetStatus writes an entry and publishes.
func (i *Issuer) SetStatus(index uint64, s statuslist.Status) {
	must(0, i.List.Set(index, s))
	i.Publish()
}

// A Spec bends a credential before it is signed; nil bends nothing.
type Spec func(*sdjwt.Credential)

// Issue signs a credential with these claims (all selectively disclosable but what stands in plain) for a fresh holder.
func (i *Issuer) Issue(claims []sdjwt.Claim, bend Spec) *Held {
	return i.IssueTo(must(keys.Generate(keys.ES256)), claims, bend)
}

// IssueTo is Issue for a given holder key.
func (i *Issuer) IssueTo(holder keys.Signer, claims []sdjwt.Claim, bend Spec) *Held {
	i.next++
	now := i.w.Clock.Now()
	c := sdjwt.Credential{
		Alg: keys.ES256, Kid: i.DID.URL(i.KeyID), X5C: i.Chain, Issuer: string(i.DID), VCT: i.VCT,
		IssuedAt: now.Truncate(24 * time.Hour), NotBefore: now.Truncate(24 * time.Hour), Expires: now.Truncate(24*time.Hour).AddDate(0, 0, 60),
		Holder: holder.Public(), Status: &sdjwt.StatusRef{URI: i.URI(), Index: i.next}, Claims: claims,
	}
	if bend != nil {
		bend(&c)
	}
	text := must(must(sdjwt.Prepare(c, rand.Reader)).Sign(i.Key))
	index := uint64(0)
	if c.Status != nil {
		index = c.Status.Index
	}
	return &Held{Text: text, Holder: holder, Index: index, w: i.w}
}
