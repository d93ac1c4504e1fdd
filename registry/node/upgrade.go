package node

import "github.com/dojang-id/dojang/registry/chain"

// notOutdated refuses to start where the next block needs rules that this release does not know. Error: chain.ErrUpgrade.
func (n *Node) notOutdated(machine *chain.Machine) error {
	if err := machine.Outdated(); err != nil {
		return err
	}
	if i := machine.Info(); i.Params.Next != 0 && i.Height < i.Params.NextFrom {
		n.cfg.Logger.Info("the members have decided an upgrade", "rules", i.Params.Next, "from_height", i.Params.NextFrom)
	}
	return nil
}

// outdated says why the node stands still from now on.
func (n *Node) outdated(err error) {
	n.cfg.Logger.Error("ALARM: this node cannot go on with this release", "err", err)
}
