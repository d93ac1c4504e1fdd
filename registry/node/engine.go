package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtcfg "github.com/cometbft/cometbft/config"
	mempl "github.com/cometbft/cometbft/mempool"
	cmtnode "github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
)

// engineConfig is what one run of the BFT engine needs; the application is any, so that the benchmark can run the
// engine's own example under exactly the settings of ours.
type engineConfig struct {
	Home      string     // holds the engine's stores and the sign state
	Stores    *databases // nil: opened here; closed with the engine either way
	App       abci.Application
	Genesis   *types.GenesisDoc
	Signer    *privval.FilePV
	NodeKey   *p2p.NodeKey
	Listen    string   // host:port of the peer protocol; port 0 picks one
	Peers     []string // id@host:port, dialled and kept
	Heartbeat time.Duration
	Alone     bool // no other node may connect
	// DoubleSignBlocks refuses a start when one of that many newest blocks carries our signature: another copy of the
	// key may be running. Useless where we alone make the blocks.
	DoubleSignBlocks int64
	WrapSigner       func(types.PrivValidator) types.PrivValidator // in tests; nil: nothing
	DefaultP2P       bool                                          // the engine's own flush and gossip intervals: the benchmark's comparison
	Logger           *slog.Logger
}

// An engine is one run: it starts once and stops once.
type engine struct {
	node *cmtnode.Node
	dbs  *databases
	// states is the engine's state store, for validator sets of old heights.
	states  sm.Store
	chainID string
	dated   atomic.Pointer[dated]
	// founders is the hash of the genesis validators.
	founders [32]byte
	solo     bool
	// beat is how long the engine waits for something to put into a block. It reads it where it commits, and only there it is set.
	beat *time.Duration
}

const (
	mempoolTxs   = 2000
	mempoolBytes = 32 << 20
	// MaxTx is the size of the largest transaction in bytes: 100 operations of the largest kind, roughly.
	MaxTx = 512 << 10
)

func (c engineConfig) settings() *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig().SetRoot(c.Home)
	cfg.RPC.ListenAddress = "" // H25: nothing but the peer protocol listens
	cfg.RPC.GRPCListenAddress = ""
	cfg.TxIndex.Indexer = "null"
	cfg.Storage.DiscardABCIResponses = true
	cfg.FilterPeers = true // asks the application, which knows the allow-list
	cfg.P2P.ListenAddress = "tcp://" + c.Listen
	cfg.P2P.PersistentPeers = strings.Join(c.Peers, ",")
	cfg.P2P.PexReactor = false
	cfg.P2P.AddrBook = filepath.Join(dataDir, "addrbook.json") // written even with no exchange of peers
	cfg.P2P.AllowDuplicateIP = true                            // peers are told apart by their keys
	cfg.P2P.AddrBookStrict = false
	cfg.Mempool.Size = mempoolTxs
	cfg.Mempool.MaxTxsBytes = mempoolBytes
	cfg.Mempool.MaxTxBytes = MaxTx
	cfg.Mempool.CacheSize = mempoolTxs
	cfg.Consensus.TimeoutPropose = 300 * time.Millisecond
	cfg.Consensus.TimeoutProposeDelta = 100 * time.Millisecond
	cfg.Consensus.TimeoutPrevote = 200 * time.Millisecond
	cfg.Consensus.TimeoutPrevoteDelta = 100 * time.Millisecond
	cfg.Consensus.TimeoutPrecommit = 200 * time.Millisecond
	cfg.Consensus.TimeoutPrecommitDelta = 100 * time.Millisecond
	if len(c.Genesis.Validators) == 1 { // nobody to wait for: a round that a crash interrupted is given up at once
		cfg.Consensus.TimeoutPropose = 50 * time.Millisecond
		cfg.Consensus.TimeoutPrevote = 20 * time.Millisecond
		cfg.Consensus.TimeoutPrecommit = 20 * time.Millisecond
	}
	cfg.Consensus.TimeoutCommit = 0
	cfg.Consensus.SkipTimeoutCommit = true
	cfg.Consensus.CreateEmptyBlocks = true
	cfg.Consensus.CreateEmptyBlocksInterval = c.Heartbeat
	cfg.Consensus.DoubleSignCheckHeight = c.DoubleSignBlocks
	if !c.DefaultP2P { // 22 times the commit latency otherwise
		cfg.P2P.FlushThrottleTimeout = time.Millisecond
		cfg.Consensus.PeerGossipSleepDuration = 2 * time.Millisecond
	}
	return cfg
}

// openEngine opens the stores and replays what the application has not seen yet.
func openEngine(c engineConfig) (*engine, error) {
	if c.Stores == nil {
		c.Stores = &databases{dir: filepath.Join(c.Home, dataDir)}
	}
	e := &engine{dbs: c.Stores, chainID: c.Genesis.ChainID, solo: len(c.Genesis.Validators) == 1}
	settings := c.settings()
	e.beat = &settings.Consensus.CreateEmptyBlocksInterval
	node, err := newEngine(c, settings)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open engine: %w", err), e.dbs.close())
	}
	e.node = node
	e.founders = founders(c.Genesis)
	stateDB, err := e.dbs.provide(&cmtcfg.DBContext{ID: "state"})
	if err != nil {
		return nil, errors.Join(err, e.dbs.close())
	}
	e.states = sm.NewStore(stateDB, sm.StoreOptions{DiscardABCIResponses: true})
	if err := errors.Join(checkSignState(node, c.Signer), e.mendLog(c)); err != nil {
		return nil, errors.Join(err, e.dbs.close())
	}
	return e, nil
}

