package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
)

// didFlags name an organisation by its folder, and a node to hand its operations to.
type didFlags struct {
	chainFlags
	Dir string `arg:"" help:"Folder of the organisation, made by did create." type:"existingdir"`
	passphraseFlags
}

// A controller is an organisation with its keys and the newest state of its identifier.
type controller struct {
	*council
	did   registry.DID
	name  string // of the organisation: what its keys' names begin with
	store *keys.FileStore
	fact  *registry.DIDFact
	known time.Time // of the header that shows it
}

func (f *didFlags) controller(e *env) (*controller, error) {
	v, err := f.open(e)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(f.Dir, "did.txt"))
	if err != nil {
		return nil, err
	}
	c := &controller{council: v, name: filepath.Base(f.Dir)}
	if c.did, err = v.identifier(strings.TrimSpace(string(raw))); err != nil {
		return nil, fmt.Errorf("did.txt: %w", err)
	}
	if c.store, err = f.store(nodeHome(f.Dir), "keys"); err != nil {
		return nil, err
	}
	facts, err := v.facts(e.ctx, registry.DIDFamily(c.did).Latest())
	if err != nil {
		return nil, err
	}
	c.known = facts.Head().KnownAt
	c.fact, _, err = latestOf[registry.DIDFact](facts, registry.DIDFamily(c.did))
	if err == nil && c.fact == nil {
		err = fmt.Errorf("%w: the identifier is not on the chain", errCheck)
	}
	return c, err
}

// series of control keys: NAME.op is the first one, NAME.op-7 was made for version 7. The chain knows which counts.
var series = []string{"op", "next", "recovery"}

func (c *controller) keyName(series string, version uint64) string {
	if version > 0 {
		series += "-" + strconv.FormatUint(version, 10)
	}
	return c.name + "." + series
}

// own finds the key that the chain names, among those that the folder has.
func (c *controller) own(role string, is func(registry.PublicKey) bool) (registry.SigningKey, error) {
	for _, s := range series {
		for version := range c.fact.Seq + 1 {
			signer, err := c.store.Signer(c.keyName(s, version))
			if errors.Is(err, keys.ErrNotFound) {
				continue
			}
			if err != nil {
				return registry.SigningKey{}, err
			}
			public, err := registry.NewPublicKey(signer.Public().Crypto())
			if err != nil {
				return registry.SigningKey{}, err
			}
			if is(public) {
				return registry.SigningKey{Role: role, Public: public, Signer: signer}, nil
			}
		}
	}
	return registry.SigningKey{}, fmt.Errorf("the folder does not hold the %s key that counts now", role)
}

func (c *controller) operationKey() (registry.SigningKey, error) {
	return c.own(registry.RoleOp, func(k registry.PublicKey) bool { return string(k) == string(c.fact.Op) })
}

func (c *controller) committed(role string, hash [32]byte) (registry.SigningKey, error) {
	return c.own(role, func(k registry.PublicKey) bool { return k.Hash().Digest() == hash })
}

// fresh makes the key of a series for the next version; one whose operation was refused is there already.
func (c *controller) fresh(series, role string) (registry.SigningKey, error) {
	signer, err := keys.OpenOrCreate(c.store, c.keyName(series, c.fact.Seq+1), keys.EdDSA)
	if err != nil {
		return registry.SigningKey{}, err
	}
	public, err := registry.NewPublicKey(signer.Public().Crypto())
	return registry.SigningKey{Role: role, Public: public, Signer: signer}, err
}

// next is the next operation of the identifier's history.
func (c *controller) next(body registry.Body) (*draft, error) {
	d, err := newDraft(c.council.operation(registry.Operation{DID: c.did, Seq: c.fact.Seq + 1, Prev: registry.HashOfDigest(c.fact.Head), Body: body}))
	if err != nil {
		return nil, unfit(err)
	}
	return d, nil
}

// change signs and submits it.
func (c *controller) change(ctx context.Context, body registry.Body, signers ...registry.SigningKey) error {
	d, err := c.next(body)
	if err != nil {
		return err
	}
	raw, err := d.op.Sign(signers...)
	if err != nil {
		return err
	}
	return c.submit(ctx, raw)
}

