package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	cmtcfg "github.com/cometbft/cometbft/config"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"github.com/dojang-id/dojang/registry/chain"
)

// A SyncSource is where a newcomer gets a snapshot from (registry/light's Client). Only VerifiedBlock is believed: it has
// tracked the header from a trust point and asked a witness.
type SyncSource interface {
	Snapshots(ctx context.Context) [][]byte
	Chunk(ctx context.Context, version uint64, index int, good func([]byte) bool) ([]byte, error)
	VerifiedBlock(ctx context.Context, height uint64) ([]byte, error)
}

// ErrNotEmpty: the home has blocks or a state already.
var ErrNotEmpty = errors.New("node: the home is not empty")

// StateSync takes the newest snapshot that holds into a fresh home, and returns its height; Start goes on from there. The
// root of a snapshot must be the app hash of a verified header, and what was taken must give that root (H24). Nothing stands
// in home before all of it holds. Errors: ErrNoSnapshot when no node offers one that holds, ErrNotEmpty.
func StateSync(ctx context.Context, home string, source SyncSource, log *slog.Logger) (uint64, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	genesis, err := loadGenesis(home)
	if err != nil {
		return 0, err
	}
	if err := checkFresh(filepath.Join(home, dataDir)); err != nil {
		return 0, err
	}
	var offers []chain.Snapshot
	for _, raw := range source.Snapshots(ctx) {
		if s, err := chain.ParseSnapshot(raw); err == nil {
			offers = append(offers, s)
		}
	}
	slices.SortFunc(offers, func(a, b chain.Snapshot) int { return int(int64(b.Version) - int64(a.Version)) }) // newest first
	failed := ErrNoSnapshot
	for _, s := range offers {
		err := joinFrom(ctx, joining{home: home, genesis: genesis, source: source, offer: s})
		if err == nil {
			return s.Version, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		log.Warn("a snapshot does not hold", "height", s.Version, "err", err)
		failed = fmt.Errorf("%w that holds: %w", ErrNoSnapshot, err)
	}
	return 0, failed
}

// checkFresh takes a folder that holds nothing but the address book.
func checkFresh(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != "addrbook.json" {
			return ErrNotEmpty
		}
	}
	return nil
}

type joining struct {
	home    string
	genesis *types.GenesisDoc
	source  SyncSource
	offer   chain.Snapshot
}

func joinFrom(ctx context.Context, j joining) (err error) {
	state, commit, err := j.state(ctx)
	if err != nil {
		return err
	}
	if string(state.AppHash) != string(j.offer.Root[:]) {
		return fmt.Errorf("%w: its root is not the app hash of header %d", chain.ErrSnapshot, j.offer.Version+1)
	}
	dir := filepath.Join(j.home, "data-joining")
	if err := os.RemoveAll(dir); err != nil { // of an attempt before
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir) // after the rename there is nothing of that name
	if err := j.restore(ctx, filepath.Join(dir, "chain")); err != nil {
		return err
	}
	if err := bootstrap(dir, state, commit); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return err
	}
	data := filepath.Join(j.home, dataDir)
	if err := os.RemoveAll(data); err != nil { // fresh, see checkFresh
		return err
	}
	if err := os.Rename(dir, data); err != nil {
		return err
	}
	return syncDir(j.home)
}

// restore takes the chunks; what is not in the app hash is not taken.
func (j joining) restore(ctx context.Context, dir string) error {
	db, err := chain.Open(dir)
	if err != nil {
		return err
	}
	machine, err := chain.New(growingBatches{db}, chain.Config{})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(j.take(ctx, machine), machine.Close())
}

func (j joining) take(ctx context.Context, machine *chain.Machine) error {
	r, err := machine.Restore(j.offer)
	if err != nil {
		return err
	}
	for i := range j.offer.Chunks {
		chunk, err := j.source.Chunk(ctx, j.offer.Version, i, func(b []byte) bool { return holds(j.offer, i, b) })
		if err == nil {
			err = r.Chunk(chunk)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("chunk %d: %w", i, err), r.Abort())
		}
	}
	return r.Finish()
}

// state is what the engine must know to go on above the snapshot, from three verified headers and the genesis.
func (j joining) state(ctx context.Context) (sm.State, *types.Commit, error) {
	var blocks [3]*types.LightBlock
	for i := range blocks {
		raw, err := j.source.VerifiedBlock(ctx, j.offer.Version+uint64(i))
		if err != nil {
			return sm.State{}, nil, fmt.Errorf("header %d: %w", j.offer.Version+uint64(i), err)
		}
		var pb cmtproto.LightBlock
		if err := pb.Unmarshal(raw); err != nil {
			return sm.State{}, nil, err
		}
		if blocks[i], err = types.LightBlockFromProto(&pb); err != nil {
			return sm.State{}, nil, err
		}
	}
	last, current, next := blocks[0], blocks[1], blocks[2]
	params := *j.genesis.ConsensusParams
	params.Version.App = current.Version.App
	if string(params.Hash()) != string(current.ConsensusHash) {
		return sm.State{}, nil, errors.New("consensus parameters are not those of the genesis")
	}
	return sm.State{
		Version: cmtstate.Version{Consensus: current.Version, Software: version.TMCoreSemVer},
		ChainID: j.genesis.ChainID, InitialHeight: j.genesis.InitialHeight,
		LastBlockHeight: last.Height, LastBlockTime: last.Time, LastBlockID: last.Commit.BlockID,
		AppHash: current.AppHash, LastResultsHash: current.LastResultsHash,
		LastValidators: last.ValidatorSet, Validators: current.ValidatorSet, NextValidators: next.ValidatorSet,
		LastHeightValidatorsChanged: next.Height, ConsensusParams: params, LastHeightConsensusParamsChanged: current.Height,
	}, last.Commit, nil
}

// bootstrap writes the engine's stores.
func bootstrap(dir string, state sm.State, commit *types.Commit) error {
	dbs := databases{dir: dir}
	states, err := dbs.provide(&cmtcfg.DBContext{ID: "state"})
	if err != nil {
		return err
	}
	blocks, err := dbs.provide(&cmtcfg.DBContext{ID: "blockstore"})
	if err != nil {
		return errors.Join(err, dbs.close())
	}
	to := sm.NewStore(states, sm.StoreOptions{DiscardABCIResponses: true})
	err = to.Bootstrap(state)
	if err == nil {
		err = store.NewBlockStore(blocks).SaveSeenCommit(state.LastBlockHeight, commit)
	}
	if err == nil {
		err = to.SetOfflineStateSyncHeight(state.LastBlockHeight)
	}
	return errors.Join(err, dbs.close())
}
