package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/dojang-id/dojang/internal/keys"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/node"
)

const (
	cardFormat    = "dojang-card/1"
	networkFormat = "dojang-network/1"
	maxCards      = 100
)

// A card is what the others must know of an agency and its node: public, and to be compared over another way than the one
// it came (fingerprint).
type card struct {
	Format string `json:"format"` // cardFormat
	// Member and its keys are absent on the card of a node for readers.
	Member        string            `json:"member,omitempty"`
	Name          map[string]string `json:"name,omitempty"`           // language tag to name
	GovernanceKey jsontext.Value    `json:"governance_key,omitempty"` // JWK; votes, offline
	SponsorKey    jsontext.Value    `json:"sponsor_key,omitempty"`    // JWK; the gateway's
	Validator     string            `json:"validator"`                // base64url Ed25519 key that signs blocks, if it shall
	Site          string            `json:"site,omitempty"`           // where the node stands: no site may get a third of the power
	Peer          string            `json:"peer"`                     // id@host:port
	URL           string            `json:"url"`                      // of the HTTP face
	Status        string            `json:"status"`                   // host:port of the status host, for those behind the common name
}

func (c card) peerID() string {
	id, _, _ := strings.Cut(c.Peer, "@")
	return id
}

func (c card) check() error {
	_, address, _ := strings.Cut(c.Peer, "@")
	if _, err := c.validator(); err != nil || c.Format != cardFormat {
		return errors.New("not a card of this version")
	}
	if id, err := hex.DecodeString(c.peerID()); err != nil || len(id) != 20 {
		return errors.New("card: peer is id@host:port")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return errors.New("card: peer is id@host:port")
	}
	if c.Member != "" && !registry.ValidFragment(c.Member) || c.Site != "" && !registry.ValidFragment(c.Site) {
		return errors.New("card: malformed member id or site")
	}
	return checkURL(c.URL)
}

func (c card) validator() (ed25519.PublicKey, error) {
	raw, err := keys.DecodeBase64URL(c.Validator)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, errors.New("card: malformed validator key")
	}
	return raw, nil
}

func parseCard(raw []byte) (card, error) {
	var c card
	if err := json.Unmarshal(raw, &c, json.RejectUnknownMembers(true)); err != nil {
		return card{}, fmt.Errorf("card: %w", err)
	}
	return c, c.check()
}

func readCard(path string) (card, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return card{}, err
	}
	c, err := parseCard(raw)
	if err != nil {
		return card{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// A networkFile is all that a node must know to take part: the same file for everybody.
type networkFile struct {
	Format    string         `json:"format"`     // networkFormat
	StatusURL string         `json:"status_url"` // the consortium's name of the status host
	Genesis   jsontext.Value `json:"genesis"`
	Cards     []card         `json:"cards"` // of the founders
}

func parseNetwork(raw []byte) (networkFile, error) {
	var n networkFile
	if err := json.Unmarshal(raw, &n, json.RejectUnknownMembers(true)); err != nil {
		return networkFile{}, fmt.Errorf("network file: %w", err)
	}
	if n.Format != networkFormat || len(n.Cards) == 0 || len(n.Cards) > maxCards {
		return networkFile{}, errors.New("network file: not of this version")
	}
	for _, c := range n.Cards {
		if err := c.check(); err != nil {
			return networkFile{}, err
		}
	}
	return n, checkURL(n.StatusURL)
}

func (h nodeHome) readNetwork() (networkFile, error) {
	raw, err := os.ReadFile(h.path("network.json"))
	if err != nil {
		return networkFile{}, err
	}
	return parseNetwork(raw)
}

// adopt makes the home a part of a network; a home belongs to one network for ever.
func (h nodeHome) adopt(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	n, err := parseNetwork(raw)
	if err != nil {
		return err
	}
	if have, err := os.ReadFile(h.path("network.json")); err == nil {
		if string(have) == string(raw) {
			return nil
		}
		return fmt.Errorf("%s belongs to another network file", string(h))
	}
	if err := node.WriteGenesis(string(h), n.Genesis); err != nil && !errors.Is(err, node.ErrExists) {
		return err
	}
	return writeFile(h.path("network.json"), raw)
}

// founders are the genesis' members and validators, from their cards.
func founders(cards []card) (members []chain.GenesisMember, validators []node.Validator, err error) {
	slices.SortFunc(cards, func(a, b card) int { return strings.Compare(a.Member, b.Member) })
	for _, c := range cards {
		if c.Member == "" {
			return nil, nil, errors.New("a card without a member cannot found a network")
		}
		key, err := c.validator()
		if err != nil {
			return nil, nil, err
		}
		members = append(members, chain.GenesisMember{ID: c.Member, Name: c.Name, GovernanceKey: c.GovernanceKey, SponsorKey: c.SponsorKey})
		validators = append(validators, node.Validator{Name: c.Member, Site: c.Site, Key: key, Power: 10})
	}
	return members, validators, nil
}

// dialling says whom a node calls and who calls it: of two founders the one with the higher id calls, a newcomer calls all.
func (n networkFile) dialling(self string) (call, allowed []string) {
	founder := slices.ContainsFunc(n.Cards, func(c card) bool { return c.peerID() == self })
	for _, c := range n.Cards {
		switch id := c.peerID(); {
		case id == self:
		case !founder || id < self:
			call = append(call, c.Peer)
		default:
			allowed = append(allowed, id)
		}
	}
	return call, allowed
}
