package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/store"
	iavldb "github.com/cosmos/iavl/db"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// databases are the engine's own stores (blocks, validator sets, evidence of misbehaviour). The engine closes them in the
// middle of its stop, while some of its goroutines look into them for seconds yet, and panics when one finds a closed
// store. Therefore closing is ours alone, at the end, and a closed store reads as an empty one.
type databases struct {
	dir string

	mu   sync.Mutex
	open map[string]*engineDB // by the engine's name for it
}

// smallStore keeps a store's share of memory small: the chain holds organisations, not citizens.
var smallStore = opt.Options{BlockCacheCapacity: 2 * opt.MiB, WriteBuffer: opt.MiB, OpenFilesCacheCapacity: 32}

// provide is the engine's DBProvider.
func (d *databases) provide(c *cmtcfg.DBContext) (dbm.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if db, ok := d.open[c.ID]; ok {
		return db, nil
	}
	store, err := dbm.NewGoLevelDBWithOpts(c.ID, d.dir, &smallStore)
	if err != nil {
		return nil, fmt.Errorf("open %s store: %w", c.ID, err)
	}
	if d.open == nil {
		d.open = map[string]*engineDB{}
	}
	db := &engineDB{DB: store}
	d.open[c.ID] = db
	return db, nil
}

// headers reads stored headers, while the engine is opened already.
func (d *databases) headers() (*store.BlockStore, error) {
	db, err := d.provide(&cmtcfg.DBContext{ID: "blockstore"})
	if err != nil {
		return nil, err
	}
	return store.NewBlockStore(db), nil
}

func (d *databases) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, db := range d.open {
		errs = append(errs, db.close())
	}
	d.open = nil
	return errors.Join(errs...)
}

// engineDB is a store that the engine cannot close.
type engineDB struct {
	dbm.DB

	mu     sync.RWMutex // held for writing while it is closed
	closed bool
}

// Close does nothing: see databases.
func (*engineDB) Close() error { return nil }

func (d *engineDB) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.DB.Close()
}

// Get finds nothing in a closed store.
func (d *engineDB) Get(key []byte) ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, nil
	}
	return d.DB.Get(key)
}

// Has finds nothing in a closed store.
func (d *engineDB) Has(key []byte) (bool, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false, nil
	}
	return d.DB.Has(key)
}

// writeFile replaces path by data so that a crash leaves the old file or the new one, whole:
// temporary file, fsync, rename, fsync of the folder.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing of that name
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// growingBatches lets a batch grow with what is put into it. The state tree asks for one batch a commit by naming a size
// that no commit reaches, and the store would allocate that size each time.
type growingBatches struct{ iavldb.DB }

func (d growingBatches) NewBatchWithSize(int) iavldb.Batch { return d.NewBatch() }
