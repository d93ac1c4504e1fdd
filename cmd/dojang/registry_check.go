package main

import (
	"fmt"
	"os"

	"github.com/dojang-id/dojang/registry/chain"
	"github.com/dojang-id/dojang/registry/node"
)

// registryExportCmd writes the blocks of a stopped node into one file.
type registryExportCmd struct {
	Home string `arg:"" help:"Home of a stopped node." type:"existingdir"`
	Out  string `arg:"" help:"File to write." type:"path"`
}

func (c *registryExportCmd) Run(e *env) error {
	f, err := os.OpenFile(c.Out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	blocks, err := node.Export(e.ctx, c.Home, f)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %d blocks\n", c.Out, blocks)
	return err
}

// registryReplayCmd executes all blocks again, from genesis on, and compares every app hash.
type registryReplayCmd struct {
	From string `arg:"" help:"Home of a stopped node, or a file made by export." type:"path"`
	JSON bool   `help:"Print JSON lines only."`
}

func (c *registryReplayCmd) Run(e *env) error {
	r, err := c.replay(e)
	if err != nil {
		return fmt.Errorf("%w: %w", errCheck, err)
	}
	if c.JSON {
		return e.print(map[string]any{"height": r.Height, "app_hash": fmt.Sprintf("%x", r.AppHash), "header": fmt.Sprintf("%x", r.Header)})
	}
	_, err = fmt.Fprintf(e.stdout, "height %d\napp hash %x\nheader   %x\n", r.Height, r.AppHash, r.Header)
	return err
}

func (c *registryReplayCmd) replay(e *env) (node.Replayed, error) {
	info, err := os.Stat(c.From)
	if err != nil {
		return node.Replayed{}, err
	}
	if info.IsDir() {
		return node.Replay(e.ctx, c.From, chain.Config{})
	}
	f, err := os.Open(c.From)
	if err != nil {
		return node.Replayed{}, err
	}
	defer f.Close()
	dir, err := os.MkdirTemp("", "dojang-replay-")
	if err != nil {
		return node.Replayed{}, err
	}
	defer os.RemoveAll(dir)
	return node.ReplayExport(e.ctx, f, dir, chain.Config{})
}

// registryFsckCmd checks the invariants of one stopped node, wherever its home lies.
type registryFsckCmd struct {
	Home string `arg:"" help:"Home of a stopped node." type:"existingdir"`
	JSON bool   `help:"Print JSON lines only."`
}

func (c *registryFsckCmd) Run(e *env) error {
	found, err := node.Fsck(e.ctx, c.Home)
	if err != nil {
		return err
	}
	var violations int64
	for _, r := range found {
		violations += r.Violations
		if c.JSON {
			err = e.print(fsckRow{r.ID, r.Checked, r.Violations})
		} else {
			_, err = fmt.Fprintf(e.stdout, "%-20s %8d checked  %d violations\n", r.ID, r.Checked, r.Violations)
		}
		if err != nil {
			return err
		}
	}
	if violations > 0 {
		return fmt.Errorf("%w: %d violations", errCheck, violations)
	}
	return nil
}
