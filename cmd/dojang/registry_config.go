package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// nodeConfig is node.yaml, strict: an unknown or doubled field is refused. Every field is explained in
// docs/operators/registry.md and in the file that init writes.
type nodeConfig struct {
	Member     string `yaml:"member"`
	Peer       string `yaml:"peer"`
	Public     string `yaml:"public"`
	Status     string `yaml:"status"`
	Management string `yaml:"management"`
	URL        string `yaml:"url"`

	Proxies          []netip.Prefix `yaml:"proxies"`
	Origins          []string       `yaml:"origins"`
	RetainBlocks     uint64         `yaml:"retain_blocks"`
	SnapshotBlocks   uint64         `yaml:"snapshot_blocks"`
	DoubleSignBlocks int64          `yaml:"double_sign_blocks"`
	Anchors          bool           `yaml:"anchors"`
}

const nodeConfigText = `# A node of the registry chain. Written by "dojang registry init"; changes count at the next start.

# The member whose gateway this node is: operations handed in here are sponsored with the member's key and quota.
# Empty: a node for readers.
member: %q

# host:port of the protocol between nodes. Only nodes of the network file and admitted ones may connect.
peer: %q
# host:port of the HTTP face for everybody. Outside of loopback a TLS proxy stands before it.
public: %q
# host:port of the status host: serves published status lists under the consortium's name.
status: %q
# host:port of the operator's API and the metrics; a loopback address.
management: %q
# Under which URL others reach "public": https, or http on a loopback address.
url: %q

# Addresses of the TLS proxies before "public" and "status", as prefixes ("10.0.0.7/32"): whom they name in X-Forwarded-For is
# who asks. Without them all who come through a proxy share the limits of one address.
proxies: []
# http origins on loopback that status lists may be fetched from without TLS (development).
origins: []
# How many of the newest blocks to keep; 0: all of them. Facts and the headers that date them are never dropped.
retain_blocks: 0
# A snapshot for newcomers after at least so many blocks; 0: none.
snapshot_blocks: 1000
# Refuse a start when one of so many newest blocks carries this validator's signature, because another copy of the key
# may be running; 0: the sign state alone decides.
double_sign_blocks: 0
# Anchor digests in time for the agency's own programs and for "dojang registry anchor". Needs a member.
anchors: %t
`

func (c nodeConfig) text() []byte {
	return fmt.Appendf(nil, nodeConfigText, c.Member, c.Peer, c.Public, c.Status, c.Management, c.URL, c.Anchors)
}

// readConfig reads node.yaml of a home.
func (h nodeHome) readConfig() (nodeConfig, error) {
	raw, err := os.ReadFile(h.path("node.yaml"))
	if err != nil {
		return nodeConfig{}, err
	}
	var c nodeConfig
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return nodeConfig{}, fmt.Errorf("read %s: %w", h.path("node.yaml"), err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nodeConfig{}, fmt.Errorf("read %s: more than one document", h.path("node.yaml"))
	}
	if err := c.check(); err != nil {
		return nodeConfig{}, fmt.Errorf("read %s: %w", h.path("node.yaml"), err)
	}
	return c, nil
}

func (c nodeConfig) check() error {
	for name, v := range map[string]string{"peer": c.Peer, "public": c.Public, "status": c.Status, "management": c.Management} {
		if _, port, err := net.SplitHostPort(v); err != nil || port == "" {
			return fmt.Errorf("%s is host:port", name)
		}
	}
	host, _, err := net.SplitHostPort(c.Management)
	if err != nil || !isLoopback(host) { // H25: nothing of the operator's is open to the network
		return errors.New("management is on a loopback address")
	}
	for _, origin := range c.Origins {
		if u, err := url.Parse(origin); err != nil || u.Scheme != "http" || !isLoopback(u.Hostname()) {
			return errors.New("origins are http on loopback")
		}
	}
	return checkURL(c.URL)
}

// checkURL takes https origins, and http ones on loopback.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return errors.New("a URL is an origin")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("a URL is https, or http on loopback")
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
