package main

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/dojang-id/dojang/registry/light"
	"github.com/dojang-id/dojang/registry/node"
)

// registryJoinCmd prepares the home of a newcomer. Its card must have been admitted by the nodes that it calls.
type registryJoinCmd struct {
	Home    string   `arg:"" help:"Home of the new node, made by init." type:"existingdir"`
	Network string   `help:"Network file." required:"" type:"existingfile" placeholder:"FILE"`
	Trust   string   `help:"Trust file or trust bundle, got by another way than from a node." required:"" type:"existingfile" placeholder:"FILE"`
	From    []string `help:"URLs of nodes to take the snapshot from; those of the network file unless told otherwise." placeholder:"URL"`
	Sync    string   `help:"state: a snapshot, checked against headers that are tracked from the trust file. blocks: every block from the first on. auto: blocks while no node has a snapshot." enum:"auto,state,blocks" default:"auto"`
}

func (c *registryJoinCmd) Run(e *env) error {
	home := nodeHome(c.Home)
	if _, err := readCard(home.path("card.json")); err != nil {
		return err
	}
	if err := home.adopt(c.Network); err != nil {
		return err
	}
	if c.Sync == "blocks" {
		_, err := fmt.Fprintf(e.stdout, "%s is ready; start brings every block\n", c.Home)
		return err
	}
	source, err := c.source(e, home)
	if err != nil {
		return err
	}
	if len(source.Snapshots(e.ctx)) == 0 && c.Sync == "auto" {
		_, err := fmt.Fprintf(e.stdout, "no node has a snapshot yet; start brings every block\n")
		return err
	}
	height, err := node.StateSync(e.ctx, c.Home, source, slog.New(slog.NewTextHandler(e.stderr, nil)))
	switch {
	case errors.Is(err, node.ErrNoSnapshot):
		return fmt.Errorf("%w: %w", errCheck, err)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s holds the state of height %d; start brings the blocks after it\n", c.Home, height)
	return err
}

// source tracks the chain from the trust file, with witnesses.
func (c *registryJoinCmd) source(e *env, home nodeHome) (*light.Client, error) {
	trust, bundle, err := readTrust(c.Trust)
	if err != nil {
		return nil, err
	}
	network, err := home.readNetwork()
	if err != nil {
		return nil, err
	}
	if len(c.From) == 0 {
		for _, founder := range network.Cards {
			c.From = append(c.From, founder.URL)
		}
	}
	for _, url := range c.From {
		if err := checkURL(url); err != nil {
			return nil, fmt.Errorf("--from: %w", err)
		}
	}
	return light.New(light.Config{Nodes: c.From, Trust: trust, Bundle: bundle, Logger: e.log})
}
