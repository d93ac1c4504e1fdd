package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// Trust bundles lie in <Home>/bundles/<number>.json. A node only hands them on and trusts none: readers check them, whoever brings
// one here has it checked (PublishBundle), and peers' bundles must fit this node's own chain as well.

// bundleValid is how long a proposed bundle may be used.
const bundleValid = 90 * 24 * time.Hour

const bundlesServed = 16

// ErrBundles: the bundle is not the next one of those that are here.
var ErrBundles = errors.New("node: not the next trust bundle")

// ProposeBundle is a trust bundle, number 1 and signed by nobody, that begins at the newest header and names the present members
// and how many of them decide. Errors: ErrDown, registry.ErrMalformed.
func (n *Node) ProposeBundle() (*evidence.Bundle, error) {
	trust, err := n.Trust(n.cfg.Now().UTC().Truncate(time.Second).Add(bundleValid))
	if err != nil {
		return nil, err
	}
	r := n.run.Load()
	if r == nil {
		return nil, ErrDown
	}
	b := &evidence.Bundle{Trust: trust, Threshold: r.machine.Info().Params.Threshold}
	const prefix, suffix = "gov/member/", "/latest"
	var bad error
	err = r.machine.Iterate([]byte(prefix), func(key, value []byte) bool {
		id, latest := strings.CutSuffix(strings.TrimPrefix(string(key), prefix), suffix)
		if !latest {
			return true
		}
		var leaf registry.Leaf
		var fact registry.MemberFact
		if bad = registry.Decode(value, &leaf); bad == nil {
			bad = registry.Decode(leaf.Fact, &fact)
		}
		if bad == nil && fact.Removed == 0 {
			b.Members = append(b.Members, evidence.BundleMember{ID: id, Key: fact.Key})
		}
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("members for a trust bundle: %w", err)
	}
	_, err = b.Payload()
	return b, err
}

func bundlePath(home string, number uint64) string {
	return filepath.Join(home, "bundles", strconv.FormatUint(number, 10)+".json")
}

// Bundles are the files of the links after a number, at most 16.
func (n *Node) Bundles(after uint64) ([][]byte, error) {
	var out [][]byte
	for number := after + 1; number != 0 && len(out) < bundlesServed; number++ {
		raw, err := os.ReadFile(bundlePath(n.cfg.Home, number))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read trust bundle: %w", err)
		}
		out = append(out, raw)
	}
	return out, nil
}

// PublishBundle gives a home a bundle to hand on; the node may run. Apart from the first it must hold as the next link;
// it may have expired. Errors: ErrBundles, evidence.ErrBundle.
func PublishBundle(home string, b *evidence.Bundle, now time.Time) error {
	raw, err := b.Marshal()
	if err != nil {
		return err
	}
	if b.Number > 1 {
		before, err := os.ReadFile(bundlePath(home, b.Number-1))
		if errors.Is(err, fs.ErrNotExist) {
			return ErrBundles
		}
		if err != nil {
			return err
		}
		prev, err := evidence.ParseBundle(before)
		if err != nil {
			return err
		}
		if err := evidence.VerifyBundle(prev, b, now); err != nil && !errors.Is(err, evidence.ErrBundleExpired) {
			return err
		}
	}
	path := bundlePath(home, b.Number)
	switch old, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(old, raw): // a peer has brought it
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return errors.Join(ErrBundles, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeFile(path, raw)
}
