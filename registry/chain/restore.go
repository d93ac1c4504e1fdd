package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

// A Restore takes a snapshot into an empty machine, chunk by chunk, in order. One of Finish and Abort ends it.
type Restore struct {
	m        *Machine
	s        Snapshot
	next     int
	importer *iavl.Importer
	headers  headerCheck
	subtrees []subtreeKeys
	failed   error
}

// subtreeKeys is what the importer needs and no hash covers: the smallest key under a node, and its height.
type subtreeKeys struct {
	first  []byte
	height int8
}

// Restore begins to take a snapshot. The caller has checked that s.Root is the app hash of the header after s.Version.
// A restart in between, or Abort, leaves an empty store. Errors: ErrOrder on a machine that has a state; ErrSnapshot.
func (m *Machine) Restore(s Snapshot) (*Restore, error) {
	if !s.plausible() {
		return nil, ErrSnapshot
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.height != 0 || m.restoring {
		return nil, ErrOrder
	}
	if err := m.mark(true); err != nil {
		return nil, fmt.Errorf("chain: begin restore: %w", err)
	}
	m.tree.Rollback()
	importer, err := m.tree.Import(int64(s.Version))
	if err != nil {
		return nil, fmt.Errorf("chain: begin restore: %w", err)
	}
	m.restoring = true
	return &Restore{m: m, s: s, importer: importer, headers: newHeaderCheck(s.First)}, nil
}

// Next is the index of the chunk to be given next.
func (r *Restore) Next() int { return r.next }

// Chunk takes the next chunk. Errors: ErrChunk (ask somebody else for it), ErrSnapshot (abort).
func (r *Restore) Chunk(b []byte) error {
	if r.failed != nil {
		return r.failed
	}
	if r.next >= len(r.s.Chunks) || len(b) > maxChunk || sha256.Sum256(b) != r.s.Chunks[r.next] {
		return ErrChunk
	}
	if r.failed = r.take(b); r.failed != nil {
		return r.failed
	}
	r.next++
	return nil
}

func (r *Restore) take(b []byte) error {
	in := itemReader{b: b}
	for len(in.b) > 0 && !in.bad {
		switch in.byte() {
		case itemHeader:
			raw := in.bytes(12 + 96)
			if in.bad || len(r.subtrees) > 0 {
				return ErrSnapshot
			}
			if err := r.headers.add(raw); err != nil {
				return err
			}
		case itemLeaf:
			version := in.version(r.s.Version)
			key := in.bytes(in.length())
			value := in.bytes(in.length())
			if in.bad || len(key) == 0 {
				return ErrSnapshot
			}
			if err := r.add(&iavl.ExportNode{Key: key, Value: value, Version: version}, key); err != nil {
				return err
			}
		case itemInner:
			version := in.version(r.s.Version)
			n := len(r.subtrees)
			if in.bad || n < 2 {
				return ErrSnapshot
			}
			left, right := r.subtrees[n-2], r.subtrees[n-1]
			r.subtrees = r.subtrees[:n-2]
			height := max(left.height, right.height) + 1
			if height > 100 || bytes.Compare(left.first, right.first) >= 0 {
				return ErrSnapshot
			}
			if err := r.add(&iavl.ExportNode{Key: right.first, Version: version, Height: height}, left.first); err != nil {
				return err
			}
		default:
			return ErrSnapshot
		}
	}
	if in.bad {
		return ErrSnapshot
	}
	return r.headers.flush(r.m)
}

func (r *Restore) add(n *iavl.ExportNode, first []byte) error {
	if err := r.importer.Add(n); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	r.subtrees = append(r.subtrees, subtreeKeys{first: first, height: n.Height})
	return nil
}

// Finish checks what was taken against the app hash and makes it the machine's state. Errors: ErrOrder when chunks are
// missing; ErrSnapshot, and then the store is empty again.
func (r *Restore) Finish() error {
	if r.importer == nil || r.next != len(r.s.Chunks) {
		return ErrOrder
	}
	if r.failed == nil && len(r.subtrees) != 1 {
		r.failed = ErrSnapshot
	}
	if r.failed == nil {
		if err := r.importer.Commit(); err != nil {
			r.failed = fmt.Errorf("%w: %w", ErrSnapshot, err)
		}
	}
	if r.failed == nil {
		r.failed = r.m.restored(r.s, &r.headers)
	}
	if r.failed != nil {
		return errors.Join(r.failed, r.Abort())
	}
	r.importer = nil
	return nil
}

// Abort throws away what was taken; after Finish it does nothing.
func (r *Restore) Abort() error {
	if r.importer == nil {
		return nil
	}
	r.importer.Close()
	r.importer = nil
	r.m.mu.Lock()
	defer r.m.mu.Unlock()
	r.m.restoring = false
	if err := wipe(r.m.db); err != nil {
		return err
	}
	return r.m.open()
}

// restored checks the imported version and loads it.
func (m *Machine) restored(s Snapshot, headers *headerCheck) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.tree.Hash(), s.Root[:]) {
		return fmt.Errorf("%w: another app hash", ErrSnapshot)
	}
	root, err := readPlain[registry.HeaderRoot](treeReader{m.tree}, registry.HeaderRootKey())
	if err != nil || root == nil {
		return fmt.Errorf("%w: no header tree", ErrSnapshot)
	}
	if root.First+root.Size != s.Version+1 {
		return fmt.Errorf("%w: its last header is missing", ErrSnapshot)
	}
	if err := headers.finish(m, *root); err != nil {
		return err
	}
	if err := m.mark(false); err != nil {
		return fmt.Errorf("chain: end restore: %w", err)
	}
	m.restoring = false
	return m.open()
}

