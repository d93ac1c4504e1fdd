package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/schemas"
)

// grantFlags name one accreditation.
type grantFlags struct {
	proposeFlags
	DID  string `arg:"" name:"did" help:"The issuer's identifier."`
	Type string `arg:"" help:"Credential type: resident-id, or its vct."`
	N    uint64 `help:"Number of the accreditation for this type; the newest unless told otherwise." placeholder:"N"`
}

type proposeAccredit struct {
	proposeFlags
	DID      string   `arg:"" name:"did" help:"The issuer's identifier."`
	Type     string   `arg:"" help:"Credential type: resident-id, or its vct."`
	Amend    uint64   `help:"Amend accreditation N instead of giving a new one." placeholder:"N"`
	Basis    []string `help:"Legal bases, as codes; those of the type unless told otherwise." placeholder:"CODE"`
	Root     []string `help:"X.509 roots that may certify the issuer's keys (PEM)." type:"existingfile" placeholder:"FILE"`
	Host     string   `help:"URL under which the issuer's status lists are served; the network's status host unless told otherwise." placeholder:"URL"`
	From     moment   `help:"Begin; now unless told otherwise." placeholder:"DAY"`
	Until    moment   `help:"Last day, or end." placeholder:"DAY"`
	Operator string   `help:"Identifier of the second status operator." placeholder:"DID"`
}

func (c *proposeAccredit) Run(e *env) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		did, err := v.identifier(c.DID)
		if err != nil {
			return registry.Operation{}, err
		}
		body, err := c.body(v)
		if err != nil {
			return registry.Operation{}, err
		}
		newest, fact, err := v.accreditation(e.ctx, grant{did: did, vct: body.Type, n: c.Amend})
		if err != nil && (c.Amend > 0 || !errors.Is(err, errNoAccreditation)) {
			return registry.Operation{}, err
		}
		op := registry.Operation{DID: did, Body: body}
		if body.N = newest + 1; c.Amend > 0 {
			body.N, op.Seq, op.Prev = c.Amend, fact.Seq+1, registry.HashOfDigest(fact.Head)
		}
		return op, nil
	})
}

func (c *proposeAccredit) body(v *council) (*registry.AccreditBody, error) {
	vct, err := credentialType(c.Type)
	if err != nil {
		return nil, err
	}
	b := &registry.AccreditBody{Type: vct, Basis: c.Basis, Host: c.Host, From: c.From.from(), Until: c.Until.until()}
	if t, ok := schemas.Lookup(vct); ok && len(b.Basis) == 0 {
		for _, basis := range t.LegalBases {
			b.Basis = append(b.Basis, basis.Code)
		}
	}
	if len(b.Basis) == 0 {
		return nil, errors.New("an accreditation needs a legal basis (--basis)")
	}
	if strings.HasPrefix(v.network.StatusURL, "https://") && b.Host == "" { // a trial on one machine has none that the chain takes
		b.Host = v.network.StatusURL
	}
	if b.From == 0 {
		b.From = time.Now().Unix()
	}
	if c.Operator != "" {
		if b.Operator, err = v.identifier(c.Operator); err != nil {
			return nil, err
		}
	}
	for _, path := range c.Root {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		certificates, err := keys.ReadPEM(raw)
		if err != nil || len(certificates) == 0 {
			return nil, fmt.Errorf("%s holds no certificate", path)
		}
		for _, root := range certificates {
			b.Roots = append(b.Roots, sha256.Sum256(root.Raw))
		}
	}
	return b, nil
}

// A grant names one accreditation; n 0 is the newest.
type grant struct {
	did registry.DID
	vct string
	n   uint64
}

var errNoAccreditation = fmt.Errorf("%w: no such accreditation", errCheck)

// accreditation is the fact of a grant, and its number.
func (v *council) accreditation(ctx context.Context, g grant) (uint64, *registry.AccreditationFact, error) {
	const batch = 8
	var newest uint64
	var found *registry.AccreditationFact
	for from := max(g.n, 1); ; from += batch {
		n := uint64(batch)
		if g.n > 0 {
			n = 1
		}
		var leaves [][]byte
		for i := range n {
			leaves = append(leaves, registry.AccreditationFamily(g.did, g.vct, from+i).Latest())
		}
		facts, err := v.facts(ctx, leaves...)
		if err != nil {
			return 0, nil, err
		}
		for i := range n {
			fact, _, err := latestOf[registry.AccreditationFact](facts, registry.AccreditationFamily(g.did, g.vct, from+i))
			if err != nil {
				return 0, nil, err
			}
			if fact == nil { // counted without gaps
				if found == nil {
					return 0, nil, errNoAccreditation
				}
				return newest, found, nil
			}
			newest, found = from+i, fact
		}
		if g.n > 0 {
			return newest, found, nil
		}
	}
}

