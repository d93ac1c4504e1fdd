package node

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	mempl "github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/types"
)

// The engine's own example under our settings starts, commits, stops and starts again in one process.
func TestEngineRestarts(t *testing.T) {
	home := t.TempDir()
	id, err := Init(home)
	if err != nil {
		t.Fatal(err)
	}
	_ = id
	app := kvstore.NewInMemoryApplication()
	for round := range 3 {
		began := time.Now()
		signer, err := loadSigner(home, false)
		if err != nil {
			t.Fatal(err)
		}
		nodeKey, err := p2p.LoadNodeKey(home + "/node_key.json")
		if err != nil {
			t.Fatal(err)
		}
		e, err := openEngine(engineConfig{Home: home, App: app, Signer: signer, NodeKey: nodeKey, Listen: "127.0.0.1:0",
			Heartbeat: time.Second, Logger: slog.New(slog.DiscardHandler), Genesis: &types.GenesisDoc{ChainID: "x",
				InitialHeight: 1, GenesisTime: time.Unix(1700000000, 0), ConsensusParams: types.DefaultConsensusParams(),
				Validators: []types.GenesisValidator{{PubKey: signer.Key.PubKey, Power: 10, Address: signer.GetAddress()}}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.start(); err != nil {
			t.Fatal(err)
		}
		before := e.node.BlockStore().Height()
		if err := e.node.Mempool().CheckTx(types.Tx(fmt.Sprintf("k%d=v", round)), nil, mempl.TxInfo{}); err != nil {
			t.Fatal(err)
		}
		for e.node.BlockStore().Height() < before+1 {
			time.Sleep(time.Millisecond)
		}
		t.Log("start to next height", time.Since(began))
		if err := e.stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
