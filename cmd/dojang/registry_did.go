package main

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// registryDIDCmd is for organisations that are no members: whoever controls the keys controls the identifier.
type registryDIDCmd struct {
	Create     didCreate     `cmd:"" help:"Make keys, certificate and identifier, and write the identifier on the chain through a member's gateway."`
	Resolve    didResolve    `cmd:"" help:"Show the document of an identifier: of this network proven, did:key computed, did:web fetched."`
	AddKey     didAddKey     `cmd:"" help:"Make a further key."`
	Service    didService    `cmd:"" help:"Set a service, or remove it."`
	Retire     didRetire     `cmd:"" help:"Retire a key: what it signed before counts."`
	Compromise didCompromise `cmd:"" help:"Declare a key compromised; from more than 72 hours ago, only members can (propose key-compromise)."`
	Rotate     didRotate     `cmd:"" help:"Replace the operation key by the next one, and commit to a new next one."`
	Freeze     didFreeze     `cmd:"" help:"Stop everything but recovery, with the recovery key: the operation key is stolen."`
	Recover    didRecover    `cmd:"" help:"Put new control keys in place, with the recovery key or, that being lost, by the members."`
	Deactivate didDeactivate `cmd:"" help:"End the identifier for good."`
}

type didCreate struct {
	chainFlags
	Dir    string `arg:"" help:"Folder of the organisation: keys (encrypted), certificates, did.txt; its last part names it." type:"path"`
	Name   string `help:"Name of the organisation, in its certificate; the folder's unless told otherwise."`
	Use    string `help:"What its key signs: assertion (credentials), authentication (a verifier's requests), attestation (wallets), status (second status operator)." enum:"assertion,authentication,attestation,status" default:"assertion"`
	Status string `help:"URL where an issuer publishes its status lists." placeholder:"https://…"`
	Host   string `help:"DNS name in its certificate." default:"localhost"`

	GeneratePassphrase bool `help:"Draw a passphrase and keep it in the folder: for trials."`
	passphraseFlags
}

func (c *didCreate) Run(e *env) error {
	v, err := c.open(e)
	if err != nil {
		return err
	}
	o, err := c.found(network{v.trust.Network, v.trust.ChainID})
	if err != nil {
		return err
	}
	if err := v.submit(e.ctx, o.create); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.Dir, "did.txt"), []byte(string(o.did)+"\n")); err != nil {
		return err
	}
	if c.JSON {
		return e.print(map[string]any{"did": o.did, "key": o.url(), "root": filepath.Join(c.Dir, o.name+"-root.pem")})
	}
	_, err = fmt.Fprintln(e.stdout, o.did)
	return err
}

// ekuOf is what a certificate of a key says that it may do.
func ekuOf(use registry.KeyUse) []asn1.ObjectIdentifier {
	switch use {
	case registry.UseAssertion:
		return []asn1.ObjectIdentifier{ekuDocumentSigner}
	case registry.UseStatus:
		return []asn1.ObjectIdentifier{keys.EKUStatusSigner}
	case registry.UseAuthentication:
		return []asn1.ObjectIdentifier{ekuReader}
	}
	return nil
}

// found makes the organisation, or opens what is in the folder.
func (c *didCreate) found(n network) (*organisation, error) {
	f := founding{network: n, name: filepath.Base(c.Dir), display: c.Name, use: registry.KeyUse(c.Use), host: c.Host}
	if !registry.ValidFragment(f.name) || strings.ToLower(f.name) != f.name {
		return nil, errors.New("the folder's name names the organisation: small letters, digits, '-', '_' and '.'")
	}
	if f.display == "" {
		f.display = f.name
	}
	f.eku = ekuOf(f.use)
	if c.Status != "" {
		f.services = []registry.Service{{ID: "status", Type: "StatusListPublisher", Endpoint: c.Status}}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	if c.GeneratePassphrase {
		if err := generatePassphrase(nodeHome(c.Dir)); err != nil {
			return nil, err
		}
	}
	store, err := c.store(nodeHome(c.Dir), "keys")
	if err != nil {
		return nil, err
	}
	return found(c.Dir, store, f)
}
