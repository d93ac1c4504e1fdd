package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cometbft/cometbft/types"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// A Row is one invariant of a stopped node's stores.
type Row struct {
	ID         string
	Checked    int64
	Violations int64
}

// Fsck checks a stopped node's home; nothing in it changes, except that the databases recover what a crash left. Rows:
//
//	registry/genesis    the genesis file parses and both of its halves agree
//	registry/blocks     each stored block follows the one before and carries more than two thirds of the votes for it
//	registry/app-hash   the state is the one that the network agreed on for its height
//	registry/headers    every header that the state remembers is the stored one; together they give the header tree's root
//	registry/histories  of each fact: intervals without gap or overlap, none begins above the newest height
//	registry/dated      every height at which a fact began or ended has the header that dates it
//	registry/sign-state nothing was signed that the sign state does not know
//	registry/lists      published lists hash to their epoch, and are what their records name
//	registry/archive    every object and every epoch in the archive is what its key is the hash of, and whole; none is forgotten
//
// The error says that the check could not be made, for instance because the node runs.
func Fsck(ctx context.Context, home string) ([]Row, error) {
	f := &fsck{home: home}
	stores, err := openStores(home)
	if err != nil {
		return nil, err
	}
	defer stores.close()
	f.stores = stores
	_, err = chainGenesis(stores.genesis)
	f.row("registry/genesis", 1, err == nil)
	db, err := chain.Open(filepath.Join(home, dataDir, "chain"))
	if err != nil {
		return nil, err
	}
	machine, err := chain.New(growingBatches{db}, chain.Config{})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	f.machine = machine
	err = errors.Join(f.all(ctx), machine.Close())
	return f.rows, err
}

type fsck struct {
	home    string
	stores  *engineStores
	machine *chain.Machine
	rows    []Row
}