// byOperationKey is for what the operation key alone decides.
func (f *didFlags) byOperationKey(e *env, body func(c *controller) (registry.Body, error)) error {
	c, err := f.controller(e)
	if err != nil {
		return err
	}
	b, err := body(c)
	if err != nil {
		return err
	}
	key, err := c.operationKey()
	if err == nil {
		err = c.change(e.ctx, b, key)
	}
	if err != nil {
		return err
	}
	return f.done(e, c)
}

// done tells which version the identifier has now.
func (f *didFlags) done(e *env, c *controller) error {
	version := c.fact.Seq + 1
	if f.JSON {
		return e.print(map[string]any{"did": c.did, "version": version})
	}
	_, err := fmt.Fprintf(e.stdout, "%s: version %d\n", c.did, version)
	return err
}

type didAddKey struct {
	didFlags
	ID  string `arg:"" help:"The part after #, never used before."`
	Use string `help:"What it signs." enum:"assertion,authentication,attestation,status" default:"assertion"`
}

func (c *didAddKey) Run(e *env) error {
	if first, _, _ := strings.Cut(c.ID, "-"); first == "root" || slices.Contains(series, first) || strings.ToLower(c.ID) != c.ID {
		return errors.New("a key is named in small letters, and not like the keys that control the identifier")
	}
	var o *controller
	var signer keys.Signer
	err := c.byOperationKey(e, func(own *controller) (registry.Body, error) {
		var err error
		o = own
		if signer, err = keys.OpenOrCreate(o.store, o.name+"."+c.ID, keys.ES256); err != nil {
			return nil, fmt.Errorf("key %s: %w", c.ID, err)
		}
		public, err := registry.NewPublicKey(signer.Public().Crypto())
		return &registry.UpdateBody{Keys: []registry.NewKey{{ID: c.ID, Use: registry.KeyUse(c.Use), Key: public}}}, err
	})
	if err != nil {
		return err
	}
	return c.certify(e, o, signer.Public())
}

// certify issues the key's certificate like that of the first key: x5c of what it signs, under the root that the accreditation
// records. Without the root's key, which may lie elsewhere, it says what is missing.
func (c *didAddKey) certify(e *env, o *controller, key *keys.PublicKey) error {
	file := filepath.Join(c.Dir, o.name+"-"+c.ID+"-leaf.pem")
	root, err := readCertificate(filepath.Join(c.Dir, o.name+"-root.pem"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has no certificates
	}
	if err != nil {
		return err
	}
	first, err := readCertificate(filepath.Join(c.Dir, o.name+"-leaf.pem"))
	if err != nil {
		return err
	}
	signer, err := o.store.Signer(o.name + ".root")
	if errors.Is(err, keys.ErrNotFound) {
		_, err = fmt.Fprintf(e.stderr, "dojang: the root's key is not in the folder: whoever has it issues a certificate for %s\n", o.did.URL(c.ID))
		return err
	}
	if err != nil {
		return err
	}
	authority, err := keys.OpenAuthority(root, signer)
	if err != nil {
		return err
	}
	leaf := keys.LeafConfig{CommonName: first.Subject.CommonName, URI: string(o.did), DNS: first.DNSNames, Key: key,
		NotBefore: time.Now().UTC().Truncate(time.Hour), EKU: ekuOf(registry.KeyUse(c.Use))}
	if len(first.Subject.Organization) > 0 {
		leaf.Organization = first.Subject.Organization[0]
	}
	if leaf.NotAfter = leaf.NotBefore.AddDate(4, 0, 0); leaf.NotAfter.After(root.NotAfter) {
		leaf.NotAfter = root.NotAfter
	}
	der, err := authority.Issue(leaf)
	if err == nil {
		err = writeFile(file, keys.WritePEM(der))
	}
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", o.did.URL(c.ID), err)
	}
	if c.JSON {
		return e.print(map[string]any{"certificate": file})
	}
	_, err = fmt.Fprintln(e.stdout, file)
	return err
}

