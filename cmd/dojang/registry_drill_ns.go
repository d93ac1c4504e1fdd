package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"github.com/dojang-id/dojang/registry/drill"
)

// namespaces are network namespaces on two bridges: whoever hangs on the second one is away from the others. All of it is
// made here and removed by close; nothing of the machine's own network is touched.
type namespaces struct {
	prefix string // of all names, at most 9 bytes: an interface's name has 15
	net    string // first three numbers of the addresses
	count  int
	oneWay bool // neighbours are bent
}

// newNamespaces needs the right to administer networks. Error: drill.ErrNotPermitted.
func newNamespaces(ctx context.Context, count int) (*namespaces, error) {
	n := &namespaces{prefix: "dj" + strconv.Itoa(os.Getpid()%100_000), net: "10.213." + strconv.Itoa(os.Getpid()%250), count: count}
	if err := n.make(ctx); err != nil {
		return nil, errors.Join(drill.ErrNotPermitted, err, n.close())
	}
	return n, nil
}

func (n *namespaces) name(i int) string    { return n.prefix + "n" + strconv.Itoa(i+1) }
func (n *namespaces) link(i int) string    { return n.prefix + "v" + strconv.Itoa(i+1) }
func (n *namespaces) address(i int) string { return n.net + "." + strconv.Itoa(i+1) }

func (n *namespaces) make(ctx context.Context) error {
	steps := [][]string{
		{"link", "add", n.prefix + "a", "type", "bridge"}, {"link", "add", n.prefix + "b", "type", "bridge"},
		{"addr", "add", n.net + ".254/24", "dev", n.prefix + "a"},
		{"link", "set", n.prefix + "a", "up"}, {"link", "set", n.prefix + "b", "up"},
	}
	for i := range n.count {
		steps = append(steps, []string{"netns", "add", n.name(i)},
			[]string{"link", "add", n.link(i), "type", "veth", "peer", "name", "eth0", "netns", n.name(i)},
			[]string{"link", "set", n.link(i), "master", n.prefix + "a", "up"},
			[]string{"-n", n.name(i), "addr", "add", n.address(i) + "/24", "dev", "eth0"},
			[]string{"-n", n.name(i), "link", "set", "eth0", "up"}, []string{"-n", n.name(i), "link", "set", "lo", "up"})
	}
	for _, args := range steps {
		if err := ip(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// part hangs the named nodes on the second bridge, all others on the first; in one direction only, it lets those who speak
// believe in a network card that nobody has.
func (n *namespaces) part(away []int, way drill.Way) error {
	if way != drill.BothWays || n.oneWay {
		if err := n.bend(away, way); err != nil {
			return err
		}
		n.oneWay = way != drill.BothWays
	}
	for i := range n.count {
		bridge := n.prefix + "a"
		if way == drill.BothWays && slices.Contains(away, i) {
			bridge = n.prefix + "b"
		}
		if err := ip(context.Background(), "link", "set", n.link(i), "master", bridge); err != nil {
			return err
		}
	}
	return nil
}

// bend tells nodes where others are, so that what is cut goes nowhere.
func (n *namespaces) bend(away []int, way drill.Way) error {
	for from := range n.count {
		for to := range n.count {
			step := []string{"-n", n.name(from), "neigh", "flush", "to", n.address(to), "nud", "permanent", "dev", "eth0"}
			if way != drill.BothWays && way.Cuts(away, from, to) {
				step = []string{"-n", n.name(from), "neigh", "replace", n.address(to), "lladdr", "02:00:00:00:00:01", "nud", "permanent", "dev", "eth0"}
			}
			if from == to {
				continue
			}
			if err := ip(context.Background(), step...); err != nil {
				return err
			}
		}
	}
	return nil
}

// close removes what make made, as far as it came.
func (n *namespaces) close() error {
	for i := range n.count {
		_ = ip(context.Background(), "netns", "del", n.name(i))
		_ = ip(context.Background(), "link", "del", n.link(i)) // goes with the namespace, a moment later
	}
	_ = ip(context.Background(), "link", "del", n.prefix+"a")
	_ = ip(context.Background(), "link", "del", n.prefix+"b")
	return nil
}

func ip(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args[0], err, out)
	}
	return nil
}
