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
	AppHash []byte // of the state after that height
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
	db, err := chain.Open(dir)
	if err != nil {
		return Replayed{}, err
	}
	machine, err := chain.New(growingBatches{db}, cfg)
	if err != nil {
		return Replayed{}, errors.Join(err, db.Close())
	}
	out, err := stores.replay(ctx, machine)
	return out, errors.Join(err, machine.Close())
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

func (s *engineStores) replay(ctx context.Context, m *chain.Machine) (Replayed, error) {
	app := &application{machine: m, header: s.blocks.LoadBlockMeta}
	g, err := chain.ParseGenesis(s.genesis.AppState)
	if err != nil {
		return Replayed{}, err
	}
	if _, err := m.InitGenesis(g, uint64(s.genesis.InitialHeight)); err != nil {
		return Replayed{}, err
	}
	var out Replayed
	for height := s.genesis.InitialHeight; height <= s.blocks.Height(); height++ {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		block := s.blocks.LoadBlock(height)
		if block == nil {
			return out, fmt.Errorf("%w: block %d", ErrPruned, height)
		}
		_, hash, err := m.Execute(app.block(height, block.Time, block.Hash(), block.Txs.ToSliceOfBytes()))
		if err != nil {
			return out, fmt.Errorf("execute block %d: %w", height, err)
		}
		want, err := s.agreed(height)
		if err != nil {
			return out, err
		}
		if want != nil && !bytes.Equal(want, hash) {
			return out, fmt.Errorf("%w at height %d", ErrDiverged, height)
		}
		if err := m.Commit(); err != nil {
			return out, err
		}
		out = Replayed{Height: uint64(height), AppHash: bytes.Clone(hash)}
	}
	return out, nil
}