func readCertificate(file string) (*x509.Certificate, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	all, err := keys.ReadPEM(raw)
	if err == nil && len(all) != 1 {
		err = errors.New("one certificate is expected")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return all[0], nil
}

type didService struct {
	didFlags
	ID       string `arg:"" help:"The part after #."`
	Type     string `arg:"" optional:"" help:"Its type, for instance StatusListPublisher; none: the service is removed."`
	Endpoint string `arg:"" optional:"" help:"https://…"`
}

func (c *didService) Run(e *env) error {
	return c.byOperationKey(e, func(*controller) (registry.Body, error) {
		if c.Type == "" {
			return &registry.UpdateBody{Remove: []string{c.ID}}, nil
		}
		return &registry.UpdateBody{Services: []registry.Service{{ID: c.ID, Type: c.Type, Endpoint: c.Endpoint}}}, nil
	})
}

type didRetire struct {
	didFlags
	ID string `arg:"" help:"The part after #."`
}

func (c *didRetire) Run(e *env) error {
	return c.byOperationKey(e, func(*controller) (registry.Body, error) { return &registry.RetireBody{ID: c.ID}, nil })
}

type didCompromise struct {
	didFlags
	ID   string `arg:"" help:"The part after #."`
	From moment `help:"Since when nothing that it signed counts; now unless told otherwise." placeholder:"MOMENT"`
}

func (c *didCompromise) Run(e *env) error {
	return c.byOperationKey(e, func(o *controller) (registry.Body, error) {
		from := c.From.from()
		if from == 0 {
			from = o.known.Unix() // the next block's time is not before it; this machine's clock may be
		}
		return &registry.CompromiseBody{ID: c.ID, From: from}, nil
	})
}

type didDeactivate struct {
	didFlags
	Yes bool `help:"It can never be used again; say so."`
}

func (c *didDeactivate) Run(e *env) error {
	if !c.Yes && !confirmed(e, "This ends the identifier for good. Go on? [y/N] ") {
		return fmt.Errorf("%w: nothing was done (--yes does it without being asked)", errCheck)
	}
	return c.byOperationKey(e, func(*controller) (registry.Body, error) { return &registry.DeactivateBody{}, nil })
}

type didRotate struct{ didFlags }

func (c *didRotate) Run(e *env) error {
	o, err := c.controller(e)
	if err != nil {
		return err
	}
	now, err := o.operationKey()
	if err != nil {
		return err
	}
	next, err := o.committed(registry.RoleNext, o.fact.Next)
	if err != nil {
		return err
	}
	after, err := o.fresh("next", registry.RoleNext)
	if err != nil {
		return err
	}
	if err := o.change(e.ctx, &registry.RotateBody{Key: next.Public, Next: after.Public.Hash()}, now, next); err != nil {
		return err
	}
	return c.done(e, o)
}

type didFreeze struct{ didFlags }

func (c *didFreeze) Run(e *env) error {
	o, err := c.controller(e)
	if err != nil {
		return err
	}
	recovery, err := o.committed(registry.RoleRecovery, o.fact.Recovery)
	if err != nil {
		return err
	}
	after, err := o.fresh("recovery", registry.RoleRecovery)
	if err != nil {
		return err
	}
	if err := o.change(e.ctx, &registry.FreezeBody{Key: recovery.Public, Recovery: after.Public.Hash()}, recovery); err != nil {
		return err
	}
	return c.done(e, o)
}

type didRecover struct {
	didFlags
	ByMembers string `help:"The recovery key is lost: write an operation file for a member to propose (propose recover)." type:"path" placeholder:"FILE"`
}

func (c *didRecover) Run(e *env) error {
	o, err := c.controller(e)
	if err != nil {
		return err
	}
	var recovery registry.SigningKey
	if c.ByMembers != "" {
		err = mustBeNew(c.ByMembers)
	} else {
		recovery, err = o.committed(registry.RoleRecovery, o.fact.Recovery)
	}
	if err != nil {
		return err
	}
	body := &registry.RecoverBody{Key: recovery.Public}
	fresh := map[string]registry.SigningKey{}
	for _, s := range series {
		if fresh[s], err = o.fresh(s, registry.RoleOp); err != nil {
			return err
		}
	}
	body.Op, body.Next, body.Recovery = fresh["op"].Public, fresh["next"].Public.Hash(), fresh["recovery"].Public.Hash()
	if c.ByMembers == "" {
		if err := o.change(e.ctx, body, fresh["op"], recovery); err != nil {
			return err
		}
		return c.done(e, o)
	}
	d, err := o.next(body)
	if err == nil {
		err = d.sign(fresh["op"])
	}
	if err == nil {
		err = d.write(c.ByMembers)
	}
	if err != nil {
		return err
	}
	return tellDraft(e, c.ByMembers, d, c.JSON)
}
