package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// registryTrustCmd makes and takes trust bundles: where readers begin, and whom they follow from there.
//
//	export   an operator's node proposes a bundle
//	sign     members sign it one after the other, offline, until enough of the bundle before have
//	publish  nodes hand it on to readers that follow by themselves (registry/light)
//	import   a reader takes it by hand
type registryTrustCmd struct {
	Export  registryTrustExport  `cmd:"" help:"Write a trust bundle that begins at the newest header of one's own node, for members to sign."`
	Sign    registryTrustSign    `cmd:"" help:"Add a member's signature to a trust bundle. Needs no network."`
	Publish registryTrustPublish `cmd:"" help:"Let one's own node hand signed trust bundles to readers."`
	Import  registryTrustImport  `cmd:"" help:"Take the links of a chain of trust bundles into a trust file."`
}

// maxBundleDays is a year: a bundle is to be renewed.
const maxBundleDays = 366

type registryTrustExport struct {
	Home  string `arg:"" help:"Home of the own, running node: whoever runs it may believe it." type:"existingdir"`
	Out   string `arg:"" help:"Trust bundle to write." type:"path"`
	Prev  string `help:"The bundle before; without it this is number 1, to be compared by its fingerprint." type:"existingfile" placeholder:"FILE"`
	Valid int    `help:"Days until it expires." default:"90"`
}

func (c *registryTrustExport) Run(e *env) error {
	party, err := nodeHome(c.Home).management()
	if err != nil {
		return err
	}
	if err := mustBeNew(c.Out); err != nil {
		return err
	}
	if c.Valid < 1 || c.Valid > maxBundleDays {
		return errors.New("--valid is 1 to 366 days")
	}
	var raw json.RawMessage
	if err := call(e.ctx, party, http.MethodGet, "/v1/trust-bundle", nil, &raw); err != nil {
		return err
	}
	b, err := evidence.ParseBundle(raw)
	if err != nil {
		return err
	}
	b.Expires = time.Now().UTC().Truncate(time.Second).AddDate(0, 0, c.Valid)
	if c.Prev != "" {
		prev, err := readBundle(c.Prev)
		if err != nil {
			return err
		}
		b.Number = prev.Number + 1
		if b.Prev, err = prev.Digest(); err != nil {
			return err
		}
		if err := b.Continues(prev); err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
	}
	if err := writeBundle(c.Out, b); err != nil {
		return err
	}
	return describeBundle(e, c.Out, b)
}

