package sqldb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing/fstest"

	"github.com/dojang-id/dojang/internal/bench"
)

const (
	benchRecord = 512 // bytes, as in PERFORMANCE.md 1 "raw WAL"
	benchTurns  = 8   // writes of each caller in one operation
)

// BenchCases are one durable record of 512 bytes with 128 callers who wait, beside the raw work: as many records appended to
// a file with one sync for all. scaling/durable-record is how the cost of one falls when many wait.
func BenchCases() []bench.Case {
	return []bench.Case{
		{Name: "sqldb/write-128", New: func() (*bench.Loops, error) { return benchWrite(128) }},
		bench.Scaling{Name: "scaling/durable-record", Sizes: []int{1, 8, 32, 128}, New: benchWrite, Exponent: -0.3}.Case(),
	}
}

func benchWrite(callers int) (*bench.Loops, error) {
	dir, err := os.MkdirTemp("", "dojang-bench-")
	if err != nil {
		return nil, err
	}
	db, err := Open(context.Background(), "sqlite://"+filepath.Join(dir, "bench.db"))
	if err != nil {
		return nil, err
	}
	schema := fstest.MapFS{"0001_bench.sql": {Data: []byte("CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;")}}
	if err := db.Migrate(context.Background(), "bench", schema); err != nil {
		return nil, err
	}
	raw, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	records := benchRecords()
	joined := bytes.Repeat(records[0], callers)
	var mu sync.Mutex
	var first error
	return &bench.Loops{
		Per: callers * benchTurns,
		Op: func(i int) error {
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for t := range benchTurns {
						if err := benchInsert(db, records[(i*callers+c+t)%len(records)]); err != nil {
							mu.Lock()
							first = errors.Join(first, err)
							mu.Unlock()
						}
					}
				})
			}
			wg.Wait()
			return first
		},
		Floor: func(int) error { // one write and one sync for all that wait
			_, err := raw.Write(joined)
			return errors.Join(err, raw.Sync())
		},
		FloorPer: callers,
		Close:    func() { _ = errors.Join(db.Close(), raw.Close(), os.RemoveAll(dir)) },
	}, nil
}

func benchInsert(db *DB, body []byte) error {
	return db.Write(context.Background(), func(tx *Tx) error {
		n, err := tx.Exec("INSERT INTO record (body) VALUES (?)", body)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
}

func benchRecords() [][]byte {
	records := make([][]byte, 256)
	for i := range records {
		records[i] = make([]byte, benchRecord)
		for j := range records[i] {
			records[i][j] = byte(i * (j + 7))
		}
	}
	return records
}