func (f *fsck) all(ctx context.Context) error {
	for _, check := range []func(context.Context) error{f.blocks, f.appHash, f.headers, f.histories, f.signState, f.lists, f.archive} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (f *fsck) row(id string, checked int64, holds bool) {
	r := Row{ID: id, Checked: checked}
	if !holds {
		r.Violations = 1
	}
	f.rows = append(f.rows, r)
}

func (f *fsck) blocks(ctx context.Context) error {
	row := Row{ID: "registry/blocks"}
	blocks := f.stores.blocks
	var before *types.BlockMeta
	for height := blocks.Base(); height > 0 && height <= blocks.Height() && ctx.Err() == nil; height++ {
		row.Checked++
		block, meta := f.stores.block(height)
		if block == nil || meta == nil || block.ValidateBasic() != nil || !bytes.Equal(block.Hash(), meta.BlockID.Hash) {
			row.Violations++
			before = nil
			continue
		}
		if before != nil && !block.LastBlockID.Equals(before.BlockID) {
			row.Violations++
		}
		if set, err := f.stores.states.LoadValidators(height); err == nil {
			commit := blocks.LoadBlockCommit(height)
			if commit == nil {
				commit = blocks.LoadSeenCommit(height)
			}
			if commit == nil || set.VerifyCommitLight(f.stores.genesis.ChainID, meta.BlockID, height, commit) != nil {
				row.Violations++
			}
		}
		before = meta
	}
	f.rows = append(f.rows, row)
	return nil
}

func (f *fsck) appHash(context.Context) error {
	info := f.machine.Info()
	if info.Height == 0 {
		f.row("registry/app-hash", 0, true)
		return nil
	}
	want, err := f.stores.agreed(int64(info.Height))
	if err != nil {
		return err
	}
	// The state may be one block ahead of the engine's own memory: a crash in between, which a start repairs.
	f.row("registry/app-hash", 1, want == nil || bytes.Equal(want, info.AppHash))
	return nil
}

func (f *fsck) headers(ctx context.Context) error {
	row := Row{ID: "registry/headers"}
	info := f.machine.Info()
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := factory.NewEmptyRange(0)
	for height := info.First; height > 0 && height <= info.Height && ctx.Err() == nil; height++ {
		row.Checked++
		hash, at, err := f.machine.Header(height)
		if err != nil {
			row.Violations++
			continue
		}
		if p, err := f.machine.Point(height); err == nil && (p.Hash() != hash || !p.Time.Equal(at)) {
			row.Violations++
		}
		if meta := f.stores.blocks.LoadBlockMeta(int64(height)); meta != nil && (!bytes.Equal(meta.Header.Hash(), hash[:]) || !meta.Header.Time.Equal(at)) {
			row.Violations++
		}
		if height <= info.Changed {
			if err := tree.Append(rfc6962.DefaultHasher.HashLeaf(hash[:]), nil); err != nil {
				return err
			}
		}
	}
	root, err := f.headerRoot()
	if err != nil {
		return err
	}
	if root != nil && root.Size > 0 {
		got, err := tree.GetRootHash(nil)
		if err != nil || !bytes.Equal(got, root.Root[:]) {
			row.Violations++
		}
	}
	f.rows = append(f.rows, row)
	return nil
}

func (f *fsck) headerRoot() (*registry.HeaderRoot, error) {
	var root *registry.HeaderRoot
	var fault error
	err := f.machine.Iterate(registry.HeaderRootKey(), func(_, value []byte) bool {
		root = new(registry.HeaderRoot)
		fault = registry.Decode(value, root)
		return false
	})
	if errors.Is(err, registry.ErrNotFound) { // nothing committed yet
		return nil, nil
	}
	return root, errors.Join(err, fault)
}

// histories walks all leaves: those of one family follow each other, oldest first, the newest last.
func (f *fsck) histories(ctx context.Context) error {
	row, dated := Row{ID: "registry/histories"}, Row{ID: "registry/dated"}
	info := f.machine.Info()
	var family string
	var until uint64
	date := func(height uint64) {
		if height+1 <= info.First || height >= info.Height { // of the genesis, or its header comes with the next block
			return
		}
		dated.Checked++
		if _, err := f.machine.Point(height + 1); err != nil && f.stores.blocks.LoadBlockMeta(int64(height+1)) == nil {
			dated.Violations++
		}
	}
	err := f.machine.Iterate(nil, func(key, value []byte) bool {
		name, at, latest, ok := familyOf(string(key))
		if !ok {
			return ctx.Err() == nil
		}
		row.Checked++
		var leaf registry.Leaf
		if registry.Decode(value, &leaf) != nil || leaf.Since > info.Height || !latest && (leaf.Since != at || leaf.Until <= leaf.Since) ||
			latest && leaf.Until != 0 || name == family && leaf.Since != until {
			row.Violations++
		}
		date(leaf.Since)
		family, until = name, leaf.Until
		return ctx.Err() == nil
	})
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	f.rows = append(f.rows, row, dated)
	return nil
}

func (f *fsck) signState(context.Context) error {
	signer, err := loadSigner(f.home, false)
	if err != nil {
		f.row("registry/sign-state", 1, false)
		return nil
	}
	commit := f.stores.blocks.LoadSeenCommit(f.stores.blocks.Height())
	f.row("registry/sign-state", 1, commit == nil || signStateCovers(signer, commit))
	return nil
}

// lists reads the status store without opening it for writing.
func (f *fsck) lists(context.Context) error {
	row := Row{ID: "registry/lists"}
	dir := filepath.Join(f.home, "status")
	issuers, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range issuers {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name(), "epoch"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read status epoch: %w", err)
		}
		row.Checked++
		epoch, err := openEpoch(raw)
		if err != nil {
			row.Violations++
			continue
		}
		for _, l := range slices.Concat(epoch.lists, epoch.base) {
			for _, digest := range tokensOf(l) {
				row.Checked++
				token, err := os.ReadFile(filepath.Join(dir, e.Name(), hex.EncodeToString(digest[:])))
				if err != nil || sha256.Sum256(token) != digest {
					row.Violations++
				}
			}
		}
	}
	f.rows = append(f.rows, row)
	return nil
}
