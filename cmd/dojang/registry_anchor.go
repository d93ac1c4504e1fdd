package main

import (
	"crypto/rand"
	"fmt"
	"os"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// registryAnchorCmd anchors files in time. Only a salted digest leaves this command.
type registryAnchorCmd struct {
	Home  string   `arg:"" help:"Home of the own, running node; anchors is true in its node.yaml." type:"existingdir"`
	Files []string `arg:"" help:"Files to anchor; each gets a FILE.receipt beside it." type:"existingfile"`
	JSON  bool     `help:"Print JSON lines only."`
}

func (c *registryAnchorCmd) Run(e *env) error {
	party, err := nodeHome(c.Home).management()
	if err != nil {
		return err
	}
	documents := make([][]byte, len(c.Files))
	for i, name := range c.Files {
		if err := mustBeNew(name + ".receipt"); err != nil {
			return err
		}
		if documents[i], err = os.ReadFile(name); err != nil {
			return err
		}
	}
	receipts, err := evidence.AnchorDocuments(e.ctx, light.Anchors{URL: party.ManagementURL, Token: party.Token}, rand.Reader, documents...)
	if err != nil {
		return err
	}
	for i, raw := range receipts {
		r, err := evidence.ParseReceipt(raw)
		if err != nil {
			return err
		}
		if err = writeFile(c.Files[i]+".receipt", raw); err == nil {
			err = c.show(e, c.Files[i], r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *registryAnchorCmd) show(e *env, file string, r *evidence.Receipt) error {
	height, hash, err := r.Head()
	if err != nil {
		return err
	}
	if c.JSON {
		return e.print(map[string]any{"file": file, "receipt": file + ".receipt", "height": height, "header": fmt.Sprintf("%x", hash)})
	}
	_, err = fmt.Fprintf(e.stdout, "%s.receipt  under block %d; a published head from then on covers it (dojang registry head bridge)\n", file, height)
	return err
}

// anchorKeys are those of the gateway's own DID, made at the first start with anchors. They control nothing but anchors.
func anchorKeys(store *keys.FileStore) (*node.AnchorConfig, error) {
	signing := func(name, role string) (registry.SigningKey, error) {
		signer, err := keys.OpenOrCreate(store, name, keys.EdDSA)
		if err != nil {
			return registry.SigningKey{}, fmt.Errorf("key %s: %w", name, err)
		}
		public, err := registry.NewPublicKey(signer.Public().Crypto())
		return registry.SigningKey{Role: role, Public: public, Signer: signer}, err
	}
	cfg := &node.AnchorConfig{}
	var err error
	if cfg.Key, err = signing("anchor", ""); err != nil {
		return nil, err
	}
	if cfg.Op, err = signing("anchor-op", registry.RoleOp); err != nil {
		return nil, err
	}
	for name, hash := range map[string]*registry.Hash{"anchor-next": &cfg.Next, "anchor-recovery": &cfg.Recovery} {
		key, err := signing(name, "")
		if err != nil {
			return nil, err
		}
		*hash = key.Public.Hash()
	}
	return cfg, nil
}
