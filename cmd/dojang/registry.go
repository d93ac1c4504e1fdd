package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dojang-id/dojang/internal/keys"
)

// registryCmd runs the consortium's chain. Several agencies found a network like this: each makes a home and hands out
// its card (init), one puts the cards together (genesis), each starts with the same network file (start --network).
type registryCmd struct {
	Init    registryInitCmd    `cmd:"" help:"Make the home of a node, and the card that the others need of it."`
	Genesis registryGenesisCmd `cmd:"" help:"Make the network file of a new network from the founders' cards."`
	Join    registryJoinCmd    `cmd:"" help:"Bring a newcomer's home to the state of a network that runs."`
	Admit   registryAdmitCmd   `cmd:"" help:"Let a newcomer's node connect to this one."`
	Start   registryStartCmd   `cmd:"" help:"Run a node."`
	Status  registryStatusCmd  `cmd:"" help:"Show health, height, peers and validators of running nodes."`
	Drill   registryDrillCmd   `cmd:"" help:"Make a network on this machine, hurt it, and check that it keeps what it promised."`
	Fsck    registryFsckCmd    `cmd:"" help:"Check the invariants of a stopped node."`
	Export  registryExportCmd  `cmd:"" help:"Write all blocks of a stopped node into one file."`
	Replay  registryReplayCmd  `cmd:"" help:"Execute all blocks again, from genesis on, and compare every app hash."`
	Anchor  registryAnchorCmd  `cmd:"" help:"Anchor files in time through one's own node; each gets a receipt."`
	Head    registryHeadCmd    `cmd:"" help:"Publish heads of the chain."`
	Trust   registryTrustCmd   `cmd:"" help:"Make, sign, hand on and take trust bundles: where readers begin, and whom they follow."`

	governanceCmds
}

// A nodeHome is the folder of one node:
//
//	node.yaml       nodeConfig
//	card.json       what the others need to know (card)
//	network.json    the network it belongs to (networkFile); genesis.json beside it is the engine's part of it
//	keys/           sponsor key, encrypted
//	governance/     governance key, encrypted: to be taken away to an offline place
//	passphrase      only after init --generate-passphrase
//	admitted/       cards of nodes that may connect beside those of the network file
//	management.token
//
// and what registry/node keeps there.
type nodeHome string

func (h nodeHome) path(parts ...string) string {
	return filepath.Join(append([]string{string(h)}, parts...)...)
}

// Names of the keys in the key stores.
const (
	sponsorKey    = "sponsor"
	governanceKey = "governance"
)

// passphraseFlags say what opens the key files.
type passphraseFlags struct {
	PassphraseFile string `help:"File that holds the passphrase of the key files; otherwise DOJANG_PASSPHRASE, otherwise passphrase in the home." type:"path" env:"DOJANG_PASSPHRASE_FILE" placeholder:"FILE"`
}

var errNoPassphrase = errors.New("no passphrase for the key files: --passphrase-file, DOJANG_PASSPHRASE or --generate-passphrase")

// read returns the passphrase; generated: it is a random one of our own.
func (f passphraseFlags) read(home nodeHome) (pass []byte, generated bool, err error) {
	if f.PassphraseFile != "" {
		pass, err = os.ReadFile(f.PassphraseFile)
		return bytes.TrimRight(pass, "\r\n"), false, err
	}
	if v := os.Getenv("DOJANG_PASSPHRASE"); v != "" {
		return []byte(v), false, nil
	}
	pass, err = os.ReadFile(home.path("passphrase"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, errNoPassphrase
	}
	return pass, true, err
}

// store opens the encrypted key files of a folder of the home.
func (f passphraseFlags) store(home nodeHome, folder string) (*keys.FileStore, error) {
	pass, generated, err := f.read(home)
	if err != nil {
		return nil, err
	}
	store, err := keys.NewFileStore(keys.FileStoreConfig{Dir: home.path(folder), Passphrase: pass, Interactive: generated})
	if err != nil {
		return nil, fmt.Errorf("open key store %s: %w", home.path(folder), err)
	}
	return store, nil
}

// fingerprint is what agencies read to each other over the telephone.
func fingerprint(raw []byte) string {
	sum := sha256.Sum256(raw)
	return groupsOf8(hex.EncodeToString(sum[:]))
}

func groupsOf8(text string) string {
	var groups []string
	for i := 0; i < len(text); i += 8 {
		groups = append(groups, text[i:i+8])
	}
	return strings.Join(groups, " ")
}

// unspaced undoes groupsOf8.
func unspaced(text string) string { return strings.ToLower(strings.Join(strings.Fields(text), "")) }

// mustBeNew refuses to write over what is there.
func mustBeNew(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s exists; it is not replaced", path), err)
	}
	return nil
}
