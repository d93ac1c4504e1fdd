package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync/atomic"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"

	"github.com/dojang-id/dojang/internal/statuslist"
	"github.com/dojang-id/dojang/registry"
	"github.com/dojang-id/dojang/registry/evidence"
)

var (
	// ErrNotArchived: this node does not have the lists of that status epoch. Another one may.
	ErrNotArchived = errors.New("node: lists of that status epoch are not in the archive")
	// errGrowth: one epoch would make the archive grow by more than maxGrowth.
	errGrowth = errors.New("node: more new lists than one status epoch may bring into the archive")
)

const (
	archiveBatch = 1 << 20  // bytes of one synced write
	maxGrowth    = 64 << 20 // bytes that one epoch may add
	maxTree      = 16 << 20 // bytes of one list's values: what tokens are read up to
)

// An archive keeps every version of the lists that this node accepted, by hash (registry/README.md, "Archive of lists"). An
// object is written after all that lies below it, and an epoch after its lists: what is there is whole, whatever crashed.
type archive struct {
	db      dbm.DB
	dir     string
	missing atomic.Int64      // epochs in the queue
	growth  int               // bytes that one epoch may add
	step    func(name string) // of kill tests; nil: nothing
	log     *slog.Logger
}

const archiveName = "archive"

// archiveStore keeps the archive's share of memory small whatever is in it.
var archiveStore = opt.Options{BlockCacheCapacity: 2 * opt.MiB, WriteBuffer: 2 * opt.MiB, OpenFilesCacheCapacity: 64,
	CompactionTableSize: 8 * opt.MiB, Filter: filter.NewBloomFilter(10)}

// openArchive opens or creates the archive in the folder of published lists.
func openArchive(dir string, log *slog.Logger) (*archive, error) {
	db, err := dbm.NewGoLevelDBWithOpts(archiveName, dir, &archiveStore)
	if err != nil {
		return nil, fmt.Errorf("open archive of lists: %w", err)
	}
	a := &archive{db: db, log: log, growth: maxGrowth, dir: filepath.Join(dir, archiveName+".db")}
	err = a.each(queuePrefix, func(_, _ []byte) bool {
		a.missing.Add(1)
		return true
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

func (a *archive) close() error { return a.db.Close() }

// bytes on disk.
func (a *archive) bytes() (total int64) {
	_ = filepath.WalkDir(a.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				total += info.Size()
			}
		}
		return nil // a table that was compacted away meanwhile counts nothing
	})
	return total
}

// Keys; the format is in registry/README.md.
var queuePrefix = []byte{'q'}

func epochKey(root [32]byte) []byte  { return append([]byte{'r'}, root[:]...) }
func objectKey(hash [32]byte) []byte { return append([]byte{'t'}, hash[:]...) }
func cursorKey(d registry.DID) []byte {
	return append([]byte{'c'}, d.ID()...)
}
func queueKey(d registry.DID, height uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{'q'}, d.ID()...), height)
}

// each key under a prefix with its value, until f returns false.
func (a *archive) each(prefix []byte, f func(key, value []byte) bool) error {
	it, err := dbm.IteratePrefix(a.db, prefix)
	if err != nil {
		return fmt.Errorf("read archive of lists: %w", err)
	}
	defer it.Close()
	for ; it.Valid(); it.Next() {
		if !f(it.Key(), it.Value()) {
			return nil
		}
	}
	return it.Error()
}

func (a *archive) has(root [32]byte) (bool, error) { return a.db.Has(epochKey(root)) }

func (a *archive) hasObject(hash [32]byte) (bool, error) { return a.db.Has(objectKey(hash)) }

// object is what a hash is of. Error: ErrNotArchived.
func (a *archive) object(hash [32]byte) ([]byte, error) { return a.get(objectKey(hash)) }

// epoch is an epoch's records as they are kept and travel: a CBOR array. Error: ErrNotArchived.
func (a *archive) epoch(root [32]byte) ([]byte, error) { return a.get(epochKey(root)) }

func (a *archive) get(key []byte) ([]byte, error) {
	value, err := a.db.Get(key)
	if err != nil {
		return nil, fmt.Errorf("read archive of lists: %w", err)
	}
	if len(value) == 0 {
		return nil, ErrNotArchived
	}
	return value, nil
}

// kept reports whether a list has values to keep: those of a token that nodes serve.
func kept(r statuslist.Record) bool { return len(tokensOf(r)) > 0 }

// keep archives the lists of an epoch. values are asked for those that are not here. It returns after the last write is on disk.
// Error: errGrowth.
func (a *archive) keep(e *storedEpoch, values func(statuslist.Record) (statuslist.Values, error)) error {
	root := [32]byte(e.Root)
	if here, err := a.has(root); err != nil || here {
		return err
	}
	lists, err := e.parse()
	if err != nil {
		return err
	}
	w := a.writer(a.growth)
	defer w.close()
	for _, r := range lists {
		if !kept(r) {
			continue
		}
		if here, err := w.known(r.Root); err != nil {
			return err
		} else if here {
			continue
		}
		v, err := values(r)
		if err != nil {
			return fmt.Errorf("read a list for the archive: %w", err)
		}
		if err := v.Objects(w.known, w.object); err != nil {
			return fmt.Errorf("archive a list: %w", err)
		}
	}
	return w.epoch(root, e.Records)
}

