package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/drill"
	"github.com/dojang-id/dojang/registry/node"
)

// A drillNetwork is child processes of this same binary, one a node, on loopback addresses or each in a network namespace.
type drillNetwork struct {
	e     *env
	dir   string
	self  string
	apart *namespaces  // nil: loopback
	links *drill.Links // on loopback, the wires between them
	nodes []*drillNode
}

// A drillNode is one of them.
type drillNode struct {
	home  nodeHome
	host  string
	url   string
	cmd   *exec.Cmd
	alive io.Closer // the child ends when this is closed, also when we are killed
	ended chan struct{}
}

type drillNetworkConfig struct {
	dir        string
	validators int
	apart      bool // in namespaces, so that they can be partitioned
}

// newDrillNetwork founds it; nothing runs yet. Error: drill.ErrNotPermitted.
func newDrillNetwork(e *env, cfg drillNetworkConfig) (*drillNetwork, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := &drillNetwork{e: e, dir: cfg.dir, self: self, links: drill.NewLinks()}
	if cfg.apart {
		if n.apart, err = newNamespaces(e.ctx, cfg.validators); err != nil {
			return nil, err
		}
	}
	if err := n.found(cfg.validators); err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

// found is the ceremony of the operator's page.
func (n *drillNetwork) found(validators int) error {
	hosts := make([]string, validators)
	for i := range hosts {
		if hosts[i] = "127.0.0." + strconv.Itoa(i+1); n.apart != nil {
			hosts[i] = n.apart.address(i)
		}
	}
	port := 26600
	if n.apart == nil {
		var err error
		if port, err = consecutivePorts(hosts, 4); err != nil {
			return err
		}
	}
	quiet := &env{ctx: n.e.ctx, stdout: io.Discard, stderr: io.Discard, log: n.e.log}
	genesis := registryGenesisCmd{Out: filepath.Join(n.dir, "network.json"), Network: "drill", Heartbeat: time.Second, QuotaBlocks: 1000,
		TimeLock: time.Hour, Voting: 24 * time.Hour, EmergencyHold: time.Hour,
		StatusURL: "https://status.drill.invalid"}
	for i, host := range hosts {
		home := nodeHome(filepath.Join(n.dir, "node-"+strconv.Itoa(i+1)))
		name := "agency-" + strconv.Itoa(i+1)
		init := registryInitCmd{Home: string(home), Member: name, NameEn: name, Host: host, Port: port, GeneratePassphrase: true,
			URL: "https://" + name + ".drill.invalid"}
		if err := init.Run(quiet); err != nil {
			return err
		}
		genesis.Cards = append(genesis.Cards, home.path("card.json"))
		n.nodes = append(n.nodes, &drillNode{home: home, host: host, url: "http://" + net.JoinHostPort(host, strconv.Itoa(port+1))})
	}
	if err := genesis.Run(quiet); err != nil {
		return err
	}
	for i, d := range n.nodes {
		if err := d.home.adopt(genesis.Out); err != nil {
			return err
		}
		if n.apart == nil {
			if err := n.wire(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// wire has a node reach the others over wires that can be cut. Only where it finds them changes.
func (n *drillNetwork) wire(i int) error {
	file, err := n.nodes[i].home.readNetwork()
	if err != nil {
		return err
	}
	for k, c := range file.Cards {
		id, address, _ := strings.Cut(c.Peer, "@")
		to := slices.IndexFunc(n.nodes, func(d *drillNode) bool { return d.host == hostOf(address) })
		if to < 0 || to == i {
			continue
		}
		wire, err := n.links.Wire(i, to, address)
		if err != nil {
			return err
		}
		file.Cards[k].Peer = id + "@" + wire
	}
	raw, err := json.Marshal(file, json.Deterministic(true))
	if err != nil {
		return err
	}
	return writeFile(n.nodes[i].home.path("network.json"), raw)
}

func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}

// consecutivePorts finds the first of so many ports that are free on every host.
func consecutivePorts(hosts []string, count int) (int, error) {
	for first := 21000 + os.Getpid()%1000*4; first < 60000; first += count {
		free := true
		for i := 0; i < count*len(hosts) && free; i++ {
			ln, err := net.Listen("tcp", net.JoinHostPort(hosts[i/count], strconv.Itoa(first+i%count)))
			if err != nil {
				free = false
				continue
			}
			ln.Close()
		}
		if free {
			return first, nil
		}
	}
	return 0, errors.New("no free ports")
}

// command is this binary's registry command, inside the node's namespace if it has one.
func (n *drillNetwork) command(i int, args ...string) *exec.Cmd {
	args = append([]string{n.self, "registry"}, args...)
	if n.apart != nil {
		args = append([]string{"ip", "netns", "exec", n.apart.name(i)}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// inside runs a command to its end.
func (n *drillNetwork) inside(i int, e *env, what string, args ...string) error {
	if what == "status" && n.apart != nil { // management is on each node's own loopback
		for k := range n.nodes {
			if out, err := n.command(k, what, string(n.nodes[k].home), "--wait", "3").CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
		}
		return nil
	}
	out, err := n.command(i, append([]string{what}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	_, err = e.stdout.Write(out)
	return err
}

// Nodes implements drill.Network, like the methods below.
func (n *drillNetwork) Nodes() int { return len(n.nodes) }

func (n *drillNetwork) URL(i int) string { return n.nodes[i].url }

// Start returns when the node serves.
func (n *drillNetwork) Start(ctx context.Context, i int) error {
	d := n.nodes[i]
	log, err := os.OpenFile(filepath.Join(n.dir, "node-"+strconv.Itoa(i+1)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := n.command(i, "start", string(d.home), "--json", "--with-parent")
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if d.alive, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd, d.ended = cmd, make(chan struct{})
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(stdout)
		ready <- lines.Scan()
		for lines.Scan() {
		}
		_ = cmd.Wait() // how it ended is the drill's doing
		close(d.ended)
	}()
	select {
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("node %d did not start: see %s", i+1, log.Name())
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return fmt.Errorf("node %d did not start within a minute", i+1)
	}
}

func (n *drillNetwork) Fault(kind string, i int) error {
	d := n.nodes[i]
	switch kind {
	case drill.Pause:
		return d.cmd.Process.Signal(syscall.SIGSTOP)
	case drill.Kill:
		return d.end(syscall.SIGKILL)
	}
	return d.end(syscall.SIGTERM)
}

func (d *drillNode) end(sig syscall.Signal) error {
	if d.cmd == nil {
		return nil
	}
	select {
	case <-d.ended:
		return nil
	default:
	}
	if err := d.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("the node does not end")
	}
}

func (n *drillNetwork) Resume(i int) error { return n.nodes[i].cmd.Process.Signal(syscall.SIGCONT) }

func (n *drillNetwork) Part(away []int, way drill.Way) error {
	if n.apart != nil {
		return n.apart.part(away, way)
	}
	n.links.Cut(func(from, to int) bool { return way.Cuts(away, from, to) })
	return nil
}

func (n *drillNetwork) Replay(i int) (drill.Replayed, error) {
	r, err := node.Replay(n.e.ctx, string(n.nodes[i].home), chain.Config{})
	return drill.Replayed{Height: r.Height, AppHash: r.AppHash}, err
}

// close ends what still runs.
func (n *drillNetwork) close() error {
	for _, d := range n.nodes {
		if d.cmd != nil {
			_ = d.cmd.Process.Signal(syscall.SIGCONT)
			_ = d.end(syscall.SIGKILL) // all that matters was checked
			_ = d.alive.Close()
		}
	}
	err := n.links.Close()
	if n.apart != nil {
		err = errors.Join(err, n.apart.close())
	}
	return err
}
