package chain

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cosmos/iavl"

	"github.com/dojang-id/dojang/registry"
)

// A Snapshot names one committed version for a node that joins: its app hash and the chunks that hold it. The same
// version gives the same chunks on every node (registry/README.md, "Snapshot").
type Snapshot struct {
	First   uint64 // height of the chain's first block
	Version uint64 // height
	Root    [32]byte
	Chunks  [][32]byte // SHA-256 of each
}

const (
	snapshotFormat = 1
	chunkTarget    = 4 << 20 // a chunk ends with the item that reaches this size
	maxChunk       = chunkTarget + 64<<10
	maxChunks      = 1 << 16
	maxLeaf        = 32 << 10 // bytes of a key or a value
)

// SnapshotFormat is the number of the format, for the engine's offer.
const SnapshotFormat = snapshotFormat

// ErrSnapshot: the snapshot does not hold what its app hash says, or is malformed. Ask for another snapshot.
var ErrSnapshot = errors.New("chain: snapshot does not hold")

// ErrChunk: not the chunk that the snapshot names. Ask another peer for it; nothing was taken.
var ErrChunk = errors.New("chain: not the chunk that the snapshot names")

// ErrUnsettled: the block of that version changed nothing, so that its header is not in the state yet. The newest
// version that can be exported is Info.Changed.
var ErrUnsettled = errors.New("chain: version without a change")

type snapshotWire struct {
	_       struct{} `cbor:",toarray"`
	Format  uint64
	First   uint64
	Version uint64
	Root    [32]byte
	Chunks  [][32]byte
}

// Marshal is the metadata for the engine's offer.
func (s Snapshot) Marshal() ([]byte, error) {
	return registry.Encode(snapshotWire{Format: snapshotFormat, First: s.First, Version: s.Version, Root: s.Root, Chunks: s.Chunks})
}

// ParseSnapshot reads metadata; nothing of it is verified. Errors: ErrSnapshot.
func ParseSnapshot(b []byte) (Snapshot, error) {
	var w snapshotWire
	if len(b) > maxChunks*34+128 {
		return Snapshot{}, ErrSnapshot
	}
	if err := registry.DecodeCanonical(b, &w); err != nil {
		return Snapshot{}, ErrSnapshot
	}
	s := Snapshot{First: w.First, Version: w.Version, Root: w.Root, Chunks: w.Chunks}
	if w.Format != snapshotFormat || !s.plausible() {
		return Snapshot{}, ErrSnapshot
	}
	return s, nil
}

func (s *Snapshot) plausible() bool {
	return s.First > 0 && s.First <= s.Version && s.Version < 1<<40 && len(s.Chunks) > 0 && len(s.Chunks) <= maxChunks
}

// Export gives a committed version to put, chunk by chunk; 0 is the newest one that changed anything. The version is not
// pruned meanwhile, and blocks go on. Errors: ErrVersion, ErrUnsettled, ErrPoints, put's.
func (m *Machine) Export(version uint64, put func(i int, chunk []byte) error) (Snapshot, error) {
	if version == 0 {
		version = m.Info().Changed
	}
	tree, release, err := m.hold(version)
	if err != nil {
		return Snapshot{}, err
	}
	defer release()
	root, err := readPlain[registry.HeaderRoot](treeReader{tree}, registry.HeaderRootKey())
	if err != nil || root == nil {
		return Snapshot{}, fmt.Errorf("chain: header tree in state: %w", errors.Join(err, registry.ErrNotFound))
	}
	if root.First+root.Size != version+1 {
		return Snapshot{}, ErrUnsettled
	}
	e := &exporter{put: put, out: Snapshot{First: root.First, Version: version, Root: [32]byte(tree.Hash())}}
	if err := e.headers(m, root.First, version); err != nil {
		return Snapshot{}, err
	}
	if err := e.nodes(tree); err != nil {
		return Snapshot{}, err
	}
	return e.out, nil
}

// hold gives a version that is not pruned until it is released.
func (m *Machine) hold(version uint64) (*iavl.ImmutableTree, func(), error) {
	m.heldMu.Lock()
	m.held[version]++
	m.heldMu.Unlock()
	release := func() {
		m.heldMu.Lock()
		defer m.heldMu.Unlock()
		if m.held[version]--; m.held[version] == 0 {
			delete(m.held, version)
		}
	}
	tree, _, err := m.version(version)
	if err != nil {
		release()
		return nil, nil, err
	}
	return tree, release, nil
}

// oldestHeld is the lowest version that somebody holds; none: the argument.
func (m *Machine) oldestHeld(none uint64) uint64 {
	m.heldMu.Lock()
	defer m.heldMu.Unlock()
	for v := range m.held {
		none = min(none, v)
	}
	return none
}

// Items of a chunk.
const (
	itemHeader = 0 // seconds (8) nanoseconds (4) point (96); heights follow one another from the first on
	itemLeaf   = 1 // version klen key vlen value
	itemInner  = 2 // version; its children are the two subtrees before it
)

type exporter struct {
	put   func(int, []byte) error
	out   Snapshot
	chunk []byte
}

func (e *exporter) headers(m *Machine, first, last uint64) error {
	for h := first; h <= last; h++ {
		p, err := m.Point(h)
		if err != nil {
			return fmt.Errorf("%w: height %d", ErrPoints, h)
		}
		e.chunk = append(e.chunk, itemHeader)
		e.chunk = append(appendStamp(e.chunk, p.Time), p.Nodes[:]...)
		if err := e.flush(false); err != nil {
			return err
		}
	}
	return nil
}

// nodes writes the tree in postorder. Keys of inner nodes are left out: no hash covers them.
func (e *exporter) nodes(tree *iavl.ImmutableTree) error {
	nodes, err := tree.Export()
	if err != nil {
		return fmt.Errorf("chain: export: %w", err)
	}
	defer nodes.Close()
	for {
		n, err := nodes.Next()
		if errors.Is(err, iavl.ErrorExportDone) {
			return e.flush(true)
		}
		if err != nil {
			return fmt.Errorf("chain: export: %w", err)
		}
		if n.Height == 0 {
			e.chunk = binary.AppendUvarint(append(e.chunk, itemLeaf), uint64(n.Version))
			e.chunk = append(binary.AppendUvarint(e.chunk, uint64(len(n.Key))), n.Key...)
			e.chunk = append(binary.AppendUvarint(e.chunk, uint64(len(n.Value))), n.Value...)
		} else {
			e.chunk = binary.AppendUvarint(append(e.chunk, itemInner), uint64(n.Version))
		}
		if err := e.flush(false); err != nil {
			return err
		}
	}
}

func (e *exporter) flush(end bool) error {
	if len(e.chunk) < chunkTarget && !end {
		return nil
	}
	if len(e.out.Chunks) == maxChunks {
		return registry.ErrLimit
	}
	if err := e.put(len(e.out.Chunks), e.chunk); err != nil {
		return err
	}
	e.out.Chunks = append(e.out.Chunks, sha256.Sum256(e.chunk))
	e.chunk = nil // put may keep it
	return nil
}

func appendStamp(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func readStamp(b []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint32(b[8:]))).UTC()
}
