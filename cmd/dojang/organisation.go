package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// An organisation: an agency, a company or the wallet provider, with its keys, its DID and its certificate.
type organisation struct {
	name    string // folder and tenant
	display string
	did     registry.DID
	kid     string // fragment of signer's key
	signer  keys.Signer
	chain   [][]byte // x5c: the leaf, without the root
	root    *x509.Certificate
	create  []byte // signed create operation
}

// A network names what operations are signed for.
type network struct{ name, chainID string }

var demoNetwork = network{name: "demo", chainID: "dojang-demo-1"}

// A founding says what an organisation is to be.
type founding struct {
	network       network
	name, display string
	use           registry.KeyUse
	eku           []asn1.ObjectIdentifier
	services      []registry.Service
	host          string // DNS name in the certificate
}

// found makes the organisation's keys, its create operation and its certificates, or opens those that are there. Keys:
// op, next and recovery control the DID (the last two sleep until they are needed); the fourth signs what the use says.
func found(dir string, store keys.Store, f founding) (*organisation, error) {
	var err error
	kid := string(f.use) + "-1"
	signer := map[string]keys.Signer{}
	for name, alg := range map[string]string{"op": keys.EdDSA, "next": keys.EdDSA, "recovery": keys.EdDSA, kid: keys.ES256, "root": keys.ES256} {
		if signer[name], err = keys.OpenOrCreate(store, f.name+"."+name, alg); err != nil {
			return nil, fmt.Errorf("key %s of %s: %w", name, f.name, err)
		}
	}
	public := func(name string) registry.PublicKey {
		k, kerr := registry.NewPublicKey(signer[name].Public().Crypto())
		err = errors.Join(err, kerr)
		return k
	}
	op := registry.Operation{Network: f.network.name, ChainID: f.network.chainID, Body: &registry.CreateBody{
		Op: public("op"), Next: public("next").Hash(), Recovery: public("recovery").Hash(),
		Keys:     []registry.NewKey{{ID: kid, Use: f.use, Key: public(kid)}},
		Services: f.services,
	}}
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", f.name, err)
	}
	o := &organisation{name: f.name, display: f.display, kid: kid, signer: keys.Checked(signer[kid])}
	if o.did, err = op.CreatedDID(); err != nil {
		return nil, fmt.Errorf("DID of %s: %w", f.name, err)
	}
	if o.create, err = op.Sign(registry.SigningKey{Role: registry.RoleOp, Public: public("op"), Signer: signer["op"]}); err != nil {
		return nil, fmt.Errorf("create operation of %s: %w", f.name, err)
	}
	return o, o.certify(dir, signer["root"], f)
}

// certify makes the root and the leaf once; later starts read them.
func (o *organisation) certify(dir string, rootKey keys.Signer, f founding) error {
	rootFile, leafFile := filepath.Join(dir, o.name+"-root.pem"), filepath.Join(dir, o.name+"-leaf.pem")
	if pem, err := os.ReadFile(leafFile); err == nil {
		leaf, err := keys.ReadPEM(pem)
		if err != nil {
			return fmt.Errorf("read %s: %w", leafFile, err)
		}
		if pem, err = os.ReadFile(rootFile); err != nil {
			return err
		}
		root, err := keys.ReadPEM(pem)
		if err != nil || len(root) != 1 || len(leaf) != 1 {
			return fmt.Errorf("read %s: %w", rootFile, errors.Join(err, errors.New("one certificate is expected")))
		}
		o.root, o.chain = root[0], [][]byte{leaf[0].Raw}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	now := time.Now().UTC().Truncate(time.Hour)
	authority, err := keys.NewRoot(keys.RootConfig{
		CommonName: o.display + " Root", Organization: o.display,
		NotBefore: now, NotAfter: now.AddDate(10, 0, 0), Key: rootKey,
	})
	if err != nil {
		return fmt.Errorf("root certificate of %s: %w", o.name, err)
	}
	leaf, err := authority.Issue(keys.LeafConfig{
		CommonName: o.display, Organization: o.display, URI: string(o.did), DNS: []string{f.host},
		Key: o.signer.Public(), NotBefore: now, NotAfter: now.AddDate(4, 0, 0), EKU: f.eku,
	})
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", o.name, err)
	}
	o.root, o.chain = authority.Root(), [][]byte{leaf}
	if err := writeFile(rootFile, keys.WritePEM(o.root.Raw)); err != nil {
		return err
	}
	return writeFile(leafFile, keys.WritePEM(leaf))
}

// url is the DID URL of the organisation's key.
func (o *organisation) url() string { return o.did.URL(o.kid) }

// rootDigest is what the accreditation records.
func (o *organisation) rootDigest() [32]byte { return sha256.Sum256(o.root.Raw) }
