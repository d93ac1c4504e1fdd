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

// part hangs the named nodes on the second bridge, all others on the first.
func (n *namespaces) part(away []int) error {
	for i := range n.count {
		bridge := n.prefix + "a"
		if slices.Contains(away, i) {
			bridge = n.prefix + "b"
		}
		if err := ip(context.Background(), "link", "set", n.link(i), "master", bridge); err != nil {
			return err
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
