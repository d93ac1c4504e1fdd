package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	cmtcfg "github.com/cometbft/cometbft/config"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry/chain"
)

// A Replayed is where a replay ended.
type Replayed struct {
	Height  uint64
	AppHash []byte   // of the state after that height
	Header  [32]byte // hash of the header of that height
}

// ErrDiverged: executing the blocks again gives another state than the network agreed on.
var ErrDiverged = errors.New("node: replay diverges")

// ErrPruned: the node does not have the blocks from the first on.
var ErrPruned = errors.New("node: the first blocks were pruned or never fetched")

// Replay executes every block of a stopped node on an empty state, from genesis on, and compares each app hash with the header
// that carries it. It changes nothing in home. Errors: ErrDiverged, ErrPruned.
func Replay(ctx context.Context, home string, cfg chain.Config) (Replayed, error) {
	stores, err := openStores(home)
	if err != nil {
		return Replayed{}, err
	}
	defer stores.close()
	if stores.blocks.Height() == 0 {
		return Replayed{}, nil
	}
	if stores.blocks.Base() > 1 {
		return Replayed{}, ErrPruned
	}
	dir, err := os.MkdirTemp(home, "replay-")
	if err != nil {
		return Replayed{}, err
	}
	defer os.RemoveAll(dir)
	r, err := newReplay(stores.genesis, dir, cfg)
	if err != nil {
		return Replayed{}, err
	}
	for height := stores.blocks.Base(); height <= stores.blocks.Height() && err == nil && ctx.Err() == nil; height++ {
		block, _ := stores.block(height)
		if block == nil {
			err = fmt.Errorf("block %d is missing or damaged", height)
			break
		}
		err = r.block(block)
	}
	if err == nil {
		err = stores.compare(r.out)
	}
	return r.out, errors.Join(err, ctx.Err(), r.machine.Close())
}

// engineStores are the engine's stores of a stopped node.
type engineStores struct {
	dbs     databases
	genesis *types.GenesisDoc
	blocks  *store.BlockStore
	states  sm.Store
}

// openStores opens them; a running node holds them locked.
func openStores(home string) (*engineStores, error) {
	s := &engineStores{dbs: databases{dir: filepath.Join(home, dataDir)}}
	var err error
	if s.genesis, err = loadGenesis(home); err != nil {
		return nil, err
	}
	blocks, err := s.dbs.provide(&cmtcfg.DBContext{ID: "blockstore"})
	if err != nil {
		return nil, err
	}
	states, err := s.dbs.provide(&cmtcfg.DBContext{ID: "state"})
	if err != nil {
		return nil, errors.Join(err, s.dbs.close())
	}
	s.blocks, s.states = store.NewBlockStore(blocks), sm.NewStore(states, sm.StoreOptions{DiscardABCIResponses: true})
	return s, nil
}

func (s *engineStores) close() { _ = s.dbs.close() } // nothing was written

// block of a height; nil when it is missing or damaged, where the library panics.
func (s *engineStores) block(height int64) (block *types.Block, meta *types.BlockMeta) {
	defer func() {
		if recover() != nil {
			block, meta = nil, nil
		}
	}()
	return s.blocks.LoadBlock(height), s.blocks.LoadBlockMeta(height)
}

// agreed is the app hash that the network agreed on after a height; nil while no header carries it.
func (s *engineStores) agreed(height int64) ([]byte, error) {
	if meta := s.blocks.LoadBlockMeta(height + 1); meta != nil {
		return meta.Header.AppHash, nil
	}
	state, err := s.states.Load()
	if err != nil {
		return nil, fmt.Errorf("load engine state: %w", err)
	}
	if state.LastBlockHeight == height {
		return state.AppHash, nil
	}
	return nil, nil
}

// compare the end of a replay, which no next block confirms, with what the engine remembers.
func (s *engineStores) compare(r Replayed) error {
	want, err := s.agreed(int64(r.Height))
	if err != nil {
		return err
	}
	if want != nil && !bytes.Equal(want, r.AppHash) {
		return fmt.Errorf("%w at height %d", ErrDiverged, r.Height)
	}
	return nil
}
