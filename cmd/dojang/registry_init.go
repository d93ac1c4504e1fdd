package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/node"
)

// registryInitCmd makes the home of one node. Nothing in the card is secret.
type registryInitCmd struct {
	Home   string `arg:"" help:"Folder to make." type:"path"`
	Member string `help:"Id of the agency; none: a node for readers." placeholder:"ID"`
	NameKo string `help:"Name of the agency, Korean." name:"name-ko"`
	NameEn string `help:"Name of the agency, English." name:"name-en"`
	Site   string `help:"Where the node stands, for instance a data centre: no site may get a third of the validators' power; the member's id unless told otherwise."`
	Host   string `help:"Address that the node listens on and others reach it by." default:"127.0.0.1"`
	Port   int    `help:"First of four ports: peers, public, status host, management (the last on loopback)." default:"26600" env:"DOJANG_REGISTRY_PORT"`
	URL    string `help:"Public URL; not needed on loopback." placeholder:"https://…"`

	GeneratePassphrase bool `help:"Draw a passphrase and keep it in the home: for trials."`
	passphraseFlags
}

func (c *registryInitCmd) Run(e *env) error {
	home := nodeHome(c.Home)
	if err := mustBeNew(home.path("card.json")); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Home, 0o700); err != nil {
		return err
	}
	config := nodeConfig{Member: c.Member, Anchors: c.Member != "", Peer: c.address(0), Public: c.address(1), Status: c.address(2),
		Management: net.JoinHostPort(loopbackOf(c.Host), strconv.Itoa(c.Port+3)), URL: c.URL}
	if config.URL == "" {
		config.URL = "http://" + config.Public
	}
	if err := config.check(); err != nil {
		return err
	}
	if c.GeneratePassphrase {
		if err := generatePassphrase(home); err != nil {
			return err
		}
	}
	identity, err := node.InitValidator(c.Home)
	if err != nil {
		return err
	}
	own := card{Format: cardFormat, Validator: keys.EncodeBase64URL(identity.Validator), Peer: identity.PeerID + "@" + config.Peer,
		URL: config.URL, Status: config.Status}
	if c.Member != "" {
		if err := c.addMember(home, &own); err != nil {
			return err
		}
	}
	if err := own.check(); err != nil {
		return err
	}
	if err := writeFile(home.path("node.yaml"), config.text()); err != nil {
		return err
	}
	raw, err := json.Marshal(own, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	if err := writeFile(home.path("card.json"), raw); err != nil { // last: the home is whole
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s\n  fingerprint %s\n", home.path("card.json"), fingerprint(raw))
	return err
}

// generatePassphrase keeps a random one in the home, and one that is there.
func generatePassphrase(home nodeHome) error {
	if _, err := os.Stat(home.path("passphrase")); err == nil {
		return nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	return writeFile(home.path("passphrase"), []byte(hex.EncodeToString(random)))
}

func (c *registryInitCmd) address(i int) string {
	return net.JoinHostPort(c.Host, strconv.Itoa(c.Port+i))
}

func loopbackOf(host string) string {
	if isLoopback(host) {
		return host
	}
	return "127.0.0.1"
}

// addMember makes the member's keys: the sponsor's for the gateway, the governance key to be taken offline.
func (c *registryInitCmd) addMember(home nodeHome, own *card) error {
	own.Member, own.Name, own.Site = c.Member, map[string]string{}, c.Site
	if own.Site == "" {
		own.Site = c.Member
	}
	if c.NameKo != "" {
		own.Name["ko"] = c.NameKo
	}
	if c.NameEn != "" {
		own.Name["en"] = c.NameEn
	}
	if len(own.Name) == 0 {
		return fmt.Errorf("a member needs --name-ko or --name-en")
	}
	var err error
	if own.SponsorKey, err = c.newKey(home, "keys", sponsorKey); err != nil {
		return err
	}
	own.GovernanceKey, err = c.newKey(home, "governance", governanceKey)
	return err
}

func (f passphraseFlags) newKey(home nodeHome, folder, name string) (jsontext.Value, error) {
	store, err := f.store(home, folder)
	if err != nil {
		return nil, err
	}
	signer, err := keys.OpenOrCreate(store, name, keys.EdDSA)
	if err != nil {
		return nil, err
	}
	public, err := registry.NewPublicKey(signer.Public().Crypto())
	if err != nil {
		return nil, err
	}
	return public.JWK()
}

// registryGenesisCmd puts the founders' cards together. Every founder compares the fingerprint before the first start.
type registryGenesisCmd struct {
	Out   string   `arg:"" help:"Network file to write." type:"path"`
	Cards []string `arg:"" help:"Cards of the founding agencies." type:"existingfile"`

	Network         string        `help:"Name of the network: the middle part of its DIDs." required:""`
	ChainID         string        `help:"Id of the chain; NETWORK-1 unless told otherwise." placeholder:"ID"`
	Threshold       uint64        `help:"How many members decide; more than half unless told otherwise." placeholder:"K"`
	Heartbeat       time.Duration `help:"Longest time between two headers." default:"10s"`
	EpochInterval   time.Duration `help:"Shortest time between two status epochs of an issuer." default:"1m"`
	QuotaOperations uint64        `help:"Operations of a sponsor in a window of blocks; 0: no limit." default:"100000"`
	QuotaBlocks     uint64        `help:"Length of the window." default:"1000"`
	TimeLock        time.Duration `help:"Between the approval of a proposal and its execution." default:"72h"`
	Voting          time.Duration `help:"How long a proposal may be voted on." default:"336h"`
	Emergency       uint64        `help:"Members that may suspend a key or an accreditation at once; half of the threshold unless told otherwise." placeholder:"K"`
	EmergencyHold   time.Duration `help:"How long such a suspension holds unless it is confirmed." default:"168h"`
	StatusURL       string        `help:"The consortium's URL of the status host; the first founder's on loopback unless told otherwise." placeholder:"https://…"`
}

func (c *registryGenesisCmd) Run(e *env) error {
	if err := mustBeNew(c.Out); err != nil {
		return err
	}
	n := networkFile{Format: networkFormat, StatusURL: c.StatusURL}
	for _, path := range c.Cards {
		own, err := readCard(path)
		if err != nil {
			return err
		}
		n.Cards = append(n.Cards, own)
	}
	if n.StatusURL == "" {
		n.StatusURL = "http://" + n.Cards[0].Status
	}
	if err := checkURL(n.StatusURL); err != nil {
		return fmt.Errorf("--status-url: %w", err)
	}
	if c.ChainID == "" {
		c.ChainID = c.Network + "-1"
	}
	if c.Threshold == 0 {
		c.Threshold = uint64(len(n.Cards)/2 + 1)
	}
	if c.Emergency == 0 {
		c.Emergency = chain.DefaultEmergency(c.Threshold, uint64(len(n.Cards)))
	}
	members, validators, err := founders(n.Cards)
	if err != nil {
		return err
	}
	if err := spread(validators); err != nil {
		return err
	}
	genesis := node.Genesis{Time: time.Now().UTC().Truncate(time.Second), Validators: validators, Chain: chain.Genesis{
		Format: chain.GenesisFormat, Network: c.Network, ChainID: c.ChainID, Development: len(members) == 1, Threshold: c.Threshold,
		QuotaOps: c.QuotaOperations, QuotaBlocks: c.QuotaBlocks, EpochInterval: int64(c.EpochInterval / time.Second),
		Heartbeat: uint64(c.Heartbeat.Milliseconds()), Members: members,
		Governance: &chain.GenesisGovernance{TimeLock: int64(c.TimeLock / time.Second), Voting: int64(c.Voting / time.Second),
			EmergencyThreshold: c.Emergency, EmergencyHold: int64(c.EmergencyHold / time.Second)},
	}}
	if n.Genesis, err = genesis.Marshal(); err != nil {
		return err
	}
	raw, err := json.Marshal(n, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return err
	}
	if err := writeFile(c.Out, raw); err != nil {
		return err
	}
	if len(validators) < spreadFrom {
		fmt.Fprintf(e.stderr, "dojang: with %d validators the network stops when one is lost; four or more survive that\n", len(validators))
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %d members, %d of them decide, %d validators\n  a decision waits %s, votes are open for %s; %d members suspend at once, for %s\n  fingerprint %s\n",
		c.Out, len(members), c.Threshold, len(validators), c.TimeLock, c.Voting, c.Emergency, c.EmergencyHold, fingerprint(raw))
	return err
}

// spreadFrom is how many validators a network has that shall lose one: then nobody and no site has a third of the power.
const spreadFrom = 4

// spread names whoever would have a third; the chain refuses such a genesis, but does not say who it is.
func spread(validators []node.Validator) error {
	if len(validators) < spreadFrom {
		return nil
	}
	at := map[string][]string{}
	for _, v := range validators {
		at[v.Site] = append(at[v.Site], v.Name)
	}
	for site, who := range at {
		if site != "" && len(who)*3 >= len(validators) {
			slices.Sort(who)
			return fmt.Errorf("the site %s would hold %d of %d validators (%s): nobody and no site may have a third", site, len(who), len(validators), strings.Join(who, ", "))
		}
	}
	return nil
}