func readBundle(name string) (*evidence.Bundle, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b, err := evidence.ParseBundle(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func writeBundle(name string, b *evidence.Bundle) error {
	raw, err := b.Marshal()
	if err != nil {
		return err
	}
	return writeFile(name, raw)
}

// describeBundle shows what members read before they sign, and what people compare.
func describeBundle(e *env, name string, b *evidence.Bundle) error {
	digest, err := b.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s: trust bundle %d of %s\n  begins at block %d, %s\n  expires %s\n  %d validators\n  members that sign the next one, %d of:", name, b.Number,
		b.ChainID, b.Height, b.Time.Format(time.RFC3339), b.Expires.Format(time.RFC3339), len(b.Validators), b.Threshold)
	for _, m := range b.Members {
		fmt.Fprintf(e.stdout, " %s", m.ID)
	}
	fmt.Fprint(e.stdout, "\n  signed by:")
	for _, s := range b.Signatures {
		fmt.Fprintf(e.stdout, " %s", s.Member)
	}
	_, err = fmt.Fprintf(e.stdout, "\n  fingerprint %s\n", groupsOf8(hex.EncodeToString(digest[:])))
	return err
}

type registryTrustSign struct {
	Home string `arg:"" help:"Folder with card.json and governance/: the member's home, or an offline copy of these two." type:"existingdir"`
	File string `arg:"" help:"Trust bundle; the signature is added to it." type:"existingfile"`
	Prev string `help:"The bundle before, which names who signs this one; not for number 1." type:"existingfile" placeholder:"FILE"`
	passphraseFlags
}

func (c *registryTrustSign) Run(e *env) error {
	home := nodeHome(c.Home)
	own, err := readCard(home.path("card.json"))
	if err != nil {
		return err
	}
	b, err := readBundle(c.File)
	if err != nil {
		return err
	}
	signers := b // number 1: its own members vouch for it
	if b.Number > 1 {
		if c.Prev == "" {
			return errors.New("--prev is required: the bundle before names who signs this one")
		}
		if signers, err = readBundle(c.Prev); err != nil {
			return err
		}
		if err := b.Continues(signers); err != nil {
			return fmt.Errorf("%w: %w", errCheck, err)
		}
	}
	if _, _, err := b.SignedBy(signers); err != nil { // those who signed before
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	store, err := c.store(home, "governance")
	if err != nil {
		return err
	}
	signer, err := store.Signer(governanceKey)
	if err != nil {
		return fmt.Errorf("governance key: %w", err)
	}
	public, err := registry.NewPublicKey(signer.Public().Crypto())
	if err != nil {
		return err
	}
	if err := b.Sign(registry.SigningKey{Role: registry.RoleMember(own.Member), Public: public, Signer: signer}); err != nil {
		return fmt.Errorf("%s: %w (is its signature there already?)", own.Member, err)
	}
	_, missing, err := b.SignedBy(signers)
	if err != nil { // the key is not that of a member of the bundle before
		return fmt.Errorf("%w: %s: %w", errCheck, own.Member, err)
	}
	if err := writeBundle(c.File, b); err != nil {
		return err
	}
	if err := describeBundle(e, c.File, b); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "  %d more signatures are wanted\n", missing)
	return err
}

type registryTrustPublish struct {
	Home  string   `arg:"" help:"Home of the own node; it may run." type:"existingdir"`
	Links []string `arg:"" help:"Trust bundles in the order of their numbers." type:"existingfile"`
}

func (c *registryTrustPublish) Run(e *env) error {
	network, err := nodeHome(c.Home).chainID()
	if err != nil {
		return err
	}
	for _, name := range c.Links {
		b, err := readBundle(name)
		if err != nil {
			return err
		}
		if b.ChainID != network {
			return fmt.Errorf("%w: %s: of another chain", errCheck, name)
		}
		if err := node.PublishBundle(c.Home, b, time.Now()); err != nil {
			return fmt.Errorf("%w: %s: %w", errCheck, name, err)
		}
		if _, err := fmt.Fprintf(e.stdout, "bundle %d is handed on\n", b.Number); err != nil {
			return err
		}
	}
	return nil
}

// chainID of the network that a home belongs to.
func (h nodeHome) chainID() (string, error) {
	n, err := h.readNetwork()
	if err != nil {
		return "", err
	}
	var genesis struct {
		ChainID string `json:"chain_id"`
	}
	if err := json.Unmarshal(n.Genesis, &genesis); err != nil {
		return "", fmt.Errorf("genesis: %w", err)
	}
	return genesis.ChainID, nil
}

type registryTrustImport struct {
	File   string   `arg:"" help:"The reader's trust file: replaced, or made with --fingerprint." type:"path"`
	Links  []string `arg:"" optional:"" help:"Trust bundles in the order of their numbers." type:"existingfile"`
	Digest string   `help:"Fingerprint of the first link, got by another way than the file: begins a chain that the trust file does not know." name:"fingerprint" placeholder:"HEX"`
	JSON   bool     `help:"Print JSON lines only."`

	Head    string   `help:"Published head to begin from instead of links; the next link then needs --fingerprint." type:"existingfile" placeholder:"FILE"`
	Node    []string `help:"URLs of nodes that know the validators after that head." placeholder:"URL"`
	Network string   `help:"Network file, for the URLs of its nodes." type:"existingfile" placeholder:"FILE"`
}

// fromHead begins anew at a published head: the nodes only fill in what its hash fixes.
func (c *registryTrustImport) fromHead(e *env) error {
	if len(c.Links) > 0 || c.Digest != "" {
		return errors.New("--head takes no links and no fingerprint")
	}
	head, err := readHead(c.Head)
	if err != nil {
		return err
	}
	trust, bundle, err := readTrust(c.File)
	if err != nil {
		return err
	}
	nodes, err := nodeURLs(c.Node, c.Network)
	if err != nil {
		return err
	}
	client, err := light.New(light.Config{Nodes: nodes, Trust: trust, Bundle: bundle, Logger: e.log})
	if err != nil {
		return err
	}
	if err := client.BeginAtHead(e.ctx, head); err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	next := client.Trust()
	raw, err := evidence.MarshalTrust(next, client.Bundle()) // its successors are followed from there
	if err == nil {
		err = writeFile(c.File, raw)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return e.print(map[string]any{"file": c.File, "number": next.Number, "height": next.Height})
	}
	_, err = fmt.Fprintf(e.stdout, "%s begins at the published head of block %d, until %s\n", c.File, next.Height, next.Time.Add(next.TrustingPeriod).Format(time.RFC3339))
	return err
}

func (c *registryTrustImport) Run(e *env) error {
	if c.Head != "" {
		return c.fromHead(e)
	}
	if len(c.Links) == 0 {
		return errors.New("trust bundles, or --head, are required")
	}
	var links []*evidence.Bundle
	for _, name := range c.Links {
		b, err := readBundle(name)
		if err != nil {
			return err
		}
		links = append(links, b)
	}
	begin, links, err := c.begin(links)
	if err != nil {
		return err
	}
	newest, err := evidence.Advance(begin, links, time.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	if err := writeBundle(c.File, newest); err != nil {
		return err
	}
	if c.JSON {
		return e.print(map[string]any{"file": c.File, "number": newest.Number, "height": newest.Height, "expires": newest.Expires})
	}
	return describeBundle(e, c.File, newest)
}

// begin is the bundle that is believed: the one in the trust file, or the first link, whose fingerprint people have compared.
// Links that the trust file has behind it are left out.
func (c *registryTrustImport) begin(links []*evidence.Bundle) (*evidence.Bundle, []*evidence.Bundle, error) {
	if c.Digest != "" {
		digest, err := links[0].Digest()
		if err != nil {
			return nil, nil, err
		}
		if hex.EncodeToString(digest[:]) != unspaced(c.Digest) {
			return nil, nil, fmt.Errorf("%w: the first link has another fingerprint", errCheck)
		}
		return links[0], links[1:], c.sameChain(links[0])
	}
	raw, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errors.New("there is no trust file yet: --fingerprint says which first bundle is the true one")
	}
	if err != nil {
		return nil, nil, err
	}
	_, have, err := evidence.LoadTrust(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if have == nil {
		return nil, nil, fmt.Errorf("%s names no members who could sign a next one: --fingerprint begins a chain", c.File)
	}
	for len(links) > 0 && links[0].Number <= have.Number {
		links = links[1:]
	}
	return have, links, nil
}

// sameChain: a trust file is never turned into one of another chain, nor back.
func (c *registryTrustImport) sameChain(first *evidence.Bundle) error {
	raw, err := os.ReadFile(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	have, _, err := evidence.LoadTrust(raw)
	if err == nil && (have.ChainID != first.ChainID || have.Network != first.Network || have.Development != first.Development || first.Height < have.Height) {
		err = fmt.Errorf("%w: %s is of another chain, or newer", errCheck, c.File)
	}
	return err
}

// readTrust reads a trust file or a trust bundle from a reader's disk.
func readTrust(name string) (evidence.Trust, *evidence.Bundle, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return evidence.Trust{}, nil, fmt.Errorf("read the trust file: %w", err)
	}
	trust, bundle, err := evidence.LoadTrust(raw)
	if err != nil {
		return evidence.Trust{}, nil, fmt.Errorf("read the trust file: %w", err)
	}
	return trust, bundle, nil
}