// itemReader reads a chunk; bad is sticky.
type itemReader struct {
	b   []byte
	bad bool
}

func (r *itemReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0xff
}

func (r *itemReader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *itemReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *itemReader) length() int {
	n := r.uvarint()
	if n > maxLeaf {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *itemReader) version(most uint64) int64 {
	v := r.uvarint()
	if v > most {
		r.bad = true
	}
	return int64(v)
}

var restoreRecord = []byte("x/restoring")

// mark writes or takes away the record that says that the store holds parts of a snapshot.
func (m *Machine) mark(on bool) error {
	batch := m.db.NewBatch()
	defer batch.Close()
	var err error
	if on {
		err = batch.Set(restoreRecord, []byte{1})
	} else {
		err = batch.Delete(restoreRecord)
	}
	if err == nil {
		err = batch.WriteSync()
	}
	return err
}

// wipe empties a store. The mark goes last: a crash in between leaves it.
func wipe(db iavldb.DB) error {
	for {
		keys, err := someKeys(db)
		if err != nil {
			return fmt.Errorf("chain: empty the store: %w", err)
		}
		if len(keys) == 0 {
			batch := db.NewBatch()
			defer batch.Close()
			if err := batch.Delete(restoreRecord); err != nil {
				return fmt.Errorf("chain: empty the store: %w", err)
			}
			return batch.WriteSync()
		}
		batch := db.NewBatch()
		for _, k := range keys {
			if err == nil {
				err = batch.Delete(k)
			}
		}
		if err == nil {
			err = batch.WriteSync()
		}
		_ = batch.Close()
		if err != nil {
			return fmt.Errorf("chain: empty the store: %w", err)
		}
	}
}

func someKeys(db iavldb.DB) ([][]byte, error) {
	const most = 10_000
	it, err := db.Iterator(nil, nil)
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var keys [][]byte
	for ; it.Valid() && len(keys) < most; it.Next() {
		if string(it.Key()) != string(restoreRecord) {
			keys = append(keys, append([]byte(nil), it.Key()...))
		}
	}
	return keys, it.Error()
}

// A headerCheck rebuilds the header tree from the headers of a snapshot. Nothing of them is trusted before finish.
type headerCheck struct {
	next    uint64 // height of the next header
	tree    *compact.Range
	records []record
}

func newHeaderCheck(first uint64) headerCheck {
	factory := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	return headerCheck{next: first, tree: factory.NewEmptyRange(0)}
}

// add takes the next header: stamp and point.
func (c *headerCheck) add(raw []byte) error {
	b := Block{Height: c.next, Time: readStamp(raw), Point: [96]byte(raw[12:])}
	if b.Time.Unix() < 0 || b.Point == ([96]byte{}) {
		return ErrSnapshot
	}
	b.Hash = evidence.Point{Height: b.Height, Time: b.Time, Nodes: b.Point}.Hash()
	visit := func(id compact.NodeID, hash []byte) {
		c.records = append(c.records, record{nodeRecord(id.Level, id.Index), hash})
	}
	if err := c.tree.Append(rfc6962.DefaultHasher.HashLeaf(b.Hash[:]), visit); err != nil {
		return fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	c.records = append(c.records, b.record())
	c.next++
	return nil
}

func (c *headerCheck) flush(m *Machine) error {
	records := c.records
	c.records = nil
	return m.writeRecords(records)
}

func (c *headerCheck) finish(m *Machine, root registry.HeaderRoot) error {
	top, err := c.tree.GetRootHash(nil)
	if err != nil || c.tree.End() != root.Size || c.next != root.First+root.Size || [32]byte(top) != root.Root {
		return fmt.Errorf("%w: other headers", ErrSnapshot)
	}
	return c.flush(m)
}
