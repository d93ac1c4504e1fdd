package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dojang-id/dojang/registry/drill"
	"github.com/dojang-id/dojang/registry/evidence"
)

// registryDrillCmd makes a network of its own on this machine, hurts it and checks that it keeps what it promised. It touches
// no node that runs.
type registryDrillCmd struct {
	Validators int           `help:"Nodes of the network." default:"4"`
	Kill       int           `help:"Nodes that one fault hits at once." default:"1"`
	Load       int           `help:"Operations a second." default:"50"`
	Seconds    int           `help:"How long." default:"60"`
	Seed       uint64        `help:"Decides which fault hits whom; a random one unless told otherwise."`
	Faults     []string      `help:"${enum}" enum:"kill,pause,restart,partition" default:"kill,pause,restart,partition"`
	Hold       time.Duration `help:"How long a fault lasts." default:"10s"`
	Data       string        `help:"New folder for homes, logs and the history; a temporary one unless told otherwise." type:"path" placeholder:"DIR"`
	Wires      string        `help:"What lies between the nodes: network namespaces, or proxies, which need no rights. ${enum}; namespaces where they are permitted unless told otherwise." enum:"auto,namespaces,proxies" default:"auto"`
	JSON       bool          `help:"Print JSON lines only."`
}

func (c *registryDrillCmd) Run(e *env) error {
	if c.Validators < 1 || c.Validators > 32 || c.Kill < 0 || c.Kill > c.Validators || c.Seconds < 1 {
		return errors.New("drill: 1 to 32 validators, of which --kill are hit")
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	dir, err := c.folder()
	if err != nil {
		return err
	}
	report, err := c.drill(e, dir)
	if err != nil {
		return fmt.Errorf("drill (seed %d, %s): %w", c.Seed, dir, err)
	}
	if err := c.show(e, report); err != nil {
		return err
	}
	if report.Violations > 0 {
		return fmt.Errorf("%w: %d violations; seed %d, %s", errCheck, report.Violations, report.Seed, dir)
	}
	return nil
}

func (c *registryDrillCmd) folder() (string, error) {
	if c.Data == "" {
		return os.MkdirTemp("", "dojang-drill-")
	}
	if err := mustBeNew(c.Data); err != nil {
		return "", err
	}
	return c.Data, os.MkdirAll(c.Data, 0o700)
}

func (c *registryDrillCmd) drill(e *env, dir string) (report drill.Report, err error) {
	history, err := drill.NewHistory(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return drill.Report{}, err
	}
	defer func() { err = errors.Join(err, history.Close()) }()
	network, err := newDrillNetwork(e, drillNetworkConfig{dir: dir, validators: c.Validators,
		apart: c.Wires == "namespaces" || c.Wires == "auto" && slices.Contains(c.Faults, drill.Partition)})
	if errors.Is(err, drill.ErrNotPermitted) && c.Wires == "auto" {
		fmt.Fprintln(e.stderr, "dojang: this system does not permit network namespaces: the nodes reach each other over proxies")
		network, err = newDrillNetwork(e, drillNetworkConfig{dir: dir, validators: c.Validators})
	}
	if err != nil {
		return drill.Report{}, err
	}
	defer func() { err = errors.Join(err, network.close()) }()
	trust, err := network.begin(e.ctx)
	if err != nil {
		return drill.Report{}, err
	}
	return drill.Run(e.ctx, drill.Config{Network: network, Trust: trust, Kill: c.Kill, Load: c.Load, For: time.Duration(c.Seconds) * time.Second,
		Hold: c.Hold, Faults: c.Faults, Seed: c.Seed, History: history, Log: func(f drill.Fault) {
			if !c.JSON {
				fmt.Fprintf(e.stdout, "%6.1f s  %-10s node %d\n", f.At, f.Kind, f.Node)
			}
		}})
}

func (c *registryDrillCmd) show(e *env, r drill.Report) error {
	for _, what := range r.Details {
		if c.JSON {
			if err := e.print(map[string]string{"violation": what}); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(e.stdout, "VIOLATION", what)
	}
	if c.JSON {
		return e.print(r)
	}
	_, err := fmt.Fprintf(e.stdout, "seed %d: %d acknowledged, %d unknown, %d failed; commit p50 %.0f ms, p95 %.0f ms; %d faults, %d violations\nhistory: %s\n",
		r.Seed, r.Acknowledged, r.Unknown, r.Failed, r.P50, r.P95, len(r.Faults), r.Violations, r.History)
	return err
}

// begin starts all nodes and waits until they have a header together. The trust point comes from a node before anything
// was hurt.
func (n *drillNetwork) begin(ctx context.Context) (evidence.Trust, error) {
	for i := range n.nodes {
		if err := n.Start(ctx, i); err != nil {
			return evidence.Trust{}, err
		}
	}
	quiet := &env{ctx: ctx, stdout: io.Discard, stderr: io.Discard, log: n.e.log}
	homes := make([]string, len(n.nodes))
	for i := range n.nodes {
		homes[i] = string(n.nodes[i].home)
	}
	if err := n.inside(0, quiet, "status", append(homes, "--wait", "3")...); err != nil {
		return evidence.Trust{}, fmt.Errorf("the network did not begin: %w", err)
	}
	file := filepath.Join(n.dir, "trust.json")
	if err := n.inside(0, quiet, "trust", "export", homes[0], file); err != nil {
		return evidence.Trust{}, err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return evidence.Trust{}, err
	}
	trust, _, err := evidence.LoadTrust(raw)
	return trust, err
}
