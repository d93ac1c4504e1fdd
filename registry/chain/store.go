package chain

import (
	"fmt"

	dbm "github.com/cosmos/cosmos-db"
	iavldb "github.com/cosmos/iavl/db"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

// Open opens or creates a store in a directory of its own.
func Open(dir string) (iavldb.DB, error) {
	db, err := dbm.NewGoLevelDBWithOpts("registry", dir, &opt.Options{
		BlockCacheCapacity: 8 * opt.MiB, WriteBuffer: 4 * opt.MiB, OpenFilesCacheCapacity: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("chain: open store: %w", err)
	}
	return iavldb.NewWrapper(db), nil
}

// wholeBatch makes the tree write each version in one batch, whatever its size. The library sizes its batches by the
// flush threshold, which is out of reach here, and would allocate all of it.
type wholeBatch struct{ iavldb.DB }

const flushNever = 1 << 30

func (w wholeBatch) NewBatchWithSize(int) iavldb.Batch { return w.NewBatch() }
