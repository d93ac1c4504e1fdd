package main

import (
	"fmt"
)

// registryJoinCmd prepares the home of a newcomer. Its card must have been admitted by the nodes that it calls.
type registryJoinCmd struct {
	Home    string `arg:"" help:"Home of the new node, made by init." type:"existingdir"`
	Network string `help:"Network file." required:"" type:"existingfile" placeholder:"FILE"`
}

func (c *registryJoinCmd) Run(e *env) error {
	home := nodeHome(c.Home)
	if _, err := readCard(home.path("card.json")); err != nil {
		return err
	}
	if err := home.adopt(c.Network); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "%s is ready; start brings the blocks\n", c.Home)
	return err
}
