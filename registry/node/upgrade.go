package node

import (
	"runtime"

	"github.com/dojang-id/dojang/registry/chain"
)

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

// outdated says why the node stands still from now on. Among the others' votes the engine stops at the error that it gets next.
// While it catches up it would end the process instead, so that it gets none: the goroutine that fetches blocks ends here.
func (n *Node) outdated(r *running, err error) {
	n.cfg.Logger.Error("ALARM: this node cannot go on with this release", "err", err)
	if e := r.engine; e != nil && e.node.ConsensusReactor().WaitSync() {
		runtime.Goexit()
	}
}
