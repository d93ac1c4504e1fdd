package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/dojang-id/dojang/registry/chain"
)

// An export is the whole history of a network in one file, for archives and for other programs:
//
//	"dojang-blocks/1\n"
//	item: the genesis file
//	item: the engine's protobuf Block of height 1, 2, …
//
// where an item is its length in bytes (unsigned LEB128) and the bytes.
const exportMagic = "dojang-blocks/1\n"

const maxItem = 64 << 20

// ErrExport: not an export, or not whole.
var ErrExport = errors.New("node: malformed export")

// Export writes the history of a stopped node. Error: ErrPruned.
func Export(ctx context.Context, home string, to io.Writer) (blocks int64, err error) {
	stores, err := openStores(home)
	if err != nil {
		return 0, err
	}
	defer stores.close()
	if stores.blocks.Base() > 1 {
		return 0, ErrPruned
	}
	genesis, err := os.ReadFile(filepath.Join(home, genesisFile))
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriter(to)
	if _, err := out.WriteString(exportMagic); err != nil {
		return 0, err
	}
	put := func(item []byte) error {
		if _, err := out.Write(binary.AppendUvarint(nil, uint64(len(item)))); err != nil {
			return err
		}
		_, err := out.Write(item)
		return err
	}
	if err := put(genesis); err != nil {
		return 0, err
	}
	for height := stores.blocks.Base(); height > 0 && height <= stores.blocks.Height(); height++ {
		if ctx.Err() != nil {
			return blocks, ctx.Err()
		}
		block, _ := stores.block(height)
		if block == nil {
			return blocks, fmt.Errorf("block %d is missing or damaged", height)
		}
		pb, err := block.ToProto()
		if err != nil {
			return blocks, err
		}
		raw, err := pb.Marshal()
		if err == nil {
			err = put(raw)
		}
		if err != nil {
			return blocks, err
		}
		blocks++
	}
	return blocks, out.Flush()
}

// ReplayExport executes an export on an empty state in dir, which must be empty, from its genesis on. Each block must follow the
// one before, and each app hash must be the one that the next header carries. Whether it is the network's history is for
// the caller to see: Replayed.Header is a header hash that a trust file or a published head may name.
// Errors: ErrExport, ErrDiverged.
func ReplayExport(ctx context.Context, from io.Reader, dir string, cfg chain.Config) (Replayed, error) {
	in := bufio.NewReader(from)
	magic := make([]byte, len(exportMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != exportMagic {
		return Replayed{}, ErrExport
	}
	raw, err := readItem(in)
	if err != nil {
		return Replayed{}, ErrExport
	}
	doc, err := types.GenesisDocFromJSON(raw)
	if err != nil {
		return Replayed{}, fmt.Errorf("%w: genesis", ErrExport)
	}
	r, err := newReplay(doc, dir, cfg)
	if err != nil {
		return Replayed{}, err
	}
	for ctx.Err() == nil {
		var block *types.Block
		if block, err = readBlock(in); err != nil {
			break
		}
		if err = r.block(block); err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return r.out, errors.Join(err, ctx.Err(), r.machine.Close())
}

func readItem(in *bufio.Reader) ([]byte, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if n > maxItem {
		return nil, ErrExport
	}
	raw := make([]byte, 0, min(n, 1<<20))
	buf := bytes.NewBuffer(raw)
	if _, err := io.CopyN(buf, in, int64(n)); err != nil {
		return nil, ErrExport
	}
	return buf.Bytes(), nil
}

func readBlock(in *bufio.Reader) (*types.Block, error) {
	raw, err := readItem(in)
	if err != nil {
		return nil, err
	}
	var pb cmtproto.Block
	if err := pb.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("%w: block", ErrExport)
	}
	block, err := types.BlockFromProto(&pb)
	if err == nil {
		err = block.ValidateBasic()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, err)
	}
	return block, nil
}

// A replay executes blocks one by one.
type replay struct {
	machine *chain.Machine
	chainID string
	last    *types.Block
	out     Replayed
}

func newReplay(doc *types.GenesisDoc, dir string, cfg chain.Config) (*replay, error) {
	g, err := chainGenesis(doc)
	if err != nil {
		return nil, err
	}
	db, err := chain.Open(dir)
	if err != nil {
		return nil, err
	}
	machine, err := chain.New(growingBatches{db}, cfg)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if _, err := machine.InitGenesis(g, uint64(doc.InitialHeight)); err != nil {
		return nil, errors.Join(err, machine.Close())
	}
	return &replay{machine: machine, chainID: doc.ChainID}, nil
}

func (r *replay) block(b *types.Block) error {
	switch {
	case b.ChainID != r.chainID:
		return fmt.Errorf("%w: block of another chain", ErrExport)
	case r.last != nil && (b.Height != r.last.Height+1 || !bytes.Equal(b.LastBlockID.Hash, r.last.Hash())):
		return fmt.Errorf("%w: block %d does not follow", ErrExport, b.Height)
	case r.last != nil && !bytes.Equal(b.AppHash, r.out.AppHash):
		return fmt.Errorf("%w at height %d", ErrDiverged, r.last.Height)
	}
	header := headerOf(&b.Header)
	_, hash, err := r.machine.Execute(chain.Block{Height: uint64(b.Height), Time: b.Time, Hash: [32]byte(b.Hash()),
		Point: header.Point().Nodes, Misbehaviours: misbehaviours(b.Evidence.Evidence.ToABCI()), Txs: b.Txs.ToSliceOfBytes()})
	if err == nil {
		err = r.machine.Commit()
	}
	if err != nil {
		return fmt.Errorf("execute block %d: %w", b.Height, err)
	}
	r.last, r.out = b, Replayed{Height: uint64(b.Height), AppHash: bytes.Clone(hash), Header: [32]byte(b.Hash())}
	return nil
}
