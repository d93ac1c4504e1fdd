package chain

import (
	"fmt"

	iavldb "github.com/cosmos/iavl/db"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

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
