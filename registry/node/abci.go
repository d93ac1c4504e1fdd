package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// application is the adapter between the engine and the state machine. The engine calls it in order for consensus, and for
// CheckTx at any time: signatures of what arrives are verified while a block is executed.
type application struct {
	abci.BaseApplication

	machine *chain.Machine
	genesis chain.Genesis
	header  func(height int64) *types.BlockMeta // a stored header; nil when there is none
	chainID string
	peers   []string             // ids that may connect; nobody else
	allow   func(id string) bool // and those that it names; nil: none

	// Told from inside the engine's consensus: must not block.
	retain     func(height uint64) uint64 // the lowest block to keep; 0: all
	onExecuted func(tx []byte, result chain.Result)
	onDropped  func(tx []byte, code registry.Code) // was in the mempool, and what blocks did since forbids that it waits on
	// onMisbehaviour is told of every proof against a validator that a block holds.
	onMisbehaviour func(Misbehaviour)
	onOutdated     func(err error)     // the block needs rules that this release does not know: the engine stops at it; may not return
	onHeader       func(height uint64) // a header is decided and stored; states below it are provable
	onCommit       func(height uint64, changed bool)
	step           func(name string, height int64) // may be nil

	refused refusedWaiting

	appHash []byte // of the newest state
	pending bool   // the executed block changes the state
}

// A Misbehaviour is what a block proves against a validator.
type Misbehaviour struct {
	Height    uint64 // at which it signed two things
	Time      time.Time
	Validator []byte // address
}

var _ abci.Application = (*application)(nil)

func (a *application) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	info := a.machine.Info()
	a.appHash = info.AppHash
	return &abci.ResponseInfo{Data: "dojang", AppVersion: chain.AppVersion, LastBlockHeight: int64(info.Height),
		LastBlockAppHash: info.AppHash}, nil
}

func (a *application) InitChain(_ context.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	hash, err := a.machine.InitGenesis(a.genesis, uint64(req.InitialHeight))
	if err != nil {
		return nil, err
	}
	a.appHash = hash
	return &abci.ResponseInitChain{AppHash: hash}, nil
}

func (a *application) CheckTx(_ context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	if req.Type == abci.CheckTxType_Recheck {
		return a.recheckTx(req.Tx), nil
	}
	r := a.machine.CheckTx(req.Tx)
	res := &abci.ResponseCheckTx{Code: abciCode(r.Code), Codespace: string(r.Code), GasWanted: int64(len(r.Operations))}
	if r.Code != registry.CodeOK && len(r.Operations) > 0 { // every operation was refused: the gateway wants to know why
		var err error
		if res.Data, err = registry.Encode(r.Operations); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// recheckTx keeps what waits until a block decides: only what forbids the envelope itself ends that, or the patience with one
// of which every operation would be refused.
func (a *application) recheckTx(tx []byte) *abci.ResponseCheckTx {
	r := a.machine.Recheck(tx)
	if r.Code == registry.CodeOK && a.refused.over(tx, r.Operations, a.machine.Info().Height) {
		r.Code = codeGivenUp
	}
	if r.Code != registry.CodeOK {
		a.refused.forget(tx)
		a.onDropped(tx, r.Code)
	}
	return &abci.ResponseCheckTx{Code: abciCode(r.Code), Codespace: string(r.Code), GasWanted: int64(len(r.Operations))}
}

// ProcessProposal refuses a block that no honest proposer makes: its mempool does not hold so many. Two million empty transactions go
// into the bytes of one block, and everything that is kept of each would exhaust every node's memory at once.
func (a *application) ProcessProposal(_ context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	if len(req.Txs) > mempoolTxs {
		return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}, nil
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

func (a *application) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	// The engine stores a block with its votes before it hands it over, so header h is there and proves state h-1.
	a.onHeader(uint64(req.Height))
	a.at("stored", req.Height)
	block := a.block(req.Height, req.Time, req.Hash, req.Txs)
	block.Misbehaviours = misbehaviours(req.Misbehavior)
	results, hash, err := a.machine.Execute(block)
	if errors.Is(err, chain.ErrUpgrade) {
		a.onOutdated(err)
	}
	if err != nil {
		return nil, fmt.Errorf("execute block %d: %w", req.Height, err)
	}
	out := &abci.ResponseFinalizeBlock{AppHash: hash, TxResults: make([]*abci.ExecTxResult, len(results))}
	for i, r := range results {
		out.TxResults[i] = &abci.ExecTxResult{Code: abciCode(r.Code), Data: r.Data()}
		a.refused.forget(req.Txs[i])
		a.onExecuted(req.Txs[i], r)
	}
	for _, v := range a.machine.ValidatorUpdates() {
		out.ValidatorUpdates = append(out.ValidatorUpdates, abci.Ed25519ValidatorUpdate(v.Key[:], int64(v.Power)))
	}
	if v := a.machine.Upgrade(); v != 0 {
		out.ConsensusParamUpdates = &cmtproto.ConsensusParams{Version: &cmtproto.VersionParams{App: v}}
	}
	for _, m := range req.Misbehavior {
		a.onMisbehaviour(Misbehaviour{Height: uint64(m.Height), Time: m.Time, Validator: m.Validator.Address})
	}
	a.pending = !slices.Equal(hash, a.appHash)
	a.appHash = hash
	a.at("executed", req.Height)
	return out, nil
}

func (a *application) at(step string, height int64) {
	if a.step != nil {
		a.step(step, height)
	}
}

// block is what the state machine must know of a block. Its point comes from the stored header: what the engine hands over
// lacks half of the fields.
func (a *application) block(height int64, at time.Time, hash []byte, txs [][]byte) chain.Block {
	b := chain.Block{Height: uint64(height), Time: at, Hash: [32]byte(hash), Txs: txs}
	if a.header != nil {
		if meta := a.header(height); meta != nil {
			h := headerOf(&meta.Header)
			b.Point = h.Point().Nodes
		}
	}
	return b
}

// misbehaviours are the proofs of a block as the state machine sees them: the same at every node and in a replay.
func misbehaviours(proofs []abci.Misbehavior) []chain.Misbehaviour {
	var out []chain.Misbehaviour
	for _, m := range proofs {
		if len(m.Validator.Address) == len(chain.Misbehaviour{}.Validator) && m.Height > 0 {
			out = append(out, chain.Misbehaviour{Height: uint64(m.Height), Validator: [20]byte(m.Validator.Address)})
		}
	}
	return out
}

func (a *application) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	if err := a.machine.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	a.onCommit(a.machine.Info().Height, a.pending)
	a.at("committed", int64(a.machine.Info().Height))
	return &abci.ResponseCommit{RetainHeight: int64(a.retain(a.machine.Info().Height))}, nil
}

// Query answers the engine's peer filter and nothing else: readers go through Evidence.
func (a *application) Query(_ context.Context, req *abci.RequestQuery) (*abci.ResponseQuery, error) {
	if strings.HasPrefix(req.Path, "/p2p/filter/addr/") { // who is behind the address is known after the handshake
		return &abci.ResponseQuery{}, nil
	}
	if id, ok := strings.CutPrefix(req.Path, "/p2p/filter/id/"); ok && (slices.Contains(a.peers, id) || a.allow != nil && a.allow(id)) {
		return &abci.ResponseQuery{}, nil
	}
	return &abci.ResponseQuery{Code: 1, Log: "refused"}, nil
}

func abciCode(c registry.Code) uint32 {
	if c == registry.CodeOK {
		return abci.CodeTypeOK
	}
	return 1
}
