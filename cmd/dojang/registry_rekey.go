package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// registryRekeyCmd makes new keys of a member in a folder of their own. The old ones count until the members have decided
// (propose member-keys); then card.json and the folders governance and keys take the place of those in the home.
type registryRekeyCmd struct {
	Home string `arg:"" help:"Home whose keys are to be replaced." type:"existingdir"`
	To   string `arg:"" help:"Folder to make." type:"path"`
	Keep string `help:"Which key stays: governance or gateway; neither unless told." enum:"governance,gateway,none" default:"none"`

	GeneratePassphrase bool `help:"Draw a passphrase and keep it in the folder: for trials."`
	passphraseFlags
}

func (c *registryRekeyCmd) Run(e *env) error {
	own, err := readCard(nodeHome(c.Home).path("card.json"))
	if err != nil {
		return err
	}
	if own.Member == "" {
		return errors.New("a node for readers has no member's keys")
	}
	to := nodeHome(c.To)
	if err := mustBeNew(to.path("card.json")); err != nil {
		return err
	}
	if err := os.MkdirAll(c.To, 0o700); err != nil {
		return err
	}
	if c.GeneratePassphrase {
		if err := generatePassphrase(to); err != nil {
			return err
		}
	}
	if c.Keep != "governance" {
		if own.GovernanceKey, err = c.newKey(to, "governance", governanceKey); err != nil {
			return err
		}
	}
	if c.Keep != "gateway" {
		if own.SponsorKey, err = c.newKey(to, "keys", sponsorKey); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(own, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	if err := writeFile(to.path("card.json"), raw); err != nil { // last: the folder is whole
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n  fingerprint %s\n", to.path("card.json"), fingerprint(raw))
	return err
}
