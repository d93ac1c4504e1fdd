package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/types"
)

// A keeper keeps the connections to the configured peers. The engine gives a lost peer up after some hours, and notices a
// connection that a partition cut only when the kernel does; a consortium of few nodes can afford neither.
type keeper struct {
	sw     *p2p.Switch
	peers  []string             // id@host:port, dialled and kept
	silent func() time.Duration // a peer that sends nothing for so long is hung up on
	log    *slog.Logger

	cancel context.CancelFunc
	wg     sync.WaitGroup
}

const (
	redialEvery = time.Second
	// silentMargin beside one heartbeat: every node speaks with every block.
	silentMargin = 5 * time.Second
)

// start begins to keep; stop ends it.
func (k *keeper) start() error {
	addresses := make([]*p2p.NetAddress, len(k.peers))
	for i, peer := range k.peers {
		var err error
		if addresses[i], err = p2p.NewNetAddressString(peer); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	k.wg.Go(func() {
		tick := time.NewTicker(redialEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				k.hangUp()
				k.redial(addresses)
			}
		}
	})
	return nil
}

// redial calls who is not there. A call to a host that does not answer takes as long as the kernel lets it, so each has
// its goroutine; the switch refuses a second call to the same peer.
func (k *keeper) redial(addresses []*p2p.NetAddress) {
	for _, a := range addresses {
		if k.sw.Peers().Has(a.ID) || k.sw.IsDialingOrExistingAddress(a) {
			continue
		}
		go func() {
			if err := k.sw.DialPeerWithAddress(a); err != nil {
				k.log.Debug("peer not reached", "peer", string(a.ID))
			}
		}()
	}
}

func (k *keeper) hangUp() {
	for _, p := range k.sw.Peers().List() {
		if idle := p.Status().RecvMonitor.Idle; idle > k.silent() {
			k.log.Info("silent peer dropped", "peer", string(p.ID()), "idle_s", int(idle.Seconds()))
			k.sw.StopPeerGracefully(p)
		}
	}
}

func (k *keeper) stop() {
	if k.cancel != nil {
		k.cancel()
		k.wg.Wait()
	}
}

// A Peer is a node that is connected now.
type Peer struct {
	ID       string
	Address  string
	Outbound bool
	Since    time.Duration // how long it has been connected
}

// Peers that are connected now.
func (n *Node) Peers() []Peer {
	r := n.run.Load()
	if r == nil {
		return nil
	}
	var out []Peer
	for _, p := range r.engine.node.Switch().Peers().List() {
		out = append(out, Peer{ID: string(p.ID()), Address: p.SocketAddr().DialString(), Outbound: p.IsOutbound(), Since: p.Status().Duration})
	}
	return out
}

// A ValidatorState is a validator of the newest header, and whether its vote is in the newest commit.
type ValidatorState struct {
	PublicKey [32]byte
	Name      string // operator@site, as the chain names it
	Power     int64
	Signed    bool
	Self      bool // this node's own key
}

// Validators of the newest header.
func (n *Node) Validators() ([]ValidatorState, error) {
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	lb, err := r.engine.lightBlock(0)
	if err != nil {
		return nil, err
	}
	names := n.validatorNames(r)
	out := make([]ValidatorState, len(lb.ValidatorSet.Validators))
	for i, v := range lb.ValidatorSet.Validators {
		out[i] = ValidatorState{Name: names[string(v.Address)], PublicKey: [32]byte(v.PubKey.Bytes()), Power: v.VotingPower, Self: string(v.Address) == string(n.signer.GetAddress()),
			Signed: i < len(lb.Commit.Signatures) && lb.Commit.Signatures[i].BlockIDFlag == types.BlockIDFlagCommit}
	}
	return out, nil
}

// validatorNames are operator@site of validators, by address: of those that the members want, and of all founders.
func (n *Node) validatorNames(r *running) map[string]string {
	names := map[string]string{}
	for _, v := range n.genesis.Validators {
		names[string(v.PubKey.Address())] = v.Name
	}
	set, err := r.machine.Validators()
	if err != nil {
		return names
	}
	for _, v := range set {
		if v.Operator != "" {
			names[string(ed25519.PubKey(v.Key[:]).Address())] = validatorName(v.Operator, v.Site)
		}
	}
	return names
}

func validatorName(operator, site string) string {
	if site == "" {
		return operator
	}
	return operator + "@" + site
}

// ID of this node to its peers.
func (n *Node) ID() string { return string(n.peer.ID()) }