// change proposes the next operation of an accreditation's history.
func (c *grantFlags) change(e *env, body func(vct string, n uint64) registry.Body) error {
	return c.propose(e, func(v *council) (registry.Operation, error) {
		did, err := v.identifier(c.DID)
		if err != nil {
			return registry.Operation{}, err
		}
		vct, err := credentialType(c.Type)
		if err != nil {
			return registry.Operation{}, err
		}
		n, fact, err := v.accreditation(e.ctx, grant{did: did, vct: vct, n: c.N})
		if err != nil {
			return registry.Operation{}, err
		}
		return registry.Operation{DID: did, Seq: fact.Seq + 1, Prev: registry.HashOfDigest(fact.Head), Body: body(vct, n)}, nil
	})
}

type proposeSuspend struct{ grantFlags }

func (c *proposeSuspend) Run(e *env) error {
	return c.change(e, func(vct string, n uint64) registry.Body { return &registry.SuspendBody{Type: vct, N: n} })
}

type proposeResume struct{ grantFlags }

func (c *proposeResume) Run(e *env) error {
	return c.change(e, func(vct string, n uint64) registry.Body { return &registry.ResumeBody{Type: vct, N: n} })
}

type proposeEnd struct {
	grantFlags
	Until moment `help:"Last day, or end; now unless told otherwise." placeholder:"DAY"`
}

func (c *proposeEnd) Run(e *env) error {
	until := c.Until.until()
	if until == 0 {
		until = time.Now().Unix()
	}
	return c.change(e, func(vct string, n uint64) registry.Body { return &registry.EndBody{Type: vct, N: n, Until: until} })
}

// keyFlags name a key of an identifier.
type keyFlags struct {
	proposeFlags
	Key string `arg:"" help:"The key: did:dojang:…#name."`
}

// changeDID proposes the next operation of an identifier's own history.
func (f *proposeFlags) changeDID(e *env, text string, body registry.Body) error {
	return f.propose(e, func(v *council) (registry.Operation, error) {
		did, err := v.identifier(text)
		if err != nil {
			return registry.Operation{}, err
		}
		facts, err := v.facts(e.ctx, registry.DIDFamily(did).Latest())
		if err != nil {
			return registry.Operation{}, err
		}
		fact, _, err := latestOf[registry.DIDFact](facts, registry.DIDFamily(did))
		if err == nil && fact == nil {
			err = fmt.Errorf("%w: no such identifier", errCheck)
		}
		if err != nil {
			return registry.Operation{}, err
		}
		return registry.Operation{DID: did, Seq: fact.Seq + 1, Prev: registry.HashOfDigest(fact.Head), Body: body}, nil
	})
}

func (c *keyFlags) changeKey(e *env, body func(id string) registry.Body) error {
	did, id, err := registry.ParseDIDURL(c.Key)
	if err != nil {
		return errors.New("a key is named did:dojang:…#name")
	}
	return c.changeDID(e, string(did), body(id))
}

type proposeRetire struct{ keyFlags }

func (c *proposeRetire) Run(e *env) error {
	return c.changeKey(e, func(id string) registry.Body { return &registry.RetireBody{ID: id} })
}

type proposeCompromise struct {
	keyFlags
	From moment `help:"Since when nothing that it signed counts." required:"" placeholder:"MOMENT"`
}

func (c *proposeCompromise) Run(e *env) error {
	return c.changeKey(e, func(id string) registry.Body { return &registry.CompromiseBody{ID: id, From: c.From.from()} })
}

type proposeDeactivate struct {
	proposeFlags
	DID string `arg:"" name:"did" help:"The identifier."`
}

func (c *proposeDeactivate) Run(e *env) error {
	return c.changeDID(e, c.DID, &registry.DeactivateBody{})
}

type proposeRecover struct {
	proposeFlags
	File string `arg:"" help:"Operation file of the organisation (dojang registry did recover --by-members)." type:"existingfile"`
}

func (c *proposeRecover) Run(e *env) error {
	d, err := readDraft(c.File)
	if err != nil {
		return err
	}
	if d.signed == nil || d.op.Body.Kind() != registry.KindRecover {
		return fmt.Errorf("%s is not a recovery that the organisation has signed", c.File)
	}
	v, err := c.open(e)
	if err != nil {
		return err
	}
	_, all, err := v.rules(e.ctx)
	if err != nil {
		return err
	}
	body, err := registry.ProposeSigned(v.card.Member, d.signed)
	if err != nil {
		return unfit(err)
	}
	proposal, err := newDraft(v.operation(registry.Operation{Seq: all.Count + 1, Body: body}))
	if err != nil {
		return unfit(err)
	}
	return c.finish(e, v, proposal)
}