// A writer writes objects in synced batches.
type writer struct {
	a       *archive
	batch   dbm.Batch
	pending map[[32]byte]bool // in the batch
	size    int
	grown   int
	most    int
}

func (a *archive) writer(most int) *writer {
	return &writer{a: a, batch: a.db.NewBatch(), pending: map[[32]byte]bool{}, most: most}
}

func (w *writer) known(hash [32]byte) (bool, error) {
	if w.pending[hash] {
		return true, nil
	}
	return w.a.hasObject(hash)
}

// object adds one; all below it was added before.
func (w *writer) object(hash [32]byte, object []byte) error {
	if err := w.set(objectKey(hash), object); err != nil {
		return err
	}
	w.pending[hash] = true
	if w.size < archiveBatch {
		return nil
	}
	return w.flush("archive.objects")
}

// epoch adds the records, after the trees of all lists, and ends with a flush.
func (w *writer) epoch(root [32]byte, records [][]byte) error {
	raw, err := registry.Encode(records)
	if err != nil {
		return err
	}
	if err := w.set(epochKey(root), raw); err != nil {
		return err
	}
	return w.flush("archive.epoch")
}

func (w *writer) set(key, value []byte) error {
	n := len(key) + len(value)
	if w.grown += n; w.grown > w.most {
		return errGrowth
	}
	w.size += n
	return w.batch.Set(key, value)
}

func (w *writer) flush(step string) error {
	if err := w.batch.WriteSync(); err != nil {
		return fmt.Errorf("write archive of lists: %w", err)
	}
	if err := w.batch.Close(); err != nil {
		return err
	}
	w.batch, w.size = w.a.db.NewBatch(), 0
	clear(w.pending)
	if w.a.step != nil {
		w.a.step(step)
	}
	return nil
}

func (w *writer) close() { _ = w.batch.Close() }

// status is the part of an Evidence that shows one list of an epoch with the chunk of an entry, and the base's beside it where an
// operator signed. Errors: ErrNotArchived; ErrNoList: the epoch has no such list, or it ends before that entry.
func (a *archive) status(fact registry.StatusFact, uri string, entry uint64) (*evidence.Status, error) {
	part, record, err := a.part(fact.Root, uri)
	if err != nil {
		return nil, err
	}
	if part.Chunk, err = a.cut(record, entry); err != nil || fact.Base == nil {
		return part, err
	}
	base, own, err := a.part(fact.Base.Root, uri)
	if err != nil {
		return nil, err
	}
	if own.Root != record.Root {
		if base.Chunk, err = a.cut(own, entry); err != nil {
			return nil, err
		}
	}
	part.Base = base
	return part, nil
}

func (a *archive) part(root [32]byte, uri string) (*evidence.Status, statuslist.Record, error) {
	raw, err := a.epoch(root)
	if err != nil {
		return nil, statuslist.Record{}, err
	}
	records, err := epochRecords(raw, root)
	if err != nil {
		return nil, statuslist.Record{}, fmt.Errorf("%w: damaged: %w", ErrNotArchived, err)
	}
	for i := range records {
		if !bytes.Contains(records[i], []byte(uri)) {
			continue
		}
		r, err := statuslist.ParseRecord(records[i])
		if err != nil {
			return nil, r, err
		}
		if r.URI != uri {
			continue
		}
		path, err := statuslist.ProveRecord(records, i)
		return &evidence.Status{Record: records[i], Index: uint64(i), Size: uint64(len(records)), Path: path}, r, err
	}
	return nil, statuslist.Record{}, ErrNoList
}

func (a *archive) cut(r statuslist.Record, entry uint64) ([]byte, error) {
	chunk, err := r.CutFrom(a.object, entry)
	switch {
	case errors.Is(err, statuslist.ErrIndex):
		return nil, ErrNoList
	case errors.Is(err, statuslist.ErrProof):
		return nil, fmt.Errorf("%w: damaged: %w", ErrNotArchived, err)
	}
	return chunk, err
}

// epochRecords parses what hashes to the root of an epoch. Errors: statuslist.ErrProof, statuslist.ErrMalformed.
func epochRecords(raw []byte, root [32]byte) ([][]byte, error) {
	var records [][]byte
	if len(raw) > maxRecords {
		return nil, statuslist.ErrLimit
	}
	if err := strictCBOR.Unmarshal(raw, &records); err != nil {
		return nil, statuslist.ErrMalformed
	}
	if statuslist.EpochRoot(records) != root {
		return nil, statuslist.ErrProof
	}
	return records, nil
}