// mendLog prepares the log for what the stores and the sign state say.
func (e *engine) mendLog(c engineConfig) error {
	state, err := e.states.Load()
	if err != nil {
		return fmt.Errorf("load engine state: %w", err)
	}
	cfg := mendConfig{Dir: filepath.Dir(c.settings().Consensus.WalFile()), Height: state.LastBlockHeight + 1, Alone: c.Alone, Log: c.Logger}
	if set := state.Validators; set.Size() == 1 && bytes.Equal(set.Validators[0].Address, c.Signer.GetAddress()) {
		cfg.Only = c.Signer
	}
	return mendLog(cfg)
}

// ErrDamaged: the stores contradict each other or the genesis, so that going on could fork the chain. Fsck says where; the
// way back is to join again with the same keys and sign state.
var ErrDamaged = errors.New("node: the stores contradict each other")

// newEngine replays blocks against the state. Where they differ the library panics.
func newEngine(c engineConfig, settings *cmtcfg.Config) (node *cmtnode.Node, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			what, _, _ := strings.Cut(fmt.Sprint(fault), "\n")
			node, err = nil, fmt.Errorf("%w: %s", ErrDamaged, what)
		}
	}()
	signer := types.PrivValidator(durableSigner{c.Signer, c.Home})
	if c.WrapSigner != nil {
		signer = c.WrapSigner(signer)
	}
	return cmtnode.NewNode(settings, signer, c.NodeKey, proxy.NewConnSyncLocalClientCreator(c.App),
		func() (*types.GenesisDoc, error) { return c.Genesis, nil }, c.Stores.provide,
		cmtnode.DefaultMetricsProvider(&cmtcfg.InstrumentationConfig{}), engineLog{c.Logger})
}

func founders(g *types.GenesisDoc) [32]byte {
	vs := make([]*types.Validator, len(g.Validators))
	for i, v := range g.Validators {
		vs[i] = types.NewValidator(v.PubKey, v.Power)
	}
	return setOf(types.NewValidatorSet(vs)).Hash()
}

func (e *engine) start() error {
	if err := e.node.Start(); err != nil {
		return errors.Join(fmt.Errorf("start engine: %w", err), e.dbs.close())
	}
	return nil
}

// stop ends the engine and closes its stores. Gossip goroutines notice the end within their sleep, so a node with
// peers waits a little before the stores go.
func (e *engine) stop(ctx context.Context) error {
	err := e.node.Stop()
	if err == nil {
		e.node.Wait()
	}
	if !e.solo {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.Join(err, e.dbs.close())
}

// check hands a transaction to the mempool and waits for the verdict.
func (e *engine) check(tx []byte) (*abci.ResponseCheckTx, error) {
	verdict := make(chan *abci.ResponseCheckTx, 1)
	if err := e.node.Mempool().CheckTx(tx, func(res *abci.ResponseCheckTx) { verdict <- res }, mempl.TxInfo{}); err != nil {
		return nil, err
	}
	return <-verdict, nil
}

// headerTime of a height; false while there is no such header.
func (e *engine) headerTime(height uint64) (time.Time, bool) {
	if last := e.dated.Load(); last != nil && last.height == height {
		return last.time, true
	}
	meta := e.node.BlockStore().LoadBlockMeta(int64(height))
	if meta == nil {
		return time.Time{}, false
	}
	e.dated.Store(&dated{height, meta.Header.Time})
	return meta.Header.Time, true
}

// dated is the header that was asked for last: every submission asks for the newest.
type dated struct {
	height uint64
	time   time.Time
}

// ErrSignState: the sign state is older than the chain; a backup was restored over it, and the key might sign twice.
var ErrSignState = errors.New("node: sign state is behind the chain (restored from a backup?); refusing to sign")

// checkSignState compares the signer's memory with the newest block that carries its signature.
func checkSignState(n *cmtnode.Node, signer *privval.FilePV) error {
	height := n.BlockStore().Height()
	commit := n.BlockStore().LoadSeenCommit(height)
	if commit == nil {
		return nil
	}
	if !signStateCovers(signer, commit) {
		return ErrSignState
	}
	return nil
}

// signStateCovers reports whether the signer remembers its vote in a commit.
func signStateCovers(signer *privval.FilePV, commit *types.Commit) bool {
	for _, s := range commit.Signatures {
		if s.BlockIDFlag == types.BlockIDFlagCommit && string(s.ValidatorAddress) == string(signer.GetAddress()) &&
			signer.LastSignState.Height < commit.Height {
			return false
		}
	}
	return true
}
