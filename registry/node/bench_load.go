package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"github.com/dojang-id/dojang/internal/bench"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/chain"
)

// A Loaded is a running development node over the state of very many DIDs. No history made them: one DID is created on a
// real network, the snapshot of that network is enlarged by copies of its leaves under other identifiers (see enlarge), and
// a newcomer takes it by StateSync; so the node's store is what a newcomer's store is.
type Loaded struct {
	Node *Node
	// Joined is the time from an empty home to a node that runs; JoinedCPU is what it cost.
	Joined, JoinedCPU time.Duration
	StateBytes        int64 // of the state machine's store
	SnapshotBytes     int64

	dir   string
	count int
}

// LoadedConfig of NewLoaded.
type LoadedConfig struct {
	Dir  string // removed by Close
	DIDs int
}

// NewLoaded makes the state and starts the node.
func NewLoaded(ctx context.Context, cfg LoadedConfig) (*Loaded, error) {
	l := &Loaded{dir: cfg.Dir, count: cfg.DIDs}
	source, home, err := benchSource(ctx, cfg)
	if err == nil {
		l.SnapshotBytes, err = size(source.dir)
	}
	if err == nil {
		err = l.join(ctx, home, source)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load %d identifiers: %w", cfg.DIDs, err), os.RemoveAll(cfg.Dir))
	}
	return l, os.RemoveAll(source.dir)
}

func (l *Loaded) join(ctx context.Context, home string, source *loadedSource) (err error) {
	began, cpu := time.Now(), bench.CPUTime()
	height, err := StateSync(ctx, home, source, nil)
	if err != nil {
		return err
	}
	if l.StateBytes, err = size(filepath.Join(home, dataDir, "chain")); err != nil {
		return err
	}
	if l.Node, err = New(Config{Home: home, Chain: chain.Config{CacheNodes: benchCacheNodes}}); err != nil {
		return err
	}
	if err := l.Node.Start(ctx); err != nil {
		return err
	}
	l.Joined, l.JoinedCPU = time.Since(began), bench.CPUTime()-cpu
	if err := l.admits(ctx, height+1); err != nil {
		return errors.Join(err, l.Node.Stop(ctx))
	}
	return nil
}

// admits waits for a header of now: the engine dates the first one after a pause, and loading is one, before it.
func (l *Loaded) admits(ctx context.Context, height uint64) error {
	for {
		if err := l.Node.WaitHeight(ctx, height); err != nil {
			return err
		}
		if at, ok := l.Node.run.Load().engine.headerTime(height); ok && l.Node.fresh(at) {
			return nil
		}
		height++
	}
}

// Close stops the node and removes its folder.
func (l *Loaded) Close(ctx context.Context) error {
	return errors.Join(l.Node.Stop(ctx), os.RemoveAll(l.dir))
}

// DID number i of the state, evenly spread over the space of identifiers.
func (l *Loaded) DID(i int) registry.DID {
	return registry.DID("did:dojang:" + l.Node.Network() + ":" + spread(i, l.count).String())
}

// spread is multihash i of n, ascending.
func spread(i, n int) registry.Hash {
	var digest [32]byte
	binary.BigEndian.PutUint64(digest[:], uint64(i)*(1<<63/uint64(n)*2)+1)
	return registry.HashOfDigest(digest)
}

// loadedSource is a SyncSource over a folder. Headers need no proof here: the bench made them.
type loadedSource struct {
	dir    string
	about  chain.Snapshot
	blocks map[uint64][]byte
}

func (s *loadedSource) Snapshots(context.Context) [][]byte {
	raw, err := s.about.Marshal()
	if err != nil {
		return nil
	}
	return [][]byte{raw}
}

func (s *loadedSource) Chunk(_ context.Context, _ uint64, index int, good func([]byte) bool) ([]byte, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, strconv.Itoa(index)))
	if err == nil && !good(raw) {
		err = chain.ErrChunk
	}
	return raw, err
}

func (s *loadedSource) VerifiedBlock(_ context.Context, height uint64) ([]byte, error) {
	return s.blocks[height], nil
}

// benchSource runs a network of one DID, takes its snapshot, and enlarges it. The home has its keys and no data.
func benchSource(ctx context.Context, cfg LoadedConfig) (s *loadedSource, home string, err error) {
	net, err := NewLocalnet(LocalnetConfig{Dir: cfg.Dir, Validators: 1, Heartbeat: 10 * time.Second})
	if err != nil {
		return nil, "", err
	}
	n := net.Nodes[0]
	home = n.cfg.Home
	if err := net.Start(ctx); err != nil {
		return nil, "", err
	}
	running := true
	defer func() {
		if running {
			err = errors.Join(err, net.Stop(ctx))
		}
	}()
	operations, err := keyedCreates(n, 2, "issue-1")
	if err != nil {
		return nil, "", err
	}
	if _, err := n.Submit(ctx, operations[0]); err != nil {
		return nil, "", err
	}
	s = &loadedSource{dir: filepath.Join(cfg.Dir, "chunks"), blocks: map[uint64][]byte{}}
	var chunks [][]byte
	small, err := n.run.Load().machine.Export(0, func(_ int, b []byte) error {
		chunks = append(chunks, b)
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if _, err := n.Submit(ctx, operations[1]); err != nil { // for the headers after it, without waiting for a heartbeat
		return nil, "", err
	}
	if err := n.WaitHeight(ctx, small.Version+2); err != nil {
		return nil, "", err
	}
	for h := small.Version; h <= small.Version+2; h++ {
		if s.blocks[h], err = n.LightBlock(h); err != nil {
			return nil, "", err
		}
	}
	running = false
	if err := net.Stop(ctx); err != nil {
		return nil, "", err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return nil, "", err
	}
	if s.about, err = enlarge(small, chunks, cfg.DIDs, func(i int, chunk []byte) error {
		return os.WriteFile(filepath.Join(s.dir, strconv.Itoa(i)), chunk, 0o600)
	}); err != nil {
		return nil, "", err
	}
	if err := s.bend(small.Version + 1); err != nil {
		return nil, "", err
	}
	return s, home, forget(home)
}

// bend makes the header after the snapshot name the enlarged state.
func (s *loadedSource) bend(height uint64) error {
	var pb cmtproto.LightBlock
	if err := pb.Unmarshal(s.blocks[height]); err != nil {
		return err
	}
	pb.SignedHeader.Header.AppHash = s.about.Root[:]
	var err error
	s.blocks[height], err = pb.Marshal()
	return err
}

// forget leaves the keys of a home, and nothing else: the validator signs its heights again, on a chain of its own.
func forget(home string) error {
	signer, err := loadSigner(home, false)
	if err != nil {
		return err
	}
	privval.NewFilePV(signer.Key.PrivKey, filepath.Join(home, "validator_key.json"), filepath.Join(home, "validator_state.json")).Save()
	data := filepath.Join(home, dataDir)
	return errors.Join(os.RemoveAll(data), os.Mkdir(data, 0o700))
}

// size of a folder's files in bytes.
func size(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // compacted away
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
